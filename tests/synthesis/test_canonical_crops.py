"""Squares that are fixed to the skull."""

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.face import crops
from auteur.face.pose import HeadPose, canonical_face, rotation_of, with_pose
from auteur.synthesis.canonical_crops import CANONICAL_CROPS, crop_frames


def posed(angles=(0.0, 0.0, 0.0), scale=2.0, shift=(300.0, 200.0, 0.0)) -> np.ndarray:
    """Landmarks [1, 478, 3] px of the canonical head, irises at the corners of the eyes."""
    face = np.concatenate([canonical_face(), np.repeat(canonical_face()[[33, 263]], 5, axis=0)])
    return with_pose(face, HeadPose(rotation_of(np.array(angles)), np.array(scale), np.array(shift)))[None]


@pytest.mark.parametrize("view", CANONICAL_CROPS)
def test_an_open_jaw_does_not_move_the_square(view):
    still = posed()
    opened = still.copy()
    opened[0, [13, 14, 17, 152, 175, 199, 200]] += [0.0, 40.0, 0.0]
    assert crop_frames(opened, view) == crop_frames(still, view)


@pytest.mark.parametrize("view", CANONICAL_CROPS)
def test_the_square_follows_the_head(view):
    still = crop_frames(posed(), view)[0]
    moved = crop_frames(posed(angles=(0.0, 0.0, 0.3), scale=3.0, shift=(330.0, 210.0, 0.0)), view)[0]
    assert moved.side_px == pytest.approx(1.5 * still.side_px)
    assert abs(moved.roll_rad) == pytest.approx(0.3)
    inside = [
        crops.apply(frame.matrix(128), points[0, list(CANONICAL_CROPS[view].around), :2])
        for points, frame in ((posed(), still), (posed((0.0, 0.0, 0.3), 3.0, (330.0, 210.0, 0.0)), moved))
    ]
    assert np.allclose(*inside, atol=0.1)


def test_the_mouth_shows_lips_and_chin_and_the_eyes_both_brows():
    points = posed()[0, :, :2]
    for view, wanted in (("mouth", (61, 291, 0, 17, 152, 1)), ("eyes", (33, 263, 105, 334, 1))):
        seen = crops.apply(crop_frames(posed(), view)[0].matrix(128), points[list(wanted)])
        assert (seen > 0).all() and (seen < 127).all(), view


def test_unknown_view():
    with pytest.raises(UsageError, match="no view 'nose'; choose one of mouth, eyes"):
        crop_frames(posed(), "nose")
