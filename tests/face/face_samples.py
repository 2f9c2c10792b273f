"""A face made of numbers: the canonical head with irises, posed and deformed as a test needs it."""

import numpy as np
from numpy.typing import NDArray

from auteur.face.backend import FaceReading
from auteur.face.pose import HeadPose, canonical_face, rotation_of, with_pose

Floats = NDArray[np.floating]

_IRIS_RADIUS_MM = 5.9
_RIM = np.array([[0, 0, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0]])


def canonical478() -> Floats:
    """[478, 3] in millimetres, picture axes, eyes looking ahead."""
    face = canonical_face()
    irises = [
        (face[outer] + face[inner]) / 2 + _IRIS_RADIUS_MM * _RIM for outer, inner in ((33, 133), (263, 362))
    ]
    return np.concatenate([face, *irises])


def posed(
    face: Floats,
    *,
    angles_rad: tuple[float, float, float] = (0, 0, 0),
    scale: float = 1.0,
    shift=(200, 150, 0),
) -> Floats:
    """[478, 3] in pixels."""
    pose = HeadPose(rotation_of(np.array(angles_rad)), np.array(scale), np.array(shift, dtype=float))
    return with_pose(face, pose)


def reading(landmarks: Floats, blendshapes: Floats | None = None, confidence: float = 1.0) -> FaceReading:
    values = np.zeros(52) if blendshapes is None else blendshapes
    return FaceReading(landmarks.astype(np.float32), values.astype(np.float32), confidence)
