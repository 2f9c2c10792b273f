"""Where a painted square acts in a full-size picture: soft ovals around mouth and eyes, and the way back."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.synthesis.warp.mesh import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    LEFT_IRIS,
    MOUTH_LOWER,
    MOUTH_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    RIGHT_IRIS,
)
from auteur.synthesis.warp.openings import opening_between
from auteur.synthesis.warp.sampling import smooth_step

LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
"""Outer contour of the lips, around."""
EYES = (RIGHT_EYE_UPPER + RIGHT_EYE_LOWER, LEFT_EYE_UPPER + LEFT_EYE_LOWER)

_WIDER, _EYE_MARGIN, LIP_MARGIN = 1.25, 0.12, 0.15
"""Size of a painted oval beside that of its landmarks, and what is added, in eye distances."""
_SOFT = 0.4
"""Width of the soft edge of an oval, as a share of its radius."""


_BORDER = 0.08
"""Width of the soft border of a painted square, as a share of its side."""


class Paste:
    """From the pixels of a square crop back to those of the picture."""

    def __init__(self, frame: CropFrame, size_px: int, width: int, height: int) -> None:
        x, y = frame.center_px
        half = frame.side_px / 2
        left, top = max(0, int(np.floor(x - half))), max(0, int(np.floor(y - half)))
        right, bottom = min(width, int(np.ceil(x + half))), min(height, int(np.ceil(y + half)))
        self.box = (slice(top, bottom), slice(left, right))
        self.pixels = _positions(top, bottom, left, right)
        """[h, w, 2] px of the picture."""
        self.crop_pixels = _positions(0, size_px, 0, size_px)
        """[S, S, 2] px of the crop."""
        places = crops.apply(frame.matrix(size_px), self.pixels.numpy())
        # align_corners=False measures from edges: -1 is the left of the first pixel, 1 the right of the last.
        self._grid = torch.from_numpy((2 * places + 1) / size_px - 1).float()
        self.border = smooth_step((1 - self._grid.abs().amax(-1)) / 2 / _BORDER)
        """1 inside the square, 0 on its border, [h, w]."""
        there = crops.apply(crops.invert(frame.matrix(size_px)), self.crop_pixels.numpy())
        known = (there >= -0.5).all(-1) & (there[..., 0] <= width - 0.5) & (there[..., 1] <= height - 0.5)
        self.in_picture = torch.from_numpy(known).float()
        """1 where the crop shows the picture, 0 beyond its edges, [S, S]."""

    def onto(self, crop: Tensor) -> Tensor:
        """Returns what a crop [C, S, S] is at the pixels of `box`."""
        return functional.grid_sample(
            crop[None], self._grid[None], mode="bilinear", padding_mode="border", align_corners=False
        )[0]

    def over(self, picture: Tensor, crop: Tensor, mask: Tensor) -> Tensor:
        """Returns a picture [3, H, W] with a crop laid over it where `mask` [h, w] says so."""
        result, (rows, columns) = picture.clone(), self.box
        result[:, rows, columns] = torch.lerp(result[:, rows, columns], self.onto(crop), mask)
        return result


def _positions(top: int, bottom: int, left: int, right: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(top, bottom), torch.arange(left, right), indexing="ij")
    return torch.stack([columns, rows], dim=-1).float()


def painted_mask(points: Tensor, paste: Paste) -> Tensor:
    """Where the mouth and the eyes are in a frame with these points [478, 2] px, at the pixels of `paste`."""
    unit = eye_distance(points)
    ovals = [oval(points, LIPS, LIP_MARGIN * unit, paste.pixels)]
    ovals += [oval(points, eye, _EYE_MARGIN * unit, paste.pixels) for eye in EYES]
    return torch.stack(ovals).amax(0)


def holes(points: Tensor, positions: Tensor) -> Tensor:
    """How much of the openings of mouth and eyes shows at positions [h, w, 2], for points [478, 2]."""
    edges = (
        (MOUTH_UPPER, MOUTH_LOWER),
        (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER),
        (LEFT_EYE_UPPER, LEFT_EYE_LOWER),
    )
    shown: list[Tensor] = []
    for upper, lower in edges:
        opening = opening_between(points[list(upper)], points[list(lower)])
        place, _ = opening.place(positions)
        shown.append(opening.mask(positions, 1.5) * ((place >= 0) & (place <= 1)))
    return torch.stack(shown).amax(0)


def eye_distance(points: Tensor) -> float:
    """Returns the distance between the irises of points [478, 2]."""
    return float((points[LEFT_IRIS[0]] - points[RIGHT_IRIS[0]]).norm())


def oval(points: Tensor, chain: Sequence[int], margin_px: float, positions: Tensor) -> Tensor:
    """Returns 1 inside an oval around some of the points [478, 2], softly 0 outside, at positions [h, w, 2].

    Its axes are those of the face; it is somewhat larger than what it is around, and by a margin.
    """
    along = functional.normalize(points[LEFT_IRIS[0]] - points[RIGHT_IRIS[0]], dim=0)
    axes = torch.stack([along, torch.stack([-along[1], along[0]])])
    turned = points[list(chain)] @ axes.T
    low, high = turned.amin(0), turned.amax(0)
    radii = _WIDER * (high - low) / 2 + margin_px
    distance = ((positions @ axes.T - (low + high) / 2) / radii).norm(dim=-1)
    return smooth_step((1 - distance) / _SOFT)
