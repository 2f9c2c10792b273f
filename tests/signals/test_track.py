import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auteur.errors import UsageError
from auteur.signals import AUTrack, ExpressionTrack, LandmarkTrack, PoseTrack

UNIT = st.floats(0, 1, width=32)


def au_track(initial, **changes):
    values = np.asarray(initial, dtype=np.float32)
    names = tuple(f"c{index}" for index in range(values.shape[1]))
    return AUTrack(
        **{"values": values, "rate": Fraction(25), "channels": names, "convention": "feafa24", **changes}
    )


@st.composite
def knotted_signals(draw):
    """A 25 fps signal that is a straight line between knots at every fifth frame."""
    knots = draw(hnp.arrays(np.float32, (draw(st.integers(2, 8)), 2), elements=UNIT))
    frames = 5 * (len(knots) - 1) + 1
    grid = np.arange(frames) / 5
    lines = [np.interp(grid, np.arange(len(knots)), knots[:, column]) for column in range(2)]
    return np.stack(lines, axis=1).astype(np.float32)


@pytest.mark.slow
@given(knotted_signals())
def test_25_to_5_to_25_is_exact_for_piecewise_linear_signals(values):
    track = au_track(values)
    again = track.resample(5).resample(25, frames=track.frames)
    np.testing.assert_allclose(again.values, values, atol=1e-6)
    assert again.rate == 25


@pytest.mark.slow
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.just(2)), elements=UNIT),
    st.fractions(1, 120),
    st.fractions(-2, 2),
)
def test_resampling_to_the_same_rate_and_start_changes_nothing(values, rate, start):
    track = au_track(values, rate=rate, start_sec=start)
    assert track.resample(rate) == track


@given(st.integers(1, 60), st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(5), Fraction(100)]))
def test_resampling_covers_the_whole_duration(frames, rate):
    track = au_track(np.linspace(0, 1, frames)[:, None])
    other = track.resample(rate)
    assert 0 <= other.duration_sec - track.duration_sec < 1 / rate
    assert other.values.min() >= 0
    assert other.values.max() <= 1


def test_resampling_is_linear_in_time_and_holds_the_ends():
    track = au_track([[0.0], [1.0], [3.0]], rate=Fraction(10))
    other = track.resample(20, start_sec=Fraction(-1, 10), frames=9)
    np.testing.assert_allclose(other.values[:, 0], [0, 0, 0, 0.5, 1, 2, 3, 3, 3])
    np.testing.assert_allclose(other.times_sec[[0, -1]], [-0.1, 0.3])


@pytest.mark.slow
def test_ntsc_times_do_not_drift_over_an_hour():
    frames = 3600 * 30000 // 1001
    track = au_track(np.arange(frames, dtype=np.float32)[:, None], rate=Fraction(30000, 1001))
    assert track.times_sec[-1] == pytest.approx((frames - 1) * 1001 / 30000, abs=1e-9)
    last_whole_second = track.resample(1).values[-1, 0]
    assert last_whole_second == pytest.approx(3599 * 30000 / 1001, abs=0.01)


def test_nan_spreads_only_to_frames_that_need_it():
    track = au_track([[0.0], [np.nan], [2.0], [3.0]], rate=Fraction(10))
    doubled = track.resample(20).values[:, 0]
    np.testing.assert_array_equal(np.isnan(doubled), [0, 1, 1, 1, 0, 0, 0, 0])


@given(st.floats(0, 0.5))
def test_smoothing_keeps_straight_lines_to_the_last_frame(sigma_sec):
    line = np.stack([np.linspace(0, 1, 20), np.full(20, 0.3)], axis=1)
    np.testing.assert_allclose(au_track(line).smooth(sigma_sec).values, line, atol=1e-5)


@pytest.mark.slow
@given(hnp.arrays(np.float32, (15, 1), elements=UNIT), st.floats(0.01, 0.2))
def test_smoothing_has_no_preferred_direction_in_time(values, sigma_sec):
    forwards = au_track(values).smooth(sigma_sec).values
    backwards = au_track(values[::-1]).smooth(sigma_sec).values[::-1]
    np.testing.assert_allclose(forwards, backwards, atol=1e-5)


def test_smoothing_keeps_a_peak_in_place_and_lowers_noise():
    values = np.exp(-0.5 * ((np.arange(41) - 17) / 4) ** 2)
    noisy = values + np.random.default_rng(0).normal(0, 0.05, 41)
    smooth = au_track(noisy[:, None]).smooth(0.06).values[:, 0]
    assert smooth.argmax() in (16, 17, 18)
    assert np.abs(np.diff(smooth, 2)).mean() < 0.3 * np.abs(np.diff(noisy, 2)).mean()


def test_smoothing_leaves_gaps_alone():
    values = np.array([[0.0], [1.0], [np.nan], [3.0], [4.0]])
    np.testing.assert_allclose(au_track(values).smooth(0.08).values, values, atol=1e-5)


def test_slice_takes_a_half_open_interval_and_keeps_times():
    track = au_track(np.arange(10)[:, None], start_sec=1)
    part = track.slice(1.08, 1.2)
    np.testing.assert_array_equal(part.values[:, 0], [2, 3, 4])
    assert part.start_sec == Fraction(27, 25)
    assert part == track.slice(Fraction(27, 25), Fraction(6, 5))


def test_slice_without_a_frame_names_what_there_is():
    with pytest.raises(UsageError, match=r"covers 0 s to 0\.4 s"):
        au_track(np.zeros((10, 1))).slice(0.4, 9)


@given(st.integers(1, 19))
def test_slices_concatenate_to_the_whole(cut):
    track = au_track(np.arange(20)[:, None])
    middle = Fraction(cut, 25)
    assert track.slice(0, middle).concatenate(track.slice(middle, 1)) == track


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rate": Fraction(5)}, "rate"),
        ({"convention": "openface17"}, "convention"),
        ({"channels": ("x", "y")}, "channels"),
    ],
)
def test_concatenate_refuses_a_different_track(changes, word):
    values = np.zeros((3, 2))
    with pytest.raises(UsageError, match=word):
        au_track(values).concatenate(au_track(values, **changes))


def test_values_are_copied_and_cannot_be_changed():
    source = np.zeros((3, 1), dtype=np.float32)
    track = au_track(source)
    source[:] = 1
    assert track.values.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        track.values[0] = 1
    with pytest.raises(AttributeError):
        track.rate = Fraction(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.zeros((0, 1))}, "empty"),
        ({"values": np.zeros((3, 1, 2))}, "axes"),
        ({"values": np.array([[np.inf]])}, "infinity"),
        ({"values": np.array([[1e300]])}, "infinity"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": 1001}, "at most 1000"),
        ({"rate": 29.97}, "30000"),
        ({"start_sec": float("nan")}, "start_sec is nan"),
        ({"channels": ("a", "b")}, "2 channel names for 1"),
        ({"channels": ("",)}, "non-empty"),
        ({"convention": ""}, "convention"),
    ],
)
def test_impossible_tracks_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        au_track(np.zeros((3, 1)), **changes)


@pytest.mark.parametrize(("rate", "frames"), [(5, 0), (0, None), (5, -3)])
def test_impossible_resampling_is_refused(rate, frames):
    with pytest.raises(UsageError):
        au_track(np.zeros((3, 1))).resample(rate, frames=frames)


def test_resampling_from_after_the_end_is_refused():
    with pytest.raises(UsageError, match="before the end"):
        au_track(np.zeros((3, 1))).resample(25, start_sec=3)


@pytest.mark.parametrize("sigma_sec", [-1, 11, float("nan")])
def test_impossible_smoothing_is_refused(sigma_sec):
    with pytest.raises(UsageError, match="sigma_sec"):
        au_track(np.zeros((3, 1))).smooth(sigma_sec)


def test_unknown_channel_lists_the_known_ones():
    with pytest.raises(UsageError, match="c0"):
        au_track(np.zeros((3, 1))).channel("AU99")


def test_landmarks_have_channels_and_a_centre():
    points = np.random.default_rng(1).uniform(0, 100, (4, 478, 3))
    track = LandmarkTrack(values=points, rate=25, convention="mediapipe478", image_size_px=(100, 80))
    np.testing.assert_array_equal(track.channel("v61"), points[:, 61].astype(np.float32))
    np.testing.assert_allclose(track.centroid(), points.mean(axis=1), rtol=1e-6)
    assert track.xy().shape == (4, 478, 2)
    assert track.resample(50).image_size_px == (100, 80)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.zeros((2, 68, 4))}, "coordinates"),
        ({"values": np.zeros((2, 67, 2))}, "68 channel names"),
        ({"image_size_px": (0, 5)}, "at least 1 pixel"),
        ({"image_size_px": (5,)}, "width and height"),
    ],
)
def test_impossible_landmarks_are_refused(changes, message):
    arguments = {"values": np.zeros((2, 68, 2)), "convention": "ibug68", "image_size_px": (9, 9), **changes}
    with pytest.raises(UsageError, match=message):
        LandmarkTrack(rate=25, **arguments)


def test_subset_refuses_indices_outside_the_track():
    track = LandmarkTrack(values=np.zeros((2, 68, 2)), rate=25, convention="ibug68", image_size_px=(9, 9))
    assert track.subset([48, 54], convention="corners").channels == ("p48", "p54")
    for index in (-1, 68):
        with pytest.raises(UsageError, match="between 0 and 67"):
            track.subset([index], convention="corners")


def test_expression_and_pose_have_their_own_channels():
    assert ExpressionTrack(values=np.zeros((2, 3)), rate=25, convention="flame50").channels == (
        "e0",
        "e1",
        "e2",
    )
    pose = PoseTrack(values=np.arange(6)[None], rate=25, convention="pixel")
    assert pose.channel("yaw") == 1
    with pytest.raises(UsageError, match="6 channel names for 5"):
        PoseTrack(values=np.zeros((2, 5)), rate=25, convention="pixel")
    with pytest.raises(UsageError, match="pose channels"):
        PoseTrack(values=np.zeros((2, 6)), rate=25, convention="pixel", channels=tuple("abcdef"))


def test_a_track_prints_short() -> None:
    many = tuple(f"AU{number:02d}_r" for number in range(1, 18))
    track = AUTrack(
        values=np.zeros((900, 17)), rate=Fraction(30000, 1001), channels=many, convention="openface17"
    )
    assert repr(track) == (
        "AUTrack(openface17, 900 frames at 30000/1001/s from 0 s, 17 channels: "
        "AU01_r, AU02_r, AU03_r, AU04_r, …)"
    )


def test_a_notebook_shows_the_curves_that_move() -> None:
    values = np.zeros((50, 20), np.float32)
    values[:, 7] = np.linspace(0, 1, 50)
    values[20:25, 7] = np.nan
    names = tuple(f"c{number}<" for number in range(20))
    page = AUTrack(values=values, rate=Fraction(25), channels=names, convention="facs")._repr_html_()
    assert "c7&lt;" in page and "c7<" not in page
    assert page.count("<text") == 13 and "8 more" in page  # 12 rows and the caption
    row = page[page.index("c7&lt;") :]
    assert row[: row.index("c8&lt;")].count("polyline") == 2  # the gap is not bridged


def test_an_unmeasured_track_can_be_shown() -> None:
    track = AUTrack(values=np.full((1, 1), np.nan), rate=Fraction(25), channels=("a",), convention="facs")
    assert "<svg" in track._repr_html_()


def test_a_track_becomes_a_table_of_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is optional")
    track = AUTrack(
        values=np.eye(3), rate=Fraction(25), start_sec=1, channels=("a", "b", "c"), convention="facs"
    )
    table = track.to_dataframe()
    assert isinstance(table, pandas.DataFrame)
    assert list(table.columns) == ["a", "b", "c"] and table.index.name == "time_sec"
    assert table.index.tolist() == [1.0, 1.04, 1.08] and table["b"].tolist() == [0, 1, 0]


def test_without_pandas_the_message_names_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    track = AUTrack(values=np.eye(3), rate=Fraction(25), channels=("a", "b", "c"), convention="facs")
    with pytest.raises(UsageError, match="notebook"):
        track.to_dataframe()
