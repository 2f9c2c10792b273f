"""Random numbers keyed by frame: the same for every part of a sequence."""

import numpy as np
from numpy.typing import NDArray

from auteur.signals.chance import keyed_generator

_BLOCK = 256


def frame_noise(seed: int, purpose: str, start: int, stop: int, width: int) -> NDArray[np.float32]:
    """Returns standard normal numbers [stop - start, width] of frames `start` (may be negative) to `stop`.

    Args:
        seed: The user's.
        purpose: Name of their use; every purpose has its own, independent numbers.
        start: First frame.
        stop: Frame after the last.
        width: Numbers per frame.
    """
    first, last = start // _BLOCK, -(-stop // _BLOCK)
    blocks = [
        keyed_generator(f"{seed}:{purpose}:{n}").standard_normal((_BLOCK, width)) for n in range(first, last)
    ]
    rows = np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]
    return rows.astype(np.float32)


def event_generator(seed: int, purpose: str) -> np.random.Generator:
    """Returns the generator of events that follow each other in time, such as blinks."""
    return keyed_generator(f"{seed}:{purpose}")
