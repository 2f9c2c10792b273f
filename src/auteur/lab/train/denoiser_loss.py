"""The loss of the denoiser: the error of its prediction, with conditions dropped at random."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from auteur.lab.data.denoiser_clips import ClipBatch
from auteur.lab.train.clip_batches import DrawnClips
from auteur.lab.train.phases import Loss
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.preconditioner import Preconditioner
from auteur.synthesis.losses import LossSettings

ClipLoss = Callable[[Callable[..., Tensor], DenoiserConfig, ClipBatch, torch.Generator], Tensor]
"""(network, its config, clips, source of random numbers on the CPU) → loss []."""


def training_loss(
    network: Callable[..., Tensor],
    config: DenoiserConfig,
    batch: ClipBatch,
    generator: torch.Generator,
    settings: LossSettings | None = None,
) -> Tensor:
    """Returns the loss of one step, [].

    Eq. 1 of AUHead, L = E‖ε - ε_θ(z_t, t, c)‖², with the base model's own prediction in place of ε and each
    condition dropped at random.

    Args:
        network: The denoiser, perhaps wrapped for several devices.
        config: The denoiser's.
        batch: Clips with their conditions, on the network's device.
        generator: Source of all random numbers, on the CPU.
        settings: Weights; None: those of the base model.
    """
    preconditioner = Preconditioner(config.diffusion)
    rates = config.dropout_rates
    conditions = batch.conditions.drop(rates, generator, together=config.diffusion.drop_all)
    noisy = preconditioner.draw(batch.clean, generator, settings)
    prediction = network(noisy.sample, noisy.model_time, conditions)
    return preconditioner.loss(prediction, noisy, settings, region=batch.region)


def learner_loss(denoiser: VideoDenoiser, loss: ClipLoss) -> Loss:
    """Returns the loss of a denoiser in the form of `phases.Learner.loss`."""

    def of_batch(network: nn.Module, drawn: DrawnClips, step: int) -> Tensor:
        return loss(in_single_precision(network), denoiser.config, drawn.clips, drawn.generator)

    return of_batch


def in_single_precision(network: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Returns a network whose output is float32, whatever precision it computes in."""
    return lambda *given: network(*given).float()
