"""Linear editing: e(α) = e_neutral + α (e_emotion - e_neutral), frame by frame, for one emotion or several.

Paper B's figure 2 (c) and figure 3, as text: EMOdiffhead, arXiv 2409.07255. The same noise makes the neutral
and the emotional trajectory, so their difference is the edit of the emotion.

Axes: T frames, E numbers per expression, K emotions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.curve import MAX_STRENGTH, NON_NEUTRAL_EMOTIONS
from auteur.expression.space import CompactExpressionSpace
from auteur.signals import LandmarkTrack

Floats = NDArray[np.floating]

LIPS_PARTED = 0
"""Index of the lip gap in the compact space."""
LIPS_SHARE = 1.0
"""Factor on the lip gap that an emotion adds on average: an apex holds its prototype's opening."""
_STRONG_QUANTILE = 0.7
"""Frames at least this far along a person's own direction show the emotion; people warm up and cool down."""


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Trajectories of one noise: the neutral one and the emotional ones."""

    neutral: Floats
    """[T, E]."""
    emotional: Mapping[str, Floats]
    """[T, E] of each emotion at full strength."""
    lips_parted: int | None = LIPS_PARTED
    """Index of the lip gap in the space; None where the jaw is apart from it, as in FLAME."""

    def direction(self, emotion: str) -> Floats:
        """Returns the edit of the emotion at strength 1, [T, E].

        Its lip gap is constant in time: the speech decides when the mouth opens, as the jaw is apart from the
        expression in FLAME.

        Raises:
            UsageError: It was not generated.
        """
        if emotion not in self.emotional:
            raise UsageError(f"no trajectory of {emotion!r} was made; there are {', '.join(self.emotional)}")
        added = self.emotional[emotion] - self.neutral
        if self.lips_parted is not None:
            added[:, self.lips_parted] = LIPS_SHARE * added[:, self.lips_parted].mean()
        return added

    def edited(self, strengths: Floats) -> Floats:
        """Returns e(α) [T, E] for strengths [T, 7] in the order of `NON_NEUTRAL_EMOTIONS`.

        Where every strength is 0 the result is the neutral trajectory to the bit, and it is linear in α.

        Raises:
            UsageError: A strength is outside its range, or of an emotion that was not generated.
        """
        values = checked_strengths(strengths, len(self.neutral))
        result = np.array(self.neutral, dtype=np.float64)
        for column, emotion in enumerate(NON_NEUTRAL_EMOTIONS):
            if values[:, column].any():
                result += values[:, column, None] * self.direction(emotion)
        return result.astype(np.float32)


def checked_strengths(strengths: Floats, frames: int) -> Floats:
    """Returns strengths as float64 [T, 7].

    Raises:
        UsageError: They are of another shape or outside 0 to 1.2.
    """
    values = np.asarray(strengths, dtype=np.float64)
    if values.shape != (frames, len(NON_NEUTRAL_EMOTIONS)):
        raise UsageError(
            f"strengths have shape {list(values.shape)}; they must be [{frames}, {len(NON_NEUTRAL_EMOTIONS)}]"
        )
    if not (
        np.isfinite(values).all() and values.min() >= 0 and values.sum(axis=1).max() <= MAX_STRENGTH + 1e-6
    ):
        raise UsageError(
            f"strengths reach from {values.min():g} to {values.sum(axis=1).max():g}; "
            f"they must be between 0 and {MAX_STRENGTH:g}"
        )
    return values


def subject_direction(
    footage: LandmarkTrack, space: CompactExpressionSpace, *, neutral: Floats | None = None
) -> Floats:
    """Returns one person's direction of an emotion, [E]: the mean of the frames that show it most.

    Args:
        footage: The person, convention "mediapipe478", in the emotion.
        space: The compact space.
        neutral: The same person at rest, landmarks [478, 3]; without it the likely expression counts.

    Raises:
        UsageError: No frame was measured, or the landmarks are of another kind.
    """
    vectors = space.encode_landmarks(footage, neutral=neutral).values
    seen = vectors[np.isfinite(vectors).all(axis=1)]
    if not len(seen):
        raise UsageError("no frame of the footage holds a face; film the person from the front")
    along = seen @ seen.mean(axis=0)
    return seen[along >= np.quantile(along, _STRONG_QUANTILE)].mean(axis=0)


def with_subject(trajectories: Trajectories, emotion: str, direction: Floats) -> Trajectories:
    """Returns the trajectories with a person's own direction of an emotion.

    The direction's mean over time becomes the person's; how it comes and goes stays the generator's. The
    lips' opening stays the generator's as well, since that of footage holds its speech.
    """
    own = np.array(direction, dtype=np.float32)
    added = trajectories.direction(emotion)
    mean = added.mean(axis=0)
    own[LIPS_PARTED] = mean[LIPS_PARTED]
    emotional = dict(trajectories.emotional)
    emotional[emotion] = trajectories.emotional[emotion] + (own - mean)
    return Trajectories(trajectories.neutral, emotional)
