r"""Recipe: the compact expression space, from tracked faces, a linear face model and photographs.

    auteur train expression-space --shards SHARDS PHOTOS --face-model ict_facekit.npz --out RUN

It is a fit and no training: a minute on one core. Run it again with `--keep` when `au_basis.safetensors`
changes, since the file holds each Action Unit as a vector of the space.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from auteur.expression.space import COMPACT_COEFFICIENTS, CompactExpressionSpace, reconstruction_error_mm
from auteur.face.action_units import action_units, average_neutral
from auteur.face.pose import canonical_face
from auteur.facs import ACTION_UNITS, CONTROLS
from auteur.lab.data.expression_tracks import FaceMotion, Photographs, read_motions, read_photographs
from auteur.lab.data.ict_faces import FaceModel, load_ict
from auteur.lab.data.motion_tracks import RATE
from auteur.lab.data.motion_windows import mirrored
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import is_held_out
from auteur.lab.train.model_recipe import save_half
from auteur.motion.au_basis import AUBasis
from auteur.motion.mouth import lip_gap
from auteur.signals import topology
from auteur.weights import load_file, load_shipped

Floats = NDArray[np.floating]

MODEL_SHARE = 0.15
"""Share of the face model's shapes in the variance: they include expressions that no clip shows."""
_LIPS = (*topology.OUTER_LIPS, *topology.INNER_LIPS)
_LIP_WEIGHT, _CONTOUR_WEIGHT = 3.0, 2.0
_LEAST_DEVIATION_MM = 0.02
_LIDS_AND_GAZE = (43, 45, 61, 62, 63, 64)
_RIDGE = 0.05
_UNITS_RIDGE = 0.02
_CENSORED_ROUNDS = 12
_SHOWN = 0.02
_SKIPPED_SHAPES = ("eyeBlink", "eyeLook")
ICT_IBUG68 = (
    *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147),
    *(4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081),
    *(0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)
"""ICT-FaceKit's vertex of each of the 68 iBUG points (its `idx_to_landmark_verts`, MIT)."""


@dataclass(frozen=True)
class ExpressionSpaceRecipe:
    """Paths of the data."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    face_model: Path
    """ICT-FaceKit's npz."""
    out: Path
    au_basis: Path | None = None
    """The Action Unit basis; the shipped one unless given."""
    keep: Path | None = None
    """A space to keep except for its vectors of the Action Units: generators trained in it stay valid."""


@dataclass(frozen=True)
class SpaceReport:
    """Reconstruction error of the validation people and their root mean square displacement, in mm."""

    clips_error_mm: float
    clips_motion_mm: float
    lips_error_mm: float
    lips_motion_mm: float
    pca_share: float
    """Part of the training variance that the basis keeps."""


def model_shapes(model: FaceModel) -> Floats:
    """Returns a face model's expression shapes at the 478 vertices, [E, 478, 3] mm, irises zero.

    The canonical head is laid over the model by an affine map fitted on the 68 iBUG points of both; each
    vertex takes the shapes of the nearest skin. Lips lie on each other there, so their vertices take the
    shapes of the iBUG points along the contour instead.
    """
    turn = np.array([10.0, -10.0, -10.0])
    skin = np.flatnonzero(model.is_part("skin"))
    points = model.neutral * turn
    ibug, ours = np.array(ICT_IBUG68), canonical_face()
    known = [i for i, vertex in enumerate(topology.IBUG68) if vertex < len(ours)]
    rows = np.c_[ours[[topology.IBUG68[i] for i in known]], np.ones(len(known))]
    affine, *_ = np.linalg.lstsq(rows, points[ibug[known]], rcond=None)
    laid = np.c_[ours, np.ones(len(ours))] @ affine
    distance = np.square(laid[:, None] - points[skin][None]).sum(axis=2)
    source = skin[distance.argmin(axis=1)]
    for i in known:
        source[topology.IBUG68[i]] = ibug[i]
    kept = [i for i, name in enumerate(model.expression_names) if not name.startswith(_SKIPPED_SHAPES)]
    shapes = np.zeros((len(kept), topology.MEDIAPIPE_COUNT, 3))
    shapes[:, : len(ours)] = model.expression_deltas[kept][:, source] * turn
    for contour in (topology.OUTER_LIPS, topology.INNER_LIPS):
        _fill_between(shapes, contour, {topology.IBUG68[i] for i in known})
    return shapes


def _fill_between(shapes: Floats, contour: tuple[int, ...], known: set[int]) -> None:
    """Puts means of the two nearest known points of a closed contour at its other points, in place."""
    size = len(contour)
    for i, vertex in enumerate(contour):
        if vertex in known:
            continue
        before = next(k for k in range(1, size) if contour[(i - k) % size] in known)
        after = next(k for k in range(1, size) if contour[(i + k) % size] in known)
        low, high = shapes[:, contour[(i - before) % size]], shapes[:, contour[(i + after) % size]]
        shapes[:, vertex] = (low * after + high * before) / (before + after)


def point_weights() -> Floats:
    """Returns the weight of every vertex in the fit, [478]."""
    weights = np.ones(topology.MEDIAPIPE_COUNT)
    weights[list(topology.C162)] = _CONTOUR_WEIGHT
    weights[list(_LIPS)] = _LIP_WEIGHT
    weights[[*topology.RIGHT_IRIS, *topology.LEFT_IRIS]] = 0
    return weights


def offsets(motion: FaceMotion) -> Floats:
    """Returns displacement [T, 478, 3] from the person's neutral, or else from the clip's rest."""
    if motion.neutral_mm is None:
        return motion.displacement_mm
    return motion.displacement_mm + (motion.rest_mm - motion.neutral_mm)


def fit(motions: list[FaceMotion], shapes: Floats, opening: Floats) -> tuple[CompactExpressionSpace, float]:
    """Returns the space of clips and shapes, without the parts from photographs; its share of variance."""
    rows = np.concatenate([offsets(motion)[::2] for motion in motions]).astype(np.float64)
    rows = np.concatenate([rows, mirrored(rows)])
    gap_mm = float(np.sqrt(np.mean(lip_gap(rows) ** 2)))
    weights = np.repeat(point_weights(), 3)
    clips, model = (_weighted_rows(part, opening, weights) for part in (rows, shapes))
    covariance, extra = (part.T @ part / len(part) for part in (clips, model))
    covariance = covariance + extra * (MODEL_SHARE * np.trace(covariance) / np.trace(extra))
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][: COMPACT_COEFFICIENTS - 1]
    deviation = np.sqrt(values[order])
    space = CompactExpressionSpace()
    safe = np.where(weights > 0, weights, np.inf)
    basis = (vectors[:, order] / safe[:, None] * deviation).T
    inverse = vectors[:, order] * weights[:, None] / np.maximum(deviation, _LEAST_DEVIATION_MM)
    space.basis.copy_(torch.from_numpy(basis.reshape(len(order), -1, 3)))
    space.inverse.copy_(torch.from_numpy(inverse))
    space.opening.copy_(torch.from_numpy(opening))
    space.gap_mm.fill_(gap_mm)
    return space, float(values[order].sum() / values.sum())


def _weighted_rows(displacement: Floats, opening: Floats, weights: Floats) -> Floats:
    shut = displacement - lip_gap(displacement)[:, None, None] * opening
    return shut.reshape(len(shut), -1) * weights


def expression_share(space: CompactExpressionSpace, motions: list[FaceMotion], faces_mm: Floats) -> Floats:
    """Returns the Wiener filter [50, 50]: S (S + N)^-1 of expressions S and neutral faces N."""
    moved = np.concatenate([space.encode(offsets(motion)[::5]) for motion in motions]).astype(np.float64)
    people = space.encode(faces_mm - space.average.numpy()).astype(np.float64)
    signal, noise = moved.T @ moved / len(moved), people.T @ people / len(people)
    ridge = _RIDGE * np.diag(np.diag(noise))
    return signal @ np.linalg.inv(signal + noise + ridge)


def control_codes(space: CompactExpressionSpace, basis: AUBasis) -> Floats:
    """Returns the vector of every "facs" control at intensity 1, [C, 50]."""
    codes = np.zeros((len(CONTROLS), COMPACT_COEFFICIENTS))
    for unit in ACTION_UNITS.values():
        if unit.number in _LIDS_AND_GAZE:
            continue
        for control in unit.controls:
            codes[CONTROLS.index(control)] = space.encode(basis.control_displacement(control)[None])[0]
    return codes


def measured_units(space: CompactExpressionSpace, motions: list[FaceMotion], photos: Photographs) -> Floats:
    """Returns the linear map [C, 50] from vectors to the intensities that the tracker measures.

    Least squares with a ridge. An intensity of 0 is only an upper bound, so predictions below 0
    are no errors there: such rows aim at min(prediction, 0), a few times over. Clips are measured from their
    own rest, photographs from the mean neutral face.
    """
    seen = action_units(photos.faces_mm, photos.blendshapes, rate=RATE, neutral=average_neutral())
    units = np.concatenate([*(m.units[::3] for m in motions), seen.values]).astype(np.float64)
    moved = [space.encode(m.displacement_mm[::3]) for m in motions]
    vectors = np.concatenate([*moved, space.encode(photos.faces_mm - space.average.numpy())]).astype(
        np.float64
    )
    gram = vectors.T @ vectors + _UNITS_RIDGE * len(vectors) * np.eye(vectors.shape[1])
    wanted = units
    slopes = np.zeros((vectors.shape[1], len(CONTROLS)))
    for _ in range(_CENSORED_ROUNDS):
        slopes = np.linalg.solve(gram, vectors.T @ wanted)
        wanted = np.where(units > _SHOWN, units, np.minimum(vectors @ slopes, 0))
    for unit in ACTION_UNITS.values():
        if unit.number in _LIDS_AND_GAZE:
            slopes[:, [CONTROLS.index(control) for control in unit.controls]] = 0
    return slopes.T


def report(space: CompactExpressionSpace, motions: list[FaceMotion], pca_share: float) -> SpaceReport:
    """Returns the reconstruction error of the clips of these people."""
    lips = list(_LIPS)
    errors: list[list[float]] = []
    for motion in motions:
        moved = offsets(motion)[::2].astype(np.float64)
        moved[:, [*topology.RIGHT_IRIS, *topology.LEFT_IRIS]] = 0
        again = space.decode(space.encode(moved))
        sizes = (np.linalg.norm(a, axis=2) for a in (again - moved, moved))
        error, size = (np.sqrt(np.square(s)) for s in sizes)
        errors.append(
            [
                reconstruction_error_mm(space, moved).mean(),
                size.mean(),
                error[:, lips].mean(),
                size[:, lips].mean(),
            ]
        )
    return SpaceReport(*np.mean(errors, axis=0).round(4).tolist(), pca_share=round(pca_share, 4))


def train(recipe: ExpressionSpaceRecipe) -> SpaceReport:
    """Fits the space on training people, writes it, and returns its errors on the validation people."""
    recipe.data.refuse_mix("a fit counts every clip")
    motions = read_motions(recipe.data)
    training = [m for m in motions if m.part == "train"]
    stored = recipe.au_basis
    basis = load_shipped(AUBasis(), "au_basis") if stored is None else load_file(AUBasis(), stored)
    space, pca_share = fit(training, model_shapes(load_ict(recipe.face_model)), basis.opening.numpy())
    if recipe.keep is not None:
        space = CompactExpressionSpace.from_file(recipe.keep)
        space.controls.copy_(torch.from_numpy(control_codes(space, basis)))
        save_half(space, recipe.out)
        return report(load_file(space, recipe.out), [m for m in motions if m.part == "validation"], pca_share)
    photos = read_photographs(recipe.data)
    pairs = zip(photos.emotions, photos.people, strict=True)
    calm = photos.chosen(e == "neutral" and not is_held_out(person) for e, person in pairs)
    space.average.copy_(torch.from_numpy(calm.faces_mm.mean(axis=0)))
    space.share.copy_(torch.from_numpy(expression_share(space, training, calm.faces_mm)))
    space.controls.copy_(torch.from_numpy(control_codes(space, basis)))
    teaching = photos.chosen(not is_held_out(person) for person in photos.people)
    space.measured.copy_(torch.from_numpy(measured_units(space, training, teaching)))
    save_half(space, recipe.out)
    return report(load_file(space, recipe.out), [m for m in motions if m.part == "validation"], pca_share)
