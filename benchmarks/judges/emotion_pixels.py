r"""A plain classifier of emotions that looks at pixels: it shares nothing with what it judges.

    python benchmarks/judges/emotion_pixels.py train --manifest images/manifest.csv --photos PHOTOS \
        --teacher face_landmarker.task --out emotion_pixels.safetensors
    python benchmarks/judges/emotion_pixels.py judge --weights emotion_pixels.safetensors --faces FACES.npz

Softmax regression on principal components of gradient histograms (Dalal & Triggs, "Histograms of oriented
gradients", 2005) of aligned grey faces. It learns from the emotion labels of photographs, which nothing in
the product and no other judge of the product's emotions is fitted on, with every emotion counting alike; how
strongly it is regularised is chosen on left-out training people, its figures are of held-out people. `FACES`
is what `emotion_rules.py --faces` wrote: a video is named by the mean of its frames' logarithmic
probabilities, uncorrected: no face at rest is taken off, no prior is changed.

Axes: N faces, P gradient numbers, D components.
"""

import csv
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.errors import InputError, UsageError
from auteur.face.mediapipe_backend import MediaPipeBackend
from auteur.facs import EMOTIONS
from auteur.lab.data.splits import is_held_out, person_of_photo
from auteur.lab.train.model_recipe import save_half
from auteur.media import read_image
from auteur.weights import load_file
from judges.emotion_classifier import PHOTO_LABELS

Floats = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]

SIDE_PX = 96
_EYES_PX, _EYE_LINE_PX = 36.0, 32.0
"""Distance of the eyes, and how far they are from the upper edge."""
_BLUR_PX = 0.28
_RIGHT_EYE, _LEFT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)
_CELL_PX, _BINS = 12, 9
GRADIENTS = (SIDE_PX // _CELL_PX - 1) ** 2 * 4 * _BINS
COMPONENTS = 200
_PENALTIES = (0.003, 0.01, 0.03, 0.1)
_STEPS = 60
_FOLDS = 4


class EmotionPixels(nn.Module):
    """Aligned grey faces → probabilities of the eight emotions."""

    mean: Tensor
    """[P]."""
    components: Tensor
    """[P, D], whitened."""
    weight: Tensor
    """[D, 8]."""
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(GRADIENTS))
        self.register_buffer("components", torch.zeros(GRADIENTS, COMPONENTS))
        self.register_buffer("weight", torch.zeros(COMPONENTS, len(EMOTIONS)))
        self.register_buffer("bias", torch.zeros(len(EMOTIONS)))

    @torch.no_grad()
    def probabilities(self, faces: Picture) -> Floats:
        """Returns the probability of each of `EMOTIONS`, [N, 8], of aligned faces [N, 96, 96]."""
        placed = (torch.from_numpy(gradients(faces)) - self.mean) @ self.components
        return torch.softmax(placed @ self.weight + self.bias, dim=1).numpy()


def aligned_face(picture: Picture, landmarks: Floats) -> Picture:
    """Returns a face as grey picture [96, 96] with both eyes in their places.

    Args:
        picture: [H, W, 3].
        landmarks: [478, 2 or 3] px.
    """
    right, left = (landmarks[list(eye), :2].mean(axis=0) for eye in (_RIGHT_EYE, _LEFT_EYE))
    across, middle = left - right, (left + right) / 2
    scale = _EYES_PX / float(np.linalg.norm(across))
    turn = -np.arctan2(across[1], across[0])
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = np.array([SIDE_PX / 2, _EYE_LINE_PX]) - rotation @ middle
    blurred = cv2.GaussianBlur(np.asarray(picture), (0, 0), max(_BLUR_PX / scale, 0.3))
    grey = cv2.cvtColor(blurred, cv2.COLOR_RGB2GRAY)
    return cv2.warpAffine(grey, np.column_stack([rotation, shift]), (SIDE_PX, SIDE_PX)).astype(np.uint8)


def gradients(faces: Picture) -> Floats:
    """Returns square roots of normalised gradient histograms [N, P] of aligned faces, float32.

    Raises:
        UsageError: This build of OpenCV cannot make them.
    """
    describe = getattr(cv2, "HOGDescriptor", None)
    if describe is None:
        raise UsageError("this OpenCV comes without HOGDescriptor; run: pip install 'auteur-face[train]'")
    cell, block = (_CELL_PX, _CELL_PX), (2 * _CELL_PX, 2 * _CELL_PX)
    histogram = describe((SIDE_PX, SIDE_PX), block, cell, cell, _BINS)
    rows = [np.asarray(histogram.compute(np.ascontiguousarray(face))).ravel() for face in faces]
    return np.sqrt(np.stack(rows)).astype(np.float32)


@dataclass(frozen=True)
class Labelled:
    """Photographs with labels."""

    faces: Picture
    """[N, 96, 96]."""
    labels: NDArray[np.int64]
    """[N], places in `EMOTIONS`."""
    people: NDArray[np.str_]
    """[N]."""

    def chosen(self, rows: NDArray[np.bool_]) -> "Labelled":
        """Returns some rows."""
        return Labelled(self.faces[rows], self.labels[rows], self.people[rows])


def read_labelled(manifest: Path, folder: Path, teacher: Path, most: int) -> Labelled:
    """Returns photographs that have an emotion; the most frequent emotions are cut to the first `most`.

    Args:
        manifest: CSV with the columns file, label.
        folder: Where the photographs lie.
        teacher: MediaPipe's `face_landmarker.task`, which finds the eyes.
        most: Of each emotion.

    Raises:
        InputError: There is none.
    """
    backend, counts = MediaPipeBackend(teacher, max_faces=1), dict.fromkeys(EMOTIONS, 0)
    faces: list[Picture] = []
    found: list[tuple[int, str]] = []
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            emotion = PHOTO_LABELS.get(row["label"])
            if emotion is None or counts[emotion] >= most or not (folder / row["file"]).is_file():
                continue
            picture = read_image(folder / row["file"])
            seen = backend.find(picture)
            if seen:
                counts[emotion] += 1
                faces.append(aligned_face(picture, seen[0].landmarks))
                found.append((EMOTIONS.index(emotion), person_of_photo(row["file"])))
    if not found:
        raise InputError(f"there are no labelled photographs in {str(folder)!r}")
    emotions, people = zip(*found, strict=True)
    return Labelled(np.stack(faces), np.array(emotions), np.array(people))


def fit(photos: Labelled, penalty: float) -> EmotionPixels:
    """Returns the classifier of photographs and their mirror images, every emotion counting alike."""
    rows = np.concatenate([gradients(photos.faces), gradients(photos.faces[:, :, ::-1])])
    model = EmotionPixels()
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    order = np.argsort(values)[::-1][:COMPONENTS]
    model.mean.copy_(torch.from_numpy(mean))
    whitened = vectors[:, order] / np.sqrt(np.maximum(values[order], 1e-9))
    model.components.copy_(torch.from_numpy(whitened))
    placed = (torch.from_numpy(rows) - model.mean) @ model.components
    labels = torch.from_numpy(np.tile(photos.labels, 2))
    counts = torch.bincount(labels, minlength=len(EMOTIONS)).clamp(min=1)
    shares = (1 / counts)[labels] / len(counts)
    weight = torch.zeros(COMPONENTS, len(EMOTIONS), requires_grad=True)
    bias = torch.zeros(len(EMOTIONS), requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        errors = nn.functional.cross_entropy(placed @ weight + bias, labels, reduction="none")
        total = (shares * errors).sum() + penalty * weight.square().sum()
        total.backward()
        return total

    solver.step(loss)
    model.weight.copy_(weight.detach())
    model.bias.copy_(bias.detach())
    return model


def recall(model: EmotionPixels, photos: Labelled) -> dict[str, tuple[float, int]]:
    """Returns the share that is named right and the number of photographs, by emotion."""
    named = model.probabilities(photos.faces).argmax(axis=1)
    return {
        emotion: (float((named[photos.labels == i] == i).mean()), int((photos.labels == i).sum()))
        for i, emotion in enumerate(EMOTIONS)
        if (photos.labels == i).any()
    }


@dataclass(frozen=True)
class Train:
    """Fits on training people and prints what it does on held-out people."""

    manifest: Path
    """CSV with the columns file, label."""
    photos: Path
    """Folder of the photographs."""
    teacher: Path
    """MediaPipe's `face_landmarker.task`, for the places of the eyes."""
    out: Path
    most: int = 400
    """Photographs of one emotion that are read."""

    def run(self) -> dict[str, Any]:
        photos = read_labelled(self.manifest, self.photos, self.teacher, self.most)
        held = np.array([is_held_out(person) for person in photos.people])
        training = photos.chosen(~held)
        people = sorted(set(training.people))
        fold = np.array([people.index(person) % _FOLDS for person in training.people])
        left_out = {
            penalty: float(
                np.mean(
                    [
                        r
                        for r, _ in recall(
                            fit(training.chosen(fold > 0), penalty), training.chosen(fold == 0)
                        ).values()
                    ]
                )
            )
            for penalty in _PENALTIES
        }
        penalty = max(left_out, key=lambda one: left_out[one])
        model = fit(training, penalty)
        save_half(model, self.out)
        found = recall(model, photos.chosen(held))
        right = sum(share * count for share, count in found.values())
        return {
            "left_out_people": left_out,
            "photographs": int(held.sum()),
            "accuracy": right / held.sum(),
            "balanced_accuracy": float(np.mean([share for share, _ in found.values()])),
            "recall": found,
        }


@dataclass(frozen=True)
class Judge:
    """Names the videos of a file of aligned faces and prints the shares that are right."""

    weights: Path
    faces: Path
    without: tuple[str, ...] = ()
    """Beginnings of names that do not count, such as portraits that were tuned on."""

    def run(self) -> dict[str, Any]:
        model = load_file(EmotionPixels(), self.weights)
        with np.load(self.faces) as stored:
            faces, names = stored["faces"], stored["names"]
        logs = np.log(model.probabilities(faces) + 1e-9)
        verdicts: dict[str, str] = {
            str(name): EMOTIONS[int(logs[names == name].mean(axis=0).argmax())] for name in np.unique(names)
        }
        return tally({n: v for n, v in verdicts.items() if not n.startswith(self.without or ("\0",))})


def tally(verdicts: Mapping[str, str]) -> dict[str, Any]:
    """Returns by strength and emotion how often it is named right, and what it is called.

    Args:
        verdicts: By name of the video, "NAME EMOTION STRENGTH".
    """
    found: dict[str, dict[str, dict[str, int]]] = {}
    for name, verdict in verdicts.items():
        _, emotion, strength = name.rsplit(" ", 2)
        named = found.setdefault(strength, {}).setdefault(emotion, {})
        named[verdict] = named.get(verdict, 0) + 1
    shares: dict[str, Any] = {}
    for strength, emotions in found.items():
        right = {e: named.get(e, 0) / sum(named.values()) for e, named in emotions.items()}
        shown = [share for emotion, share in right.items() if emotion != "neutral"]
        videos = [(named.get(e, 0), sum(named.values())) for e, named in emotions.items() if e != "neutral"]
        all_right = sum(n for n, _ in videos) / max(sum(n for _, n in videos), 1)
        shares[strength] = {
            "of videos": all_right,
            "mean over emotions": float(np.mean(shown)) if shown else None,
            "right": right,
            "named": emotions,
        }
    return shares


if __name__ == "__main__":
    command = tyro.cli(Train | Judge)
    sys.stdout.write(json.dumps(command.run(), indent=1) + "\n")
