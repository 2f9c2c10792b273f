r"""Recipe: a judge of emotions that shares nothing with what it judges.

    python -m auteur.train.emotion_classifier --labels LABELS --photos images/manifest.csv --out
    emotion_classifier.safetensors

Linear discriminant analysis on what MediaPipe's teacher reads off single photographs: blendshapes, and
distances on the pose-free face. It learns from photographs of people whom the expression generator never sees
(`auteur.data.expression_tracks.for_classifier`), reads pictures with another tracker than the one that ships,
and is used by benchmarks only. Some emotions have eight photographs; the covariance within emotions comes
from all of them.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.data.expression_tracks import Photographs, for_classifier, read_photographs
from auteur.data.splits import is_held_out
from auteur.errors import InputError
from auteur.face.action_units import MEASURES
from auteur.face.pose import MIRROR, without_pose
from auteur.facs import EMOTIONS, MEDIAPIPE_BLENDSHAPES
from auteur.train.loop import save_half

Floats = NDArray[np.floating]

SHRINKAGE = 0.15
"""How far the covariance within emotions is drawn towards its diagonal."""
_LEFT_OUT = ("_neutral", "eyeLook", "eyeBlink")
_SHAPES = [i for i, name in enumerate(MEDIAPIPE_BLENDSHAPES) if not name.startswith(_LEFT_OUT)]
FEATURES = len(_SHAPES) + 2 * len(MEASURES)


@dataclass(frozen=True)
class EmotionClassifierRecipe:
    """Where things are."""

    labels: Path
    """Teacher labels with `photos_*.npz`."""
    photos: Path
    """CSV with the columns file, label."""
    out: Path


@dataclass(frozen=True)
class ClassifierReport:
    """On photographs of held-out people."""

    photographs: int
    accuracy: float
    balanced_accuracy: float
    """Mean over emotions; chance is one over their number."""
    recall: dict[str, float]


def features(faces_mm: Floats, blendshapes: Floats) -> Floats:
    """Returns what the classifier looks at, [N, FEATURES].

    Args:
        faces_mm: Pose-free [N, 478, 3].
        blendshapes: [N, 52].
    """
    mirrored = faces_mm[:, MIRROR] * np.array([-1.0, 1.0, 1.0])
    distances = [
        sum(factor * face[:, vertex, axis] for factor, vertex, axis in terms)
        for face in (faces_mm, mirrored)
        for terms in MEASURES.values()
    ]
    return np.concatenate([blendshapes[:, _SHAPES], np.stack(distances, axis=1)], axis=1)  # pyright: ignore[reportArgumentType, reportCallIssue]


class FaceEmotionClassifier(nn.Module):
    """Linear scores of the eight emotions, equal chances before a face is seen."""

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    """[8, FEATURES]."""
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))
        self.register_buffer("weight", torch.zeros(len(EMOTIONS), FEATURES))
        self.register_buffer("bias", torch.zeros(len(EMOTIONS)))

    @torch.no_grad()
    def probabilities(
        self, faces_mm: Floats, blendshapes: Floats, *, at_rest: Floats | None = None
    ) -> Floats:
        """Returns the probability of each of `EMOTIONS`, [N, 8].

        Args:
            faces_mm: Pose-free [N, 478, 3].
            blendshapes: [N, 52].
            at_rest: The person's own features at rest [FEATURES], which take the place of the average neutral
                person's; for footage, where somebody's build must not count as an emotion.
        """
        found = features(faces_mm, blendshapes)
        if at_rest is not None:
            found = found - at_rest + self.mean.numpy()
        x = (torch.from_numpy(found).float() - self.mean) / self.deviation
        return torch.softmax(x @ self.weight.T + self.bias, dim=1).numpy()


def fit(photos: Photographs) -> FaceEmotionClassifier:
    """Returns the classifier of labelled photographs, mirrored ones as well.

    Raises:
        InputError: An emotion has fewer than three photographs.
    """
    label = np.array(photos.emotions)
    rows = features(photos.faces_mm.astype(np.float64), photos.blendshapes.astype(np.float64))
    counts = {emotion: int((label == emotion).sum()) for emotion in EMOTIONS}
    if min(counts.values()) < 3:
        raise InputError(f"every emotion needs three photographs; there are {counts}")
    # Mean and scale of neutral faces: `at_rest` replaces the former.
    model = FaceEmotionClassifier()
    mean, deviation = rows[label == "neutral"].mean(axis=0), rows.std(axis=0) + 1e-6
    x = (rows - mean) / deviation
    means = np.stack([x[label == emotion].mean(axis=0) for emotion in EMOTIONS])
    within = x - means[[EMOTIONS.index(emotion) for emotion in label]]
    balance = 1 / np.array([counts[emotion] for emotion in label])
    weights = np.sqrt(balance / balance.sum()) * 0.5 + 0.5 / np.sqrt(len(x))
    covariance = (within * weights[:, None]).T @ (within * weights[:, None]) / np.square(weights).sum()
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))
    slopes = np.linalg.solve(covariance, means.T).T
    model.mean.copy_(torch.from_numpy(mean))
    model.deviation.copy_(torch.from_numpy(deviation))
    model.weight.copy_(torch.from_numpy(slopes))
    model.bias.copy_(torch.from_numpy(-0.5 * (slopes * means).sum(axis=1)))
    return model


def evaluate(model: FaceEmotionClassifier, photos: Photographs) -> ClassifierReport:
    """Returns how often the classifier is right."""
    named = model.probabilities(photos.faces_mm, photos.blendshapes).argmax(axis=1)
    label = np.array([EMOTIONS.index(emotion) for emotion in photos.emotions])
    recall = {
        emotion: round(float((named[label == i] == i).mean()), 3)
        for i, emotion in enumerate(EMOTIONS)
        if (label == i).any()
    }
    return ClassifierReport(
        photographs=len(label),
        accuracy=round(float((named == label).mean()), 3),
        balanced_accuracy=round(float(np.mean(list(recall.values()))), 3),
        recall=recall,
    )


def rest_features(landmarks: Floats, blendshapes: Floats) -> Floats:
    """Returns a person's features at rest [FEATURES].

    Args:
        landmarks: Of frames at rest, [N, 478, 3] px.
        blendshapes: [N, 52].

    """
    return np.median(features(without_pose(landmarks), blendshapes), axis=0)


def train(recipe: EmotionClassifierRecipe) -> ClassifierReport:
    """Fits, writes the classifier and returns its figures on held-out people."""
    photos = read_photographs(recipe.labels, recipe.photos)
    model = fit(photos.chosen(for_classifier(photos)))
    save_half(model, recipe.out)
    return evaluate(model, photos.chosen(is_held_out(person) for person in photos.people))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(train(tyro.cli(EmotionClassifierRecipe))), indent=2) + "\n")
