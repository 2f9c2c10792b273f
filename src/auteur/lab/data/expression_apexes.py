"""The apex of each emotion: the prototypes of `auteur.facs`, or the faces of people.

Few people in the footage show an emotion fully, and their means shrink because they differ: a mean of anger
that half of the people mix with worry is worried. So the apex is the prototype that every route shows, and
the dynamics around it come from people. FLAME vectors have no prototypes; there both come from people.

Axes: E numbers per expression.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auteur.expression.space import CompactExpressionSpace
from auteur.facs import EMOTIONS, prototype
from auteur.lab.data.expression_tracks import ExpressionClip
from auteur.motion.au_basis import AUBasis

Floats = NDArray[np.floating]

_FULLY_SHOWN = 0.6
_LEAST_STRENGTH = 0.3
_APEX_QUANTILE = 0.8
"""Quantile of the sizes of people's own faces: size of an apex without a prototype."""


def textbook_vectors(space: CompactExpressionSpace, basis: AUBasis) -> dict[str, Floats]:
    """Returns every emotion at strength 1 as a vector [E] of the space: its prototype by the basis.

    Args:
        space: The compact space.
        basis: What each Action Unit does to the mesh.
    """
    shown = {emotion: basis.displacement(prototype(emotion, convention="facs")) for emotion in EMOTIONS[1:]}
    return {emotion: space.encode(moved[None])[0] for emotion, moved in shown.items()}


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
) -> dict[str, Floats]:
    """Returns the apex of each emotion relative to neutral speech, [E]; none for one without a source.

    Args:
        clips: Graded (`expression_windows.graded`), of training people; they count without a textbook, each
            person as one unit vector.
        calm: Mean of people who speak neutrally, [E].
        sizes: Of each number, [E]; 0 leaves it out of account.
        textbook: Vectors of `textbook_vectors`, or None.
    """
    if textbook is not None:
        return dict(textbook)
    found: dict[str, Floats] = {}
    for emotion in EMOTIONS[1:]:
        people = _by_person(clips, calm, emotion)
        if people:
            way = np.mean([_unit(vector, sizes) for vector in people], axis=0)
            height = float(np.quantile([size_of(vector, sizes) for vector in people], _APEX_QUANTILE))
            found[emotion] = _unit(way, sizes) * height
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
