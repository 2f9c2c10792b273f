"""Unmeasured is unknown, never zero: short holes are bridged, longer ones eased."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auteur.signals import AUTrack, LandmarkTrack, measured, unmeasured_frames, without_holes


def track_of(values, rate=25, names=("AU12_r", "AU04_r")):
    values = np.asarray(values, dtype=np.float32)
    values = values[:, None] if values.ndim == 1 else values
    return AUTrack(
        values=values, rate=Fraction(rate), channels=names[: values.shape[1]], convention="openface17"
    )


def holed(spans, frames=100, value=4.0, rate=25):
    values = np.full(frames, value)
    for start, stop in spans:
        values[start:stop] = np.nan
    return track_of(values, rate)


@pytest.mark.parametrize(
    "spans", [[(41, 42)], [(61, 63)], [(41, 42), (61, 63)], [(20, 32)], [(0, 5)], [(95, 100)]]
)
def test_a_short_hole_does_not_move_a_held_smile(spans):
    np.testing.assert_allclose(without_holes(holed(spans)).values, 4.0)


def test_a_short_hole_is_linear_between_its_neighbours():
    values = np.linspace(0, 4, 100)
    known = values.copy()
    known[50:58] = np.nan
    np.testing.assert_allclose(without_holes(track_of(known)).values[:, 0], values, atol=1e-5)


def test_a_long_hole_eases_out_and_in():
    values = without_holes(holed([(20, 80)])).values[:, 0]
    assert values[50] == 0
    assert np.abs(np.diff(values)).max() < 0.6  # a drop in one frame would be 4
    assert (np.diff(values[20:33]) <= 0).all() and (np.diff(values[67:80]) >= 0).all()


@pytest.mark.parametrize(("span", "rest_at", "held_at"), [((0, 60), 0, 60), ((40, 100), 99, 39)])
def test_a_long_hole_at_an_end_eases_towards_rest(span, rest_at, held_at):
    values = without_holes(holed([span])).values[:, 0]
    assert (values[rest_at], values[held_at]) == (0, 4)
    assert np.abs(np.diff(values)).max() < 0.6


@pytest.mark.parametrize(("rate", "frames"), [(10, 5), (25, 12), (60, 30), (Fraction(30000, 1001), 14)])
def test_half_a_second_is_half_a_second_at_any_rate(rate, frames):
    short, long = holed([(40, 40 + frames)], 200, rate=rate), holed([(40, 42 + 2 * frames)], 200, rate=rate)
    assert without_holes(short).values.min() == pytest.approx(4)
    assert without_holes(long).values.min() < 1


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 60), st.integers(1, 2)),
        elements=st.floats(0, 5, width=32) | st.just(float("nan")),
    ),
    st.sampled_from([1, 12, 25, 60, 1000]),
)
def test_measured_frames_stay_and_the_rest_stays_in_range(values, rate):
    track = track_of(values, rate)
    filled = without_holes(track).values
    seen = np.isfinite(values)
    np.testing.assert_array_equal(filled[seen], values[seen])
    assert np.isfinite(filled).all()
    top = np.nanmax(values, axis=0, initial=0)
    assert (filled >= 0).all() and (filled <= 2 * top + 1e-5).all()


def test_channels_that_are_never_measured_are_left_out():
    values = np.stack([np.full(10, 2.0), np.full(10, np.nan)], axis=1)
    assert measured(track_of(values)).channels == ("AU12_r",)
    assert measured(track_of(np.full(10, np.nan))).channels == ("AU12_r",)
    assert not measured(track_of(np.full(10, np.nan))).values.any()


def test_unmeasured_frames_are_counted():
    assert unmeasured_frames(holed([(41, 42), (61, 63)])) == 3
    assert unmeasured_frames(holed([])) == 0
    values = np.stack([np.full(10, 2.0), np.full(10, np.nan)], axis=1)
    assert unmeasured_frames(track_of(values)) == 0
    assert unmeasured_frames(track_of(np.full(10, np.nan))) == 10


def test_points_are_bridged_too():
    points = np.ones((10, 3, 2))
    points[4] = np.nan
    track = LandmarkTrack(
        values=points, rate=Fraction(25), channels=("a", "b", "c"), convention="x", image_size_px=(8, 8)
    )
    np.testing.assert_allclose(without_holes(track).values, 1)
