"""Whether a recording holds speech, or only music or noise, from the phone probabilities of the encoder.

In speech the encoder predicts many phones, each with certainty for a moment. Noise and tones give no certain
phone, music a few that alternate. Two numbers measure this over the loud frames of a few seconds: the mutual
information of frame and phone in nats (the Jensen-Shannon divergence of the frames' distributions), and the
number of certain phones that begin per second.
"""

import numpy as np
from numpy.typing import NDArray

from auteur.speech.features import SpeechAnalysis

Floats = NDArray[np.floating]

WINDOW_SEC, STEP_SEC = 6.0, 3.0
SHORTEST_SEC = 1.5
"""Recordings with less sound than this count as speech."""

_NO_SPEECH_NATS = 0.6
"""Mutual information below which there is no speech. Of 420 recordings of people the lowest has 0.78, at 0 dB
of white noise 0.86."""
_PERHAPS_NATS, _FEW_PHONES = 0.75, 1.4
"""Mutual information and phones per second below both of which there is no speech: melodies of
instruments."""
_LOUD, _SURE = 0.5, 0.6


def holds_speech(analysis: SpeechAnalysis, *, frames_per_sec: float = 25.0) -> bool:
    """Returns whether any 6 s of a recording sound like speech; true where too little sounds to decide."""
    phones = analysis.phones.numpy().astype(np.float64)
    is_loud = analysis.loudness.numpy() > _LOUD
    window, step = round(WINDOW_SEC * frames_per_sec), round(STEP_SEC * frames_per_sec)
    least = SHORTEST_SEC * frames_per_sec
    if is_loud.sum() < least:
        return True
    starts = range(0, max(len(phones) - window, 0) + step, step)
    return any(
        _is_speech(phones[start : start + window], is_loud[start : start + window], frames_per_sec)
        for start in starts
        if is_loud[start : start + window].sum() >= least / 2
    )


def _is_speech(phones: Floats, is_loud: NDArray[np.bool_], frames_per_sec: float) -> bool:
    heard = phones[is_loud]
    nats = _entropy(heard.mean(axis=0)) - _entropy(heard).mean()
    if nats >= _PERHAPS_NATS:
        return True
    return nats >= _NO_SPEECH_NATS and _sure_phones(phones) * frames_per_sec / len(phones) >= _FEW_PHONES


def _entropy(distribution: Floats) -> Floats:
    return -(distribution * np.log(distribution + 1e-9)).sum(axis=-1)


def _sure_phones(phones: Floats) -> int:
    """Onsets of phones other than silence (the first) that are more probable than all others together."""
    named = np.where(phones.max(axis=1) > _SURE, phones.argmax(axis=1), 0)
    return int(((named[1:] > 0) & (named[1:] != named[:-1])).sum())
