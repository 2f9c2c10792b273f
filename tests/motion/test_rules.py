"""Lips, lids, habits, Action Units, and motion on a portrait."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.face.action_units import CENTRAL_WEIGHTS, MEASURES, SIDED_WEIGHTS
from auteur.face.pose import MIRROR, head_pose, without_pose
from auteur.facs import CONTROLS, au_track
from auteur.motion.au_basis import BASIS_UNITS, AUBasis
from auteur.motion.habits import POSE_CONVENTION, FaceHabits
from auteur.motion.mouth import LID_PAIRS, LIP_PAIRS, fused_gap, kept_apart, lip_gap, with_lip_gap
from auteur.motion.portrait import apply_to
from auteur.motion.speech_motion import Habits, SpeechCues, SpeechMotion
from auteur.signals import PoseTrack

STILL = Habits(blinks=False, gaze=False, head=0.0)
millimetres = st.floats(-5, 25)


def _asked(frames: int, **controls: float):
    values = np.zeros((frames, len(CONTROLS)))
    for name, value in controls.items():
        values[:, [i for i, c in enumerate(CONTROLS) if c in (name, f"{name}L", f"{name}R")]] = value
    return au_track(values, convention="facs", rate=Fraction(25))


# --- lips ---


@given(millimetres, millimetres, st.floats(0, 1))
def test_bilabials_close_and_vowels_stay_open(spoken: float, asked: float, closure: float):
    gap = float(fused_gap(np.array([spoken]), np.array([asked]), np.array([closure]))[0])
    free = float(fused_gap(np.array([spoken]), np.array([asked]), np.zeros(1))[0])
    assert free >= min(0.5 * spoken, spoken) - 1e-9
    assert gap <= max((1 - closure) * free, min(free, 0)) + 1e-9


def test_lip_gap_is_set_exactly_along_the_opening(basis: AUBasis):
    displacement = np.random.default_rng(0).normal(size=(4, 478, 3))
    wanted = np.array([0.0, 3.0, -1.0, 12.0])
    assert np.allclose(lip_gap(with_lip_gap(displacement, wanted, basis.opening.numpy())), wanted, atol=2e-2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_lips_and_lids_never_cross(seed: int):
    face = np.random.default_rng(seed).normal(0, 10, (3, 478, 3))
    for pairs in (LIP_PAIRS, *LID_PAIRS):
        fixed = kept_apart(face, pairs, np.zeros(len(pairs)))
        for upper, lower in pairs:
            assert (fixed[:, lower, 1] - fixed[:, upper, 1] >= -1e-9).all()
        middle = [(face[:, u] + face[:, low]) / 2 - (fixed[:, u] + fixed[:, low]) / 2 for u, low in pairs]
        assert np.allclose(middle, 0)


# --- Action Units ---


def test_every_unit_moves_its_own_measure_the_right_way(basis: AUBasis):
    for index, number in enumerate(BASIS_UNITS):
        moved = basis.basis[index].numpy()
        weights = (SIDED_WEIGHTS | CENTRAL_WEIGHTS).get(number, {})
        terms = {name: w for name, w in weights.items() if name in MEASURES}
        reading = sum(w * sum(f * moved[v, a] for f, v, a in MEASURES[name]) for name, w in terms.items())
        assert np.abs(moved).max() > 0.3
        assert reading > 0.1 or not terms, f"AU{number} reads {reading}"


def test_signs_that_anyone_can_check(basis: AUBasis):
    at = basis.control_displacement
    assert at("AU12")[61, 1] < 0 and at("AU12")[291, 1] < 0  # lip corners rise (y is down)
    assert at("AU15")[61, 1] > 0
    assert at("AU1")[107, 1] < 0 and at("AU2")[105, 1] < 0 and at("AU4")[66, 1] > 0
    assert lip_gap(at("AU26")) > 2 and lip_gap(at("AU25")) > 1
    assert at("AU45")[159, 1] > 0 and at("AU5")[159, 1] < 0
    assert np.array_equal(at("AU43"), at("AU45"))


def test_units_stay_in_their_region_and_on_their_side(basis: AUBasis):
    upper, lips = [105, 107, 66, 159, 145], [13, 14, 61, 291, 17]
    for unit in ("AU1", "AU2", "AU4", "AU5", "AU7", "AU45"):
        assert np.abs(basis.control_displacement(unit)[lips]).max() < 0.05
    for unit in ("AU12", "AU15", "AU20", "AU23", "AU25", "AU26", "AU17"):
        assert np.abs(basis.control_displacement(unit)[upper]).max() < 0.3
    left, right = basis.control_displacement("AU12L"), basis.control_displacement("AU12R")
    assert np.linalg.norm(left[291]) > 20 * np.linalg.norm(left[61])
    assert np.allclose(left + right, basis.control_displacement("AU12"), atol=1e-3)
    mirrored = left[MIRROR] * np.array([-1, 1, 1])
    assert np.allclose(mirrored, right, atol=0.15)


def test_basis_is_linear_in_intensity_and_ignores_what_it_cannot_move(basis: AUBasis):
    half, full = basis.displacement({"AU12": 0.5}), basis.displacement({"AU12": 1.0})
    assert np.allclose(2 * half, full, atol=1e-5)
    assert not basis.control_displacement("AU61").any()
    track = _asked(3, AU12=0.5)
    assert np.allclose(basis.track_displacement(track)[1], half, atol=1e-4)


# --- habits ---


def test_blinks_come_as_often_and_look_like_peoples(habits: FaceHabits):
    minutes, rate = 10, 100
    lids = habits.blinks(minutes * 60 * rate, seed=4, rate=Fraction(rate))[:, 0]
    inside = np.diff((lids > 0.4).astype(int))
    assert 12 <= (inside == 1).sum() / minutes <= 22
    start = int(np.flatnonzero(inside == 1)[0])
    peak = start + int(lids[start : start + 40].argmax())
    down = (peak - np.flatnonzero(lids[:peak] < 0.02)[-1]) / rate
    up = (np.flatnonzero(lids[peak:] < 0.02)[0]) / rate
    assert 0.04 <= down <= 0.14 < up + 0.05 and up > 1.3 * down


def test_head_moves_like_the_statistics_say_and_less_in_silence(habits: FaceHabits):
    head = habits.head_motion(6000, seed=1)
    wanted = np.linalg.norm(habits.head_kernel.numpy(), axis=1)
    assert np.allclose(head.values.std(0), wanted, rtol=0.35)
    silent = habits.head_motion(6000, seed=1, activity=np.zeros(6000))
    assert (silent.values.std(0) < 0.6 * head.values.std(0)).all()
    assert np.abs(np.diff(head.values[:, :3], axis=0)).max() < 0.12  # rad per frame: no jumps
    assert not habits.head_motion(50, seed=1, amount=0.0).values.any()


def test_habits_do_not_depend_on_how_many_frames_are_asked_for(habits: FaceHabits):
    short, long = habits.head_motion(100, seed=7), habits.head_motion(1000, seed=7)
    assert np.allclose(short.values, long.values[:100], atol=1e-6)
    assert np.allclose(habits.blinks(100, seed=7), habits.blinks(1000, seed=7)[:100])
    assert np.allclose(habits.gaze_angles(100, seed=7), habits.gaze_angles(1000, seed=7)[:100])
    assert not np.allclose(habits.gaze_angles(500, seed=8), habits.gaze_angles(500, seed=7))


def test_gaze_rests_and_jumps(habits: FaceHabits):
    steps = np.linalg.norm(np.diff(habits.gaze_angles(3000, seed=2), axis=0), axis=1)
    assert (steps < 1e-6).mean() > 0.6
    assert 0.02 < steps.max() < 0.4


# --- on a portrait ---


def test_no_motion_gives_the_portrait_back(portrait: np.ndarray):
    still = PoseTrack(values=np.zeros((2, 6)), rate=Fraction(25), convention=POSE_CONVENTION)
    moved = apply_to(
        portrait, np.zeros((2, 478, 3)), head=still, lids=np.zeros((2, 2)), gaze_rad=np.zeros((2, 2))
    )
    assert np.allclose(moved, portrait, atol=1e-3)


def test_lids_meet_on_any_portrait_and_only_on_the_side_asked(portrait: np.ndarray):
    moved = apply_to(portrait, np.zeros((1, 478, 3)), lids=np.array([[1.0, 0.0]]))[0]
    assert abs(moved[159, 1] - moved[145, 1]) < 0.1
    assert np.allclose(moved[[386, 374]], portrait[[386, 374]], atol=1e-3)


def test_closure_closes_what_the_portrait_leaves_open(portrait: np.ndarray, basis: AUBasis):
    opened = apply_to(portrait, basis.control_displacement("AU26")[None])[0]
    args = {"closure": np.ones(1), "opening": basis.opening.numpy()}
    closed = apply_to(opened, np.zeros((1, 478, 3)), **args)[0]
    face = [without_pose(x, head_pose(opened)) for x in (opened, closed)]
    assert lip_gap(face[0]) > 3 and abs(lip_gap(face[1])) < 0.3
    assert np.allclose(apply_to(opened, np.zeros((1, 478, 3)))[0], opened, atol=1e-3)


def test_displacement_turns_with_the_portraits_pose(portrait: np.ndarray):
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    displacement = np.random.default_rng(0).normal(0, 0.3, (1, 478, 3))
    upright = apply_to(portrait, displacement)
    tilted = apply_to(portrait @ turn.T * 1.5, displacement)
    assert np.allclose(tilted, upright @ turn.T * 1.5, atol=0.05)


# --- everything together ---


def test_same_seed_same_motion_whatever_the_pieces(speech_motion: SpeechMotion, portrait: np.ndarray):
    speech = torch.randn(150, 5, generator=torch.Generator().manual_seed(0))
    cues = SpeechCues.of_loudness(np.full(150, 0.9))
    first = speech_motion.generate(speech, cues=cues, seed=3, window_frames=1000)
    second = speech_motion.generate(speech, cues=cues, seed=3, window_frames=40)
    whole = speech_motion.landmarks_on(first, portrait, image_size_px=(640, 640))
    piece = speech_motion.landmarks_on(second, portrait, image_size_px=(640, 640), first=100, stop=130)
    assert np.allclose(piece.values, whole.values[100:130], atol=1e-2)
    assert piece.start_sec == 4 and whole.frames == 150


def test_silence_closes_the_mouth_and_closure_too(speech_motion: SpeechMotion):
    speech = torch.randn(80, 5)
    loudness = np.r_[np.ones(40), np.zeros(40)]  # lips may take a quarter of a second to meet
    cues = SpeechCues.of_loudness(loudness)
    speech_motion.generator.spoken_gap.copy_(torch.tensor([-20.0, 1.5]))  # wide open: a gap to close
    gap = lip_gap(speech_motion.displacement_mm(speech_motion.generate(speech, cues=cues, habits=STILL)))
    assert np.abs(gap[49:]).max() < 0.02 * np.abs(gap[:38]).max()
    closing = SpeechCues(silence=np.zeros(80), closure=np.ones(80))
    made = speech_motion.generate(speech, cues=closing, asked=_asked(80, AU26=1.0))
    assert lip_gap(speech_motion.displacement_mm(made)).max() < 0.1


def test_asked_units_add_and_are_linear(speech_motion: SpeechMotion, basis: AUBasis):
    speech = torch.randn(30, 5)
    plain = speech_motion.displacement_mm(speech_motion.generate(speech, habits=STILL))
    for level in (0.25, 0.5, 1.0):
        made = speech_motion.generate(speech, asked=_asked(30, AU2=level), habits=STILL)
        added = speech_motion.displacement_mm(made) - plain
        assert np.allclose(added[5], level * basis.control_displacement("AU2"), atol=0.05)


def test_a_track_takes_the_place_of_chance(speech_motion: SpeechMotion):
    speech = torch.randn(200, 5)
    blinking = speech_motion.generate(speech, seed=1)
    assert blinking.lids.any() and blinking.gaze_rad.any() and blinking.head.values.any()
    shut = speech_motion.generate(speech, seed=1, asked=_asked(200, AU43=1.0))
    assert (shut.lids == 1).all()
    still = speech_motion.generate(speech, seed=1, habits=STILL)
    assert not (still.lids.any() or still.gaze_rad.any() or still.head.values.any())
    given_head = PoseTrack(values=np.full((100, 6), 0.1), rate=Fraction(10), convention=POSE_CONVENTION)
    turned = speech_motion.generate(speech, habits=Habits(head_track=given_head))
    assert np.allclose(turned.head.values, 0.1) and turned.head.frames == 200


def test_a_performance_alone_sets_the_length_and_other_rates_are_resampled(speech_motion: SpeechMotion):
    track = au_track(np.zeros((60, len(CONTROLS))), convention="facs", rate=Fraction(30))
    assert speech_motion.generate(None, performance=track).frames == 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speech": None}, "nothing to move by"),
        ({"speech": torch.zeros(9, 7)}, r"shape \(9, 7\); this model needs \[T, 5\]"),
        (
            {"speech": torch.zeros(9, 5), "temperature": -0.1},
            "temperature is -0.1; it must be between 0 and 2",
        ),
        ({"speech": torch.zeros(9, 5), "cues": SpeechCues.of_loudness(np.ones(4))}, "cues have 4 frames"),
        ({"speech": torch.zeros(9, 5), "asked": "five"}, "range is 0 to 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(speech_motion: SpeechMotion, arguments: dict, message: str):
    if arguments.get("asked") == "five":
        arguments = arguments | {
            "asked": _asked(9, AU12=1.0).replace(values=np.full((9, len(CONTROLS)), 5.0))
        }
    with pytest.raises(UsageError, match=message):
        speech_motion.generate(arguments.pop("speech"), **arguments)
