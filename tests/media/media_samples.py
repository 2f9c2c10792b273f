"""Small media made in code; odd ones, which Auteur never writes, come straight from FFmpeg."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from auteur.media import VideoWriter
from auteur.provenance import Mark
from auteur.signals import Waveform


def gradient(width_px: int = 64, height_px: int = 48, shift: int = 0) -> NDArray[np.uint8]:
    """A picture without symmetry: red grows to the right, green downwards, blue with `shift`."""
    red, green = np.meshgrid(np.linspace(0, 255, width_px), np.linspace(0, 255, height_px))
    return np.stack([red, green, np.full_like(red, shift % 256)], axis=2).astype(np.uint8)


def tone(duration_sec: float = 1.0, rate_hz: int = 16_000, level: float = 0.5) -> Waveform:
    times_sec = np.arange(round(duration_sec * rate_hz)) / rate_hz
    return Waveform(samples=(level * np.sin(2 * np.pi * 440 * times_sec)).astype(np.float32), rate_hz=rate_hz)


def write_clip(path: Path, mark: Mark, *, frames: int = 10, rate: Fraction | int = 25) -> Path:
    """A short marked video with sound."""
    with VideoWriter(path, size_px=(64, 48), rate=rate, mark=mark, audio=tone(frames / float(rate))) as video:
        for index in range(frames):
            video.write(gradient(shift=20 * index))
    return path


def encode(
    path: Path,
    *,
    codec: str = "libx264",
    ticks: list[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    rotation_deg: int = 0,
    pixel_aspect: Fraction = Fraction(1),
    sound: tuple[str, int, str] | None = None,
) -> Path:
    """A 64x48 video straight from FFmpeg; `sound` is (codec, rate, layout)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1 / time_base)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = time_base
        stream.codec_context.max_b_frames = 0
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        voice = container.add_stream(sound[0], rate=sound[1], layout=sound[2]) if sound else None
        for index, tick in enumerate(ticks or range(10)):
            frame = av.VideoFrame.from_ndarray(gradient(shift=20 * index)).reformat(format="yuv420p")
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice is not None:
            wave = tone(0.5, voice.rate).samples
            encode_sound(container, voice, np.repeat(wave[:, None], voice.channels, axis=1))
    return path


def encode_sound(
    container: av.container.OutputContainer, stream: av.AudioStream, samples: NDArray[np.float32]
) -> None:
    """Encodes float32 [S, C]."""
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "flt", stream.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = stream.rate, 0, Fraction(1, stream.rate)
    resampler = av.AudioResampler(stream.format.name, stream.layout.name, stream.rate)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(part))
    container.mux(stream.encode())
