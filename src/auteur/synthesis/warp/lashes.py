"""A narrow band along the upper lids that moves with their edge: a blink must not stretch the lashes."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from auteur.synthesis.warp.mesh import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    face_triangles,
)
from auteur.synthesis.warp.pose import HeadMotion

_BAND_WIDTH = 0.05
"""In eye distances."""


@dataclass(frozen=True, kw_only=True)
class LashBand:
    """The far edge of the band, and the face mesh cut along it.

    Attributes:
        points: In the portrait, pixels, [P, 3].
        owners: The vertex of the lid edge that each point follows, [P].
        triangles: The face mesh with the band cut out, int64 [T, 3]; points have the numbers after the other
            vertices.
    """

    points: Tensor
    owners: Tensor
    triangles: Tensor

    def move(self, motion: HeadMotion, source: Tensor, target: Tensor) -> Tensor:
        """Returns the points [P, 3] for target landmarks [478, 3], as far from the lid edge as ever."""
        turned = motion.apply(self.points) - motion.apply(source[self.owners])
        return target[self.owners] + turned


def build_lash_band(landmarks: Tensor, eye_distance_px: float, first_point: int) -> LashBand:
    """Returns the band for landmarks [478, 3], its points numbered from `first_point` on."""
    split: dict[tuple[int, int], int] = {}
    triangles: list[list[int]] = []
    for triangle in face_triangles().tolist():
        triangles += _cut(triangle, split, first_point)
    owners = torch.tensor([lid for lid, _ in split], device=landmarks.device)
    beyond = torch.tensor([other for _, other in split], device=landmarks.device)
    edges = landmarks[beyond] - landmarks[owners]
    share = (_BAND_WIDTH * eye_distance_px / edges[:, :2].norm(dim=-1, keepdim=True).clamp(min=1e-3)).clamp(
        0.05, 0.6
    )
    return LashBand(
        points=landmarks[owners] + share * edges,
        owners=owners,
        triangles=torch.tensor(triangles, device=landmarks.device),
    )


_LID_EDGES = frozenset(RIGHT_EYE_UPPER[1:-1] + LEFT_EYE_UPPER[1:-1])
_CONTOURS = frozenset(RIGHT_EYE_UPPER + RIGHT_EYE_LOWER + LEFT_EYE_UPPER + LEFT_EYE_LOWER)


def _cut(triangle: list[int], split: dict[tuple[int, int], int], first_point: int) -> list[list[int]]:
    """Cuts one triangle where the band's far edge crosses it, and notes the new points in `split`."""
    outline: list[int] = []
    cuts: list[int] = []
    for start, end in zip(triangle, triangle[1:] + triangle[:1], strict=True):
        outline.append(start)
        for lid, other in ((start, end), (end, start)):
            if lid in _LID_EDGES and other not in _CONTOURS:
                cuts.append(split.setdefault((lid, other), first_point + len(split)))
                outline.append(cuts[-1])
    if not cuts:
        return [triangle]
    at = outline.index(cuts[0])
    outline = outline[at:] + outline[:at]
    return [[outline[0], second, third] for second, third in pairwise(outline[1:])]
