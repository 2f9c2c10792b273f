"""Recipe: the denoiser of papers A, B and C, in the phases of its preset: first images, then motion.

    python -m auteur.train.denoiser --preset compact --clips CLIPS --out RUN
    accelerate launch -m auteur.train.denoiser --preset landmark --clips CLIPS --out RUN --unet SD15 …

Clips are files of `auteur.train.denoiser_clips`. A run that was broken off goes on from its last checkpoint
and ends with the same numbers: batches and noise depend on the seed and the step alone.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.files import write_text
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import parts, train_only
from auteur.synthesis.denoiser.presets import preset
from auteur.synthesis.denoiser.storage import load_parts, save_denoiser
from auteur.synthesis.full.loading import BaseFolders, load_base
from auteur.synthesis.losses import LossSettings, denoising_loss, draw_times, offset_noise
from auteur.synthesis.noise import step_generator
from auteur.synthesis.samplers import process_named
from auteur.train.denoiser_clips import BatchOf, ClipBatch, ClipFolder
from auteur.train.denoiser_smoke import SmokeClips, shrunk
from auteur.train.denoiser_state import (
    Average,
    Progress,
    checkpoints,
    load_model,
    load_optimizer,
    read_progress,
    save_progress,
)

LossOf = Callable[[Callable[..., Tensor], DenoiserConfig, ClipBatch, torch.Generator], Tensor]

LOSSES = {
    # MEMO: logit-normal times, error of the data. Hallo and AniPortrait: min-SNR 5, noise offset 0.05.
    "flow": LossSettings(),
    "ddim": LossSettings(snr_gamma=5.0, noise_offset=0.05),
}


@dataclass(frozen=True)
class DenoiserRecipe:
    """What you will most likely change."""

    out: Path
    """Folder of the run: checkpoints, metrics.jsonl, and denoiser.safetensors at the end."""
    preset: str = "compact"
    """auhead, emodiffhead, landmark or compact."""
    clips: Path | None = None
    """Folder of clips; not needed with --smoke."""
    unet: Path | None = None
    """Stable Diffusion 1.5 folder to start from; the compact preset starts from nothing."""
    motion_adapter: Path | None = None
    """AnimateDiff motion adapter to start from."""
    start: tuple[Path, ...] = ()
    """Files with a denoiser or parts of one to start from, such as a base to adapt."""
    steps: tuple[int, ...] = (30_000, 30_000)
    """Per phase. Hallo: 30,000 each; AniPortrait: 300,000 and 40,000; MEMO and so AUHead: 20,000."""
    batch_size: tuple[int, ...] = (8, 4)
    """Rows per process and step, per phase. Hallo: 8 and 4."""
    learning_rate: float = 1e-5
    """AUHead: 5e-6 on Hallo, 1e-5 on MEMO; a model from nothing needs about 3e-4."""
    warm_up_steps: int = 100
    accumulate: int = 1
    """Batches per step."""
    clip_gradient: float = 1.0
    average_decay: float = 0.999
    weight_decay: float = 0.01
    precision: str = "no"
    """Of accelerate: no, bf16 or fp16."""
    recompute: bool = False
    """Compute feature maps twice to hold fewer of them in memory."""
    save_every: int = 1000
    log_every: int = 50
    seed: int = 0
    smoke: bool = False
    """Try everything on a tiny model and made-up clips, a few steps."""

    def __post_init__(self) -> None:
        for name in ("accumulate", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise UsageError(f"learning_rate is {self.learning_rate}; it must be more than 0, 1e-5 is usual")
        if not 0 <= self.average_decay < 1:
            raise UsageError(f"average_decay is {self.average_decay}; it must be at least 0 and below 1")
        if min(self.steps, default=0) < 1 or min(self.batch_size, default=0) < 1:
            raise UsageError(f"steps {self.steps} and batch_size {self.batch_size} must be 1 or more")


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
    settings = settings or LOSSES[config.process]
    process = process_named(config.process)
    rates = config.dropout_rates
    conditions = batch.conditions.drop(rates, generator, together=config.drop_all)
    time = draw_times(process, len(batch.clean), settings, generator)
    noise = torch.randn(batch.clean.shape, generator=generator).to(batch.clean)
    noise = offset_noise(noise, settings.noise_offset, generator)
    noisy = process.noised(batch.clean, noise, time)
    told = process.model_time(time).to(batch.clean.device, torch.float32)
    prediction = network(noisy, told, conditions)
    return denoising_loss(
        process, prediction, batch.clean, noise, time, settings=settings, region=batch.region
    )


def learning_rate_at(recipe: DenoiserRecipe, step: int) -> float:
    """Returns the rate of a step: constant after a linear warm-up, as in MEMO and Hallo."""
    return recipe.learning_rate * min(1.0, (step + 1) / max(1, recipe.warm_up_steps))


class PhaseTraining:
    """One phase: its parts learn, the others are frozen.

    Args:
        denoiser: Trained in place.
        recipe: How.
        learning: Parts that learn.
        batch_of: Gives clips.
        frames: Per clip.
        rows: Clips per batch and process.
        accelerator: Of accelerate.
        loss_of: Takes network, config, batch and source of chance; None: `training_loss`.
    """

    def __init__(
        self,
        denoiser: VideoDenoiser,
        recipe: DenoiserRecipe,
        *,
        learning: tuple[str, ...],
        batch_of: BatchOf,
        frames: int,
        rows: int,
        accelerator: Any,
        loss_of: LossOf | None = None,
    ) -> None:
        self.parameters: dict[str, nn.Parameter] = train_only(denoiser, learning)
        self.denoiser, self._recipe, self._batch_of = denoiser.train(), recipe, batch_of
        self._frames, self._rows, self._accelerator = frames, rows, accelerator
        self._loss_of = loss_of or training_loss
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.999),
            weight_decay=recipe.weight_decay,
        )
        self._network, self._prepared = accelerator.prepare(denoiser, self.optimizer)
        self.average = Average(self.parameters, recipe.average_decay)

    def step(self, phase: int, step: int) -> dict[str, Any]:
        """Makes one step and returns what is logged.

        Raises:
            FloatingPointError: Loss or gradient became NaN or infinite; the model is as before the step.
        """
        recipe, accelerator = self._recipe, self._accelerator
        rate = learning_rate_at(recipe, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._prepared.zero_grad()
        total = 0.0
        for part in range(recipe.accumulate):
            key = f"train:{phase}:{step}:{part}:{accelerator.process_index}"
            generator = step_generator(recipe.seed, key)
            batch = self._batch_of(self._rows, self._frames, generator).to(accelerator.device)
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


def train(recipe: DenoiserRecipe) -> Path:
    """Trains all phases of the preset, going on from the last checkpoint if there is one.

    Returns:
        The file with the averaged denoiser (only what learned, if the base is frozen throughout).

    Raises:
        UsageError: The recipe does not fit the preset, or accelerate is missing.
        InputError: Clips or checkpoints cannot be used.
        FloatingPointError: The loss became NaN.
    """
    plan = preset(recipe.preset)
    accelerator = make_accelerator(recipe.precision)
    recipe.out.mkdir(parents=True, exist_ok=True)
    denoiser, batch_of = _model_and_clips(recipe)
    denoiser.to(accelerator.device).checkpointing = recipe.recompute
    learning = tuple(dict.fromkeys(name for names in plan.phases for name in names))
    run = _Run(recipe, denoiser, learning, accelerator)
    for phase in range(run.done.phase, len(plan.phases)):
        training = PhaseTraining(
            denoiser,
            recipe,
            learning=plan.phases[phase],
            batch_of=batch_of,
            frames=plan.frames[phase],
            rows=_of_phase(recipe.batch_size, phase),
            accelerator=accelerator,
        )
        run.go_through(phase, training, _of_phase(recipe.steps, phase))
    result = recipe.out / "denoiser.safetensors"
    if accelerator.is_main_process:
        only = None if "base" in learning else learning
        save_denoiser(denoiser.eval(), result, only=only, dtype=torch.float16, overwrite=True)
    return result


class _Run:
    """A run on disk: where it is, and what it logs."""

    def __init__(
        self, recipe: DenoiserRecipe, denoiser: VideoDenoiser, learning: tuple[str, ...], accelerator: Any
    ) -> None:
        self._recipe, self._accelerator = recipe, accelerator
        self._everything = parts(denoiser, learning).state_dict()
        self._settings = json.dumps(
            [recipe.preset, recipe.seed, recipe.batch_size, denoiser.config.to_json()]
        )
        self.done, self._checkpoint = Progress(0, 0), None
        if saved := checkpoints(recipe.out):
            self._checkpoint = saved[-1]
            self.done = read_progress(saved[-1], self._settings)
            load_model(saved[-1], self._everything)
        self._metrics = recipe.out / "metrics.jsonl"
        if accelerator.is_main_process:
            _forget_after(self._metrics, self.done)

    def go_through(self, phase: int, training: PhaseTraining, steps: int) -> None:
        """Makes the steps of a phase that are not done yet."""
        recipe, is_main = self._recipe, self._accelerator.is_main_process
        first = self.done.step if phase == self.done.phase else 0
        if first and self._checkpoint is not None:
            load_optimizer(self._checkpoint, training.parameters, training.average, training.optimizer)
        started = time.monotonic()
        for step in range(first, steps):
            seen = training.step(phase, step)
            last = step + 1 == steps
            if is_main and (last or (step + 1) % recipe.log_every == 0):
                seen["seconds"] = round(time.monotonic() - started, 1)
                with self._metrics.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(seen) + "\n")
            if last:  # the next phase, and the result, start from the average
                training.average.copy_to(training.parameters)
            if is_main and (last or (step + 1) % recipe.save_every == 0):
                save_progress(
                    recipe.out,
                    Progress(phase, step + 1),
                    parameters=training.parameters,
                    everything=self._everything,
                    average=training.average,
                    optimizer=training.optimizer,
                    settings=self._settings,
                )
            self._accelerator.wait_for_everyone()


def _model_and_clips(recipe: DenoiserRecipe) -> tuple[VideoDenoiser, BatchOf]:
    config = preset(recipe.preset).config
    if recipe.smoke:
        config = shrunk(config)
        return build_denoiser(config, seed=recipe.seed), SmokeClips(config).batch
    if recipe.clips is None:
        raise UsageError("no clips were given; name their folder with --clips, or try --smoke")
    if recipe.unet is not None:
        denoiser = load_base(config, BaseFolders(unet=recipe.unet, motion_adapter=recipe.motion_adapter))
    elif recipe.preset == "auhead" and not recipe.start:
        raise UsageError("auhead adapts a trained base; name it with --start, or its parts with --unet")
    else:
        denoiser = build_denoiser(config, seed=recipe.seed)
    for path in recipe.start:
        load_parts(denoiser, path)
    past = 0 if config.past is None else config.past.frames
    return denoiser, ClipFolder(recipe.clips, names=config.condition_names, past=past).batch


def _of_phase(values: tuple[int, ...], phase: int) -> int:
    return values[min(phase, len(values) - 1)]


def make_accelerator(precision: str) -> Any:
    """Returns accelerate's view of the devices that there are.

    Raises:
        UsageError: accelerate is not installed.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError as error:
        raise UsageError("accelerate is not installed; run: pip install 'auteur-face[full]'") from error
    # A batch that lost a condition in all its rows leaves that plug without gradient.
    distributed = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision=precision, kwargs_handlers=[distributed])


def _forget_after(metrics: Path, done: Progress) -> None:
    """Takes out what a broken run logged after its last checkpoint."""
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    kept = [line for line in lines if _before(line, done)]
    write_text(metrics, "".join(f"{line}\n" for line in kept), overwrite=True)


def _before(line: str, done: Progress) -> bool:
    try:
        seen = json.loads(line)
        return (seen["phase"], seen["step"]) <= (done.phase, done.step)
    except (ValueError, KeyError, TypeError):
        return False


if __name__ == "__main__":
    train(tyro.cli(DenoiserRecipe))
