"""Agreement of the Action Units of a video with the request. T frames, A units."""

import numpy as np
from numpy.typing import NDArray

from auteur.facs import ACTION_UNITS
from auteur.facs.conventions import OPENFACE_NUMBERS
from auteur.signals import AUTrack

Floats = NDArray[np.floating]

UNITS = OPENFACE_NUMBERS
"""OpenFace's 17 intensities."""

VARIES = 0.03
"""Standard deviation from which a requested intensity counts as moving."""


def unit_intensities(track: AUTrack) -> Floats:
    """Returns the intensity of every unit [T, A] in [0, 1] of a "facs" track, the mean of its sides."""
    sides = [[track.channel(control) for control in ACTION_UNITS[unit].controls] for unit in UNITS]
    return np.stack([np.mean(values, axis=0) for values in sides], axis=1).astype(np.float64)


def unit_errors(shown: Floats, requested: Floats) -> Floats:
    """Returns each unit's mean absolute error [A] of intensities [T, A] in [0, 1]; NaN is left out."""
    error = np.abs(np.asarray(shown, dtype=np.float64) - requested)
    seen = np.isfinite(error)
    total = np.where(seen, error, 0).sum(axis=0)
    return np.where(seen.any(axis=0), total / np.maximum(seen.sum(axis=0), 1), np.nan)


def unit_correlations(shown: Floats, requested: Floats) -> Floats:
    """Returns each unit's Pearson correlation [A] over frames; NaN where the request stands still.

    A unit that stands still although the request moves has correlation 0.
    """
    result = np.full(np.shape(requested)[1], np.nan)
    for unit in range(len(result)):
        x, y = np.asarray(shown)[:, unit], np.asarray(requested)[:, unit]
        seen = np.isfinite(x) & np.isfinite(y)
        if seen.sum() < 3 or y[seen].std() < VARIES:
            continue
        still = x[seen].std() < 1e-9
        result[unit] = 0.0 if still else np.corrcoef(x[seen], y[seen])[0, 1]
    return result


def ranks(values: Floats) -> Floats:
    """Returns the ranks of values [N] from 0, ties sharing theirs."""
    values = np.asarray(values)
    return (values[:, None] > values).sum(1) + ((values[:, None] == values).sum(1) - 1) / 2


def rank_correlation(requested: Floats, shown: Floats) -> float:
    """Returns Spearman's rank correlation of requested and measured values [N]; 0 if nothing moves."""
    if np.ptp(shown) == 0 or np.ptp(requested) == 0:
        return 0.0
    return float(np.corrcoef(ranks(requested), ranks(shown))[0, 1])


def is_monotonic(shown: Floats, *, slack: float = 0.02) -> bool:
    """Returns whether rising requests raise the values [levels] and never lower them by over `slack`."""
    return bool((np.diff(shown) >= -slack).all() and shown[-1] - shown[0] > slack)


def other_regions(unit: int) -> list[int]:
    """Returns the places in `UNITS` of those that move another part of the face."""
    region = ACTION_UNITS[unit].region
    return [i for i, other in enumerate(UNITS) if ACTION_UNITS[other].region != region]


def cross_talk(change: Floats, unit: int) -> float:
    """Returns the cross-talk of a unit: mean |change| of other regions' units."""
    return float(np.abs(change[other_regions(unit)]).mean())
