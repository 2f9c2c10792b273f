"""Follow one face through a video."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from auteur.errors import FaceError
from auteur.face.backend import FaceBackend, FaceReading, Picture

MOST_TURNED_RAD = math.radians(60)
"""Yaw beyond which one eye is hidden and landmarks are guesses."""


@dataclass(frozen=True)
class Sighting:
    """What was found when the face was looked for, for whoever wants to tell the user."""

    faces: int
    """How many there were."""
    chosen: int
    """Which was taken: 0 is the largest."""


class FaceTracker:
    """Finds a face once and follows it; looks for it again when it is lost.

    Args:
        backend: What reads faces.
        face: Which face to follow when there are several: 0 the largest, 1 the next, …
        on_sighting: Called each time a face is looked for and found.
    """

    def __init__(
        self, backend: FaceBackend, *, face: int = 0, on_sighting: Callable[[Sighting], None] | None = None
    ) -> None:
        self._backend, self._face, self._on_sighting = backend, face, on_sighting
        self._last: FaceReading | None = None
        self._ever: FaceReading | None = None

    def track(self, pictures: Iterable[Picture]) -> Iterator[FaceReading | None]:
        """Yields one reading per picture [H, W, 3], or None where there is no face."""
        for picture in pictures:
            yield self.step(picture)

    def step(self, picture: Picture) -> FaceReading | None:
        """Returns the reading of the next picture."""
        followed = self._backend.follow(picture, self._last) if self._last else None
        self._last = followed or self._find(picture)
        self._ever = self._last or self._ever
        return self._last

    def _find(self, picture: Picture) -> FaceReading | None:
        found = self._backend.find(picture)
        if not found:
            return None
        chosen = min(self._face, len(found) - 1)
        if self._ever is not None:  # the same person as before, if anybody is near where they were
            chosen = min(range(len(found)), key=lambda i: math.dist(found[i].center_px, self._ever.center_px))
        if self._on_sighting:
            self._on_sighting(Sighting(len(found), chosen))
        return found[chosen]


def find_face(backend: FaceBackend, picture: Picture, *, face: int = 0, name: str = "the picture") -> FaceReading:
    """Returns one face of a picture [H, W, 3].

    Args:
        backend: What reads faces.
        picture: RGB.
        face: Which face: 0 the largest, 1 the next, …
        name: What to call the picture in errors.

    Raises:
        FaceError: There is no face, or not that many.
    """
    found = backend.find(picture)
    if not found:
        raise FaceError(f"no face found in {name}; use a picture in which a face of at least 24 px looks at the camera")
    if face >= len(found):
        raise FaceError(f"{name} has {len(found)} faces, so --face must be 0 to {len(found) - 1}, not {face}")
    return found[face]
