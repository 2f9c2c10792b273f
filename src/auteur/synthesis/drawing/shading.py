"""Mesh drawing (RoM): the face mesh as grey clay, lit by one lamp above a fixed camera."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from auteur.signals import topology
from auteur.synthesis.drawing.points import checked_landmarks
from auteur.synthesis.warp.mesh import MESH_VERTICES, face_triangles
from auteur.synthesis.warp.raster import Grid, back_to_front, draw_displacement

LAMP = (0.0, -0.5, -0.85)
"""Direction to the lamp: x right, y down, z away from the camera."""
AMBIENT = 0.1
"""Brightness of skin that the lamp does not reach: black means no face."""
OVERSAMPLING = 2
"""Samples per pixel, each way."""


@cache
def skin_triangles() -> Tensor:
    """Returns the triangles of the mesh that are skin, int64 [T, 3]: eyes and mouth are left open."""
    triangles = face_triangles()
    keep = torch.ones(len(triangles), dtype=torch.bool)
    for rim in (topology.RIGHT_EYE, topology.LEFT_EYE, topology.INNER_LIPS):
        keep &= ~torch.isin(triangles, torch.tensor(rim)).all(1)
    return triangles[keep]


def draw_mesh(landmarks: Tensor, height_px: int, width_px: int) -> Tensor:
    """Returns drawings [..., 3, height_px, width_px], grey, values 0 (no face) to 1 (facing the lamp).

    Lambert shading: brightness is the cosine between the lamp and the surface, interpolated between vertices.
    The camera is orthographic, with the frame of the picture of the landmarks.

    Args:
        landmarks: MediaPipe's, pixels of the drawing (0 is the centre of the first pixel; smaller z is
            nearer), [..., 478, 3].
        height_px: Rows.
        width_px: Columns.

    Raises:
        InputError: The landmarks have another shape or are not finite.
        UsageError: The size is out of range.
    """
    points = checked_landmarks(landmarks, height_px, width_px)[:, :MESH_VERTICES]
    triangles = skin_triangles().to(points.device)
    shade = vertex_shade(points, triangles)
    drawn = [_draw(p, s, triangles, height_px, width_px) for p, s in zip(points, shade, strict=True)]
    grey = torch.stack(drawn) if drawn else points.new_zeros(0, height_px, width_px)
    return grey[:, None].expand(-1, 3, -1, -1).reshape(*landmarks.shape[:-2], 3, height_px, width_px)


def vertex_shade(points: Tensor, triangles: Tensor) -> Tensor:
    """Returns the brightness of every vertex, [N, V], of meshes [N, V, 3]: max(0, n · l), plus some ambient.

    The normal of a vertex is the mean of its triangles', weighted by their area.
    """
    a, b, c = points[:, triangles].unbind(2)
    # Corners run clockwise in the picture, so the product of the edges points away from the camera.
    inward = torch.linalg.cross(b - a, c - a)
    sums = torch.zeros_like(points)
    for corner in range(3):
        sums.index_add_(1, triangles[:, corner], inward)
    normal = -functional.normalize(sums, dim=-1)
    lamp = functional.normalize(torch.tensor(LAMP, dtype=points.dtype, device=points.device), dim=0)
    return AMBIENT + (1 - AMBIENT) * (normal @ lamp).clamp(min=0)


def fine_points(points: Tensor) -> Tensor:
    """Returns points [V, 3] of a drawing in the pixels of its oversampled canvas."""
    plane = OVERSAMPLING * points[:, :2] + (OVERSAMPLING - 1) / 2
    return torch.cat([plane, points[:, 2:]], dim=-1)


def _draw(points: Tensor, shade: Tensor, triangles: Tensor, height_px: int, width_px: int) -> Tensor:
    fine = fine_points(points)
    layer = torch.zeros(len(triangles), dtype=torch.int64, device=points.device)
    order = triangles[back_to_front(fine, triangles, layer)]
    # What is interpolated over the triangles is the brightness, in place of a displacement.
    carried = fine + functional.pad(shade[:, None], (0, 2))
    grid = Grid(
        left_px=0,
        top_px=0,
        step_px=1,
        columns=OVERSAMPLING * width_px,
        rows=OVERSAMPLING * height_px,
    )
    drawn = draw_displacement(carried, fine, order, grid)[..., 0]
    return functional.avg_pool2d(drawn[None], OVERSAMPLING)[0].clamp(0, 1)
