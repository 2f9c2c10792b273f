r"""A classifier of emotions in photographs that shares nothing with the models it judges.

    python benchmarks/judges/emotion_classifier.py --labels LABELS --photos images/manifest.csv \
        --out emotion_classifier.safetensors

Linear discriminant analysis on the blendshapes that MediaPipe's teacher reads off single photographs. It
learns from photographs of people whom the expression generator never sees
(`auteur.lab.data.expression_tracks.for_classifier`), reads pictures with another tracker than the one that
ships, and is used by benchmarks only. Some emotions have eight photographs, so there is little to learn: both
sides count as one, the covariance within emotions is nearly diagonal, and the mean of few faces is drawn to
that of neutral ones. These choices were made on photographs of left-out training people and on clips of
training people.
"""

import csv
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.errors import InputError
from auteur.face.pose import without_pose
from auteur.facs import EMOTIONS, MEDIAPIPE_BLENDSHAPES
from auteur.lab.data.expression_tracks import Photographs, for_classifier
from auteur.lab.data.splits import is_held_out, person_of_photo
from auteur.lab.train.model_recipe import save_half

Floats = NDArray[np.floating]

SHRINKAGE = 0.95
"""How far the covariance within emotions is drawn towards its diagonal."""
_BALANCE = 0.75
"""How far rare emotions count as much as frequent ones in that covariance, 0 to 1."""
RARITY = 3.0
"""Photographs of which a mean is drawn half-way to the neutral one."""
_LEFT_OUT = ("_neutral", "eyeLook", "eyeBlink")
_LEAST_DEVIATION = 1e-3
"""Some blendshapes of MediaPipe never move."""


def _pairs() -> list[tuple[int, int]]:
    """Both sides of every blendshape that counts; those without sides twice."""
    names = list(MEDIAPIPE_BLENDSHAPES)
    kept = [n for n in names if not n.startswith(_LEFT_OUT) and not n.endswith("Right")]
    return [(names.index(n), names.index(n.replace("Left", "Right"))) for n in kept]


_SIDES = np.array(_pairs())
FEATURES = len(_SIDES)


PHOTO_LABELS = {
    "anger": "angry",
    "contempt": "contempt",
    "disgust": "disgusted",
    "fear": "fear",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}


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


def features(blendshapes: Floats) -> Floats:
    """Returns what the classifier looks at in blendshapes [N, 52], [N, FEATURES].

    Square roots, because most expressions in photographs are faint.
    """
    return np.sqrt(np.maximum(blendshapes[:, _SIDES], 0).mean(axis=2))


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
    def probabilities(self, blendshapes: Floats, *, at_rest: Floats | None = None) -> Floats:
        """Returns the probability of each of `EMOTIONS`, [N, 8].

        Args:
            blendshapes: [N, 52].
            at_rest: The person's own features at rest [FEATURES], which take the place of the average neutral
                person's; for footage, where somebody's build must not count as an emotion.
        """
        found = features(blendshapes)
        if at_rest is not None:
            found = found - at_rest + self.mean.numpy()
        x = (torch.from_numpy(found).float() - self.mean) / self.deviation
        return torch.softmax(x @ self.weight.T + self.bias, dim=1).numpy()


def fit(photos: Photographs) -> FaceEmotionClassifier:
    """Returns the classifier of labelled photographs.

    Raises:
        InputError: An emotion has fewer than three photographs.
    """
    label = np.array(photos.emotions)
    rows = features(photos.blendshapes.astype(np.float64))
    counts = {emotion: int((label == emotion).sum()) for emotion in EMOTIONS}
    if min(counts.values()) < 3:
        raise InputError(f"every emotion needs three photographs; there are {counts}")
    # Mean and scale of neutral faces: `at_rest` replaces the former.
    model = FaceEmotionClassifier()
    mean, deviation = rows[label == "neutral"].mean(axis=0), np.maximum(rows.std(axis=0), _LEAST_DEVIATION)
    x = (rows - mean) / deviation
    means = np.stack([x[label == emotion].mean(axis=0) for emotion in EMOTIONS])
    within = x - means[[EMOTIONS.index(emotion) for emotion in label]]
    weights = np.sqrt(1 / np.array([counts[emotion] for emotion in label]) ** _BALANCE)
    covariance = (within * weights[:, None]).T @ (within * weights[:, None]) / np.square(weights).sum()
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))
    means *= np.array([n / (n + RARITY) for n in counts.values()])[:, None]
    slopes = np.linalg.solve(covariance, means.T).T
    model.mean.copy_(torch.from_numpy(mean))
    model.deviation.copy_(torch.from_numpy(deviation))
    model.weight.copy_(torch.from_numpy(slopes))
    model.bias.copy_(torch.from_numpy(-0.5 * (slopes * means).sum(axis=1)))
    return model


def evaluate(model: FaceEmotionClassifier, photos: Photographs) -> ClassifierReport:
    """Returns how often the classifier is right."""
    named = model.probabilities(photos.blendshapes).argmax(axis=1)
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


def read_labelled(labels: Path, photos: Path) -> Photographs:
    """Returns the labelled photographs of a folder of teacher labels.

    Args:
        labels: What `python -m auteur.lab.data.face_teacher` wrote (`photos_*.npz` and their lists of names).
        photos: CSV with the columns file, label.

    Raises:
        InputError: There are no labelled photographs.
    """
    with photos.open(encoding="utf-8", newline="") as table:
        label = {row["file"]: PHOTO_LABELS.get(row["label"]) for row in csv.DictReader(table)}
    emotions: list[str] = []
    people: list[str] = []
    faces: list[Floats] = []
    blends: list[Floats] = []
    for path in sorted(labels.glob("photos_*.npz")):
        names = path.with_suffix(".txt").read_text(encoding="utf-8").split("\n")
        with np.load(path) as stored:
            rows = [(i, names[n]) for i, n in enumerate(stored["index"]) if label.get(names[n])]
            chosen = [i for i, _ in rows]
            faces.append(without_pose(stored["landmarks"][chosen]))
            blends.append(stored["blend"][chosen])
        emotions += [str(label[name]) for _, name in rows]
        people += [person_of_photo(name) for _, name in rows]
    if not emotions:
        raise InputError(
            f"there are no labelled photographs in {str(labels)!r}; run auteur.lab.data.face_teacher"
        )
    return Photographs(
        tuple(emotions), tuple(people), np.concatenate(faces).astype(np.float32), np.concatenate(blends)
    )


def rest_features(blendshapes: Floats) -> Floats:
    """Returns a person's features at rest [FEATURES], of blendshapes of frames at rest [N, 52]."""
    return np.median(features(blendshapes), axis=0)


def train(recipe: EmotionClassifierRecipe) -> ClassifierReport:
    """Fits, writes the classifier and returns its figures on held-out people."""
    photos = read_labelled(recipe.labels, recipe.photos)
    model = fit(photos.chosen(for_classifier(photos)))
    save_half(model, recipe.out)
    return evaluate(model, photos.chosen(is_held_out(person) for person in photos.people))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(train(tyro.cli(EmotionClassifierRecipe))), indent=2) + "\n")
