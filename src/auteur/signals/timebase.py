"""Exact time and the arithmetic of resampling: pure functions on arrays whose first axis is time."""

import math
import re
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError

Seconds = Fraction | float
"""A time in seconds. A float counts as the decimal number it prints as: 0.2 is exactly 1/5."""

MAX_RATE = 1000
"""Highest frame rate of a track, frames per second."""

MOST_FRAMES = 3_600_000
"""Longest track: an hour at 1000 frames/s, forty hours at 25."""
MOST_VALUES = 64_000_000
"""Largest track, frames times channels: 256 MB."""

_FRAMES_AT_ONCE = 1024
_RATE = re.compile(r"\d{1,9}(\.\d{0,9})?|\.\d{1,9}|\d{1,9}/0*[1-9]\d{0,8}", re.ASCII)


def parse_rate(text: str, name: str = "the frame rate") -> Fraction:
    """Returns a frame rate written as "25", "29.97" or "30000/1001", exactly. Ranges are the caller's.

    Raises:
        UsageError: It is no such number of at most nine digits before and after the point or the stroke.
    """
    if not _RATE.fullmatch(text.strip()):
        raise UsageError(f"{name} is {text[:40]!r}; give a number such as 25, 29.97 or 30000/1001")
    return Fraction(text.strip())


def check_extent(frames: int, channels: int, name: str) -> None:
    """Refuses tracks too large to be held.

    Raises:
        UsageError: There are over 3.6 million frames, or over 64 million values.
    """
    if frames > MOST_FRAMES or frames * channels > MOST_VALUES:
        raise UsageError(
            f"{name} would have {frames} frames of {channels} channels; at most {MOST_FRAMES} frames and "
            f"{MOST_VALUES} values are possible; lower the rate or cut it into parts"
        )


def exact_rate(rate: Fraction | int) -> Fraction:
    """Returns the frame rate as a fraction.

    Raises:
        UsageError: It is outside (0, 1000], or a float: 29.97 would lose that it means 30000/1001.
    """
    if isinstance(rate, float):
        raise UsageError(f"rate {rate} is a float; give an exact one such as 25 or Fraction(30000, 1001)")
    if not 0 < rate <= MAX_RATE:
        raise UsageError(f"rate is {rate} frames/s; it must be above 0 and at most {MAX_RATE}")
    return Fraction(rate)


def exact_seconds(seconds: Seconds, name: str) -> Fraction:
    """The time as a fraction; floats by their shortest decimal form.

    Raises:
        UsageError: It is NaN or infinite.
    """
    if isinstance(seconds, Fraction | int):
        return Fraction(seconds)
    if not math.isfinite(seconds):
        raise UsageError(f"{name} is {seconds}; give a finite number of seconds")
    return Fraction(str(float(seconds)))


def nearest_rate(times_sec: NDArray[np.float64]) -> Fraction:
    """Returns the frame rate of increasing frame times that may be rounded to milliseconds and have gaps.

    Whole rates up to 240 and the NTSC rates (30000/1001 and kin) win where they fit; 25 for a single time.
    """
    if times_sec.size < 2:
        return Fraction(25)
    steps = np.diff(times_sec)
    span = float(times_sec[-1] - times_sec[0])
    estimate = float(np.rint(steps / np.median(steps)).sum()) / span
    slack = estimate * (0.001 / span + 1e-6)
    usual = [Fraction(whole) for whole in range(1, 241)]
    usual += [Fraction(whole * 1000, 1001) for whole in (24, 30, 48, 60, 120)]
    closest = min(usual, key=lambda rate: abs(rate - estimate))
    if abs(closest - estimate) <= slack:
        return closest
    return Fraction(estimate).limit_denominator(1000)


def onto_grid(
    times_sec: NDArray[np.float64], values: NDArray[np.float64], rate: Fraction
) -> NDArray[np.float32]:
    """`values` [N, channels] seen at increasing `times_sec` [N], on the even grid from the first time on.

    A grid frame within a tenth of a frame of a time takes its values as they are; the others are linear in
    time between the nearest two.
    """
    positions = (times_sec - times_sec[0]) * float(rate)
    nearest = np.rint(positions).astype(np.int64)
    grid = np.arange(int(nearest[-1]) + 1, dtype=np.float64)
    result = np.empty((grid.size, values.shape[1]), np.float32)
    for index in range(values.shape[1]):
        result[:, index] = np.interp(grid, positions, values[:, index])
    on_time = np.abs(positions - nearest) <= 0.1
    result[nearest[on_time]] = values[on_time]
    return result


def linear_resample(
    values: NDArray[np.float32], *, first: Fraction, step: Fraction, frames: int
) -> NDArray[np.float32]:
    """`values` [T, ...] read at positions `first + k * step`, k = 0 … frames - 1, in units of old frames.

    Linear between old frames, held outside them. Positions are exact, so a position on an old frame reads it
    alone.
    """
    last = values.shape[0] - 1
    denominator = math.lcm(first.denominator, step.denominator)
    offset, increment = int(first * denominator), int(step * denominator)
    result = np.empty((frames, *values.shape[1:]), np.float32)
    for start in range(0, frames, _FRAMES_AT_ONCE):  # exact numbers take room
        numbers = range(start, min(start + _FRAMES_AT_ONCE, frames))
        positions = [divmod(offset + k * increment, denominator) for k in numbers]
        below = np.array([min(max(whole, 0), last) for whole, _ in positions])
        weight = np.array([part / denominator if 0 <= whole < last else 0.0 for whole, part in positions])
        above = np.where(weight > 0, below + 1, below)
        weight = weight.reshape(-1, *[1] * (values.ndim - 1))
        low, high = values[below].astype(np.float64), values[above].astype(np.float64)
        result[start : start + len(numbers)] = low + weight * (high - low)
    return result


def local_linear_smooth(values: NDArray[np.float32], *, sigma_frames: float) -> NDArray[np.float32]:
    """Local linear regression over time of `values` [T, ...] with Gaussian weights cut at four sigma.

    With weights w, offsets d and moments S_j = sum w d^j, Y_j = sum w d^j v over the frames that are present,
    the fitted line at d = 0 is (S_2 Y_0 - S_1 Y_1) / (S_0 S_2 - S_1^2). NaN stays NaN and weighs nothing.
    """
    present = ~np.isnan(values)
    data = np.where(present, values, 0).astype(np.float64)
    radius = min(math.floor(4 * sigma_frames), values.shape[0] - 1)
    if radius == 0:
        return values
    s0, s1, s2, y0, y1 = (np.zeros(values.shape) for _ in range(5))
    for offset in range(-radius, radius + 1):
        here, there = _overlap(values.shape[0], offset)
        weight = math.exp(-0.5 * (offset / sigma_frames) ** 2) * present[there]
        s0[here] += weight
        s1[here] += weight * offset
        s2[here] += weight * offset**2
        y0[here] += weight * data[there]
        y1[here] += weight * offset * data[there]
    determinant = s0 * s2 - s1**2
    solvable = determinant > 1e-9 * s0 * s2
    safe = np.where(solvable, determinant, 1)
    line = (s2 * y0 - s1 * y1) / safe
    mean = y0 / np.where(s0 > 0, s0, 1)
    return np.where(present, np.where(solvable, line, mean), np.nan).astype(np.float32)


def _overlap(length: int, offset: int) -> tuple[slice, slice]:
    """Slices of the frames that have a neighbour `offset` away, and of those neighbours."""
    here = slice(max(0, -offset), length - max(0, offset))
    return here, slice(here.start + offset, here.stop + offset)
