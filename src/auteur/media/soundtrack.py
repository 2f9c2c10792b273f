"""The sound of a recording as a video keeps it: its own channels and level."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soxr  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from auteur.errors import MediaError
from auteur.media.audio import open_audio
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.channels import to_stereo
from auteur.media.source import Source, open_source

Samples = NDArray[np.float32]

_LEAST_RATE_HZ = 44_100
"""Players on the web and in phones play this, 48 kHz and more; fewer is uncertain."""


@dataclass(frozen=True, kw_only=True)
class Soundtrack:
    """Sound that stays in its file and is decoded as it is written: mono stays mono, stereo stays stereo.

    More channels are mixed down to stereo by `auteur.media.channels`.
    """

    path: Path
    rate_hz: int
    """Samples per second of what it gives."""
    source_rate_hz: int
    """Samples per second in the file."""
    source_samples: int
    """Samples per channel in the file."""
    channels: int
    """1 or 2."""
    stamp: tuple[int, int]
    """As `stamp_of` the file."""
    budget: Budget = DEFAULT_BUDGET

    @property
    def sample_count(self) -> int:
        """Number of samples per channel: round(seconds × rate_hz)."""
        return round(Fraction(self.source_samples, self.source_rate_hz) * self.rate_hz)

    def blocks(self) -> Iterator[Samples]:
        """Yields the sound in order, [S, channels] at a time, `sample_count` samples in all.

        Raises:
            MediaError: The file is gone or has been replaced.
        """
        left = self.sample_count
        with open_source(self.path, self.budget) as source, open_audio(source, self.budget) as audio:
            check_stamp(source, self.stamp)
            weights = to_stereo(audio.layout, audio.channels, source.name)
            mixed = (block if audio.channels <= 2 else block @ weights for block in audio.blocks)
            for block in resampled(mixed, audio.rate_hz, self.rate_hz, self.channels):
                yield block[:left]
                left -= min(left, len(block))
                if not left:
                    return
        yield np.zeros((left, self.channels), np.float32)


def played_rate_hz(rate_hz: int) -> int:
    """Returns the sample rate at which a video holds sound of another: its own from 44.1 kHz on."""
    if rate_hz >= _LEAST_RATE_HZ:
        return rate_hz
    return 44_100 if 44_100 % rate_hz == 0 else 48_000


def stamp_of(source: Source) -> tuple[int, int]:
    """Returns size in bytes and time of change in nanoseconds: how another file of that name is noticed."""
    status = os.fstat(source.file.fileno())
    return status.st_size, status.st_mtime_ns


def check_stamp(source: Source, stamp: tuple[int, int]) -> None:
    """Refuses a file that is not the one that was opened first."""
    if stamp_of(source) != stamp:
        raise MediaError(f"{source.name} changed while it was in use; start again")


def resampled(blocks: Iterator[Samples], from_hz: int, to_hz: int, channels: int = 1) -> Iterator[Samples]:
    """Yields blocks [S] or [S, C] at another sample rate (soxr "HQ")."""
    if from_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="HQ")
    shape: tuple[int, ...] = (0,)
    for block in blocks:
        shape = (0, *block.shape[1:])
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(shape, np.float32), last=True)
