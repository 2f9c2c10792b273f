"""One phase of a denoiser's training: its loss, and steps in which some parts learn and others are frozen."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from auteur.data.denoiser_clips import BatchOf, ClipBatch
from auteur.errors import UsageError
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import train_only
from auteur.synthesis.denoiser.preconditioner import Preconditioner
from auteur.synthesis.losses import LOSSES, LossSettings
from auteur.synthesis.noise import step_generator
from auteur.train.denoiser_recipe import DenoiserRecipe, Phase, learning_rate_at
from auteur.train.denoiser_state import (
    Average,
)

LossOf = Callable[[Callable[..., Tensor], DenoiserConfig, ClipBatch, torch.Generator], Tensor]


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
        generator: Source of all chance, on the CPU.
        settings: Weights; None: those of the base model.
    """
    preconditioner = Preconditioner(config.diffusion)
    rates = config.dropout_rates
    conditions = batch.conditions.drop(rates, generator, together=config.diffusion.drop_all)
    noisy = preconditioner.draw(batch.clean, generator, settings)
    prediction = network(noisy.sample, noisy.model_time, conditions)
    return preconditioner.loss(prediction, noisy, settings, region=batch.region)


class PhaseTraining:
    """One phase: its parts learn, the others are frozen.

    Args:
        denoiser: Trained in place.
        recipe: How.
        phase: What learns, from what.
        batch_of: Gives clips.
        accelerator: Of accelerate.
        loss_of: Takes network, config, batch and source of chance; None: `training_loss`.
    """

    def __init__(
        self,
        denoiser: VideoDenoiser,
        recipe: DenoiserRecipe,
        phase: Phase,
        *,
        batch_of: BatchOf,
        accelerator: Any,
        loss_of: LossOf | None = None,
    ) -> None:
        self._phase = phase
        self.parameters: dict[str, nn.Parameter] = train_only(denoiser, phase.learning)
        self.denoiser, self._recipe, self._batch_of = denoiser.train(), recipe, batch_of
        self._accelerator = accelerator
        chosen = replace(
            LOSSES[denoiser.config.process],
            time_mean=recipe.time_mean,
            time_deviation=recipe.time_deviation,
        )
        self._loss_of = loss_of or partial(training_loss, settings=chosen)
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.999),
            weight_decay=recipe.weight_decay,
        )
        self._network, self._prepared = accelerator.prepare(denoiser, self.optimizer)
        self.average = Average(self.parameters, recipe.average_decay)

    def step(self, phase: int, step: int, progress: float = 0.0) -> dict[str, Any]:
        """Makes one step, `progress` of the phase being done, and returns what is logged.

        Raises:
            FloatingPointError: Loss or gradient became NaN or infinite; the model is as before the step.
        """
        recipe, accelerator = self._recipe, self._accelerator
        rate = learning_rate_at(recipe, step, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._prepared.zero_grad()
        total = 0.0
        for part in range(recipe.accumulate):
            key = f"train:{phase}:{step}:{part}:{accelerator.process_index}"
            generator = step_generator(recipe.seed, key)
            drawn = self._batch_of(self._phase.rows, self._phase.frames, generator)
            batch = replace(drawn, conditions=drawn.conditions.lacking(*self._phase.untaught))
            batch = batch.to(accelerator.device)
            with accelerator.autocast():
                loss = self._loss_of(self._network, self.denoiser.config, batch, generator)
            accelerator.backward(loss / recipe.accumulate)
            total += float(loss.detach()) / recipe.accumulate
        norm = float(accelerator.clip_grad_norm_(list(self.parameters.values()), recipe.clip_gradient))
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise FloatingPointError(
                f"loss is {total} and the gradient's norm {norm} at step {step} of phase {phase}; "
                "lower learning_rate and start again: the run goes on from its last checkpoint"
            )
        self._prepared.step()
        self.average.update(self.parameters, step)
        return {
            "phase": phase, "step": step + 1, "loss": round(total, 6), "gradient_norm": round(norm, 4),
            "learning_rate": rate,
        }  # fmt: skip


def make_accelerator(precision: str) -> Any:
    """Returns accelerate's view of the devices that there are.

    Raises:
        UsageError: accelerate is not installed.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError as error:
        raise UsageError("accelerate is not installed; run: pip install 'auteur-face[full]'") from error
    # A batch that lost a condition in all its rows leaves that conditioner without gradient.
    distributed = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision=precision, kwargs_handlers=[distributed])
