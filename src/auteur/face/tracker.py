"""Follow one face through a video."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from auteur.errors import FaceError, UsageError
from auteur.face.backend import FaceBackend, FaceReading, Picture
from auteur.face.pose import head_pose

MOST_TURNED_RAD = math.radians(60)
"""Yaw beyond which one eye is hidden and landmarks are guesses."""

SMALLEST_FACE_PX = 24
"""Size under which landmarks mean nothing."""


def unusable(reading: FaceReading) -> str | None:
    """Returns why a face cannot be measured, or None when it can."""
    if reading.size_px < SMALLEST_FACE_PX:
        return f"the face is {reading.size_px:.0f} px large; it must have at least {SMALLEST_FACE_PX} px"
    yaw = abs(float(head_pose(reading.landmarks).angles_rad[1]))
    if yaw > MOST_TURNED_RAD:
        degrees, most = math.degrees(yaw), math.degrees(MOST_TURNED_RAD)
        return f"the face is turned away by {degrees:.0f}°; up to {most:.0f}° can be measured"
    return None


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
        backend: Finds and follows faces.
        face: Which face to follow when there are several: 0 the largest, 1 the next, …
        on_sighting: Called each time a face is looked for and found.
    """

    def __init__(
        self, backend: FaceBackend, *, face: int = 0, on_sighting: Callable[[Sighting], None] | None = None
    ) -> None:
        if face < 0:
            raise UsageError(f"face is {face}; it must be 0 (the largest) or more")
        self._backend, self._face, self._on_sighting = backend, face, on_sighting
        self._last: FaceReading | None = None
        self._ever: FaceReading | None = None
        self._problem: str | None = None

    def track(self, pictures: Iterable[Picture]) -> Iterator[FaceReading | None]:
        """Yields one reading per picture [H, W, 3], or None where no face can be measured."""
        for picture in pictures:
            yield self.step(picture)

    def step(self, picture: Picture) -> FaceReading | None:
        """Returns the reading of the next picture, or None where no face can be measured."""
        followed = self._backend.follow(picture, self._last) if self._last else None
        self._last = followed or self._find(picture)
        if self._last is None:
            return None
        self._ever = self._last
        problem = unusable(self._last)
        self._problem = problem or self._problem
        return None if problem else self._last

    def problem(self, name: str) -> str:
        """Returns why nothing was measured in a file called `name`, and what to do."""
        if self._problem:
            return f"{self._problem} (in {name!r}); use a larger picture of a face that looks at the camera"
        return f"no face found in {name!r}; use a picture or video in which a face of at least 24 px is seen"

    def _find(self, picture: Picture) -> FaceReading | None:
        found = self._backend.find(picture)
        if not found:
            return None
        chosen = self._face
        if self._ever is not None:  # the same person as before: whoever is nearest to where they were
            center = self._ever.center_px
            chosen = min(range(len(found)), key=lambda i: math.dist(found[i].center_px, center))
        elif chosen >= len(found):
            raise FaceError(
                f"there are {len(found)} faces, so --face must be 0 to {len(found) - 1}, not {chosen}"
            )
        if self._on_sighting:
            self._on_sighting(Sighting(len(found), chosen))
        return found[chosen]


def find_face(
    backend: FaceBackend, picture: Picture, *, face: int = 0, name: str = "the picture"
) -> FaceReading:
    """Returns one face of a picture [H, W, 3].

    Args:
        backend: Finds and follows faces.
        picture: RGB.
        face: Which face: 0 the largest, 1 the next, …
        name: What to call the picture in errors.

    Raises:
        FaceError: There is no face, not that many, or it cannot be measured.
    """
    tracker = FaceTracker(backend, face=face)
    reading = tracker.step(picture)
    if reading is None:
        raise FaceError(tracker.problem(name))
    return reading
