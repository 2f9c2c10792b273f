"""Rigid motion of the head, and the limits of motion that a portrait can show."""

from dataclasses import dataclass

import torch
from torch import Tensor

from auteur.signals.topology import RIGID_VERTICES
from auteur.synthesis.warp.mesh import MESH_VERTICES

MAX_TURN_RAD = 0.6
MAX_SCALE = 1.3
MAX_TRAVEL = 1.2
"""Largest move of the head, in eye distances."""
MAX_DEFORMATION = 0.9
"""Largest move of one vertex against the head, in eye distances."""


@dataclass(frozen=True, kw_only=True)
class HeadMotion:
    """A rigid move of the head with a change of size: `target = scale * source @ rotation.T + translation`.

    Attributes:
        scale: Factor of size, scalar.
        rotation: [3, 3].
        translation: Pixels, [3].
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """Returns points [..., 3] after the move."""
        return self.scale * points @ self.rotation.T + self.translation

    def plane(self, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the move of a plane of equal depth: matrix [2, 2] and offset [2], pixels."""
        matrix = self.scale * self.rotation
        return matrix[:2, :2], matrix[:2, 2] * depth + self.translation[:2]


def fit_head_motion(source: Tensor, target: Tensor) -> HeadMotion:
    """Returns the least-squares similarity between the rigid vertices of two sets of landmarks [478, 3].

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991, eq.
    40-42.
    """
    index = torch.tensor(RIGID_VERTICES, device=source.device)
    before, after = source[index], target[index]
    centre_before, centre_after = before.mean(0), after.mean(0)
    before, after = before - centre_before, after - centre_after
    left, singular, right = torch.linalg.svd(after.T @ before)
    sign = torch.ones_like(singular)
    sign[2] = torch.sign(torch.linalg.det(left) * torch.linalg.det(right))
    rotation = (left * sign) @ right
    scale = (singular * sign).sum() / before.square().sum()
    return HeadMotion(
        scale=scale, rotation=rotation, translation=centre_after - scale * rotation @ centre_before
    )


def limit_motion(source: Tensor, target: Tensor, eye_distance_px: float) -> tuple[Tensor, HeadMotion]:
    """Returns the target landmarks [478, 3] within the limits of the warp, and the head motion in them.

    Within the limits the landmarks come back as they are, bit for bit.
    """
    motion = fit_head_motion(source, target)
    allowed = _limit_head(motion, source[:MESH_VERTICES].mean(0), eye_distance_px)
    deformation = target - motion.apply(source)
    size = deformation.norm(dim=-1, keepdim=True)
    limit = MAX_DEFORMATION * eye_distance_px
    if allowed is motion and bool((size <= limit).all()):
        return target, motion
    return allowed.apply(source) + deformation * (limit / size.clamp(min=1e-6)).clamp(max=1.0), allowed


def _limit_head(motion: HeadMotion, centre: Tensor, eye_distance_px: float) -> HeadMotion:
    turn = torch.acos(((motion.rotation.trace() - 1) / 2).clamp(-1, 1))
    travel = motion.apply(centre) - centre
    distance = travel[:2].norm()
    farthest = MAX_TRAVEL * eye_distance_px
    scale = motion.scale.clamp(1 / MAX_SCALE, MAX_SCALE)
    if bool((turn <= MAX_TURN_RAD) & (distance <= farthest) & (scale == motion.scale)):
        return motion
    rotation = motion.rotation
    if bool(turn > MAX_TURN_RAD):
        rotation = _shorten_turn(rotation, turn)
    travel = travel * (farthest / distance.clamp(min=1e-6)).clamp(max=1.0)
    return HeadMotion(scale=scale, rotation=rotation, translation=centre + travel - scale * rotation @ centre)


def _shorten_turn(rotation: Tensor, turn_rad: Tensor) -> Tensor:
    skew = rotation - rotation.T
    length = torch.stack([skew[2, 1], skew[0, 2], skew[1, 0]]).norm().clamp(min=1e-6)
    return torch.linalg.matrix_exp(skew / length * turn_rad.clamp(max=MAX_TURN_RAD))
