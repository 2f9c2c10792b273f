"""Random numbers by name: whoever asks for the same key gets the same ones, in whatever order."""

import hashlib

import numpy as np


def keyed_generator(key: str) -> np.random.Generator:
    """Returns a counter-based generator that depends on `key` alone."""
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def rekey(random: np.random.Generator, key: str) -> None:
    """Sets a generator, in place, to where it depends on `key` alone; whoever shares it follows."""
    digest = hashlib.sha256(key.encode()).digest()
    kind = type(random.bit_generator)
    random.bit_generator.state = kind(int.from_bytes(digest[:16], "little")).state  # pyright: ignore[reportCallIssue]
