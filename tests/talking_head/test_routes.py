"""One file and one row are enough for a new route: docs/adding_a_route.md."""

from fractions import Fraction

import numpy as np
import pytest

from auteur.motion.performance import Origin
from auteur.signals import AUTrack, Waveform
from auteur.talking_head.motion_stage import performance_of
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import ROUTES, Route, find_route
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
    performance = performance_of(PerformanceRequest(), route(speech, None), 50, settings)
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
    acted = performance_of(request, route(speech, None), 50, Settings(route="brows")).acted
    assert acted is not None and not acted.channel("AU2L").any() and acted.channel("AU2R").any()
