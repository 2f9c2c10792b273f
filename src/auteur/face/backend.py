"""The protocol of face trackers, and their reading of a face."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from auteur.face import crops

Picture = NDArray[np.uint8]
"""RGB, [H, W, 3]."""


@dataclass(frozen=True, eq=False)
class FaceReading:
    """One face in one picture."""

    landmarks: NDArray[np.float32]
    """[478, 3]: x, y in pixels of the picture, z in the same unit, smaller = nearer to the camera."""
    blendshapes: NDArray[np.float32]
    """[52] in [0, 1], in the order of `auteur.facs`' "arkit52"."""
    confidence: float
    """Probability in [0, 1] that this is a face."""

    @property
    def size_px(self) -> float:
        """Larger side of the landmarks' bounding box, in pixels."""
        points = self.landmarks[:, :2]
        return float(np.max(points.max(axis=0) - points.min(axis=0)))

    @property
    def center_px(self) -> tuple[float, float]:
        """Centre of the face, x and y in pixels."""
        return crops.frame_of_landmarks(self.landmarks).center_px


class FaceBackend(Protocol):
    """A face tracker, ours or another. Stateless: the last reading is a parameter."""

    name: str

    def find(self, picture: Picture) -> list[FaceReading]:
        """Returns every face in a picture [H, W, 3], the largest first."""
        ...

    def follow(self, picture: Picture, last: FaceReading) -> FaceReading | None:
        """Returns the face that was at `last` in the frame before, or None when it is lost."""
        ...
