"""Speech that stays in its file: the same samples as in memory, a piece of them at a time."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_samples import encode, gradient, tone

from auteur.errors import MediaError
from auteur.media import VideoWriter, examine_speech, open_speech, read_speech
from auteur.provenance import Mark
from auteur.signals import Waveform


def gathered(speech, step: int) -> np.ndarray:
    return np.concatenate([samples for _, samples in speech.pieces(step)])


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 192_000])
@pytest.mark.parametrize("step", [777, 16_000, 10**6])
def test_pieces_are_the_speech_in_memory(tmp_path: Path, rate_hz: int, step: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, (round(5.03 * rate_hz), 2))
    soundfile.write(tmp_path / "a.flac", wave, rate_hz)
    whole, notes = examine_speech(tmp_path / "a.flac")
    speech, same_notes = open_speech(tmp_path / "a.flac")
    assert same_notes == notes
    assert (speech.sample_count, speech.duration_sec) == (whole.sample_count, whole.duration_sec)
    for _ in range(2):  # as often as one likes
        np.testing.assert_array_equal(gathered(speech, step), whole.samples)
    np.testing.assert_array_equal(speech.samples, whole.samples)
    own = speech.resample(speech.source_rate_hz)
    np.testing.assert_array_equal(gathered(own, step), read_speech(tmp_path / "a.flac", rate_hz=None).samples)
    np.testing.assert_array_equal(Waveform.of(own).samples, own.samples)


@pytest.mark.parametrize(
    ("name", "sound"), [("a.mp4", ("aac", 44_100, "5.1")), ("a.mkv", ("pcm_s16le", 8_000, "stereo"))]
)
def test_pieces_of_a_video(tmp_path: Path, name: str, sound: tuple[str, int, str]) -> None:
    path = encode(tmp_path / name, sound=sound)
    np.testing.assert_array_equal(gathered(open_speech(path)[0], 500), read_speech(path).samples)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    def peak_of(seconds: int) -> int:
        path = tmp_path / f"{seconds}.wav"
        with soundfile.SoundFile(path, "w", 48_000, 1) as file:
            for _ in range(seconds):
                file.write(np.full(48_000, 0.1, np.float32))
        tracemalloc.start()
        speech, _ = open_speech(path)
        for sound in (speech, speech.resample(speech.source_rate_hz)):
            assert sum(len(samples) for _, samples in sound.pieces(sound.rate_hz)) == sound.sample_count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_of(120) < 1.05 * peak_of(10) + 50_000


def test_another_file_of_that_name_is_not_mixed_in(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.5).samples, 16_000)
    speech, _ = open_speech(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.wav", tone(0.6).samples, 16_000)
    with pytest.raises(MediaError, match="changed while it was in use"):
        gathered(speech, 1000)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(MediaError, match="cannot read"):
        gathered(speech, 1000)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux to count open files")
def test_files_are_closed_when_one_stops_early(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(5.0).samples, 16_000)
    speech, _ = open_speech(tmp_path / "a.wav")
    before = len(list(Path("/proc/self/fd").iterdir()))
    pieces = speech.pieces(1000)
    next(pieces)
    pieces.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 50_000])
def test_a_video_takes_its_sound_from_the_file(tmp_path: Path, mark: Mark, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(2.5, rate_hz).samples, rate_hz)
    speech, _ = open_speech(tmp_path / "a.wav", rate_hz=None)
    for name, audio in (("file.mp4", speech), ("memory.mp4", Waveform.of(speech))):
        with VideoWriter(tmp_path / name, size_px=(32, 32), rate=25, mark=mark, audio=audio) as video:
            for index in range(63):
                video.write(gradient(32, 32, shift=index))
    if rate_hz == 50_000:  # resampled in blocks and at once: the same to 16 bits, not to the last bit
        ours, theirs = (read_speech(tmp_path / name).samples for name in ("file.mp4", "memory.mp4"))
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    else:
        assert (tmp_path / "file.mp4").read_bytes() == (tmp_path / "memory.mp4").read_bytes()


def test_sound_that_goes_away_leaves_no_video(tmp_path: Path, mark: Mark) -> None:
    soundfile.write(tmp_path / "a.wav", tone(5.0).samples, 16_000)
    speech, _ = open_speech(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.wav", tone(1.0).samples, 16_000)
    out = tmp_path / "out"
    out.mkdir()
    with (
        pytest.raises(MediaError, match="changed"),
        VideoWriter(out / "a.mp4", size_px=(32, 32), rate=25, mark=mark, audio=speech) as video,
    ):
        video.write(gradient(32, 32))
    assert list(out.iterdir()) == []
