"""DPM-Solver++(2M): fewer steps than the published samplers need, from the same networks.

x_t = α_t x_0 + σ_t ε, λ_t = log(α_t / σ_t). From time s to t, with h = λ_t - λ_s and h' the step before,
(Lu et al. 2022, arXiv 2211.01095, algorithm 2)

D = x̂_0(s) + h / (2 h') (x̂_0(s) - x̂_0(s'))
x_t = σ_t / σ_s x_s - α_t (e^{-h} - 1) D

Here α_t (e^{-h} - 1) is written σ_t α_s / σ_s - α_t, which is finite at a first time without signal
(λ = -∞, arXiv 2305.08891), where the first two steps are of first order. The last step, to a clean sample,
is of first order, too: x_0 = x̂_0(s).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from auteur.synthesis.published.schedule import (
    LoopSettings,
    Sampler,
    ShiftlessFlow,
    TrailingDDIM,
    linear_signal_levels,
)
from auteur.synthesis.samplers.schedule import MODEL_TIMES, check_steps


class MultistepSolver:
    """One run of DPM-Solver++(2M) over given noise levels; it keeps the clean sample of the step before.

    Args:
        times: Input of the network, one per step, from noise on.
        levels: (α, σ) of each time, and (1, 0) at the end.
        is_flow: Whether networks predict the velocity ε - x_0, x̂_0 = x - σ v̂, as MEMO does; else
            v = α ε - σ x_0, x̂_0 = α x - σ v̂.
    """

    def __init__(
        self, times: Sequence[float], levels: Sequence[tuple[float, float]], *, is_flow: bool
    ) -> None:
        self.times = list(times)
        self._levels, self._is_flow = list(levels), is_flow
        self._before: Tensor | None = None

    def step(self, sample: Tensor, prediction: Tensor, index: int) -> Tensor:
        """Returns the sample after step `index`; steps are taken in order, each once."""
        (signal, noise), (next_signal, next_noise) = self._levels[index : index + 2]
        clean = (1.0 if self._is_flow else signal) * sample - noise * prediction
        before, self._before = self._before, clean
        if next_noise == 0:
            return clean
        ahead = clean
        if index > 0 and before is not None:
            ratio = self._step_of(index) / (2 * self._step_of(index - 1))
            ahead = clean + ratio * (clean - before)
        kept = next_noise / noise
        return kept * sample + (next_signal - kept * signal) * ahead

    def _step_of(self, index: int) -> float:
        """Step of λ, infinite from a time without signal."""
        return self._log_ratio(index + 1) - self._log_ratio(index)

    def _log_ratio(self, index: int) -> float:
        """λ = log(α / σ)."""
        signal, noise = self._levels[index]
        return math.log(signal / noise) if signal > 0 else -math.inf


def few_step_diffusion(steps: int) -> MultistepSolver:
    """Returns the solver over the trailing times of AniPortrait and Hallo.

    Each step goes to the next time, also where 1000 is no multiple of `steps`.

    Raises:
        UsageError: `steps` is out of range.
    """
    times = TrailingDDIM(steps).times
    signals = [float(linear_signal_levels()[int(time)]) for time in times]
    levels = [(signal**0.5, (1 - signal) ** 0.5) for signal in signals]
    return MultistepSolver(times, [*levels, (1.0, 0.0)], is_flow=False)


def few_step_flow(steps: int) -> MultistepSolver:
    """Returns the solver over even noise levels from 1 to 0, for MEMO.

    The published levels end in 0.001 before 0, which spends one of few evaluations on next to no noise and
    extrapolates over a step of λ that is many times the one before.

    Raises:
        UsageError: `steps` is out of range.
    """
    levels = torch.linspace(1, 0, check_steps(steps) + 1, dtype=torch.float64).tolist()
    return MultistepSolver(
        [MODEL_TIMES * level for level in levels[:-1]],
        [(1 - level, level) for level in levels],
        is_flow=True,
    )


def diffusion_sampler(settings: LoopSettings) -> Sampler:
    """Returns the sampler of AniPortrait and Hallo that the settings name."""
    steps = settings.steps
    return few_step_diffusion(steps) if settings.sampler == "dpm" else TrailingDDIM(steps)


def flow_sampler(settings: LoopSettings) -> Sampler:
    """Returns the sampler of MEMO that the settings name."""
    steps = settings.steps
    return few_step_flow(steps) if settings.sampler == "dpm" else ShiftlessFlow(steps)
