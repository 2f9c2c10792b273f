"""Sound as people have it: other containers and codecs, odd headers, several tracks and channels."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.stream import Disposition
from media_samples import encode_sound, gradient, tone

from auteur.errors import MediaError
from auteur.media import VideoWriter, examine_speech, open_speech, probe, read_audio, read_speech
from auteur.media.channels import to_stereo
from auteur.provenance import Mark

RATE_HZ = 16_000


def peak_hz(samples: np.ndarray, rate_hz: int) -> float:
    """The strongest frequency."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate_hz / samples.size)


def encoded(path: Path, codec: str, rate_hz: int, layout: str, *, container: str | None = None) -> Path:
    """A second of 440 Hz."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate_hz, layout=layout)
        channels, stream.bit_rate = (
            stream.layout.nb_channels,
            128_000 if codec != "libopencore_amrnb" else 12_200,
        )
        encode_sound(file, stream, np.repeat(tone(1.0, rate_hz).samples[:, None], channels, axis=1))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz", "layout", "container"),
    [
        ("a.wma", "wmav2", 44_100, "stereo", "asf"),
        ("a.wma", "wmav1", 22_050, "mono", "asf"),
        ("a.amr", "libopencore_amrnb", 8_000, "mono", "amr"),
        ("a.ac3", "ac3", 48_000, "stereo", "ac3"),
        ("a.ts", "aac", 48_000, "stereo", "mpegts"),
        ("a.caf", "alac", 44_100, "stereo", "caf"),
        ("a.aiff", "pcm_s16be", 44_100, "stereo", "aiff"),
        ("a.ogg", "flac", 44_100, "stereo", "ogg"),
        ("a.wav", "libmp3lame", 44_100, "stereo", "wav"),
        ("a.wav", "adpcm_ms", 22_050, "mono", "wav"),
    ],
)
def test_sound_of_other_programs(
    tmp_path: Path, name: str, codec: str, rate_hz: int, layout: str, container: str
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg cannot write {codec}")
    speech = read_speech(encoded(tmp_path / name, codec, rate_hz, layout, container=container))
    assert float(speech.duration_sec) == pytest.approx(1.0, abs=0.12)
    assert peak_hz(speech.samples, RATE_HZ) == pytest.approx(440, abs=3)
    assert np.abs(speech.samples[4000:-4000]).max() == pytest.approx(0.5, abs=0.06)
    assert probe(tmp_path / name).kind == "audio"


@pytest.mark.parametrize("suffix", ["aiff", "caf", "au"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_plain_sound_in_other_containers(tmp_path: Path, suffix: str, subtype: str) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", tone(1.0).samples, RATE_HZ, subtype=subtype)
    samples, rate_hz = read_audio(tmp_path / f"a.{suffix}")
    assert (rate_hz, samples.shape) == (RATE_HZ, (RATE_HZ, 1))
    np.testing.assert_allclose(samples[:, 0], tone(1.0).samples, atol=0.02)


@pytest.mark.parametrize("suffix", ["aiff", "caf", "au"])
@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_other_containers_that_are_cut_short_are_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1.0).samples, RATE_HZ)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(MediaError, match=r"cut short|cannot be decoded"):
        read_speech(path)


def test_a_wav_with_length_0_in_its_header_is_read_to_its_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0).samples, RATE_HZ)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = bytes(4)
    (tmp_path / "a.wav").write_bytes(content)
    speech = read_speech(tmp_path / "a.wav")
    assert speech.duration_sec == 1
    np.testing.assert_allclose(speech.samples, tone(1.0).samples, atol=1e-4)


def test_the_track_marked_as_default_is_taken(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        streams = [file.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono") for _ in range(2)]
        streams[0].disposition = Disposition(0)
        streams[1].disposition = Disposition.default
        for stream, level in zip(streams, (0.1, 0.6), strict=True):
            encode_sound(file, stream, tone(1.0, level=level).samples[:, None])
    assert np.abs(read_speech(tmp_path / "a.mkv").samples).max() == pytest.approx(0.6, abs=0.01)


def channels_of(*levels: float, seconds: float = 1.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    return tone(seconds, rate_hz, level=1.0).samples[:, None] * np.array(levels, np.float32)


def test_channels_in_opposite_phase_are_not_silent_and_noted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", channels_of(0.5, -0.5), RATE_HZ, subtype="FLOAT")
    speech, notes = examine_speech(tmp_path / "a.wav")
    assert np.abs(speech.samples).max() == pytest.approx(0.5, abs=1e-3)
    assert not notes.is_silent
    assert any("cancel each other out: the left channel" in line for line in notes.lines())


@pytest.mark.parametrize("levels", [(0.5, 0.5), (0.5, 0.0), (0.0, 0.5), (0.5, 0.1), (0.5, -0.1)])
def test_stereo_that_does_not_cancel_stays_its_mean(tmp_path: Path, levels: tuple[float, float]) -> None:
    soundfile.write(tmp_path / "a.wav", channels_of(*levels), RATE_HZ, subtype="FLOAT")
    speech, notes = examine_speech(tmp_path / "a.wav")
    np.testing.assert_allclose(speech.samples, channels_of(sum(levels) / 2)[:, 0], atol=1e-5)
    assert notes.cancelled is None


@pytest.mark.parametrize(
    ("layout", "channels"),
    [("2.1", 3), ("quad", 4), ("4.0", 4), ("5.0", 5), ("5.1", 6), ("6.1", 7), ("7.1", 8)],
)
def test_more_channels_become_stereo_and_never_clip(layout: str, channels: int) -> None:
    weights = to_stereo(layout, channels, "a.wav")
    assert weights.shape == (channels, 2)
    assert np.abs(weights).sum(axis=0).max() == pytest.approx(1)
    assert (weights[0, 1], weights[1, 0]) == (0, 0)
    unnamed = to_stereo(f"{channels} channels", channels, "a.wav")
    assert unnamed.shape == (channels, 2)


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_files_of_many_channels_are_speech(tmp_path: Path, channels: int, suffix: str) -> None:
    wave = channels_of(*([0.3] * channels))
    soundfile.write(tmp_path / f"a.{suffix}", wave, RATE_HZ)
    assert read_audio(tmp_path / f"a.{suffix}")[0].shape == (RATE_HZ, channels)
    assert np.abs(read_speech(tmp_path / f"a.{suffix}").samples).max() == pytest.approx(0.3, abs=0.02)


def test_nine_channels_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((RATE_HZ, 9)), RATE_HZ)
    with pytest.raises(MediaError, match="9 channels"):
        read_speech(tmp_path / "a.wav")


def sound_of_video(tmp_path: Path, mark: Mark, wave: np.ndarray, rate_hz: int) -> tuple[np.ndarray, int]:
    soundfile.write(tmp_path / "in.wav", wave, rate_hz, subtype="FLOAT")
    speech, _ = open_speech(tmp_path / "in.wav")
    frames = round(len(wave) / rate_hz * 25)
    out = tmp_path / "out.mp4"
    with VideoWriter(out, size_px=(32, 32), rate=25, mark=mark, audio=speech.soundtrack()) as video:
        for index in range(frames):
            video.write(gradient(32, 32, shift=index))
    return read_audio(out)


@pytest.mark.parametrize(
    ("rate_hz", "written_hz"),
    [
        (8_000, 48_000),
        (16_000, 48_000),
        (22_050, 44_100),
        (44_100, 44_100),
        (48_000, 48_000),
        (50_000, 48_000),
    ],
)
def test_a_video_keeps_channels_and_level(tmp_path: Path, mark: Mark, rate_hz: int, written_hz: int) -> None:
    samples, found_hz = sound_of_video(tmp_path, mark, channels_of(0.5, 0.1, rate_hz=rate_hz), rate_hz)
    assert (found_hz, samples.shape[1]) == (written_hz, 2)
    assert len(samples) / found_hz == pytest.approx(1.0, abs=0.03)
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    np.testing.assert_allclose(middle.std(axis=0) * 2**0.5, [0.5, 0.1], rtol=0.03)


def test_a_video_keeps_channels_in_opposite_phase(tmp_path: Path, mark: Mark) -> None:
    samples, _ = sound_of_video(tmp_path, mark, channels_of(0.5, -0.5), RATE_HZ)
    assert np.abs(samples).max(axis=0) == pytest.approx([0.5, 0.5], abs=0.05)
    assert np.corrcoef(samples.T)[0, 1] < -0.99


def test_a_mono_recording_stays_mono_and_surround_becomes_stereo(tmp_path: Path, mark: Mark) -> None:
    mono, _ = sound_of_video(tmp_path, mark, channels_of(0.4), RATE_HZ)
    assert mono.shape[1] == 1
    (tmp_path / "more").mkdir()
    surround, _ = sound_of_video(tmp_path / "more", mark, channels_of(*([0.4] * 6)), RATE_HZ)
    assert surround.shape[1] == 2
    np.testing.assert_allclose(np.abs(surround).max(axis=0), 0.4, atol=0.04)


def test_a_soundtrack_gives_as_many_samples_as_its_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", channels_of(0.5, 0.2, seconds=3.21, rate_hz=22_050), 22_050)
    track = open_speech(tmp_path / "a.wav")[0].soundtrack()
    assert (
        sum(len(block) for block in track.blocks())
        == track.sample_count
        == round(Fraction(70_780, 22_050) * 44_100)
    )
