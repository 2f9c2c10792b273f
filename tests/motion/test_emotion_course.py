"""What an emotion does over time: postures of head and eyes, onset and waves."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from auteur.expression.curve import NON_NEUTRAL_EMOTIONS, parse_curve
from auteur.face.pose import canonical_face, head_pose
from auteur.facs import EMOTIONS, POSTURES
from auteur.motion.course import FIRST_SHARE, ONSET_SEC, course_of
from auteur.motion.cues import SpeechCues
from auteur.motion.idle_motion import POSE_CONVENTION
from auteur.motion.performance import Performance
from auteur.motion.portrait import apply_to
from auteur.motion.posture import LARGEST_TURN_RAD, emotional_posture, with_posture
from auteur.motion.speech_motion import MotionOptions, SpeechMotion
from auteur.signals import PoseTrack
from auteur.talking_head.motion_stage import performance_of
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings

RATE, FRAMES = Fraction(25), 50


def performed(emotion: str, intensity: float = 1.0, **request) -> Performance:
    requested = PerformanceRequest(emotion, intensity, **request)
    return performance_of(requested, None, FRAMES, Settings(liveliness=0, seed=0))


def moved(made: Performance, head_factor: float = 1.0, gaze: bool = True) -> tuple[PoseTrack, np.ndarray]:
    """Head and gaze of a face that would be still without the performance."""
    head = made.head or PoseTrack(values=np.zeros((FRAMES, 6)), rate=RATE, convention=POSE_CONVENTION)
    return with_posture(head, np.zeros((FRAMES, 2)), made, head_factor=head_factor, gaze=gaze)


# --- postures ---


@pytest.mark.parametrize(
    ("emotion", "pitch", "eyes_down"),
    [("sad", -1, 1), ("angry", -1, -1), ("disgusted", 1, 1), ("surprised", 1, 1), ("contempt", 1, 1)],
)
def test_head_and_eyes_of_an_emotion(emotion: str, pitch: int, eyes_down: int):
    head, gaze = moved(performed(emotion))
    assert pitch * head.values[-1, 0] > 0.01
    assert eyes_down * gaze[-1, 1] > 0.01


def test_sadness_lowers_the_nose_in_the_picture():
    portrait = np.zeros((478, 3))
    portrait[:468] = canonical_face() * 3 + 300
    (head, gaze), still = moved(performed("sad")), np.zeros((FRAMES, 478, 3))
    faces = apply_to(portrait, still, gaze_rad=gaze, head=head)
    assert head_pose(faces[-1]).angles_rad[0] < head_pose(portrait).angles_rad[0] - 0.03


@pytest.mark.slow
def test_postures_are_added_to_the_motion_of_speech():
    torch.set_num_threads(1)
    mover, silence = SpeechMotion.shipped(), SpeechCues.none(FRAMES)
    options = MotionOptions(blinks=False)
    calm, sad = (
        mover.generate(None, performed(name), cues=silence, options=options) for name in ("neutral", "sad")
    )
    turned = sad.head.values[:, 0] - calm.head.values[:, 0]
    assert (turned < 0).all() and turned[-1] == pytest.approx(POSTURES["sad"].head_rad[0], rel=0.2)
    assert (sad.gaze_rad[:, 1] - calm.gaze_rad[:, 1] > 0).all()


def test_disgust_and_contempt_turn_to_one_side():
    assert POSTURES["disgusted"].yaw_deg != 0 and POSTURES["contempt"].roll_deg != 0
    assert set(POSTURES) == set(EMOTIONS) and POSTURES["neutral"].head_rad == (0, 0, 0)


def test_postures_grow_with_the_strength_and_add_up():
    half = np.full((4, len(NON_NEUTRAL_EMOTIONS)), 0.0)
    half[:, NON_NEUTRAL_EMOTIONS.index("sad")], half[:, NON_NEUTRAL_EMOTIONS.index("fear")] = 0.5, 0.25
    head, eyes = emotional_posture(NON_NEUTRAL_EMOTIONS, half)
    double_head, double_eyes = emotional_posture(NON_NEUTRAL_EMOTIONS, 2 * half)
    np.testing.assert_allclose(double_head.values, 2 * head.values, atol=1e-6)
    np.testing.assert_allclose(double_eyes, 2 * eyes)
    sad, fear = POSTURES["sad"], POSTURES["fear"]
    np.testing.assert_allclose(
        head.values[0, :3], 0.5 * np.array(sad.head_rad) + 0.25 * np.array(fear.head_rad), atol=1e-6
    )


def test_a_still_head_and_still_eyes_stay_still():
    head, gaze = moved(performed("sad"), head_factor=0.0, gaze=False)
    assert not head.values.any() and not gaze.any()


def test_head_and_gaze_of_a_performance_win():
    turned = PoseTrack(values=np.full((FRAMES, 6), 0.05), rate=RATE, convention=POSE_CONVENTION)
    made = performed("sad", head_track=turned)
    np.testing.assert_allclose(moved(made)[0].values, turned.values)
    looking = performed("sad", action_units={"AU63": 0.5})
    assert looking.posture is not None and looking.posture_gaze_rad is None


def test_heads_stay_within_reach():
    far, _ = moved(performed("sad", 1.2), head_factor=3.0)
    assert (np.abs(far.values[:, :3]) < LARGEST_TURN_RAD).all()


# --- course ---


def test_an_emotion_comes_on_in_its_own_time_and_is_held():
    course = course_of(NON_NEUTRAL_EMOTIONS, 100, seed=0, liveliness=0)
    np.testing.assert_allclose(course[0], FIRST_SHARE)
    assert (np.diff(course, axis=0) >= 0).all() and np.allclose(course[25:], 1)
    assert ONSET_SEC["surprised"] < ONSET_SEC["happy"] < ONSET_SEC["sad"]
    early = course[6]
    assert early[NON_NEUTRAL_EMOTIONS.index("surprised")] > early[NON_NEUTRAL_EMOTIONS.index("sad")]


def test_waves_follow_seed_and_liveliness_and_begin_alike_at_any_length():
    calm, lively, other = (
        course_of(("happy",), 500, seed=s, liveliness=a)[30:, 0] for s, a in ((0, 0.5), (0, 1.0), (1, 1.0))
    )
    np.testing.assert_allclose(lively - 1, 2 * (calm - 1), atol=1e-9)
    assert 0.03 < lively.std() < 0.12 and abs(lively.mean() - 1) < 0.05
    assert np.abs(np.diff(lively)).max() < 0.02, "no pops"
    assert not np.allclose(lively, other)
    np.testing.assert_allclose(course_of(("happy",), 90, seed=0, liveliness=1)[30:, 0], lively[:60])


def test_a_label_has_an_onset_and_a_curve_its_own_course():
    label = performed("happy").action_units
    curve = performance_of(
        PerformanceRequest(emotion_curve=parse_curve("0s happy:1")), None, FRAMES, Settings()
    ).action_units
    assert label is not None and curve is not None
    smile, held = label.channel("AU12L"), curve.channel("AU12L")
    assert smile[0] == pytest.approx(FIRST_SHARE * smile[-1]) and smile[-1] == pytest.approx(held[0])
    assert np.ptp(held) == 0


@pytest.mark.parametrize("emotion", NON_NEUTRAL_EMOTIONS)
def test_prototypes_rise_with_the_strength_at_every_instant(emotion: str):
    levels = [performed(emotion, strength).action_units for strength in (0.25, 0.5, 0.75, 1.0)]
    values = np.stack([level.values for level in levels if level is not None])
    assert len(values) == 4
    sums = values.sum(axis=2)
    assert (np.diff(sums, axis=0) > 0).all() and (np.diff(values, axis=0) >= 0).all()
