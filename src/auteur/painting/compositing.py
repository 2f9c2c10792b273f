"""Crops of a picture, their way back into it, and masks of what a painted crop changes."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.synthesis.masks import (
    beyond_own,
    eye_ovals,
    holes,
    lip_oval,
    mouth_gap,
    moved_mask,
    moved_mm,
    with_rim,
)
from auteur.synthesis.warp.sampling import smooth_step

_LIPS = 0.5
"""Share of the change that moved lips take: the mean of warp and paint is nearer to the truth than either and
keeps the portrait's own lips and teeth sharp."""
_BORDER = 0.08
"""Width of the soft border of a painted square, as a share of its side."""


class CropRegion:
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
        self.own_pixels = _own_positions(size_px)
        """[S, S, 2] px of the square."""
        places = crops.apply(frame.matrix(size_px), self.pixels.numpy())
        # align_corners=False measures from edges: -1 is the left of the first pixel, 1 the right of the last.
        self._grid = torch.from_numpy((2 * places + 1) / size_px - 1).float()
        self.border = smooth_step((1 - self._grid.abs().amax(-1)) / 2 / _BORDER)
        """1 inside the square, 0 on its border and beyond, [h, w]."""

    @property
    def in_picture(self) -> Tensor:
        """1 where the square shows the picture, 0 beyond its edges, [S, S]."""
        to_picture = crops.invert(self.frame.matrix(self.size_px))
        last = np.array([self.width_px, self.height_px]) - 0.5

        def inside(points: Tensor) -> NDArray[np.bool_]:
            there = crops.apply(to_picture, points.numpy())
            return np.asarray(((there >= -0.5) & (there <= last)).all(-1))

        if inside(self.own_pixels[:: self.size_px - 1, :: self.size_px - 1]).all():  # its corners
            return torch.ones(self.size_px, self.size_px)
        return torch.from_numpy(inside(self.own_pixels)).float()

    def own_points(self, landmarks: Tensor) -> Tensor:
        """Returns landmarks [478, 2 or 3] px of the picture in pixels of the square, float32 [478, 2]."""
        matrix = self.frame.matrix(self.size_px)
        return torch.from_numpy(crops.apply(matrix, landmarks[:, :2].numpy())).float()

    def cut(self, picture: Tensor) -> Tensor:
        """Returns the square of a picture uint8 [3, H, W], as [3, S, S] in [0, 1]."""
        return crops.cut(picture.permute(1, 2, 0), self.frame, self.size_px)

    def onto(self, own: Tensor) -> Tensor:
        """Returns values [C, S, S] of the square, sampled at the pixels of its box, [C, h, w]."""
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


@cache
def _own_positions(size_px: int) -> Tensor:
    return _positions(0, size_px, 0, size_px)


def _positions(top: int, bottom: int, left: int, right: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(top, bottom), torch.arange(left, right), indexing="ij")
    return torch.stack([columns, rows], dim=-1).float()


def mouth_openings(landmarks: Tensor, regions: Sequence[CropRegion]) -> Tensor:
    """Returns the masks of what shows between the lips, with a soft rim, [F, S, S] in pixels of the squares.

    Args:
        landmarks: Of the frames, [F, 478, 3] px of the picture.
        regions: Squares, one per frame.
    """
    positions = regions[0].own_pixels
    at = [region.own_points(points) for region, points in zip(regions, landmarks, strict=True)]
    return with_rim(torch.stack([holes(points, positions, only_mouth=True) for points in at]))


def painted_areas(
    landmarks: Tensor,
    own: Tensor,
    regions: Sequence[CropRegion],
    view: str,
    paints: str,
    *,
    inside: Sequence[float],
    lips: float = 1.0,
    openings: Tensor | None = None,
) -> Tensor:
    """Returns the masks of a view's paint, [F, S, S] in [0, 1], in pixels of its crops.

    Args:
        landmarks: Of the frames, [F, 478, 3] px of the picture.
        own: The portrait's.
        regions: Of the view, one per frame.
        view: "mouth" or "eyes".
        paints: of a mouth, "openings": what shows between the lips; "lips": that, and lips that have moved.
            Nothing while they are closed and at rest. Of eyes always the ovals around them.
        inside: Share of the change between the lips, in [0, 1], one per frame.
        lips: Share of the change on lips that have moved, and between them, in [0, 1].
        openings: From `mouth_openings`, where they are known.
    """
    at = torch.stack([region.own_points(points) for region, points in zip(regions, landmarks, strict=True)])
    positions, size = regions[0].own_pixels, regions[0].size_px
    if view == "eyes":
        return torch.stack([eye_ovals(points, positions) for points in at])
    openings = mouth_openings(landmarks, regions) if openings is None else openings
    share = torch.tensor(inside)[:, None, None]
    if paints == "openings":
        return share * openings
    around = torch.stack([lip_oval(points, positions) for points in at])
    moved = around * moved_mask(at, moved_mm(landmarks.numpy(), own.numpy()), size)
    return torch.maximum(share * openings, lips * moved)


def painted_masks(
    landmarks: Tensor,
    own: Tensor,
    regions: Sequence[CropRegion],
    view: str | None,
    paints: str,
    *,
    openings: Tensor | None = None,
) -> list[Tensor]:
    """Returns the masks of a denoiser's changes to the warp, for each frame [h, w] of its square's box.

    What a mouth shows no more of than the portrait itself is left to the warp (`beyond_own`), but for the
    share that moved lips take. Soft at the square's border.

    Args:
        landmarks: Of the frames, [F, 478, 3] px of the picture.
        own: The portrait's.
        regions: Squares that were painted, one per frame.
        view: "mouth", "eyes"; None paints ovals around all three.
        paints: As for `painted_areas`.
        openings: The same.
    """
    frames = list(zip(landmarks[..., :2].float(), regions, strict=True))
    if view is None:
        masks = [
            torch.maximum(eye_ovals(points, region.pixels), lip_oval(points, region.pixels))
            for points, region in frames
        ]
    else:
        own_gap = mouth_gap(own[:, :2].float())
        inside = [beyond_own(points, own_gap) if view == "mouth" else 1.0 for points, _ in frames]
        areas = painted_areas(
            landmarks, own, regions, view, paints, inside=inside, lips=_LIPS, openings=openings
        )
        masks = [region.onto(area[None])[0] for area, region in zip(areas, regions, strict=True)]
    return [region.border * mask for mask, region in zip(masks, regions, strict=True)]
