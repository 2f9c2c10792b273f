import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
import tyro
from safetensors.torch import save_file

from auteur.cli.direct import DirectArguments
from auteur.cli.direct import direct as verb
from auteur.errors import AuteurError, InputError
from auteur.expression.audio_lm.compact import AudioLM, AudioLMConfig
from auteur.expression.audio_lm.emotion_classifier import EmotionClassifierConfig
from auteur.formats import read_au_track
from auteur.weights import metadata_of

pytestmark = pytest.mark.slow

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    config = AudioLMConfig(
        width=16, layers=1, heads=2, sound=8, ear=EmotionClassifierConfig(width=4, hidden=8, voters=1)
    )
    path = tmp_path_factory.mktemp("model") / "lm.safetensors"
    save_file(AudioLM(config).state_dict(), path, metadata=metadata_of(AudioLM.kind, config))
    return path


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    at = np.arange(2 * RATE_HZ) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * 150 * k * at) / k for k in range(1, 9))
    path = tmp_path_factory.mktemp("speech") / "talk.wav"
    soundfile.write(path, 0.2 * tone * (0.2 + np.clip(np.sin(2 * np.pi * 4 * at), 0, 1)), RATE_HZ)
    return path


def direct(*arguments: object) -> int:
    words = [str(argument) for argument in arguments]
    return verb(tyro.cli(tyro.conf.OmitArgPrefixes[DirectArguments], args=words))


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_writes_a_track_that_can_be_read(model, speech, tmp_path, capsys, ending):
    out = tmp_path / f"talk.{ending}"
    assert direct(speech, "-o", out, "--model", model, "--json") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    track = read_au_track(out)
    assert track.frames == report["frames"] == 50
    assert track.convention == "feafa24"
    assert 0 < report["probability"] <= 1
    assert report["emotion"] in report["probabilities"]


def test_emotion_and_adjustments(model, speech, tmp_path, capsys):
    out = tmp_path / "talk.csv"
    adjustments = ["--au-offset", "AU12=0.4", "--au-scale", "AU26=0.5", "--mute", "AU4", "AU5"]
    assert direct(speech, "-o", out, "--model", model, "--emotion", "joy", *adjustments) == 0
    assert "happy (as requested)" in capsys.readouterr().out
    track = read_au_track(out)
    assert track.channel("lip_corner_pull_left").min() >= 0.4 - 1e-6
    assert not track.channel("brow_lower_left").any()


def test_other_conventions_and_plot(model, speech, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra plot")
    out, plot = tmp_path / "talk.json", tmp_path / "talk.png"
    assert direct(speech, "-o", out, "--model", model, "--convention", "openface18", "--plot", plot) == 0
    assert read_au_track(out).convention == "openface18"
    assert plot.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--emotion", "wistful"], "unknown emotion 'wistful'"),
        (["--au-scale", "AU12"], "is not NAME=VALUE"),
        (["--au-scale", "AU12=99"], "between 0 and 10"),
        (["--mute", "AU6"], "no channel in feafa24"),
        (["--intensity", "2"], "intensity is 2"),
        (["--convention", "mine"], "unknown AU convention 'mine'"),
        (["--model", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--plot", "talk.jpg"], "must end in .png"),
    ],
)
def test_refusals_leave_nothing_behind(model, speech, tmp_path, arguments, message):
    given = arguments if "--model" in arguments else ["--model", str(model), *arguments]
    with pytest.raises(AuteurError, match=message):
        direct(speech, "-o", tmp_path / "talk.csv", *given)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_by_default(model, speech, tmp_path):
    out = tmp_path / "talk.csv"
    out.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        direct(speech, "-o", out, "--model", model)
    assert out.read_text() == "mine"


def test_silence_is_neutral_and_reported(model, tmp_path, capsys):
    soundfile.write(tmp_path / "quiet.wav", np.zeros(RATE_HZ), RATE_HZ)
    assert direct(tmp_path / "quiet.wav", "-o", tmp_path / "t.json", "--model", model) == 0
    printed = capsys.readouterr()
    assert "neutral (100%)" in printed.out
    assert "silent" in printed.err
    assert not read_au_track(tmp_path / "t.json").values.any()


def test_importing_the_verb_takes_no_torch():
    code = "import sys, auteur.cli.direct; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
