"""Style of the motion: seven statistics of a person's liveliness, on which the motion model is conditioned.

Statistics of a clip, in distances of the outer eye corners, as logarithms; the model takes them in
standard deviations of its training people. `style_of_liveliness` maps one number to them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.signals.topology import INNER_LIPS, OUTER_LIPS

Floats = NDArray[np.floating]

STYLE_STATISTICS = ("gap_mean", "gap_deviation", "width_deviation", "jaw", "cheeks", "brows", "lip_speed")

JAW = (152, 148, 377, 176, 400, 175, 199)
CHEEKS = (50, 280, 205, 425, 36, 266, 101, 330, 203, 423)
BROWS = (70, 105, 107, 66, 336, 334, 300, 296)
UPPER_LIP = (13, 0, 37, 267, 82, 312)
EYE_CORNERS = (33, 263)
MOUTH_CORNERS = (61, 291)

LIVELINESS_RANGE = (0.0, 2.0)
_SMALLEST = 1e-4
_LEAST_MEAN_GAP = 0.005


def region_motion(face: Floats, vertices: tuple[int, ...]) -> float:
    """Returns the standard deviation over time of vertices of faces [T, 478, 3]: x and y, their mean."""
    points = np.asarray(face)[:, list(vertices), :2]
    return float(np.sqrt(points.var(axis=0).sum(axis=-1)).mean())


def eye_distance(face: Floats) -> float:
    """Returns the distance of the outer eye corners of a face [478, 3]."""
    left, right = EYE_CORNERS
    return float(np.linalg.norm(face[left, :2] - face[right, :2]))


def style_statistics(face: Floats, eye_distance_mm: float) -> Floats:
    """Returns the logarithms of `STYLE_STATISTICS` [7] of pose-free faces [T, 478, 3] in mm at 25 fps."""
    face = np.asarray(face, dtype=np.float64) / eye_distance_mm
    gap = face[:, 14, 1] - face[:, 13, 1]
    left, right = MOUTH_CORNERS
    width = np.linalg.norm(face[:, left, :2] - face[:, right, :2], axis=1)
    lips = np.diff(face[:, [*OUTER_LIPS, *INNER_LIPS], :2], axis=0)
    values = (
        max(float(gap.mean()), _LEAST_MEAN_GAP),
        gap.std(),
        width.std(),
        *(100 * region_motion(face, region) for region in (JAW, CHEEKS, BROWS)),
        np.linalg.norm(lips, axis=-1).mean(),
    )
    return np.log(np.array(values) + _SMALLEST)


def style_of_liveliness(liveliness: float) -> Tensor:
    """Returns the style [7] of a liveliness: 0 calm, 1 like most people, 2 as the liveliest.

    Raises:
        ValueError: It is outside [0, 2].
    """
    least, most = LIVELINESS_RANGE
    if not least <= liveliness <= most:
        raise ValueError(f"liveliness is {liveliness}; it must be between {least:g} and {most:g}")
    return torch.full((len(STYLE_STATISTICS),), liveliness - 1.0)
