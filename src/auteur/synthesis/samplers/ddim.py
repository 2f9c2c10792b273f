"""Variance-preserving diffusion with v-prediction and DDIM steps, as Hallo V1 uses it.

x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε                                  (Ho et al. 2020, arXiv 2006.11239, eq. 4)
v_t = √ᾱ_t ε - √(1 - ᾱ_t) x_0              (Salimans & Ho 2022, arXiv 2202.00512, section 4)
x_s = √ᾱ_s x̂_0 + √(1 - ᾱ_s) ε̂        (Song et al. 2021, arXiv 2010.02502, eq. 12 with σ = 0)
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from auteur.synthesis.samplers.schedule import MODEL_TIMES, signal_levels, spread


@dataclass(frozen=True)
class Diffusion:
    """The process of `auteur.synthesis.samplers.process.Process` with 1000 discrete noise levels."""

    name: ClassVar[str] = "ddim"

    zero_terminal_snr: bool = True
    """Whether time 1 is noise alone (arXiv 2305.08891); needs v-prediction, which is what we predict."""

    def noised(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Returns x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε."""
        a, s = self._amounts(time, clean)
        return a * clean + s * noise

    def target(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Returns v_t = √ᾱ_t ε - √(1 - ᾱ_t) x_0."""
        a, s = self._amounts(time, clean)
        return a * noise - s * clean

    def clean(self, sample: Tensor, prediction: Tensor, time: Tensor) -> Tensor:
        """Returns x̂_0 = √ᾱ_t x_t - √(1 - ᾱ_t) v̂."""
        a, s = self._amounts(time, sample)
        return a * sample - s * prediction

    def noise(self, sample: Tensor, prediction: Tensor, time: Tensor) -> Tensor:
        """Returns ε̂ = √(1 - ᾱ_t) x_t + √ᾱ_t v̂."""
        a, s = self._amounts(time, sample)
        return s * sample + a * prediction

    def step(self, sample: Tensor, prediction: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Returns x_s = √ᾱ_s x̂_0 + √(1 - ᾱ_s) ε̂."""
        a, s = self._amounts(next_time, sample)
        return a * self.clean(sample, prediction, time) + s * self.noise(sample, prediction, time)

    def prediction_between(self, sample: Tensor, later: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Returns the v̂ with which `step` goes from `sample` to `later`.

        Solved from the step: x_s = (a_s a_t + s_s s_t) x_t - (a_s s_t - s_s a_t) v̂. It is the target of
        progressive distillation (arXiv 2202.00512, algorithm 2) in terms of v.
        """
        a_t, s_t = self._amounts(time, sample)
        a_s, s_s = self._amounts(next_time, sample)
        return ((a_s * a_t + s_s * s_t) * sample - later) / (a_s * s_t - s_s * a_t)

    def model_time(self, time: Tensor) -> Tensor:
        """Returns t in 0 … 999: level 1 is the first that holds noise."""
        return (self._level(time) - 1).clamp(min=0).to(torch.float64)

    def snr(self, time: Tensor) -> Tensor:
        """Returns ᾱ_t / (1 - ᾱ_t); 0 at time 1."""
        signal = signal_levels(self.zero_terminal_snr)[self._level(time).cpu()]
        return signal / (1 - signal)

    def _level(self, time: Tensor) -> Tensor:
        return (time * MODEL_TIMES).round().long()

    def _amounts(self, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        signal = signal_levels(self.zero_terminal_snr)[self._level(time).cpu()]
        return spread(signal.sqrt(), like), spread((1 - signal).sqrt(), like)
