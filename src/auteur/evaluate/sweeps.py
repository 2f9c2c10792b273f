"""Sweeps: one control at a time is raised on a portrait, and the final frames are measured.

A level is held for `FRAMES_PER_LEVEL` frames. The whole video is tracked and smoothed as `auteur track` does
it, and a level is read in the middle of its frames, where the smoothing covers no other level.

Axis legend: T frames, A units, L levels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FaceError
from auteur.evaluate.control import (
    UNITS,
    cross_talk,
    is_monotonic,
    other_regions,
    rank_correlation,
    unit_intensities,
)
from auteur.evaluate.emotion import PrototypeClassifier, prototype_intensities
from auteur.evaluate.views import Observation
from auteur.face.action_units import neutral_of
from auteur.face.backend import FaceBackend, FaceReading
from auteur.face.smoothing import REACH, smooth_readings
from auteur.face.tracker import FaceTracker
from auteur.facs import ACTION_UNITS, EMOTIONS, au_track, prototype
from auteur.signals import AUTrack

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
FRAMES_PER_LEVEL = 2 * REACH + 1
RATE = Fraction(25)
SWEPT_EMOTIONS = tuple(emotion for emotion in EMOTIONS if emotion != "neutral")


@dataclass(frozen=True)
class Response:
    """Response of one unit, requested at every level."""

    rank_correlation: float
    """Spearman's, of requested and measured intensity."""
    is_monotonic: bool
    own_change: float
    """Of the unit itself, from level 0 to 1."""
    cross_talk: float
    """Mean |change| of the units of other regions."""
    worst_unit: int
    """The unit of another region that changes most."""
    worst_change: float


def staircase(requests: Sequence[dict[str, float]]) -> AUTrack:
    """Returns a track at rest, then with each of `requests` at each level above 0, in turn.

    Args:
        requests: Intensity at level 1 by control of the convention "facs".
    """
    names = [control for unit in ACTION_UNITS.values() for control in unit.controls]
    rows = [np.zeros(len(names))]
    for request in requests:
        full = np.array([request.get(name, 0.0) for name in names])
        rows += [level * full for level in LEVELS[1:]]
    values = np.repeat(np.stack(rows), FRAMES_PER_LEVEL, axis=0).astype(np.float32)
    return au_track(values, convention="facs", rate=RATE)


def unit_staircase() -> AUTrack:
    """Returns the staircase of all 17 units, both sides of each together."""
    return staircase([dict.fromkeys(ACTION_UNITS[unit].controls, 1.0) for unit in UNITS])


def emotion_staircase() -> AUTrack:
    """Returns the staircase of the seven emotions' prototypes."""
    requests = [prototype(emotion, 1.0, convention="facs") for emotion in SWEPT_EMOTIONS]
    return staircase(requests)


def shown_intensities(frames: Iterable[Picture], backend: FaceBackend, *, name: str = "the video") -> Floats:
    """Returns the measured intensities of the steps of a staircase, [steps, 17], relative to the first.

    Args:
        frames: Every frame of the video, `FRAMES_PER_LEVEL` for each step.
        backend: The face tracker.
        name: Name of the video in errors.

    Raises:
        FaceError: The face is lost in a frame.
    """
    readings: list[FaceReading] = []
    for number, reading in enumerate(smooth_readings(FaceTracker(backend).track(frames))):
        if reading is None:
            step = number // FRAMES_PER_LEVEL
            raise FaceError(f"the face is lost in step {step} of {name}; use a portrait seen from the front")
        if number % FRAMES_PER_LEVEL == REACH:
            readings.append(reading)
    seen = Observation(
        np.stack([r.landmarks for r in readings]), np.stack([r.blendshapes for r in readings]), RATE
    )
    rest = neutral_of(seen.landmarks[:1], seen.blendshapes[:1])
    return unit_intensities(seen.action_units(rest))


def levels_of(shown: Floats, place: int) -> Floats:
    """Returns the rows [L, 17] of the `place`-th request, level 0 first."""
    steps = len(LEVELS) - 1
    return shown[[0, *range(1 + steps * place, 1 + steps * (place + 1))]]


def unit_response(unit: int, shown: Floats) -> Response:
    """Returns a unit's response from the measured intensities at each level [L, 17]."""
    own, change = shown[:, UNITS.index(unit)], shown[-1] - shown[0]
    worst = max(other_regions(unit), key=lambda i: abs(change[i]))
    return Response(
        rank_correlation=rank_correlation(np.array(LEVELS), own),
        is_monotonic=is_monotonic(own),
        own_change=float(change[UNITS.index(unit)]),
        cross_talk=cross_talk(change, unit),
        worst_unit=UNITS[worst],
        worst_change=float(change[worst]),
    )


def unit_responses(shown: Floats) -> dict[int, Response]:
    """Returns every unit's response to `unit_staircase` from its measured steps [steps, 17]."""
    return {unit: unit_response(unit, levels_of(shown, i)) for i, unit in enumerate(UNITS)}


@dataclass(frozen=True)
class EmotionResponse:
    """Response of an emotion, requested at every level."""

    rank_correlation: float
    """Spearman's, of level and mean intensity of the prototype's units."""
    is_monotonic: bool
    reached: float
    """Mean intensity of the prototype's units at level 1, as a share of the prototype's."""
    others: float
    """Mean |change| of the units outside the prototype."""
    named: str
    """Prediction of the prototype classifier at level 1."""


def emotion_responses(shown: Floats) -> dict[str, EmotionResponse]:
    """Returns every emotion's response to `emotion_staircase` from its measured steps [steps, 17]."""
    classifier = PrototypeClassifier()
    result: dict[str, EmotionResponse] = {}
    for i, emotion in enumerate(SWEPT_EMOTIONS):
        levels, requested = levels_of(shown, i), prototype_intensities(emotion)
        own = levels[:, requested > 0].mean(axis=1)
        change = levels[-1] - levels[0]
        result[emotion] = EmotionResponse(
            rank_correlation=rank_correlation(np.array(LEVELS), own),
            is_monotonic=is_monotonic(own),
            reached=float((own[-1] - own[0]) / requested[requested > 0].mean()),
            others=float(np.abs(change[requested == 0]).mean()),
            named=classifier.of_intensities(change),
        )
    return result
