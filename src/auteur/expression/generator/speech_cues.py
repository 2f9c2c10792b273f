"""Speech input of the expression generator: loudness, and loudness relative to its surroundings.

Loudness moves brows and heads with every voice and in every language, and it needs no trained encoder, so the
generator does not go out of date with one.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.signals import Sound
from auteur.speech.features import at_frame_rate, frames_at
from auteur.speech.mel import MelConfig, frame_power_of, loudness_of_frames, reference_power

Floats = NDArray[np.floating]

_AROUND_FRAMES = 10


def loudness_of(speech: Sound, rate: Fraction) -> Floats:
    """Returns loudness [T]: 0 at 50 dB or more below the loud parts of this recording, about 1 in them."""
    config = MelConfig()
    power = frame_power_of(speech.resample(config.rate_hz), config)
    loud = loudness_of_frames(power, reference_power(power))[:, None]
    frames = max(1, frames_at(speech, rate))
    return at_frame_rate(loud, Fraction(config.frames_per_sec), rate, frames)[:, 0].numpy()


def cues_of(loud: Floats) -> Floats:
    """Returns loudness and its difference from the mean of 0.4 s either way, [T, 2] at 25 fps."""
    margin = _AROUND_FRAMES
    padded = np.pad(np.asarray(loud, dtype=np.float64), margin, mode="edge")
    around = np.convolve(padded, np.full(2 * margin + 1, 1 / (2 * margin + 1)), mode="valid")
    return np.stack([loud, loud - around], axis=1).astype(np.float32)
