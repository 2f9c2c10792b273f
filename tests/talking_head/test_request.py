"""Every form of a request becomes one track."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.expression.curve import parse_curve
from auteur.formats import RecordedPerformance, TrackReading
from auteur.signals import AUTrack, GazeTrack, PoseTrack, Waveform
from auteur.talking_head.motion_stage import performance_of
from auteur.talking_head.notes import contradictions, track_notes
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import performance_of_route
from auteur.talking_head.settings import Settings

RATE = Fraction(25)


def shown(request: PerformanceRequest, frames: int, expression: AUTrack | None = None) -> AUTrack | None:
    silence = Waveform(samples=np.zeros(640 * frames, np.float32), rate_hz=16_000)
    predicted = None if expression is None else performance_of_route(silence, expression)
    return performance_of(request, predicted, frames, Settings(liveliness=0)).action_units


def constants(request: PerformanceRequest) -> dict[str, float]:
    """What is held once an emotion is at its height."""
    track = shown(request, 26)
    if track is None:
        return {}
    return {name: float(value) for name, value in zip(track.channels, track.values[-1], strict=True) if value}


def test_an_empty_request_is_no_track():
    assert shown(PerformanceRequest(), 10) is None


def test_constants_hold_throughout_on_both_sides():
    track = shown(PerformanceRequest(action_units={"AU12": 0.6, "smile_left": 0.3}), 7)
    assert track is not None and track.frames == 7
    np.testing.assert_allclose(track.channel("AU12R"), 0.6, rtol=1e-6)
    np.testing.assert_allclose(track.channel("AU12L"), 0.3, rtol=1e-6)


def test_an_emotion_grows_with_its_intensity_and_a_constant_overrules_it():
    half, full = (constants(PerformanceRequest(emotion="happy", intensity=i)) for i in (0.5, 1.0))
    assert 0 < half["AU12L"] < full["AU12L"]
    assert constants(PerformanceRequest(emotion="happy", action_units={"AU12": 0.1}))[
        "AU12L"
    ] == pytest.approx(0.1)
    assert constants(PerformanceRequest(emotion="happy", intensity=0)) == {}


def test_curves_are_resampled_by_time_and_the_larger_of_two_counts():
    curve = np.linspace(0, 1, 11, dtype=np.float32)[:, None]
    track = AUTrack(values=curve, rate=Fraction(10), channels=("smile",), convention="facs")
    track = track.replace(channels=("AU12L",))
    requested = shown(PerformanceRequest(track=track, action_units={"AU1": 0.5}), 26)
    assert requested is not None
    np.testing.assert_allclose(requested.channel("AU12L")[:26:5], [0, 0.2, 0.4, 0.6, 0.8, 1.0], atol=1e-6)
    np.testing.assert_allclose(requested.channel("AU1L"), 0.5)


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ({"emotion": "hapy"}, "happy"),
        ({"action_units": {"AU99": 0.5}}, "AU6[0-9]"),
        ({"action_units": {"smil": 0.5}}, "smile"),
        ({"action_units": {"AU12": 1.5}}, "between 0 and 1"),
        ({"emotion": "happy", "intensity": -0.1}, r"between 0 and 1\.2"),
        ({"emotion": "happy", "intensity": 1.3}, r"between 0 and 1\.2"),
        ({"emotion": "sad", "emotion_curve": parse_curve("0s happy")}, "either an emotion or"),
        ({"intensity": 0.5, "emotion_curve": parse_curve("0s happy")}, "happy:0.5 into it"),
        ({"action_units": {"AU12": float("nan")}}, "between 0 and 1"),
        ({"action_units": {"AU19": 0.5}}, r"AU19 \(tongue show\) cannot be shown"),
        ({"action_units": {"jawForward": 0.5}}, r"jawForward \(jaw thrust\) cannot be shown"),
    ],
)
def test_an_impossible_request_lists_the_possible_ones(requested, message):
    with pytest.raises(UsageError, match=message):
        PerformanceRequest(**requested)


def test_scales_come_last_and_touch_everything():
    curve = np.full((4, 1), 0.4, dtype=np.float32)
    track = AUTrack(values=curve, rate=RATE, channels=("AU12L",), convention="facs")
    scales = {"AU12": 1.5, "AU4": 0.0, "AU1": 4.0}
    requested = shown(PerformanceRequest("sad", 1.0, {"AU1": 0.5, "AU4": 0.9}, track, scales), 4)
    assert requested is not None
    np.testing.assert_allclose(requested.channel("AU12L"), 0.6, rtol=1e-6)
    assert not requested.channel("AU4L").any() and (requested.channel("AU1R") == 1).all()


def test_which_requests_direct_the_whole_face():
    track = AUTrack(values=np.zeros((4, 1)), rate=RATE, channels=("AU12L",), convention="facs")
    assert (PerformanceRequest("sad", 0.4).override(3) == 0.4).all()
    assert (PerformanceRequest(action_units={"AU1": 1.0}).override(3) == 0).all()
    assert (PerformanceRequest("sad", 0.4, track=track).override(3) == 1).all()


def test_a_routes_expression_takes_the_place_of_the_prototype_and_the_user_overrules_it():
    expression = AUTrack(
        values=np.full((10, 2), 0.5), rate=Fraction(5), channels=("AU12L", "AU12R"), convention="facs"
    )
    requested = shown(PerformanceRequest("sad", 1.0, {"AU12L": 0.1}), 6, expression)
    assert requested is not None and not requested.channel("AU15L").any()
    assert requested.channel("AU12L")[3] == np.float32(0.1) and requested.channel("AU12R")[3] == 0.5


@pytest.mark.parametrize("factor", [-0.1, 4.1, float("nan")])
def test_factors_have_a_range(factor):
    with pytest.raises(UsageError, match="between 0 and 4"):
        PerformanceRequest(scales={"AU12": factor})


def test_a_curve_scales_prototypes_over_time_and_blends_add_up():
    curve = parse_curve("0s neutral, 1s happy:0.5, 2s happy:0.5+surprised:0.5")
    requested = PerformanceRequest(emotion_curve=curve)
    track = shown(requested, 51)
    assert track is not None and not requested.is_empty
    happy, surprised = (
        constants(PerformanceRequest(emotion=e, intensity=0.5)) for e in ("happy", "surprised")
    )
    assert not track.values[0].any()
    assert track.channel("AU12L")[25] == pytest.approx(happy["AU12L"])
    assert track.channel("AU1L")[25] == 0
    assert track.channel("AU12L")[50] == pytest.approx(happy["AU12L"])
    assert track.channel("AU1L")[50] == pytest.approx(surprised["AU1L"])
    assert requested.override(51).tolist() == [1.0] * 51


def test_single_units_overrule_a_curve():
    requested = PerformanceRequest(action_units={"AU12": 0.1}, emotion_curve=parse_curve("0s happy"))
    track = shown(requested, 5)
    assert track is not None
    np.testing.assert_allclose(track.channel("AU12L"), 0.1, rtol=1e-6)
    assert track.channel("AU6L").min() > 0.5


def test_over_1_is_extrapolated_up_to_the_top():
    constant = constants(PerformanceRequest(emotion="happy", intensity=1.2))
    assert constant["AU6L"] == pytest.approx(0.96)
    curved = shown(PerformanceRequest(emotion_curve=parse_curve("0s happy:1.2")), 3)
    assert curved is not None
    np.testing.assert_allclose(curved.channel("AU6L"), 0.96, rtol=1e-6)
    assert PerformanceRequest(emotion="happy", intensity=1.2).override(2).tolist() == [1, 1]


def smile(spans, frames=75):
    values = np.full((frames, 1), 4.0)
    for start, stop in spans:
        values[start:stop] = np.nan
    return AUTrack(values=values, rate=RATE, channels=("AU12_r",), convention="openface17")


def test_a_lost_frame_does_not_drop_the_smile():
    requested = shown(PerformanceRequest(track=smile([(40, 41), (60, 62)])), 75)
    assert requested is not None
    np.testing.assert_allclose(requested.channel("AU12L"), 0.8, rtol=1e-6)


def test_a_long_hole_eases_the_smile_out_and_in():
    requested = shown(PerformanceRequest(track=smile([(20, 60)])), 75)
    assert requested is not None
    values = requested.channel("AU12L")
    assert values[40] == 0 and np.abs(np.diff(values)).max() < 0.12


def test_holes_at_another_rate_are_filled_before_resampling():
    track = smile([(40, 41)]).replace(rate=Fraction(30))
    requested = shown(PerformanceRequest(track=track), 60)
    assert requested is not None
    np.testing.assert_allclose(requested.channel("AU12L"), 0.8, rtol=1e-6)


def test_what_a_track_does_not_measure_is_noted():
    track = smile([(40, 41), (60, 62)])
    blank = np.full((75, 1), np.nan)
    track = track.replace(values=np.hstack([track.values, blank]), channels=("AU12_r", "AU04_r"))
    recorded = RecordedPerformance(
        action_units=track,
        head=PoseTrack(values=np.zeros((75, 6)), rate=25, convention="openface_mm"),
        gaze=GazeTrack(values=np.zeros((75, 2)), rate=25, convention="camera"),
        notes=("the note of the file",),
    )
    first, unknown, holes = track_notes(recorded, Fraction(3))
    assert first == "the note of the file" and unknown == "the track does not measure AU04_r"
    assert holes.startswith("3 of 75 frames of the track are not measured: over up to 0.5 s they are bridged")
    assert track_notes(RecordedPerformance(action_units=smile([])), Fraction(3)) == []


def test_a_track_of_what_no_face_shows_is_used_and_noted():
    values = np.full((25, 2), 0.4, dtype=np.float32)
    track = AUTrack(values=values, rate=RATE, channels=("tongueOut", "cheekPuff"), convention="arkit52")
    notes = track_notes(RecordedPerformance(action_units=track), Fraction(1))
    assert "the track holds AU19, which generated faces do not show" in notes


def test_a_track_starts_at_the_given_time():
    ramp = AUTrack(values=np.linspace(0, 1, 26)[:, None], rate=RATE, channels=("AU12L",), convention="facs")
    requested = PerformanceRequest(track=ramp, track_reading=TrackReading(start_sec=1.0))
    track = shown(requested, 75)
    assert track is not None
    np.testing.assert_allclose(track.channel("AU12L")[[0, 25, 50, 74]], [0, 0, 1, 1], atol=1e-6)
    notes = track_notes(requested.recorded, Fraction(3))
    assert "starts at 1.00 s" in notes[0] and "covers 1.04 s of 3.00 s" in notes[1]


@pytest.mark.parametrize("start_sec", [-3.0, 3.0, 100.0])
def test_a_track_beside_the_speech_is_refused(start_sec):
    requested = PerformanceRequest(track=smile([]), track_reading=TrackReading(start_sec=start_sec))
    with pytest.raises(UsageError, match=r"none of the 3\.00 s of speech; .* --track-start"):
        requested.check_covers(Fraction(3))


def test_a_track_that_ends_before_or_after_the_speech_is_noted():
    recorded = RecordedPerformance(action_units=smile([]))  # 3 s
    assert track_notes(recorded, Fraction(3)) == track_notes(recorded, Fraction(302, 100)) == []
    (shorter,) = track_notes(recorded, Fraction(4))
    assert shorter.startswith("the track covers 3.00 s of 4.00 s of speech")
    (longer,) = track_notes(recorded, Fraction(2))
    assert longer == "the track goes on to 3.00 s; the video ends with the speech at 2.00 s"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"lips": "mouth"}, "lips is 'mouth'; choose speech, track or both"),
        ({"lips": "track"}, "lips 'track' need a track; name one"),
        ({"lips": "both"}, "lips 'both' need a track; name one"),
        ({"track": Path("a.csv"), "drive": Path("b.mp4")}, "either a track or a video of an actor, not both"),
    ],
)
def test_sources_that_do_not_fit_together_are_refused(request_, message):
    with pytest.raises(UsageError, match=message):
        PerformanceRequest(**request_)


def test_files_and_sources_are_named_by_role():
    request = PerformanceRequest(
        track=Path("a.csv"), lips="both", head_track=Path("b.json"), gaze_track="none"
    )
    assert request.files() == {"track": Path("a.csv"), "head_track": Path("b.json")}
    assert request.sources() == {"lips": "both", "gaze_from": "none"}


def test_units_that_work_against_an_emotion_are_shown_and_noted():
    requested = PerformanceRequest("happy", action_units={"AU15": 0.8})
    held = constants(requested)
    assert held["AU15L"] == pytest.approx(0.8) and held["AU12L"] > 0.5
    (note,) = contradictions(requested)
    assert note.startswith("AU15 works against AU12 of happy: both are shown") and "--mute AU12" in note
    assert not contradictions(PerformanceRequest("happy", action_units={"AU12": 0.2, "AU1": 1.0}))
    assert not contradictions(PerformanceRequest("happy", action_units={"AU15": 0.8, "AU12": 0.0}))
    assert not contradictions(PerformanceRequest(action_units={"AU15": 0.8, "AU12": 0.5}))
