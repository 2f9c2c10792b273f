"""`auteur generate`: exit codes, one line of cause, and nothing left behind."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from auteur import provenance
from auteur.cli import main
from auteur.cli.arguments import parse_pairs
from auteur.errors import UsageError
from auteur.formats import read_au_track
from auteur.media import write_audio, write_image
from auteur.signals import AUTrack, LandmarkTrack, PoseTrack, Waveform

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """A folder of good and bad inputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("inputs"))
        write_inputs()
        return Path.cwd()


def write_inputs() -> None:
    mark = provenance.Mark(watermark=False)
    noise = np.random.default_rng(0).normal(0, 0.05, 8000).astype(np.float32)
    write_image("me.png", np.ascontiguousarray(data.astronaut()[0:256, 96:352]), mark=mark)
    write_image("bricks.png", np.repeat(data.brick()[:200, :200, None], 3, 2), mark=mark)
    write_audio("talk.wav", Waveform(samples=noise, rate_hz=16000), mark=mark)
    write_audio("blip.wav", Waveform(samples=noise[:800], rate_hz=16000), mark=mark)
    write_image("cat.png", data.chelsea(), mark=mark)
    Path("cut.wav").write_bytes(Path("talk.wav").read_bytes()[:30])
    with Path("long.wav").open("wb") as sparse:  # two hours of silence: a header, then nothing but a hole
        size = 2 * 3600 * 8000
        sparse.write(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt ")
        sparse.write(struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", size))
        sparse.truncate(44 + size)
    Path("half.wav").write_bytes(Path("talk.wav").read_bytes()[:8000])
    Path("empty.wav").write_bytes(b"")
    smile = np.full((12, 1), 0.5)
    AUTrack(values=smile, rate=Fraction(25), channels=("AU12L",), convention="facs").save("units.csv")
    Path("text.wav").write_text("#EXTM3U\nhttp://127.0.0.1/a.ts\n")


@pytest.fixture
def folder(inputs, tmp_path, monkeypatch) -> Path:
    """The working folder, with the inputs in it."""
    for path in inputs.iterdir():
        if path.name == "long.wav":
            os.link(path, tmp_path / path.name)
        else:
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_a_video_and_reports_it_as_json(folder, capsys):
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4", "--emotion", "sad", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["output"] == "out.mp4" and result["frames"] == 12 and result["seed"] > 0
    assert Path("out.mp4").stat().st_size > 1000


@pytest.mark.parametrize("name", ["a.mov", "a.webm", "a.gif", "frames/"])
def test_other_kinds_are_written_and_verified(folder, capsys, name):
    extras = ["--seconds", "0.2", "--size", "96x128", "--background", "white", "--quality", "low"]
    assert main(["generate", "me.png", "talk.wav", "-o", name, "--preset", "warp", *extras]) == 0
    capsys.readouterr()
    assert main(["verify", name, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "intact" and report["sidecar"]["settings"]["size"] == "96x128"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bricks.png", "talk.wav"], 3, "no face"),
        (["absent.png", "talk.wav"], 3, "absent.png"),
        (["me.png", "absent.wav"], 3, "absent.wav"),
        (["me.png", "empty.wav"], 3, "empty.wav"),
        (["cat.png", "talk.wav"], 3, "no face"),
        (["me.png", "cut.wav"], 3, "cut.wav"),
        (["me.png", "half.wav"], 3, "cut short"),
        (["me.png", "long.wav"], 3, "7200"),
        (["me.png", "text.wav"], 3, "text.wav"),
        (["me.png", "blip.wav"], 3, "0.1"),
        (["me.png", "talk.wav", "--emotion", "hapy"], 2, "happy"),
        (["me.png", "talk.wav", "--au", "AU12"], 2, "NAME=VALUE"),
        (["me.png", "talk.wav", "--au", "smil=0.5"], 2, "smile"),
        (["me.png", "talk.wav", "--au-scale", "AU12"], 2, "--au-scale"),
        (["me.png", "talk.wav", "--au-scale", "AU12=9"], 2, "between 0 and 4"),
        (["me.png", "talk.wav", "--mute", "AU99"], 2, "AU99"),
        (["me.png", "talk.wav", "--route", "auhaed"], 2, "auto, landmark"),
        (["me.png", "talk.wav", "--preset", "enormous"], 2, "compact"),
        (["me.png", "talk.wav", "--plot", "plot.txt"], 2, ".png"),
        (["me.png", "talk.wav", "--sheet", "nowhere/sheet.png"], 3, "nowhere"),
        (["me.png", "talk.wav", "--sheet", "sheet.txt"], 2, ".webp"),
        (["me.png", "talk.wav", "--save-tracks", "nowhere/deep"], 3, "nowhere"),
        (["me.png", "talk.wav", "-o", "out.avi"], 2, ".mp4"),
        (["me.png", "talk.wav", "--background", "none"], 2, ".webm"),
        (["me.png", "talk.wav", "-o", "out.gif", "--background", "none"], 2, ".webm"),
        (["me.png", "talk.wav", "--background", "beach.jpg"], 2, "beach.jpg"),
        (["me.png", "talk.wav", "--seconds", "0"], 2, "above 0"),
        (["me.png", "talk.wav", "--crop", "tall"], 2, "9:16"),
        (["me.png", "talk.wav", "--size", "12"], 2, "64 to 4096"),
        (["me.png", "talk.wav", "--size", "200x200", "--crop", "9:16"], 2, "not of the shape"),
        (["me.png", "talk.wav", "-o", "out.gif", "--fps", "60"], 2, "at most 50"),
        (["me.png", "talk.wav", "--au", "AU12=3"], 2, "between 0 and 1"),
        (["me.png", "talk.wav", "--emotion", "sad", "--intensity", "2"], 2, "between 0 and 1"),
        (["me.png", "talk.wav", "--emotion-curve", "0s hapy:1"], 2, "character 4 ('h')"),
        (["me.png", "talk.wav", "--emotion-curve", "0s happy:1.3"], 2, "character 10 ('1')"),
        (["me.png", "talk.wav", "--emotion-curve", "0s happy 1s sad"], 2, "character 10 ('1')"),
        (["me.png", "talk.wav", "--emotion-curve", "1s happy, 1s sad"], 2, "character 11 ('1')"),
        (["me.png", "talk.wav", "--emotion-curve", "0s happy:0.9+sad:0.9"], 2, "add up to 1.8"),
        (["me.png", "talk.wav", "--emotion-curve", ""], 2, "the end"),
        (["me.png", "talk.wav", "--emotion-curve", "0s sad", "--emotion", "sad"], 2, "either an emotion"),
        (["me.png", "talk.wav", "--emotion-curve", "0s sad", "--intensity", "0.5"], 2, "of its own"),
        (["me.png", "talk.wav", "--fps", "0"], 2, "between 1 and 120"),
        (["me.png", "talk.wav", "--fps", "fast"], 2, "fast"),
        (["me.png", "talk.wav", "--track", "absent.csv"], 3, "absent.csv"),
        (["me.png", "talk.wav", "--face", "3"], 3, "--face"),
        (["me.png", "talk.wav", "-o", "nowhere/out.mp4"], 3, "nowhere"),
        (["me.png", "talk.wav", "--save-tracks", "empty.wav"], 2, "--save-tracks"),
        (["me.png"], 2, "SPEECH missing"),
        (["me.png", "talk.wav", "--lips", "mouth"], 2, "choose speech, track or both"),
        (["me.png", "talk.wav", "--lips", "track"], 2, "need a track"),
        (["me.png", "talk.wav", "--drive", "absent.mp4"], 3, "absent.mp4"),
        (["me.png", "talk.wav", "--drive", "talk.wav"], 3, "talk.wav"),
        (["me.png", "--drive", "bricks.png"], 3, "no face"),
        (["me.png", "talk.wav", "--drive", "me.png", "--track", "units.csv"], 2, "not both"),
        (["me.png", "talk.wav", "--head-track", "absent.csv"], 3, "absent.csv"),
        (["me.png", "talk.wav", "--head-track", "units.csv"], 3, "no head pose"),
        (["me.png", "talk.wav", "--head-track", "talk.wav"], 3, "talk.wav"),
        (["me.png", "talk.wav", "--gaze-track", "absent.csv"], 3, "absent.csv"),
        (["me.png", "talk.wav", "--gaze-track", "units.csv"], 3, "no gaze"),
        (["me.png", "talk.wav", "--liveliness", "2.5"], 2, "between 0 and 2"),
        (["me.png", "talk.wav", "--liveliness", "nan"], 2, "between 0 and 2"),
        (["me.png", "talk.wav", "--head", "4"], 2, "between 0 and 3"),
        (["me.png", "talk.wav", "--track-start", "1"], 2, "--track-start"),
        (["me.png", "talk.wav", "--track", "units.csv", "--track-start", "9"], 2, "--track-start"),
    ],
)
def test_bad_input_ends_with_one_line_and_nothing_written(folder, capsys, arguments, code, message):
    before = sorted(folder.iterdir())
    target = [] if "-o" in arguments else ["-o", "out.mp4"]
    assert main(["generate", *arguments, *target]) == code
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("route", ["auto", "emodiffhead"])
def test_an_emotion_curve_is_performed_and_written_down(folder, capsys, route):
    curve = "0s neutral, 0.2s happy:0.3, 0.4s surprised:1.1"
    options = ["--emotion-curve", curve, "--route", route, "--save-tracks", "tracks", "--preset", "warp"]
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4", *options]) == 0
    assert "extrapolate" in capsys.readouterr().err
    track = read_au_track("tracks/requested_aus.json")
    assert track.channel("AU1L")[-1] > 0.2 and not track.channel("AU1L")[0]
    assert "surprised:1.1" in Path("out.mp4.json").read_text()


def test_an_existing_output_is_kept(folder, capsys):
    Path("out.mp4").write_bytes(b"precious")
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4"]) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert Path("out.mp4").read_bytes() == b"precious"


def test_everything_else_that_can_be_written(folder, capsys):
    pytest.importorskip("matplotlib")
    extras = ["--plot", "plot.png", "--sheet", "sheet.png", "--save-tracks", "tracks", "--json"]
    requested = ["--emotion", "happy", "--au", "AU4=0.5", "--au-scale", "AU12=0.5", "--mute", "AU4"]
    requested += ["--liveliness", "0"]
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4", *requested, *extras]) == 0
    written = json.loads(capsys.readouterr().out.splitlines()[-1])["also_written"]
    assert written == [
        "plot.png",
        "sheet.png",
        "tracks/rendered_aus.json",
        "tracks/requested_aus.json",
        "tracks/rendered_head.json",
        "tracks/landmarks.json",
    ]
    for name in ("plot.png", "sheet.png", "out.mp4"):
        assert main(["verify", name]) == 0
    track = read_au_track("tracks/requested_aus.json")
    # A smile of 1, halved; it begins with 0.75 of its height.
    assert track.channel("AU12L")[0] == pytest.approx(0.75 * 0.5) and not track.channel("AU4L").any()
    assert LandmarkTrack.load("tracks/landmarks.json").frames == 12


def test_saved_tracks_can_be_fed_back(folder):
    command = ["generate", "me.png", "talk.wav", "--preset", "warp"]
    assert main([*command, "--emotion", "sad", "--save-tracks", "tracks"]) == 0
    for name in ("rendered_aus", "requested_aus"):
        again = ["-o", f"{name}.mp4", "--track", f"tracks/{name}.json", "--save-tracks", name]
        assert main([*command, *again]) == 0
        given, requested = AUTrack.load(f"tracks/{name}.json"), AUTrack.load(f"{name}/requested_aus.json")
        shared = [one for one in given.channels if np.isfinite(given.channel(one)).all()]
        assert shared
        for channel in shared:
            np.testing.assert_allclose(requested.channel(channel), given.channel(channel), atol=1e-3)


def test_a_rendered_head_can_be_fed_back_and_is_not_replaced(folder, capsys):
    assert main(["generate", "me.png", "talk.wav", "--preset", "warp", "--save-tracks", "tracks"]) == 0
    again = ["generate", "me.png", "talk.wav", "-o", "again.mp4", "--preset", "warp"]
    again += ["--head-track", "tracks/rendered_head.json"]
    assert main([*again, "--save-tracks", "tracks", "--overwrite"]) == 2
    assert "--save-tracks would replace the track" in capsys.readouterr().err
    assert main([*again, "--save-tracks", "other", "--seed", "3"]) == 0
    one, other = (PoseTrack.load(f"{name}/rendered_head.json") for name in ("tracks", "other"))
    np.testing.assert_allclose(one.values[:, :3], other.values[:, :3], atol=0.02)


def test_a_track_alone_makes_a_video(folder, capsys):
    assert main(["generate", "me.png", "--track", "units.csv", "-o", "out.mp4", "--preset", "warp"]) == 0
    assert main(["verify", "out.mp4"]) == 0


def test_odd_speech_is_used_and_noted(folder, capsys):
    loud = np.clip(np.random.default_rng(0).normal(0, 2, 4000), -1, 1).astype(np.float32)
    write_audio("clipped.wav", Waveform(samples=loud, rate_hz=8000), mark=provenance.Mark(watermark=False))
    write_audio(
        "silent.wav",
        Waveform(samples=np.zeros(8000, np.float32), rate_hz=16000),
        mark=provenance.Mark(watermark=False),
    )
    assert main(["generate", "me.png", "clipped.wav", "-o", "a.mp4"]) == 0
    printed = capsys.readouterr().err
    assert "clipped" in printed and "8000 Hz" in printed
    assert main(["generate", "me.png", "silent.wav", "-o", "b.mp4"]) == 0
    assert "silent" in capsys.readouterr().err


def test_a_short_track_at_another_rate_is_used_and_noted(folder, capsys):
    track = AUTrack(values=np.full((3, 1), 0.5), rate=Fraction(10), channels=("AU12L",), convention="facs")
    track.save("short.csv")
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4", "--track", "short.csv"]) == 0
    printed = capsys.readouterr().err
    assert "covers 0.30 s of 0.50 s" in printed and "10 frames/s" in printed


def test_ctrl_c_while_rendering_leaves_nothing(folder):
    voice = np.random.default_rng(0).normal(0, 0.05, 16000 * 30).astype(np.float32)
    write_audio(
        "talk.wav",
        Waveform(samples=voice, rate_hz=16000),
        mark=provenance.Mark(watermark=False),
        overwrite=True,
    )
    before = sorted(folder.iterdir())
    command = [sys.executable, "-m", "auteur.cli", "generate", "me.png", "talk.wav"]
    # A run in the background has Ctrl-C switched off, and children inherit that.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([*command, "--save-tracks", "tracks"], stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, inherited)
    deadline = time.monotonic() + 120
    while not list(folder.glob(".*.part.mp4")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in error, error
    assert sorted(folder.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_a_folder_that_cannot_be_written_to(folder, capsys):
    Path("locked").mkdir(mode=0o500)
    assert main(["generate", "me.png", "talk.wav", "-o", "locked/out.mp4"]) == 3
    assert "locked" in capsys.readouterr().err


def test_controls_are_read_as_pairs():
    assert parse_pairs(("AU1=0.5", "smile_left=.3"), "--au") == {"AU1": 0.5, "smile_left": 0.3}
    for bad in ("AU1", "=0.5", "AU1=", "AU1=much"):
        with pytest.raises(UsageError, match="NAME=VALUE"):
            parse_pairs((bad,), "--au")


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory) -> Path:
    """A file of the compact denoiser, as small as it comes, with random weights."""
    from auteur.synthesis.denoiser.builder import build_denoiser
    from auteur.synthesis.denoiser.config import TemporalConfig, UNetConfig
    from auteur.synthesis.denoiser.presets import DENOISER_PRESETS
    from auteur.synthesis.denoiser.storage import save_denoiser

    config = DENOISER_PRESETS["compact"].config
    unet = UNetConfig(widths=(8, 16), attends=(False, True), layers=1, heads=2, groups=4, context_width=None)
    small = config.changed(
        patch=16,
        unet=unet,
        temporal=TemporalConfig(levels=(False, True), heads=2, groups=4),
        landmarks=replace(config.landmarks, downscale=2, stem=(4, 8), head=4),
        audio=replace(config.audio, hidden=8, tokens=2, width=8, head=4),
        au=None,
        past=replace(config.past, head=4),
    )
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_denoiser(build_denoiser(small, seed=0), path)
    return path


def test_a_denoiser_file_paints(folder, denoiser, capsys):
    painted = ["--preset", str(denoiser), "--steps", "1", "--audio-guidance", "2", "--device", "cpu"]
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4", *painted, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["frames"] == 12 and len(result["models"]["denoiser"]) == 12
    assert main(["verify", "out.mp4"]) == 0
    record = provenance.verify("out.mp4").sidecar
    assert record is not None
    assert record.mark.settings["steps"] == 1 and record.mark.settings["audio_guidance"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--preset", "warp", "--steps", "4"], 2, "steps: no effect with the preset warp"),
        (["--preset", "warp", "--au-guidance", "21"], 2, "between 0 and 20"),
        (["--preset", "warp", "--audio-guidance", "2"], 2, "audio_guidance: no effect"),
        (["--preset", "warp", "--window", "2"], 2, "window: no effect"),
        (["--device", "cuda"], 2, "no effect"),
        (["--preset", "WEIGHTS", "--steps", "0"], 2, "between 1 and 1000"),
        (["--preset", "WEIGHTS", "--au-guidance", "21"], 2, "between 0 and 20"),
        (["--preset", "WEIGHTS", "--window", "99"], 2, "between 1 and 32"),
        (["--preset", "WEIGHTS", "--device", "tpu"], 2, "choose cpu or cuda"),
        (["--preset", "absent.safetensors"], 3, "absent.safetensors"),
        (["--preset", "cut.safetensors"], 3, "cut.safetensors"),
        (["--preset", "pickle.safetensors"], 3, "not a safetensors file"),
        (["--preset", "other.safetensors"], 3, "holds no denoiser"),
        (["--preset", "me.png"], 3, "not a safetensors file"),
        pytest.param(
            *(["--preset", "weights/"], 3, "denoiser.safetensors"),
            marks=pytest.mark.skipif(find_spec("diffusers") is None, reason="needs the extra full"),
        ),
        (["--preset", "full"], 2, "name a folder"),
    ],
)
def test_bad_painting_ends_with_one_line_and_nothing_written(
    folder, denoiser, capsys, arguments, code, message
):
    import torch
    from safetensors.torch import save_file

    Path("cut.safetensors").write_bytes(denoiser.read_bytes()[:5000])
    torch.save({"weight": torch.zeros(3)}, "pickle.safetensors")
    save_file({"weight": torch.zeros(3)}, "other.safetensors")
    Path("weights").mkdir()
    before = sorted(folder.iterdir())
    given = [str(denoiser) if one == "WEIGHTS" else one for one in arguments]
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4", *given]) == code
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_out_of_memory_names_what_to_lower(folder, denoiser, capsys, monkeypatch):
    import torch

    from auteur.synthesis.denoiser.network import VideoDenoiser

    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(VideoDenoiser, "forward", too_much)
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4", "--preset", str(denoiser)]) == 2
    assert "lower the window from 8 frames" in capsys.readouterr().err
    assert not Path("out.mp4").exists()


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_warp_alone_loads_no_library_of_diffusion(folder):
    done = run_python(
        "import sys; from auteur.cli import main\n"
        "code = main(['generate', 'me.png', 'talk.wav', '-o', 'out.mp4', '--preset', 'warp'])\n"
        "print(code, [name for name in ('diffusers', 'transformers', 'peft') if name in sys.modules])"
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_a_missing_diffusers_is_one_line_that_names_what_to_install(folder):
    Path("papers").mkdir()
    done = run_python(
        "import sys; sys.modules['diffusers'] = None\n"
        "from auteur.cli import main\n"
        "sys.exit(main(['generate', 'me.png', 'talk.wav', '-o', 'out.mp4', '--preset', 'papers']))"
    )
    assert done.returncode == 2
    assert "pip install 'auteur-face[full]'" in done.stderr and len(done.stderr.strip().splitlines()) == 1
