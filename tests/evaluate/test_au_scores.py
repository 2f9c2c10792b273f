import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.evaluate.au_scores import au_scores, emotion_accuracy


def test_known_frame():
    truth = np.array([[0.5, 0.4, 0.0, 0.0]])
    written = np.array([[0.3, 0.0, 0.2, 0.0]])
    found = au_scores([truth], [written])
    assert found.recall == pytest.approx(0.5)
    assert found.precision == pytest.approx(0.5)
    assert found.iou == pytest.approx(1 / 3)
    assert found.f1 == pytest.approx(0.5)
    assert found.active_error == pytest.approx((0.2 + 0.4) / 2)
    assert found.error == pytest.approx((0.2 + 0.4 + 0.2) / 4)


def test_a_perfect_answer():
    truth = np.random.default_rng(0).random((20, 24)) * (np.random.default_rng(1).random((20, 24)) > 0.7)
    found = au_scores([truth[:5], truth[5:]], [truth[:5], truth[5:]])
    assert (found.recall, found.precision, found.iou, found.f1) == (1, 1, 1, 1)
    assert found.active_error == found.error == 0
    assert found.frames == 20


def test_empty_frames():
    nothing, something = np.zeros((1, 3)), np.array([[0.2, 0, 0]])
    assert au_scores([nothing], [nothing]).f1 == 1
    assert au_scores([nothing], [something]).precision == 0
    assert au_scores([something], [nothing]).recall == 0
    assert au_scores([something], [nothing]).active_error == pytest.approx(0.2)


def test_the_threshold_decides_which_units_are_active():
    found = au_scores([np.array([[0.05, 0.5]])], [np.array([[0.0, 0.5]])], threshold=0.1)
    assert found.f1 == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="shapes"):
        au_scores([np.zeros((2, 3))], [np.zeros((3, 3))])
    with pytest.raises(UsageError, match="0 recordings"):
        au_scores([], [])
    with pytest.raises(UsageError, match="1 labels for 2 answers"):
        emotion_accuracy(["sad"], ["sad", "sad"])


def test_emotion_accuracy():
    assert emotion_accuracy(["sad", "angry"], ["sad", "happy"]) == 0.5
