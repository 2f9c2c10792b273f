"""Recipe: distil the dense landmarker from a teacher's labels (`auteur.data.face_teacher` writes them).

    python -m auteur.train.landmarker --labels LABELS --out landmarker.safetensors --schedule.minutes 60

Trains on everybody whom `auteur.data.splits` does not hold out; keeps the moving average of the weights that
is best on held-out people. One CPU core is enough (bf16 convolutions, about 250 crops a second).
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from auteur.data.face_crops import FaceCrops, Shard
from auteur.data.face_shards import EvaluationSet, read_shards
from auteur.evaluate.tracking import TrackingErrors, tracking_errors
from auteur.face import crops
from auteur.face.landmarker import CROP_SIZE_PX, PROBES, Landmarker, LandmarkerOutput
from auteur.train.loop import Batch, Schedule, train_for

DETAIL_WEIGHT = 3.0
"""How much more the probed landmarks (eyes, irises, brows, lips) weigh than the rest."""


@dataclass(frozen=True)
class LandmarkerRecipe:
    """What you will most likely change: where the labels are, how long to train."""

    labels: Path
    """Folder that `python -m auteur.data.face_teacher` filled."""
    out: Path
    """The weights file to write (float16 safetensors)."""
    batch_size: int = 48
    shape_coefficients: int = 128
    schedule: Schedule = field(default_factory=Schedule)


def fit_shape_space(shards: list[Shard], count: int) -> tuple[Tensor, Tensor]:
    """Returns mean [478, 3] and basis [count, 478, 3] of aligned shapes, in fractions of the crop's side."""
    aligned: list[np.ndarray] = []
    for shard in shards:
        for landmarks in shard.landmarks[::4]:
            matrix = crops.frame_of_landmarks(landmarks).matrix(CROP_SIZE_PX)
            aligned.append((crops.apply(matrix, landmarks) + np.array([0.5, 0.5, 0])) / CROP_SIZE_PX)
    shapes = torch.from_numpy(np.asarray(aligned, dtype=np.float32)).flatten(1)  # [N, 1434]
    mean = shapes.mean(0)
    # Crops are jittered in training: shift, scale and rotation must be in the basis too.
    points = mean.view(-1, 3) - 0.5
    flat = torch.zeros_like(points[:, :1])
    x, y = points[:, :1], points[:, 1:2]
    rigid = [
        torch.cat([flat + 1, flat, flat], 1) * 0.03,
        torch.cat([flat, flat + 1, flat], 1) * 0.03,
        points * 0.07,
        torch.cat([-y, x, flat], 1) * 0.07,
    ]
    _, singular, axes = torch.linalg.svd(shapes - mean, full_matrices=False)
    deviations = singular[: count - 4] / math.sqrt(len(shapes))
    learned = (axes[: count - 4] * deviations[:, None]).view(-1, *points.shape)
    return mean.view(-1, 3), torch.cat([torch.stack(rigid), learned])


def landmarker_loss(output: LandmarkerOutput, batch: dict[str, Tensor], deviations: Tensor) -> Tensor:
    """Returns the training loss: landmarks (refined and coarse), blendshapes and presence.

    Landmark errors are in units of 1 % of the crop's side under a smooth L1; blendshape errors in units of
    each channel's standard deviation; faces only.
    """
    face = batch["face"]
    weight = torch.ones(output.landmarks.shape[1])
    weight[list(PROBES)] = DETAIL_WEIGHT
    weight = weight / weight.mean()

    def shape_loss(landmarks: Tensor) -> Tensor:
        error = functional.smooth_l1_loss(
            landmarks * 100, batch["landmarks"] * 100, beta=0.5, reduction="none"
        )
        error = error * torch.tensor([1.0, 1.0, 0.5])
        return (error.mean(2) * weight).mean(1)

    units = deviations.clamp(min=0.03)
    expression = functional.smooth_l1_loss(
        output.blendshapes / units, batch["blendshapes"] / units, beta=0.5, reduction="none"
    )
    faces = shape_loss(output.landmarks) + 0.5 * shape_loss(output.coarse_landmarks) + expression.mean(1)
    presence = functional.binary_cross_entropy_with_logits(output.presence_logit, face)
    return (faces * face).sum() / face.sum().clamp(min=1) + 0.5 * presence


def train(recipe: LandmarkerRecipe) -> TrackingErrors:
    """Trains, writes the best weights and a JSON-lines log beside them, returns the best held-out errors."""
    torch.manual_seed(recipe.schedule.seed)
    torch.set_num_threads(recipe.schedule.threads)
    training, held_out = read_shards(recipe.labels)
    evaluation = EvaluationSet(held_out)
    mean, basis = fit_shape_space(training, recipe.shape_coefficients)
    model = Landmarker(mean=mean, basis=basis, probes=torch.tensor(PROBES))
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in its stubs
    deviations = torch.from_numpy(np.concatenate([s.blendshapes for s in training]).std(0))
    data = FaceCrops(training, seed=recipe.schedule.seed)

    def loss_of(network: nn.Module, batch: Batch) -> Tensor:
        pictures = (batch["picture"].float() / 255).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            output = network(pictures)
        return landmarker_loss(output, batch, deviations)

    return train_for(
        model,
        DataLoader(data, batch_size=recipe.batch_size, num_workers=1, prefetch_factor=4),
        loss_of=loss_of,
        evaluate=lambda network: tracking_errors(network, evaluation),
        schedule=recipe.schedule,
        out=recipe.out,
    )


if __name__ == "__main__":
    train(tyro.cli(LandmarkerRecipe))
