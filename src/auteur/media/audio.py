"""Sound in, block by block: libsndfile for plain WAV, FLAC and OGG, FFmpeg for all else."""

import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile  # pyright: ignore[reportMissingTypeStubs]
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from auteur.errors import MediaError
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.container import audio_stream, open_container, start_sec, stream_sec
from auteur.media.source import Source, open_source

RATE_RANGE_HZ = (8_000, 192_000)
"""Sample rates that are read."""

_WAVES = ("WAV", "WAVEX", "RF64")
_SUBTYPES = {
    **dict.fromkeys(
        _WAVES, frozenset(("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"))
    ),
    "FLAC": frozenset(("PCM_S8", "PCM_16", "PCM_24")),
    "OGG": frozenset(("VORBIS", "OPUS")),
}
"""What libsndfile decodes to the last sample, by format; all else is FFmpeg's."""
_STATE_LENGTH = frozenset(("aiff", "caf", "au"))
"""Formats whose header states the length, and whose end FFmpeg does not miss."""
_LAYOUTS = ("mono", "stereo")
_BLOCK_SAMPLES = 65_536
_LOUDEST = 16.0
_GAP_SEC = Fraction(1, 20)
_UNKNOWN_BYTES = 0x7FFF_F000
"""Lengths from here on are what programs write that cannot go back to the header, such as into a pipe."""

Block = NDArray[np.float32]
"""Sound [S, C], full scale [-1, 1]."""


@dataclass(frozen=True)
class AudioBlocks:
    """An open sound."""

    rate_hz: int
    layout: str
    """FFmpeg's name of which channels there are, in which order: "mono", "stereo", "5.1"."""
    channels: int
    duration_sec: Fraction | None
    """Length that the header states."""
    blocks: Iterator[Block]
    """The samples in order, each block [S, C] finite float32; to be used up while the sound is open."""


def read_audio(path: Path | str, *, budget: Budget = DEFAULT_BUDGET) -> tuple[Block, int]:
    """All sound of a file: float32 samples [S, C] with full scale [-1, 1], and their rate in Hz.

    Channels keep the order of the file (5.1: left, right, centre, low, surround left, surround right). Sound
    that starts later than the picture is preceded by silence.

    Raises:
        MediaError: The file is missing, damaged, without sound, over the budget, or holds NaN or infinity.
    """
    with open_source(path, budget) as source, open_audio(source, budget) as audio:
        blocks: list[Block] = []
        values = 0
        for block in audio.blocks:
            values += block.size
            budget.check_audio_values(source.name, values)
            blocks.append(block)
        if not values:
            raise MediaError(f"{source.name} holds no sound (0 samples); choose another file")
        return np.concatenate(blocks), audio.rate_hz


@contextmanager
def open_audio(source: Source, budget: Budget) -> Generator[AudioBlocks]:
    """Opens the sound of a file for reading block by block.

    Raises:
        MediaError: As `read_audio`; for damage met later, from the blocks.
    """
    if source.family == "image":
        raise MediaError(f"{source.name} is a picture, not a recording; give a sound or a video with sound")
    is_plain = source.family == "sound" and _is_plain(source)
    with _open_sound(source) if is_plain else _open_stream(source, budget) as audio:
        yield checked_blocks(audio, source.name, budget)


def checked_blocks(audio: AudioBlocks, name: str, budget: Budget) -> AudioBlocks:
    """Returns sound whose blocks are checked as they are read.

    Raises:
        MediaError: Its rate is outside `RATE_RANGE_HZ`, or it is over the budget; from the blocks: it holds
            NaN, infinity or values far beyond full scale.
    """
    low, high = RATE_RANGE_HZ
    if not low <= audio.rate_hz <= high:
        raise MediaError(f"{name} has {audio.rate_hz} Hz; {low} to {high} Hz are read; resample it first")
    budget.check_channels(name, audio.channels)
    if audio.duration_sec is not None:
        budget.check_duration(name, audio.duration_sec)
    return replace(audio, blocks=_checked(audio, name, budget))


def _checked(audio: AudioBlocks, name: str, budget: Budget) -> Iterator[Block]:
    samples = 0
    for block in audio.blocks:
        samples += len(block)
        budget.check_duration(name, Fraction(samples, audio.rate_hz))
        if not np.isfinite(block).all():
            raise MediaError(f"{name} holds NaN or infinite samples; export it again as 16-bit PCM")
        if block.size and float(np.abs(block).max()) > _LOUDEST:
            raise MediaError(
                f"{name} holds samples beyond {_LOUDEST:g} times full scale; scale it to [-1, 1]"
            )
        yield block


def _is_plain(source: Source) -> bool:
    """Whether libsndfile decodes it whole: up to two channels, a codec of its own, a stated length."""
    has_length = _check_whole_wav(source)
    try:
        # libsndfile's Python wrapper carries no types.
        with cast("Any", soundfile).SoundFile(source.file) as file:
            is_known = file.subtype in _SUBTYPES.get(file.format, ())
            return is_known and has_length and file.channels <= len(_LAYOUTS)
    except soundfile.LibsndfileError:
        return False
    finally:
        source.file.seek(0)


@contextmanager
def _open_sound(source: Source) -> Generator[AudioBlocks]:
    try:
        with cast("Any", soundfile).SoundFile(source.file) as file:
            duration_sec = Fraction(file.frames, max(1, file.samplerate))
            blocks = _sound_blocks(file, source.name)
            yield AudioBlocks(
                file.samplerate, _LAYOUTS[int(file.channels) - 1], file.channels, duration_sec, blocks
            )
    except soundfile.LibsndfileError as error:
        raise MediaError(f"{source.name} cannot be decoded ({error.error_string}); it is damaged") from error


def _check_whole_wav(source: Source) -> bool:
    """Whether a WAV states its length, or it is none; refused where it states more than there is.

    libsndfile reads a WAV up to its end without an error when the header states more.
    """
    file = source.file
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    is_wav = file.read(12)[8:] == b"WAVE"
    has_length = True
    while is_wav and len(head := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        if kind == b"data":
            missing = file.tell() + length - size_bytes
            if missing > 0 and length < _UNKNOWN_BYTES:
                raise MediaError(
                    f"{source.name} is cut short: {missing} of {length} bytes of sound are missing; "
                    "copy or record it again"
                )
            has_length = length > 0
            break
        file.seek(length + length % 2, os.SEEK_CUR)
    file.seek(0)
    return has_length


def _sound_blocks(file: Any, name: str) -> Iterator[Block]:
    remaining = file.frames
    while remaining > 0:
        block = cast("Block", file.read(min(_BLOCK_SAMPLES, remaining), dtype="float32", always_2d=True))
        if not len(block):
            raise MediaError(
                f"{name} is cut short: {remaining} of {file.frames} samples are missing; copy it again"
            )
        remaining -= len(block)
        yield block


@contextmanager
def _open_stream(source: Source, budget: Budget) -> Generator[AudioBlocks]:
    with open_container(source, budget) as container:
        stream = audio_stream(container, source.name)
        if stream is None:
            raise MediaError(f"{source.name} holds no sound; give a recording or a video with sound")
        duration_sec = stream_sec(stream, stream.duration)
        blocks = _stream_blocks(container, stream, source.name, budget)
        yield AudioBlocks(stream.rate, stream.layout.name, stream.channels, duration_sec, blocks)


def _stream_blocks(
    container: InputContainer, stream: AudioStream, name: str, budget: Budget
) -> Iterator[Block]:
    zero, rate_hz, channels = start_sec(container), stream.rate, stream.channels
    end_sec = _end_sec(stream, zero)
    written = 0
    for frame in container.decode(stream):
        if (frame.sample_rate, frame.layout.nb_channels) != (rate_hz, channels):
            raise MediaError(f"{name} changes its sample rate or channels midway; convert it to WAV first")
        stamp = stream_sec(stream, frame.pts)
        late_sec = Fraction(0) if stamp is None else stamp - zero - Fraction(written, rate_hz)
        if late_sec > _GAP_SEC or (late_sec > 0 and not written):
            budget.check_duration(name, late_sec)
            silence = np.zeros((round(late_sec * rate_hz), channels), np.float32)
            written += len(silence)
            yield silence
        block = _as_float(frame)
        if end_sec is not None:
            block = block[: max(0, round(end_sec * rate_hz) - written)]
        written += len(block)
        yield block
    _check_length(stream, Fraction(written, rate_hz), name)


def _check_length(stream: AudioStream, found_sec: Fraction, name: str) -> None:
    # CAF's length is cut to what is there, its number of packets is not: one per sample of PCM.
    is_pcm = stream.codec_context.name.startswith("pcm_")
    in_packets = Fraction(stream.frames, stream.rate) if is_pcm else Fraction(0)
    stated_sec = max(in_packets, stream_sec(stream, stream.duration) or Fraction(0))
    is_stated = stream.container.format.name in _STATE_LENGTH
    if is_stated and found_sec < stated_sec - _GAP_SEC:
        raise MediaError(
            f"{name} is cut short: {float(found_sec):.2f} of {float(stated_sec):.2f} s of sound are there; "
            "copy it again"
        )


def _end_sec(stream: AudioStream, zero: Fraction) -> Fraction | None:
    # MP4 states where the sound ends; the last block of the codec is filled up beyond that.
    start, length = stream_sec(stream, stream.start_time), stream_sec(stream, stream.duration)
    is_mp4 = "mp4" in stream.container.format.name
    return start + length - zero if is_mp4 and start is not None and length else None


def _as_float(frame: AudioFrame) -> Block:
    values = cast("NDArray[Any]", frame.to_ndarray())
    rows = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    samples = rows.astype(np.float32, order="C")
    if values.dtype.kind == "f":
        return samples
    if values.dtype == np.uint8:
        return (samples - np.float32(128)) / np.float32(128)
    return samples / np.float32(-float(np.iinfo(values.dtype).min))
