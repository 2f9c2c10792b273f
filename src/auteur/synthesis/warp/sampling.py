"""Sampling a picture between its pixels, and filling in unknown ones."""

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle of whole pixels; right and bottom are the first column and row outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns inside."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows inside."""
        return self.bottom - self.top

    @property
    def is_empty(self) -> bool:
        """Whether no pixel lies inside."""
        return self.width <= 0 or self.height <= 0

    def within(self, outer: "Box") -> tuple[slice, slice]:
        """Returns the rows and columns of this box in an array that covers `outer`."""
        rows = slice(self.top - outer.top, self.bottom - outer.top)
        return rows, slice(self.left - outer.left, self.right - outer.left)

    def pixels(self, device: torch.device) -> Tensor:
        """Returns the positions (x, y) of the pixels, float32 [height, width, 2]."""
        x = torch.arange(self.left, self.right, dtype=torch.float32, device=device)
        y = torch.arange(self.top, self.bottom, dtype=torch.float32, device=device)
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def box_around(points: Tensor, margin_px: float, limits: Box) -> Box:
    """Returns the smallest box around points [N, 2] with a margin, cut to `limits`; may be empty."""
    low = (points.amin(0) - margin_px).floor().long().tolist()
    high = (points.amax(0) + margin_px).ceil().long().tolist()
    return Box(
        left=max(low[0], limits.left),
        top=max(low[1], limits.top),
        right=min(high[0] + 1, limits.right),
        bottom=min(high[1] + 1, limits.bottom),
    )


def smooth_step(x: Tensor) -> Tensor:
    """Returns 0 below 0, 1 above 1 and a cubic without corners between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


class Picture:
    """A picture that can be read anywhere, sharp or at half resolution.

    Args:
        colour: Float [3, H, W].
        left_px: Column of the portrait that its first column is.
        top_px: Row of the portrait that its first row is.
    """

    def __init__(self, colour: Tensor, left_px: int = 0, top_px: int = 0) -> None:
        self.colour = colour
        self._origin = torch.tensor([left_px, top_px], dtype=colour.dtype, device=colour.device)
        self._half = functional.avg_pool2d(colour[None], 2, ceil_mode=True, count_include_pad=False)[0]

    def sharp(self, positions: Tensor) -> Tensor:
        """Returns colours [3, h, w] at positions [h, w, 2] in portrait pixels, by cubic interpolation."""
        return _read(self.colour, positions - self._origin, "bicubic")

    def soft(self, positions: Tensor) -> Tensor:
        """Returns colours [3, h, w] averaged over two by two pixels around positions [h, w, 2]."""
        return _read(self._half, (positions - self._origin - 0.5) / 2, "bilinear")


def _read(colour: Tensor, positions: Tensor, mode: str) -> Tensor:
    size = torch.tensor([colour.shape[2] - 1, colour.shape[1] - 1], dtype=colour.dtype, device=colour.device)
    grid = positions * (2 / size.clamp(min=1)) - 1
    return functional.grid_sample(
        colour[None], grid[None], mode=mode, padding_mode="border", align_corners=True
    )[0]


def blur(colour: Tensor) -> Tensor:
    """Returns colours [3, H, W] averaged with their neighbours, weights 1 2 1 both ways."""
    padded = functional.pad(colour[None], (1, 1, 1, 1), mode="replicate")[0]
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16


def fill_in(colour: Tensor, known: Tensor) -> Tensor:
    """Returns colours [3, H, W] in which unknown pixels continue the known ones around them, smoothly.

    Averages of what is known at ever coarser sizes fill what the finer size does not know ("push-pull",
    Gortler et al., "The Lumigraph", 1996).

    Args:
        colour: Float [3, H, W].
        known: Weight of each pixel, 0 to 1, [1, H, W]; at least one must be positive.
    """
    if min(colour.shape[1:]) <= 1:
        return (colour * known).sum((1, 2), keepdim=True).expand_as(colour) / known.sum().clamp(min=1e-6)
    pool = {"kernel_size": 2, "ceil_mode": True, "count_include_pad": False}
    weight = functional.avg_pool2d(known[None], **pool)[0]
    coarse = functional.avg_pool2d((colour * known)[None], **pool)[0] / weight.clamp(min=1e-6)
    coarse = fill_in(coarse, (2 * weight).clamp(max=1))
    size = (colour.shape[1], colour.shape[2])
    smooth = functional.interpolate(coarse[None], size=size, mode="bilinear", align_corners=False)[0]
    return colour * known + smooth * (1 - known)
