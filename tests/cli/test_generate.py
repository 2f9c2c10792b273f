"""`auteur generate`: exit codes, one line of cause, and nothing left behind."""

import json
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from auteur import provenance
from auteur.cli import main
from auteur.cli.generate import parse_controls
from auteur.errors import UsageError
from auteur.media import write_audio, write_image
from auteur.signals import Waveform


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    mark = provenance.Mark()
    noise = np.random.default_rng(0).normal(0, 0.05, 8000).astype(np.float32)
    write_image("me.png", np.ascontiguousarray(data.astronaut()[0:256, 96:352]), mark=mark)
    write_image("bricks.png", np.repeat(data.brick()[:200, :200, None], 3, 2), mark=mark)
    write_audio("talk.wav", Waveform(samples=noise, rate_hz=16000), mark=mark)
    write_audio("blip.wav", Waveform(samples=noise[:800], rate_hz=16000), mark=mark)
    Path("empty.wav").write_bytes(b"")
    Path("text.wav").write_text("#EXTM3U\nhttp://127.0.0.1/a.ts\n")
    return tmp_path


def test_it_writes_a_video_and_says_so_in_json(folder, capsys):
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4", "--emotion", "sad", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["output"] == "out.mp4" and result["frames"] == 12 and result["seed"] == 0
    assert Path("out.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bricks.png", "talk.wav"], 3, "no face"),
        (["absent.png", "talk.wav"], 3, "absent.png"),
        (["me.png", "absent.wav"], 3, "absent.wav"),
        (["me.png", "empty.wav"], 3, "empty.wav"),
        (["me.png", "text.wav"], 3, "text.wav"),
        (["me.png", "blip.wav"], 3, "0.1"),
        (["me.png", "talk.wav", "--emotion", "hapy"], 2, "happy"),
        (["me.png", "talk.wav", "--au", "AU12"], 2, "NAME=VALUE"),
        (["me.png", "talk.wav", "--au", "AU12=3"], 2, "between 0 and 1"),
        (["me.png", "talk.wav", "--emotion", "sad", "--intensity", "2"], 2, "between 0 and 1"),
        (["me.png", "talk.wav", "--fps", "0"], 2, "between 1 and 120"),
        (["me.png", "talk.wav", "--fps", "fast"], 2, "fast"),
        (["me.png", "talk.wav", "--track", "absent.csv"], 3, "absent.csv"),
        (["me.png", "talk.wav", "--face", "3"], 3, "--face"),
        (["me.png", "talk.wav", "-o", "nowhere/out.mp4"], 3, "nowhere"),
        (["me.png", "talk.wav", "--save-tracks", "empty.wav"], 2, "--save-tracks"),
    ],
)
def test_bad_input_ends_with_one_line_and_nothing_written(folder, capsys, arguments, code, message):
    before = sorted(folder.iterdir())
    target = [] if "-o" in arguments else ["-o", "out.mp4"]
    assert main(["generate", *arguments, *target]) == code
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_an_existing_output_is_kept(folder, capsys):
    Path("out.mp4").write_bytes(b"precious")
    assert main(["generate", "me.png", "talk.wav", "-o", "out.mp4"]) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert Path("out.mp4").read_bytes() == b"precious"


def test_controls_are_read_as_pairs():
    assert parse_controls(("AU1=0.5", "smile_left=.3")) == {"AU1": 0.5, "smile_left": 0.3}
    for bad in ("AU1", "=0.5", "AU1=", "AU1=much"):
        with pytest.raises(UsageError, match="NAME=VALUE"):
            parse_controls((bad,))
