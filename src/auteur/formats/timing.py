"""From rows with times to frames at an even, exact rate."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.signals.timebase import MAX_RATE, check_extent, nearest_rate, onto_grid

_MAX_STRETCH = 1000
_MIN_STEP_SEC = 5e-4


@dataclass(frozen=True)
class EvenFrames:
    """Values at an even rate."""

    values: NDArray[np.float32]
    """[T, ...]."""
    rate: Fraction
    """Frames per second."""
    start_sec: Fraction
    """Time of the first frame, to the microsecond."""


def even_frames(
    times_sec: NDArray[np.float64],
    values: NDArray[np.float64],
    *,
    rate: Fraction | None = None,
    source: str = "the table",
) -> EvenFrames:
    """Returns `values` [N, ...] at `times_sec` [N] as frames at `rate`, or at the rate of the times.

    Raises:
        FormatError: Times do not increase, hold NaN, or lie so far apart that there would be over a thousand
            frames per row, or more frames than a track may have.
    """
    steps = np.diff(times_sec)
    if not np.isfinite(times_sec).all() or (steps < _MIN_STEP_SEC).any():
        place = int(np.argmax(~(steps >= _MIN_STEP_SEC))) + 2 if times_sec.size > 1 else 1
        raise FormatError(f"{source}: times must increase from row to row; row {place} breaks this")
    found = nearest_rate(times_sec) if rate is None else rate
    if not 0 < found <= MAX_RATE:
        raise FormatError(
            f"{source}: times show {float(found):g} frames/s; rates above 0 up to {MAX_RATE} are read"
        )
    frames = float(times_sec[-1] - times_sec[0]) * float(found)
    if frames > _MAX_STRETCH * times_sec.size:
        raise FormatError(
            f"{source}: times lie too far apart for {float(found):g} frames/s; check their unit"
        )
    channels = values.reshape(times_sec.size, -1)
    try:
        check_extent(math.ceil(frames) + 1, channels.shape[1], source)
    except UsageError as error:
        raise FormatError(str(error)) from error
    even = onto_grid(times_sec, channels, found).reshape(-1, *values.shape[1:])
    return EvenFrames(even, found, Fraction(round(float(times_sec[0]) * 10**6), 10**6))
