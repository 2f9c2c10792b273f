"""Masks of what a denoiser paints: the inside of openings, and lips that have moved.

All are weights in [0, 1] at positions [h, w, 2] of a picture, softly 0 outside, from landmarks in its pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.face.pose import without_pose
from auteur.signals.topology import LEFT_IRIS, OUTER_LIPS, RIGHT_IRIS
from auteur.synthesis.warp.apertures import aperture_between
from auteur.synthesis.warp.mesh import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    MOUTH_LOWER,
    MOUTH_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
)
from auteur.synthesis.warp.sampling import smooth_step

Floats = NDArray[np.floating]

EYES = (RIGHT_EYE_UPPER + RIGHT_EYE_LOWER, LEFT_EYE_UPPER + LEFT_EYE_LOWER)

_WIDER, _EYE_MARGIN, LIP_MARGIN = 1.25, 0.12, 0.15
"""Size of a painted oval relative to that of its landmarks, and its margin in eye distances."""
_SOFT = 0.4
"""Width of the soft edge of an oval, as a share of its radius."""
_HALF_AS_FAR = 0.5

_STILL_MM, _MOVED_MM = 0.7, 2.5
"""Movement of the skin from which on it is painted, and that from which on fully."""
_SPREAD, _COARSE = 0.05, 4
"""Reach of a landmark's movement in eye distances; pixels that share one value of it."""


def oval(points: Tensor, chain: Sequence[int], margin_px: float, positions: Tensor) -> Tensor:
    """Returns 1 inside an oval around some of the points [478, 2].

    Its axes are those of the face; it is somewhat larger than what it is around, and by a margin.
    """
    along = functional.normalize(points[LEFT_IRIS[0]] - points[RIGHT_IRIS[0]], dim=0)
    axes = torch.stack([along, torch.stack([-along[1], along[0]])])
    turned = points[list(chain)] @ axes.T
    low, high = turned.amin(0), turned.amax(0)
    radii = _WIDER * (high - low) / 2 + margin_px
    distance = ((positions @ axes.T - (low + high) / 2) / radii).norm(dim=-1)
    return smooth_step((1 - distance) / _SOFT)


def lip_oval(points: Tensor, positions: Tensor) -> Tensor:
    """Returns 1 around the lips of points [478, 2]."""
    return oval(points, OUTER_LIPS, LIP_MARGIN * eye_distance(points), positions)


def eye_ovals(points: Tensor, positions: Tensor) -> Tensor:
    """Returns 1 around the eyes of points [478, 2]."""
    margin = _EYE_MARGIN * eye_distance(points)
    return torch.stack([oval(points, eye, margin, positions) for eye in EYES]).amax(0)


def eye_distance(points: Tensor) -> float:
    """Returns the distance between the irises of points [478, 2]."""
    return float((points[LEFT_IRIS[0]] - points[RIGHT_IRIS[0]]).norm())


def holes(points: Tensor, positions: Tensor, *, only_mouth: bool = False) -> Tensor:
    """Returns the mask of the openings of mouth and eyes, for points [478, 2].

    Positions are those of an upright grid; only those around an opening are computed.
    """
    edges = (
        (MOUTH_UPPER, MOUTH_LOWER),
        (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER),
        (LEFT_EYE_UPPER, LEFT_EYE_LOWER),
    )
    shown = torch.zeros(positions.shape[:-1], dtype=points.dtype)
    for upper, lower in edges[:1] if only_mouth else edges:
        near = _around(points[list(upper + lower)], positions)
        if not shown[near].numel():
            continue
        depths = aperture_between(points[list(upper)], points[list(lower)]).depths(positions[near])
        inside = depths.mask(1.5) * ((depths.place >= 0) & (depths.place <= 1))
        shown[near] = torch.maximum(shown[near], inside)
    return shown


def _around(points: Tensor, positions: Tensor) -> tuple[slice, slice]:
    """The rows and columns of an upright grid [h, w, 2] that lie between points [N, 2], or a pixel beside."""
    low, high = points.amin(0) - 1, points.amax(0) + 1
    sides: list[slice] = []
    for axis, along in ((1, positions[:, 0, 1]), (0, positions[0, :, 0])):
        start = int((along < low[axis]).sum())
        sides.append(slice(start, max(start, int((along <= high[axis]).sum()))))
    return sides[0], sides[1]


def with_rim(opening: Tensor) -> Tensor:
    """Returns masks [..., S, S] of what shows between the lips, with a soft rim of a fortieth of the side."""
    rim = max(1, round(opening.shape[-1] / 40))
    flat = opening.reshape(-1, 1, *opening.shape[-2:])
    grown = functional.max_pool2d(flat, 2 * rim + 1, stride=1, padding=rim)
    soft = functional.avg_pool2d(grown, 2 * rim + 1, stride=1, padding=rim, count_include_pad=False)
    return soft.reshape(opening.shape)


def mouth_gap(points: Tensor) -> float:
    """Returns the opening between the lips of points [478, 2], in eye distances."""
    lips = aperture_between(points[list(MOUTH_UPPER)], points[list(MOUTH_LOWER)])
    return float(lips.gap_px) / eye_distance(points)


def beyond_own(points: Tensor, own_gap: float) -> float:
    """Returns the share of a mouth with these points that the portrait does not show, in [0, 1].

    Lips that part no further than in the portrait have its own teeth behind them, and the warp moves these
    along: 0. From half as far again on it is 1, and always for a portrait whose lips are closed.

    Args:
        points: Landmarks of the frame, [478, 2] px.
        own_gap: `mouth_gap` of the portrait.
    """
    return float(smooth_step(torch.tensor((mouth_gap(points) / max(own_gap, 1e-6) - 1) / _HALF_AS_FAR)))


def moved_mm(landmarks: Floats, own: Floats) -> Tensor:
    """Returns the distance that expression has moved vertices from the portrait, [..., 468] mm.

    Args:
        landmarks: Of frames, [..., 478, 3] px; head pose is removed.
        own: The portrait's, [478, 3] px.
    """
    shift = without_pose(landmarks)[..., :468, :] - without_pose(own)[:468]
    return torch.from_numpy(np.linalg.norm(shift, axis=-1)).float()


def moved_mask(points: Tensor, distance_mm: Tensor, size_px: int) -> Tensor:
    """Returns the mask of skin that has moved, [..., S, S] of a square.

    Args:
        points: Landmarks in pixels of the square, [..., 478, 2].
        distance_mm: From `moved_mm`, per vertex, [..., 468].
        size_px: Side of the square; a multiple of 4.
    """
    # A Gaussian of the distance is one across times one down, and its weighted sum a product of matrices.
    middles = torch.arange(0, size_px, _COARSE) + (_COARSE - 1) / 2
    width = _SPREAD * (points[..., LEFT_IRIS[0], :] - points[..., RIGHT_IRIS[0], :]).norm(dim=-1)
    apart = points[..., :468, :2, None].float() - middles
    near = torch.exp(-((apart / width[..., None, None, None]) ** 2) / 2)
    right, down = near.unbind(-2)  # each [..., 468, S / 4]
    spread = ((down * distance_mm[..., None]).mT @ right) / (down.mT @ right + 1e-4)
    fine = functional.interpolate(
        spread.reshape(-1, 1, *spread.shape[-2:]),
        size=(size_px, size_px),
        mode="bilinear",
        align_corners=False,
    ).reshape(*spread.shape[:-2], size_px, size_px)
    return smooth_step((fine - _STILL_MM) / (_MOVED_MM - _STILL_MM))
