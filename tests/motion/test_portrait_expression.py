"""A portrait's own expression gives way to the request, and its lips meet."""

import numpy as np
import pytest
import torch

from auteur.errors import UsageError
from auteur.face.pose import without_pose
from auteur.facs import CONTROLS, MEDIAPIPE_BLENDSHAPES, au_track
from auteur.motion.au_basis import AUBasis
from auteur.motion.mouth import LIP_PAIRS, lip_gap
from auteur.motion.performance import Performance
from auteur.motion.portrait import apply_to, with_eyes_held
from auteur.motion.portrait_expression import PortraitExpression, closing, portrait_expression
from auteur.motion.speech_motion import MotionOptions, SpeechMotion

SMILE = np.array([0.6 if name.startswith(("AU12", "AU6")) else 0.0 for name in CONTROLS])


def smiling(portrait: np.ndarray, basis: AUBasis) -> np.ndarray:
    """The portrait with a smile and parted lips."""
    return apply_to(portrait, basis.displacement({"AU12": 0.8, "AU25": 1.0})[None])[0]


def requested(frames: int, **levels: float):
    values = np.zeros((frames, len(CONTROLS)))
    for name, level in levels.items():
        values[:, [i for i, c in enumerate(CONTROLS) if c in (name, f"{name}L", f"{name}R")]] = level
    return au_track(values, convention="facs", rate=25)


def test_a_smile_is_measured_and_a_plain_face_shows_nothing(portrait: np.ndarray, basis: AUBasis):
    blank = np.zeros(52)
    open_smile = ("mouthSmileLeft", "mouthSmileRight", "jawOpen")
    laughs = np.array([0.9 if name in open_smile else 0.0 for name in MEDIAPIPE_BLENDSHAPES])
    smile = portrait_expression(smiling(portrait, basis), laughs)
    assert smile.intensities[CONTROLS.index("AU12L")] > 0.4 and smile.jaw_share == 1
    assert portrait_expression(portrait, blank).intensities[CONTROLS.index("AU12L")] == 0
    assert not smile.intensities[[CONTROLS.index(f"AU{n}L") for n in (43, 45, 61)]].any()
    with pytest.raises(UsageError, match="478, 3"):
        portrait_expression(portrait[None], blank)


@pytest.mark.parametrize("jaw_share", [0.0, 0.5, 1.0])
def test_closing_brings_every_pair_of_the_lips_together(portrait, basis, jaw_share):
    face = smiling(portrait, basis)
    closed = apply_to(face, closing(face, basis, jaw_share)[None])[0]
    before, after = without_pose(face), without_pose(closed)
    for upper, lower in LIP_PAIRS:
        assert abs(after[lower, 1] - after[upper, 1]) <= max(0.5, 0.05 * lip_gap(before))
    still = [1, 4, 33, 263, 105, 10]
    assert np.abs(after[still] - before[still]).max() < 0.2


def test_the_override_weight_decides_what_gives_way():
    own = PortraitExpression(intensities=SMILE, jaw_share=0.0)
    column = CONTROLS.index("AU12L")
    whole = own.replaced_by(None, np.array([0.0, 0.5, 1.0])).values[:, column]
    np.testing.assert_allclose(whole, [0, 0.3, 0.6], rtol=1e-5)
    mouth = own.replaced_by(requested(2, AU15=0.5), np.zeros(2)).values
    assert mouth[0, column] == pytest.approx(0.3) and not mouth[:, CONTROLS.index("AU6L")].any()
    assert not own.replaced_by(requested(2, AU2=1.0), np.zeros(2)).values.any()


def test_a_requested_smile_replaces_a_smile(speech_motion: SpeechMotion, portrait, basis):
    face = smiling(portrait, basis)
    own = PortraitExpression(intensities=SMILE, jaw_share=0.0)
    still = MotionOptions(temperature=0, blinks=False, gaze=False, head=0.0)

    def width(level: float, own: PortraitExpression | None) -> float:
        made = speech_motion.generate(
            torch.zeros(30, 5), Performance(frames=30, added=requested(30, AU12=level)), options=still
        )
        track = speech_motion.landmarks_on(made, face, image_size_px=(640, 640), own=own)
        return float(np.ptp(track.values[-1][[61, 291], 0]))

    assert width(1.0, own) < width(1.0, None)
    assert width(0.0, own) < width(0.5, own) < width(1.0, own)


def test_at_rest_is_the_portrait_without_its_expression(speech_motion: SpeechMotion, portrait, basis):
    face = smiling(portrait, basis)
    rest = speech_motion.at_rest(face, PortraitExpression(intensities=SMILE, jaw_share=0.0))
    gaps = [float(lip_gap(without_pose(points))) for points in (face, rest)]
    assert gaps[0] > 4 and abs(gaps[1]) < 0.3
    assert np.ptp(rest[[61, 291], 0]) < np.ptp(face[[61, 291], 0]) - 3


def test_a_wide_mouth_is_closed_by_the_jaw_for_any_blendshapes(portrait, basis):
    wide = apply_to(portrait, 24 * basis.opening.numpy()[None])[0]
    gap = float(lip_gap(without_pose(wide)))
    moved = closing(wide, basis, jaw_share=0.0)
    lips_alone = basis.control_displacement("AU25")
    lips_alone = lips_alone[152, 1] / float(lip_gap(lips_alone)) * gap
    assert gap > 20 and moved[152, 1] < -3 * lips_alone  # the chin goes up with them
    assert abs(float(lip_gap(without_pose(apply_to(wide, moved[None])[0])))) < 0.05 * gap


def lidded(portrait: np.ndarray, right: float, left: float) -> np.ndarray:
    """The portrait with its lids closed so far."""
    return apply_to(portrait, np.zeros((1, 478, 3)), lids=np.array([[right, left]]))[0]


def test_closed_lids_show_no_eye(portrait):
    blank = np.zeros(52)
    lashes = np.array([0.5 if name.startswith("eyeBlink") else 0.0 for name in MEDIAPIPE_BLENDSHAPES])
    assert portrait_expression(portrait, blank).eyes_shown.tolist() == [1, 1]
    assert portrait_expression(lidded(portrait, 1, 0), blank).eyes_shown.tolist() == [0, 1]
    half = lidded(portrait, 0.5, 0.5)  # a gap that lashes alone can make, or an eye half open
    assert (
        portrait_expression(half, lashes).eyes_shown.max() < portrait_expression(half, blank).eyes_shown.min()
    )


def test_closed_eyes_go_with_the_head_and_nothing_else(speech_motion: SpeechMotion, portrait):
    face = lidded(portrait, 1, 0)
    own = PortraitExpression(
        intensities=np.zeros(len(CONTROLS)), jaw_share=0.0, eyes_shown=np.array([0.0, 1.0])
    )
    made = speech_motion.generate(
        torch.zeros(40, 5),
        Performance(frames=40, added=requested(40, AU5=1.0, AU1=1.0)),
        options=MotionOptions(seed=3),
    )
    track = speech_motion.landmarks_on(made, face, image_size_px=(640, 640), own=own)
    poseless, still = without_pose(track.values), without_pose(face)
    gaps = [poseless[:, lower, 1] - poseless[:, upper, 1] for upper, lower in ((159, 145), (386, 374))]
    own_gaps = [still[lower, 1] - still[upper, 1] for upper, lower in ((159, 145), (386, 374))]
    assert np.abs(gaps[0] - own_gaps[0]).max() < 0.3 < 1 < np.ptp(gaps[1])
    again = with_eyes_held(track.values, face, np.ones(2), made.head)
    np.testing.assert_array_equal(again, track.values)
