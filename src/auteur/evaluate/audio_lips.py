"""The *auteur* audio-lip agreement: whether lips and sound belong together, without external weights.

A linear regression, fitted on real people, predicts from articulation probabilities of the compact speech
encoder the motion of the lips; the agreement is its correlation with the measured motion, at the lag at which
the two agree best. Slow drift of both (smiles, a jaw that hangs) is taken out first. The coefficients are in
`audio_lips.csv`, which `benchmarks/judges/audio_lips_fit.py` makes. What real lips score with their own and
with another's speech depends on the weights: `benchmarks/judges/anchors.py` measures it.
"""

import csv
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from auteur.face.pose import without_pose
from auteur.speech.features import SpeechAnalysis
from auteur.speech.phones import ARTICULATIONS

Floats = NDArray[np.floating]

RATE = Fraction(25)
"""Frames per second of everything here."""

LARGEST_LAG_FRAMES = 15
"""As SyncNet's usual search."""

TAPS = (-4, -2, 0, 2, 4)
"""Frames of sound in the input of the regression."""

LIP_MEASURES = ("gap", "width", "lower_lip")
"""Inner-lip gap, distance of the corners, height of the lower lip under the nose: mm, pose taken out."""

DRIFT_FRAMES = 12
"""Half-width of the running mean that is taken out."""

FEATURES = (*ARTICULATIONS, "loudness")


@dataclass(frozen=True)
class Agreement:
    """Agreement of lips and sound."""

    correlation: float
    """At the best lag, mean over the lips' measures, in [-1, 1]."""
    lag_frames: int
    """Best lag at 25 frames per second; positive: the picture trails the sound."""
    confidence: float
    """Best correlation less the median over all lags, as SyncNet's confidence is built."""
    at_zero: float
    """Correlation without any lag."""


def lip_measures_mm(landmarks: Floats) -> Floats:
    """Returns `LIP_MEASURES` [T, 3] of landmarks [T, 478, 3] px; frames without a face are bridged linearly.

    All NaN if no frame has a face.
    """
    seen = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
    if not len(seen):
        return np.full((len(landmarks), len(LIP_MEASURES)), np.nan)
    face = without_pose(landmarks[seen])
    measures = np.stack(
        [face[:, 14, 1] - face[:, 13, 1], face[:, 291, 0] - face[:, 61, 0], face[:, 17, 1] - face[:, 2, 1]],
        axis=1,
    )
    frames = np.arange(len(landmarks))
    return np.stack([np.interp(frames, seen, column) for column in measures.T], axis=1)


def speech_inputs(analysis: SpeechAnalysis) -> Floats:
    """Returns the input of the regression, [T, taps × features], of speech at 25 frames per second."""
    values = np.concatenate([analysis.articulation.numpy(), analysis.loudness.numpy()[:, None]], axis=1)
    rows = np.arange(len(values))
    return np.concatenate([values[np.clip(rows + tap, 0, len(values) - 1)] for tap in TAPS], axis=1)


def expected_lips(analysis: SpeechAnalysis) -> Floats:
    """Returns the predicted `LIP_MEASURES` [T, 3], drift taken out, in standard deviations."""
    return without_drift(speech_inputs(analysis)) @ coefficients()


def agreement(landmarks: Floats, analysis: SpeechAnalysis) -> Agreement:
    """Returns the agreement of the lips of landmarks [T, 478, 3] px at 25 frames per second with the speech.

    All NaN with less than two seconds of both, or lips that never move.
    """
    return agreement_of(lip_measures_mm(landmarks), expected_lips(analysis))


def agreement_of(measures: Floats, expected: Floats) -> Agreement:
    """As `agreement`, of measures [T, 3] in mm and their predictions [T', 3]."""
    frames = min(len(measures), len(expected))
    lips, wanted = without_drift(measures[:frames]), expected[:frames]
    if frames < 2 * RATE or not np.isfinite(lips).all() or lips.std(axis=0).max() < 1e-6:
        return Agreement(np.nan, 0, np.nan, np.nan)
    lags = range(-LARGEST_LAG_FRAMES, LARGEST_LAG_FRAMES + 1)
    by_lag = np.array([_correlation(wanted, lips, lag) for lag in lags])
    best = int(by_lag.argmax())
    return Agreement(
        correlation=float(by_lag[best]),
        lag_frames=lags[best],
        confidence=float(by_lag[best] - np.median(by_lag)),
        at_zero=float(by_lag[LARGEST_LAG_FRAMES]),
    )


def without_drift(values: Floats) -> Floats:
    """Returns values [T, D] less their running mean over about a second."""
    width = 2 * DRIFT_FRAMES + 1
    padded = np.pad(values, ((DRIFT_FRAMES, DRIFT_FRAMES), (0, 0)), mode="edge")
    sums = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), padded]), axis=0)
    return values - (sums[width:] - sums[:-width]) / width


@cache
def coefficients() -> Floats:
    """Returns the fitted coefficients [taps × features, 3]."""
    text = resources.files("auteur.evaluate").joinpath("audio_lips.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()))
    return np.array([row[2:] for row in rows[1:]], dtype=np.float64)


def overlap(sound: Floats, picture: Floats, lag: int) -> tuple[Floats, Floats]:
    """Returns the parts of both [T, D] that meet when the picture trails the sound by `lag` frames."""
    frames = len(picture) - abs(lag)
    return sound[max(0, -lag) :][:frames], picture[max(0, lag) :][:frames]


def _correlation(sound: Floats, picture: Floats, lag: int) -> float:
    x, y = (part - part.mean(axis=0) for part in overlap(sound, picture, lag))
    spread = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return float(((x * y).sum(axis=0) / np.maximum(spread, 1e-12)).mean())
