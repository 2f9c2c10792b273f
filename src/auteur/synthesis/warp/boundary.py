"""Rings of control points around the face: hair, ears and neck follow the head, the background stays."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from auteur.signals.topology import FACE_OVAL
from auteur.synthesis.warp.mesh import CHIN_TIP, FOREHEAD_TOP
from auteur.synthesis.warp.pose import HeadMotion
from auteur.synthesis.warp.sampling import smooth_step

# Ring positions: up to 1 inside the part that moves with the head, from 1 to 2 in the part where motion
# fades.
_RING_LEVELS = (0.5, 1.0, 1.15, 1.35, 1.6, 1.8, 2.0)
# Reach of hair, ears and neck beyond the oval, and width of the fade, in face heights: top, side,
# bottom.
_HEAD_REACH = (0.42, 0.16, 0.02)
_FADE_WIDTH = (0.6, 0.55, 0.8)
# How far the outline of hair and ears lies behind the oval, as a share of the way to the ears' depth.
_BACKWARDS = (0.8, 0.25, 0.0)
_DEFORMATION_REACH = (0.25, 0.3, 0.6)


@dataclass(frozen=True, kw_only=True)
class BoundaryControlPoints:
    """Control points around one portrait's face.

    Attributes:
        points: Positions in the portrait, pixels and depth, [P, 3]; P = rings x 36, from the oval
            outwards.
        follows_head: Share of the head's rigid motion that each takes, 0 to 1, [P, 1].
        follows_skin: Share of the deformation of its oval vertex that each takes, 0 to 1, [P, 1].
        triangles: Between the oval (vertices 0 to 467) and the points (from 468 on), int64 [T, 3].
    """

    points: Tensor
    follows_head: Tensor
    follows_skin: Tensor
    triangles: Tensor

    def move(self, motion: HeadMotion, source: Tensor, target: Tensor) -> Tensor:
        """Returns the points [P, 3] for target landmarks [478, 3]."""
        oval = torch.tensor(FACE_OVAL, device=source.device)
        deformation = target[oval] - motion.apply(source[oval])
        deformation = deformation.repeat(len(_RING_LEVELS), 1)
        rigid = motion.apply(self.points) - self.points
        return self.points + self.follows_head * rigid + self.follows_skin * deformation


def build_boundary(landmarks: Tensor, width_px: int, height_px: int) -> BoundaryControlPoints:
    """Returns the control points for landmarks [478, 3] in a picture of the given size."""
    oval = landmarks[torch.tensor(FACE_OVAL, device=landmarks.device)]
    centre = oval[:, :2].mean(0)
    up = landmarks[FOREHEAD_TOP, :2] - landmarks[CHIN_TIP, :2]
    face_height_px = up.norm().clamp(min=1.0)
    direction = torch.nn.functional.normalize(oval[:, :2] - centre, dim=-1)
    upness = direction @ (up / face_height_px)
    room = _distance_to_border(oval[:, :2], direction, width_px, height_px)
    reach = torch.minimum(_by_direction(upness, _HEAD_REACH) * face_height_px, 0.4 * room)
    fade = torch.minimum(_by_direction(upness, _FADE_WIDTH) * face_height_px, room - reach)
    deformation_reach = _by_direction(upness, _DEFORMATION_REACH) * face_height_px
    back, backness = landmarks[:, 2].max(), _by_direction(upness, _BACKWARDS)
    points, follows_head, follows_skin = [], [], []
    for level in _RING_LEVELS:
        inner, outer = min(level, 1.0), max(level - 1.0, 0.0)
        distance = inner * reach + outer * fade
        depth = oval[:, 2] + inner * backness * (back - oval[:, 2])
        points.append(torch.cat([oval[:, :2] + direction * distance[:, None], depth[:, None]], dim=-1))
        follows_head.append(torch.full_like(distance, 1.0 - smooth_step(torch.tensor(outer)).item()))
        fades = 1.0 - smooth_step(distance / deformation_reach)
        follows_skin.append(fades * follows_head[-1])
    return BoundaryControlPoints(
        points=torch.cat(points),
        follows_head=torch.cat(follows_head)[:, None],
        follows_skin=torch.cat(follows_skin)[:, None],
        triangles=_ring_triangles(len(_RING_LEVELS)).to(landmarks.device),
    )


def _by_direction(upness: Tensor, values: tuple[float, float, float]) -> Tensor:
    """Blends three values, for top, side and bottom, by the cosine to the face's upward axis."""
    top, side, bottom = values
    return side + (top - side) * smooth_step(upness) + (bottom - side) * smooth_step(-1.4 * upness)


def _distance_to_border(points: Tensor, direction: Tensor, width_px: int, height_px: int) -> Tensor:
    """Returns the length of each ray inside the picture, pixels, at least half a pixel."""
    size = torch.tensor([width_px - 1, height_px - 1], dtype=points.dtype, device=points.device)
    steps = torch.where(direction > 0, size - points, points) / direction.abs().clamp(min=1e-6)
    return steps.amin(-1).clamp(min=0.5)


def _ring_triangles(rings: int) -> Tensor:
    count = len(FACE_OVAL)
    loops = [list(FACE_OVAL)] + [[468 + ring * count + i for i in range(count)] for ring in range(rings)]
    triangles = []
    for inner, outer in pairwise(loops):
        for i in range(count):
            j = (i + 1) % count
            triangles += [[inner[i], outer[i], outer[j]], [inner[i], outer[j], inner[j]]]
    return torch.tensor(triangles)
