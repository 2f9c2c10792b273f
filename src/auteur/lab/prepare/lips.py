"""Stage "sync": offset of sound and picture, and whether the lips follow that sound at all.

The speech encoder predicts the lip gap; the landmarks give the measured one. Slow
drift (smiles, a jaw that hangs) is taken out of both, and the offset is where the two correlate best.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auteur.evaluate.lags import correlations, without_drift
from auteur.face.pose import without_pose
from auteur.lab.data.motion_tracks import BELIEVED_OFFSET
from auteur.motion.mouth import lip_gap
from auteur.speech.features import SpeechAnalysis

Floats = NDArray[np.floating]

LARGEST_OFFSET_FRAMES = 15
"""Offsets that are tried, at 25 frames per second: 0.6 s."""

SHORTEST_FRAMES = 2 * LARGEST_OFFSET_FRAMES
"""Overlap under which any two curves correlate somewhere."""

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
        return self.correlation >= BELIEVED_OFFSET / math.sqrt(self.frames)


def lip_agreement(landmarks: Floats, analysis: SpeechAnalysis) -> LipAgreement | None:
    """Returns the agreement of the lips of landmarks [T, 478, 3] px with speech analysed at the same frames.

    None where there is too little of both, or either never moves.
    """
    seen = without_drift(lip_gap(without_pose(landmarks)))
    expected = without_drift(analysis.features[:, _EXPECTED_GAP].numpy())
    frames = min(len(seen), len(expected))
    if frames - LARGEST_OFFSET_FRAMES < SHORTEST_FRAMES or min(seen.std(), expected.std()) < 1e-6:
        return None
    by_lag = correlations(expected[:frames], seen[:frames], LARGEST_OFFSET_FRAMES)
    best = int(by_lag.argmax())
    return LipAgreement(best - LARGEST_OFFSET_FRAMES, float(by_lag[best]), frames)
