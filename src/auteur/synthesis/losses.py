"""Training losses of the denoiser, as pure functions of a prediction."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.synthesis.noise import mixed_noise
from auteur.synthesis.samplers.ddim import Diffusion
from auteur.synthesis.samplers.flow import Flow, logit_normal_times
from auteur.synthesis.samplers.process import Process
from auteur.synthesis.samplers.schedule import MODEL_TIMES, spread

HARDEST_SNR = 1e-8


@dataclass(frozen=True)
class LossSettings:
    """Distribution of the noise and weights of the errors."""

    snr_gamma: float = 5.0
    """γ of min-SNR weighting, for diffusion only; 0 switches it off. Hallo and AniPortrait: 5."""
    noise_offset: float = 0.0
    """Strength of the noise shared by all pixels and frames of a channel. Hallo and AniPortrait: 0.05."""
    time_mean: float = 0.0
    time_deviation: float = 1.0
    """Mean and deviation of the logit of the time, for flow matching only. MEMO: 0 and 1."""
    largest_error: float = math.inf
    """Rows with a larger mean error do not count, for flow matching only. MEMO: 0.1."""

    def __post_init__(self) -> None:
        if not self.snr_gamma >= 0:
            raise UsageError(f"snr_gamma is {self.snr_gamma}; it must be 0 (off) or more, 5 is usual")
        if not 0 <= self.noise_offset <= 1:
            raise UsageError(f"noise_offset is {self.noise_offset}; it must be between 0 and 1")
        if not self.time_deviation > 0:
            raise UsageError(f"time_deviation is {self.time_deviation}; it must be more than 0")
        if not self.largest_error > 0:
            raise UsageError(f"largest_error is {self.largest_error}; it must be more than 0")


LOSSES = {
    # MEMO: logit-normal times, error of the data. Hallo and AniPortrait: min-SNR 5, noise offset 0.05.
    "flow": LossSettings(),
    "ddim": LossSettings(snr_gamma=5.0, noise_offset=0.05),
}
"""The papers' settings, by process."""


def min_snr_weight(snr: Tensor, gamma: float) -> Tensor:
    """Returns the weight min(SNR + 1, γ) / (SNR + 1) of a squared error of v, [B].

    Hang et al. 2023 (arXiv 2303.09556) weight the error of x_0 by min(SNR, γ); an error of v is
    worth SNR + 1 errors of x_0. Counting SNR + 1 in the minimum too, as the training code of Hallo and
    AniPortrait does, keeps the level without signal (SNR 0) in the loss: the paper's min(SNR, γ) / (SNR + 1)
    would never train the first step of a zero-terminal-SNR sampler.
    """
    return (snr + 1).clamp(max=gamma) / (snr + 1)


def offset_noise(noise: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Returns noise [B, F, C, H, W] plus `strength` times a normal number per row and channel.

    Guttenberg, "Diffusion with offset noise", 2023. All frames of a clip share it: brightness does not
    flicker.
    """
    if strength == 0:
        return noise
    rows, _, channels = noise.shape[:3]
    shared = torch.randn(rows, 1, channels, 1, 1, generator=generator)
    return noise + strength * shared.to(noise.device, noise.dtype)


def draw_noise(clean: Tensor, common: float, generator: torch.Generator) -> Tensor:
    """Returns unit noise like `clean` [B, F, C, H, W], of which all frames share some (`mixed_noise`)."""
    own = torch.randn(clean.shape, generator=generator)
    if common:
        shared = torch.randn(clean[:, :1].shape, generator=generator)
        own = mixed_noise(own, shared, common)
    return own.to(clean)


def draw_times(process: Process, count: int, settings: LossSettings, generator: torch.Generator) -> Tensor:
    """Returns one training time per row, float64 [count]: uniform levels, or logit-normal for a flow."""
    if isinstance(process, Flow):
        return logit_normal_times(
            count, generator, mean=settings.time_mean, deviation=settings.time_deviation
        )
    levels = torch.randint(1, MODEL_TIMES + 1, (count,), generator=generator)
    return levels.to(torch.float64) / MODEL_TIMES


def denoising_loss(
    process: Process,
    prediction: Tensor,
    clean: Tensor,
    noise: Tensor,
    time: Tensor,
    *,
    settings: LossSettings,
    region: Tensor | None = None,
) -> Tensor:
    """Returns the loss of a batch, [].

    Diffusion: min-SNR-weighted mean ‖v - v̂‖². Flow: mean ‖x_0 - x̂_0‖² = σ² ‖v - v̂‖² (MEMO).

    Args:
        process: Of the noisy sample.
        prediction: The network's, [B, F, C, H, W].
        clean: The data.
        noise: Of the noisy sample.
        time: One per row, [B].
        settings: Weights.
        region: Weight of each pixel, 0 or more, broadcastable to the prediction; None: all 1.
    """
    error = (prediction.float() - process.target(clean, noise, time).float()).square()
    if region is not None:
        error = error * region.to(error.dtype)
    rows = error.flatten(1).mean(1)
    if isinstance(process, Diffusion):
        if settings.snr_gamma == 0:
            return rows.mean()
        weight = min_snr_weight(process.snr(time).clamp(min=HARDEST_SNR), settings.snr_gamma)
        return (spread(weight, rows) * rows).mean()
    rows = rows * spread(process.amount(time) if isinstance(process, Flow) else time, rows).square()
    counted = (rows.detach() <= settings.largest_error).to(rows.dtype)
    return (counted * rows).sum() / counted.sum().clamp(min=1)
