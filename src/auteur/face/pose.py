"""Head pose: the rigid motion between a canonical head and 478 landmarks, and the face with it taken out.

The canonical head is MediaPipe's canonical face model (Apache-2.0, `canonical_face.csv`): 468 vertices in
centimetres, x to the subject's left, y up, z towards the camera. Landmarks use x right, y down, z away; both
frames are right-handed once y and z are negated, and the subject's left is the picture's right.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from auteur.signals.topology import RIGID_VERTICES

Floats = NDArray[np.floating]


@cache
def canonical_face() -> NDArray[np.float64]:
    """Returns the canonical head [468, 3] in millimetres, in picture axes (x right, y down, z away)."""
    text = resources.files("auteur.face").joinpath("canonical_face.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()))[1:]
    return np.array(rows, dtype=np.float64) * np.array([10.0, -10.0, -10.0])


def _mirror() -> NDArray[np.intp]:
    mesh = canonical_face()
    turned = mesh * np.array([-1.0, 1.0, 1.0])
    squares = (np.square(mesh[:, None, axis] - turned[:, axis]) for axis in range(3))
    nearest = sum(squares, np.zeros(())).argmin(axis=1)
    irises = [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]
    return np.concatenate([nearest, irises])


MIRROR = _mirror()
"""[478]: the vertex on the other side of the face."""


@dataclass(frozen=True, eq=False)
class HeadPose:
    """`landmarks = scale * canonical @ rotation.T + shift`, for one frame or for T frames at once."""

    rotation: Floats
    """[..., 3, 3], in picture axes."""
    scale: Floats
    """[...]: pixels per millimetre."""
    shift: Floats
    """[..., 3]: position of the canonical origin, in pixels; z relative."""

    @property
    def angles_rad(self) -> Floats:
        """[..., 3]: pitch (+ nose up), yaw (+ head turned to the subject's left), roll (+ to the left).

        Taken from `rotation = X(-pitch) Y(-yaw) Z(roll)` in picture axes.
        """
        r = self.rotation
        pitch = np.arctan2(r[..., 1, 2], r[..., 2, 2])
        yaw = -np.arcsin(np.clip(r[..., 0, 2], -1, 1))
        roll = np.arctan2(-r[..., 0, 1], r[..., 0, 0])
        return np.stack([pitch, yaw, roll], axis=-1)


def head_pose(landmarks: Floats) -> HeadPose:
    """Returns the pose of landmarks [..., 478, 3] px (Umeyama 1991 on the vertices that hardly move)."""
    rigid = list(RIGID_VERTICES)
    source, target = canonical_face()[rigid], np.asarray(landmarks, dtype=np.float64)[..., rigid, :]
    source_mean, target_mean = source.mean(0), target.mean(-2, keepdims=True)
    centred, moved = source - source_mean, target - target_mean
    covariance = np.swapaxes(moved, -1, -2) @ centred  # [..., 3, 3]
    u, singular, vt = np.linalg.svd(covariance)
    handed = np.ones_like(singular)
    handed[..., 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * handed[..., None, :]) @ vt
    scale = (singular * handed).sum(-1) / (centred**2).sum()
    shift = target_mean[..., 0, :] - scale[..., None] * (rotation @ source_mean)
    return HeadPose(rotation, scale, shift)


def without_pose(landmarks: Floats, pose: HeadPose | None = None) -> Floats:
    """Returns landmarks [..., 478, 3] px turned back to the camera, in millimetres of the canonical head."""
    pose = head_pose(landmarks) if pose is None else pose
    centred = np.asarray(landmarks, dtype=np.float64) - pose.shift[..., None, :]
    return centred @ pose.rotation / pose.scale[..., None, None]


def with_pose(face: Floats, pose: HeadPose) -> Floats:
    """Returns a face [..., 478, 3] in canonical millimetres posed in the picture; inverts `without_pose`."""
    turned = np.asarray(face) @ np.swapaxes(pose.rotation, -1, -2)
    return turned * pose.scale[..., None, None] + pose.shift[..., None, :]


def rotation_of(angles_rad: Floats) -> Floats:
    """Returns the rotation [..., 3, 3] of pitch, yaw, roll [..., 3]: the inverse of `HeadPose.angles_rad`."""
    pitch, yaw, roll = np.moveaxis(np.asarray(angles_rad, dtype=np.float64), -1, 0)
    return _about(0, -pitch) @ _about(1, -yaw) @ _about(2, roll)


def _about(axis: int, angle: Floats) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., axis, axis] = 1
    matrix[..., i, i] = matrix[..., j, j] = cos
    matrix[..., i, j], matrix[..., j, i] = -sin, sin
    return matrix
