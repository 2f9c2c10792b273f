"""Identity of a face, for benchmarks that measure whether a portrait still looks like itself.

    python benchmarks/judges/face_identity.py --labels LABELS --out face_identity.safetensors

Fisherfaces on histograms of oriented gradients: principal components of aligned grey crops, then the
directions in which photographs of one person differ least for how much people differ (Belhumeur et al.,
"Eigenfaces vs. Fisherfaces", 1997; Dalal & Triggs, "Histograms of oriented gradients", 2005). It is a fit of
seconds and no match for a face recognition network: its card is the accuracy that it prints. No path of the
package uses it.

Axes: N faces, P numbers of gradients, D numbers of identity.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.errors import InputError, UsageError
from auteur.lab.data.splits import is_held_out, person_of_photo
from auteur.lab.train.model_recipe import save_half

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX = 64, 72
_EYES_PX, _EYE_LINE_PX = 28.0, 28.0
_BLUR_PX = 1.2
"""Before a crop of 224 px becomes 64 px wide."""
_CELL_PX, _BINS = 8, 9
_RIGHT_EYE, _LEFT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)
GRADIENTS = (WIDTH_PX // _CELL_PX - 1) * (HEIGHT_PX // _CELL_PX - 1) * 4 * _BINS
COMPONENTS = 100
_SHRINKAGE = 0.05
_THRESHOLDS = 401


@dataclass(frozen=True)
class FaceIdentityRecipe:
    """Where things are."""

    labels: Path
    """Teacher labels with `photos_*.npz` and their crops (`auteur.lab.data.face_teacher`)."""
    out: Path


@dataclass(frozen=True)
class IdentityReport:
    """Same person or not, on pairs of photographs of held-out people; chance is one half."""

    people: int
    same_pairs: int
    accuracy: float
    """At the threshold that is best on training people."""
    area_under_curve: float
    same: float
    """Mean similarity of two photographs of one person."""
    different: float


class FaceIdentity(nn.Module):
    """Aligned grey faces → unit vectors; their product is the similarity."""

    mean: Tensor
    """[P]."""
    projection: Tensor
    """[P, D]."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(GRADIENTS))
        self.register_buffer("projection", torch.zeros(GRADIENTS, COMPONENTS))

    def describe(self, faces: Picture) -> Floats:
        """Returns unit vectors [N, D] of aligned faces [N, 72, 64] (`aligned_face`)."""
        both = sum(self._project(gradients(faces[:, :, ::step])) for step in (1, -1))
        return both / np.linalg.norm(both, axis=1, keepdims=True)

    def _project(self, found: Floats) -> Floats:
        placed = (found - self.mean.numpy()) @ self.projection.numpy()
        return placed / np.linalg.norm(placed, axis=1, keepdims=True)


def aligned_face(picture: Picture, landmarks: Floats) -> Picture:
    """Returns a face as grey picture [72, 64] with both eyes in their places.

    Args:
        picture: [H, W, 3].
        landmarks: [478, 2 or 3] px.
    """
    right, left = (landmarks[list(eye), :2].mean(axis=0) for eye in (_RIGHT_EYE, _LEFT_EYE))
    across, middle = left - right, (left + right) / 2
    scale = _EYES_PX / float(np.linalg.norm(across))
    turn = -np.arctan2(across[1], across[0])
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = np.array([WIDTH_PX / 2, _EYE_LINE_PX]) - rotation @ middle
    blurred = cv2.GaussianBlur(np.asarray(picture), (0, 0), max(_BLUR_PX * 0.28 / scale, 0.3))
    grey = cv2.cvtColor(blurred, cv2.COLOR_RGB2GRAY)
    return cv2.warpAffine(grey, np.column_stack([rotation, shift]), (WIDTH_PX, HEIGHT_PX)).astype(np.uint8)


def gradients(faces: Picture) -> Floats:
    """Returns square roots of normalised gradient histograms [N, P] of aligned faces [N, 72, 64].

    Raises:
        UsageError: This build of OpenCV cannot make them.
    """
    describe = getattr(cv2, "HOGDescriptor", None)
    if describe is None:
        raise UsageError("this OpenCV comes without HOGDescriptor; run: pip install 'auteur-face[train]'")
    cell, block = (_CELL_PX, _CELL_PX), (2 * _CELL_PX, 2 * _CELL_PX)
    histogram = describe((WIDTH_PX, HEIGHT_PX), block, cell, cell, _BINS)
    rows = [np.asarray(histogram.compute(np.ascontiguousarray(face))).ravel() for face in faces]
    return np.sqrt(np.stack(rows))


def read_faces(labels: Path) -> tuple[Picture, NDArray[np.str_]]:
    """Returns the aligned faces [N, 72, 64] of all photographs of a label folder, and whose they are.

    Raises:
        InputError: There is none.
    """
    found = list(_labelled(labels))
    if not found:
        raise InputError(f"there are no photographs in {str(labels)!r}; run auteur.lab.data.face_teacher")
    return np.stack([face for face, _ in found]), np.array([person for _, person in found])


def _labelled(labels: Path) -> Iterator[tuple[Picture, str]]:
    for path in sorted(labels.glob("photos_*.npz")):
        names = path.with_suffix(".txt").read_text(encoding="utf-8").split("\n")
        crops = np.load(path.with_suffix(".crops.npy"), mmap_mode="r")
        with np.load(path) as stored:
            for row, number in enumerate(stored["index"]):
                to_crop = stored["affine"][row] if "affine" in stored else np.eye(2, 3)
                landmarks = stored["landmarks"][row][:, :2] @ to_crop[:, :2].T + to_crop[:, 2]
                yield aligned_face(crops[row], landmarks), person_of_photo(names[number])


def fit(faces: Picture, people: NDArray[np.str_]) -> FaceIdentity:
    """Returns the Fisherfaces of people with two photographs or more; mirror images are other people."""
    both = np.concatenate([gradients(faces), gradients(faces[:, :, ::-1])])
    names = np.concatenate([people, np.char.add(people, " mirrored")])
    mean = both.mean(axis=0)
    values, vectors = np.linalg.eigh((both - mean).T @ (both - mean) / len(both))
    order = np.argsort(values)[::-1][:COMPONENTS]
    whitened = vectors[:, order] / np.sqrt(np.maximum(values[order], 1e-12))
    placed = (both - mean) @ whitened
    within, count = np.zeros((COMPONENTS, COMPONENTS)), 0
    for rows in _rows_by_person(names).values():
        spread = placed[rows] - placed[rows].mean(axis=0)
        within += spread.T @ spread
        count += len(rows) - 1
    within /= max(count, 1)
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * np.eye(COMPONENTS) * np.trace(within) / COMPONENTS
    values, turned = np.linalg.eigh(within)
    model = FaceIdentity()
    model.mean.copy_(torch.from_numpy(mean))
    model.projection.copy_(torch.from_numpy(whitened @ (turned / np.sqrt(np.maximum(values, 1e-12)))))
    return model


def _rows_by_person(people: NDArray[np.str_]) -> dict[str, list[int]]:
    """Rows of everybody who has at least two."""
    found: dict[str, list[int]] = {}
    for row, person in enumerate(people):
        found.setdefault(str(person), []).append(row)
    return {person: rows for person, rows in found.items() if len(rows) > 1}


def pairs(vectors: Floats, people: NDArray[np.str_], *, seed: int = 0) -> tuple[Floats, Floats]:
    """Returns similarities of all pairs of photographs of one person, and of as many pairs of strangers."""
    groups = _rows_by_person(people).values()
    same = [(a, b) for rows in groups for i, a in enumerate(rows) for b in rows[i + 1 :]]
    random, other = np.random.default_rng(seed), []
    while len(other) < len(same):
        a, b = random.choice(len(people), 2, replace=False)
        if people[a] != people[b]:
            other.append((a, b))
    return tuple(np.array([vectors[a] @ vectors[b] for a, b in group]) for group in (same, other))  # pyright: ignore[reportReturnType]


def train(recipe: FaceIdentityRecipe) -> IdentityReport:
    """Fits on training people, writes the weights and returns figures on held-out people."""
    faces, people = read_faces(recipe.labels)
    held = np.array([is_held_out(person) for person in people])
    model = fit(faces[~held], people[~held])
    save_half(model, recipe.out)
    same, other = pairs(model.describe(faces[~held]), people[~held])
    levels = np.quantile(np.concatenate([same, other]), np.linspace(0, 1, _THRESHOLDS))
    threshold = max(levels, key=lambda level: (same > level).mean() + (other <= level).mean())
    same, other = pairs(model.describe(faces[held]), people[held])
    return IdentityReport(
        people=len(set(people[held])),
        same_pairs=len(same),
        accuracy=round(float(((same > threshold).mean() + (other <= threshold).mean()) / 2), 3),
        area_under_curve=round(float((same[:, None] > other[None]).mean()), 3),
        same=round(float(same.mean()), 3),
        different=round(float(other.mean()), 3),
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(train(tyro.cli(FaceIdentityRecipe))), indent=2) + "\n")
