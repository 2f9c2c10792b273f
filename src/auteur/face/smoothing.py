"""Smoothing without lag: a filter over time that averages only what stands still.

A plain low-pass filter blunts blinks and lip closures, a causal one also delays them. Here every frame is
averaged with two frames on either side, each weighted by how alike it is (bilateral, Tomasi & Manduchi 1998,
over time): noise is alike and averages out, a moving lid is not and stays as it is. The weights are
symmetric, so nothing is delayed.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

from auteur.face.backend import FaceReading

REACH = 2
"""Frames on either side."""

LANDMARK_NOISE = 0.006
"""Movement, as a share of the face's size, that counts as noise."""

BLENDSHAPE_NOISE = 0.04
"""Change of a blendshape that counts as noise."""

Floats = NDArray[np.floating]


def smooth_readings(readings: Iterable[FaceReading | None]) -> Iterator[FaceReading | None]:
    """Yields the readings smoothed, two frames behind the input; nothing is averaged across a lost face."""
    window: deque[FaceReading | None] = deque([None] * REACH, maxlen=2 * REACH + 1)
    for reading in chain(readings, repeat(None, REACH)):
        window.append(reading)
        if len(window) == window.maxlen:
            yield _smoothed(window)


def _smoothed(window: deque[FaceReading | None]) -> FaceReading | None:
    middle = window[REACH]
    if middle is None:
        return None
    near = [middle]
    for step in (-1, 1):
        for distance in range(1, REACH + 1):
            neighbour = window[REACH + step * distance]
            if neighbour is None:
                break
            near.append(neighbour)
    landmarks = np.stack([reading.landmarks for reading in near])
    blendshapes = np.stack([reading.blendshapes for reading in near])
    return FaceReading(
        landmarks=bilateral(landmarks, LANDMARK_NOISE * middle.size_px),
        blendshapes=bilateral(blendshapes[..., None], BLENDSHAPE_NOISE)[..., 0],
        confidence=middle.confidence,
    )


def bilateral(values: Floats, noise: float) -> NDArray[np.float32]:
    """Returns the first of K values [K, points, axes], averaged with the others by their likeness to it.

    The whole movement that all points share (the head's) is taken out before likeness is judged, and its own
    mean over the window is not: a head that moves is left where it is.
    """
    drift = np.median(values[..., :2] - values[:1, :, :2], axis=1, keepdims=True)  # [K, 1, axes <= 2]
    still = values.astype(np.float64)
    if values.shape[-1] > 1:
        still[..., :2] -= drift
    distance = np.linalg.norm(still[..., :2] - still[:1, :, :2], axis=-1, keepdims=True)  # [K, points, 1]
    weights = np.exp(-0.5 * (distance / noise) ** 2)
    return ((weights * still).sum(0) / weights.sum(0)).astype(np.float32)
