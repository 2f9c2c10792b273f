"""One file and one row are enough for a new route: docs/adding_a_route.md."""

import re
import textwrap
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import toy_route

from auteur.errors import UsageError
from auteur.expression.speech_to_au import SpeechToAU
from auteur.motion.performance import Origin
from auteur.signals import AUTrack, PoseTrack, Waveform
from auteur.talking_head.inputs import speech_of
from auteur.talking_head.motion_stage import performance_of
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import ROUTES, Route, auhead, find_route, performance_of_route
from auteur.talking_head.settings import Settings


@pytest.fixture
def brows(monkeypatch):
    monkeypatch.setitem(ROUTES, "brows", Route("loudness raises the brows", "toy_route:brows_by_loudness"))


@pytest.fixture
def speech() -> Waveform:
    tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    return Waveform(samples=np.concatenate([0 * tone, 0.3 * tone]).astype(np.float32), rate_hz=16000)


def test_a_row_makes_a_route_whose_units_condition_the_motion(brows, speech):
    settings = Settings(route="brows")
    route = find_route("brows").load()
    assert route is not None
    performance = performance_of(PerformanceRequest(), route(speech, PerformanceRequest()), 50, settings)
    raised = performance.acted
    assert raised is not None and raised.rate == Fraction(25)
    assert raised.channel("AU2L")[:20].max() == 0 and raised.channel("AU2L")[30:45].min() > 0.5
    assert performance.origins == {"AU2L": Origin.HEARD, "AU2R": Origin.HEARD}
    assert performance.override is not None and performance.override.min() == 1


def test_a_track_wins_over_the_route(brows, speech):
    route = find_route("brows").load()
    assert route is not None
    still = AUTrack(values=np.zeros((50, 1)), rate=Fraction(25), channels=("AU2L",), convention="facs")
    request = PerformanceRequest(track=still)
    acted = performance_of(request, route(speech, request), 50, Settings(route="brows")).acted
    assert acted is not None and not acted.channel("AU2L").any() and acted.channel("AU2R").any()


def test_head_and_gaze_of_a_route_move_the_face_unless_the_request_names_others(brows, speech):
    head = PoseTrack(
        values=np.full((50, 6), 0.1, np.float32), rate=Fraction(25), convention="relative_canonical_mm"
    )
    gaze = np.full((50, 2), 0.2)
    predicted = replace(performance_of_route(speech, None), head=head, gaze_rad=gaze)
    settings = Settings(route="brows")
    made = performance_of(PerformanceRequest(), predicted, 50, settings)
    assert made.head is head and made.gaze_rad is gaze
    still = PerformanceRequest(head_track="none", gaze_track="none")
    made = performance_of(still, predicted, 50, settings)
    assert made.head is None and made.gaze_rad is None
    other = head.replace(values=2 * head.values)
    made = performance_of(PerformanceRequest(head_track=other), predicted, 50, settings)
    assert made.head is not None and np.allclose(made.head.values, 0.2)
    assert (
        performance_of(PerformanceRequest(action_units={"AU61": 0.5}), predicted, 50, settings).gaze_rad
        is None
    )


def test_a_route_that_is_not_as_long_as_the_speech_is_refused(speech):
    with pytest.raises(UsageError, match="the route gives 50 frames; the speech has 60"):
        performance_of(PerformanceRequest(), performance_of_route(speech, None), 60, Settings())


def test_the_page_shows_the_route_that_is_tested():
    page = (Path(__file__).parents[2] / "docs" / "adding_a_route.md").read_text(encoding="utf-8")
    shown = re.search(r"```py\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    written = textwrap.dedent(shown[1]).strip()
    assert written in Path(toy_route.__file__).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_recognised_emotion_counts_by_its_probability_and_a_requested_one_in_full():
    speech = speech_of(Path(__file__).parents[2] / "examples" / "speech.flac").sound
    route, model = auhead(), SpeechToAU.shipped()
    predicted = model(speech)
    assert 0 < predicted.probability < 1
    shown = route(speech, PerformanceRequest())
    raw = performance_of_route(speech, predicted.track).acted
    assert shown.acted is not None and raw is not None
    assert np.allclose(shown.acted.values, predicted.probability * raw.values, atol=1e-6, equal_nan=True)
    says_so = any("emotion of the voice is unclear" in note for note in shown.notes)
    assert says_so == (predicted.emotion != "neutral" and predicted.probability < 0.4)
    request = PerformanceRequest("happy")
    full = performance_of_route(speech, model(speech, emotion="happy", intensity=1.0).track).acted
    requested = route(speech, request).acted
    assert full is not None and requested is not None
    assert np.allclose(requested.values, full.values, atol=1e-6, equal_nan=True)
