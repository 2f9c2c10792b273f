"""Batches by key: the same seed, step and process give the same batch, whatever came before.

A resumed run needs no state of a random generator, several processes see different batches,
and a batch that breaks a run can be made again from its name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from auteur.signals.chance import rekey

Batch = dict[str, Tensor]
BatchOf = Callable[[str], Batch]
"""Key → batch."""


class Stream(Protocol):
    """An endless stream whose random numbers all come from `random`, which others may share."""

    random: np.random.Generator

    def __iter__(self) -> Iterator[Batch]:
        """Yields batches."""
        ...


class _Keyed:
    """Batches of an endless stream by key; nothing but `random` may change between them."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __call__(self, key: str) -> Batch:
        rekey(self._stream.random, key)
        return next(iter(self._stream))


@dataclass(frozen=True)
class Batches:
    """Batches by key, made in this process or beside it."""

    batch_of: BatchOf
    workers: int = 0
    """Processes that make batches ahead; what they make does not depend on their number."""

    def of_steps(self, seed: int, process: int, first: int) -> Iterator[Batch]:
        """Yields the batches of step `first` on."""
        steps = _ByStep(self.batch_of, seed, process)
        if not self.workers:
            return (steps[step] for step in count(first))
        loader: Any = DataLoader(
            steps,
            sampler=_From(first),
            batch_size=None,
            num_workers=self.workers,
            prefetch_factor=4,
        )
        return iter(loader)


def by_key(stream: Stream) -> Batches:
    """Returns the batches of an endless stream, each of which begins with a generator state of its own."""
    return Batches(_Keyed(stream))


class _ByStep(Dataset[Batch]):
    def __init__(self, batch_of: BatchOf, seed: int, process: int) -> None:
        self._batch_of, self._seed, self._process = batch_of, seed, process

    def __getitem__(self, index: int) -> Batch:
        return self._batch_of(f"{self._seed}:train:{index}:{self._process}")


class _From(Sampler[int]):
    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        return count(self._first)
