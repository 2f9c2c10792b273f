"""Random numbers keyed by name: the same key gives the same numbers, in any order of use."""

import hashlib

import numpy as np


def keyed_generator(key: str) -> np.random.Generator:
    """Returns a counter-based generator that depends on `key` alone."""
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def rekey(random: np.random.Generator, key: str) -> None:
    """Reseeds a generator in place from `key`; other holders of the object get the new state."""
    digest = hashlib.sha256(key.encode()).digest()
    kind = type(random.bit_generator)
    random.bit_generator.state = kind(int.from_bytes(digest[:16], "little")).state  # pyright: ignore[reportCallIssue]
