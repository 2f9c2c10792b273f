"""Recipe: few-step students of a trained denoiser, by progressive distillation.

    python -m auteur.train.denoiser_distill --teacher RUN/denoiser.safetensors --clips CLIPS --out STUDENT

Each stage halves the steps: the student starts as its teacher and learns to do in one step what the teacher
does in two (`auteur.synthesis.samplers.distill`). Guidance can be distilled too: the first teacher is guided,
and its students need no guidance, one evaluation per step in place of three or four.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro
from torch import Tensor

from auteur.data.denoiser_clips import BatchOf, ClipBatch, ClipFolder
from auteur.errors import UsageError
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import part_names
from auteur.synthesis.denoiser.storage import load_denoiser, save_denoiser
from auteur.synthesis.guidance import Guidance, check_supported, guided_prediction
from auteur.synthesis.losses import draw_noise
from auteur.synthesis.samplers.distill import distillation_loss, draw_student_times, halvings, lesson
from auteur.train.denoiser_phase import LossOf, PhaseTraining, make_accelerator
from auteur.train.denoiser_recipe import DenoiserRecipe, Phase


@dataclass(frozen=True)
class DistillRecipe:
    """What you will most likely change."""

    teacher: Path
    """A denoiser that `auteur.train.denoiser` made."""
    clips: Path
    out: Path
    """Folder for denoiser-N.safetensors, N steps each, and metrics.jsonl."""
    teacher_steps: int = 32
    student_steps: int = 4
    """Of the last student; the teacher's steps are 2, 4, 8, … times as many."""
    guidance: Guidance = field(default_factory=Guidance)
    """Of the first teacher."""
    steps: int = 5000
    """Training steps per halving."""
    rows: int = 4
    frames: int = 8
    learning_rate: float = 1e-4
    warm_up_steps: int = 100
    average_decay: float = 0.999
    log_every: int = 50
    seed: int = 0
    precision: str = "no"
    """Of accelerate: no, bf16 or fp16."""

    def __post_init__(self) -> None:
        halvings(self.teacher_steps, self.student_steps)
        if min(self.steps, self.rows, self.frames, self.log_every) < 1:
            raise UsageError("steps, rows, frames and log_every must be 1 or more")


def distillation_loss_of(teacher: VideoDenoiser, guidance: Guidance, student_steps: int) -> LossOf:
    """Returns the loss of a student that takes `student_steps` steps, for `PhaseTraining`.

    Conditions are dropped as in training, unless the teacher is guided: then the student only ever sees them
    all, as it will be used.
    """

    def loss_of(
        network: Callable[..., Tensor], config: DenoiserConfig, batch: ClipBatch, generator: torch.Generator
    ) -> Tensor:
        process = config.noising
        conditions = batch.conditions
        if guidance == Guidance():
            conditions = conditions.drop(config.dropout_rates, generator, together=config.drop_all)
        time = draw_student_times(len(batch.clean), student_steps, generator)
        noise = draw_noise(batch.clean, config.noise_common, generator)
        predict = guided_prediction(teacher, conditions, guidance)
        given = lesson(process, predict, batch.clean, noise, time, student_steps)
        told = process.model_time(time).to(batch.clean.device, torch.float32)
        return distillation_loss(process, network(given.sample, told, conditions), given)

    return loss_of


def distill(denoiser: VideoDenoiser, recipe: DistillRecipe, batch_of: BatchOf) -> dict[int, VideoDenoiser]:
    """Returns the student of every halving, by its steps; the denoiser itself is left alone.

    Raises:
        UsageError: The teacher has no conditioner for what is guided.
        FloatingPointError: The loss became NaN.
    """
    check_supported(denoiser, recipe.guidance)
    accelerator = make_accelerator(recipe.precision)
    teacher, guidance = denoiser.to(accelerator.device).eval(), recipe.guidance
    settings = DenoiserRecipe(
        out=recipe.out,
        learning_rate=recipe.learning_rate,
        warm_up_steps=recipe.warm_up_steps,
        average_decay=recipe.average_decay,
        seed=recipe.seed,
        log_every=recipe.log_every,
    )
    students: dict[int, VideoDenoiser] = {}
    for stage, steps in enumerate(halvings(recipe.teacher_steps, recipe.student_steps)):
        training = PhaseTraining(
            copy.deepcopy(teacher),
            settings,
            Phase(learning=part_names(teacher), frames=recipe.frames, rows=recipe.rows),
            batch_of=batch_of,
            accelerator=accelerator,
            loss_of=distillation_loss_of(teacher, guidance, steps),
        )
        for step in range(recipe.steps):
            seen = training.step(stage, step)
            if accelerator.is_main_process and (step + 1) % recipe.log_every == 0:
                with (recipe.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**seen, "student_steps": steps}) + "\n")
        training.average.copy_to(training.parameters)
        teacher, guidance = training.denoiser.eval(), Guidance()
        students[steps] = teacher
        if accelerator.is_main_process:
            path = recipe.out / f"denoiser-{steps}.safetensors"
            save_denoiser(teacher, path, dtype=torch.float16, overwrite=True)
    return students


def main(recipe: DistillRecipe) -> None:
    """Distils a denoiser of a file on clips of a folder."""
    denoiser = load_denoiser(recipe.teacher)
    past = 0 if denoiser.config.past is None else denoiser.config.past.frames
    clips = ClipFolder(recipe.clips, names=denoiser.condition_names, past=past)
    recipe.out.mkdir(parents=True, exist_ok=True)
    distill(denoiser, recipe, clips.batch)


if __name__ == "__main__":
    main(tyro.cli(DistillRecipe))
