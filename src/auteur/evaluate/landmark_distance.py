"""Landmark distances M-LMD and F-LMD as the public EAT scorer defines them (Gan et al. 2023)."""

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.signals.topology import IBUG68

Floats = NDArray[np.floating]

MOUTH = slice(48, 68)
"""The mouth's 20 of the 68 iBUG points."""


def ibug68(landmarks: Floats) -> Floats:
    """Returns the 68 iBUG points [..., 68, 2] of mesh landmarks [..., 478, 2 or 3]."""
    return np.asarray(landmarks)[..., list(IBUG68), :2]


def landmark_distance(generated: Floats, reference: Floats) -> Floats:
    """Returns the mean distance of two sets of points [T, N, 2], each centred by its own mean: [T].

    The unit is that of the points: pixels of a 256 × 256 crop in published tables. Nothing is scaled, so
    the value grows with the picture, and a face that only moves as a whole is not off.
    """
    _check(generated, reference)
    return np.linalg.norm(_centred(generated) - _centred(reference), axis=-1).mean(axis=-1)


def mouth_landmark_distance(generated: Floats, reference: Floats) -> Floats:
    """Returns M-LMD [T] of iBUG points [T, 68, 2]: the 20 mouth points, centred by their own mean."""
    return landmark_distance(generated[..., MOUTH, :], reference[..., MOUTH, :])


def face_landmark_distance(generated: Floats, reference: Floats) -> Floats:
    """Returns F-LMD [T] of iBUG points [T, 68, 2]: all 68, centred by their own mean."""
    return landmark_distance(generated, reference)


def landmark_velocity_distance(generated: Floats, reference: Floats) -> Floats:
    """Returns the distance of the motion between frames, [T - 1], of points [T, N, 2]: velocity form."""
    _check(generated, reference)
    moved = np.diff(_centred(generated), axis=0) - np.diff(_centred(reference), axis=0)
    return np.linalg.norm(moved, axis=-1).mean(axis=-1)


def _centred(points: Floats) -> Floats:
    points = np.asarray(points, dtype=np.float64)
    return points - points.mean(axis=-2, keepdims=True)


def _check(generated: Floats, reference: Floats) -> None:
    if np.shape(generated) != np.shape(reference) or np.ndim(generated) != 3:
        raise UsageError(
            f"points of shape {np.shape(generated)} and {np.shape(reference)} cannot be compared; "
            "give two arrays [frames, points, 2]"
        )
