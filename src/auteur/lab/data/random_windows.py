"""Training batches of windows drawn at random from clips."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.floating]


class RandomWindows(ABC):
    """An endless stream of batches; a row is a window of a random clip.

    Args:
        batch_size: Windows per batch.
        seed: Of everything random.
    """

    def __init__(self, batch_size: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while True:
            rows = [self._window() for _ in range(self._batch_size)]
            yield {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    @abstractmethod
    def _window(self) -> Mapping[str, Any]:
        """Returns the arrays of a random window, by name."""


def values_at(values: Floats, positions: Floats) -> Floats:
    """Returns values [T, D] at fractional frames [N], linear in between; the ends are held."""
    below = np.clip(np.floor(positions).astype(int), 0, len(values) - 2)
    weight = np.clip(positions - below, 0, 1)[:, None]
    return values[below] * (1 - weight) + values[below + 1] * weight


def as_float32(window: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arrays of a window in single precision."""
    return {name: np.asarray(value, dtype=np.float32) for name, value in window.items()}


def mixed_chances(
    weights: NDArray[np.floating], corpora: Sequence[str], shares: dict[str, float] | None
) -> NDArray[np.floating]:
    """Returns the probabilities of drawing each clip.

    Args:
        weights: Of the clips, [N]; within a corpus they stay in proportion.
        corpora: Of each clip.
        shares: Of the corpora that are mixed; the others keep their weights. None: by the weights alone.
    """
    weights = np.array(weights, dtype=np.float64)
    if shares is not None:
        names = np.array(corpora)
        mixed = weights[np.isin(names, list(shares))].sum()
        for name, share in shares.items():
            weights[names == name] *= share * mixed / weights[names == name].sum()
    return weights / weights.sum()
