"""Recipe: the variational motion generator of paper C, on prepared corpora.

    auteur prepare CORPUS --kind KIND -o SHARDS --features motion,speech
    auteur train motion --shards SHARDS --out RUN

Trains on all people except those held out for tests and for choosing the checkpoint
(`auteur.lab.data.splits.part_of`).
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.facs import EMOTIONS
from auteur.lab.data.motion_windows import (
    MotionClip,
    MotionWindows,
    coordinate_scale,
    fit_space,
    point_weights,
    read_clips,
)
from auteur.lab.data.shards import Corpora
from auteur.lab.train.batches import Batch, by_key
from auteur.lab.train.devices import is_main_process
from auteur.lab.train.model_recipe import Schedule, Training, save_half, train_recipe
from auteur.motion.generator import Condition, MotionConfig, MotionGenerator
from auteur.motion.sync import MOUTH, SyncExpert
from auteur.weights import load_file, metadata_of

LARGEST_GAIN = 2.5
"""Largest factor on the spoken lip gap about its mean; beyond it errors outweigh the speech."""


@dataclass(frozen=True)
class MotionLossWeights:
    """Weights of the terms. Paper C's are not published; unless noted otherwise they are GeneFace's."""

    reconstruction: float = 1.0
    kl: float = 0.5
    velocity: float = 3.0
    sync: float = 0.01
    sync_from: float = 0.6
    """Part of the training after which the sync term counts."""
    agreement: float = 1.0
    """Ours: 1 - correlation of the lip gap over a window driven by speech alone. People open their mouths
    differently wide; a squared error alone would hardly open them."""
    emotion: float = 1.0
    """Cross-entropy of the emotions that a generator with the condition "audio_emotion" predicts."""
    mode: float = 1.0
    """Ours: reconstruction from the mode of the prior, which a few minutes of speech alone do not train."""


@dataclass(frozen=True)
class MotionRecipe:
    """Settings of the recipe."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    speech: Literal["speech", "hubert"] = "speech"
    """Feature that holds the speech; its width is config.speech_features."""
    batch_size: int = 16
    drop_speech: float = 0.25
    """Probability that a window with speech is used without it."""
    drop_aus: float = 0.7
    """Probability that a window with speech is used without AUs; windows without speech keep theirs."""
    config: MotionConfig = field(default_factory=MotionConfig)
    weights: MotionLossWeights = MotionLossWeights()
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            steps=1300, learning_rate=1.5e-3, weight_decay=0.02, evaluate_every_steps=65
        )
    )


class MotionTraining(nn.Module):
    """The generator with the sync expert for its lips."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        self.generator = MotionGenerator(config)
        self.expert = SyncExpert(speech_features=config.speech_features)


@dataclass(frozen=True)
class MotionScores:
    """Median correlation of the lip gap (vertices 13, 14) with the real video, by what was given."""

    speech: float
    aus: float
    both: float
    error_mm: float
    """Mean error of the lips given both."""

    @property
    def score(self) -> float:
        """Smaller is better."""
        return -(2 * self.speech + self.aus + self.both)


def motion_loss(
    model: MotionTraining, batch: Batch, recipe: MotionRecipe, scale: Tensor, progress: float
) -> Tensor:
    """Returns the ELBO with velocity and sync terms; drops conditions at random.

    Args:
        model: Generator and expert.
        batch: From `MotionWindows`.
        recipe: Weights and probabilities.
        scale: Square root of weight over variance of every coordinate, [478, 3]; 0 outside C162.
        progress: Share of the training that is over, in [0, 1].
    """
    generator, weights = model.generator, recipe.weights
    heard = batch["heard"] > 0
    chance = torch.rand(len(heard)).to(heard.device)
    scale = scale.to(heard.device)
    drop_speech = ~heard | (chance < recipe.drop_speech)
    drop_aus = heard & (chance > 1 - recipe.drop_aus)
    if recipe.config.condition != "aus":  # speech alone without a label, labels alone without speech
        labelled = batch["aus"].sum((1, 2)) > 0
        drop_aus = drop_aus | ~(heard if recipe.config.condition == "audio_emotion" else labelled)
    condition = generator.condition(batch["speech"], batch["aus"], drop_speech=drop_speech, drop_aus=drop_aus)
    output = generator(batch["coefficients"], condition)

    counted = [i for i, row in enumerate((scale > 0).any(1)) if row]
    basis = (generator.basis[:, counted] * scale[counted]).flatten(1)  # data-set deviations taken out
    inside = batch["inside"][..., None]

    def squared(error: Tensor, mask: Tensor) -> Tensor:
        return (((error @ basis) * mask) ** 2).mean()

    def velocity(error: Tensor) -> Tensor:  # GeneFace: first difference plus first frame
        steps = squared(error[:, 1:] - error[:, :-1], inside[:, 1:] * inside[:, :-1])
        return steps + squared(error[:, :1], inside[:, :1])

    error = output.coefficients - batch["coefficients"]
    mode_error = output.mode - batch["coefficients"]
    # ELBO: E_q[log p(L | z, c)] up to a constant, minus KL(q || p) with the flow prior
    loss = weights.reconstruction * squared(error, inside) + weights.kl * output.kl
    loss = loss + weights.velocity * velocity(error)
    loss = loss + weights.mode * (squared(mode_error, inside) + 0.5 * weights.velocity * velocity(mode_error))
    if recipe.config.condition == "audio_emotion" and bool((rows := heard & labelled).any()):
        logits = generator.emotion_logits(batch["speech"][rows])
        labels = batch["aus"][rows].mean(1).argmax(-1)
        loss = loss + weights.emotion * nn.functional.cross_entropy(logits, labels)
    alone = heard & drop_aus & ~drop_speech
    if alone.any():
        gap_row = generator.basis[:, 14, 1] - generator.basis[:, 13, 1]
        gaps = (output.mode[alone] @ gap_row, batch["coefficients"][alone] @ gap_row)
        loss = loss + weights.agreement * (1 - correlation(*gaps, batch["inside"][alone])).mean()
    if heard.any():
        lips = generator.basis[:, list(MOUTH)]
        real = torch.einsum("btk,kpc->btpc", batch["coefficients"][heard], lips)
        loss = loss + 0.1 * model.expert.loss(batch["speech"][heard], real)
        listened = heard & ~drop_speech
        if progress > weights.sync_from and listened.any():
            made = torch.einsum("btk,kpc->btpc", output.mode[listened], lips)
            loss = loss + weights.sync * model.expert.judge(batch["speech"][listened], made)
    return loss


def correlation(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Returns the correlation over time of each row, [B], of a and b [B, T] where `weight` [B, T] is 1."""
    total = weight.sum(1, keepdim=True)
    a, b = ((x - (x * weight).sum(1, keepdim=True) / total) * weight for x in (a, b))
    return (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1) + 1e-3).sqrt()


@torch.no_grad()
def fit_spoken_gap(generator: MotionGenerator, clips: list[MotionClip]) -> None:
    """Sets the factor on the lip gap of the prior's mode, on training people with sound."""
    means, gains = [], []
    for clip in clips:
        if clip.part != "train" or clip.speech is None:
            continue
        condition = generator.condition(torch.from_numpy(clip.speech)[None], None)
        made = generator.displacement(generator.sample(condition, seed=0, temperature=0.0)).numpy()
        gap, real = (d[:, 14, 1] - d[:, 13, 1] for d in (made, clip.displacement_mm))
        means.append(gap.mean())
        gains.append(real.std() / gap.std())
    gain = min(float(np.median(gains)), LARGEST_GAIN)
    generator.spoken_gap.copy_(torch.tensor([float(np.mean(means)), gain]))


@torch.no_grad()
def motion_scores(model: MotionTraining, clips: list[MotionClip]) -> MotionScores:
    """Returns the scores at temperature 0 on clips; those with sound count for "speech" and "both"."""
    generator = model.generator
    found: dict[str, list[float]] = {"speech": [], "aus": [], "both": []}
    errors: list[float] = []
    for clip in clips:
        speech = None if clip.speech is None else torch.from_numpy(clip.speech)[None]
        aus = torch.from_numpy(clip.aus)[None]
        given = {"aus": (None, aus)} | (
            {} if speech is None else {"speech": (speech, None), "both": (speech, aus)}
        )
        for name, (a, u) in given.items():
            coefficients = generator.sample(generator.condition(a, u), seed=0, temperature=0.0)
            made = generator.displacement(coefficients).numpy()
            gap, real = (d[:, 14, 1] - d[:, 13, 1] for d in (made, clip.displacement_mm))
            is_still = gap.std() < 1e-6  # a label alone moves nothing over time
            found[name].append(0.0 if is_still else float(np.corrcoef(gap, real)[0, 1]))
            if name == "both":
                errors.append(float(np.abs(made - clip.displacement_mm)[:, [13, 14, 61, 291]].mean()))
    medians = {name: float(np.median(values)) for name, values in found.items()}
    return MotionScores(**medians, error_mm=float(np.mean(errors)))


def conditioned(clips: list[MotionClip], condition: Condition) -> list[MotionClip]:
    """Returns clips whose `aus` are the input of a generator of this condition.

    One-hot labels [T, 8] for "label", and as targets of its own prediction for "audio_emotion"; zeros for
    clips without a label.

    Raises:
        UsageError: No training clip has a label.
    """
    if condition == "aus":
        return clips
    if not any(clip.emotion for clip in clips if clip.part == "train"):
        raise UsageError(
            f"the condition {condition!r} needs clips with an emotion label and no training clip has one; "
            "take a corpus that states emotions, such as MEAD, or leave the condition at aus"
        )
    rows = {
        emotion: np.eye(len(EMOTIONS), dtype=np.float32)[number] for number, emotion in enumerate(EMOTIONS)
    }
    none = np.zeros(len(EMOTIONS), dtype=np.float32)
    return [
        replace(clip, aus=np.tile(none if clip.emotion is None else rows[clip.emotion], (len(clip.aus), 1)))
        for clip in clips
    ]


def prepare(recipe: MotionRecipe, clips: list[MotionClip]) -> tuple[MotionTraining, MotionWindows, Tensor]:
    """Returns the model with its fitted basis and statistics, the batches, the scale of coordinates.

    Raises:
        UsageError: The shards and the config differ in the width of the speech features.
    """
    training = [clip for clip in clips if clip.part == "train"]
    speech = np.concatenate([clip.speech for clip in training if clip.speech is not None])
    if speech.shape[1] != recipe.config.speech_features:
        raise UsageError(
            f"the shards have {speech.shape[1]} numbers per frame of speech and config.speech_features is "
            f"{recipe.config.speech_features}; set it, or make the feature {recipe.speech!r} with its encoder"
        )
    space = fit_space([clip.displacement_mm for clip in training], recipe.config.coefficients)
    model = MotionTraining(recipe.config)
    model.generator.basis.copy_(torch.from_numpy(space.basis))
    for owner in (model.generator, model.expert):
        owner.speech_mean.copy_(torch.from_numpy(speech.mean(0)))
        owner.speech_deviation.copy_(torch.from_numpy(speech.std(0) + 1e-3))
    batches = MotionWindows(
        training,
        space,
        batch_size=recipe.batch_size,
        seed=recipe.schedule.seed,
        shares=recipe.data.shares(clip.corpus for clip in training if not clip.is_generated),
        has_lips=recipe.speech == "speech",
    )
    scale = np.sqrt(point_weights())[:, None] / coordinate_scale(training)
    return model, batches, torch.from_numpy(scale.astype(np.float32))


def build(recipe: MotionRecipe, clips: list[MotionClip]) -> Training[MotionScores]:
    """Returns the generator with its expert, their windows, loss and scores on the validation people."""
    model, batches, scale = prepare(recipe, clips)
    validation = [clip for clip in clips if clip.part == "validation"]

    def loss(network: nn.Module, batch: Batch, step: int) -> Tensor:
        progress = 1 - math.exp(-(step + 1) / 1500)
        return motion_loss(network, batch, recipe, scale, progress)  # pyright: ignore[reportArgumentType]

    return Training(
        model=model,
        batches=by_key(batches),
        loss=loss,
        evaluate=lambda network: motion_scores(network, validation),  # pyright: ignore[reportArgumentType]
    )


def train(recipe: MotionRecipe) -> MotionScores:
    """Trains, writes the generator's best weights, returns their scores on the validation people."""
    clips = conditioned(read_clips(recipe.data, speech=recipe.speech), recipe.config.condition)
    best = train_recipe(recipe, lambda _: build(recipe, clips))
    if is_main_process():
        generator = load_file(MotionTraining(recipe.config), recipe.out).eval().generator
        fit_spoken_gap(generator, clips)
        save_half(generator, recipe.out, metadata_of(MotionGenerator.kind, recipe.config))
    return best
