"""Head pose: round trips, sign conventions, and the mirror of the mesh."""

import numpy as np
import pytest
from face_samples import canonical478, posed
from hypothesis import given
from hypothesis import strategies as st

from auteur.face.pose import MIRROR, canonical_face, head_pose, rotation_of, with_pose, without_pose

ANGLES = st.tuples(st.floats(-1.0, 1.0), st.floats(-1.2, 1.2), st.floats(-2.0, 2.0))
NOSE_TIP, FOREHEAD = 1, 10


@given(ANGLES, st.floats(0.1, 20), st.tuples(st.floats(-500, 500), st.floats(-500, 500), st.floats(-50, 50)))
def test_pose_is_found_and_undone(angles_rad, scale, shift):
    landmarks = posed(canonical478(), angles_rad=angles_rad, scale=scale, shift=shift)
    pose = head_pose(landmarks)
    assert np.allclose(pose.angles_rad, angles_rad, atol=1e-6)
    assert np.isclose(pose.scale, scale)
    assert np.allclose(without_pose(landmarks, pose), canonical478(), atol=1e-5)
    assert np.allclose(with_pose(without_pose(landmarks), pose), landmarks, atol=1e-5)


@given(ANGLES)
def test_rotation_is_the_inverse_of_angles(angles_rad):
    rotation = rotation_of(np.array(angles_rad))
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(rotation), 1)
    assert np.allclose(
        head_pose(posed(canonical478(), angles_rad=angles_rad)).angles_rad, angles_rad, atol=1e-6
    )


@pytest.mark.parametrize(
    ("angles_rad", "vertex", "axis", "direction"),
    [
        ((0.3, 0, 0), NOSE_TIP, 1, -1),
        ((0, 0.3, 0), NOSE_TIP, 0, 1),
        ((0, 0, 0.3), FOREHEAD, 0, 1),
    ],
    ids=["pitch: nose up", "yaw: to the subject's left, the picture's right", "roll: to the subject's left"],
)
def test_signs(angles_rad, vertex, axis, direction):
    ahead, turned = posed(canonical478()), posed(canonical478(), angles_rad=angles_rad)
    moved = (turned - turned.mean(0))[vertex, axis] - (ahead - ahead.mean(0))[vertex, axis]
    assert moved * direction > 5


def test_many_frames_are_the_frames_one_by_one():
    frames = np.stack([posed(canonical478(), angles_rad=(0.1 * i, 0.2, -0.1 * i)) for i in range(4)])
    together = head_pose(frames)
    for index, frame in enumerate(frames):
        alone = head_pose(frame)
        assert np.allclose(together.rotation[index], alone.rotation)
        assert np.allclose(together.shift[index], alone.shift)
    assert np.allclose(without_pose(frames)[2], canonical478(), atol=1e-6)


def test_expressions_do_not_move_the_head():
    face = canonical478()
    face[[152, 17, 14, 61, 291], 1] += 15  # a dropped jaw
    assert np.allclose(head_pose(posed(face)).angles_rad, 0, atol=1e-9)


def test_mirror_is_an_involution_and_exchanges_sides():
    assert np.array_equal(MIRROR[MIRROR], np.arange(478))
    assert MIRROR[33] == 263
    assert MIRROR[61] == 291
    assert MIRROR[468] == 473
    assert MIRROR[NOSE_TIP] == NOSE_TIP
    turned = canonical478()[MIRROR] * [-1, 1, 1]
    assert np.abs(turned - canonical478()).max() < 0.5


def test_canonical_head_is_in_millimetres_and_faces_the_camera():
    face = canonical_face()
    assert face.shape == (468, 3)
    assert 85 < face[263, 0] - face[33, 0] < 95  # the subject's left eye is on the picture's right
    assert face[152, 1] > face[10, 1]  # the chin is below the forehead
    assert face[NOSE_TIP, 2] < face[[127, 356], 2].min()
