"""Gaze directions from the irises of a tracked face."""

import numpy as np
from numpy.typing import NDArray

from auteur.face.pose import HeadPose, head_pose, without_pose
from auteur.signals import topology

Floats = NDArray[np.floating]

EYEBALL_RADIUS_MM = 12.0
"""Radius of an adult eye, in which the iris turns."""

_EYES = ((topology.RIGHT_IRIS[0], topology.RIGHT_EYE), (topology.LEFT_IRIS[0], topology.LEFT_EYE))


def gaze_directions(landmarks: Floats, pose: HeadPose | None = None) -> Floats:
    """Returns unit vectors [T, 2, 3] (right eye, left eye) in picture axes: x right, y down, z away.

    The iris' offset from the middle between the eye's corners is read as a turn of the eyeball.

    Args:
        landmarks: [T, 478, 3] in pixels.
        pose: Their head pose; None: it is computed.
    """
    pose = head_pose(landmarks) if pose is None else pose
    face = without_pose(landmarks, pose)
    vectors: list[Floats] = []
    for iris, eye in _EYES:
        outer, inner = eye[0], eye[8]
        offset = face[:, iris, :2] - (face[:, outer, :2] + face[:, inner, :2]) / 2  # [T, 2]
        turn = np.clip(offset / EYEBALL_RADIUS_MM, -0.8, 0.8)
        forward = -np.sqrt(np.maximum(1 - (turn**2).sum(-1, keepdims=True), 0.04))
        ahead = np.concatenate([turn, forward], axis=-1)
        ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
        vectors.append(np.einsum("tij,tj->ti", pose.rotation, ahead))
    return np.stack(vectors, axis=1)


def gaze_angles_rad(directions: Floats) -> Floats:
    """Returns mean gaze angles [T, 2] of directions [T, 2, 3]: x (+ to the picture's right), y (+ down)."""
    mean = directions.mean(axis=1)
    return np.stack([np.arctan2(mean[:, 0], -mean[:, 2]), np.arctan2(mean[:, 1], -mean[:, 2])], axis=-1)
