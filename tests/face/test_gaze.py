"""Gaze: irises off the middle of the eye turn it, and the head turns both."""

import numpy as np
import pytest
from face_samples import canonical478, posed

from auteur.face.gaze import EYEBALL_RADIUS_MM, gaze_angles_rad, gaze_directions
from auteur.face.pose import rotation_of


def looking(dx_mm: float = 0.0, dy_mm: float = 0.0) -> np.ndarray:
    face = canonical478()
    face[468:, :2] += [dx_mm, dy_mm]
    return face


def test_straight_ahead():
    directions = gaze_directions(posed(looking())[None])
    assert directions.shape == (1, 2, 3)
    assert np.allclose(directions, [0, 0, -1], atol=1e-6)
    assert np.allclose(gaze_angles_rad(directions), 0, atol=1e-6)


@pytest.mark.parametrize(("dx_mm", "dy_mm"), [(4, 0), (-4, 0), (0, 3), (0, -3), (3, 2)])
def test_irises_turn_the_gaze(dx_mm, dy_mm):
    directions = gaze_directions(posed(looking(dx_mm, dy_mm))[None])
    assert np.allclose(np.linalg.norm(directions, axis=-1), 1)
    assert np.allclose(directions[0, :, :2] * EYEBALL_RADIUS_MM, [dx_mm, dy_mm], atol=1e-3)
    x_rad, y_rad = gaze_angles_rad(directions)[0]
    assert np.sign(round(x_rad, 6)) == np.sign(dx_mm)
    assert np.sign(round(y_rad, 6)) == np.sign(dy_mm)


@pytest.mark.parametrize("angles_rad", [(0.3, 0, 0), (0, 0.4, 0), (0, 0, 0.5), (0.2, -0.3, 0.1)])
def test_the_head_turns_the_gaze(angles_rad):
    directions = gaze_directions(posed(looking(), angles_rad=angles_rad, scale=3)[None])
    assert np.allclose(directions[0], rotation_of(np.array(angles_rad)) @ [0, 0, -1], atol=1e-6)


def test_each_eye_has_its_own_direction():
    face = looking()
    face[473:, 0] += 4  # the left eye alone
    right, left = gaze_directions(posed(face)[None])[0]
    assert np.allclose(right, [0, 0, -1], atol=1e-6)
    assert left[0] > 0.3


def test_impossible_irises_stay_unit_vectors():
    directions = gaze_directions(posed(looking(60, 60))[None])
    assert np.allclose(np.linalg.norm(directions, axis=-1), 1)
    assert (directions[..., 2] < 0).all()
