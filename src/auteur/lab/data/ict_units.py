"""Displacement of the 478-point mesh by ICT-FaceKit's expression shapes.

The 468 vertices of the canonical face are put on ICT's average head by the 51 inner iBUG points that both
know (similarity, then a smooth warp); each takes the movement of the skin vertices nearest to it. Movement is
in millimetres of the canonical head: x to the picture's right, y down, z away.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.face.pose import canonical_face
from auteur.lab.data.ict_faces import FaceModel
from auteur.lab.data.motion_windows import mirrored
from auteur.signals.topology import IBUG68, INNER_LIPS, MEDIAPIPE_COUNT

Floats = NDArray[np.floating[Any]]

TO_PICTURE_MM = np.array([10.0, -10.0, -10.0])
"""ICT: centimetres, y up, z out of the face; ours: millimetres, y down, z away."""

_NEAREST = 4
_SMOOTHING = 2.0
_SOFTENING_MM = 0.5
_LIP_STEP_MM = 1.5
"""Distance from the lip line at which the edges of the lips are searched: nearer, the other lip is taken."""


def similarity(source: Floats, target: Floats) -> tuple[float, Floats, Floats]:
    """Returns scale, rotation and shift that take points [N, 3] to points (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    handed = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ handed @ vt
    scale = float((s * np.diag(handed)).sum() / (a**2).sum())
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


class Correspondence:
    """Positions of the canonical face's vertices on ICT's average head.

    Args:
        model: ICT-FaceKit.
        landmark_vertices: Its vertex for each of the 68 iBUG points.
    """

    def __init__(self, model: FaceModel, landmark_vertices: list[int]) -> None:
        neutral = model.neutral * TO_PICTURE_MM
        mesh, known = canonical_face(), np.array(IBUG68)
        targets = neutral[landmark_vertices]
        inner = np.arange(17, 68)  # the two marks put the jaw line in different places
        scale, rotation, shift = similarity(mesh[known[inner]], targets[inner])
        placed = scale * mesh @ rotation.T + shift
        anchors = placed[known[inner]]
        kernel = np.linalg.norm(anchors[:, None] - anchors[None], axis=2)
        weights = np.linalg.solve(kernel - _SMOOTHING * np.eye(len(inner)), targets[inner] - anchors)
        placed = placed + np.linalg.norm(placed[:, None] - anchors[None], axis=2) @ weights
        upper, lower = list(INNER_LIPS[1:10]), list(INNER_LIPS[11:])
        placed[upper, 1] -= _LIP_STEP_MM
        placed[lower, 1] += _LIP_STEP_MM
        skin = np.flatnonzero(model.is_part("skin") & (neutral[:, 2] < 0))
        distance = np.linalg.norm(placed[:, None] - neutral[skin][None], axis=2)
        order = np.argsort(distance, axis=1)[:, :_NEAREST]
        nearest = np.take_along_axis(distance, order, axis=1)
        share = 1 / (nearest + _SOFTENING_MM)
        self.model = model
        self.vertices = skin[order]
        """[468, 4]: the nearest skin vertices."""
        self.shares = share / share.sum(axis=1, keepdims=True)
        """[468, 4]: weight of each of them."""
        self.to_canonical = 1 / scale
        """Canonical millimetres per millimetre of ICT."""
        self.distance_mm = nearest[:, 0]
        """[468]: to the nearest of them."""

    def on_mesh(self, points: Floats) -> Floats:
        """Returns points or movement of ICT's vertices [V, 3] in cm transferred to the mesh, [468, 3] mm."""
        picked = points[self.vertices] * TO_PICTURE_MM * self.to_canonical
        return np.einsum("vnd,vn->vd", picked, self.shares)

    def movement(self, shapes: Mapping[str, float]) -> Floats:
        """Returns the movement [478, 3] of weighted shapes, made alike on both sides; irises stay.

        Args:
            shapes: Weight by name; a name without a side stands for its _L and _R shapes.

        Raises:
            KeyError: ICT has no such shape.
        """
        names = self.model.expression_names
        total = np.zeros((MEDIAPIPE_COUNT, 3))
        for name, weight in shapes.items():
            found = [i for i, known in enumerate(names) if known in (name, f"{name}_L", f"{name}_R")]
            if not found:
                raise KeyError(name)
            total[:468] += weight * self.on_mesh(self.model.expression_deltas[found].sum(axis=0))
        return (total + mirrored(total[None])[0]) / 2
