"""Recipe: the denoiser of papers A, B and C, in the phases of its preset: first images, then motion.

    python -m auteur.train.denoiser --preset compact --clips CLIPS --out RUN
    accelerate launch -m auteur.train.denoiser --preset landmark --clips CLIPS --out RUN --unet SD15 …

Clips are files of `auteur.data.denoiser_clips`. A run that was broken off goes on from its last checkpoint
and ends with the same numbers: batches and noise depend on the seed and the step alone.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
import tyro

from auteur.data.denoiser_augment import augmented
from auteur.data.denoiser_clips import BatchOf, ClipBatch, ClipFolder
from auteur.errors import UsageError
from auteur.files import write_text
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import parts
from auteur.synthesis.denoiser.presets import preset
from auteur.synthesis.denoiser.storage import load_parts, save_denoiser
from auteur.synthesis.full.loading import BaseFolders, load_base
from auteur.train.denoiser_phase import LossOf, PhaseTraining, make_accelerator
from auteur.train.denoiser_recipe import DenoiserRecipe, Phase, later
from auteur.train.denoiser_smoke import SmokeClips, shrunk
from auteur.train.denoiser_state import (
    Progress,
    checkpoints,
    load_model,
    load_optimizer,
    read_progress,
    save_progress,
)
from auteur.train.denoiser_watch import Watch, averaged

_Number = TypeVar("_Number", int, float)


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
    watch = None
    if recipe.watch_every and recipe.clips is not None:
        held = ClipFolder(recipe.clips, names=denoiser.condition_names, past=_past(denoiser), held_out=True)
        watch = Watch(held.batch, frames=2, folder=recipe.out)
    run = _Run(recipe, denoiser, learning, accelerator, watch)
    for phase in range(run.done.phase, len(plan.phases)):
        training = PhaseTraining(
            denoiser,
            recipe,
            Phase(
                learning=plan.phases[phase],
                frames=plan.frames[phase],
                rows=_of_phase(recipe.batch_size, phase),
                untaught=tuple(set(later(plan.phases, phase)) & set(denoiser.condition_names)),
            ),
            batch_of=batch_of,
            accelerator=accelerator,
        )
        run.go_through(phase, training, _of_phase(recipe.steps, phase))
    result = recipe.out / "denoiser.safetensors"
    if accelerator.is_main_process:
        only = None if "base" in learning else learning
        save_denoiser(denoiser.eval(), result, only=only, dtype=torch.float16, overwrite=True)
    return result


def follow(
    denoiser: VideoDenoiser,
    recipe: DenoiserRecipe,
    phase: Phase,
    *,
    batch_of: BatchOf,
    loss_of: LossOf,
    watch: Watch | None,
) -> Path:
    """Goes through one phase with a loss of another recipe's own, and returns the denoiser's file.

    Args:
        denoiser: Trained in place.
        recipe: How; of its phases only the first counts.
        phase: What learns, from what.
        batch_of: Gives clips.
        loss_of: See `PhaseTraining`.
        watch: Looks at held-out people, if given.
    """
    accelerator = make_accelerator(recipe.precision)
    denoiser.to(accelerator.device)
    run = _Run(recipe, denoiser, phase.learning, accelerator, watch)
    training = PhaseTraining(
        denoiser, recipe, phase, batch_of=batch_of, accelerator=accelerator, loss_of=loss_of
    )
    run.go_through(0, training, recipe.steps[0])
    result = recipe.out / "denoiser.safetensors"
    if accelerator.is_main_process:
        save_denoiser(denoiser.eval(), result, dtype=torch.float16, overwrite=True)
    return result


class _Run:
    """A run on disk: where it is, and what it logs."""

    def __init__(
        self,
        recipe: DenoiserRecipe,
        denoiser: VideoDenoiser,
        learning: tuple[str, ...],
        accelerator: Any,
        watch: Watch | None,
    ) -> None:
        self._recipe, self._accelerator, self._watch, self._best = recipe, accelerator, watch, -math.inf
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
        minutes = _of_phase(recipe.minutes, phase) if recipe.minutes else math.inf
        for step in range(first, steps):
            progress = max(step / steps, (time.monotonic() - started) / 60 / minutes)
            seen = training.step(phase, step, progress)
            last = step + 1 == steps or progress >= 1
            if is_main and self._watch and (last or (step + 1) % recipe.watch_every == 0):
                seen |= self._looked_at(training, phase, step)
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
            if last:
                return

    def _looked_at(self, training: PhaseTraining, phase: int, step: int) -> dict[str, Any]:
        """Looks at held-out people, and keeps the weights if they never did better."""
        assert self._watch is not None  # noqa: S101 - for the type checker
        with averaged(training.denoiser, training.parameters, training.average):
            seen = self._watch.look(training.denoiser, f"phase{phase}-{step + 1:06d}")
            if seen.painted_db > self._best:
                self._best = seen.painted_db
                best = self._recipe.out / "best.safetensors"
                save_denoiser(training.denoiser, best, dtype=torch.float16, overwrite=True)
        return asdict(seen)


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
    clips = ClipFolder(recipe.clips, names=config.condition_names, past=_past(denoiser))

    def batch(rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        drawn = clips.batch(rows, frames, generator)
        return augmented(drawn, generator) if recipe.augment else drawn

    return denoiser, batch


def _past(denoiser: VideoDenoiser) -> int:
    return 0 if denoiser.config.past is None else denoiser.config.past.frames


def _of_phase(values: Sequence[_Number], phase: int) -> _Number:
    return values[min(phase, len(values) - 1)]


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
