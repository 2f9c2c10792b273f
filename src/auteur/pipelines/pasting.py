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


class Square:
    """A square crop of a picture, and the way back from its pixels to those of the picture.

    Args:
        frame: Where it is.
        size_px: Its side in pixels of its own.
        width_px: Of the picture.
        height_px: Of the picture.
    """

    def __init__(self, frame: CropFrame, size_px: int, width_px: int, height_px: int) -> None:
        self.frame, self.size_px, self.width_px, self.height_px = frame, size_px, width_px, height_px
        x, y = frame.center_px
        half = frame.side_px / 2 * (abs(np.cos(frame.roll_rad)) + abs(np.sin(frame.roll_rad)))
        left, right = _within(x - half, x + half, width_px)
        top, bottom = _within(y - half, y + half, height_px)
        self.box = (slice(top, bottom), slice(left, right))
        """Rows and columns of the picture that hold it."""
        self.pixels = _positions(top, bottom, left, right)
        """[h, w, 2] px of the picture, in the box."""
        self.own_pixels = _positions(0, size_px, 0, size_px)
        """[S, S, 2] px of the square."""
        places = crops.apply(frame.matrix(size_px), self.pixels.numpy())
        # align_corners=False measures from edges: -1 is the left of the first pixel, 1 the right of the last.
        self._grid = torch.from_numpy((2 * places + 1) / size_px - 1).float()
        self.border = smooth_step((1 - self._grid.abs().amax(-1)) / 2 / _BORDER)
        """1 inside the square, 0 on its border and beyond, [h, w]."""

    @property
    def in_picture(self) -> Tensor:
        """1 where the square shows the picture, 0 beyond its edges, [S, S]."""
        there = crops.apply(crops.invert(self.frame.matrix(self.size_px)), self.own_pixels.numpy())
        last = np.array([self.width_px, self.height_px]) - 0.5
        return torch.from_numpy(((there >= -0.5) & (there <= last)).all(-1)).float()

    def cut(self, picture: Tensor) -> Tensor:
        """Returns what a picture, uint8 [3, H, W], shows in it, [3, S, S] in [0, 1]."""
        return crops.cut(picture.permute(1, 2, 0), self.frame, self.size_px)

    def onto(self, own: Tensor) -> Tensor:
        """Returns what values [C, S, S] of the square are at the pixels of its box, [C, h, w]."""
        return functional.grid_sample(
            own[None], self._grid[None], mode="bilinear", padding_mode="border", align_corners=False
        )[0]

    def over(self, behind: Tensor, own: Tensor) -> Tensor:
        """Returns the box [3, h, w] with the square laid over it, its border soft."""
        return torch.lerp(behind, self.onto(own), self.border)


def _within(low: float, high: float, size_px: int) -> tuple[int, int]:
    """The whole pixels that hold a span, in a picture; none if it lies beside."""
    first = min(max(0, int(np.floor(low))), size_px)
    return first, max(first, min(size_px, int(np.ceil(high))))


def _positions(top: int, bottom: int, left: int, right: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(top, bottom), torch.arange(left, right), indexing="ij")
    return torch.stack([columns, rows], dim=-1).float()


def painted_mask(points: Tensor, positions: Tensor, view: str | None = None) -> Tensor:
    """Returns where a denoiser paints, [h, w], in a frame with these points [478, 2] px.

    Args:
        points: Landmarks.
        positions: Pixels to ask about, [h, w, 2], measured like the points.
        view: The mouth or the eyes only (`auteur.synthesis.views`); None: both.
    """
    unit = eye_distance(points)
    chains = {"mouth": [(LIPS, LIP_MARGIN)], "eyes": [(eye, _EYE_MARGIN) for eye in EYES]}
    wanted = chains[view] if view else [one for some in chains.values() for one in some]
    return torch.stack([oval(points, chain, share * unit, positions) for chain, share in wanted]).amax(0)


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
