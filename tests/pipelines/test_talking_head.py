"""Portrait and speech to video: the shipped weights on a small portrait and a second of made-up speech."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from auteur import provenance
from auteur.errors import FaceError, UsageError
from auteur.face.action_units import action_units, neutral_of
from auteur.facs import convert
from auteur.media import probe, write_audio, write_image
from auteur.pipelines import talking_head
from auteur.pipelines.talking_head import Settings, TalkingHead, fitted
from auteur.signals import Waveform

MARK = provenance.Mark()
STILL = Settings(head=0.0, blinks=False, gaze=False)


def buzz(seconds: float, *, silent: bool = False) -> Waveform:
    """Syllables of a buzzing voice, four a second, or a faint hiss."""
    times = np.arange(round(16000 * seconds)) / 16000
    voice = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 20))
    loudness = 0.5 * (1 - np.cos(2 * np.pi * 4 * times))
    hiss = np.random.default_rng(0).normal(0, 1e-4, len(times))
    return Waveform(
        samples=(hiss if silent else 0.1 * loudness * voice + hiss).astype(np.float32), rate_hz=16000
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("talk")
    write_image(place / "me.png", np.ascontiguousarray(data.astronaut()[0:257, 96:353]), mark=MARK)
    write_audio(place / "talk.wav", buzz(1.02), mark=MARK)
    write_audio(place / "quiet.wav", buzz(0.6, silent=True), mark=MARK)
    return place


@pytest.fixture(scope="module")
def head() -> TalkingHead:
    return TalkingHead.from_pretrained("compact")


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(12)])
def test_frames_are_duration_times_rate(head, folder, fps):
    video = head(folder / "me.png", folder / "talk.wav", settings=Settings(fps=fps))
    assert video.frame_count == round(Fraction(102, 100) * fps)
    assert video.landmarks().frames == video.frame_count


def test_same_seed_same_frames_however_many_at_once(head, folder, monkeypatch):
    first = list(head(folder / "me.png", folder / "talk.wav", emotion="happy").frames())
    monkeypatch.setattr(talking_head, "FRAMES_AT_ONCE", 7)
    again = list(head(folder / "me.png", folder / "talk.wav", emotion="happy").frames())
    other = head(folder / "me.png", folder / "talk.wav", emotion="happy", settings=Settings(seed=1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other.frames(), strict=True))


@pytest.mark.parametrize(("control", "channel"), [("AU2", "AU02_r"), ("AU26", "AU26_r"), ("AU45", "AU45_r")])
def test_an_asked_unit_is_seen_in_the_frames(head, folder, backend, control, channel):
    def measured(**asked):
        frames = list(head(folder / "me.png", folder / "quiet.wav", settings=STILL, **asked).frames())
        reading = backend.find(frames[len(frames) // 2])[0]
        return reading.landmarks[None], reading.blendshapes[None]

    rest = measured()
    track = action_units(*measured(au={control: 1.0}), rate=Fraction(25), neutral=neutral_of(*rest))
    assert convert(track, "openface17").channel(channel)[0] > 1.0


def test_in_silence_the_face_is_still_when_asked(head, folder):
    frames = head(folder / "me.png", folder / "quiet.wav", settings=STILL).landmarks().values
    assert np.abs(frames - frames[:1]).max() < 1.0  # px of a face of 105


def test_the_saved_video_is_whole_marked_and_as_long_as_the_speech(head, folder, tmp_path):
    video = head(folder / "me.png", folder / "talk.wav")
    done: list[int] = []
    video.save(tmp_path / "out.mp4", on_frame=done.append)
    info = probe(tmp_path / "out.mp4")
    assert done[-1] == video.frame_count == 26
    assert info.audio_rate_hz and info.frame_rate == 25
    assert (info.width_px, info.height_px) == (258, 258)  # 257 made even
    report = provenance.verify(tmp_path / "out.mp4")
    assert report.verdict == provenance.Verdict.INTACT


def test_cancelling_leaves_nothing(head, folder, tmp_path):
    def cancel(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        head(folder / "me.png", folder / "talk.wav").save(tmp_path / "out.mp4", on_frame=cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_large_portrait_is_reduced_to_1920():
    assert fitted(np.zeros((3000, 2000, 3), np.uint8)).shape == (1920, 1280, 3)
    assert fitted(np.zeros((300, 200, 3), np.uint8)).shape == (300, 200, 3)


def test_bad_input_is_refused(head, folder, tmp_path):
    write_image(tmp_path / "bricks.png", np.repeat(data.brick()[:200, :200, None], 3, 2), mark=MARK)
    with pytest.raises(FaceError, match="no face found"):
        head(tmp_path / "bricks.png", folder / "talk.wav")
    with pytest.raises(UsageError, match="between 1 and 120"):
        Settings(fps=Fraction(0))
    with pytest.raises(UsageError, match="compact"):
        TalkingHead.from_pretrained("enormous")
