"""Clips as a source of batches: each step draws its clips, and then its noise, from one keyed generator."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor

from auteur.lab.data.denoiser_clips import BatchOf, ClipBatch
from auteur.synthesis.noise import step_generator


@dataclass(frozen=True, eq=False)
class DrawnClips:
    """Clips, and the generator that drew them, from which the loss draws its noise."""

    clips: ClipBatch
    generator: torch.Generator
    """On the CPU."""

    def to(self, device: torch.device) -> "DrawnClips":
        """Returns the clips on a device."""
        return replace(self, clips=self.clips.to(device))

    def tensors(self) -> Mapping[str, Tensor]:
        """Returns the tensors by name."""
        conditions = self.clips.conditions
        found = {"clean": self.clips.clean, "region": self.clips.region}
        found |= {name: getattr(conditions, name, None) for name in conditions.names}
        return {name: value for name, value in found.items() if isinstance(value, Tensor)}


@dataclass(frozen=True, kw_only=True)
class ClipBatches:
    """Batches of clips by step; see `auteur.lab.train.phases.BatchSource`."""

    batch_of: BatchOf
    rows: int
    """Clips per batch and process."""
    frames: int
    """Frames per clip."""
    phase: int = 0
    """Number of the phase: each draws clips of its own."""
    accumulate: int = 1
    """Batches per step."""
    without: tuple[str, ...] = ()
    """Conditions that are left out: their conditioners learn in a later phase, and encoding them would cost
    time."""

    def of_steps(self, seed: int, process: int, first: int) -> Iterator[DrawnClips]:
        """Yields the batches of step `first` on."""
        for step in count(first):
            for part in range(self.accumulate):
                generator = step_generator(seed, f"train:{self.phase}:{step}:{part}:{process}")
                drawn = self.batch_of(self.rows, self.frames, generator)
                conditions = drawn.conditions.lacking(*self.without)
                yield DrawnClips(replace(drawn, conditions=conditions), generator)
