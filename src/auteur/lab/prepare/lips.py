"""Stage "sync": offset of sound and picture, and whether the lips follow that sound at all.

The speech encoder predicts the lip gap; the landmarks give the measured one. Slow
drift (smiles, a jaw that hangs) is taken out of both, and the offset is where the two correlate best.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auteur.face.pose import without_pose
from auteur.lab.data.motion_tracks import lip_gap_mm
from auteur.speech.features import SpeechAnalysis

Floats = NDArray[np.floating]

LARGEST_OFFSET_FRAMES = 15
"""Offsets that are tried, at 25 frames per second: 0.6 s."""

SHORTEST_FRAMES = 2 * LARGEST_OFFSET_FRAMES
"""Overlap under which any two curves correlate somewhere."""

CHANCE = 6.0
"""An offset is accepted from a correlation of this by the square root of the frames. Lips that say something
else reach about 4.4 by that root at some offset (measured: 0.49 in 75 frames, 0.31 in 250, 0.12 in 1500)."""

_DRIFT_FRAMES = 12
_EXPECTED_GAP = -2


@dataclass(frozen=True)
class LipAgreement:
    """Agreement of lips and sound."""

    offset_frames: int
    """Positive: the picture trails the sound."""
    correlation: float
    """At that offset, in [-1, 1]."""
    frames: int
    """Number of compared frames."""

    @property
    def is_believed(self) -> bool:
        """Whether the correlation is above that of chance."""
        return self.correlation >= CHANCE / math.sqrt(self.frames)


def lip_agreement(landmarks: Floats, analysis: SpeechAnalysis) -> LipAgreement | None:
    """Returns the agreement of the lips of landmarks [T, 478, 3] px with speech analysed at the same frames.

    None where there is too little of both, or either never moves.
    """
    seen = without_drift(lip_gap_mm(without_pose(landmarks)))
    expected = without_drift(analysis.features[:, _EXPECTED_GAP].numpy().astype(np.float64))
    frames = min(len(seen), len(expected))
    if frames - LARGEST_OFFSET_FRAMES < SHORTEST_FRAMES or min(seen.std(), expected.std()) < 1e-6:
        return None
    offsets = range(-LARGEST_OFFSET_FRAMES, LARGEST_OFFSET_FRAMES + 1)
    found = [
        (_correlation(expected[:frames], seen[:frames], offset), -abs(offset), offset) for offset in offsets
    ]
    correlation, _, offset = max(found)
    return LipAgreement(offset, correlation, frames)


def without_drift(values: Floats) -> Floats:
    """Returns values [T] less their mean over about a second around."""
    padded = np.pad(values, _DRIFT_FRAMES, mode="edge")
    width = 2 * _DRIFT_FRAMES + 1
    return values - np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _correlation(expected: Floats, seen: Floats, offset: int) -> float:
    frames = len(seen) - abs(offset)
    sound, picture = expected[max(0, -offset) :][:frames], seen[max(0, offset) :][:frames]
    if min(sound.std(), picture.std()) < 1e-9:
        return 0.0
    return float(np.corrcoef(sound, picture)[0, 1])
