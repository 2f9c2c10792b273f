"""Measures of a tracker: closed forms, and agreement with NumPy."""

import numpy as np
import pytest

from auteur.face.crops import LEFT_EYE_OUTER, RIGHT_EYE_OUTER

pytest.importorskip("cv2", reason="reading labelled crops needs OpenCV (the train extra)")

from auteur.lab.train.tracking_errors import TrackingErrors, channel_correlations, landmark_error

ASIDE, DEEPER = np.array([1, 0, 0]), np.array([0, 0, 50])


def face(width: float = 100.0) -> np.ndarray:
    points = np.random.default_rng(0).uniform(0, 200, (478, 3))
    points[RIGHT_EYE_OUTER], points[LEFT_EYE_OUTER] = (50, 80, 0), (50 + width, 80, 9)
    return points


@pytest.mark.parametrize(("shift", "percent"), [((0, 0), 0), ((3, 4), 5), ((0, -2), 2), ((-8, 6), 10)])
def test_a_shifted_face_is_off_by_the_shift(shift, percent):
    moved = face()
    moved[:, :2] += shift
    assert landmark_error(moved, face()) == pytest.approx(percent)


def test_depth_does_not_count_and_size_does():
    assert landmark_error(face() + DEEPER, face()) == 0
    assert landmark_error(face(50) + ASIDE, face(50)) == pytest.approx(2)


def test_many_frames_at_once():
    reference = np.stack([face(), face(50)])
    assert landmark_error(reference + ASIDE, reference) == pytest.approx([1, 2])


def test_half_the_points_off_is_half_the_error():
    moved = face()
    moved[:239, 0] += 4
    assert landmark_error(moved, face()) == pytest.approx(2)


def test_correlations_are_those_of_numpy():
    random = np.random.default_rng(1)
    reference = random.uniform(0, 1, (40, 5))
    predicted = 0.5 * reference + random.normal(0, 0.2, (40, 5))
    wanted = [np.corrcoef(predicted[:, i], reference[:, i])[0, 1] for i in range(5)]
    assert channel_correlations(predicted, reference) == pytest.approx(wanted)
    assert channel_correlations(-reference, reference) == pytest.approx([-1] * 5)


def test_still_channels_have_no_correlation_and_still_predictions_none_to_show():
    reference = np.stack([np.linspace(0, 1, 20), np.full(20, 0.3)], axis=1)
    found = channel_correlations(np.full((20, 2), 0.5), reference)
    assert found[0] == 0
    assert np.isnan(found[1])


def test_better_trackers_score_lower():
    names = dict.fromkeys(("jawOpen",), 0.9)
    good, bad = TrackingErrors(2, 3, 0.04, 0.9, 0.8, names), TrackingErrors(3, 4, 0.06, 0.8, 0.7, names)
    assert good.score < bad.score
