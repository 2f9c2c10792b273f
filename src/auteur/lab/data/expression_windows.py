"""Training windows of the expression generator: sampling weights, and courses for photographs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auteur.expression.generator.network import LABELS
from auteur.expression.generator.speech_cues import cues_of
from auteur.expression.space import CompactExpressionSpace
from auteur.facs import EMOTIONS
from auteur.lab.data.expression_tracks import ExpressionClip, Photographs
from auteur.lab.data.motion_windows import mirrored
from auteur.lab.data.random_windows import RandomWindows

Floats = NDArray[np.floating]

WINDOW_FRAMES = 48
SHARES = {"emotional": 0.6, "neutral": 0.2, "unlabelled": 0.2}
SOURCE_WEIGHTS = {"clips": 0.4, "photos": 0.35, "textbook": 0.25}
"""Probability of each source of an emotion; that of a missing source goes to the others."""
STRONG_QUANTILE = 0.85
"""Quantile of the photographs of an emotion that has strength 1."""
WEAKEST = 0.25
"""Strength below which a labelled face is not used for its emotion: many acted clips
smile."""
_RIDGE = 0.05


@dataclass(frozen=True, eq=False)
class Peaks:
    """Static faces of one emotion: difference of a trajectory's mean from neutral speech."""

    photos: Floats
    """[N, E]; N may be 0."""
    strengths: Floats
    """[N] in (0, 1]."""
    textbook: Floats
    """[E]: EMFACS, at strength 1 (`auteur.lab.data.expression_apexes`)."""


def photo_vectors(photos: Photographs, space: CompactExpressionSpace) -> dict[str, Floats]:
    """Returns the vectors [N, E] of the photographs of each emotion.

    The mean of an emotion counts whole, since people average out of it; the deviation of a photograph from
    the mean counts as far as it is likelier expression than anatomy (`CompactExpressionSpace.share`).
    """
    raw = space.encode(photos.faces_mm - space.average.numpy())
    labels, share = np.array(photos.emotions), space.share.numpy()
    found: dict[str, Floats] = {}
    for emotion in EMOTIONS[1:]:
        rows = raw[labels == emotion]
        mean = rows.mean(axis=0) if len(rows) else np.zeros(raw.shape[1])
        found[emotion] = mean + (rows - mean) @ share.T
    return found


def neutral_mean(clips: Sequence[ExpressionClip]) -> Floats:
    """Returns the mean vector [E] of people who speak neutrally, each with equal weight; 0 without any."""
    people: dict[str, list[Floats]] = {}
    for clip in clips:
        if clip.emotion == "neutral":
            people.setdefault(clip.person, []).append(clip.vectors.mean(axis=0))
    if not people:
        return np.zeros(clips[0].vectors.shape[1])
    return np.mean([np.mean(own, axis=0) for own in people.values()], axis=0)


def graded(
    clips: Sequence[ExpressionClip], photos: Mapping[str, Floats], textbook: Mapping[str, Floats]
) -> tuple[list[ExpressionClip], dict[str, Peaks]]:
    """Returns clips and peaks with strengths along their emotion.

    Along the mean of an emotion's sources, in units in which neutral speech moves as far every way. Levels
    that a data set states stay; strength 1 of the others is that of strong photographs. What is weaker than
    `WEAKEST` loses its label.
    """
    calm = neutral_mean(clips)
    moving = (
        np.concatenate([c.vectors for c in clips if c.emotion in (None, "neutral")] or [calm[None]]) - calm
    )
    spread = moving.T @ moving / len(moving)
    metric = np.linalg.inv(spread + _RIDGE * np.trace(spread) / len(spread) * np.eye(len(spread)))
    result = [clip for clip in clips if clip.emotion in (None, "neutral")]
    peaks: dict[str, Peaks] = {}
    for emotion in EMOTIONS[1:]:
        own = [clip for clip in clips if clip.emotion == emotion]
        stated = [c.vectors.mean(axis=0) - calm for c in own if c.is_graded]
        rows = photos[emotion]
        groups = [np.mean(group, axis=0) for group in (stated, rows, textbook[emotion][None]) if len(group)]
        mean = np.mean(groups, axis=0)
        along = metric @ mean / (mean @ metric @ mean)
        strong = max(float(np.quantile(rows @ along, STRONG_QUANTILE)), 1.0) if len(rows) else 1.0
        for clip in own:
            strength = float((clip.vectors.mean(axis=0) - calm) @ along) / strong
            if clip.is_graded:
                result.append(clip)
            elif strength < WEAKEST:
                result.append(replace(clip, emotion=None, intensity=1.0))
            else:
                result.append(replace(clip, intensity=min(strength, 1.0)))
        strengths = rows @ along / strong
        kept = strengths >= WEAKEST
        peaks[emotion] = Peaks(rows[kept], np.minimum(strengths[kept], 1.0), textbook[emotion])
    return result, peaks


def mirror_matrix(space: CompactExpressionSpace) -> Floats:
    """Returns [E, E]: a vector times it is the mirrored face's."""
    return space.encode(mirrored(space.decode(np.eye(space.coefficients, dtype=np.float32))))


class ExpressionWindows(RandomWindows):
    """An endless stream of batches.

    Args:
        clips: Of training people.
        peaks: Static faces of every emotion, or None (FLAME vectors have none).
        mirror: [E, E], or None to leave faces as they are.
        batch_size: Windows per batch.
        seed: Of the order.
        shares: Of the corpora (`Corpora.shares`); a row's corpus is drawn first.
    """

    def __init__(
        self,
        clips: Sequence[ExpressionClip],
        *,
        peaks: Mapping[str, Peaks] | None,
        mirror: Floats | None,
        batch_size: int,
        seed: int,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(batch_size, seed)
        self._peaks, self._mirror = peaks, mirror
        self._calm = neutral_mean(clips)
        self._all = [clip for clip in clips if len(clip.vectors) >= WINDOW_FRAMES // 2]
        self._shares = shares
        self._draw_from(self._all)

    def _draw_from(self, clips: list[ExpressionClip]) -> None:
        self._clips = clips
        self._by_emotion = {
            emotion: [clip for clip in self._clips if clip.emotion == emotion] for emotion in EMOTIONS
        }
        self._unlabelled = [clip for clip in self._clips if clip.emotion is None]

    def _window(self) -> dict[str, np.ndarray]:
        if self._shares is not None:
            corpus = str(self.random.choice(list(self._shares), p=list(self._shares.values())))
            self._draw_from([clip for clip in self._all if clip.corpus == corpus])
            if len(self._unlabelled) == len(self._clips):
                return self._cut(self._of_a_person(self._clips), "unlabelled", 1.0)
        draw = self.random.random()
        if draw < SHARES["unlabelled"] and self._unlabelled:
            return self._cut(self._of_a_person(self._unlabelled), "unlabelled", 1.0)
        if draw < SHARES["unlabelled"] + SHARES["neutral"] and self._by_emotion["neutral"]:
            clip = self._of_a_person(self._by_emotion["neutral"])
            return self._cut(clip, str(self.random.choice(LABELS)), 0.0)
        return self._emotional(str(self.random.choice(EMOTIONS[1:])))

    def _emotional(self, emotion: str) -> dict[str, np.ndarray]:
        clips = self._by_emotion[emotion]
        peaks = None if self._peaks is None else self._peaks[emotion]
        sources = ["clips"] if clips else []
        if peaks is not None:
            sources += ["photos", "textbook"] if len(peaks.photos) else ["textbook"]
        if not sources:  # without data of this emotion: any clip, without a label
            return self._cut(self._of_a_person(self._clips), "unlabelled", 1.0)
        weights = np.array([SOURCE_WEIGHTS[name] for name in sources])
        source = str(self.random.choice(sources, p=weights / weights.sum()))
        if source == "clips" or peaks is None:
            clip = self._of_a_person(clips)
            return self._cut(clip, emotion, clip.intensity)
        course = self._of_a_person(clips or self._clips)
        static, strength = peaks.textbook, 1.0
        if source == "photos":
            row = self.random.integers(len(peaks.photos))
            static, strength = peaks.photos[row], float(peaks.strengths[row])
        # A photograph gives the mean of a trajectory, a clip the motion around it during speech.
        shift = self._calm + static - course.vectors.mean(axis=0)
        return self._cut(course, emotion, strength, shift=shift)

    def _of_a_person(self, clips: Sequence[ExpressionClip]) -> ExpressionClip:
        """A clip of a random person: people have equal weight, whatever the length of their footage."""
        people = sorted({clip.person for clip in clips})
        person = people[self.random.integers(len(people))]
        own = [clip for clip in clips if clip.person == person]
        lengths = np.array([len(clip.vectors) for clip in own], dtype=float)
        return own[self.random.choice(len(own), p=lengths / lengths.sum())]

    def _cut(
        self, clip: ExpressionClip, label: str, intensity: float, shift: Floats | float = 0.0
    ) -> dict[str, np.ndarray]:
        frames = len(clip.vectors)
        start = int(self.random.integers(max(frames - WINDOW_FRAMES, 0) + 1))
        rows = np.clip(start + np.arange(WINDOW_FRAMES), 0, frames - 1)
        vectors = clip.vectors[rows] + shift
        if self._mirror is not None and self.random.random() < 0.5:
            vectors = vectors @ self._mirror
        heard = clip.loudness is not None and self.random.random() < 0.8
        speech = np.zeros((WINDOW_FRAMES, 2)) if clip.loudness is None else cues_of(clip.loudness)[rows]
        return {
            "vectors": vectors.astype(np.float32),
            "label": np.int64(LABELS.index(label)),
            "intensity": np.float32(intensity),
            "speech": speech.astype(np.float32),
            "heard": np.bool_(heard),
            "inside": (start + np.arange(WINDOW_FRAMES) < frames).astype(np.float32),
        }  # pyright: ignore[reportReturnType]


def scale_of(clips: Sequence[ExpressionClip]) -> Floats:
    """Returns the standard deviation of every number [E], at least a hundredth of the largest."""
    rows = np.concatenate([clip.vectors for clip in clips])
    deviation = np.sqrt(np.square(rows).mean(axis=0))
    return np.maximum(deviation, 0.01 * deviation.max())
