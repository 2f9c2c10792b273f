"""Stage "track": faces followed through each shot, and the stretches in which one is seen without a break."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from auteur.face.backend import FaceBackend, FaceReading
from auteur.face.smoothing import smooth_readings
from auteur.face.tracker import FaceTracker
from auteur.lab.corpora import Recording
from auteur.lab.data.motion_tracks import LONGEST_HOLE_SEC, even_frames
from auteur.lab.prepare.frames import Picture, first_frame, pictures_of
from auteur.lab.prepare.options import RATE
from auteur.lab.prepare.shots import shots
from auteur.lab.prepare.stage_timer import StageTimer

Floats = NDArray[np.floating]

LOOK_EVERY = 25
"""Frames between two searches for other people in the picture."""

RIVAL = 0.5
"""Size from which another face counts, as a share of the followed one."""

_LONGEST_HOLE = round(LONGEST_HOLE_SEC * RATE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """One face on an unbroken stretch of one shot, at 25 frames per second."""

    recording: Recording
    key: str
    """The recording's own, or with "--001", "--002", … where it has several stretches."""
    first: int
    """Its first frame, counted from the recording's."""
    landmarks: Floats
    """[T, 478, 3] in pixels of the recording's picture."""
    blendshapes: Floats
    """[T, 52] in [0, 1], MediaPipe's order."""
    seen: float
    """Share of its frames in which the face was measured; the others are bridged."""
    company: float
    """Share of the searches that found another face about as large."""

    @property
    def frames(self) -> int:
        """T."""
        return len(self.landmarks)

    @property
    def start_sec(self) -> Fraction:
        """When it begins, on the clock of the video."""
        return (first_frame(self.recording) + self.first) / RATE

    @property
    def stop_sec(self) -> Fraction:
        """When it ends."""
        return self.start_sec + self.frames / RATE

    @property
    def face_px(self) -> float:
        """Median over frames of the larger side of the landmarks' bounding box."""
        points = self.landmarks[..., :2]
        return float(np.median((points.max(axis=1) - points.min(axis=1)).max(axis=1)))


@dataclass
class _Shot:
    """Readings during one shot."""

    first: int
    tracker: FaceTracker
    readings: list[FaceReading | None] = field(default_factory=list[FaceReading | None])
    looks: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    """Frame of each search for other people, and whether it found one."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Clips of a recording."""

    clips: list[Clip]
    frames: int
    problem: str
    """Reason why no face was measured, where there is no clip."""


def watch(recording: Recording, backend: FaceBackend, timer: StageTimer, *, longest_sec: float) -> Watched:
    """Returns every stretch of a recording with a face, however short; memory holds no pictures.

    Raises:
        MediaError: The video cannot be read.
        InputError: The recording has no picture.
    """
    seen: list[_Shot] = []
    pictures = timer.each("read", pictures_of(recording))
    frames = 0
    for picture, is_cut in timer.each("shots", shots(pictures)):
        if is_cut or not seen:
            seen.append(_Shot(frames, FaceTracker(backend)))
        with timer.stage("track"):
            _look(seen[-1], picture, backend)
        frames += 1
    stretches = [piece for shot in seen for piece in _stretches(shot, longest_sec)]
    numbered = [f"{recording.key}--{number:03d}" for number in range(1, len(stretches) + 1)]
    keys = [recording.key] if len(stretches) == 1 else numbered
    return Watched(
        clips=[_clip(recording, key, *piece) for key, piece in zip(keys, stretches, strict=True)],
        frames=frames,
        problem=seen[0].tracker.problem(recording.video.name),
    )


def _look(shot: _Shot, picture: Picture, backend: FaceBackend) -> None:
    number = len(shot.readings)
    reading = shot.tracker.step(picture)
    shot.readings.append(reading)
    if reading is None or number % LOOK_EVERY:
        return
    others = [
        other
        for other in backend.find(picture)
        if other.size_px >= RIVAL * reading.size_px
        and math.dist(other.center_px, reading.center_px) > RIVAL * reading.size_px
    ]
    shot.looks.append((number, bool(others)))


def _stretches(shot: _Shot, longest_sec: float) -> Iterator[tuple[_Shot, int, int]]:
    """Yields (shot, first, last + 1) of every stretch whose holes are short, the long ones divided evenly."""
    have = [number for number, reading in enumerate(shot.readings) if reading is not None]
    begun = 0
    for place in range(1, len(have) + 1):
        if place < len(have) and have[place] - have[place - 1] <= _LONGEST_HOLE:
            continue
        first, stop = have[begun], have[place - 1] + 1
        begun = place
        parts = math.ceil((stop - first) / (longest_sec * RATE))
        edges = [first + (stop - first) * part // parts for part in range(parts + 1)]
        yield from ((shot, low, high) for low, high in pairwise(edges))


def _clip(recording: Recording, key: str, shot: _Shot, first: int, stop: int) -> Clip:
    readings = list(smooth_readings(shot.readings[first:stop]))
    have = np.array([number for number, reading in enumerate(readings) if reading is not None])
    known = [reading for reading in readings if reading is not None]
    looks = [company for number, company in shot.looks if first <= number < stop]
    return Clip(
        recording=recording,
        key=key,
        first=shot.first + first + int(have[0]),
        landmarks=_bridged(have, np.stack([reading.landmarks for reading in known])),
        blendshapes=_bridged(have, np.stack([reading.blendshapes for reading in known])),
        seen=len(known) / (have[-1] - have[0] + 1),
        company=sum(looks) / len(looks) if looks else 0.0,
    )


def _bridged(have: NDArray[np.integer], values: Floats) -> Floats:
    """Values [N, ...] of frames `have` as [T, ...]: straight lines across the holes."""
    if len(have) == 1:
        return values.astype(np.float64)
    return even_frames(have, values.astype(np.float64), float(RATE))
