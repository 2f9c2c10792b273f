"""Random numbers that belong to a frame: the same whatever part of a sequence is asked for."""

import hashlib

import numpy as np
from numpy.typing import NDArray

_BLOCK = 256


def frame_noise(seed: int, purpose: str, start: int, stop: int, width: int) -> NDArray[np.float32]:
    """Returns standard normal numbers [stop - start, width] of frames `start` (may be negative) to `stop`.

    Args:
        seed: The user's.
        purpose: What they are for; every purpose has its own, independent numbers.
        start: First frame.
        stop: Frame after the last.
        width: Numbers per frame.
    """
    first, last = start // _BLOCK, -(-stop // _BLOCK)
    blocks = [_generator(seed, f"{purpose}:{n}").standard_normal((_BLOCK, width)) for n in range(first, last)]
    rows = np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]
    return rows.astype(np.float32)


def event_generator(seed: int, purpose: str) -> np.random.Generator:
    """Returns the generator of events that follow each other in time, such as blinks."""
    return _generator(seed, purpose)


def _generator(seed: int, purpose: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
