"""Backward displacement of a triangle mesh, drawn onto a grid of points."""

from dataclasses import dataclass

import torch
from torch import Tensor

INSIDE_TOLERANCE = 1e-4
SMALLEST_AREA_PX2 = 1e-5


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Points `origin + step * (column, row)` over a picture.

    Attributes:
        left_px: x of the first column.
        top_px: y of the first row.
        step_px: Distance between neighbours.
        columns: Number of points in a row.
        rows: How many rows.
    """

    left_px: int
    top_px: int
    step_px: int
    columns: int
    rows: int

    def points(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Returns the points, [rows, columns, 2] (x, y)."""
        x = self.left_px + self.step_px * torch.arange(self.columns, dtype=dtype, device=device)
        y = self.top_px + self.step_px * torch.arange(self.rows, dtype=dtype, device=device)
        return torch.stack(torch.meshgrid(x, y, indexing="xy")).permute(1, 2, 0)


def back_to_front(target: Tensor, triangles: Tensor, layer: Tensor) -> Tensor:
    """Returns the order in which to paint: by layer, then the farthest first; triangle indices [T]."""
    depth = target[:, 2][triangles].mean(-1)
    order = torch.argsort(depth, descending=True, stable=True)
    return order[torch.argsort(layer[order], stable=True)]


def draw_displacement(source: Tensor, target: Tensor, corners: Tensor, grid: Grid) -> Tensor:
    """Returns, for each grid point of the target, the offset in pixels to its source.

    Every triangle that faces the camera in the target is painted with the affine map back to the source;
    later ones cover earlier ones. Points outside of all triangles do not move.

    Args:
        source: Vertices in the portrait, pixels, [V, 3].
        target: The same vertices in the frame to draw, [V, 3].
        corners: Vertex indices of the triangles, clockwise in the picture, in the order to paint, [T, 3].
        grid: Where to evaluate.

    Returns:
        Offsets (x, y) to add to a grid point's position, [rows, columns, 2].
    """
    maps, areas = _affine_maps(source[:, :2], target[:, :2], corners)
    rank, column, row = _candidates(target[:, :2], corners, areas, grid)
    x = grid.left_px + grid.step_px * column.to(source.dtype)
    y = grid.top_px + grid.step_px * row.to(source.dtype)
    # A candidate beside its triangle counts as 0, so that no list of those inside has to be made.
    claim = torch.where(_inside(maps[:6].index_select(1, rank), x, y), rank + 1, 0)
    winner = torch.zeros(grid.rows * grid.columns, dtype=torch.int64, device=source.device)
    winner.scatter_reduce_(0, row * grid.columns + column, claim, "amax")
    x, y = grid.points(source.dtype, source.device).reshape(-1, 2).T
    offset = _interpolate(maps.index_select(1, (winner - 1).clamp(min=0)), x, y)
    return torch.where(winner > 0, offset, 0.0).reshape(2, grid.rows, grid.columns).permute(1, 2, 0)


def _affine_maps(source: Tensor, target: Tensor, corners: Tensor) -> tuple[Tensor, Tensor]:
    """Per triangle first corner, gradients of two weights, offset and its edges, [12, T]; areas [T]."""
    first = target[corners[:, 0]]
    edge_b, edge_c = target[corners[:, 1]] - first, target[corners[:, 2]] - first
    areas = edge_b[:, 0] * edge_c[:, 1] - edge_b[:, 1] * edge_c[:, 0]
    inverse = 1.0 / torch.where(areas > SMALLEST_AREA_PX2, areas, 1.0)[:, None]
    weight_b = torch.stack([edge_c[:, 1], -edge_c[:, 0]], -1) * inverse
    weight_c = torch.stack([-edge_b[:, 1], edge_b[:, 0]], -1) * inverse
    offset = (source - target)[corners]  # [T, 3, 2]
    edges = (offset[:, 1:] - offset[:, :1]).flatten(1)
    maps = torch.cat([first, weight_b, weight_c, offset[:, 0], edges], dim=-1)
    return maps.T.contiguous(), areas  # rows of numbers are read several times faster than columns


def _candidates(target: Tensor, corners: Tensor, areas: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Every grid point in the box around every triangle that faces the camera: rank, column, row, [N]."""
    origin = torch.tensor([grid.left_px, grid.top_px], dtype=target.dtype, device=target.device)
    boxes = (target[corners] - origin) / grid.step_px  # [T, 3, 2]
    last = torch.tensor([grid.columns - 1, grid.rows - 1], device=target.device)
    low = torch.minimum((boxes.amin(1) - 1e-3).ceil().long().clamp(min=0), last + 1)
    high = torch.minimum((boxes.amax(1) + 1e-3).floor().long().clamp(min=-1), last)
    size = (high - low + 1).clamp(min=0)
    count = torch.where(areas > SMALLEST_AREA_PX2, size[:, 0] * size[:, 1], 0)
    rank = torch.repeat_interleave(torch.arange(len(corners), device=target.device), count)
    within = torch.arange(len(rank), device=target.device) - (count.cumsum(0) - count).index_select(0, rank)
    wide = size[:, 0].index_select(0, rank)
    row = torch.div(within, wide, rounding_mode="floor")
    return rank, low[:, 0].index_select(0, rank) + within - row * wide, low[:, 1].index_select(0, rank) + row


def _weights(maps: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    from_first_x, from_first_y = x - maps[0], y - maps[1]
    return from_first_x * maps[2] + from_first_y * maps[3], from_first_x * maps[4] + from_first_y * maps[5]


def _inside(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    weight_b, weight_c = _weights(maps, x, y)
    least = torch.minimum(torch.minimum(weight_b, weight_c), 1.0 - weight_b - weight_c)
    return least >= -INSIDE_TOLERANCE


def _interpolate(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Offsets [2, N]."""
    weight_b, weight_c = _weights(maps, x, y)
    return maps[6:8] + weight_b * maps[8:10] + weight_c * maps[10:12]
