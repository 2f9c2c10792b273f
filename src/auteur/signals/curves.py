"""Curves of a track for notebooks, without a plotting library."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.signals.track import Track

_MOST_ROWS = 12
_MOST_POINTS = 600
_WIDTH_PX, _ROW_PX, _LABEL_PX = 560, 22, 90


def curves_of(track: Track) -> dict[str, Any]:
    """Returns what the template draws: the channels that move most, at most 12, one row each, over time.

    Args:
        track: Values [T, channels]; NaN leaves a gap. Every row spans the track's smallest to largest value.
    """
    values = np.asarray(track.values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (min(0.0, float(finite.min())), float(finite.max())) if finite.size else (0.0, 1.0)
    spread = np.array([np.ptp(v[np.isfinite(v)]) if np.isfinite(v).any() else -1.0 for v in values.T])
    size = np.array([np.abs(v[np.isfinite(v)]).max() if np.isfinite(v).any() else -1.0 for v in values.T])
    chosen: list[int] = sorted(np.argsort(-(spread + 0.1 * size), kind="stable")[:_MOST_ROWS].tolist())
    step = max(1, -(-track.frames // _MOST_POINTS))
    end = float(track.start_sec + track.duration_sec)
    left = len(track.channels) - len(chosen)
    more = f", {left} more" if left else ""
    return {
        "left_px": _LABEL_PX,
        "width_px": _WIDTH_PX,
        "height_px": _ROW_PX * len(chosen) + 18,
        "about": f"{track.convention}, {float(track.start_sec):g} to {end:g} s, {low:g} to {high:g}{more}",
        "rows": [
            {
                "name": track.channels[column],
                "bottom_px": _ROW_PX * (place + 1) - 3,
                "runs": _runs(place, values[::step, column], (low, max(high, low + 1e-9))),
            }
            for place, column in enumerate(chosen)
        ],
    }


def _runs(place: int, values: NDArray[np.float64], limits: tuple[float, float]) -> list[str]:
    """Returns the points of each stretch without a gap."""
    low, high = limits
    x = _LABEL_PX + np.linspace(0, _WIDTH_PX, max(len(values), 2))[: len(values)]
    y = _ROW_PX * (place + 1) - 3 - (_ROW_PX - 6) * (values - low) / (high - low)
    runs: list[list[str]] = [[]]
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if np.isfinite(down):
            runs[-1].append(f"{across:.1f},{down:.1f}")
        elif runs[-1]:
            runs.append([])
    return [" ".join(run) for run in runs if run]
