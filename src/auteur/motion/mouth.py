"""Rules that protect the lips and lids: they meet when they must, open when they must, and never cross."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auteur.signals.topology import INNER_LIPS, LEFT_EYE, RIGHT_EYE

Floats = NDArray[np.floating]

LIP_PAIRS = tuple((INNER_LIPS[i], INNER_LIPS[20 - i]) for i in range(1, 10))
"""Upper and lower vertices of the inner lips, right to left; 13 and 14 in the middle."""

LID_PAIRS = tuple(tuple((eye[i], eye[16 - i]) for i in range(1, 8)) for eye in (RIGHT_EYE, LEFT_EYE))
"""Upper and lower vertices of the lids: right eye, left eye."""

LEAST_OPENING = 0.5
"""Fraction of the speech's opening that is kept when Action Units press the lips together."""


def lip_gap(face: Floats) -> Floats:
    """Returns the gap of the inner lips [...] of faces or displacements [..., 478, 3], in their unit."""
    return np.asarray(face)[..., 14, 1] - np.asarray(face)[..., 13, 1]


def with_lip_gap(displacement: Floats, gap: Floats, opening: Floats) -> Floats:
    """Returns the displacement [T, 478, 3] moved along `opening` [478, 3] until its lip gap is `gap` [T]."""
    missing = gap - lip_gap(displacement)
    return displacement + missing[:, None, None] * opening


def fused_gap(spoken: Floats, requested: Floats, closure: Floats) -> Floats:
    """Returns the lip gap [T] in mm of speech and Action Units together.

    Gaps add; Action Units that press the lips together leave speech at least half of its opening, so vowels
    stay open; and `closure` multiplies the whole, so lips meet on p, b and m whatever the request.

    Args:
        spoken: Gap of the speech, [T] mm.
        requested: Gap of the Action Units, [T] mm, negative where they close.
        closure: Probability that the lips must meet, 0 to 1.
    """
    fused = np.maximum(spoken + requested, np.minimum(LEAST_OPENING * spoken, spoken))
    return np.where(fused > 0, fused * (1 - closure), fused)


def kept_apart(face: Floats, pairs: Sequence[tuple[int, int]], least: Floats) -> Floats:
    """Returns faces [T, 478, 3] in which no upper vertex is below its lower one: both meet half-way instead.

    Args:
        face: Pose-free, y down.
        pairs: Upper and lower vertices.
        least: Smallest gap of each pair, [pairs]: 0, or the gap of the portrait's own mesh where that is
            less.
    """
    upper, lower = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    crossing = np.maximum(least - (face[:, lower, 1] - face[:, upper, 1]), 0)
    result = np.array(face)
    result[:, upper, 1] -= crossing / 2
    result[:, lower, 1] += crossing / 2
    return result
