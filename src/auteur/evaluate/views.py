"""Videos in the form of the measures: a fixed square around the face, at one rate, and its tracking."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FaceError
from auteur.face import crops
from auteur.face.action_units import Neutral, action_units, neutral_by_region
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceBackend, FaceReading
from auteur.face.crops import CropFrame
from auteur.face.smoothing import smooth_readings
from auteur.face.tracker import FaceTracker
from auteur.media import VideoReader
from auteur.signals import AUTrack

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]

SCAN_RATE = Fraction(2)
"""Frames per second that are tracked to place the crop."""

SCAN_SEC = 60
ROOM = 1.1
"""Side of the crop, in extents of the face's path through the video."""


@dataclass(frozen=True, eq=False)
class Observation:
    """Readings of the tracker in T frames; NaN rows where it finds no face."""

    landmarks: Floats
    """[T, 478, 3] px."""
    blendshapes: Floats
    """[T, 52] in [0, 1]."""
    rate: Fraction

    @property
    def seen(self) -> NDArray[np.bool_]:
        """[T]: whether there is a face."""
        return np.isfinite(self.landmarks[:, 0, 0])

    @property
    def face_rate(self) -> float:
        """Share of frames with a face."""
        return float(self.seen.mean())

    def neutral(self) -> Neutral:
        """Returns the person at rest, from the calmest frames.

        Raises:
            FaceError: No frame has a face.
        """
        if not self.seen.any():
            raise FaceError("no face in any frame; Action Units cannot be measured")
        return neutral_by_region(self.landmarks[self.seen], self.blendshapes[self.seen])

    def action_units(self, neutral: Neutral) -> AUTrack:
        """Returns the Action Units [T, units and sides], convention "facs"; NaN where there is no face."""
        filled = np.flatnonzero(self.seen)
        track = action_units(
            self.landmarks[filled], self.blendshapes[filled], rate=self.rate, neutral=neutral
        )
        values = np.full((len(self.landmarks), len(track.channels)), np.nan, dtype=np.float32)
        values[filled] = track.values
        return track.replace(values=values)


def observation_of(readings: Iterable[FaceReading | None], rate: Fraction) -> Observation:
    """Returns readings as arrays, jitter averaged out as `auteur track` does."""
    smooth = list(smooth_readings(readings))
    landmarks = np.full((len(smooth), 478, 3), np.nan)
    blendshapes = np.full((len(smooth), 52), np.nan)
    for row, reading in enumerate(smooth):
        if reading is not None:
            landmarks[row], blendshapes[row] = reading.landmarks, reading.blendshapes
    return Observation(landmarks, blendshapes, rate)


def observe(pictures: Iterable[Picture], rate: Fraction, backend: FaceBackend | None = None) -> Observation:
    """Returns the readings of the tracker (the shipped one unless given) in pictures [H, W, 3]."""
    tracker = FaceTracker(AuteurBackend() if backend is None else backend)
    return observation_of(tracker.track(pictures), rate)


def face_crop(video: Path, backend: FaceBackend, *, crop_to_face: float) -> CropFrame:
    """Returns one upright square for a whole video: the path of the face with a margin.

    The square lies inside the picture; where the face is too large for that, it is as large as fits.

    Raises:
        FaceError: The first minute shows no face.
        MediaError: The video cannot be read.
    """
    boxes: list[tuple[float, float, float]] = []
    tracker = FaceTracker(backend)
    with VideoReader(video) as reader:
        size_px = reader.size_px
        for frame in reader.frames_at(SCAN_RATE):
            if frame.index >= SCAN_SEC * SCAN_RATE:
                break
            reading = tracker.step(frame.image)
            if reading is not None:
                boxes.append((*reading.center_px, reading.size_px))
    if not boxes:
        raise FaceError(tracker.problem(video.name))
    x, y, size = np.array(boxes).T
    reach = max(np.ptp(x), np.ptp(y)) + ROOM * float(size.max())
    wanted = max(crop_to_face * float(np.median(size)), reach)
    return square_inside(((x.min() + x.max()) / 2, (y.min() + y.max()) / 2), wanted, size_px)


def square_inside(center_px: tuple[float, float], side_px: float, size_px: tuple[int, int]) -> CropFrame:
    """Returns the square around a point, made smaller and moved until it lies inside the picture."""
    side = min(side_px, *size_px)
    center = [
        float(np.clip(c + 0.5, side / 2, length - side / 2)) - 0.5
        for c, length in zip(center_px, size_px, strict=True)
    ]
    return CropFrame((center[0], center[1]), float(side))


def scaled(frame: CropFrame, factor: float) -> CropFrame:
    """Returns the same square in the same video at `factor` times the size."""
    x, y = frame.center_px
    return CropFrame(((x + 0.5) * factor - 0.5, (y + 0.5) * factor - 0.5), frame.side_px * factor)


def cropped_frames(video: Path, frame: CropFrame, *, size_px: int, rate: Fraction) -> Iterator[Picture]:
    """Yields the square of a video at the times 0, 1/rate, 2/rate, …: uint8 [size, size, 3]."""
    with VideoReader(video) as reader:
        for shown in reader.frames_at(rate):
            yield crops.cropped(shown.image, frame, size_px)
