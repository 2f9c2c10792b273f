"""Input and output of the network in units that suit it, and prediction around the warped portrait.

Of x_t = α x_0 + σ ε the network sees c_in (x_t - α w), w being the warped portrait or zero: the noisy
difference r_t = α r_0 + σ ε of r_0 = x_0 - w. It answers F, of unit variance, with (Karras et al. 2022,
arXiv 2206.00364, eq. 7, for this α and σ, data of deviation d, D = α² d² + σ²)

    c_in = 1 / √D        r̂_0 = (α d² / D) r_t + (σ d / √D) F

and what the process asks for follows, free of divisions by σ:

    diffusion, α² + σ² = 1    v = α ε̂ - σ x̂_0 = ασ(1 - d²)/D r_t - d/√D F - σ w
    flow,      α + σ = 1      v = ε̂ - x̂_0     = (σ - αd²)/D  r_t - d/√D F - w

For d = 1 and diffusion, v = -F - σ w: plain v-prediction.

A small network with large patches cannot pass the noise on to its output, which this asks of it at small σ.
It may answer with data instead, r̂_0 = d F (Li & He 2025, arXiv 2511.13720), from which

    diffusion  v = (α / σ) r_t - (d / σ) F - σ w
    flow       v = (1 / σ) r_t - (d / σ) F - w
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from auteur.synthesis.conditioners.layers import choose
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.samplers.schedule import MODEL_TIMES, signal_levels

_LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class Frame:
    """How one batch enters and leaves the network."""

    difference: Tensor
    """r_t, [B, F, C, H, W]."""
    scale_in: Tensor
    skip: Tensor
    scale_out: Tensor
    anchor: Tensor | None
    """What w contributes to the prediction."""

    @property
    def network_input(self) -> Tensor:
        """c_in r_t."""
        return self.scale_in * self.difference

    def prediction(self, answer: Tensor) -> Tensor:
        """Returns v of the network's answer F."""
        v = self.skip * self.difference + self.scale_out * answer
        return v if self.anchor is None else v - self.anchor


def frame(config: DenoiserConfig, sample: Tensor, timestep: Tensor, conditions: Conditions) -> Frame | None:
    """Returns how a sample [B, F, C, H, W] enters and leaves; None: as it is."""
    if config.data_deviation is None:
        return None
    alpha, sigma = amounts(config.process, timestep)  # [B]
    deviation = torch.full_like(alpha, config.data_deviation)
    warped = None
    present = conditions.presence("warped") if config.anchor_deviation is not None else None
    if present is not None and conditions.warped is not None:
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

    return Frame(
        difference=sample if warped is None else sample - shaped(alpha) * warped,
        scale_in=shaped(total.rsqrt()),
        skip=shaped(skip),
        scale_out=shaped(scale_out),
        anchor=None if warped is None else shaped(anchor_scale) * warped,
    )


def amounts(process: str, timestep: Tensor) -> tuple[Tensor, Tensor]:
    """Returns α and σ of what the network is told as time, each float32 [B]."""
    if process == "flow":
        sigma = timestep.float() / MODEL_TIMES
        return 1 - sigma, sigma
    # The network is told level - 1, see `samplers.ddim.Diffusion.model_time`.
    level = (timestep.round().long() + 1).clamp(1, MODEL_TIMES)
    signal = signal_levels()[level.cpu()].to(timestep.device)
    return signal.sqrt().float(), (1 - signal).sqrt().float()
