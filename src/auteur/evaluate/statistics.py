"""Uncertainty of figures: bootstrap intervals over people, and a significance test for pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError

Floats = NDArray[np.floating]

CONFIDENCE = 0.95
RESAMPLES = 2000
_EXACT_UP_TO = 14
_FLIPS = 20_000


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval."""

    mean: float
    """NaN where nothing was measured."""
    low: float
    """Lower end of the 95 % bootstrap interval; NaN with fewer than two groups."""
    high: float
    count: int
    """Number of measured clips."""
    groups: int
    """Number of independent groups (people) that they belong to."""


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same clips."""

    difference: Estimate
    """First minus second, mean over clips."""
    first_larger: float
    """Share of clips on which the first has the larger value; ties count half."""
    p_value: float
    """Two-sided, of "both are the same"; NaN with fewer than two people."""


def bootstrap(
    values: Floats, groups: Sequence[str] | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Returns the mean of values [N] and its percentile bootstrap interval (Efron 1979).

    Whole groups are drawn, since clips of one person are not independent; NaN counts as not measured.

    Args:
        values: One number per clip.
        groups: Whom each clip shows; every clip is its own group unless given.
        resamples: Number of draws.
        seed: Of the draws.
    """
    values = np.asarray(values, dtype=np.float64)
    names = np.array([str(i) for i in range(len(values))] if groups is None else list(groups))
    if len(names) != len(values):
        raise UsageError(f"{len(values)} values have {len(names)} groups; give one group per value")
    names, values = names[np.isfinite(values)], values[np.isfinite(values)]
    people, member = np.unique(names, return_inverse=True)
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    mean = float(values.mean())
    if len(people) < 2:
        return Estimate(mean, np.nan, np.nan, len(values), len(people))
    sums, counts = np.bincount(member, weights=values), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(people), size=(resamples, len(people)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(mean, float(low), float(high), len(values), len(people))


def bootstrap_of(
    statistic: Callable[[NDArray[np.intp]], float], count: int, *, resamples: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Returns the 95 % interval of a statistic, a function of the indices of members of a set of `count`."""
    if count < 2:
        return np.nan, np.nan
    random = np.random.default_rng(seed)
    values = [statistic(random.integers(count, size=count)) for _ in range(resamples)]
    low, high = np.nanquantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def duration_slope(values: Floats, seconds: Floats, groups: Sequence[str] | None = None) -> Estimate:
    """Returns the slope of a figure per second of clip length: least squares, interval over people.

    A system that drifts has a slope. NaN counts as not measured; with fewer than three clips, or clips of one
    length, there is no slope.

    Args:
        values: One number per clip, [N].
        seconds: Length of each clip, [N].
        groups: Whom each clip shows.
    """
    values, seconds = np.asarray(values, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    names = np.arange(len(values)).astype(str) if groups is None else np.array(groups, dtype=str)
    seen = np.isfinite(values)
    values, seconds, names = values[seen], seconds[seen], names[seen]
    people = np.unique(names)
    if len(values) < 3 or np.ptp(seconds) < 1e-6:
        return Estimate(np.nan, np.nan, np.nan, len(values), len(people))

    def slope(which: NDArray[np.intp]) -> float:
        rows = np.concatenate([np.flatnonzero(names == people[i]) for i in which])
        x, y = seconds[rows] - seconds[rows].mean(), values[rows] - values[rows].mean()
        return float(x @ y / (x @ x)) if x @ x > 1e-9 else np.nan

    low, high = bootstrap_of(slope, len(people), resamples=RESAMPLES // 4)
    return Estimate(slope(np.arange(len(people))), low, high, len(values), len(people))


def sign_flip_test(differences: Floats, groups: Sequence[str] | None = None, *, seed: int = 0) -> float:
    """Returns the two-sided p value that the mean of paired differences [N] is 0 (Fisher's randomisation).

    If both systems were the same, every person's differences could as well have the other sign; those of one
    person keep theirs together. Up to 14 people all sign patterns are tried, beyond that 20,000 at random.
    NaN is left out.

    Args:
        differences: One number per clip.
        groups: Whom each clip shows; every clip is its own group unless given.
        seed: Of the patterns.
    """
    differences = np.asarray(differences, dtype=np.float64)
    names = np.arange(len(differences)).astype(str) if groups is None else np.array(groups, dtype=str)
    seen = np.isfinite(differences)
    _, member = np.unique(names[seen], return_inverse=True)
    sums = np.bincount(member, weights=differences[seen])
    count = len(sums)
    if count < 2:
        return np.nan
    if count <= _EXACT_UP_TO:
        signs = np.array(list(product((-1.0, 1.0), repeat=count)))
    else:
        random = np.random.default_rng(seed)
        signs = np.vstack([np.ones(count), random.choice((-1.0, 1.0), size=(_FLIPS, count))])
    return float(np.mean(np.abs(signs @ sums) >= abs(sums.sum()) * (1 - 1e-9)))


def compare(first: Floats, second: Floats, groups: Sequence[str] | None = None) -> Comparison:
    """Returns the comparison of two systems on the same clips, values [N] each, clip by clip."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise UsageError(f"{first.size} and {second.size} values cannot be paired; give the same clips")
    difference = first - second
    measured = difference[np.isfinite(difference)]
    larger = float(np.mean((measured > 0) + 0.5 * (measured == 0))) if len(measured) else np.nan
    return Comparison(bootstrap(difference, groups), larger, sign_flip_test(difference, groups))
