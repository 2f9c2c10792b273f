"""The apex of each emotion, from EMFACS on a face model's shapes and from people.

Few people in the footage show an emotion fully, and their means shrink because they differ. So the direction
of an apex comes from people and EMFACS together, its size from EMFACS alone.

Axes: E numbers per expression.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.expression.space import CompactExpressionSpace
from auteur.facs import EMOTIONS
from auteur.lab.data.expression_tracks import ExpressionClip

Floats = NDArray[np.floating]

TEXTBOOK: dict[str, tuple[float, dict[str, float]]] = {
    "happy": (
        5.4,
        {"mouthSmile": 0.75, "mouthUpperUp": 0.1, "mouthDimple": 0.2}
        | {"cheekSquint": 0.55, "cheekRaiser": 0.3},
    ),
    "sad": (
        3.2,
        {"browInnerUp": 1.0, "browDown": 0.4, "eyeSquint": 0.3, "mouthFrown": 1.0, "mouthShrugLower": 0.3},
    ),
    "angry": (
        3.8,
        {"browDown": 1.5, "eyeWide": 0.35, "eyeSquint": 0.55, "cheekSquint": 0.1, "noseSneer": 0.22}
        | {"mouthPress": 0.5, "mouthFrown": 0.4, "mouthRollUpper": 0.15},
    ),
    "fear": (
        4.2,
        {"browInnerUp": 1.0, "browOuterUp": 0.2, "browDown": 0.5, "eyeWide": 1.0}
        | {"mouthStretch": 0.85, "jawOpen": 0.15},
    ),
    "disgusted": (
        4.6,
        {"noseSneer": 0.9, "browDown": 0.5, "eyeSquint": 0.4, "cheekSquint": 0.4, "mouthFrown": 0.4},
    ),
    "surprised": (
        3.9,
        {"browInnerUp": 0.8, "browOuterUp": 0.6, "eyeWide": 0.9, "jawOpen": 0.35},
    ),
    "contempt": (
        4.0,
        {"mouthSmile_R": 0.45, "mouthDimple_R": 0.9, "mouthPress_R": 0.4, "mouthRight": 0.1}
        | {"eyeSquint_R": 0.3, "cheekSquint_R": 0.2},
    ),
}
"""EMFACS (Friesen & Ekman, 1983) in ICT-FaceKit's shapes: size of each emotion's displacement (root mean
square over vertices, mm; people at MEAD's level 3 move by 2.4 to 4.9), and the shapes in proportion; a name
without a side stands for its _L and _R shapes. Sizes and proportions are ours, set by eye on portraits that
no figure is measured on."""
SOURCE_SHARES = {"clips": 0.25, "photos": 0.15, "textbook": 0.6}
"""Weight of each source in the direction of an apex."""
_FEW_PEOPLE = 2.0
"""Number of people in clips of an emotion at which clips count half: a few people are not representative."""
_FULLY_SHOWN = 0.6
_LEAST_STRENGTH = 0.3
_APEX_QUANTILE = 0.8
"""Quantile of the sizes of people's own faces: size of an apex without an entry in EMFACS."""


def textbook_vectors(space: CompactExpressionSpace, shapes: Mapping[str, Floats]) -> dict[str, Floats]:
    """Returns `TEXTBOOK` as a vector [E] of the space for every emotion.

    Args:
        space: The compact space.
        shapes: Displacement [478, 3] in mm of every shape of the face model, by name.

    Raises:
        InputError: The face model lacks a shape.
    """
    found: dict[str, Floats] = {}
    for emotion, (size_mm, mix) in TEXTBOOK.items():
        moved = np.zeros((1, space.vertices, 3))
        for name, weight in mix.items():
            sides = [name] if name in shapes else [f"{name}_L", f"{name}_R"]
            if not all(side in shapes for side in sides):
                raise InputError(f"the face model has no shape {name!r}; give ICT-FaceKit's npz")
            moved += weight * sum(shapes[side] for side in sides)
        vector = space.encode(moved)[0]
        found[emotion] = vector * size_mm / size_of(vector, jaw_apart(space.weights_mm()))
    return found


def jaw_apart(sizes_mm: Floats) -> Floats:
    """Returns the sizes [E] of numbers with the first, the lip gap's, set to 0: the jaw is the speech's."""
    sizes = np.array(sizes_mm)
    sizes[0] = 0
    return sizes


def size_of(vector: Floats, sizes: Floats) -> float:
    """Returns the size of a vector [E], in the unit of `sizes` [E]."""
    return float(np.linalg.norm(vector * sizes))


def apexes(
    clips: Sequence[ExpressionClip],
    calm: Floats,
    sizes: Floats,
    *,
    textbook: Mapping[str, Floats] | None = None,
    photos: Mapping[str, Floats] | None = None,
) -> dict[str, Floats]:
    """Returns the apex of each emotion relative to neutral speech, [E]; none for one without a source.

    Every source counts as one unit vector, every person of the clips alike.

    Args:
        clips: Graded (`expression_windows.graded`), of training people.
        calm: Mean of people who speak neutrally, [E].
        sizes: Of each number, [E]; 0 leaves it out of account.
        textbook: Vectors of `textbook_vectors`, or None.
        photos: Photographs at strength 1, [N, E] of each emotion, or None.
    """
    found: dict[str, Floats] = {}
    for emotion in EMOTIONS[1:]:
        people = _by_person(clips, calm, emotion)
        sources: dict[str, Floats] = {}
        shares = SOURCE_SHARES | {"clips": SOURCE_SHARES["clips"] * len(people) / (len(people) + _FEW_PEOPLE)}
        if people:
            sources["clips"] = np.mean([_unit(vector, sizes) for vector in people], axis=0)
        if photos is not None and len(photos[emotion]):
            sources["photos"] = photos[emotion].mean(axis=0)
        if textbook is not None:
            sources["textbook"] = textbook[emotion]
        if not sources:
            continue
        mixed = sum(shares[name] * _unit(vector, sizes) for name, vector in sources.items())
        wanted = (
            float(np.quantile([size_of(vector, sizes) for vector in people], _APEX_QUANTILE))
            if textbook is None
            else size_of(textbook[emotion], sizes)
        )
        found[emotion] = _unit(np.asarray(mixed), sizes) * wanted
    return found


def _by_person(clips: Sequence[ExpressionClip], calm: Floats, emotion: str) -> list[Floats]:
    """Difference of each person from neutral, [E] each, at strength 1."""
    people: dict[str, list[Floats]] = {}
    for clip in clips:
        if clip.emotion == emotion and clip.intensity > _FULLY_SHOWN:
            added = (clip.vectors.mean(axis=0) - calm) / max(clip.intensity, _LEAST_STRENGTH)
            people.setdefault(clip.person, []).append(added)
    return [np.mean(own, axis=0) for own in people.values()]


def _unit(vector: Floats, sizes: Floats) -> Floats:
    return vector / max(size_of(vector, sizes), 1e-9)
