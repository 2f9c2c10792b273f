"""How an emotion that is held comes and goes: an onset, then slow waves about its strength.

Axes: T frames at 25 per second, K emotions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auteur.motion.grid import MOTION_RATE
from auteur.motion.noise import frame_noise

Floats = NDArray[np.floating]

ONSET_SEC = {
    "neutral": 0.4,
    "happy": 0.6,
    "sad": 0.7,
    "angry": 0.5,
    "fear": 0.3,
    "disgusted": 0.5,
    "surprised": 0.2,
    "contempt": 0.7,
}
"""Seconds until an emotion is at its height: startled faces are the fastest, sad ones the slowest. Ours."""
FIRST_SHARE = 0.75
"""Of the strength in the first frame: a video that starts at rest shows another emotion first."""
_WAVES = 0.08
"""Deviation of the waves about the strength at liveliness 1."""
_WAVE_SEC = 0.8
"""Deviation of the Gaussian that smooths them: a wave takes a few seconds."""
_REACH = 3


def course_of(emotions: Sequence[str], frames: int, *, seed: int, liveliness: float) -> Floats:
    """Returns the factor on the strength of each emotion, [T, K], about 1 and never below 0.

    The same seed gives the same course whatever the strength, so faces stay linear in it; a longer course
    begins the same.

    Args:
        emotions: K labels.
        frames: T.
        seed: Of the waves, which all emotions share.
        liveliness: Factor on the waves; 0 holds the height.
    """
    times = np.arange(frames) / float(MOTION_RATE)
    way = np.clip(times[:, None] / np.array([ONSET_SEC[emotion] for emotion in emotions]), 0, 1)
    onset = FIRST_SHARE + (1 - FIRST_SHARE) * way * way * (3 - 2 * way)
    width = _WAVE_SEC * float(MOTION_RATE)
    reach = round(_REACH * width)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / width))
    kernel /= np.linalg.norm(kernel)
    white = frame_noise(seed, "emotion", -reach, frames + reach, 1)[:, 0]
    waves = np.convolve(white, kernel, mode="valid")
    return np.maximum(onset * (1 + _WAVES * liveliness * np.clip(waves, -2, 2))[:, None], 0)
