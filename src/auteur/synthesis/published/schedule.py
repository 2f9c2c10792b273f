"""Noise levels and steps of published inference; all three differ from `synthesis.samplers`."""

from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.synthesis.guidance import Form, Guidance
from auteur.synthesis.samplers.schedule import MODEL_TIMES, check_steps, rescale_zero_terminal_snr


@cache
def linear_signal_levels() -> Tensor:
    """Returns ᾱ_0 … ᾱ_999 of betas linear in time, rescaled so that the last holds no signal.

    AniPortrait and Hallo sample with these (`beta_schedule: linear`); `samplers.schedule` has betas linear in
    their root, as Stable Diffusion. Computed in float32 as diffusers does, which differs by 4e-7 from
    float64.
    """
    betas = torch.linspace(0.00085, 0.012, MODEL_TIMES, dtype=torch.float32)
    return (1 - rescale_zero_terminal_snr(betas)).cumprod(0)


class TrailingDDIM:
    """DDIM without added noise, v-prediction, trailing times (theirs: diffusers' DDIMScheduler).

    Args:
        steps: From noise to picture, 1 to 1000.

    Raises:
        UsageError: `steps` is out of range.
    """

    def __init__(self, steps: int) -> None:
        count = check_steps(steps)
        self.stride = MODEL_TIMES // count
        places = torch.arange(count, dtype=torch.float64)
        # Half-way cases round to even, as NumPy does.
        self.times = [float(t) for t in ((MODEL_TIMES - places * (MODEL_TIMES / count)).round() - 1).tolist()]

    def step(self, sample: Tensor, prediction: Tensor, index: int) -> Tensor:
        """Returns the sample after step `index`, which goes from time t to t - 1000 // steps.

        Where 1000 is no multiple of the steps, that is not the next time: the original's flaw, kept.
        """
        levels, time = linear_signal_levels(), int(self.times[index])
        now, before = float(levels[time]), time - self.stride
        then = float(levels[before]) if before >= 0 else 1.0
        clean = now**0.5 * sample - (1 - now) ** 0.5 * prediction
        noise = now**0.5 * prediction + (1 - now) ** 0.5 * sample
        return then**0.5 * clean + (1 - then) ** 0.5 * noise


class ShiftlessFlow:
    """Rectified flow by Euler's method (theirs: diffusers' FlowMatchEulerDiscreteScheduler, defaults).

    Noise levels go from 1 to 0.001 in even steps and then to 0; `samplers.flow` spaces them evenly to 0.

    Args:
        steps: From noise to picture, 1 to 1000.

    Raises:
        UsageError: `steps` is out of range.
    """

    def __init__(self, steps: int) -> None:
        grid = torch.linspace(1, 1 / MODEL_TIMES, check_steps(steps), dtype=torch.float64)
        self.levels = [*grid.tolist(), 0.0]
        self.times = [MODEL_TIMES * level for level in self.levels[:-1]]

    def step(self, sample: Tensor, prediction: Tensor, index: int) -> Tensor:
        """Returns x + (σ' - σ) v."""
        return sample + (self.levels[index + 1] - self.levels[index]) * prediction


class Sampler(Protocol):
    """One way from noise to data, made for one run."""

    times: list[float]
    """Input of the network, one per step."""

    def step(self, sample: Tensor, prediction: Tensor, index: int) -> Tensor:
        """Returns the sample after step `index`."""
        ...


SamplerName = Literal["published", "dpm"]
"""published: DDIM or Euler's method, as the originals; dpm: DPM-Solver++(2M), see `published.solver`."""
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """Settings of denoising a window or a video."""

    steps: int
    guidance: float = 3.5
    """u + s (c - u); 1 or less leaves the unconditional row out."""
    au: float | None = None
    """s_AU of an Action Unit adapter, by `form`; None: the adapter acts in the conditional row alone, which
    is the nested form with s_AU = s_H."""
    form: Form = "published"
    """Of AU guidance, see `synthesis.guidance`."""
    seed: int = 42
    sampler: SamplerName = "published"

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UsageError(f"sampler is {self.sampler!r}; choose one of {', '.join(SAMPLERS)}")
        if not 0 <= self.guidance <= 20:
            raise UsageError(f"guidance is {self.guidance}; it must be between 0 and 20")
        Guidance(au=1.0 if self.au is None else self.au, form=self.form)

    @property
    def rows(self) -> int:
        """Of a batch: the unconditional and the conditional one, or the conditional one."""
        return len(self.conditional)

    @property
    def conditional(self) -> tuple[bool, ...]:
        """For each row of a batch, whether it has its conditions."""
        return (False, True) if self.guidance > 1 or self.au is not None else (True,)


def guided_by_units(without: Tensor, with_units: Tensor, settings: LoopSettings) -> Tensor:
    """Returns the prediction [1, ...] under AU guidance: AUHead's (arXiv 2602.09534, eq. 6) or nested.

    Args:
        without: L(φ, φ) and L(H, φ), [2, ...].
        with_units: L(φ, AU) and L(H, AU), [2, ...].
        settings: s_H, s_AU and the form.
    """
    (nothing, others), (units, both) = without.chunk(2), with_units.chunk(2)
    first = units if settings.form == "published" else nothing
    au = settings.guidance if settings.au is None else settings.au
    return first + settings.guidance * (others - nothing) + au * (both - others)


def guided(prediction: Tensor, scale: float) -> Tensor:
    """Returns u + s (c - u) of a prediction [2, ...], or a single row [1, ...] as it is."""
    if len(prediction) == 1:
        return prediction
    without, with_it = prediction.chunk(2)
    return without + scale * (with_it - without)
