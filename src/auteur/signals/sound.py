"""Sound that is read in pieces, so that memory does not grow with its length."""

from collections.abc import Generator, Iterable
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from auteur.signals.spans import spans

Samples = NDArray[np.float32]
Pieces = Generator[tuple[int, Samples]]
"""Pieces of a sound in order, each as the index of its first sample and its samples."""


class Sound(Protocol):
    """Mono sound that can be read from its start as often as needed.

    `auteur.signals.Waveform` is in memory, `auteur.media.SpeechFile` stays on disk.
    """

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        ...

    @property
    def start_sec(self) -> Fraction:
        """Time of the first sample in seconds."""
        ...

    @property
    def sample_count(self) -> int:
        """Number of samples, 1 or more."""
        ...

    @property
    def duration_sec(self) -> Fraction:
        """Exact length in seconds."""
        ...

    @property
    def samples(self) -> Samples:
        """All samples at once, [S]; a file does not keep them."""
        ...

    def pieces(self, step: int, *, before: int = 0, after: int = 0) -> Pieces:
        """Yields the sound `step` samples at a time, each piece with what lies around it.

        Piece `k` covers the samples from `k * step - before` to `(k + 1) * step + after`, as far as there are
        any. It is read-only.
        """
        ...

    def resample(self, rate_hz: int) -> "Sound":
        """Returns the sound at another sample rate."""
        ...


def overlapping(blocks: Iterable[Samples], count: int, step: int, *, before: int, after: int) -> Pieces:
    """Returns `Sound.pieces` of a sound whose `count` samples come in blocks of any size.

    Raises:
        UsageError: `step` is below 1, or `before` or `after` below 0.
    """
    held, first = np.zeros(0, np.float32), 0
    source = iter(blocks)
    for _, around in spans(count, step, before=before, after=after):
        begin, end = around.start, around.stop
        parts, filled = [held[begin - first :]], first + held.size
        while filled < end:
            parts.append(next(source))
            filled += parts[-1].size
        held, first = np.concatenate(parts), begin
        held.setflags(write=False)
        yield begin, held[: end - begin]
