"""Curves as SVG text, for notebooks without a plotting library."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from auteur.signals.track import Track

_MOST_ROWS = 12
_MOST_POINTS = 600
_WIDTH_PX, _ROW_PX, _LABEL_PX = 560, 22, 90
_COLOUR = "#3b6ea5"


def curves_svg(track: Track) -> str:
    """Returns the channels that move most, at most 12, one row each, over time; gaps are not measured.

    Args:
        track: Values [T, channels]. Every row spans the track's smallest to largest value.
    """
    values = np.asarray(track.values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (min(0.0, float(finite.min())), float(finite.max())) if finite.size else (0.0, 1.0)
    spread = np.array([np.ptp(v[np.isfinite(v)]) if np.isfinite(v).any() else -1.0 for v in values.T])
    size = np.array([np.abs(v[np.isfinite(v)]).max() if np.isfinite(v).any() else -1.0 for v in values.T])
    chosen: list[int] = sorted(np.argsort(-(spread + 0.1 * size), kind="stable")[:_MOST_ROWS].tolist())
    step = max(1, -(-track.frames // _MOST_POINTS))
    rows = [
        _row(place, track.channels[column], values[::step, column], (low, max(high, low + 1e-9)))
        for place, column in enumerate(chosen)
    ]
    height = _ROW_PX * len(rows) + 18
    end = float(track.start_sec + track.duration_sec)
    left = len(track.channels) - len(rows)
    more = f", {left} more" if left else ""
    caption = f"{track.convention}, {float(track.start_sec):g} to {end:g} s, {low:g} to {high:g}{more}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABEL_PX + _WIDTH_PX}" height="{height}" '
        f'font-family="sans-serif" font-size="10">{"".join(rows)}'
        f'<text x="{_LABEL_PX}" y="{height - 5}">{escape(caption)}</text></svg>'
    )


def _row(place: int, name: str, values: NDArray[np.float64], limits: tuple[float, float]) -> str:
    low, high = limits
    x = _LABEL_PX + np.linspace(0, _WIDTH_PX, max(len(values), 2))[: len(values)]
    bottom = _ROW_PX * (place + 1) - 3
    y = bottom - (_ROW_PX - 6) * (values - low) / (high - low)
    runs: list[list[str]] = [[]]
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if np.isfinite(down):
            runs[-1].append(f"{across:.1f},{down:.1f}")
        elif runs[-1]:
            runs.append([])
    lines = "".join(
        f'<polyline fill="none" stroke="{_COLOUR}" points="{" ".join(run)}"/>' for run in runs if run
    )
    label = f'<text x="{_LABEL_PX - 6}" y="{bottom - 3}" text-anchor="end">{escape(name)}</text>'
    axis = f'<line x1="{_LABEL_PX}" x2="{_LABEL_PX + _WIDTH_PX}" y1="{bottom}" y2="{bottom}" stroke="#ddd"/>'
    return label + axis + lines
