"""Slow reference of the drawings: float64, one line or triangle after another over all pixels."""

import torch
from torch import Tensor

from auteur.synthesis.drawing.lines import COVERAGE_STEPS
from auteur.synthesis.drawing.shading import OVERSAMPLING, fine_points, skin_triangles, vertex_shade
from auteur.synthesis.drawing.strokes import line_width_px, segment_colours, segments
from auteur.synthesis.warp.mesh import MESH_VERTICES
from auteur.synthesis.warp.raster import Grid, back_to_front
from support.slow_warp import reference_displacement


def reference_lines(landmarks: Tensor, height_px: int, width_px: int) -> Tensor:
    """Returns the drawing of `draw_lines` for one frame [478, 3], float64 [3, height_px, width_px]."""
    half = 0.5 * line_width_px(height_px, width_px)
    points = landmarks[:, :2].double()
    rows, columns = torch.arange(height_px).double(), torch.arange(width_px).double()
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    coverage = torch.zeros(height_px, width_px, dtype=torch.float64)
    drawn = torch.zeros(height_px, width_px, 3, dtype=torch.float64)
    for (start, end), colour in zip(points[segments()], segment_colours().double(), strict=True):
        along = end - start
        share = ((pixels - start) @ along / (along @ along).clamp(min=1e-12)).clamp(0, 1)
        distance = (pixels - start - share[..., None] * along).norm(dim=-1)
        covered = ((half + 0.5 - distance).clamp(0, 1) * COVERAGE_STEPS).round() / COVERAGE_STEPS
        nearer = covered >= coverage
        coverage = torch.where(nearer, covered, coverage)
        drawn = torch.where(nearer[..., None], covered[..., None] * colour, drawn)
    return drawn.permute(2, 0, 1)


def reference_mesh(landmarks: Tensor, height_px: int, width_px: int) -> Tensor:
    """Returns the drawing of `draw_mesh` for one frame [478, 3], float64 [3, height_px, width_px]."""
    points, triangles = landmarks[:MESH_VERTICES].double(), skin_triangles()
    shade = vertex_shade(points[None], triangles)[0]
    fine = fine_points(points)
    order = triangles[back_to_front(fine, triangles, torch.zeros(len(triangles), dtype=torch.int64))]
    carried = fine.clone()
    carried[:, 0] += shade
    size = (OVERSAMPLING * height_px, OVERSAMPLING * width_px)
    grid = Grid(left_px=0, top_px=0, step_px=1, columns=size[1], rows=size[0])
    drawn = reference_displacement(carried, fine, order, grid)[..., 0]
    blocks = drawn.reshape(height_px, OVERSAMPLING, width_px, OVERSAMPLING)
    return blocks.mean((1, 3)).clamp(0, 1).expand(3, -1, -1)
