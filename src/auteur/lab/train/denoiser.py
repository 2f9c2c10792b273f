"""Recipe: the denoiser of papers A, B and C, in the phases of its preset: first images, then motion.

    auteur train denoiser --preset compact --shards SHARDS --out RUN
    accelerate launch -m auteur.cli train denoiser --preset landmark --shards SHARDS --out RUN --unet SD15 …

The shards hold the features of the preset (`auteur.lab.data.denoiser_clips.features_for`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import torch

from auteur.errors import InputError, UsageError
from auteur.lab.data.denoiser_augment import augmented
from auteur.lab.data.denoiser_clips import BatchOf, ClipBatch, ClipFolder, features_for
from auteur.lab.data.media_kinds import Medium
from auteur.lab.data.shards import Corpora
from auteur.lab.train.checkpoints import unresumable
from auteur.lab.train.clip_batches import ClipBatches
from auteur.lab.train.denoiser_loss import learner_loss, training_loss
from auteur.lab.train.denoiser_recipe import DenoiserRecipe, later
from auteur.lab.train.phases import Learner, Phase, Validation
from auteur.lab.train.published_adapter import train_adapter
from auteur.lab.train.trainer import Trainer, TrainerSettings
from auteur.lab.train.validation_images import ValidationImages
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import parts, train_only
from auteur.synthesis.denoiser.presets import preset
from auteur.synthesis.denoiser.storage import load_parts, save_denoiser
from auteur.synthesis.losses import LOSSES
from auteur.synthesis.pretrained.loading import BaseFolders, load_base

_Number = TypeVar("_Number", int, float)


def train(recipe: DenoiserRecipe) -> Path:
    """Trains all phases of the preset, resuming from the last checkpoint if there is one.

    Returns:
        The file with the averaged denoiser (only what learned, if the base is frozen throughout), or with the
        adapter of published weights.

    Raises:
        UsageError: The recipe does not fit the preset, or accelerate is missing.
        InputError: Clips or checkpoints cannot be used.
        DivergedError: The loss became NaN or infinite.
    """
    if recipe.published is not None:
        return train_adapter(recipe)
    denoiser, batch_of = build(recipe)
    validation = None
    if recipe.evaluate_every_steps:
        judging = open_clips(recipe.data, denoiser, recipe.features, part="validation")
        images = ValidationImages(judging.batch, frames=2)
        validation = image_validation(images, recipe.evaluate_every_steps, recipe.out)
    return train_phases(denoiser, batch_of, recipe, validation)


def train_phases(
    denoiser: VideoDenoiser, batch_of: BatchOf, recipe: DenoiserRecipe, validation: Validation | None = None
) -> Path:
    """Trains a denoiser on clips; see `train`."""
    plan = preset(recipe.preset)
    learning = tuple(dict.fromkeys(name for names in plan.phases for name in names))
    denoiser.checkpointing = recipe.recompute
    phases = [
        partial(build_phase, denoiser, batch_of, recipe, number, learning)
        for number in range(len(plan.phases))
    ]
    trainer = start_run(recipe.out, recipe)
    trainer.fit(phases, validation)
    return write_result(trainer, denoiser, recipe.out, only=None if "base" in learning else learning)


def build_phase(
    denoiser: VideoDenoiser, batch_of: BatchOf, recipe: DenoiserRecipe, number: int, kept: tuple[str, ...]
) -> Phase:
    """Returns a phase of the preset, in which some parts learn and the others are frozen.

    Args:
        denoiser: Trained in place.
        batch_of: Gives clips.
        recipe: Settings.
        number: Of the phase.
        kept: Parts that any phase trains.
    """
    plan, config = preset(recipe.preset), denoiser.config
    train_only(denoiser.train(), plan.phases[number])
    settings = replace(
        LOSSES[config.process], time_mean=recipe.time_mean, time_deviation=recipe.time_deviation
    )
    learner = Learner(
        model=denoiser,
        loss=learner_loss(denoiser, partial(training_loss, settings=settings)),
        learning_rate=recipe.learning_rate,
        rate_factor=recipe.rate_factor,
        weight_decay=recipe.weight_decay,
        clip_norm=recipe.clip_gradient,
        average_decay=recipe.average_decay,
        kept=lambda: parts(denoiser, kept).state_dict(),
    )
    batches = ClipBatches(
        batch_of=batch_of,
        rows=_of_phase(recipe.batch_size, number),
        frames=plan.frames[number],
        phase=number,
        accumulate=recipe.accumulate,
        without=tuple(set(later(plan.phases, number)) & set(denoiser.condition_names)),
    )
    return Phase(
        learners=(learner,),
        batches=batches,
        steps=_of_phase(recipe.steps, number),
        minutes=_of_phase(recipe.minutes, number) if recipe.minutes else float("inf"),
        accumulate=recipe.accumulate,
    )


def start_run(out: Path, recipe: object) -> Trainer:
    """Returns the trainer of a run whose folder is `out`.

    Raises:
        InputError: The folder holds a run of another version or with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    if earlier := sorted(out.glob("checkpoint-*-*")):  # of versions that kept them in the folder itself
        raise InputError(unresumable(earlier[-1]))
    return Trainer(out / "denoiser.safetensors", recipe, TrainerSettings.of(recipe))


def write_result(
    trainer: Trainer, denoiser: VideoDenoiser, out: Path, only: tuple[str, ...] | None = None
) -> Path:
    """Writes the trained denoiser, or some parts of it, and returns the file."""
    result = out / "denoiser.safetensors"
    if trainer.devices.index == 0:
        save_denoiser(denoiser, result, only=only, dtype=torch.float16, overwrite=True)
    return result


def image_validation(images: ValidationImages, every_steps: int, out: Path) -> Validation:
    """Returns the validation by pictures, which keeps the best weights as `best.safetensors`."""

    def keep(model: VideoDenoiser) -> None:
        save_denoiser(model, out / "best.safetensors", dtype=torch.float16, overwrite=True)

    return Validation(evaluate=images, keep=keep, every_steps=every_steps, on_cpu=False)  # pyright: ignore[reportArgumentType]


def build(recipe: DenoiserRecipe) -> tuple[VideoDenoiser, BatchOf]:
    """Returns the denoiser to train, and its clips.

    Raises:
        UsageError: The recipe does not fit the preset.
        InputError: Clips or weights cannot be used.
    """
    config = recipe.ablation.applied(preset(recipe.preset).config)
    if not recipe.data.shards:
        raise UsageError("no shards were given; name their folders with --shards, or try --smoke")
    if recipe.unet is not None:
        denoiser = load_base(config, BaseFolders(unet=recipe.unet, motion_adapter=recipe.motion_adapter))
    elif recipe.preset == "auhead" and not recipe.start:
        raise UsageError("auhead adapts a trained base; name it with --start, or its parts with --unet")
    else:
        denoiser = build_denoiser(config, seed=recipe.seed)
    for path in recipe.start:
        load_parts(denoiser, path)
    clips = open_clips(recipe.data, denoiser, recipe.features)

    def batch(rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        drawn = clips.batch(rows, frames, generator)
        return augmented(drawn, generator) if recipe.augment else drawn

    return denoiser, batch


def open_clips(
    corpora: Corpora,
    denoiser: VideoDenoiser,
    features: Sequence[str] = (),
    *,
    part: Literal["train", "validation"] = "train",
    looks: int = 1,
    medium: Medium = "video",
) -> ClipFolder:
    """Returns the clips of a denoiser; see `ClipFolder`.

    Args:
        corpora: Prepared, with the features.
        denoiser: Its conditions are read.
        features: That hold the clips; unless given, those of the conditions.
        part: Whose clips.
        looks: Candidate windows of a clip.
        medium: Videos or photographs.
    """
    names = denoiser.condition_names
    return ClipFolder(
        corpora,
        names=names,
        features=features or features_for(denoiser.config.channels, names),
        past=past_frames(denoiser),
        medium=medium,
        part=part,
        looks=looks,
    )


def past_frames(denoiser: VideoDenoiser) -> int:
    """Returns the number of past frames that the denoiser is conditioned on."""
    return 0 if denoiser.config.past is None else denoiser.config.past.frames


def _of_phase(values: Sequence[_Number], phase: int) -> _Number:
    return values[min(phase, len(values) - 1)]
