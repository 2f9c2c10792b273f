r"""Recipe: the displacement basis of the Action Units, from measured motion and a face model.

    auteur train au-basis --shards SHARDS --ict ict_facekit.npz --indices ict_vertex_indices.json \
        --out RUN

People in clips seldom reach the height of a unit, and many units move together: the ridge regression of that
is weak, and for rare units wrong. ICT-FaceKit's shapes are full expressions by artists; `PARTS` sets the
shares of both in a unit. Without the face model every unit is fitted to people in the clips, with movement
set by hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.face.pose import canonical_face
from auteur.facs import ACTION_UNITS, CONTROLS
from auteur.lab.data.ict_faces import load_ict
from auteur.lab.data.ict_units import Correspondence
from auteur.lab.data.motion_windows import MotionClip, mirrored, read_clips
from auteur.lab.data.shards import Corpora
from auteur.lab.train.model_recipe import save_half
from auteur.motion.au_basis import BASIS_UNITS, AUBasis
from auteur.motion.mouth import with_lip_gap
from auteur.signals import topology

Floats = NDArray[np.floating]

_BROWS = (*topology.RIGHT_BROW, *topology.LEFT_BROW)
_EYES = (*topology.RIGHT_EYE, *topology.LEFT_EYE)
_LIPS = (*topology.OUTER_LIPS, *topology.INNER_LIPS)
_TEMPLES = (*topology.FACE_OVAL[:8], *topology.FACE_OVAL[29:])
_FOREHEAD = (9, 8, 107, 336, 66, 296, 105, 334, 63, 293, 70, 300, 108, 337, 69, 299, 104, 333)
_CHEEKS = (50, 101, 117, 118, 119, 205, 36, 280, 330, 346, 347, 348, 425, 266, 111, 340, 116, 345)
_NOSE_SIDES = (129, 98, 48, 115, 220, 131, 198, 358, 327, 278, 344, 440, 360, 420, 6, 197, 195)
_CORNERS = (
    *(61, 185, 40, 146, 91, 78, 191, 95, 205, 207),
    *(291, 409, 270, 375, 321, 308, 415, 324, 425, 427),
)
_CHIN = (17, 18, 200, 199, 175, 152, 148, 377, 83, 313, 201, 421, 208, 428, 32, 262)
_LOWER_FACE = (*_LIPS, *_CHIN, *topology.FACE_OVAL[10:27], 57, 287, 212, 432, 202, 422, 210, 430, 214, 434)
_UPPER_LIP = (*topology.OUTER_LIPS[:11], *topology.INNER_LIPS[:11], 164, 167, 393, 165, 391, 92, 322)

REGIONS: dict[int, tuple[tuple[int, ...], float]] = {
    **dict.fromkeys((1, 2, 4), ((*_BROWS, *_FOREHEAD), 8.0)),
    **dict.fromkeys((5, 7, 45), (_EYES, 4.0)),
    6: (_CHEEKS, 9.0),
    9: (_NOSE_SIDES, 8.0),
    10: (_UPPER_LIP, 8.0),
    **dict.fromkeys((12, 14, 15, 20), (_CORNERS, 11.0)),
    **dict.fromkeys((16, 17, 18, 22, 23, 24, 25, 28), ((*_LIPS, *_CHIN), 9.0)),
    26: (_LOWER_FACE, 12.0),
    34: (_CHEEKS, 11.0),
}
"""Vertices that a unit moves, and the distance in millimetres over which its effect fades around them."""

_PENALTY = 60.0
"""Ridge penalty, in frames at full intensity: a unit with fewer frames is pulled to zero noticeably."""
_LARGEST_MM = 7.0
"""Largest fitted movement of any vertex but the jaw's; beyond it are artefacts of rare units."""

_LEAST_MM = 1e-6
_MIDLINE_MM = 4.0
_UPPER_FACE = (1, 2, 4, 5, 6, 7, 45)
_OFF_MM = 8.0

_CORNER_ABOVE, _CORNER_BELOW = (185, 40, 191, 80), (146, 91, 95, 88)

EXPERT_MM: dict[int, tuple[tuple[tuple[int, ...], tuple[float, float, float], float], ...]] = {
    4: (((55, 107), (0.8, 2.4, 0.0), 7.0),),  # inner ends sink most
    6: (
        ((145, 144, 153, 163), (0.4, -1.6, -0.6), 3.5),  # lower lid
        ((33, 130, 226), (0.5, -0.5, -0.6), 5.0),  # outer corner of the eye
        ((31, 228, 229, 230, 111, 117, 118), (0.7, -2.2, -1.8), 8.0),  # bag under the eye
        ((50, 205, 101, 36), (0.1, -1.8, -2.6), 10.0),  # cheek
        ((206, 216), (-0.6, -1.2, 0.4), 8.0),  # fold beside nose and mouth
    ),
    9: (
        ((107, 55, 9), (0.5, 2.4, -0.3), 8.0),  # inner brows
        ((36, 142, 203, 206, 101), (0.5, -3.0, -1.2), 9.0),  # cheek beside the nose
        ((0, 37, 39, 40, 164, 167, 165, 2), (0.0, -2.4, 0.2), 6.0),  # upper lip
        ((13, 82, 81, 80), (0.0, -1.0, 0.0), 3.0),
        ((231, 232, 233), (0.2, -1.0, -0.3), 5.0),  # under the inner eye
        ((4, 1, 19), (0.0, -1.4, 0.0), 6.0),  # tip of the nose
    ),
    14: (
        ((61, 78, 185, 146), (-3.4, -0.2, 1.5), 7.0),
        (_CORNER_ABOVE, (-0.4, 0.9, 0.8), 3.5),  # lips pressed together beside the corner
        (_CORNER_BELOW, (-0.4, -1.1, 0.8), 3.5),
        ((205, 207, 216), (-0.3, 0.0, 1.2), 8.0),  # dimple
    ),
    17: (
        ((17, 84, 18, 83, 200, 199, 201), (0.0, -3.5, -1.0), 9.0),
        ((0, 37, 39), (0.0, -1.5, -0.5), 6.0),
        ((13, 82, 81, 80, 0, 37, 39), (0.0, -3.0, -0.6), 3.5),  # lips stay shut
    ),
    34: (((132, 58, 172, 215, 138, 213, 192), (-4.0, 0.0, 0.0), 13.0),),  # outline of the cheek
}
"""Expert movement of units that people in the clips hardly show, added to the fitted one: vertices of the
right side, their movement in millimetres (x to the picture's right, y down, z away), and how far it fades."""


@dataclass(frozen=True)
class Parts:
    """Sources of a unit: factors on the fitted movement, the one set by hand, and ICT's shapes."""

    fitted: float = 0.0
    """Factor on the fitted movement; over 1 where people in the clips do not reach the height of the unit."""
    by_hand: float = 0.0
    ict: Mapping[str, float] = field(default_factory=dict[str, float])
    gap_mm: float | None = None
    """Lip gap of the unit in mm; None: as it results. Speech opens the mouth."""


PARTS: dict[int, Parts] = {
    1: Parts(2.0),
    2: Parts(1.8),
    4: Parts(1.0, 1.0, {"browDown": 1.0}),
    5: Parts(1.0, ict={"eyeWide": 0.35}),
    6: Parts(0.8, 0.5, {"cheekSquint": 0.35, "cheekRaiser": 0.35}),
    7: Parts(0.6, ict={"eyeSquint": 1.5}),
    9: Parts(0.4, 0.8, {"noseSneer": 0.7}, gap_mm=1.0),
    10: Parts(0.12, ict={"mouthUpperUp": 0.9, "noseSneer": 0.35}),
    12: Parts(0.5, ict={"mouthSmile": 0.75}, gap_mm=0.0),
    14: Parts(0.4, 1.0, {"mouthDimple": 0.7}),
    15: Parts(0.3, ict={"mouthFrown": 1.0}),
    16: Parts(0.5, ict={"mouthLowerDown": 0.6}),
    17: Parts(0.6, 0.75, {"mouthShrugLower": 0.3}),
    18: Parts(0.8, ict={"mouthPucker": 0.45}),
    20: Parts(0.1, ict={"mouthStretch": 1.2, "mouthDimple": 0.7}),
    22: Parts(ict={"mouthFunnel": 1.0}),
    23: Parts(1.0, ict={"mouthPress": 0.6}),
    24: Parts(0.8, ict={"mouthPress": 1.6, "mouthRollUpper": 0.15, "mouthRollLower": 0.15}),
    25: Parts(1.0),
    26: Parts(1.3),
    28: Parts(ict={"mouthRollUpper": 1.0, "mouthRollLower": 1.0}),
    34: Parts(by_hand=1.0, ict={"cheekPuff": 0.8}),
    45: Parts(1.0),
}
"""Every unit at intensity 1, the strongest that a person can show (FACS E). Heights were set so that
MediaPipe's blendshapes match on warped portraits where they respond (`benchmarks/amplitudes.py`), the others
by eye."""


@dataclass(frozen=True)
class AUBasisRecipe:
    """Paths of the data."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    ict: Path | None = None
    """`ict_facekit.npz`; needs `indices`."""
    indices: Path | None = None
    """`ict_vertex_indices.json`: ICT's vertices of the iBUG points."""


def region_weight(number: int) -> Floats:
    """Returns the mask of a unit per vertex [478], 1 in its region, fading to 0 around it."""
    vertices, fade_mm = REGIONS[number]
    mesh = canonical_face()
    distance = np.linalg.norm(mesh[:, None] - mesh[list(vertices)][None], axis=2).min(axis=1)
    weight = np.zeros(topology.MEDIAPIPE_COUNT)
    weight[:468] = np.exp(-((distance / fade_mm) ** 2))
    if number in (1, 2, 4):  # brows are not lids
        eyes = np.linalg.norm(mesh[:, None] - mesh[list(_EYES)][None], axis=2).min(axis=1)
        weight[:468] *= 1 - np.exp(-((eyes / 4.0) ** 2))
    return weight


def kept_off(number: int) -> Floats:
    """Returns the mask of a face model's shape for a unit per vertex [478]: 0 on the other half.

    Units of the upper face leave the lips alone, those of the mouth lids, brows and temples; a wrinkled nose
    (AU9) pulls at all.
    """
    weight = np.ones(topology.MEDIAPIPE_COUNT)
    if number == 9:
        return weight
    mesh = canonical_face()
    others = _LIPS if number in _UPPER_FACE else (*_EYES, *_BROWS, *_TEMPLES)
    distance = np.linalg.norm(mesh[:, None] - mesh[list(others)][None], axis=2).min(axis=1)
    weight[:468] = 1 - np.exp(-((distance / _OFF_MM) ** 2))
    return weight


def expert_movement() -> Floats:
    """Returns the movement set by hand for every basis unit, [units, 478, 3] mm, both sides alike."""
    mesh = canonical_face()
    movement = np.zeros((len(BASIS_UNITS), topology.MEDIAPIPE_COUNT, 3))
    for number, parts in EXPERT_MM.items():
        for vertices, shift_mm, fade_mm in parts:
            for sign in (1, -1):  # the right side, then its mirror image
                centers = mesh[list(vertices)] * [sign, 1, 1]
                distance = np.linalg.norm(mesh[:, None] - centers[None], axis=2).min(axis=1)
                side = 1 / (1 + np.exp(sign * mesh[:, 0] / _MIDLINE_MM))
                weight = np.exp(-((distance / fade_mm) ** 2)) * side
                movement[BASIS_UNITS.index(number), :468] += weight[:, None] * np.multiply(
                    shift_mm, [sign, 1, 1]
                )
    return movement


def both_sides(controls: Floats) -> Floats:
    """Returns the mean of the sides of every basis unit [T, units] from "facs" values [T, C]."""
    columns = [[CONTROLS.index(c) for c in ACTION_UNITS[number].controls] for number in BASIS_UNITS]
    return np.stack([controls[:, column].mean(1) for column in columns], axis=1)


def fit(clips: list[MotionClip]) -> Floats:
    """Returns the cleaned basis [units, 478, 3]: symmetric, each unit in its own region."""
    units = np.concatenate([both_sides(clip.controls) for clip in clips]).astype(np.float64)
    motion = np.concatenate([clip.displacement_mm for clip in clips]).astype(np.float64)
    motion = (motion + mirrored(motion)) / 2  # units are means of both sides, so is the motion
    rows = motion.reshape(len(motion), -1)
    gram = units.T @ units
    slopes = np.linalg.solve(gram + _PENALTY * np.eye(len(gram)), units.T @ rows)
    weights = np.stack([region_weight(number) for number in BASIS_UNITS])
    basis = slopes.reshape(len(BASIS_UNITS), -1, 3) * weights[..., None]
    largest = np.linalg.norm(basis, axis=2).max(axis=1)
    limit = np.where(np.array(BASIS_UNITS) == 26, np.inf, _LARGEST_MM)
    return basis * np.minimum(1, limit / np.maximum(largest, _LEAST_MM))[:, None, None]


def fit_opening(clips: list[MotionClip]) -> Floats:
    """Returns the displacement [478, 3] per millimetre of lip gap."""
    motion = np.concatenate([clip.displacement_mm for clip in clips]).astype(np.float64)
    motion = (motion + mirrored(motion)) / 2
    gap = motion[:, 14, 1] - motion[:, 13, 1]
    slope = np.einsum("t,tpc->pc", gap, motion) / (gap @ gap) * region_weight(26)[:, None]
    return slope / (slope[14, 1] - slope[13, 1])


def blended(fitted: Floats, by_hand: Floats, opening: Floats, found: Correspondence) -> Floats:
    """Returns the basis [units, 478, 3], its sources combined by `PARTS`.

    Args:
        fitted: [units, 478, 3] mm.
        by_hand: [units, 478, 3] mm.
        opening: Movement per millimetre of lip gap, [478, 3].
        found: Transfers ICT's shapes to the mesh.
    """
    basis = np.zeros_like(fitted)
    for number, parts in PARTS.items():
        place = BASIS_UNITS.index(number)
        shape = found.movement(parts.ict) * kept_off(number)[:, None]
        unit = parts.fitted * fitted[place] + parts.by_hand * by_hand[place] + shape
        if parts.gap_mm is not None:
            unit = with_lip_gap(unit[None], np.array([parts.gap_mm]), opening)[0]
        basis[place] = unit
    return basis


def train(recipe: AUBasisRecipe) -> None:
    """Fits the basis on training people and writes it.

    Raises:
        UsageError: The face model is given without its indices, or the other way round.
    """
    if (recipe.ict is None) != (recipe.indices is None):
        raise UsageError("--ict and --indices belong together; give both or neither")
    recipe.data.refuse_mix("a fit counts every clip")
    clips = [clip for clip in read_clips(recipe.data, speech=None) if clip.part == "train"]
    fitted, by_hand, opening = fit(clips), expert_movement(), fit_opening(clips)
    basis = fitted + by_hand
    if recipe.ict is not None and recipe.indices is not None:
        vertices = json.loads(recipe.indices.read_text(encoding="utf-8"))["idx_to_landmark_verts"]
        found = Correspondence(load_ict(recipe.ict), vertices)
        basis = blended(fitted, by_hand, opening, found)
    model = AUBasis()
    model.basis.copy_(torch.from_numpy(basis.astype(np.float32)))
    model.opening.copy_(torch.from_numpy(opening.astype(np.float32)))
    save_half(model, recipe.out)
