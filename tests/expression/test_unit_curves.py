"""Keyframes of controls and of the head: the same cubic as emotions, refusals, sides, tracks underneath."""

from fractions import Fraction

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.expression.curve import parse_curve
from auteur.expression.unit_curves import (
    curve_at,
    head_curves_track,
    keyframes_of,
    unit_curves_track,
)
from auteur.facs import CONTROLS, au_track

KEYS = ((0.0, 0.0), (1.0, 0.8), (2.0, 0.8), (3.0, 0.1))


def test_it_is_the_cubic_of_emotions():
    times = np.linspace(-1, 4, 301)
    emotions = parse_curve("0s neutral, 1s happy:0.8, 2s happy:0.8, 3s happy:0.1")
    drawn = curve_at(KEYS, times)
    assert np.abs(drawn - emotions.at(times)[:, 0]).max() < 1e-12
    assert drawn[0] == 0 and drawn[-1] == pytest.approx(0.1)
    assert (drawn <= 0.8).all() and np.ptp(drawn[(times > 1) & (times < 2)]) == 0


def test_sides_win_over_both_and_what_has_no_curve_is_idle():
    track = unit_curves_track({"AU12L": ((0, 0.2),), "smile": KEYS}, rate=Fraction(25), duration_sec=4)
    assert track.frames == 101 and track.convention == "facs"
    assert (track.channel("AU12L") == np.float32(0.2)).all()
    assert track.channel("AU12R").max() == pytest.approx(0.8)
    assert np.isnan(track.channel("AU4L")).all()


def test_a_curve_wins_over_the_track_underneath():
    under = au_track(np.full((10, len(CONTROLS)), 0.5), convention="facs", rate=10)
    track = unit_curves_track({"AU4": ((0, 1.0),)}, rate=Fraction(25), duration_sec=0, under=under)
    assert track.rate == 10 and (track.channel("AU4L") == 1).all() and (track.channel("AU12L") == 0.5).all()


def test_head_curves_are_degrees():
    track = head_curves_track({"yaw": ((0, 0), (1, 12)), "pitch": ((0, -3),)}, rate=Fraction(25))
    assert np.degrees(track.channel("yaw")[-1]) == pytest.approx(12)
    assert np.degrees(track.channel("pitch")) == pytest.approx(-3)
    assert not track.channel("roll").any() and not track.channel("x").any()


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ([], "1 to 20000 keyframes"),
        ("0 0", "keyframes"),
        ([[0, 0], [0, 1]], "times must rise"),
        ([[1, 0], [0.5, 1]], "times must rise"),
        ([[0, 1.1]], "between 0 and 1"),
        ([[-1, 0]], "times go from 0"),
        ([[4000, 0]], "times go from 0"),
        ([[0, float("nan")]], "keyframes are"),
        ([[0, True]], "keyframes are"),
        ([[0, 0, 0]], "keyframes are"),
        ([0, 1], "keyframes are"),
        ([[0, 0]] * 20_001, "1 to 20000"),
    ],
)
def test_what_is_no_curve(values, cause):
    with pytest.raises(UsageError, match=cause):
        keyframes_of("AU12", values, low=0, high=1)
