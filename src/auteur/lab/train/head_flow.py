"""Recipe: head motion of talking people, on prepared corpora.

    auteur train head-flow --shards SHARDS --generated SHARDS_OF_GENERATED --out RUN

The same conditional flow as the face's, over pose at 12.5 frames per second.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.errors import InputError
from auteur.lab.data.motion_tracks import RATE, no_training_person, read_tracks
from auteur.lab.data.random_windows import RandomWindows, as_float32, mixed_chances
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import Part
from auteur.lab.train.batches import Batch, by_key
from auteur.lab.train.face_flow import ConditionDropout, flow_matching_loss
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.motion.head_flow import HeadFlow, HeadFlowConfig, head_style
from auteur.weights import metadata_of

Floats = NDArray[np.floating[Any]]

FEWEST_FRAMES = 100
_STEADY = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)
_STEADY /= _STEADY.sum()
"""Smoothing with a standard deviation of 60 ms, against tracking jitter."""
_LARGEST_TURN_RAD, _LARGEST_STEP_RAD = 0.8, 0.12
"""Poses beyond these are cuts or tracking errors."""
_MIRROR = np.array([1, -1, -1, -1, 1, 1])
_ENCODER_FEATURES = 80


@dataclass(frozen=True)
class HeadFlowRecipe:
    """Settings of the recipe."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    batch_size: int = 16
    window_frames: int = 128
    generated_share: float = 0.5
    """Share of windows from videos that talking-head systems made."""
    encoder_dropout: float = 0.4
    """Probability that a window is without the encoder's features, log-mel bands kept."""
    config: HeadFlowConfig = field(default_factory=HeadFlowConfig)
    dropout: ConditionDropout = field(default_factory=lambda: ConditionDropout(speech=0.25, neither=1.0))
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            steps=1500, learning_rate=1e-3, weight_decay=0.05, average_decay=0.998, evaluate_every_steps=250
        )
    )


@dataclass(frozen=True, eq=False)
class HeadClip:
    """One clip at half the motion rate."""

    pose: Floats
    """[T, 6] relative to its median."""
    speech: Floats
    """[T, S]."""
    style: Floats
    """[2], logarithms."""
    part: Part
    is_generated: bool
    corpus: str


@dataclass(frozen=True)
class HeadScores:
    """The flow-matching loss on people who choose the checkpoint."""

    loss: float

    @property
    def score(self) -> float:
        """Smaller is better."""
        return self.loss


def read_head_clips(corpora: Corpora) -> list[HeadClip]:
    """Returns the clips with speech that are long enough and hold no cut.

    Raises:
        InputError: There is none of a training person.
    """
    clips: list[HeadClip] = []
    for track in read_tracks(corpora):
        if track.speech is None or len(track.pose) < FEWEST_FRAMES:
            continue
        pose = track.pose.astype(np.float64)
        padded = np.pad(pose, ((6, 6), (0, 0)), mode="edge")
        pose = np.stack([np.convolve(column, _STEADY, mode="valid") for column in padded.T], axis=1)
        pose -= np.median(pose, axis=0)
        turns = pose[:, :3]
        if abs(turns).max() > _LARGEST_TURN_RAD or abs(np.diff(turns, axis=0)).max() > _LARGEST_STEP_RAD:
            continue
        pairs = track.speech[: len(pose) // 2 * 2]
        clips.append(
            HeadClip(
                pose=pose[: len(pairs) : 2],
                speech=pairs.reshape(-1, 2, pairs.shape[1]).mean(1),
                style=head_style(pose, RATE),
                part=track.part,
                is_generated=track.is_generated,
                corpus=track.corpus,
            )
        )
    if not any(clip.part == "train" for clip in clips):
        raise InputError(no_training_person(corpora, f"sample with speech and {FEWEST_FRAMES} frames"))
    return clips


class HeadWindows(RandomWindows):
    """An endless stream of batches from clips.

    Args:
        clips: At least one.
        recipe: Sizes and probabilities.
        scale: Typical deviation of every channel [6].
        speech_scale: Mean and standard deviation of speech features, each [S].
        style_scale: Mean and standard deviation of styles, each [2].
    """

    def __init__(
        self,
        clips: list[HeadClip],
        recipe: HeadFlowRecipe,
        scale: Floats,
        speech_scale: tuple[Floats, Floats],
        style_scale: tuple[Floats, Floats],
    ) -> None:
        super().__init__(recipe.batch_size, recipe.schedule.seed)
        self._recipe, self._scale, self._speech, self._style = recipe, scale, speech_scale, style_scale
        pools = [[c for c in clips if c.is_generated == flag] for flag in (False, True)]
        shares = recipe.data.shares(c.corpus for c in pools[0])
        self._pools = [
            (
                pool,
                mixed_chances(
                    np.array([len(c.pose) ** 0.7 for c in pool]),
                    [c.corpus for c in pool],
                    None if pool[0].is_generated else shares,
                ),
            )
            for pool in pools
            if pool
        ]

    def _window(self) -> dict[str, Any]:
        random, frames = self.random, self._recipe.window_frames
        pool, chances = self._pools[-1 if random.random() < self._recipe.generated_share else 0]
        clip = pool[int(random.choice(len(pool), p=chances))]
        length = len(clip.pose)
        places = random.integers(-8, max(length - frames, -7) + 8) + np.arange(frames)
        rows = np.clip(places, 0, length - 1)
        pose = clip.pose[rows] / self._scale * (_MIRROR if random.random() < 0.5 else 1)
        mean, deviation = self._speech
        speech = clip.speech[rows] + random.normal(0, 0.3, (frames, len(mean))) * deviation
        if random.random() < self._recipe.encoder_dropout:
            speech[:, :_ENCODER_FEATURES] = mean[:_ENCODER_FEATURES]
        style_mean, style_deviation = self._style
        return as_float32(
            {
                "x": pose + random.normal(0, 0.2, 6),
                "speech": speech,
                "units": np.zeros((frames, 0)),
                "has_speech": True,
                "style": (clip.style - style_mean) / style_deviation,
                "inside": (places >= 0) & (places < length),
                "is_generated": clip.is_generated,
            }
        )


def build(recipe: HeadFlowRecipe, clips: list[HeadClip]) -> Training[HeadScores]:
    """Returns the flow with its scales, its windows, its loss and the loss on the validation people."""
    training = [clip for clip in clips if clip.part == "train"]
    judging = [clip for clip in clips if clip.part == "validation"] or training
    scale = np.median([clip.pose.std(0) for clip in training], axis=0) + 1e-6
    rows, styles = np.concatenate([c.speech for c in training]), np.stack([c.style for c in training])
    speech_scale = rows.mean(0), rows.std(0) + 1e-3
    style_scale = styles.mean(0), styles.std(0) + 1e-6
    model = HeadFlow(recipe.config)
    model.scale.copy_(torch.from_numpy(scale))
    model.flow.speech_mean.copy_(torch.from_numpy(speech_scale[0]))
    model.flow.speech_deviation.copy_(torch.from_numpy(speech_scale[1]))
    windows = HeadWindows(training, recipe, scale, speech_scale, style_scale)
    weights = torch.ones(recipe.config.flow.channels)

    def loss(network: nn.Module, batch: Batch, step: int) -> Tensor:
        flow = network.flow
        return flow_matching_loss(
            flow,  # pyright: ignore[reportArgumentType]
            batch,
            dropout=recipe.dropout,
            config=recipe.config.flow,
            channel_weights=weights,
        )

    @torch.no_grad()
    def evaluate(network: nn.Module) -> HeadScores:
        batches = iter(HeadWindows(judging, recipe, scale, speech_scale, style_scale))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found = [float(loss(network, next(batches), 0)) for _ in range(8)]
        return HeadScores(float(np.mean(found)))

    return Training(
        model=model,
        batches=by_key(windows),
        loss=loss,
        evaluate=evaluate,
        metadata=metadata_of(HeadFlow.kind, recipe.config),
    )


def train(recipe: HeadFlowRecipe) -> HeadScores:
    """Trains, writes the flow's best weights, returns their score on the validation people."""
    clips = read_head_clips(recipe.data)
    return train_recipe(recipe, lambda _: build(recipe, clips))
