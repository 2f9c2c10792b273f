"""Comparison of generated with real motion of a face: correlation beside spread.

The average is not a face: a mouth that hardly moves can correlate well. Measures are in distances of the
outer eye corners.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.motion.style import BROWS, CHEEKS, JAW, MOUTH_CORNERS, UPPER_LIP, eye_distance, region_motion
from auteur.signals.topology import INNER_LIPS, OUTER_LIPS

Floats = NDArray[np.floating[Any]]

LARGEST_LAG_FRAMES = 6
ROUNDED = 0.88
"""Share of its median width under which a mouth counts as rounded."""
CLOSED = 0.02
"""Lip gap, in eye distances, under which lips count as closed."""

_LIPS = (*OUTER_LIPS, *INNER_LIPS)


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceMotion:
    """Measures of one clip's pose-free motion at 25 fps."""

    gap: Floats
    """Lip gap [T]."""
    width: Floats
    """Distance of the mouth corners [T]."""
    spread: dict[str, float]
    """Standard deviations and speeds by name, comparable as ratios."""
    rounded: float
    """Share of frames with a rounded mouth."""
    closed: float
    """Share of frames with closed lips."""

    @classmethod
    def of(cls, face: Floats, *, eye_distance_mm: float | None = None) -> "FaceMotion":
        """Returns the measures of faces [T, 478, 3], pose-free, in any unit."""
        size = eye_distance(np.median(face, axis=0)) if eye_distance_mm is None else eye_distance_mm
        face = np.asarray(face, dtype=np.float64) / size
        left, right = MOUTH_CORNERS
        gap = face[:, 14, 1] - face[:, 13, 1]
        width = np.linalg.norm(face[:, left, :2] - face[:, right, :2], axis=1)
        lips = face[:, list(_LIPS), :2]
        spread = {
            "gap": gap.std(),
            "gap_95": np.quantile(gap, 0.95),
            "gap_mean": gap.mean(),
            "width": width.std(),
            "speed": np.linalg.norm(np.diff(lips, axis=0), axis=-1).mean(),
            "jerk": np.linalg.norm(np.diff(lips, n=3, axis=0), axis=-1).mean(),
        }
        regions = {"upper_lip": UPPER_LIP, "jaw": JAW, "cheeks": CHEEKS, "brows": BROWS}
        spread |= {name: 100 * region_motion(face, region) for name, region in regions.items()}
        return cls(
            gap=gap,
            width=width,
            spread={name: float(value) for name, value in spread.items()},
            rounded=float((width < ROUNDED * np.median(width)).mean()),
            closed=float((gap < CLOSED).mean()),
        )


@dataclass(frozen=True, kw_only=True)
class MouthScores:
    """Medians over clips; shares are means."""

    gap: float
    """Correlation of the lip gap with the real one, as it is."""
    gap_best_lag: float
    """The same at the best lag of at most 6 frames."""
    width: float
    """Correlation of the mouth's width."""
    width_best_lag: float
    ratios: dict[str, float]
    """Of `FaceMotion.spread`: generated over real."""
    rounded: float
    closed: float

    @property
    def loss(self) -> float:
        """Smaller is better: missing correlation, and how far gap and width are from the spread of people."""
        spread = sum(abs(np.log(max(self.ratios[name], 1e-3))) for name in ("gap", "gap_95", "width"))
        return float(-self.gap - 0.5 * self.gap_best_lag - 0.5 * self.width_best_lag + 0.2 * spread)


def mouth_scores(made: Sequence[Floats], real: Sequence[Floats]) -> MouthScores:
    """Returns the comparison of pose-free faces [T, 478, 3] of several clips with the real ones."""
    found: list[dict[str, float]] = []
    ratios: list[dict[str, float]] = []
    for one, other in zip(made, real, strict=True):
        size = eye_distance(np.median(other, axis=0))
        a, b = FaceMotion.of(one, eye_distance_mm=size), FaceMotion.of(other, eye_distance_mm=size)
        found.append(
            {
                "gap": correlation(a.gap, b.gap),
                "gap_best_lag": best_correlation(a.gap, b.gap),
                "width": correlation(a.width, b.width),
                "width_best_lag": best_correlation(a.width, b.width),
                "rounded": a.rounded,
                "closed": a.closed,
            }
        )
        ratios.append({name: value / max(b.spread[name], 1e-6) for name, value in a.spread.items()})
    medians = {name: float(np.median([row[name] for row in found])) for name in found[0]}
    medians |= {name: float(np.mean([row[name] for row in found])) for name in ("rounded", "closed")}
    return MouthScores(
        **medians, ratios={name: float(np.median([row[name] for row in ratios])) for name in ratios[0]}
    )


def correlation(a: Floats, b: Floats) -> float:
    """Returns Pearson's correlation of two series; 0 where one does not move."""
    if min(np.std(a), np.std(b)) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def best_correlation(a: Floats, b: Floats, largest_lag: int = LARGEST_LAG_FRAMES) -> float:
    """Returns the correlation at the best lag of at most so many frames either way."""
    length = len(b)
    return max(
        correlation(a[max(0, -k) : length - max(0, k)], b[max(0, k) : length - max(0, -k)])
        for k in range(-largest_lag, largest_lag + 1)
    )
