"""A request becomes one performance, and the performance acts: what conditions, what is added, whose lips."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from auteur.facs import CONTROLS
from auteur.motion.cues import SpeechCues
from auteur.motion.mouth import lip_gap
from auteur.motion.performance import Origin, Performance
from auteur.motion.speech_motion import MotionOptions, SpeechMotion
from auteur.signals import AUTrack, PoseTrack, Waveform
from auteur.talking_head.motion_stage import performance_of
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import performance_of_route
from auteur.talking_head.settings import Settings

RATE, FRAMES = Fraction(25), 50
STILL = MotionOptions(seed=0, blinks=False, gaze=False, head=0.0)


def track(convention: str = "facs", **controls: float | np.ndarray) -> AUTrack:
    columns = [np.broadcast_to(np.asarray(value, dtype=np.float32), FRAMES) for value in controls.values()]
    return AUTrack(
        values=np.stack(columns, axis=1), rate=RATE, channels=tuple(controls), convention=convention
    )


def performance(request: PerformanceRequest, expressed: AUTrack | None = None, **settings) -> Performance:
    route = None if expressed is None else predicted(expressed, FRAMES)
    return performance_of(request, route, FRAMES, Settings(**settings))


def predicted(units: AUTrack, frames: int) -> Performance:
    """What a route gives that predicts these units, of speech with so many frames."""
    speech = Waveform(samples=np.zeros(640 * frames, np.float32), rate_hz=16_000)
    return performance_of_route(speech, units)


@pytest.fixture(scope="module")
def mover() -> SpeechMotion:
    torch.set_num_threads(1)
    return SpeechMotion.shipped()


@pytest.fixture(scope="module")
def features(mover: SpeechMotion) -> torch.Tensor:
    noise = torch.randn(FRAMES, mover.face.speech_features, generator=torch.Generator().manual_seed(0))
    flow = mover.face.flow
    return flow.speech_mean + noise * flow.speech_deviation


# --- request to performance ---


def test_a_track_with_the_mouth_moves_the_lips_and_one_without_leaves_them_to_the_speech():
    assert performance(PerformanceRequest(track=track(AU26=0.5, AU12L=0.2))).lips == "track"
    assert performance(PerformanceRequest(track=track(AU12L=0.2))).lips == "speech"
    assert performance(PerformanceRequest(track=track(AU26=0.0))).lips == "speech"
    assert performance(PerformanceRequest(track=track(AU26=0.5), lips="speech")).lips == "speech"
    assert performance(PerformanceRequest(track=track(AU12L=0.2), lips="both")).lips == "both"
    assert performance(PerformanceRequest("happy")).lips == "speech"


def test_notes_of_a_route_reach_the_performance():
    route = replace(predicted(track(AU12L=0.2), FRAMES), notes=("the recording is too short",))
    assert performance_of(PerformanceRequest(), route, FRAMES, Settings()).notes == route.notes
    assert not performance(PerformanceRequest("happy")).notes


def test_a_partial_table_leaves_the_rest_to_the_motion():
    acted = performance(PerformanceRequest(track=track("openface17", AU01_r=2.5, AU02_r=0.0))).acted
    assert acted is not None and acted.channels == CONTROLS
    assert np.allclose(acted.channel("AU1L"), 0.5) and not acted.channel("AU2R").any()
    assert np.isnan(acted.channel("AU12L")).all() and np.isnan(acted.channel("AU26")).all()


def test_holes_are_bridged_or_eased_before_they_condition():
    values = np.full(FRAMES, 0.8, dtype=np.float32)
    values[10:12] = np.nan
    short = performance(PerformanceRequest(track=track(AU12L=values))).acted
    assert short is not None and np.allclose(short.channel("AU12L"), 0.8)
    values[5:45] = np.nan
    long = performance(PerformanceRequest(track=track(AU12L=values))).acted
    assert long is not None and long.channel("AU12L")[25] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(long.channel("AU12L")).all()


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_single_unit_wins_over_the_track(value: float):
    made = performance(PerformanceRequest(track=track(AU12L=0.9, AU12R=0.9), action_units={"AU12": value}))
    assert made.acted is not None and not made.acted.channel("AU12L").any(), "the flow draws none of it"
    assert made.action_units is not None
    np.testing.assert_allclose(made.action_units.channel("AU12L"), value, atol=1e-6)


def test_scales_and_mute_act_on_track_units_and_idle_controls():
    request = PerformanceRequest(
        track=track(AU12L=0.4, AU12R=0.4), action_units={"AU1": 0.5},
        scales={"AU12": 1.5, "AU1": 0.5, "AU4": 0.0},
    )  # fmt: skip
    made = performance(request)
    assert made.acted is not None and made.added is not None
    np.testing.assert_allclose(made.acted.channel("AU12L"), 0.6, rtol=1e-6)
    np.testing.assert_allclose(made.added.channel("AU1R"), 0.25, rtol=1e-6)
    assert not made.acted.channel("AU4L").any(), "muted is at rest, not left to the motion"
    assert np.isnan(made.acted.channel("AU9L")).all()


def test_guidance_acts_on_the_motion_and_not_on_what_was_requested():
    request = PerformanceRequest(track=track(AU12L=0.5))
    plain, guided = performance(request), performance(request, au_guidance=2.0)
    assert plain.acted is not None and guided.acted is not None and guided.action_units is not None
    np.testing.assert_allclose(guided.acted.channel("AU12L"), 0.75, rtol=1e-6)
    np.testing.assert_allclose(guided.action_units.channel("AU12L"), 0.5, rtol=1e-6)
    assert np.isnan(guided.acted.channel("AU1L")).all()


def test_origins_are_requested_recognised_or_idle():
    recognised = performance(PerformanceRequest(), track(AU12L=0.5, AU12R=0.5))
    assert recognised.origin("AU12L") is Origin.HEARD and recognised.origin("AU9L") is Origin.IDLE
    by_emotion = performance(PerformanceRequest("happy"), track(AU12L=0.5), route="auhead")
    assert by_emotion.origin("AU12L") is Origin.REQUESTED
    mixed = performance(PerformanceRequest(action_units={"AU1": 0.5}), track(AU12L=0.5))
    assert mixed.origin("AU1R") is Origin.REQUESTED and mixed.origin("AU12L") is Origin.HEARD
    recorded = performance(PerformanceRequest(track=track(AU4L=0.5)))
    assert recorded.origin("AU4L") is Origin.REQUESTED and recorded.origin("AU1L") is Origin.IDLE


# --- performance to motion ---


def test_a_recorded_opening_is_not_opened_twice(mover: SpeechMotion, features: torch.Tensor):
    """The lip gap is what the flow draws of the track alone: nothing of the speech is added."""
    opening = 0.3 + 0.3 * np.sin(2 * np.pi * np.arange(FRAMES) / 25)
    made = performance(PerformanceRequest(track=track(AU25=opening, AU26=opening)))
    assert made.lips == "track" and made.added is None
    talking = mover.generate(features, made, options=STILL)
    silent = mover.generate(None, made, cues=SpeechCues.none(FRAMES), options=STILL)
    gap = lip_gap(mover.displacement_mm(talking))
    np.testing.assert_allclose(gap, lip_gap(mover.displacement_mm(silent)), atol=1e-4)
    drawn = mover.face.displacement(torch.from_numpy(talking.coefficients)).numpy()
    np.testing.assert_allclose(gap, np.maximum(lip_gap(drawn), gap.min()), atol=1e-3)
    assert np.corrcoef(gap, opening)[0, 1] > 0.8


@pytest.mark.slow
def test_lips_of_the_speech_ignore_the_opening_of_the_track(mover: SpeechMotion, features: torch.Tensor):
    requests = [PerformanceRequest(track=track(AU12L=0.3, AU26=v), lips="speech") for v in (0.0, 0.9)]
    gaps = [
        lip_gap(mover.displacement_mm(mover.generate(features, performance(one), options=STILL)))
        for one in requests
    ]
    np.testing.assert_array_equal(*gaps)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_a_driven_head_is_scaled_and_stays_within_20_25_15_degrees(mover: SpeechMotion, factor: float):
    values = np.zeros((FRAMES, 6), dtype=np.float32)
    values[:, :3] = np.radians(10) * np.sin(2 * np.pi * np.arange(FRAMES) / 25)[:, None]
    far = np.array(values)
    far[:, :3] *= 20
    limits = np.radians([20, 25, 15])
    for poses, is_far in ((values, False), (far, True)):
        head = PoseTrack(values=poses, rate=RATE, convention="relative_canonical_mm")
        made = performance(PerformanceRequest(head_track=head))
        moved = mover.generate(None, made, options=MotionOptions(head=factor)).head.values[:, :3]
        assert (np.abs(moved) <= limits + 1e-6).all()
        expected = limits * np.tanh(factor * poses[:, :3] / limits)
        np.testing.assert_allclose(moved, expected, atol=1e-6)
        assert not factor or not is_far or np.abs(moved).max() > np.radians(24)


def test_driven_gaze_takes_the_place_of_wandering_eyes(mover: SpeechMotion):
    gaze = np.tile([0.1, -0.05], (FRAMES, 1))
    made = Performance(frames=FRAMES, gaze_rad=gaze)
    np.testing.assert_allclose(mover.generate(None, made).gaze_rad, gaze)


def test_recorded_blinks_take_the_place_of_drawn_ones(mover: SpeechMotion):
    lids = np.zeros(FRAMES)
    lids[20:23] = 0.9
    made = performance(PerformanceRequest(track=track(AU45L=lids, AU45R=lids)))
    np.testing.assert_allclose(mover.generate(None, made).lids, np.stack([lids, lids], axis=1), atol=1e-6)


@pytest.mark.slow
def test_faces_whose_units_were_predicted_from_speech_blink_too(mover: SpeechMotion):
    recognised = track(AU12L=0.3, AU45L=0.0, AU45R=0.0)
    blinking = MotionOptions(seed=3, gaze=False, head=0.0)
    whole = performance_of(PerformanceRequest(), predicted(recognised, 500), 500, Settings())
    assert mover.generate(None, whole, options=blinking).lids.max() > 0.9
    recorded = performance(PerformanceRequest(track=recognised))
    assert not mover.generate(None, recorded, options=blinking).lids.any()


def test_silence_brings_a_spoken_mouth_to_rest_whatever_the_brows_do(
    mover: SpeechMotion, features: torch.Tensor
):
    brows = performance(PerformanceRequest(track=track(AU1L=0.5, AU1R=0.5)))
    ones, zeros = np.ones(FRAMES, np.float32), np.zeros(FRAMES, np.float32)
    silent = SpeechCues(silence=ones, closure=zeros, pause=ones)
    motion = mover.generate(features, brows, cues=silent, options=STILL)
    moved = np.abs(mover.displacement_mm(motion)).max(axis=(0, 2))
    assert moved[[13, 14, 61, 291]].max() < 1e-3 < 0.3 < moved[[107, 336]].min()
