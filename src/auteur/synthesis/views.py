"""Views of a compact denoiser: squares that are fixed to the skull, so that teeth do not move in them.

A view is a square of so many millimetres around a point of the canonical head, upright with the head. The
pose comes from landmarks that expressions hardly move (`auteur.face.pose`): an open jaw does not drag it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.face.crops import CropFrame
from auteur.face.pose import canonical_face, head_pose

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class View:
    """A square of the head."""

    around: tuple[int, ...]
    """Vertices of the canonical head whose mean is near its middle."""
    lower_mm: float
    """How far below that mean its middle is."""
    side_mm: float


VIEWS = {
    "mouth": View(around=(13, 14, 61, 291), lower_mm=6.0, side_mm=92.0),
    "eyes": View(around=(33, 133, 362, 263), lower_mm=-6.0, side_mm=108.0),
}


def view_frames(landmarks: Floats, view: str) -> list[CropFrame]:
    """Returns the square of each frame of landmarks [T, 478, 3] px.

    Raises:
        UsageError: No such view.
    """
    if view not in VIEWS:
        raise UsageError(f"no view {view!r}; choose one of {', '.join(VIEWS)}")
    wanted, pose = VIEWS[view], head_pose(landmarks)
    middle = canonical_face()[list(wanted.around)].mean(0) + np.array([0.0, wanted.lower_mm, 0.0])
    centres = pose.scale[:, None] * (pose.rotation @ middle) + pose.shift
    across = pose.rotation[:, :2, 0]  # the head's x axis in the picture
    rolls = np.arctan2(across[:, 1], across[:, 0])
    return [
        CropFrame((float(x), float(y)), float(wanted.side_mm * scale), float(roll))
        for (x, y, _), scale, roll in zip(centres, pose.scale, rolls, strict=True)
    ]
