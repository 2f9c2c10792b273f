"""By how many frames a picture trails its sound: the lag at which two curves agree best.

Axes: T frames, D measures. A lag is positive where the picture trails the sound.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

DRIFT_FRAMES = 12
"""Half-width of the running mean that `without_drift` removes: about half a second at 25 frames/s."""


def aligned(sound: Floats, picture: Floats, lag: int) -> tuple[Floats, Floats]:
    """Returns the parts of both [T] or [T, D] that meet at a lag, T - |lag| frames each."""
    frames = len(picture) - abs(lag)
    return sound[max(0, -lag) :][:frames], picture[max(0, lag) :][:frames]


def correlation(sound: Floats, picture: Floats, lag: int = 0) -> float:
    """Returns Pearson's correlation at a lag, of [T, D] the mean over D; 0 for what does not move."""
    pair = (
        np.asarray(part, dtype=np.float64).reshape(len(part), -1) for part in aligned(sound, picture, lag)
    )
    x, y = (part - part.mean(axis=0) for part in pair)
    spread = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return float(((x * y).sum(axis=0) / np.maximum(spread, 1e-12)).mean())


def correlations(sound: Floats, picture: Floats, largest_lag: int) -> Floats:
    """Returns the correlation at every lag from -`largest_lag` to `largest_lag`, [2 largest_lag + 1]."""
    lags = range(-largest_lag, largest_lag + 1)
    return np.array([correlation(sound, picture, lag) for lag in lags])


def best_correlation(sound: Floats, picture: Floats, largest_lag: int) -> float:
    """Returns the correlation at the best lag of at most so many frames either way."""
    return float(correlations(sound, picture, largest_lag).max())


def without_drift(values: Floats) -> Floats:
    """Returns values [T] or [T, D] less their running mean over about a second; the ends are held."""
    columns = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    width = 2 * DRIFT_FRAMES + 1
    padded = np.pad(columns, ((DRIFT_FRAMES, DRIFT_FRAMES), (0, 0)), mode="edge")
    sums = np.cumsum(np.concatenate([np.zeros((1, columns.shape[1])), padded]), axis=0)
    return (columns - (sums[width:] - sums[:-width]) / width).reshape(np.shape(values))
