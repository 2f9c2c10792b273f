"""Rectified flow: straight lines from data to noise, as MEMO uses it.

x_t = (1 - t) x_0 + t ε                             (Liu et al. 2023, arXiv 2209.03003, eq. 1)
v = dx_t / dt = ε - x_0
x_s = x_t + (s - t) v̂                               (Euler)

Noise of unit variance hides data that varies little long before time 1. The amount of noise σ at time t may
therefore be shifted, σ = k t / (1 + (k - 1) t) (Esser et al. 2024, arXiv 2403.03206, eq. 23): with k the
deviation of the data, half of the time is spent where there is more signal than noise. Above, t is then σ.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.synthesis.samplers.schedule import MODEL_TIMES, spread


@dataclass(frozen=True)
class Flow:
    """The process of `auteur.synthesis.samplers.process.Process` with straight paths."""

    shift: float = 1.0
    """k: 1 for data of unit variance."""

    name: ClassVar[str] = "flow"

    def __post_init__(self) -> None:
        if not 0.01 <= self.shift <= 100:
            raise UsageError(f"shift is {self.shift}; it must be between 0.01 and 100, 1 is none")

    def amount(self, time: Tensor) -> Tensor:
        """Returns σ, the share of noise in the sample at `time`."""
        return time if self.shift == 1 else self.shift * time / (1 + (self.shift - 1) * time)

    def noised(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Returns x_t = (1 - σ) x_0 + σ ε."""
        amount = spread(self.amount(time), clean)
        return (1 - amount) * clean + amount * noise

    def target(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Returns v = ε - x_0, the same at every time."""
        return noise - clean

    def clean(self, sample: Tensor, prediction: Tensor, time: Tensor) -> Tensor:
        """Returns x̂_0 = x_t - σ v̂: the x_0-preconditioning of MEMO and of SD3's training script."""
        return sample - spread(self.amount(time), sample) * prediction

    def step(self, sample: Tensor, prediction: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Returns x_s = x_t + (σ_s - σ_t) v̂."""
        return sample + spread(self.amount(next_time) - self.amount(time), sample) * prediction

    def prediction_between(self, sample: Tensor, later: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Returns the mean velocity between two times."""
        return (later - sample) / spread(self.amount(next_time) - self.amount(time), sample)

    def model_time(self, time: Tensor) -> Tensor:
        """Returns 1000 σ, the model time of diffusers' flow models, held just below 1000."""
        return (self.amount(time.to(torch.float64)) * MODEL_TIMES).clamp(max=MODEL_TIMES - 1e-3)

    def snr(self, time: Tensor) -> Tensor:
        """Returns ((1 - σ) / σ)²."""
        amount = self.amount(time.to(torch.float64))
        return ((1 - amount) / amount) ** 2


def logit_normal_times(
    count: int, generator: torch.Generator, *, mean: float = 0.0, deviation: float = 1.0
) -> Tensor:
    """Returns times in (0, 1) whose logits are normal, float64 [count] (Esser et al. 2024, arXiv 2403.03206).

    Raises:
        UsageError: `deviation` is not positive.
    """
    if not deviation > 0 or not math.isfinite(mean):
        raise UsageError(f"logit-normal times of mean {mean}, deviation {deviation}: deviation must exceed 0")
    normal = torch.randn(count, generator=generator, dtype=torch.float64)
    return torch.sigmoid(mean + deviation * normal)
