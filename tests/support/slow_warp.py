"""Slow reference of the warp: float64, one triangle and one pixel after another."""

import torch
from torch import Tensor

from auteur.synthesis.warp.raster import INSIDE_TOLERANCE, SMALLEST_AREA_PX2, Grid


def reference_displacement(source: Tensor, target: Tensor, corners: Tensor, grid: Grid) -> Tensor:
    """Returns the result of `auteur.synthesis.warp.raster.draw_displacement`, float64 [rows, columns, 2].

    For each triangle that faces the camera, in the order given, each grid point inside it gets the offset
    between the barycentric combination of the source corners and its own position.

    Args:
        source: Vertices in the portrait, pixels, [V, 3].
        target: The same vertices in the frame, [V, 3].
        corners: Vertex indices of the triangles in the order to paint, [T, 3].
        grid: Where to evaluate.
    """
    source, target = source[:, :2].double(), target[:, :2].double()
    positions = grid.points(torch.float64, source.device)
    offset = torch.zeros_like(positions)
    for corner in corners.tolist():
        a, b, c = target[corner]
        area = _cross(b - a, c - a)
        if area <= SMALLEST_AREA_PX2:
            continue
        weights = torch.stack(
            [
                _cross(b - positions, c - positions),
                _cross(c - positions, a - positions),
                _cross(a - positions, b - positions),
            ],
            dim=-1,
        )
        weights = weights / area
        inside = (weights >= -INSIDE_TOLERANCE).all(-1)
        offset[inside] = weights[inside] @ source[corner] - positions[inside]
    return offset


def reference_sample(picture: Tensor, positions: Tensor) -> Tensor:
    """Returns colours [3, h, w] of `picture` [3, H, W] at positions [h, w, 2], by cubic convolution.

    Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.75, in
    float64; pixels outside repeat the border.
    """
    _, height, width = picture.shape
    base = positions.floor()
    result = torch.zeros(3, *positions.shape[:2], dtype=torch.float64)
    for row in (-1, 0, 1, 2):
        for column in (-1, 0, 1, 2):
            step = base + torch.tensor([column, row])
            weight = _cubic(positions - step).prod(-1)
            x, y = step[..., 0].long().clamp(0, width - 1), step[..., 1].long().clamp(0, height - 1)
            result += weight * picture.double()[:, y, x]
    return result


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _cubic(distance: Tensor, a: float = -0.75) -> Tensor:
    d = distance.abs()
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))
