"""Lips, lids, habits, Action Units, and motion on a portrait."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.face.action_units import CENTRAL_WEIGHTS, MEASURES, SIDED_WEIGHTS
from auteur.face.pose import MIRROR, canonical_face, head_pose, without_pose
from auteur.facs import ACTION_UNITS, CONTROLS, UNSHOWN_UNITS, au_track, prototype
from auteur.motion.au_basis import BASIS_UNITS, AUBasis
from auteur.motion.cues import SpeechCues
from auteur.motion.grid import MOTION_RATE
from auteur.motion.idle_motion import POSE_CONVENTION, IdleMotion
from auteur.motion.mouth import LID_PAIRS, LIP_PAIRS, fused_gap, kept_apart, lip_gap, with_lip_gap
from auteur.motion.performance import Performance
from auteur.motion.portrait import apply_to
from auteur.motion.speech_motion import MotionOptions, SpeechMotion
from auteur.signals import PoseTrack

STILL = MotionOptions(blinks=False, gaze=False, head=0.0)
millimetres = st.floats(-5, 25)


def _requested(frames: int, **controls: float):
    values = np.zeros((frames, len(CONTROLS)))
    for name, value in controls.items():
        values[:, [i for i, c in enumerate(CONTROLS) if c in (name, f"{name}L", f"{name}R")]] = value
    return au_track(values, convention="facs", rate=Fraction(25))


# --- lips ---


@given(millimetres, millimetres, st.floats(0, 1))
def test_bilabials_close_and_vowels_stay_open(spoken: float, requested: float, closure: float):
    gap = float(fused_gap(np.array([spoken]), np.array([requested]), np.array([closure]))[0])
    free = float(fused_gap(np.array([spoken]), np.array([requested]), np.zeros(1))[0])
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


def test_no_unit_is_faint_at_full_intensity(basis: AUBasis):
    for number in BASIS_UNITS:
        assert np.linalg.norm(basis.control_displacement(f"AU{number}"), axis=1).max() > 4, f"AU{number}"


def test_puffed_cheeks_widen_the_face_and_come_forward(basis: AUBasis):
    moved, face = basis.control_displacement("AU34"), canonical_face()
    for right, left in ((58, 288), (207, 427)):
        assert face[right, 0] < 0 < face[left, 0]
        assert moved[right, 2] < -1 and moved[left, 2] < -1  # z is away from the viewer
    assert moved[58, 0] < -2 and moved[288, 0] > 2
    assert np.abs(moved[[105, 107, 159, 386]]).max() < 0.3


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


_DIRECTIONS = {
    "happy": {"corner up": (61, 1, -1), "cheek up": (50, 1, -1)},
    "sad": {"inner brow up": (107, 1, -1), "corner down": (61, 1, 1)},
    "angry": {"inner brow down": (107, 1, 1), "inner brow inwards": (55, 0, 1), "lower lid up": (145, 1, -1)},
    "fear": {
        "inner brow up": (107, 1, -1),
        "inner brow inwards": (55, 0, 1),
        "upper lid up": (159, 1, -1),
        "corner out": (61, 0, -1),
    },
    "disgusted": {
        "wing of the nose up": (98, 1, -1),
        "upper lip up": (0, 1, -1),
        "inner brow down": (107, 1, 1),
    },
    "surprised": {
        "inner brow up": (107, 1, -1),
        "outer brow up": (70, 1, -1),
        "upper lid up": (159, 1, -1),
        "chin down": (152, 1, 1),
    },
    "contempt": {"corner out": (61, 0, -1)},
}
"""What EMFACS demands of the subject's right half: vertex, axis (x to the picture's right, y down), sign."""


@pytest.mark.parametrize("emotion", _DIRECTIONS)
def test_emotions_move_the_face_as_people_read_it(basis: AUBasis, emotion: str):
    moved = basis.displacement(prototype(emotion, convention="facs"))
    for what, (vertex, axis, sign) in _DIRECTIONS[emotion].items():
        assert sign * moved[vertex, axis] > 0.8, what


def test_emotions_that_are_confused_differ(basis: AUBasis):
    at = {e: basis.displacement(prototype(e, convention="facs")) for e in _DIRECTIONS}
    assert at["sad"][107, 1] < -4  # inner ends rise much more than outer ones: oblique brows
    assert abs(at["sad"][70, 1]) < 1
    assert at["fear"][55, 0] > 0 > at["surprised"][55, 0]  # drawn together, and not
    assert np.abs(at["contempt"][291]).max() < 0.2 * np.abs(at["contempt"][61]).max()


def test_brows_that_rise_against_a_frown_stay_high_and_come_together(basis: AUBasis):
    raised, lowered = (basis.displacement({unit: 1.0}) for unit in ("AU1", "AU4"))
    both = basis.displacement({"AU1": 1.0, "AU4": 1.0})
    assert both[107, 1] < -3 < raised[107, 1] + lowered[107, 1]  # y is down: the sum would cancel out
    assert both[55, 0] > lowered[55, 0] + 1 and both[285, 0] < lowered[285, 0] - 1
    outer = [46, 70, 276, 300]
    assert np.allclose(both[outer], (raised + lowered)[outer], atol=0.05)  # nor do lids and mouth change
    assert np.allclose(both[[13, 61, 159, 386]], (raised + lowered)[[13, 61, 159, 386]], atol=0.05)


def test_brows_of_one_side_and_of_weaker_units_are_a_part_of_it(basis: AUBasis):
    both = basis.displacement({"AU1": 1.0, "AU4": 1.0})
    assert np.allclose(basis.displacement({"AU1": 0.4, "AU4": 0.4}), 0.4 * both, atol=1e-4)
    sides = [basis.displacement({f"AU1{side}": 1.0, f"AU4{side}": 1.0}) for side in "LR"]
    assert np.allclose(sides[0] + sides[1], both, atol=1e-3)
    crossed = basis.displacement({"AU1L": 1.0, "AU4R": 1.0})
    alone = basis.displacement({"AU1L": 1.0}) + basis.displacement({"AU4R": 1.0})
    assert np.array_equal(crossed, alone)
    track = _requested(2, AU1=0.9, AU4=0.3)
    assert np.allclose(
        basis.track_displacement(track)[1], basis.displacement({"AU1": 0.9, "AU4": 0.3}), atol=1e-3
    )


def test_basis_is_linear_in_intensity_and_ignores_what_it_cannot_move(basis: AUBasis):
    half, full = basis.displacement({"AU12": 0.5}), basis.displacement({"AU12": 1.0})
    assert np.allclose(2 * half, full, atol=1e-5)
    assert not basis.control_displacement("AU61").any()
    moved_elsewhere = {43, 61, 62, 63, 64}
    assert set(ACTION_UNITS) == {*BASIS_UNITS, *moved_elsewhere, *UNSHOWN_UNITS}
    assert not UNSHOWN_UNITS & {*BASIS_UNITS, *moved_elsewhere}
    track = _requested(3, AU12=0.5)
    assert np.allclose(basis.track_displacement(track)[1], half, atol=1e-4)


# --- habits ---


def test_blinks_come_as_often_and_look_like_peoples(idle: IdleMotion):
    minutes, rate = 10, 100
    lids = idle.blinks(minutes * 60 * rate, seed=4, rate=Fraction(rate))[:, 0]
    inside = np.diff((lids > 0.4).astype(int))
    assert 12 <= (inside == 1).sum() / minutes <= 22
    start = int(np.flatnonzero(inside == 1)[0])
    peak = start + int(lids[start : start + 40].argmax())
    down = (peak - np.flatnonzero(lids[:peak] < 0.02)[-1]) / rate
    up = (np.flatnonzero(lids[peak:] < 0.02)[0]) / rate
    assert 0.04 <= down <= 0.14 < up + 0.05 and up > 1.3 * down


def test_idle_motion_does_not_depend_on_the_number_of_frames(idle: IdleMotion):
    assert np.allclose(idle.blinks(100, seed=7), idle.blinks(1000, seed=7)[:100])
    assert np.allclose(idle.gaze_angles(100, seed=7), idle.gaze_angles(1000, seed=7)[:100])
    assert not np.allclose(idle.gaze_angles(500, seed=8), idle.gaze_angles(500, seed=7))


def test_blinks_move_to_the_starts_of_pauses(idle: IdleMotion):
    silence = np.zeros(5000)
    starts = np.arange(40, 5000, 40)
    for start in starts:
        silence[start : start + 12] = 1
    free, phrased = (idle.blinks(5000, seed=3, silence=curve)[:, 0] for curve in (None, silence))

    def onsets(lids: np.ndarray) -> np.ndarray:
        return np.flatnonzero(np.diff((lids > 0.02).astype(int)) == 1)

    def near(lids: np.ndarray) -> float:
        return float(np.mean([np.abs(starts - onset).min() <= 2 for onset in onsets(lids)]))

    assert near(phrased) > 0.75 > 0.3 > near(free)
    assert 0.6 < len(onsets(phrased)) / len(onsets(free)) <= 1


def test_eyes_look_away_before_a_phrase_and_come_back(idle: IdleMotion):
    silence = np.zeros(3000)
    for start in range(50, 3000, 100):
        silence[start : start + 25] = 1
    without, turned = (idle.gaze_angles(3000, seed=5, silence=curve) for curve in (None, silence))
    away = np.linalg.norm(turned - without, axis=1)
    assert 0.2 < np.mean([away[start : start + 25].max() > 0.02 for start in range(50, 3000, 100)]) < 0.8
    assert away[silence == 0][2:].mean() < 0.01


def test_gaze_rests_and_jumps(idle: IdleMotion):
    steps = np.linalg.norm(np.diff(idle.gaze_angles(3000, seed=2), axis=0), axis=1)
    assert (steps < 1e-6).mean() > 0.6
    assert 0.02 < steps.max() < 0.4


# --- on a portrait ---


def test_no_motion_gives_the_portrait_back(portrait: np.ndarray):
    still = PoseTrack(values=np.zeros((2, 6)), rate=Fraction(25), convention=POSE_CONVENTION)
    moved = apply_to(
        portrait, np.zeros((2, 478, 3)), head=still, lids=np.zeros((2, 2)), gaze_rad=np.zeros((2, 2))
    )
    assert np.allclose(moved, portrait, atol=1e-3)


def test_lids_meet_on_any_portrait_and_only_on_the_requested_side(portrait: np.ndarray):
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


def _speech(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(frames, 5, generator=torch.Generator().manual_seed(seed))


def _performance(frames: int, **changes) -> Performance:
    return Performance(frames=frames, **changes)


def test_same_seed_same_motion_whatever_the_pieces(speech_motion: SpeechMotion, portrait: np.ndarray):
    speech, idle = _speech(150), _performance(150)
    cues, options = SpeechCues.of_loudness(np.full(150, 0.9)), MotionOptions(seed=3)
    first = speech_motion.generate(speech, idle, cues=cues, options=options, window_frames=1000)
    second = speech_motion.generate(speech, idle, cues=cues, options=options, window_frames=40)
    whole = speech_motion.landmarks_on(first, portrait, image_size_px=(640, 640))
    piece = speech_motion.landmarks_on(second, portrait, image_size_px=(640, 640), first=100, stop=130)
    assert np.allclose(piece.values, whole.values[100:130], atol=1e-2)
    assert piece.start_sec == 4 and whole.frames == 150
    other = speech_motion.generate(speech, idle, cues=cues, options=MotionOptions(seed=4))
    assert not np.allclose(other.coefficients, first.coefficients, atol=1e-3)
    assert not np.allclose(other.head.values, first.head.values, atol=1e-3)


def test_long_silence_closes_the_mouth_and_closure_too(speech_motion: SpeechMotion):
    speech, idle = _speech(100), _performance(100)
    cues = SpeechCues.of_loudness(np.r_[np.ones(40), np.zeros(60)])  # lips may take half a second to meet
    gap = lip_gap(
        speech_motion.displacement_mm(speech_motion.generate(speech, idle, cues=cues, options=STILL))
    )
    assert np.abs(gap[56:]).max() < 0.02 * np.abs(gap[:38]).max()
    closing = SpeechCues(silence=np.zeros(100), closure=np.ones(100), pause=np.zeros(100))
    opened = _performance(100, added=_requested(100, AU26=1.0))
    made = speech_motion.generate(speech, opened, cues=closing)
    assert lip_gap(speech_motion.displacement_mm(made)).max() < 0.1


def test_a_short_pause_leaves_the_lips_to_the_model(speech_motion: SpeechMotion):
    speech, idle = _speech(100), _performance(100)
    loudness = np.ones(100)
    loudness[40:50] = 0
    paused, free = (
        lip_gap(
            speech_motion.displacement_mm(
                speech_motion.generate(speech, idle, cues=SpeechCues.of_loudness(curve), options=STILL)
            )
        )
        for curve in (loudness, np.ones(100))
    )
    assert np.allclose(paused, free, atol=0.05)


def test_added_units_are_linear(speech_motion: SpeechMotion, basis: AUBasis):
    speech = _speech(30)
    plain = speech_motion.displacement_mm(speech_motion.generate(speech, _performance(30), options=STILL))
    for level in (0.25, 0.5, 1.0):
        requested = _performance(30, added=_requested(30, AU2=level))
        added = (
            speech_motion.displacement_mm(speech_motion.generate(speech, requested, options=STILL)) - plain
        )
        assert np.allclose(added[5], level * basis.control_displacement("AU2"), atol=0.05)


@pytest.mark.slow
def test_a_performance_replaces_what_is_drawn(speech_motion: SpeechMotion):
    speech, options = _speech(200), MotionOptions(seed=1)
    blinking = speech_motion.generate(speech, _performance(200), options=options)
    assert blinking.lids.any() and blinking.gaze_rad.any() and blinking.head.values.any()
    shut = speech_motion.generate(speech, _performance(200, added=_requested(200, AU43=1.0)), options=options)
    assert (shut.lids == 1).all()
    still = speech_motion.generate(speech, _performance(200), options=STILL)
    assert not (still.lids.any() or still.gaze_rad.any() or still.head.values.any())
    head = PoseTrack(values=np.full((200, 6), 0.1), rate=MOTION_RATE, convention=POSE_CONVENTION)
    turned = speech_motion.generate(speech, _performance(200, head=head))
    assert np.allclose(turned.head.values, 0.1, atol=0.01)
    half = speech_motion.generate(speech, _performance(200, head=head), options=MotionOptions(head=0.5))
    assert np.allclose(half.head.values, 0.05, atol=0.005)
    gaze = np.full((200, 2), 0.2)
    looking = speech_motion.generate(speech, _performance(200, gaze_rad=gaze))
    assert np.array_equal(looking.gaze_rad, gaze)


def test_heads_stay_within_what_the_warp_has_pixels_for(speech_motion: SpeechMotion):
    head = PoseTrack(values=np.full((50, 6), 3.0), rate=MOTION_RATE, convention=POSE_CONVENTION)
    turned = speech_motion.generate(None, _performance(50, head=head, acted=_acted(50)))
    assert np.degrees(turned.head.values[:, :3]).max(axis=0) == pytest.approx([20, 25, 15], rel=0.01)


def _acted(frames: int, **controls: float):
    """A recorded track that measures the given controls and nothing else."""
    track = _requested(frames, **controls)
    given = np.isin(track.channels, [c for c in CONTROLS for n in controls if c in (n, f"{n}L", f"{n}R")])
    return track.replace(values=np.where(given, track.values, np.nan))


@pytest.mark.slow
def test_a_track_conditions_the_generator_and_owns_the_lips_only_where_it_is_their_source(
    speech_motion: SpeechMotion,
):
    frames = 60

    def coefficients(speech, lips, **controls):
        performance = _performance(frames, acted=_acted(frames, **controls), lips=lips)
        return speech_motion.generate(speech, performance, options=STILL).coefficients

    one, other = _speech(frames, 0), _speech(frames, 1)
    # The track is the source: the speech has no part in the lips, and the jaw's value matters.
    assert np.array_equal(coefficients(one, "track", AU26=0.5), coefficients(other, "track", AU26=0.5))
    assert not np.allclose(
        coefficients(one, "track", AU26=0.5), coefficients(one, "track", AU26=0.9), atol=1e-3
    )
    # Speech is the source: the jaw's value does not matter, the brows' does.
    assert np.array_equal(
        coefficients(one, "speech", AU26=0.5, AU4=0.1), coefficients(one, "speech", AU26=0.9, AU4=0.1)
    )
    assert not np.allclose(
        coefficients(one, "speech", AU4=0.1), coefficients(one, "speech", AU4=0.9), atol=1e-3
    )
    # Both: both matter.
    assert not np.allclose(
        coefficients(one, "both", AU26=0.5), coefficients(other, "both", AU26=0.5), atol=1e-3
    )
    assert not np.allclose(
        coefficients(one, "both", AU26=0.5), coefficients(one, "both", AU26=0.9), atol=1e-3
    )


def test_what_a_track_does_not_measure_is_not_zero(speech_motion: SpeechMotion):
    zero = _performance(40, acted=_acted(40, AU4=0.3, AU12=0.0), lips="track")
    unknown = _performance(40, acted=_acted(40, AU4=0.3), lips="track")
    made = [speech_motion.generate(None, one, options=STILL).coefficients for one in (zero, unknown)]
    assert not np.allclose(made[0], made[1], atol=1e-3)


def test_an_idle_performance_without_speech_is_motion_all_the_same(speech_motion: SpeechMotion):
    assert np.isfinite(speech_motion.generate(None, _performance(30)).coefficients).all()


@pytest.mark.parametrize(
    ("speech", "arguments", "message"),
    [
        (torch.zeros(9, 7), {}, r"shape \(9, 7\); the performance needs \[9, 5\]"),
        (torch.zeros(8, 5), {}, r"shape \(8, 5\); the performance needs \[9, 5\]"),
        (torch.zeros(9, 5), {"cues": SpeechCues.of_loudness(np.ones(4))}, "cues have 4 frames"),
    ],
)
def test_bad_input_is_refused_in_one_line(speech_motion: SpeechMotion, speech, arguments: dict, message: str):
    with pytest.raises(UsageError, match=message):
        speech_motion.generate(speech, _performance(9), **arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1; it must be between 0 and 2"),
        ({"liveliness": 2.5}, "liveliness is 2.5; it must be between 0 and 2"),
        ({"head": 4.0}, "head is 4.0; it must be between 0 and 3"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict, message: str):
    with pytest.raises(UsageError, match=message):
        MotionOptions(**options)
