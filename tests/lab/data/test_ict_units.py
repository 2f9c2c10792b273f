"""Shapes of a face model carried to our mesh, on a model whose head is the canonical face itself."""

import numpy as np
import pytest

from auteur.face.pose import MIRROR, canonical_face
from auteur.lab.data.ict_faces import FaceModel
from auteur.lab.data.ict_units import TO_PICTURE_MM, Correspondence
from auteur.signals.topology import IBUG68, INNER_LIPS


def model_of(deltas_mm: dict[str, np.ndarray]) -> FaceModel:
    mesh = canonical_face()
    front = mesh - [0, 0, mesh[:, 2].max() + 10]  # all of it before the middle of the head
    return FaceModel(
        neutral=front / TO_PICTURE_MM,
        expression_names=tuple(deltas_mm),
        expression_deltas=np.stack(list(deltas_mm.values())) / TO_PICTURE_MM,
        part=np.zeros(len(mesh), np.uint8),
    )


def smooth_smile(side: int) -> np.ndarray:
    """The corner of the mouth and what is near it go up and out by up to 8 mm."""
    mesh = canonical_face()
    near = np.exp(-np.square(np.linalg.norm(mesh - mesh[61 if side < 0 else 291], axis=1) / 12))
    return near[:, None] * np.array([side * 5.0, -6.0, 2.0])


def test_a_shape_arrives_where_it_moves_the_model():
    found = Correspondence(model_of({"smile_R": smooth_smile(-1), "smile_L": smooth_smile(1)}), list(IBUG68))
    moved = found.movement({"smile": 0.5})
    wanted = 0.5 * (smooth_smile(-1) + smooth_smile(1))
    assert found.to_canonical == pytest.approx(1, abs=0.01)
    assert np.abs(moved[:468] - wanted).max() < 0.8
    assert not moved[468:].any()
    assert np.allclose(moved[MIRROR] * [-1, 1, 1], moved)
    one_side = found.movement({"smile_L": 1.0})
    assert np.abs(one_side[291] - one_side[61] * [-1, 1, 1]).max() < 1e-9, "made alike on both sides"


def test_one_lip_does_not_take_the_movement_of_the_other():
    upper, lower = list(INNER_LIPS[1:10]), list(INNER_LIPS[11:])
    mesh = canonical_face()
    is_lower = (mesh[:, 1] > mesh[[13, 14], 1].mean())[:, None]
    found = Correspondence(model_of({"lowerDown": is_lower * np.array([0.0, 6.0, 0.0])}), list(IBUG68))
    moved = found.movement({"lowerDown": 1.0})
    assert moved[13, 1] < 0.1 * moved[14, 1]
    assert moved[lower, 1].mean() > 5 * abs(moved[upper, 1].mean())


def test_an_unknown_shape_is_named():
    found = Correspondence(model_of({"smile_L": smooth_smile(1)}), list(IBUG68))
    with pytest.raises(KeyError, match="frown"):
        found.movement({"frown": 1.0})
