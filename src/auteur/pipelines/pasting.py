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

_HALF_AS_FAR = 0.5

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


def painted_mask(
    points: Tensor, square: Square, view: str | None = None, *, own: Tensor | None = None
) -> Tensor:
    """Returns where a denoiser's changes are laid over the warp, [h, w] of the square's box.

    Args:
        points: Landmarks of the frame, [478, 2] px of the picture.
        square: What was painted.
        view: "mouth" paints what shows between the lips and a soft rim, nothing while they are closed; "eyes"
            paints ovals around both; None paints ovals around all three.
        own: The portrait's landmarks; of a mouth, what it shows itself is then left (`beyond_own`).
    """
    if view == "mouth":
        at = torch.from_numpy(crops.apply(square.frame.matrix(square.size_px), points.numpy())).float()
        mask = square.onto(with_rim(holes(at, square.own_pixels, only_mouth=True)[None]))[0]
        return mask if own is None else beyond_own(points, own) * mask
    eyes = eye_ovals(points, square.pixels)
    if view == "eyes":
        return eyes
    return torch.maximum(eyes, oval(points, LIPS, LIP_MARGIN * eye_distance(points), square.pixels))


def eye_ovals(points: Tensor, positions: Tensor) -> Tensor:
    """Returns 1 around the eyes of points [478, 2], softly 0 elsewhere, at positions [h, w, 2]."""
    margin = _EYE_MARGIN * eye_distance(points)
    return torch.stack([oval(points, eye, margin, positions) for eye in EYES]).amax(0)


def beyond_own(points: Tensor, own: Tensor) -> float:
    """Returns how much of a mouth with these points the portrait cannot show, in [0, 1].

    Lips that part no further than in the portrait have its own teeth behind them, and the warp moves these
    along: 0. From half as far again on it is 1, and always for a portrait whose lips are closed.

    Args:
        points: Landmarks of the frame, [478, 2] px.
        own: The portrait's.
    """
    gap, own_gap = (
        float(opening_between(p[list(MOUTH_UPPER)], p[list(MOUTH_LOWER)]).gap_px) / eye_distance(p)
        for p in (points, own)
    )
    return float(smooth_step(torch.tensor((gap / max(own_gap, 1e-6) - 1) / _HALF_AS_FAR)))


def with_rim(opening: Tensor) -> Tensor:
    """Returns masks [..., S, S] of what shows between the lips, with a soft rim of a fortieth of the side."""
    rim = max(1, round(opening.shape[-1] / 40))
    flat = opening.reshape(-1, 1, *opening.shape[-2:])
    grown = functional.max_pool2d(flat, 2 * rim + 1, stride=1, padding=rim)
    soft = functional.avg_pool2d(grown, 2 * rim + 1, stride=1, padding=rim, count_include_pad=False)
    return soft.reshape(opening.shape)


def holes(points: Tensor, positions: Tensor, *, only_mouth: bool = False) -> Tensor:
    """How much of the openings of mouth and eyes shows at positions [h, w, 2], for points [478, 2]."""
    edges = (
        (MOUTH_UPPER, MOUTH_LOWER),
        (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER),
        (LEFT_EYE_UPPER, LEFT_EYE_LOWER),
    )
    shown: list[Tensor] = []
    for upper, lower in edges[:1] if only_mouth else edges:
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
