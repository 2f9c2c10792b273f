"""The route of paper B: the emotion control in the final video."""

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from auteur import provenance
from auteur.face.pose import without_pose
from auteur.facs import prototype
from auteur.media import write_audio, write_image
from auteur.motion.au_basis import AUBasis
from auteur.motion.mouth import lip_gap
from auteur.signals import Waveform
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import emodiffhead
from auteur.talking_head.talking_head import Settings, TalkingHead
from auteur.weights import load_shipped

pytestmark = pytest.mark.slow

MARK = provenance.Mark(watermark=False)
STILL = Settings(route="emodiffhead", head=0.0, blinks=False, gaze=False)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("emotion_control")
    write_image(place / "me.png", np.ascontiguousarray(data.astronaut()[0:257, 96:353]), mark=MARK)
    times = np.arange(24000) / 16000
    voice = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 20))
    sound = 0.05 * (1 - np.cos(2 * np.pi * 4 * times)) * voice
    write_audio(place / "talk.wav", Waveform(samples=sound.astype(np.float32), rate_hz=16000), mark=MARK)
    return place / "me.png", place / "talk.wav"


@pytest.fixture(scope="module")
def head() -> TalkingHead:
    return TalkingHead.from_pretrained("warp")


def mesh(video) -> np.ndarray:
    return without_pose(np.asarray(video.landmarks().values))


def test_strength_0_is_the_neutral_run_to_the_bit(head: TalkingHead, inputs: tuple[Path, Path]):
    zero = head(*inputs, emotion="angry", intensity=0.0, settings=STILL)
    neutral = head(*inputs, emotion="neutral", settings=STILL)
    np.testing.assert_array_equal(zero.landmarks().values, neutral.landmarks().values)
    assert np.array_equal(next(zero.frames()), next(neutral.frames()))


@pytest.mark.parametrize("emotion", ["sad", "fear", "surprised"])
def test_the_route_shows_the_prototype_in_proportion(emotion: str):
    basis = load_shipped(AUBasis(), "au_basis")
    wanted = basis.displacement(prototype(emotion, convention="facs"))
    speech = Waveform(samples=np.zeros(32000, np.float32), rate_hz=16000)
    express = emodiffhead()
    for strength in (0.0, 0.5, 1.0):
        shown = express(speech, PerformanceRequest(emotion, strength)).expression
        assert shown is not None
        moved = shown.displacement_mm(slice(0, 50)).mean(axis=0)
        assert np.linalg.norm(moved - strength * wanted) <= 0.15 * strength * np.linalg.norm(wanted)


def test_faces_move_in_proportion_and_lips_keep_time(head: TalkingHead, inputs: tuple[Path, Path]):
    faces = {a: mesh(head(*inputs, emotion="happy", intensity=a, settings=STILL)) for a in (0.0, 0.5, 1.0)}
    corners = [61, 291]
    half, whole = (faces[a][:, corners] - faces[0.0][:, corners] for a in (0.5, 1.0))
    assert np.linalg.norm(whole, axis=2).mean() > 1.0
    assert np.corrcoef(half.ravel(), whole.ravel())[0, 1] > 0.99
    assert np.linalg.norm(half) == pytest.approx(np.linalg.norm(whole) / 2, rel=0.1)
    assert np.corrcoef(lip_gap(faces[0.0]), lip_gap(faces[1.0]))[0, 1] > 0.98


def test_units_are_shown_and_controls_still_work(head: TalkingHead, inputs: tuple[Path, Path]):
    plain = head(*inputs, emotion="happy", settings=STILL)
    assert plain.au_track is not None
    assert plain.au_track.channel("AU12L").mean() > 0.2
    raised = head(*inputs, emotion="happy", au={"AU2": 1.0}, settings=STILL)
    assert (mesh(raised)[:, 105, 1] < mesh(plain)[:, 105, 1] - 0.5).all()
    unsmiling = head(*inputs, emotion="happy", au={"AU12": 0.0}, settings=STILL)
    assert not unsmiling.au_track.channel("AU12L").any()
    width = [np.ptp(mesh(video)[:, [61, 291], 0], axis=1).mean() for video in (unsmiling, plain)]
    assert width[0] < width[1] - 1


def test_a_curve_comes_and_goes_and_a_blend_is_the_sum(head: TalkingHead, inputs: tuple[Path, Path]):
    calm = mesh(head(*inputs, emotion="neutral", settings=STILL))
    curved = mesh(head(*inputs, emotion="0s neutral, 0.5s happy:1, 1s neutral", settings=STILL))
    whole = mesh(head(*inputs, emotion="happy", settings=STILL))
    np.testing.assert_array_equal(curved[0], calm[0])
    np.testing.assert_array_equal(curved[-1], calm[-1])
    corners = [61, 291]
    moved = np.linalg.norm(curved[:, corners] - calm[:, corners], axis=2).mean(axis=1)
    assert 10 <= int(moved.argmax()) <= 15
    np.testing.assert_allclose(curved[12:13, 200], whole[12:13, 200], atol=0.5)
    both, sad, fear = (
        mesh(head(*inputs, emotion=text, settings=STILL)) - calm
        for text in ("0s sad:0.4+fear:0.3", "0s sad:0.4", "0s fear:0.3")
    )
    brows = [105, 107, 334, 336]
    np.testing.assert_allclose(both[:, brows], (sad + fear)[:, brows], atol=0.25)


def test_a_constant_curve_is_the_emotion(head: TalkingHead, inputs: tuple[Path, Path]):
    curve, label = (head(*inputs, emotion=emotion, settings=STILL) for emotion in ("0s angry:1", "angry"))
    np.testing.assert_array_equal(curve.landmarks().values, label.landmarks().values)
