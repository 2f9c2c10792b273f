"""Action Units: each reads the movement that defines it, on its own side, and a face at rest shows none."""

from fractions import Fraction

import numpy as np
import pytest
from face_samples import canonical478, posed
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.face.action_units import Neutral, action_units, average_neutral, neutral_of
from auteur.face.pose import MIRROR
from auteur.facs import MEDIAPIPE_BLENDSHAPES, mirror, mirrored_name
from auteur.signals import AUTrack

REST = posed(canonical478(), scale=2.0)
NO_SHAPES = np.zeros((1, 52))
NEUTRAL = neutral_of(REST[None], NO_SHAPES)
BLENDSHAPE_MIRROR = [MEDIAPIPE_BLENDSHAPES.index(mirrored_name(n, "arkit52")) for n in MEDIAPIPE_BLENDSHAPES]

MOVEMENTS = {
    "AU1": {(107, 55): (0, -8, 0)},
    "AU2": {(70, 105): (0, -8, 0)},
    "AU4": {(107, 55): (0, 6, 0)},
    "AU5": {(159,): (0, -2, 0), (145,): (0, 2, 0)},
    "AU6": {(50, 101): (0, -5, 0)},
    "AU7": {(145,): (0, -4, 0)},
    "AU9": {(129, 98): (0, -3, 0)},
    "AU10": {(37,): (0, -6, 0)},
    "AU12": {(61,): (-6, -6, 0)},
    "AU14": {(61,): (0, 0, 8)},
    "AU15": {(61,): (0, 5, 0)},
    "AU20": {(61,): (-8, 0, 0)},
    "AU45": {(159,): (0, 8, 0), (145,): (0, -1, 0)},
}
"""Millimetres that vertices of the right side move (x to the picture's right, y down, z away)."""

CENTRAL_MOVEMENTS = {
    "AU23": {(0,): (0, 4, 0), (17,): (0, -3, 0)},
    "AU25": {(14, 17): (0, 8, 0)},
    "AU26": {(152, 17): (0, 12, 0)},
}

SHAPES = {
    "browDownRight": "AU4R",
    "browOuterUpLeft": "AU2L",
    "eyeWideLeft": "AU5L",
    "eyeSquintRight": "AU7R",
    "eyeBlinkLeft": "AU45L",
    "mouthUpperUpLeft": "AU10L",
    "mouthSmileRight": "AU12R",
    "mouthDimpleLeft": "AU14L",
    "mouthFrownLeft": "AU15L",
    "mouthStretchRight": "AU20R",
    "mouthShrugLower": "AU17",
    "mouthPressLeft": "AU23",
    "jawOpen": "AU26",
    "mouthPucker": "AU18",
    "mouthFunnel": "AU22",
}


def moved(movement: dict, *, is_left: bool = False) -> np.ndarray:
    face = canonical478()
    for vertices, (x, y, z) in movement.items():
        for vertex in vertices:
            face[MIRROR[vertex] if is_left else vertex] += [-x if is_left else x, y, z]
    return posed(face, angles_rad=(0.1, -0.2, 0.15), scale=2.0)[None]


def measured(
    landmarks: np.ndarray, shapes: np.ndarray = NO_SHAPES, neutral: Neutral | None = NEUTRAL
) -> AUTrack:
    return action_units(landmarks, shapes, rate=Fraction(25), neutral=neutral)


def values(track: AUTrack) -> dict[str, float]:
    return dict(zip(track.channels, track.values[0].tolist(), strict=True))


@pytest.mark.parametrize("side", ["R", "L"])
@pytest.mark.parametrize("unit", MOVEMENTS)
def test_a_movement_raises_its_unit_on_its_side_only(unit, side):
    found = values(measured(moved(MOVEMENTS[unit], is_left=side == "L")))
    other = {"R": "L", "L": "R"}[side]
    assert found[unit + side] > 0.25
    assert found[unit + side] == max(found.values())
    assert found[unit + other] < 0.02


@pytest.mark.parametrize("unit", CENTRAL_MOVEMENTS)
def test_a_central_movement_raises_its_unit(unit):
    found = values(measured(moved(CENTRAL_MOVEMENTS[unit])))
    assert found[unit] > 0.25
    assert found[unit] == max(found.values())


@pytest.mark.parametrize(("shape", "control"), SHAPES.items())
def test_a_blendshape_raises_its_unit(shape, control):
    shapes = NO_SHAPES.copy()
    shapes[0, MEDIAPIPE_BLENDSHAPES.index(shape)] = 0.8
    found = values(measured(REST[None], shapes))
    assert found[control] > 0.25
    if control[-1] in "LR":
        assert found[control[:-1] + {"L": "R", "R": "L"}[control[-1]]] < 0.02


def test_a_smile_that_lifts_the_nose_is_no_wrinkled_nose():
    shapes = NO_SHAPES.copy()
    shapes[0, [MEDIAPIPE_BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]] = 0.8
    lifted = moved({(129, 98): (0, -2, 0)})
    assert values(measured(lifted))["AU9R"] > 0.25
    assert values(measured(lifted, shapes))["AU9R"] < 0.02


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_face_at_its_own_rest_shows_nothing(seed):
    random = np.random.default_rng(seed)
    face = posed(canonical478() + random.normal(0, 1.5, (478, 3)), angles_rad=(0.2, 0.1, -0.3), scale=3.0)
    shapes = random.uniform(0, 1, (1, 52))
    track = measured(face[None], shapes, neutral_of(face[None], shapes))
    assert np.abs(track.values).max() < 1e-6


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_values_stay_in_range_and_mirror_with_the_face(seed):
    random = np.random.default_rng(seed)
    faces = np.stack([posed(canonical478() + random.normal(0, 4, (478, 3)), scale=2.0) for _ in range(3)])
    shapes = random.uniform(0, 1, (3, 52))
    track = measured(faces, shapes, None)
    assert track.convention == "facs"
    assert track.values.shape == (3, len(track.channels))
    assert track.values.min() >= 0
    assert track.values.max() <= 1
    turned = measured(faces[:, MIRROR] * [-1, 1, 1] + [900, 0, 0], shapes[:, BLENDSHAPE_MIRROR], None)
    assert (
        np.abs(turned.values - mirror(track).values).max() < 0.05
    )  # the canonical head is not quite symmetric


def test_frames_do_not_influence_each_other():
    faces = np.concatenate([moved(MOVEMENTS["AU1"]), moved(MOVEMENTS["AU12"])])
    together = measured(faces, np.zeros((2, 52)))
    assert np.allclose(together.values[1], measured(faces[1:]).values[0], atol=1e-6)


def test_own_neutral_is_the_median_of_the_frames_at_rest():
    frames = np.stack([REST, REST, moved(MOVEMENTS["AU1"])[0]])
    assert np.allclose(neutral_of(frames, np.zeros((3, 52))).measures_mm, NEUTRAL.measures_mm, atol=1e-6)


def test_the_average_neutral_resembles_the_canonical_head():
    difference = np.abs(average_neutral().measures_mm - NEUTRAL.measures_mm)
    assert difference.max() < 12  # millimetres
