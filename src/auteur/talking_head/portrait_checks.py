"""The face of a portrait, and warnings about what limits its quality (docs/portraits.md)."""

import math
from dataclasses import replace

import numpy as np

from auteur.errors import FaceError
from auteur.face.backend import FaceBackend, FaceReading, Picture
from auteur.face.pose import canonical_face, head_pose, without_pose
from auteur.face.tracker import FaceTracker, Sighting
from auteur.motion.mouth import LIP_PAIRS
from auteur.motion.portrait import LID_PAIRS
from auteur.motion.portrait_expression import portrait_expression
from auteur.signals.topology import INNER_LIPS, OUTER_LIPS

SMALL_PX = 64
"""Size of a face under which lips are a few pixels high and teeth none."""
MOST_OUTSIDE = 0.1
"""Share of the landmarks beyond the picture's edges up to which there is no warning."""
TURNED_DEG, TILTED_DEG = 30.0, 25.0
"""Yaw and pitch from which part of the mouth or of an eye is guessed; beyond 60° of yaw heads are refused."""
WIDE_OPEN_MM = 18.0
"""Lip gap from which closing the mouth visibly draws out the skin below."""
BIG_EYES_MM = 12.5
"""Gap between the lids from which the tracker finds them inside a drawn eye; people's are 7 to 12 mm."""
SHUT = 0.5
"""Closure of an eye in `portrait_expression` from which there is a warning that it stays closed."""
UNSTEADY, COVERED = 0.025, 0.045
"""Distance between readings of the lips in several framings, in eye distances: from the first on there is a
warning, from the second on the portrait is refused if the upper half of the face is steadier.
docs/portraits.md has how often either happens."""
STEADIER = 1.5
"""How much steadier the upper half of the face must be for a mouth to be covered rather than badly seen."""

_LIPS = OUTER_LIPS + INNER_LIPS
_NOSE_TIP = 1
_OTHER_FRAMINGS = (
    (0.10, -0.07, 1.15, 0.1),
    (-0.10, 0.08, 0.9, -0.12),
    (0.0, -0.13, 1.3, 0.15),
    (0.07, 0.13, 1, -0.2),
)
"""Shift right and down in sizes of the face, scale, turn in radians."""


def read_portrait(
    backend: FaceBackend, picture: Picture, *, face: int = 0, name: str = "the portrait"
) -> tuple[FaceReading, tuple[str, ...]]:
    """Returns one face of a portrait [H, W, 3], and a sentence about each thing that limits its quality.

    Args:
        backend: The face tracker.
        picture: RGB.
        face: Which face: 0 the largest, 1 the next, …
        name: Name of the picture in errors.

    Raises:
        FaceError: There is no face, not that many, it is too small or turned away too far, or its mouth is
            covered.
    """
    sightings: list[Sighting] = []
    tracker = FaceTracker(backend, face=face, on_sighting=sightings.append)
    reading = tracker.step(picture)
    if reading is None:
        raise FaceError(tracker.problem(name))
    notes = [
        f"{seen.faces} faces: animating number {seen.chosen}; choose another with --face"
        for seen in sightings
        if seen.faces > 1
    ]
    posed = _pose_notes(reading)
    notes += [*_place_notes(reading, picture), *posed, *_expression_notes(reading)]
    lips, others = unsteadiness(backend, picture, reading)
    if lips > COVERED and lips > STEADIER * others:
        raise FaceError(
            f"the mouth in {name!r} cannot be made out (lips are read {lips:.3f} eye distances apart, at "
            f"most {COVERED:g} will do); use a picture that shows it from the front, with nothing before it"
        )
    if lips > UNSTEADY and not posed:
        notes.append(
            "the mouth is hard to make out (a hand, a microphone, a beard, blur?): what is before it moves "
            "with the lips"
        )
    return reading, tuple(notes)


def unsteadiness(backend: FaceBackend, picture: Picture, reading: FaceReading) -> tuple[float, float]:
    """Returns how far lips and upper half of the face move, in eye distances, when read in other framings.

    Visible parts are found at the same place in every framing; covered parts are guessed and move with it.
    """
    points = np.asarray(reading.landmarks, dtype=np.float64)
    upper = np.flatnonzero(canonical_face()[:, 1] < canonical_face()[_NOSE_TIP, 1])
    moved: list[tuple[float, float]] = []
    for right, down, larger, turn in _OTHER_FRAMINGS:
        other = np.array(points)
        middle = points[:, :2].mean(axis=0)
        cos, sin = larger * math.cos(turn), larger * math.sin(turn)
        other[:, :2] = (points[:, :2] - middle) @ np.array([[cos, sin], [-sin, cos]]) + middle
        other[:, :2] += np.array([right, down]) * reading.size_px
        again = backend.follow(picture, replace(reading, landmarks=other.astype(np.float32)))
        if again is not None:
            away = np.linalg.norm((again.landmarks - points)[:, :2], axis=1)
            moved.append((float(away[list(_LIPS)].mean()), float(away[upper].mean())))
    if not moved:
        return math.inf, math.inf
    lips, others = np.mean(moved, axis=0) / max(float(np.linalg.norm(points[263, :2] - points[33, :2])), 1e-3)
    return float(lips), float(others)


def _place_notes(reading: FaceReading, picture: Picture) -> list[str]:
    notes: list[str] = []
    if reading.size_px < SMALL_PX:
        notes.append(
            f"the face is {reading.size_px:.0f} px large: lips and eyes stay coarse; from about "
            f"{2 * SMALL_PX} px on they are clear"
        )
    size = np.array([picture.shape[1], picture.shape[0]])
    points = reading.landmarks[:, :2]
    outside = float(((points < -0.5) | (points > size - 0.5)).any(axis=1).mean())
    if outside > MOST_OUTSIDE:
        notes.append(f"{100 * outside:.0f} % of the face lie outside the picture, whose edge stays still")
    return notes


def _pose_notes(reading: FaceReading) -> list[str]:
    pitch, yaw, _ = np.degrees(head_pose(reading.landmarks).angles_rad)
    if abs(yaw) > TURNED_DEG:
        return [
            f"the head is turned by {abs(yaw):.0f}°: the far side of the face is guessed; up to 25° is best"
        ]
    if abs(pitch) > TILTED_DEG:
        way = "back" if pitch > 0 else "down"
        return [f"the head is tilted {way} by {abs(pitch):.0f}°: lips are foreshortened; up to 20° is best"]
    return []


def _expression_notes(reading: FaceReading) -> list[str]:
    notes: list[str] = []
    neutral = without_pose(reading.landmarks)
    eyes = portrait_expression(reading.landmarks, reading.blendshapes).eyes_shown
    gap_mm = max(float(neutral[lower, 1] - neutral[upper, 1]) for upper, lower in LIP_PAIRS)
    if gap_mm > WIDE_OPEN_MM:
        notes.append(
            f"the mouth is wide open ({gap_mm:.0f} mm): closing it draws out the skin below; a picture with "
            "closed lips comes out better"
        )
    lids_mm = max(float(neutral[lower, 1] - neutral[upper, 1]) for eye in LID_PAIRS for upper, lower in eye)
    if lids_mm > BIG_EYES_MM:
        notes.append(
            f"the eyes are larger than people's (lids {lids_mm:.0f} mm apart): a crescent may stay when they "
            "close; --no-blinks keeps them open"
        )
    shut = [side for side, shown in zip(("right", "left"), eyes, strict=True) if shown < SHUT]
    if len(shut) == 2:
        notes.append("the eyes are closed and stay so: what is behind the lids is not known")
    elif shut:
        notes.append(f"the {shut[0]} eye is closed and stays so: what is behind its lid is not known")
    return notes
