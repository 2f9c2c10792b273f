"""Recipe: train the watermark's detector on marked frames after real codecs.

auteur train watermark --shards SHARDS --out RUN --schedule.minutes 25
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, softplus

from auteur.lab.data.shards import Corpora
from auteur.lab.data.watermark_frames import PATTERN_STEPS, MarkedFrames, read_marked_frames
from auteur.lab.train.batches import Batch, Batches
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.signals.seeding import keyed_generator
from auteur.watermark.network import PatternEstimator
from auteur.watermark.pattern import UNITS

_LARGEST_SCALE, _LARGEST_TURN_RAD = 1.18, 0.05
_STRAIGHT_SHARE = 0.4
"""Share of the crops that are neither scaled nor turned."""


@dataclass(frozen=True)
class WatermarkRecipe:
    """Settings of the recipe."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    """The weights file to write (float16 safetensors)."""
    batch_size: int = 16
    crop_units: int = 96
    """Side of the training crops."""
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            minutes=25, learning_rate=3e-3, average_decay=0.98, evaluate_every_minutes=3
        )
    )


@dataclass(frozen=True)
class EstimateScores:
    """Correlation of estimate and pattern, on validation frames as a whole."""

    correlation: float
    """Mean over the frames."""
    lowest_tenth: float
    """10th percentile."""

    @property
    def score(self) -> float:
        """Smaller is better."""
        return -self.correlation - self.lowest_tenth


class Frames:
    """Marked frames and their patterns, in memory."""

    def __init__(self, frames: MarkedFrames) -> None:
        self.luma, self.pattern = torch.from_numpy(frames.luma), torch.from_numpy(frames.pattern)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns luma [B, 1, 256, 256] in grey levels and pattern [B, 1, 128, 128]."""
        return self.luma[rows][:, None].float(), self.pattern[rows][:, None].float() / PATTERN_STEPS


class CropBatches:
    """Random crops by key: scaled, turned, mirrored, and changed in contrast, luma and pattern alike."""

    def __init__(self, frames: Frames, batch_size: int, crop_units: int) -> None:
        self._frames, self._batch_size, self._crop = frames, batch_size, crop_units

    def __call__(self, key: str) -> Batch:
        """Returns the batch of a key."""
        random = keyed_generator(key)
        count = self._batch_size
        luma, pattern = self._frames.batch(
            torch.from_numpy(random.integers(0, len(self._frames.luma), count))
        )
        placement = torch.from_numpy(
            np.stack([self._placement(random) for _ in range(count)]).astype(np.float32)
        )
        crops = [
            grid_sample(
                values,
                affine_grid(placement, [count, 1, side, side], align_corners=False),
                align_corners=False,
            )
            for values, side in ((luma, self._crop), (pattern, self._crop // 2))
        ]
        gain, level = (
            torch.from_numpy(random.uniform(*span, (count, 1, 1, 1)).astype(np.float32))
            for span in ((0.7, 1.15), (-20, 20))
        )
        mean = crops[0].mean((2, 3), keepdim=True)
        return {"luma": ((crops[0] - mean) * gain + mean + level).clamp(0, 255), "pattern": crops[1]}

    def _placement(self, random: np.random.Generator) -> np.ndarray:
        """Returns the affine map [2, 3] from a crop to a frame, both from -1 to 1."""
        is_straight = random.random() < _STRAIGHT_SHARE
        scale = 1.0 if is_straight else math.exp(random.uniform(-1, 1) * math.log(_LARGEST_SCALE))
        turn = 0.0 if is_straight else random.uniform(-_LARGEST_TURN_RAD, _LARGEST_TURN_RAD)
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        matrix = rotation * scale * self._crop / UNITS @ np.diag(random.choice([-1, 1], 2))
        if random.random() < 0.5:
            matrix = matrix[:, ::-1]
        # Whole samples of the pattern, so that straight crops are not blurred by interpolation.
        reach = 1 - abs(matrix).sum(1)
        centre = np.round(random.uniform(-1, 1, 2) * np.maximum(reach, 0) * UNITS / 4) * 4 / UNITS
        return np.column_stack([matrix, centre])


class EstimateTest:
    """Correlation on every validation frame."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> EstimateScores:
        """Runs the network over every frame."""
        found: list[float] = []
        for row in torch.arange(len(self._frames.luma)):
            luma, pattern = self._frames.batch(row[None])
            pair = torch.stack([network(luma).reshape(-1), pattern.reshape(-1)])
            found.append(float(torch.corrcoef(pair)[0, 1]))
        return EstimateScores(float(np.mean(found)), float(np.percentile(found, 10)))


def estimate_loss(estimate: Tensor, pattern: Tensor) -> Tensor:
    """Returns the cross-entropy of the pattern's sign, weighted by its strength.

    Args:
        estimate: Half the log-likelihood ratio [B, h, w].
        pattern: [B, 1, h, w].
    """
    signed = 2 * estimate * pattern[:, 0].sign()
    return (pattern[:, 0].abs() * softplus(-signed)).mean()


def build(recipe: WatermarkRecipe) -> Training[EstimateScores]:
    """Returns the network, its crops, loss and validation.

    Raises:
        InputError: The shards lack the feature "watermark", or people.
    """
    model = PatternEstimator()
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in its stubs

    def loss(network: nn.Module, batch: Batch, _: int) -> Tensor:
        return estimate_loss(network(batch["luma"]), batch["pattern"])

    recipe.data.refuse_mix("frames are drawn whatever their corpus")
    parts = read_marked_frames(recipe.data)
    training = Frames(parts["train"])
    return Training(
        model=model,
        batches=Batches(CropBatches(training, recipe.batch_size, recipe.crop_units)),
        loss=loss,
        evaluate=EstimateTest(Frames(parts["validation"])),
    )


def train(recipe: WatermarkRecipe) -> EstimateScores:
    """Trains, writes the best weights and a log of JSON lines beside them, returns the best scores."""
    return train_recipe(recipe, build)
