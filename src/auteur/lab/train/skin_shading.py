r"""Recipe: shading of the skin by Action Units, from prepared videos.

    auteur train skin-shading --shards SHARDS --out RUN/skin_shading.safetensors

Every frame is laid out on the mean face. Within a clip, the logarithm of its pixels is regressed on the
Action Units; mean and head pose of the clip are projected out of both first (Frisch, Waugh and Lovell), so
that neither a person's colours nor light that a turn of the head changes count. A ratio that differs between
people more than it is large is noise: it is shrunk by its jackknife error over groups of people.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zlib import crc32

import cv2
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch.nn import functional

from auteur.errors import InputError
from auteur.face.action_units import action_units, neutral_by_region
from auteur.face.pose import head_pose
from auteur.facs import ACTION_UNITS
from auteur.lab.data.motion_tracks import RATE, no_training_person
from auteur.lab.data.shards import Corpora, PartName, Sample
from auteur.lab.train.model_recipe import save_half
from auteur.signals import topology
from auteur.synthesis.warp.skin_shading import (
    COLUMNS,
    DARKEST,
    ROWS,
    SHADED_UNITS,
    SkinShading,
    texture_vertices,
    unwrap,
)

Floats = NDArray[np.floating]

GROUPS = 10
"""Groups of people of the jackknife."""
_LEAST_FRAMES = 25
_PENALTY = 3.0
"""Ridge penalty, in frames at full intensity."""
_LARGEST = 0.6
"""Change of the logarithm beyond which a pixel is hair, glasses or a hand."""
_DOUBT = 1.5
"""Squared errors that a squared ratio must exceed to count at all."""
_SMOOTH_PX = 1.5
_SHARPEN, _APART_PX = 0.6, 4.0
"""Detail that is added again, and its size: folds of people lie some millimetres apart, and their mean is
wider and flatter than any of them."""
_NOSTRILS = (64, 98, 97, 2, 326, 327, 294, 1)
_KEPT_OFF = (
    (topology.OUTER_LIPS, 0.0, 3.0),
    (topology.RIGHT_EYE, 2.0, 9.0),
    (topology.LEFT_EYE, 2.0, 9.0),
    (_NOSTRILS, 1.0, 6.0),
)
"""Outlines that the warp moves and paints itself, and the pixels around them over which ratios set in: a
mesh that errs by a pixel makes ratios there that are no shading."""
_BORDER_PX = 6.0


@dataclass(frozen=True)
class SkinShadingRecipe:
    """Paths, and the density of frames."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    every: int = 3
    """Of so many frames one is used."""


@dataclass(frozen=True)
class UnwrappedClip:
    """Frames of one person on the mean face; P = 160 × 128 pixels."""

    person: str
    units: Floats
    """Mean of both sides of `SHADED_UNITS`, [T, units] in [0, 1]."""
    logarithms: Floats
    """Of red, green and blue, relative to the middle of the frame's, [T, 3, P]."""
    nuisance: Floats
    """1 and the angles of the head, [T, 4]."""


def unwrapped(sample: Sample, every: int) -> UnwrappedClip:
    """Returns the frames of a sample."""
    landmarks, blendshapes = sample.array("landmarks"), sample.array("blendshapes")
    track = action_units(landmarks, blendshapes, rate=RATE, neutral=neutral_by_region(landmarks, blendshapes))
    sides = [[track.channels.index(c) for c in ACTION_UNITS[n].controls] for n in SHADED_UNITS]
    rows = np.arange(0, len(landmarks), every)
    shown, pictures = head_pose(landmarks[rows]), sample.frames()
    return UnwrappedClip(
        person=sample.record["person"],
        units=np.stack([track.values[rows][:, columns].mean(1) for columns in sides], axis=1),
        logarithms=np.stack([_laid_out(pictures[row], landmarks[row]) for row in rows]),
        nuisance=np.concatenate([np.ones((len(rows), 1)), shown.angles_rad], axis=1),
    )


def _laid_out(picture: NDArray[np.uint8], landmarks: Floats) -> Floats:
    """Logarithms [3, P] of a picture on the mean face, its own light taken out; 0 beside the face."""
    places = unwrap(torch.from_numpy(np.asarray(landmarks)))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    size = torch.tensor([pixels.shape[3], pixels.shape[2]])
    grid = ((2 * places + 1) / size - 1).nan_to_num(-9.0)
    values = functional.grid_sample(pixels, grid[None], padding_mode="border", align_corners=False)[0]
    logarithm = (values + DARKEST).log().reshape(3, -1).numpy()
    face = torch.isfinite(places[..., 0]).reshape(-1).numpy()
    return np.where(face, logarithm - np.median(logarithm[:, face], axis=1, keepdims=True), 0)


def without_nuisance(values: Floats, nuisance: Floats) -> Floats:
    """Returns what is left of values [T, …] when a regression on `nuisance` [T, N] is taken away."""
    basis = np.linalg.qr(nuisance)[0]
    flat = values.reshape(len(values), -1)
    return (flat - basis @ (basis.T @ flat)).reshape(values.shape)


@dataclass
class Sums:
    """Sums of products over frames, by group of people."""

    gram: Floats
    """[groups, units, units]."""
    products: Floats
    """[groups, units, 3, P]."""

    @classmethod
    def of(cls, clips: Iterator[UnwrappedClip]) -> "Sums":
        """Returns the sums of clips."""
        count = len(SHADED_UNITS)
        found = cls(
            np.zeros((GROUPS, count, count)), np.zeros((GROUPS, count, 3, ROWS * COLUMNS), np.float32)
        )
        for clip in clips:
            group = crc32(clip.person.encode()) % GROUPS
            units = without_nuisance(clip.units, clip.nuisance)
            change = np.clip(without_nuisance(clip.logarithms, clip.nuisance), -_LARGEST, _LARGEST)
            found.gram[group] += units.T @ units
            found.products[group] += np.einsum("tu,tcp->ucp", units, change)
        return found

    def slopes(self, groups: NDArray[np.intp]) -> Floats:
        """Returns the regression on some groups, both sides alike, [units, 160, 128]."""
        gram = self.gram[groups].sum(0) + _PENALTY * np.eye(len(SHADED_UNITS))
        products = self.products[groups].sum(0).mean(1)
        slopes = np.linalg.solve(gram, products).reshape(-1, ROWS, COLUMNS)
        return (slopes + slopes[..., ::-1]) / 2

    def colour(self, ratios: Floats) -> Floats:
        """Returns the share of each colour in what is predicted, [3], with mean 1."""
        explained = np.einsum("up,ucp->c", ratios.reshape(len(ratios), -1), self.products.sum(0))
        return explained / max(explained.mean(), 1e-9)


def fit(clips: Iterator[UnwrappedClip]) -> SkinShading:
    """Returns the shading that was fitted."""
    sums = Sums.of(clips)
    everyone = np.arange(GROUPS)
    whole = sums.slopes(everyone)
    left_out = np.stack([sums.slopes(np.delete(everyone, group)) for group in everyone])
    variance = (GROUPS - 1) / GROUPS * np.square(left_out - left_out.mean(0)).sum(0)
    doubt = _DOUBT * _smooth(variance) / np.maximum(_smooth(np.square(whole)), 1e-8)
    certain = whole * _smooth(np.clip(1 - doubt, 0, 1))
    ratios = (certain + _SHARPEN * (certain - _smooth(certain, _APART_PX))) * skin_mask()
    model = SkinShading()
    model.ratios.copy_(torch.from_numpy(ratios[..., : COLUMNS // 2].astype(np.float32)))
    model.colour.copy_(torch.from_numpy(sums.colour(ratios).astype(np.float32)))
    return model


def skin_mask() -> Floats:
    """Returns 1 on skin and 0 on lips, eyes, nostrils and beside the face, fading between, [160, 128]."""
    points = texture_vertices()[:, :2].numpy()
    mask = np.clip(_distance(points[list(topology.FACE_OVAL)], inside=True) / _BORDER_PX, 0, 1)
    for outline, begin_px, end_px in _KEPT_OFF:
        hull = np.asarray(cv2.convexHull(points[list(outline)].astype(np.float32)), dtype=np.float64)[:, 0]
        away = _distance(hull, inside=False)
        mask = mask * np.clip((away - begin_px) / (end_px - begin_px), 0, 1)
    return (mask + mask[:, ::-1]) / 2


def _distance(outline: Floats, *, inside: bool) -> Floats:
    """Pixels to the outline [N, 2] on its inside or outside, else 0, [160, 128]."""
    filled = cv2.fillPoly(np.zeros((ROWS, COLUMNS), np.uint8), [np.round(outline).astype(np.int32)], 1)
    apart = cv2.distanceTransform(np.asarray(filled if inside else 1 - filled), cv2.DIST_L2, 5)
    return np.asarray(apart, dtype=np.float64)


def _smooth(pictures: Floats, sigma_px: float = _SMOOTH_PX) -> Floats:
    return np.stack(
        [np.asarray(cv2.GaussianBlur(one.astype(np.float32), (0, 0), sigma_px)) for one in pictures]
    )


def clips_of(corpora: Corpora, every: int, *, part: PartName = "train") -> Iterator[UnwrappedClip]:
    """Yields the samples of a part; a fit chooses no checkpoint, so that it uses all who are not held out."""
    for reader in corpora.readers((), part=part):
        for sample in reader:
            if sample.record["frames"] >= _LEAST_FRAMES:
                yield unwrapped(sample, every)


def train(recipe: SkinShadingRecipe) -> None:
    """Fits the shading on training people and writes it.

    Raises:
        InputError: No sample of a person who trains is long enough.
    """
    recipe.data.refuse_mix("every frame counts alike")
    rows = [row for reader in recipe.data.readers(()) for row in reader.rows]
    if not any(row["frames"] >= _LEAST_FRAMES for row in rows):
        raise InputError(no_training_person(recipe.data, f"sample of {_LEAST_FRAMES} frames and more"))
    save_half(fit(clips_of(recipe.data, recipe.every)), recipe.out)
