"""Action Units of a tracked face, from its blendshapes and its geometry.

MediaPipe's cheekSquint and noseSneer never move and mouthFrown hardly does, so those units are read from the
pose-free geometry instead. Every unit is a clipped linear reading of changes from a neutral face: the
person's own where it is known, the mean neutral face otherwise. The weights are expert judgement, set by
eye on acted emotions; no intensities that could be fitted are published under a permissive licence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.face.pose import MIRROR, without_pose
from auteur.facs import ACTION_UNITS, MEDIAPIPE_BLENDSHAPES, au_track, convert
from auteur.signals import AUTrack

Floats = NDArray[np.floating]

X, Y, Z = 0, 1, 2

MEASURES: dict[str, tuple[tuple[float, int, int], ...]] = {
    "inner_brow_height": ((1, 133, Y), (-0.5, 107, Y), (-0.5, 55, Y)),
    "outer_brow_height": ((1, 33, Y), (-0.5, 70, Y), (-0.5, 105, Y)),
    "brow_to_midline": ((-1, 107, X),),
    "eye_opening": ((1, 145, Y), (-1, 159, Y)),
    "lower_lid_height": ((0.5, 33, Y), (0.5, 133, Y), (-1, 145, Y)),
    "cheek_height": ((0.5, 33, Y), (0.5, 133, Y), (-0.5, 50, Y), (-0.5, 101, Y)),
    "cheek_to_lid": ((0.5, 117, Y), (0.5, 118, Y), (-1, 145, Y)),
    "nose_length": ((0.5, 129, Y), (0.5, 98, Y), (-1, 133, Y)),
    "upper_lip_height": ((1, 2, Y), (-1, 37, Y)),
    "lip_corner_height": ((1, 2, Y), (-1, 61, Y)),
    "lip_corner_drop": ((1, 61, Y), (-0.5, 13, Y), (-0.5, 14, Y)),
    "lip_corner_reach": ((-1, 61, X),),
    "lip_corner_depth": ((1, 61, Z), (-1, 2, Z)),
    "lip_thickness": ((0.5, 13, Y), (-0.5, 0, Y), (0.5, 17, Y), (-0.5, 14, Y)),
    "lip_gap": ((1, 14, Y), (-1, 13, Y)),
    "lower_lip_height": ((1, 2, Y), (-1, 17, Y)),
    "jaw_drop": ((1, 152, Y), (-1, 2, Y)),
}
"""Distances in millimetres of the canonical head, as sums of (factor, vertex, axis); those of the right side
of the face, mirrored for the left. Axes: x to the picture's right, y down, z away."""

SIDED_WEIGHTS: dict[int, Mapping[str, float]] = {
    1: {"browInnerUp": 0.6, "inner_brow_height": 0.07},
    2: {"browOuterUp": 0.6, "outer_brow_height": 0.07},
    4: {"browDown": 0.5, "inner_brow_height": -0.08, "brow_to_midline": -0.10},
    5: {"eyeWide": 1.2, "eye_opening": 0.16, "inner_brow_height": -0.02},
    6: {"cheek_height": 0.10, "lower_lid_height": 0.13},
    7: {"eyeSquint": 0.7, "lower_lid_height": 0.16},
    9: {"nose_length": -0.17, "inner_brow_height": -0.03, "mouthSmile": -0.5},
    10: {"mouthUpperUp": 0.6, "upper_lip_height": 0.08},
    12: {"mouthSmile": 0.7, "lip_corner_height": 0.03, "lip_corner_reach": 0.025},
    14: {
        "mouthDimple": 1.4,
        "lip_corner_depth": 0.05,
        "lip_corner_reach": 0.03,
        "lip_corner_height": -0.02,
        "mouthSmile": -0.3,
    },
    15: {"mouthFrown": 2.0, "lip_corner_drop": 0.16},
    20: {"mouthStretch": 1.4, "lip_corner_reach": 0.06, "lip_corner_height": -0.06, "mouthSmile": -0.2},
    45: {"eyeBlink": 1.0, "eye_opening": -0.05},
}
"""Units read on each side: change of a blendshape (0 to 1, that side's) or of a measure (mm) → intensity."""

CENTRAL_WEIGHTS: dict[int, Mapping[str, float]] = {
    17: {"mouthShrugLower": 2.0, "lower_lip_height": 0.08, "jaw_drop": 0.04},
    23: {"mouthPress": 0.8, "lip_thickness": -0.20},
    25: {"lip_gap": 0.05},
    26: {"jawOpen": 0.7, "jaw_drop": 0.035},
}
"""Units read from both sides together."""

AVERAGE_NEUTRAL_MM: dict[str, float] = {
    "inner_brow_height": 19.9,
    "outer_brow_height": 20.0,
    "brow_to_midline": 15.7,
    "eye_opening": 9.1,
    "lower_lid_height": -2.8,
    "cheek_height": -29.7,
    "cheek_to_lid": 15.3,
    "nose_length": 40.7,
    "upper_lip_height": -15.8,
    "lip_corner_height": -26.1,
    "lip_corner_drop": 0.4,
    "lip_corner_reach": 26.8,
    "lip_corner_depth": 19.7,
    "lip_thickness": 7.9,
    "lip_gap": 3.0,
    "lower_lip_height": -35.0,
    "jaw_drop": 70.7,
}
"""Each measure on the mean neutral face: the mean over 2,875 photographs labelled neutral, but for the two
that a speaking mouth changes (they were photographed talking), which are set for closed lips."""

AVERAGE_NEUTRAL_BLENDSHAPES: dict[str, float] = {
    "browDown": 0.07,
    "browOuterUp": 0.03,
    "eyeBlink": 0.08,
    "eyeSquint": 0.36,
    "mouthPress": 0.03,
}
"""Medians of the blendshapes on the same photographs, both sides together; the others are 0."""


NEUTRAL_SPREAD_MM: dict[str, float] = {
    "inner_brow_height": 2.9,
    "outer_brow_height": 2.7,
    "brow_to_midline": 0.9,
    "eye_opening": 1.8,
    "lower_lid_height": 0.8,
    "cheek_height": 1.5,
    "cheek_to_lid": 1.1,
    "nose_length": 2.2,
    "upper_lip_height": 2.0,
    "lip_corner_height": 2.8,
    "lip_corner_drop": 2.0,
    "lip_corner_reach": 2.3,
    "lip_corner_depth": 2.0,
    "lip_thickness": 1.2,
    "lip_gap": 0.5,
    "lower_lip_height": 4.0,
    "jaw_drop": 4.3,
}
"""Standard deviation of each measure over the same photographs."""


BUILD_AT_MOST = 0.25
"""Largest share of a blendshape at rest that can be the person's anatomy."""

_CLOSEST = 0.05
"""Quantile of the lip gap that counts as closed lips."""

_MOUTH_BLENDSHAPES = ("jaw", "mouth", "cheekPuff")
_MOUTH_MEASURES = ("lip", "upper_lip", "lower_lip", "jaw", "cheek", "nose")


@dataclass(frozen=True)
class Neutral:
    """A face at rest, from which intensities are measured."""

    measures_mm: Floats
    """[2, measures]: right, left."""
    blendshapes: Floats
    """[52]."""
    spread_mm: Floats
    """[measures]: a change up to this size may be the person's anatomy and counts as none."""


def neutral_of(landmarks: Floats, blendshapes: Floats) -> Neutral:
    """Returns the person's own neutral from frames at rest: landmarks [T, 478, 3] px, blendshapes [T, 52]."""
    measures = np.median(_measure(landmarks), axis=0)
    return Neutral(measures, np.median(blendshapes, axis=0), np.zeros(len(MEASURES)))


def neutral_by_region(landmarks: Floats, blendshapes: Floats) -> Neutral:
    """Returns the person's neutral from each region's calmest frames, for footage without a named neutral.

    These are measures and blendshapes; a mesh at rest needs whole frames, which
    `lab.data.motion_tracks.resting_frames` returns.

    Brows and eyes are taken from the tenth of the frames in which their blendshapes add up to the least, the
    mouth from the tenth in which its own do: a mouth that talks is rarely calm when the brows are. What the
    blendshapes have there counts as the person's anatomy up to `BUILD_AT_MOST`: a person who
    smiles throughout is smiling. Lips part from where they come closest, since even a calm mouth is open in
    many a frame.

    Args:
        landmarks: [T, 478, 3] px.
        blendshapes: [T, 52].
    """
    measures, values = _measure(landmarks), np.asarray(blendshapes)
    is_mouth = np.array([name.startswith(_MOUTH_BLENDSHAPES) for name in MEDIAPIPE_BLENDSHAPES])
    is_still = np.array([name.startswith(("_", "eyeLook")) for name in MEDIAPIPE_BLENDSHAPES])
    is_mouth_measure = np.array([name.startswith(_MOUTH_MEASURES) for name in MEASURES])
    mouth = _calmest(values[:, is_mouth])
    upper = _calmest(values[:, ~is_mouth & ~is_still])
    build = np.where(is_mouth, np.median(values[mouth], axis=0), np.median(values[upper], axis=0))
    calm = np.where(is_mouth_measure, np.median(measures[mouth], axis=0), np.median(measures[upper], axis=0))
    gap = list(MEASURES).index("lip_gap")
    calm[:, gap] = np.minimum(calm[:, gap], np.quantile(measures[..., gap], _CLOSEST, axis=0))
    return Neutral(
        calm,
        np.maximum(np.minimum(build, BUILD_AT_MOST), average_neutral().blendshapes),
        np.zeros(len(MEASURES)),
    )


def _calmest(values: Floats) -> NDArray[np.intp]:
    """Returns the tenth of the rows [T, N] that add up to the least."""
    return np.argsort(values.sum(axis=1), kind="stable")[: max(1, len(values) // 10)]


def average_neutral() -> Neutral:
    """Returns the mean neutral face."""
    sides = np.tile([AVERAGE_NEUTRAL_MM[name] for name in MEASURES], (2, 1))
    values = [AVERAGE_NEUTRAL_BLENDSHAPES.get(_without_side(name), 0.0) for name in MEDIAPIPE_BLENDSHAPES]
    return Neutral(sides, np.array(values), np.array([NEUTRAL_SPREAD_MM[name] for name in MEASURES]))


def action_units(
    landmarks: Floats, blendshapes: Floats, *, rate: Fraction, neutral: Neutral | None = None
) -> AUTrack:
    """Returns the Action Units of T frames in the hub convention "facs" (every unit and side, [0, 1]).

    Units that no weight is set for are converted from the blendshapes (`auteur.facs.convert`).

    Args:
        landmarks: [T, 478, 3] in pixels.
        blendshapes: [T, 52] in [0, 1], MediaPipe's order.
        rate: Frames per second.
        neutral: The person at rest; the mean neutral face unless given.
    """
    neutral = average_neutral() if neutral is None else neutral
    arkit = np.clip(_raised(blendshapes, neutral), 0, 1)
    arkit[:, 0] = 0.0  # MediaPipe's _neutral stands where ARKit has tongueOut
    track = convert(au_track(arkit, convention="arkit52", rate=rate), "facs")
    values = np.array(track.values)
    for side, changes in enumerate(_changes(landmarks, blendshapes, neutral)):
        for number, weights in (SIDED_WEIGHTS | CENTRAL_WEIGHTS).items():
            intensity = np.clip(sum(w * changes[name] for name, w in weights.items()), 0, 1)
            controls = ACTION_UNITS[number].controls
            if len(controls) == 2:
                values[:, track.channels.index(controls[1 - side])] = intensity
            else:  # the mean of both sides
                column = track.channels.index(controls[0])
                values[:, column] = intensity if side == 0 else (values[:, column] + intensity) / 2
    return track.replace(values=values)


def _changes(landmarks: Floats, blendshapes: Floats, neutral: Neutral) -> Iterator[dict[str, Floats]]:
    """Yields every measure's and blendshape's change from neutral [T], of the right side, then the left."""
    measures = _measure(landmarks) - neutral.measures_mm  # [T, 2, M]
    measures = np.sign(measures) * np.maximum(np.abs(measures) - neutral.spread_mm, 0)
    raised = _raised(blendshapes, neutral)
    for side, (name, other) in enumerate((("Right", "Left"), ("Left", "Right"))):
        changes: dict[str, Floats] = {measure: measures[:, side, m] for m, measure in enumerate(MEASURES)}
        for column, blendshape in enumerate(MEDIAPIPE_BLENDSHAPES):
            if not blendshape.endswith(other):
                changes[blendshape.removesuffix(name)] = raised[:, column]
        yield changes


def _raised(blendshapes: Floats, neutral: Neutral) -> Floats:
    """Returns blendshapes [T, 52] as shares of what is left of their range above the neutral face."""
    return (blendshapes - neutral.blendshapes) / np.maximum(1 - neutral.blendshapes, 0.2)


def _measure(landmarks: Floats) -> Floats:
    """Returns every measure of the right and the left side, [T, 2, M] in millimetres."""
    right = without_pose(landmarks)
    left = right[:, MIRROR] * np.array([-1.0, 1.0, 1.0])
    sides = [
        [sum(factor * face[:, vertex, axis] for factor, vertex, axis in terms) for terms in MEASURES.values()]
        for face in (right, left)
    ]
    return np.moveaxis(np.array(sides), -1, 0)


def _without_side(name: str) -> str:
    return name.removesuffix("Left").removesuffix("Right")
