"""Means over time that bring motion to rest: a head's posture, and lips in pauses of the speech."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

PAUSE_DEVIATION_FRAMES = 8.0
"""Standard deviation, in frames at 25 fps, of the mean that lips come to in a pause."""
_SURE_PAUSE = 0.5
_AFTER_SPEECH_FRAMES, _BEFORE_SPEECH_FRAMES = 2, 4
"""Frames at the ends of a pause that belong to the speech: lips settle after it, and part before it."""
_RAMP_FRAMES = 3
_LEAST_WEIGHT = 1e-6
_REACH_DEVIATIONS = 4


def gaussian_mean(values: Floats, deviation_frames: float, weights: Floats | None = None) -> Floats:
    """Returns the mean of the rows around each row, [T, N], by a Gaussian over time.

    Args:
        values: [T, N].
        deviation_frames: Standard deviation of the Gaussian, above 0.
        weights: Of the rows, [T], at least 0; None: all alike. A row with no weight around it keeps its own value.
    """
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    reach = round(_REACH_DEVIATIONS * deviation_frames)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation_frames) ** 2)

    def summed(column: Floats) -> Floats:
        return np.convolve(column, kernel)[reach : reach + len(column)]

    total = summed(weights)[:, None]
    sums = np.stack([summed(weights * column) for column in np.asarray(values, np.float64).T], axis=1)
    return np.where(total > _LEAST_WEIGHT, sums / np.maximum(total, _LEAST_WEIGHT), values)


def rest_weight(pause: Floats) -> Floats:
    """Returns how far lips have come to rest in each frame [T], 0 to 1: inside pauses, with slopes at their ends.

    Args:
        pause: Certainty of silence per frame at 25 fps, [T] 0 to 1.
    """
    sure = np.asarray(pause) >= _SURE_PAUSE
    padded = np.pad(sure, (_AFTER_SPEECH_FRAMES, _BEFORE_SPEECH_FRAMES), constant_values=True)
    inside = np.lib.stride_tricks.sliding_window_view(
        padded, _AFTER_SPEECH_FRAMES + _BEFORE_SPEECH_FRAMES + 1
    ).all(axis=1)
    ramp = np.arange(1, _RAMP_FRAMES + 1) / (_RAMP_FRAMES + 1)
    slope = np.concatenate([ramp, [1.0], ramp[::-1]])
    outside = np.pad(1.0 - inside, _RAMP_FRAMES, mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(outside, 2 * _RAMP_FRAMES + 1) * slope
    return 1 - near.max(axis=1)


def rested(coefficients: Floats, pause: Floats) -> Floats:
    """Returns coefficients [T, K] that come to rest in pauses, at the mean of what was drawn there.

    People's lips keep still in a pause, about as open as they are while they speak; sampled ones go on moving. A
    pause shorter than the speech at its ends is left as it is.

    Args:
        coefficients: Drawn, [T, K] at 25 fps.
        pause: Certainty of silence per frame, [T] 0 to 1.
    """
    weight = rest_weight(pause)
    if not weight.any():
        return coefficients
    mean = gaussian_mean(coefficients, PAUSE_DEVIATION_FRAMES, weight)
    share = weight[:, None]
    return (coefficients * (1 - share) + mean * share).astype(coefficients.dtype)
