"""Text to speech by a program: how it is called, times of words, captions."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from auteur.cli import main
from auteur.errors import InputError, UsageError
from auteur.voice import Word, captions_text, check_captions, speak, voices
from auteur.voice.words import word_times

PROGRAM = """#!{python}
import json, sys, wave
from pathlib import Path
text = sys.stdin.buffer.read().decode()
Path(sys.argv[0] + ".call").write_text(json.dumps([sys.argv[1:], text]))
if "fail" in text:
    sys.exit("no such phoneme")
if "nothing" in text:
    sys.exit(0)
with wave.open(sys.argv[sys.argv.index("--output-file") + 1], "wb") as out:
    out.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
    for word in text.split():
        levels = (9000 if i // 50 % 2 else -9000 for i in range(320 * len(word)))
        tone = [level.to_bytes(2, "little", signed=True) for level in levels]
        out.writeframes(bytes(3200) + b"".join(tone))
"""


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """A stand-in for the program piper, which makes a tone for every word; and its model."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "piper"
    program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))
    model = tmp_path / "voice.onnx"
    for path in (model, Path(f"{model}.json")):
        path.write_bytes(b"{}")
    return model


def call_of(model: Path) -> str:
    return (model.parent / "bin" / "piper.call").read_text(encoding="utf-8")


def test_text_reaches_the_program_by_its_input_and_no_shell(model, tmp_path):
    text = '$(touch "owned"); `id` -- --output-file /tmp/x\nsecond line'
    spoken = speak(text, tmp_path / "out.wav", voice=str(model))
    assert spoken.voice == "voice" and (tmp_path / "out.wav").stat().st_size > 1000
    assert not list(tmp_path.rglob("owned"))
    assert "second line" in call_of(model) and str(model) in call_of(model)
    assert len(spoken.words) == 7 and spoken.words[-1].word == "line"
    assert all(a.end_sec <= b.start_sec + 1e-6 for a, b in zip(spoken.words, spoken.words[1:], strict=False))


def test_what_can_go_wrong_is_one_line_and_leaves_nothing(model, tmp_path):
    out = tmp_path / "out.wav"
    for text, error, cause in (
        ("", UsageError, "characters"),
        ("... !", UsageError, "a word"),
        ("x" * 20_001, UsageError, "20000"),
        ("fail", InputError, "no such phoneme"),
        ("nothing", InputError, "no sound"),
    ):
        with pytest.raises(error, match=cause):
            speak(text, out, voice=str(model))
        assert not list(tmp_path.glob("*.wav")) and not list(tmp_path.glob(".*part*"))
    with pytest.raises(UsageError, match=r"\.json beside it"):
        speak("hello", out, voice=str(tmp_path / "other.onnx"))
    with pytest.raises(UsageError, match="voice"):
        speak("hello", out, voice="nobody")


def test_without_a_program_the_message_names_how_to_install_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert voices() == ()
    with pytest.raises(UsageError, match="pip install 'auteur-face"):
        speak("hello", tmp_path / "out.wav")


def test_times_without_an_aligner_follow_from_lengths(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    speak("a bbbbbbb", tmp_path / "out.wav", voice=str(model))
    words, is_measured = word_times("a bbbbbbb", tmp_path / "out.wav")
    assert not is_measured and [one.word for one in words] == ["a", "bbbbbbb"]
    lengths = [one.end_sec - one.start_sec for one in words]
    assert lengths[1] == pytest.approx(4 * lengths[0], rel=0.02)
    assert words[0].start_sec == pytest.approx(0.1, abs=0.01)


def test_captions_end_with_sentences_pauses_and_full_lines(tmp_path):
    times = [(0, 0.3), (0.3, 0.8), (1.0, 1.2), (2.2, 2.5)]
    words = [Word(word, *time) for word, time in zip(("Hello", "there.", "And", "then"), times, strict=True)]
    assert captions_text(words, ".srt") == (
        "1\n00:00:00,000 --> 00:00:00,800\nHello there.\n\n"
        "2\n00:00:01,000 --> 00:00:01,200\nAnd\n\n"
        "3\n00:00:02,200 --> 00:00:02,500\nthen\n"
    )
    assert captions_text(words, ".vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.800\nHello there.\n")
    many = [Word("wordy", 0.3 * i, 0.3 * i + 0.3) for i in range(60)]
    blocks = captions_text(many, ".srt").strip().split("\n\n")
    assert all(len(line) <= 42 for block in blocks for line in block.splitlines()[2:])
    assert all(len(block.splitlines()) <= 4 for block in blocks) and len(blocks) == 5
    assert captions_text([Word("late", 3661.5, 3662)], ".srt").splitlines()[1].startswith("01:01:01,500")
    with pytest.raises(UsageError, match=r"\.srt or \.vtt"):
        check_captions(tmp_path / "a.txt")


def test_options_that_contradict_each_other(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("me.png", "talk.wav"):
        (tmp_path / name).write_bytes(b"not empty")
    for words, cause in (
        (["me.png", "talk.wav", "--say", "hello"], "either SPEECH or --say"),
        (["me.png", "talk.wav", "--srt", "a.srt"], "without --say"),
        (["--batch", "jobs.jsonl", "-o", "made", "--say", "hello"], "no effect with --batch"),
    ):
        assert main(["generate", *words]) == 2
        assert cause in capsys.readouterr().err


@pytest.mark.slow
def test_a_text_becomes_a_video_with_captions(model, tmp_path, astronaut, capsys):
    from auteur.media import probe, write_image
    from auteur.provenance import Mark

    write_image(tmp_path / "me.png", astronaut[0:257, 96:353].copy(), mark=Mark(watermark=False))
    out, captions = tmp_path / "out.mp4", tmp_path / "out.srt"
    words = ["--say", "hello there", "--voice", str(model), "--srt", str(captions), "--preset", "warp"]
    assert main(["generate", str(tmp_path / "me.png"), *words, "-o", str(out), "--emotion", "happy"]) == 0
    assert probe(out).audio_channels == 1
    assert captions.read_text(encoding="utf-8").endswith("hello there\n")


@pytest.mark.slow
def test_speech_of_a_real_voice_is_aligned(tmp_path):
    if not voices():
        pytest.skip("no voice is installed: pip install '.[voice]' and the program piper")
    pytest.importorskip("pocketsphinx", reason="the extra voice is not installed")
    spoken = speak("Hello there. This is a test of 7 words.", tmp_path / "out.wav")
    assert spoken.are_times_measured and len(spoken.words) == 9
    starts = [one.start_sec for one in spoken.words]
    assert starts == sorted(starts) and all(one.end_sec > one.start_sec for one in spoken.words)
    assert spoken.words[-1].end_sec > 1.5


def test_importing_the_voice_needs_no_torch():
    code = "import sys, auteur.voice; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
