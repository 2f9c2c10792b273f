"""Sound in and out: rates, channels, levels, lengths."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_samples import encode, tone

from auteur.errors import MediaError, UsageError
from auteur.media import examine_speech, probe, read_audio, read_speech, write_audio
from auteur.provenance import Mark
from auteur.signals import Waveform


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_rate_and_layout_becomes_16_khz_mono(tmp_path: Path, rate_hz: int, channels: int) -> None:
    wave = tone(0.5, rate_hz, level=0.3).samples
    soundfile.write(tmp_path / "a.wav", np.repeat(wave[:, None], channels, axis=1), rate_hz, subtype="PCM_24")
    speech = read_speech(tmp_path / "a.wav")
    assert speech.rate_hz == 16_000
    assert speech.samples.shape == (round(wave.size / rate_hz * 16_000),)
    expected = tone(0.5, level=0.3).samples[: speech.samples.size]
    # A resampler rings at both ends.
    np.testing.assert_allclose(speech.samples[500:-500], expected[500 : speech.samples.size - 500], atol=3e-3)


@pytest.mark.parametrize("channel", range(6))
def test_surround_mix(tmp_path: Path, channel: int) -> None:
    wave = np.zeros((8_000, 6))
    wave[:, channel] = 0.5
    soundfile.write(tmp_path / "a.flac", wave, 16_000)
    share = read_speech(tmp_path / "a.flac").samples.mean() / 0.5
    weights = np.array([1, 1, 2**0.5, 0, 2**-0.5, 2**-0.5])
    assert share == pytest.approx(weights[channel] / weights.sum(), abs=1e-3)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_sound_files(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", tone(0.5).samples, 16_000)
    samples, rate_hz = read_audio(tmp_path / f"a.{suffix}")
    assert (rate_hz, samples.dtype, samples.shape[1]) == (16_000, np.float32, 1)
    assert abs(len(samples) - 8_000) <= (2_304 if suffix == "mp3" else 0)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.05)
    assert probe(tmp_path / f"a.{suffix}").kind == "audio"


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("a.mkv", "libx264", ("pcm_s16le", 16_000, "mono")),
        ("a.mkv", "libx264", ("pcm_u8", 8_000, "stereo")),
        ("a.mov", "libx264", ("pcm_s24le", 48_000, "stereo")),
        ("a.mp4", "libx264", ("aac", 44_100, "stereo")),
        ("a.mp4", "libx264", ("aac", 48_000, "5.1")),
        ("a.webm", "libvpx", ("libopus", 48_000, "mono")),
        ("a.avi", "mpeg4", ("pcm_s16le", 44_100, "stereo")),
        ("a.mpg", "mpeg1video", ("mp2", 44_100, "stereo")),
    ],
)
def test_sound_in_containers(tmp_path: Path, name: str, codec: str, sound: tuple[str, int, str]) -> None:
    path = encode(tmp_path / name, codec=codec, sound=sound)
    samples, rate_hz = read_audio(path)
    assert rate_hz == sound[1]
    assert samples.shape[1] == {"mono": 1, "stereo": 2, "5.1": 6}[sound[2]]
    assert len(samples) / rate_hz == pytest.approx(0.5, abs=0.06)
    # The low-frequency channel of AAC passes no tone of 440 Hz.
    kept = np.delete(samples, 3, axis=1) if sound[2] == "5.1" else samples
    assert np.sqrt((kept[1000:-1000] ** 2).mean()) == pytest.approx(0.5 / 2**0.5, rel=0.1)
    assert read_speech(path).rate_hz == 16_000


def test_original_rate_can_be_kept(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.5, 44_100).samples, 44_100)
    speech = read_speech(tmp_path / "a.wav", rate_hz=None)
    assert (speech.rate_hz, speech.samples.size) == (44_100, 22_050)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_are_no_sound_are_refused(tmp_path: Path, value: float) -> None:
    wave = tone(5.0).samples.copy()
    wave[70_000] = value
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    for reader in (read_audio, read_speech):
        with pytest.raises(MediaError, match=r"NaN|full scale"):
            reader(tmp_path / "a.wav")


@pytest.mark.parametrize("samples", [0, 1, 800])
def test_too_short_speech_is_refused(tmp_path: Path, samples: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.1), 16_000)
    with pytest.raises(MediaError, match=f"{samples / 16_000:.3f} s; speech of at least 0.1 s"):
        read_speech(tmp_path / "a.wav")


@pytest.mark.parametrize("kept", [0.3, 0.99])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_wav_that_ends_before_its_sound_is_refused(tmp_path: Path, kept: float, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0).samples, 16_000, subtype=subtype)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: int(kept * len(whole))])
    for reader in (read_audio, read_speech, probe):
        with pytest.raises(MediaError, match="bytes of sound are missing"):
            reader(tmp_path / "a.wav")


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_wav_of_unknown_length_from_a_pipe_is_read(tmp_path: Path, length: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0).samples, 16_000)
    whole = bytearray((tmp_path / "a.wav").read_bytes())
    place = whole.index(b"data") + 4
    whole[place : place + 4] = length.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(whole)
    assert read_speech(tmp_path / "a.wav").duration_sec == 1


@pytest.mark.parametrize("rate_hz", [4_000, 384_000])
def test_rates_out_of_range_are_refused(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(rate_hz), rate_hz)
    with pytest.raises(MediaError, match="8000 to 192000 Hz"):
        read_speech(tmp_path / "a.wav")


@pytest.mark.slow
def test_two_hours_are_refused_from_the_header(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros(8_000 * 7_200, np.int16), 8_000)
    with pytest.raises(MediaError, match="7200 s; at most 3600 s"):
        read_speech(tmp_path / "a.flac")


def test_video_without_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="holds no sound"):
        read_speech(encode(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    ("wave", "rate_hz", "words"),
    [
        (tone().samples, 16_000, []),
        (np.zeros(16_000), 16_000, ["silent"]),
        (np.clip(3 * tone().samples, -1, 1), 16_000, ["clipped"]),
        (tone(level=0.2).samples + 0.3, 16_000, ["offset"]),
        (tone(1.0, 8_000).samples, 8_000, ["8000 Hz"]),
        (np.ones(8_000), 8_000, ["clipped", "offset", "8000 Hz"]),
    ],
)
def test_notes_about_odd_recordings(
    tmp_path: Path, wave: np.ndarray, rate_hz: int, words: list[str], capfd
) -> None:
    soundfile.write(tmp_path / "a.wav", wave, rate_hz)
    _, notes = examine_speech(tmp_path / "a.wav")
    assert len(notes.lines()) == len(words)
    assert all(word in line for word, line in zip(words, notes.lines(), strict=True))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_written_sound_comes_back(tmp_path: Path, mark: Mark, suffix: str) -> None:
    wave = Waveform(samples=np.linspace(-1.5, 1.5, 22_050, dtype=np.float32), rate_hz=22_050)
    write_audio(tmp_path / f"a.{suffix}", wave, mark=mark)
    samples, rate_hz = read_audio(tmp_path / f"a.{suffix}")
    assert rate_hz == 22_050
    np.testing.assert_allclose(samples[:, 0], np.clip(wave.samples, -1, 1), atol=2 / 32_768)
    assert (tmp_path / f"a.{suffix}.json").is_file()


def test_other_sound_formats_are_not_written(tmp_path: Path, mark: Mark) -> None:
    with pytest.raises(UsageError, match=r"\.wav"):
        write_audio(tmp_path / "a.mp3", tone(), mark=mark)
    assert list(tmp_path.iterdir()) == []
