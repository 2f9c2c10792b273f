"""`auteur move`: landmarks as a file, in both formats, and what it refuses."""

import json
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from auteur import provenance
from auteur.cli import main
from auteur.formats import open_table, openface_tracks, read_openface
from auteur.media import write_audio, write_image
from auteur.motion.mouth import lip_gap
from auteur.signals import AUTrack, LandmarkTrack, Waveform

pytestmark = pytest.mark.slow

STILL = ["--head", "0", "--no-blinks", "--no-gaze"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).normal(0, 1e-4, 8000).astype(np.float32)
    write_image(
        "me.png", np.ascontiguousarray(data.astronaut()[0:256, 96:352]), mark=provenance.Mark(watermark=False)
    )
    write_audio("talk.wav", Waveform(samples=noise, rate_hz=16000), mark=provenance.Mark(watermark=False))
    return tmp_path


def test_both_formats_hold_the_same_landmarks(folder, capsys):
    assert main(["move", "talk.wav", "--portrait", "me.png", "-o", "out.json", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["output"], report["frames"], report["fps"]) == ("out.json", 12, "25")
    assert main(["move", "talk.wav", "--portrait", "me.png", "-o", "out.csv"]) == 0
    track = LandmarkTrack.load("out.json")
    assert track.values.shape == (12, 478, 3) and track.image_size_px == (256, 256)
    with open_table("out.csv") as stream:
        table = openface_tracks(read_openface(stream))
    assert table.mesh is not None and table.mesh.rate == 25
    np.testing.assert_allclose(table.mesh.values, track.values, atol=0.01)


def test_a_track_moves_the_face_at_its_times(folder):
    values = np.repeat([0.0, 1.0], 6)[:, None].astype(np.float32)
    AUTrack(values=values, rate=Fraction(25), channels=("AU26",), convention="facs").save("jaw.csv")
    command = ["move", "talk.wav", "--portrait", "me.png", "--track", "jaw.csv", "-o", "out.json", *STILL]
    assert main(command) == 0
    gap = lip_gap(LandmarkTrack.load("out.json").values)
    assert gap[:6].max() < 1 and gap[6:].min() > 4  # px of a face of 105


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "out.txt"], 2, ".csv"),
        (["-o", "nowhere/out.csv"], 3, "nowhere"),
        (["-o", "out.csv", "--track", "absent.csv"], 3, "absent.csv"),
        (["-o", "out.csv", "--emotion", "hapy"], 2, "happy"),
        (["-o", "out.csv", "--au", "AU1=2"], 2, "between 0 and 1"),
        (["-o", "out.csv", "--fps", "0"], 2, "between 1 and 120"),
        (["-o", "talk.wav"], 2, "is also the input"),
    ],
)
def test_bad_input_ends_with_one_line_and_nothing_written(folder, capsys, arguments, code, message):
    before = sorted(folder.iterdir())
    assert main(["move", "talk.wav", "--portrait", "me.png", *arguments]) == code
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_an_existing_file_is_kept(folder, capsys):
    Path("out.csv").write_text("precious")
    assert main(["move", "talk.wav", "--portrait", "me.png", "-o", "out.csv"]) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert Path("out.csv").read_text() == "precious"


@pytest.mark.parametrize("ending", ["json", "tsv", "xml", "dat"])
def test_mouth_cues_need_no_portrait(folder, capsys, ending):
    assert main(["move", "talk.wav", "--cues", f"cues.{ending}", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["cues"] == f"cues.{ending}" and result["cue_count"] > 0
    with wave.open("talk.wav") as sound:
        assert result["cues_end_sec"] == pytest.approx(sound.getnframes() / sound.getframerate(), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["talk.wav"], 2, "nothing to write"),
        (["talk.wav", "-o", "out.json"], 2, "go together"),
        (["talk.wav", "--cues", "cues.txt"], 2, ".tsv"),
        (["talk.wav", "--cues", "nowhere/cues.json"], 3, "nowhere"),
        (["talk.wav", "--cues", "cues.dat", "--fps", "0"], 2, "rate"),
        (["absent.wav", "--cues", "cues.json"], 3, "absent.wav"),
    ],
)
def test_bad_requests_for_cues_end_with_one_line(folder, capsys, arguments, code, message):
    before = sorted(folder.iterdir())
    assert main(["move", *arguments]) == code
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert sorted(folder.iterdir()) == before
