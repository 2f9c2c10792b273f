"""Cues of the speech: closures count where they are sure, and set in and end gradually."""

import numpy as np
import torch

from auteur.motion.cues import SpeechCues
from auteur.speech.features import SpeechAnalysis
from auteur.speech.phones import ARTICULATIONS, PHONES

FRAMES = 100


def analysis(closed: np.ndarray) -> SpeechAnalysis:
    """Returns loud speech whose lips are closed with given probabilities, [100]."""
    articulation = torch.zeros(FRAMES, len(ARTICULATIONS))
    articulation[:, ARTICULATIONS.index("lips_closed")] = torch.from_numpy(closed)
    loudness = torch.from_numpy(0.7 + 0.3 * np.sin(np.arange(FRAMES) / 1.5)).float()
    phones = torch.zeros(FRAMES, len(PHONES))
    phones[torch.arange(FRAMES), 1 + torch.arange(FRAMES) // 2 % (len(PHONES) - 1)] = 1
    return SpeechAnalysis(
        features=torch.zeros(FRAMES, 80), phones=phones, articulation=articulation, loudness=loudness,
        bands=torch.zeros(FRAMES, 81),
    )  # fmt: skip


def closure(probability: float) -> np.ndarray:
    closed = np.zeros(FRAMES, dtype=np.float32)
    closed[50:53] = probability
    cues = SpeechCues.of_analysis(analysis(closed))
    assert cues.silence[10:-10].max() < 0.5, "made-up speech counts as noise"
    return cues.closure


def test_a_sure_closure_is_full_inside_and_eases_in_and_out():
    found = closure(0.95)
    assert found[51] == 1
    assert np.allclose(found[48:56], [0, 0.25, 0.75, 1, 0.75, 0.25, 0, 0])


def test_a_doubtful_closure_closes_nothing():
    assert not closure(0.55).any()
