"""Lag of a clip's sound and picture, from the prediction of a linear model of other people.

Loudness alone is a poor judge: its correlation with the lip gap is flat in time. A ridge regression from a
window of speech features to the lip gap, fitted on all other people, peaks sharply where the two belong
together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

LARGEST_LAG_FRAMES = 8
BELIEVED_SYNC = 0.3
"""Correlation from which a lag is accepted."""
_CONTEXT = range(-10, 11, 2)
_PENALTY = 3000.0
_ROUNDS = 3


@dataclass
class SyncedClip:
    """One clip while its lag is sought."""

    person: str
    speech: Floats
    """[T, D]."""
    gap: Floats
    """Lip gap [T]."""
    lag: int = 0
    """Frames by which the picture trails the sound."""
    sync: float = 1.0
    """Correlation of predicted and measured gap at that lag."""

    def __post_init__(self) -> None:
        self.gap = (self.gap - self.gap.mean()) / (self.gap.std() + 1e-6)


def find_lags(clips: list[SyncedClip]) -> None:
    """Sets `lag` and `sync` of every clip; in each round, clips that agreed before count more."""
    rows = [_with_context(clip.speech) for clip in clips]
    everything = np.concatenate(rows)
    mean, deviation = everything.mean(0), everything.std(0) + 1e-6
    rows = [(row - mean) / deviation for row in rows]
    for _ in range(_ROUNDS):
        normal = [_normal_equations(row, clip) for row, clip in zip(rows, clips, strict=True)]
        for person in {clip.person for clip in clips}:
            others = [n for n, clip in zip(normal, clips, strict=True) if clip.person != person]
            gram = sum(gram for gram, _ in others) + _PENALTY * np.eye(rows[0].shape[1])
            weights = np.linalg.solve(gram, sum(product for _, product in others))
            for row, clip in zip(rows, clips, strict=True):
                if clip.person == person:
                    best = max((_correlation(row @ weights, clip.gap, lag), lag) for lag in _lags())
                    clip.sync, clip.lag = best if best[0] >= BELIEVED_SYNC else (best[0], 0)


def _lags() -> range:
    return range(-LARGEST_LAG_FRAMES, LARGEST_LAG_FRAMES + 1)


def _with_context(speech: Floats) -> Floats:
    rows = np.arange(len(speech))
    return np.concatenate([speech[np.clip(rows + step, 0, len(speech) - 1)] for step in _CONTEXT], axis=1)


def _overlap(expected: Floats, seen: Floats, lag: int) -> tuple[Floats, Floats]:
    frames = len(seen) - abs(lag)
    return expected[max(0, -lag) :][:frames], seen[max(0, lag) :][:frames]


def _correlation(expected: Floats, seen: Floats, lag: int) -> float:
    return float(np.corrcoef(*_overlap(expected, seen, lag))[0, 1])


def _normal_equations(rows: Floats, clip: SyncedClip) -> tuple[Floats, Floats]:
    inputs, target = _overlap(rows, clip.gap, clip.lag)
    weight = 1.0 if clip.sync >= BELIEVED_SYNC else 0.1
    return weight * inputs.T @ inputs, weight * inputs.T @ target
