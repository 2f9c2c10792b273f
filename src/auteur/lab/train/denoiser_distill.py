"""Recipe: few-step students of a trained denoiser, by progressive distillation.

    auteur train denoiser-distill --teacher RUN/denoiser.safetensors --shards SHARDS --out STUDENT

Each phase halves the steps: the student starts as its teacher, and one of its steps is trained to equal two
of the teacher (`auteur.synthesis.samplers.distill`). Guidance can be distilled too: the first teacher is
guided, and its students need no guidance, one evaluation per step in place of three or four.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from auteur.errors import UsageError
from auteur.lab.data.denoiser_clips import BatchOf, ClipBatch
from auteur.lab.data.shards import Corpora
from auteur.lab.train.clip_batches import ClipBatches
from auteur.lab.train.denoiser import open_clips, start_run
from auteur.lab.train.denoiser_loss import ClipLoss, learner_loss
from auteur.lab.train.devices import Precision, Tracker
from auteur.lab.train.phases import Learner, Phase, WarmUpCosine
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import part_names, train_only
from auteur.synthesis.denoiser.storage import load_denoiser, save_denoiser
from auteur.synthesis.guidance import Guidance, check_supported, guided_prediction
from auteur.synthesis.losses import draw_noise
from auteur.synthesis.samplers.distill import distillation_loss, draw_student_times, halvings, lesson


@dataclass(frozen=True)
class DistillRecipe:
    """Settings of the recipe."""

    teacher: Path
    """A denoiser that the recipe `denoiser` wrote."""
    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    """Folder of the run: denoiser-N.safetensors of N steps each, checkpoints, log."""
    teacher_steps: int = 32
    student_steps: int = 4
    """Steps of the last student; the teacher's are 2, 4, 8, … times as many."""
    guidance: Guidance = field(default_factory=Guidance)
    """Guidance of the first teacher."""
    steps: int = 5000
    """Training steps per halving."""
    rows: int = 4
    frames: int = 8
    learning_rate: float = 1e-4
    warm_up_steps: int = 100
    average_decay: float = 0.999
    save_every_steps: int = 1000
    """Between checkpoints."""
    log_every_steps: int = 50
    """Between lines of the log."""
    seed: int = 0
    """All random numbers follow from it."""
    precision: Precision = "no"
    """Of accelerate: no, bf16 or fp16."""
    tracker: Tracker = ""
    """trackio or tensorboard, beside the JSON lines that are always written."""

    def __post_init__(self) -> None:
        halvings(self.teacher_steps, self.student_steps)
        if min(self.steps, self.rows, self.frames, self.log_every_steps) < 1:
            raise UsageError("steps, rows, frames and log_every_steps must be 1 or more")


def distillation_loss_of(teacher: VideoDenoiser, guidance: Guidance, student_steps: int) -> ClipLoss:
    """Returns the loss of a student that takes `student_steps` steps, on clips.

    Conditions are dropped as in training, unless the teacher is guided: then the student always gets
    all of them, as in its use.
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
        timestep = process.model_time(time).to(batch.clean.device, torch.float32)
        return distillation_loss(process, network(given.sample, timestep, conditions), given)

    return loss_of


def distill(denoiser: VideoDenoiser, recipe: DistillRecipe, batch_of: BatchOf) -> VideoDenoiser:
    """Returns the last student; each is written to `denoiser-N.safetensors`. The denoiser itself stays.

    Raises:
        UsageError: The teacher has no conditioner for what is guided.
        DivergedError: The loss became NaN or infinite.
    """
    check_supported(denoiser, recipe.guidance)
    trainer, student = start_run(recipe.out, recipe), copy.deepcopy(denoiser)
    plan = halvings(recipe.teacher_steps, recipe.student_steps)
    trainer.fit([partial(build_phase, student, recipe, batch_of, number) for number in range(len(plan))])
    if trainer.devices.index == 0:
        _write(student, recipe.out, plan[-1])
    return student


def build_phase(student: VideoDenoiser, recipe: DistillRecipe, batch_of: BatchOf, number: int) -> Phase:
    """Returns the phase of one halving; its teacher is the student as it is when the phase begins."""
    steps = halvings(recipe.teacher_steps, recipe.student_steps)[number]
    guidance = Guidance() if number else recipe.guidance
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    train_only(student.train(), part_names(student))
    learner = Learner(
        model=student,
        loss=learner_loss(student, distillation_loss_of(teacher, guidance, steps)),
        learning_rate=recipe.learning_rate,
        rate_factor=WarmUpCosine(recipe.warm_up_steps),
        weight_decay=0.01,
        clip_norm=1.0,
        average_decay=recipe.average_decay,
    )
    return Phase(
        learners=(learner,),
        batches=ClipBatches(batch_of=batch_of, rows=recipe.rows, frames=recipe.frames, phase=number),
        steps=recipe.steps,
        fixed={"teacher": teacher},
        finish=lambda: _write(student, recipe.out, steps),
    )


def _write(student: VideoDenoiser, out: Path, steps: int) -> None:
    path = out / f"denoiser-{steps}.safetensors"
    save_denoiser(student, path, dtype=torch.float16, overwrite=True)


def train(recipe: DistillRecipe) -> None:
    """Distils the denoiser of a file on clips of a folder."""
    denoiser = load_denoiser(recipe.teacher)
    distill(denoiser, recipe, open_clips(recipe.data, denoiser).batch)
