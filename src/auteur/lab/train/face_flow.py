"""Recipe: the shipped motion of the face, on prepared corpora.

    auteur train face-flow --shards SHARDS --generated SHARDS_OF_GENERATED --out RUN

Conditional flow matching (`auteur.motion.conditional_flow`) on filmed people and on videos that
talking-head systems generated, half and half. People held out for tests and for choosing the checkpoint
are in neither.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.evaluate.mouth_motion import MouthScores, mouth_scores
from auteur.lab.data.flow_windows import (
    BlinkMovement,
    FlowClip,
    FlowWindows,
    StyleScale,
    WindowSettings,
    conditioning_units,
    flow_clip,
)
from auteur.lab.data.motion_windows import DisplacementSpace, MotionClip, fit_space, read_clips
from auteur.lab.data.shards import Corpora
from auteur.lab.train.batches import Batch, by_key
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.motion.conditional_flow import FlowConditions, FlowConfig, noise_kernel
from auteur.motion.face_flow import (
    PERFORMANCE_SAMPLING,
    SPEECH_SAMPLING,
    FaceFlow,
    FaceFlowConfig,
)
from auteur.motion.style import style_of_liveliness
from auteur.weights import metadata_of

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ConditionDropout:
    """Dropout probabilities of the conditions of a window; drawn independently."""

    speech: float = 0.3
    action_units: float = 0.5
    style: float = 0.25
    neither: float = 0.3
    """Of the windows that lost both speech and Action Units, the share that keeps neither; the rest gets
    its units back."""


@dataclass(frozen=True)
class FaceFlowRecipe:
    """Settings of the recipe."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    batch_size: int = 16
    config: FaceFlowConfig = field(default_factory=FaceFlowConfig)
    windows: WindowSettings = field(default_factory=WindowSettings)
    dropout: ConditionDropout = field(default_factory=ConditionDropout)
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            steps=3000, learning_rate=1e-3, weight_decay=0.02, average_decay=0.999, evaluate_every_steps=250
        )
    )


@dataclass(frozen=True)
class FaceFlowScores:
    """Motion against real video on validation people, from speech and from their Action Units."""

    speech: MouthScores
    action_units: MouthScores

    @property
    def score(self) -> float:
        """Smaller is better: correlations, and distances of the spread from that of people."""
        return self.speech.loss + 0.5 * self.action_units.loss


def flow_matching_loss(
    model: nn.Module,
    batch: Batch,
    *,
    dropout: ConditionDropout,
    config: FlowConfig,
    channel_weights: Tensor,
) -> Tensor:
    """Returns the mean squared error of the velocity, weighted by channel, inside the clips.

    x_t = (1 - t) x_0 + t x_1 with t logit-normal (Esser et al. 2024, arXiv 2403.03206); target x_1 - x_0.

    Args:
        model: A `ConditionalFlow`.
        batch: "x" [B, T, K], "speech" [B, T, S], "units" [B, T, A], "has_speech" [B], "style" [B, C],
            "inside" [B, T], "is_generated" [B].
        dropout: Probabilities of losing a condition.
        config: Of the model.
        channel_weights: [K].
    """
    target, has_speech = batch["x"], batch["has_speech"] > 0
    count, device = len(target), target.device
    drop_speech = ~has_speech | (torch.rand(count) < dropout.speech).to(device)
    drop_aus = (torch.rand(count) < dropout.action_units).to(device)
    drop_aus = drop_aus & ~(drop_speech & drop_aus & (torch.rand(count) > dropout.neither).to(device))
    style = batch["style"].masked_fill((torch.rand(count, 1) < dropout.style).to(device), torch.nan)
    time = torch.sigmoid(torch.randn(count)).to(device)
    noise = _smooth_noise(target, config)
    mixed = (1 - time)[:, None, None] * noise + time[:, None, None] * target
    given = FlowConditions(
        batch["speech"], batch["units"] if config.action_units else None, style, batch["is_generated"]
    )
    with torch.autocast(device.type, dtype=torch.bfloat16):
        velocity = model(mixed, time, given, drop_speech=drop_speech, drop_aus=drop_aus)
    error = ((velocity.float() - (target - noise)).square() * channel_weights.to(device)).mean(-1)
    return (error * batch["inside"]).sum() / batch["inside"].sum()


def _smooth_noise(like: Tensor, config: FlowConfig) -> Tensor:
    kernel = torch.from_numpy(noise_kernel(config.noise_deviation_frames)).to(like)
    batch, frames, channels = like.shape
    white = torch.randn(batch * channels, 1, frames + len(kernel) - 1).to(like)
    smooth = nn.functional.conv1d(white, kernel[None, None])
    return smooth.view(batch, channels, frames).transpose(1, 2)


@dataclass(frozen=True, eq=False)
class FlowData:
    """Clips in the space of coefficients, and the statistics of training people."""

    training: list[FlowClip]
    space: DisplacementSpace
    speech_scale: tuple[Floats, Floats]
    blinks: BlinkMovement


def flow_data(clips: list[MotionClip], coefficients: int) -> FlowData:
    """Returns displacement without blinks, its basis, styles and speech statistics."""
    training = [clip for clip in clips if clip.part == "train"]
    blinks = BlinkMovement.fit(training)
    displacements = [blinks.without(clip) for clip in training]
    space = fit_space(displacements, coefficients)
    scale = StyleScale.fit(training, displacements)
    speech = np.concatenate([clip.speech for clip in training if clip.speech is not None])
    pairs = zip(training, displacements, strict=True)
    return FlowData(
        training=[flow_clip(clip, displacement, space, scale) for clip, displacement in pairs],
        space=space,
        speech_scale=(speech.mean(0), speech.std(0) + 1e-3),
        blinks=blinks,
    )


@torch.no_grad()
def face_flow_scores(model: FaceFlow, clips: list[MotionClip], blinks: BlinkMovement) -> FaceFlowScores:
    """Returns the scores of motion against real video, from speech alone and from Action Units alone."""
    neutral = [clip.known_neutral_mm() for clip in clips]
    real: list[Floats] = [blinks.without(clip) + rest for clip, rest in zip(clips, neutral, strict=True)]
    made: dict[str, list[Floats]] = {"speech": [], "units": []}
    for clip, rest in zip(clips, neutral, strict=True):
        for name in made:
            is_speech = name == "speech"
            coefficients = model.flow.sample(
                torch.from_numpy(clip.speech) if is_speech and clip.speech is not None else None,
                None if is_speech else torch.from_numpy(conditioning_units(clip)),
                style=style_of_liveliness(1.0),
                seed=0,
                purpose="motion",
                sampling=SPEECH_SAMPLING if is_speech else PERFORMANCE_SAMPLING,
            )
            made[name].append(model.displacement(coefficients).numpy() + rest)
    return FaceFlowScores(mouth_scores(made["speech"], real), mouth_scores(made["units"], real))


def build(recipe: FaceFlowRecipe, clips: list[MotionClip]) -> Training[FaceFlowScores]:
    """Returns the flow with its fitted basis, its windows, loss and scores on the validation people."""
    data = flow_data(clips, recipe.config.flow.channels)
    model = FaceFlow(recipe.config)
    model.basis.copy_(torch.from_numpy(data.space.basis))
    mean, deviation = data.speech_scale
    model.flow.speech_mean.copy_(torch.from_numpy(mean))
    model.flow.speech_deviation.copy_(torch.from_numpy(deviation))
    windows = FlowWindows(
        data.training,
        recipe.windows,
        data.speech_scale,
        batch_size=recipe.batch_size,
        seed=recipe.schedule.seed,
        shares=recipe.data.shares(clip.corpus for clip in data.training if not clip.is_generated),
    )
    size = data.space.deviation_mm / data.space.deviation_mm.mean()
    channel_weights = torch.from_numpy(np.sqrt(size).astype(np.float32))
    validation = [clip for clip in clips if clip.part == "validation" and clip.speech is not None]

    def loss(network: nn.Module, batch: Batch, step: int) -> Tensor:
        return flow_matching_loss(
            network.flow,  # pyright: ignore[reportArgumentType]
            batch,
            dropout=recipe.dropout,
            config=recipe.config.flow,
            channel_weights=channel_weights,
        )

    return Training(
        model=model,
        batches=by_key(windows),
        loss=loss,
        evaluate=lambda network: face_flow_scores(network, validation, data.blinks),  # pyright: ignore
        metadata=metadata_of(FaceFlow.kind, recipe.config),
    )


def train(recipe: FaceFlowRecipe) -> FaceFlowScores:
    """Trains, writes the flow's best weights, returns their scores on the validation people."""
    clips = read_clips(recipe.data)
    return train_recipe(recipe, lambda _: build(recipe, clips))
