"""The compact space that ships: what it gives back, what is not in it, and its conversions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.expression.space import COMPACT_COEFFICIENTS, CompactExpressionSpace, ExpressionSpace
from auteur.face.pose import canonical_face
from auteur.facs import CONTROLS, au_track, prototype
from auteur.signals import ExpressionTrack, LandmarkTrack
from auteur.weights import shipped

pytestmark = pytest.mark.skipif("expression_space" not in shipped(), reason="no expression space ships yet")


@pytest.fixture(scope="module")
def space() -> CompactExpressionSpace:
    return CompactExpressionSpace.shipped()


def track(space: CompactExpressionSpace, values: np.ndarray) -> ExpressionTrack:
    return ExpressionTrack(values=values, rate=25, convention=space.name)


def test_it_is_an_expression_space(space: CompactExpressionSpace):
    assert isinstance(space, ExpressionSpace)
    assert (space.name, space.coefficients, space.vertices) == ("compact50", 50, 478)


def test_vectors_survive_the_mesh(space: CompactExpressionSpace):
    vectors = np.random.default_rng(0).normal(size=(5, COMPACT_COEFFICIENTS)).astype(np.float32)
    weights = space.weights_mm()
    error = (space.encode(space.decode(vectors)) - vectors) * weights
    assert np.abs(error).max() < 0.05  # millimetres; the file holds half precision


def test_nothing_is_nothing(space: CompactExpressionSpace):
    assert not space.decode(np.zeros((2, 50))).any()
    assert not space.encode(np.zeros((2, 478, 3))).any()
    assert not space.action_unit_values(np.zeros((2, 50))).any()


@pytest.mark.slow
@given(st.floats(0, 1.2))
def test_decoding_is_linear(amount: float):
    space = CompactExpressionSpace.shipped()
    vector = np.random.default_rng(1).normal(size=(1, 50))
    np.testing.assert_allclose(space.decode(amount * vector), amount * space.decode(vector), atol=1e-4)


def test_the_lip_gap_is_number_0_and_nothing_else(space: CompactExpressionSpace):
    vectors = np.random.default_rng(2).normal(size=(4, 50))
    vectors[:, 0] = 0
    moved = space.decode(vectors)
    gap = moved[:, 14, 1] - moved[:, 13, 1]
    assert np.abs(gap).max() < 0.02
    opened = np.zeros((1, 50))
    opened[0, 0] = 2
    moved = space.decode(opened)
    assert moved[0, 14, 1] - moved[0, 13, 1] == pytest.approx(2 * float(space.gap_mm), rel=1e-2)


def test_irises_do_not_count(space: CompactExpressionSpace):
    moved = np.zeros((1, 478, 3))
    moved[:, 468:] = 5
    assert not space.encode(moved).any()


def test_a_smile_becomes_a_vector_and_a_smile_again(space: CompactExpressionSpace):
    intensities = prototype("happy", convention="facs")
    units = au_track(np.array([[intensities[name] for name in CONTROLS]]), convention="facs", rate=25)
    vectors = units.values @ space.controls.numpy()
    back = space.action_units(ExpressionTrack(values=vectors, rate=25, convention=space.name))
    smile = [back.channel(f"AU12{side}")[0] for side in "LR"]
    assert min(smile) > 0.15
    frown = [back.channel(f"AU{n}{side}")[0] for n in (4, 15) for side in "LR"]
    assert max(frown) < min(smile)


def test_action_units_are_homogeneous_and_leave_lids_and_gaze_alone(space: CompactExpressionSpace):
    vectors = np.random.default_rng(3).normal(size=(3, 50)).astype(np.float32)
    once, twice = (space.action_unit_values(k * vectors) for k in (1, 2))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5, atol=1e-6)
    lids = [CONTROLS.index(f"AU{n}{side}") for n in (43, 45, 61, 62, 63, 64) for side in "LR"]
    assert not once[:, lids].any()


def test_footage_with_holes_keeps_them(space: CompactExpressionSpace):
    face = np.zeros((478, 3), np.float32)
    face[:468] = canonical_face()
    values = np.stack([face, np.full_like(face, np.nan), face])
    footage = LandmarkTrack(values=values, rate=25, convention="mediapipe478", image_size_px=(100, 100))
    found = space.encode_landmarks(footage, neutral=face)
    assert np.abs(found.values[[0, 2]]).max() < 1e-3
    assert np.isnan(found.values[1]).all()
    assert np.isnan(space.action_units(found).values[1]).all()


def test_what_does_not_fit_is_refused(space: CompactExpressionSpace):
    with pytest.raises(UsageError, match="478"):
        space.encode(np.zeros((1, 468, 3)))
    with pytest.raises(UsageError, match="50"):
        space.decode(np.zeros((1, 49)))
    with pytest.raises(UsageError, match="flame50"):
        space.action_units(ExpressionTrack(values=np.zeros((1, 50)), rate=25, convention="flame50"))
    flat = LandmarkTrack(
        values=np.zeros((1, 478, 2)), rate=25, convention="mediapipe478", image_size_px=(9, 9)
    )
    with pytest.raises(UsageError, match="depth"):
        space.encode_landmarks(flat)
