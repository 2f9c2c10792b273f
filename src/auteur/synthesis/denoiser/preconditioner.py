"""Preconditioning of the network: the units of its input and output, and its loss.

Of x_t = α x_0 + σ ε the network's input is c_in (x_t - α w), w being the warped portrait or zero: the noisy
difference r_t = α r_0 + σ ε of r_0 = x_0 - w. Its output is F, of unit variance, with (Karras et al. 2022,
arXiv 2206.00364, eq. 7, for this α and σ, data of deviation d, D = α² d² + σ²)

    c_in = 1 / √D        r̂_0 = (α d² / D) r_t + (σ d / √D) F

and the v of the process follows, free of divisions by σ:

    diffusion, α² + σ² = 1    v = α ε̂ - σ x̂_0 = ασ(1 - d²)/D r_t - d/√D F - σ w
    flow,      α + σ = 1      v = ε̂ - x̂_0     = (σ - αd²)/D  r_t - d/√D F - w

For d = 1 and diffusion, v = -F - σ w: plain v-prediction.

A small network with large patches cannot pass the noise on to its output, which this needs at small σ.
It may output data instead, r̂_0 = d F (Li & He 2025, arXiv 2511.13720), from which

    diffusion  v = (α / σ) r_t - (d / σ) F - σ w
    flow       v = (1 / σ) r_t - (d / σ) F - w
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from auteur.synthesis.conditioners.layers import choose
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.config import DiffusionConfig
from auteur.synthesis.losses import (
    LOSSES,
    LossSettings,
    denoising_loss,
    draw_noise,
    draw_times,
    offset_noise,
)
from auteur.synthesis.samplers.process import Process
from auteur.synthesis.samplers.schedule import MODEL_TIMES, signal_levels

_LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class Preconditioning:
    """Scaling of one batch at the network's input and output."""

    difference: Tensor
    """r_t, [B, F, C, H, W]."""
    scale_in: Tensor
    """c_in, [B, 1, 1, 1, 1]."""
    skip: Tensor
    """Factor of r_t in v, [B, 1, 1, 1, 1]."""
    scale_out: Tensor
    """Factor of F in v, [B, 1, 1, 1, 1]."""
    anchor: Tensor | None
    """Term of w in the prediction, [B, F, C, H, W]; None: no term."""

    @property
    def network_input(self) -> Tensor:
        """c_in r_t."""
        return self.scale_in * self.difference

    def prediction(self, answer: Tensor) -> Tensor:
        """Returns v for the network's output F."""
        v = self.skip * self.difference + self.scale_out * answer
        return v if self.anchor is None else v - self.anchor


@dataclass(frozen=True, eq=False)
class NoisySample:
    """Data at a time of the process, as training draws it."""

    clean: Tensor
    """x_0, [B, F, C, H, W]."""
    noise: Tensor
    """ε, of the same shape."""
    time: Tensor
    """In (0, 1], float64 [B]."""
    sample: Tensor
    """x_t."""
    model_time: Tensor
    """The time as the network's input, float32 [B]."""


class Preconditioner:
    """From samples to predictions by way of the network, and the loss of these predictions.

    Args:
        config: The process and the units of the network.
    """

    def __init__(self, config: DiffusionConfig) -> None:
        self.config = config

    @property
    def process(self) -> Process:
        """The process whose v is predicted."""
        return self.config.noising

    def __call__(
        self, network: Callable[[Tensor], Tensor], sample: Tensor, timestep: Tensor, conditions: Conditions
    ) -> Tensor:
        """Returns v for a noisy sample [B, F, C, H, W] at model times [B].

        Args:
            network: (input [B, F, C, H, W]) → F, of the same shape.
            sample: x_t.
            timestep: Model time, see `Process.model_time`.
            conditions: Of the batch; only the warped portrait matters here.
        """
        scaled = self.scaling(sample, timestep, conditions)
        if scaled is None:
            return network(sample)
        return scaled.prediction(network(scaled.network_input))

    def scaling(self, sample: Tensor, timestep: Tensor, conditions: Conditions) -> Preconditioning | None:
        """Returns the scaling of a sample [B, F, C, H, W]; None: none."""
        config = self.config
        if config.data_deviation is None:
            return None
        alpha, sigma = amounts(config.process, timestep)  # [B]
        deviation = torch.full_like(alpha, config.data_deviation)
        warped = None
        present = conditions.presence("warped") if config.anchor_deviation is not None else None
        if present is not None:
            pixels = conditions.warped[:, :, :-1]
            warped = choose(present, pixels, pixels.new_zeros(()))
            deviation = torch.where(present, config.anchor_deviation or 1.0, deviation)
        total = alpha.square() * deviation.square() + sigma.square()
        scale_out = -deviation * total.rsqrt()
        if config.answers == "data":
            sigma = sigma.clamp(min=_LEAST_NOISE)
            is_flow = config.process == "flow"
            skip, scale_out = (1 if is_flow else alpha) / sigma, -deviation / sigma
            anchor_scale = torch.ones_like(sigma) if is_flow else sigma
        elif config.process == "ddim":
            skip, anchor_scale = alpha * sigma * (1 - deviation.square()) / total, sigma
        else:
            skip, anchor_scale = (sigma - alpha * deviation.square()) / total, torch.ones_like(sigma)

        def shaped(numbers: Tensor) -> Tensor:
            return numbers.reshape(-1, 1, 1, 1, 1).to(sample)

        return Preconditioning(
            difference=sample if warped is None else sample - shaped(alpha) * warped,
            scale_in=shaped(total.rsqrt()),
            skip=shaped(skip),
            scale_out=shaped(scale_out),
            anchor=None if warped is None else shaped(anchor_scale) * warped,
        )

    def draw(
        self, clean: Tensor, generator: torch.Generator, settings: LossSettings | None = None
    ) -> NoisySample:
        """Returns clean data [B, F, C, H, W] at times and with noise as training draws them.

        Args:
            clean: x_0.
            generator: Random number generator, on the CPU.
            settings: Distribution of times and noise; None: the papers' for this process.
        """
        settings = settings or LOSSES[self.config.process]
        time = draw_times(self.process, len(clean), settings, generator)
        noise = draw_noise(clean, self.config.noise_common, generator)
        noise = offset_noise(noise, settings.noise_offset, generator)
        return NoisySample(
            clean=clean,
            noise=noise,
            time=time,
            sample=self.process.noised(clean, noise, time),
            model_time=self.process.model_time(time).to(clean.device, torch.float32),
        )

    def loss(
        self,
        prediction: Tensor,
        noisy: NoisySample,
        settings: LossSettings | None = None,
        *,
        region: Tensor | None = None,
    ) -> Tensor:
        """Returns the weighted loss of predictions [B, F, C, H, W] of `noisy`, [].

        It is scaled as for a target of unit variance.

        Args:
            prediction: v̂.
            noisy: The input of the prediction.
            settings: Weights; None: the papers' for this process.
            region: Weight of each pixel, [B, F, 1, H, W]; None: all 1.
        """
        settings = settings or LOSSES[self.config.process]
        loss = denoising_loss(
            self.process,
            prediction,
            noisy.clean,
            noisy.noise,
            noisy.time,
            settings=settings,
            region=region,
        )
        return loss / (self.config.anchor_deviation or 1.0) ** 2


def amounts(process: str, timestep: Tensor) -> tuple[Tensor, Tensor]:
    """Returns α and σ of a model time, each float32 [B]."""
    if process == "flow":
        sigma = timestep.float() / MODEL_TIMES
        return 1 - sigma, sigma
    # The model time is level - 1, see `samplers.ddim.Diffusion.model_time`.
    level = (timestep.round().long() + 1).clamp(1, MODEL_TIMES)
    signal = signal_levels()[level.cpu()].to(timestep.device)
    return signal.sqrt().float(), (1 - signal).sqrt().float()
