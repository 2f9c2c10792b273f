"""Recipe: distil the dense landmarker from a teacher's labels (`auteur.lab.data.face_teacher` writes them).

    auteur train landmarker --labels LABELS --out RUN --schedule.minutes 60

Trains on all people whom `auteur.lab.data.splits` does not hold out, except one in ten, who validate the
moving average of the weights. If LABELS holds faces moved by a known amount (`auteur.lab.data.warped_faces`),
a third of every batch are pairs of them, for movements that the teacher hardly detects. `--start` continues
from earlier weights with any probes and shape space. One CPU core is enough (bf16 convolutions).
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import default_collate

from auteur.face import crops
from auteur.face.landmarker import (
    BLENDSHAPES,
    CROP_SIZE_PX,
    DETAIL_CHANNELS,
    FEATURES,
    PROBES,
    Landmarker,
    LandmarkerOutput,
)
from auteur.lab.data.face_crops import FaceCrops, MovedPairs, Shard
from auteur.lab.data.face_shards import EvaluationSet, read_shards, split_validation
from auteur.lab.data.warped_faces import VIEWS
from auteur.lab.train.batches import Batch, Batches
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.lab.train.sheets import PICTURES, draw_landmarks
from auteur.lab.train.tracking_errors import TrackingErrors, read_crops, tracking_errors
from auteur.signals.chance import keyed_generator

DETAIL_WEIGHT = 3.0
"""Weight of eyes, irises, brows and lips relative to the rest."""

MOVEMENT_WEIGHT = 2.0
"""Weight of the movement between the two faces of a pair, beside the error of their landmarks."""

STILL_WEIGHT = 0.15
"""Weight of a still vertex in the movement of a pair; that of the one that moves most is 1."""


@dataclass(frozen=True)
class LandmarkerRecipe:
    """Settings of the recipe."""

    labels: Path
    """Folder that `python -m auteur.lab.data.face_teacher` filled."""
    out: Path
    """The weights file to write (float16 safetensors)."""
    start: Path | None = None
    """Earlier weights to continue from."""
    batch_size: int = 48
    pairs: int = 8
    """Pairs of moved faces in a batch, where there are any."""
    shape_coefficients: int = 128
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class ValidationErrors:
    """Errors on the people who choose the checkpoint."""

    tracking: TrackingErrors
    movement_error: float
    """Mean distance between predicted and known movement of moved faces, over the known: 1 is no response."""
    movement_followed: float
    """Share of the known movement that is predicted, along its direction."""

    @property
    def score(self) -> float:
        """One number to choose a checkpoint by, smaller is better."""
        return self.tracking.score + self.movement_error


class TrainingBatches:
    """Batches by key: faces and face-free crops, then pairs, all first faces first."""

    def __init__(self, faces: FaceCrops, moved: MovedPairs | None, *, faces_count: int, pairs: int) -> None:
        self.faces, self.moved, self.faces_count, self.pairs = faces, moved, faces_count, pairs

    def __call__(self, key: str) -> Batch:
        """Returns the batch of a key."""
        cv2.setNumThreads(0)
        random = keyed_generator(key)
        batch: Batch = default_collate(list(self.faces.samples(self.faces_count, random)))
        batch["labelled"] = batch["face"]
        if self.moved is not None:
            pairs: Batch = default_collate(list(self.moved.samples(self.pairs, random)))
            both = {k: v.transpose(0, 1).flatten(0, 1) for k, v in pairs.items()}
            batch["picture"] = torch.cat([batch["picture"], both["picture"]])
            batch["landmarks"] = torch.cat([batch["landmarks"], both["landmarks"]])
            batch["face"] = torch.cat([batch["face"], torch.ones(2 * self.pairs)])
            batch["labelled"] = torch.cat([batch["labelled"], torch.zeros(2 * self.pairs)])
            batch["blendshapes"] = torch.cat([batch["blendshapes"], torch.zeros(2 * self.pairs, BLENDSHAPES)])
        return batch


def fit_shape_space(shards: list[Shard], count: int) -> tuple[Tensor, Tensor]:
    """Returns mean [478, 3] and basis [count, 478, 3] of aligned shapes, in fractions of the crop's side."""
    aligned: list[np.ndarray] = []
    for shard in shards:
        for landmarks in shard.landmarks if shard.name.startswith("warped") else shard.landmarks[::4]:
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


def continued(model: Landmarker, path: Path) -> Landmarker:
    """Returns `model` filled with earlier weights that may have other probes and another shape space.

    Shapes are re-expressed in the model's own space by least squares; new probes start with weight 0.
    """
    old = {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    new_space, old_space = model.basis.detach().flatten(1).T, old["basis"].flatten(1).T  # [1434, K]
    shift = (old["mean"] - model.mean).flatten()[:, None]
    to_new = torch.linalg.lstsq(new_space, torch.cat([old_space, shift], dim=1)).solution
    to_old = torch.linalg.lstsq(old_space, torch.cat([new_space, -shift], dim=1)).solution
    to_new, moved_new = to_new[:, :-1], to_new[:, -1]
    to_old, moved_old = to_old[:, :-1], to_old[:, -1]
    old["coarse.bias"] = to_new @ old["coarse.bias"] + moved_new
    old["coarse.weight"] = to_new @ old["coarse.weight"]
    for name in ("refine.2.bias", "refine.2.weight"):
        old[name] = to_new @ old[name]
    for name in ("refine.0", "blendshapes.0"):
        weight = old[f"{name}.weight"]
        others, coefficients = weight.split([weight.shape[1] - len(to_old), len(to_old)], dim=1)
        old[f"{name}.bias"] = old[f"{name}.bias"] + coefficients @ moved_old
        old[f"{name}.weight"] = torch.cat([others, coefficients @ to_old], dim=1)
    probes = old["probes"].tolist()
    weight = old["look_again.0.weight"].view(-1, DETAIL_CHANNELS, len(probes))
    wider = torch.zeros(len(weight), DETAIL_CHANNELS, len(model.probes))
    for column, vertex in enumerate(model.probes.tolist()):
        if vertex in probes:
            wider[:, :, column] = weight[:, :, probes.index(vertex)]
    old["look_again.0.weight"] = wider.flatten(1)
    model.load_state_dict(old | {"mean": model.mean, "basis": model.basis.detach(), "probes": model.probes})
    return model


def landmarker_loss(output: LandmarkerOutput, batch: dict[str, Tensor], deviations: Tensor) -> Tensor:
    """Returns the training loss: landmarks (refined and coarse), blendshapes and presence.

    Landmark errors are in units of 1 % of the crop's side under a smooth L1, of faces only; blendshape errors
    in units of each channel's standard deviation, of faces that the teacher labelled only.
    """
    face = batch["face"]
    weight = torch.ones(output.landmarks.shape[1], device=face.device)
    weight[list(FEATURES)] = DETAIL_WEIGHT
    weight = weight / weight.mean()

    def shape_loss(landmarks: Tensor) -> Tensor:
        error = functional.smooth_l1_loss(
            landmarks * 100, batch["landmarks"] * 100, beta=0.5, reduction="none"
        )
        error = error * _depth_counts_half(error)
        return (error.mean(2) * weight).mean(1)

    units = deviations.to(face.device).clamp(min=0.03)
    expression = functional.smooth_l1_loss(
        output.blendshapes / units, batch["blendshapes"] / units, beta=0.5, reduction="none"
    )
    faces = shape_loss(output.landmarks) + 0.5 * shape_loss(output.coarse_landmarks)
    presence = functional.binary_cross_entropy_with_logits(output.presence_logit, face)
    labelled = batch["labelled"]
    return (
        (faces * face).sum() / face.sum().clamp(min=1)
        + (expression.mean(1) * labelled).sum() / labelled.sum().clamp(min=1)
        + 0.5 * presence
    )


def movement_loss(landmarks: Tensor, known: Tensor) -> Tensor:
    """Returns the error of the movement within pairs, in 1 % of the crop's side.

    Args:
        landmarks: Predicted for the first and second faces, [2, P, 478, 3].
        known: Known landmarks, [2, P, 478, 3].
    """
    seen, movement = (landmarks[1] - landmarks[0]) * 100, (known[1] - known[0]) * 100
    amount = movement[..., :2].norm(dim=-1)  # [P, 478]
    weight = amount / amount.amax(1, keepdim=True).clamp(min=1e-3) + STILL_WEIGHT
    error = functional.smooth_l1_loss(seen, movement, beta=0.2, reduction="none")
    error = (error * _depth_counts_half(error)).mean(2)
    return ((error * weight).sum(1) / weight.sum(1)).mean()


def _depth_counts_half(error: Tensor) -> Tensor:
    return torch.tensor([1.0, 1.0, 0.5], device=error.device)


def movement_errors(model: nn.Module, shards: list[Shard]) -> tuple[float, float]:
    """Returns `movement_error` and `movement_followed` of `ValidationErrors` on moved faces."""
    errors: list[float] = []
    followed: list[float] = []
    for shard in shards:
        seen = read_crops(model, shard)[0].reshape(-1, VIEWS, *shard.landmarks.shape[1:])[..., :2]
        known = shard.landmarks.reshape(-1, VIEWS, *shard.landmarks.shape[1:])[..., :2]
        for saw, was in zip(seen[:, 1:] - seen[:, :1], known[:, 1:] - known[:, :1], strict=True):
            for a, b in zip(saw, was, strict=True):
                amount = np.linalg.norm(b, axis=1)
                moves = amount > 0.5 * amount.max()
                errors.append(float(np.linalg.norm(a - b, axis=1)[moves].sum() / amount[moves].sum()))
                followed.append(float((a * b)[moves].sum() / (b**2)[moves].sum()))
    return float(np.mean(errors)), float(np.mean(followed))


class ValidationPeople:
    """The validation people, who choose the checkpoint."""

    def __init__(self, shards: list[Shard]) -> None:
        self._data = EvaluationSet(shards)

    def __call__(self, model: nn.Module) -> ValidationErrors:
        """Measures a landmarker in evaluation mode."""
        moved = self._data.warped
        error, followed = movement_errors(model, moved) if moved else (0.0, 0.0)
        return ValidationErrors(tracking_errors(model, self._data, every=6), error, followed)

    def draw(self, model: nn.Module, path: Path) -> None:
        """Writes a sheet of some faces with their landmarks."""
        draw_landmarks(model, [*self._data.clips, *self._data.photos][:PICTURES], path)


def build(recipe: LandmarkerRecipe) -> Training[ValidationErrors]:
    """Returns the landmarker, its crops and pairs, loss and errors on the validation people."""
    training, validation = split_validation(read_shards(recipe.labels)[0])
    mean, basis = fit_shape_space(training, recipe.shape_coefficients)
    model = Landmarker(mean=mean, basis=basis, probes=torch.tensor(PROBES))
    if recipe.start is not None:
        continued(model, recipe.start)
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in its stubs
    moved_shards = EvaluationSet(training).warped
    labelled = [shard for shard in training if not shard.name.startswith("warped")]
    deviations = torch.from_numpy(np.concatenate([s.blendshapes for s in labelled]).std(0))
    seed = recipe.schedule.seed
    pairs = recipe.pairs if moved_shards else 0
    data = TrainingBatches(
        FaceCrops(labelled, seed=seed),
        MovedPairs(moved_shards, seed=seed, views=VIEWS) if pairs else None,
        faces_count=recipe.batch_size - 2 * pairs,
        pairs=pairs,
    )

    def loss(network: nn.Module, batch: Batch, _: int) -> Tensor:
        pictures = (batch["picture"].float() / 255).contiguous(memory_format=torch.channels_last)
        with torch.autocast(pictures.device.type, torch.bfloat16):
            output = network(pictures)
        error = landmarker_loss(output, batch, deviations)
        if not pairs:
            return error
        known = batch["landmarks"][-2 * pairs :].unflatten(0, (2, pairs))
        both = [x[-2 * pairs :].unflatten(0, (2, pairs)) for x in (output.landmarks, output.coarse_landmarks)]
        return error + MOVEMENT_WEIGHT * (movement_loss(both[0], known) + 0.5 * movement_loss(both[1], known))

    return Training(
        model=model,
        batches=Batches(data, workers=1),
        loss=loss,
        evaluate=ValidationPeople(validation),
    )


def train(recipe: LandmarkerRecipe) -> ValidationErrors:
    """Trains, writes the best weights and a JSON-lines log beside them, returns the best errors."""
    return train_recipe(recipe, build)
