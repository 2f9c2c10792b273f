"""Backward displacement of a triangle mesh, drawn onto a grid of points."""

from dataclasses import dataclass

import torch
from torch import Tensor

INSIDE_TOLERANCE = 1e-4
SMALLEST_AREA_PX2 = 1e-5
_SPARE = 0.01
"""Grid steps beside a triangle within which a point is tried: more than rounding moves its sides."""


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
        return torch.stack(torch.meshgrid(*self.sides(dtype, device), indexing="xy")).permute(1, 2, 0)

    def sides(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        """Returns the x of the columns and the y of the rows."""
        x = self.left_px + self.step_px * torch.arange(self.columns, dtype=dtype, device=device)
        return x, self.top_px + self.step_px * torch.arange(self.rows, dtype=dtype, device=device)


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
    rank, column, row = _candidates(target[:, :2], corners, maps, areas, grid)
    x = grid.left_px + grid.step_px * column.to(source.dtype)
    y = grid.top_px + grid.step_px * row.to(source.dtype)
    # A candidate beside its triangle counts as 0, so that no list of those inside has to be made.
    claim = torch.where(_inside(maps[:6].index_select(1, rank), x, y), rank + 1, 0)
    winner = torch.zeros(grid.rows * grid.columns, dtype=torch.int64, device=source.device)
    winner.scatter_reduce_(0, row * grid.columns + column, claim, "amax")
    x, y = grid.sides(source.dtype, source.device)
    winning = maps.index_select(1, (winner - 1).clamp(min=0)).unflatten(1, (grid.rows, grid.columns))
    offset = _interpolate(winning, x, y[:, None])
    is_covered = (winner > 0).reshape(grid.rows, grid.columns)
    return torch.where(is_covered, offset, 0.0).permute(1, 2, 0)


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


def _candidates(
    target: Tensor, corners: Tensor, maps: Tensor, areas: Tensor, grid: Grid
) -> tuple[Tensor, Tensor, Tensor]:
    """Every grid point of every triangle that faces the camera, and few beside it: rank, column, row, [N].

    Row by row of a triangle: each of its three weights is linear in x, so it is at least
    -`INSIDE_TOLERANCE` on one side of a point of the row.
    """
    every = torch.arange(len(corners), device=target.device)
    heights = (target[:, 1][corners] - grid.top_px) / grid.step_px  # [T, 3]
    low = (heights.amin(1) - 1e-3).ceil().long().clamp(min=0)
    high = (heights.amax(1) + 1e-3).floor().long().clamp(max=grid.rows - 1)
    rank, row = _counted(every, low, torch.where(areas > SMALLEST_AREA_PX2, high - low + 1, 0))
    own = maps[:6].index_select(1, rank)
    down = grid.top_px + grid.step_px * row.to(target.dtype) - own[1]
    slope = torch.stack([own[2], own[4], -own[2] - own[4]])
    at_first = torch.stack([down * own[3], down * own[5], 1.0 - down * (own[3] + own[5])]) + INSIDE_TOLERANCE
    crossing = (own[0] - grid.left_px - at_first / slope) / grid.step_px
    left = torch.where(slope > 0, crossing, -torch.inf).amax(0) - _SPARE
    right = torch.where(slope < 0, crossing, torch.inf).amin(0) + _SPARE
    left, right = left.ceil().clamp(0, grid.columns).long(), right.floor().clamp(-1, grid.columns - 1).long()
    span, column = _counted(torch.arange(len(rank), device=target.device), left, right - left + 1)
    return rank.index_select(0, span), column, row.index_select(0, span)


def _counted(owners: Tensor, first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Each of the owners [M] repeated, and the numbers that count up from its first one, both [N]."""
    count = count.clamp(min=0)
    place = torch.repeat_interleave(owners, count)
    start = first - (count.cumsum(0) - count)
    return place, start.index_select(0, place) + torch.arange(len(place), device=place.device)


def _weights(maps: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    from_first_x, from_first_y = x - maps[0], y - maps[1]
    return from_first_x * maps[2] + from_first_y * maps[3], from_first_x * maps[4] + from_first_y * maps[5]


def _inside(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    weight_b, weight_c = _weights(maps, x, y)
    least = torch.minimum(torch.minimum(weight_b, weight_c), 1.0 - weight_b - weight_c)
    return least >= -INSIDE_TOLERANCE


def _interpolate(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Offsets [2, …]."""
    weight_b, weight_c = _weights(maps, x, y)
    return maps[6:8] + weight_b * maps[8:10] + weight_c * maps[10:12]
