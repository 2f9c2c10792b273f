"""AU guidance of the motion."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.facs import CONTROLS, au_track
from auteur.motion.guidance import guided_track

UNITS = st.lists(st.floats(0, 1, width=32), min_size=len(CONTROLS), max_size=len(CONTROLS))


def track(values: list[float]):
    return au_track(np.array([values]), convention="facs", rate=Fraction(25))


@pytest.mark.slow
@given(UNITS)
def test_scale_1_is_as_requested_and_0_is_nothing(values):
    requested = track(values)
    assert guided_track(requested, 1.0) is requested
    still = guided_track(requested, 0.0)
    assert still is not None and not still.values.any()


@pytest.mark.slow
@given(UNITS, st.floats(0, 20), st.floats(0.1, 5))
def test_more_guidance_never_shows_less_and_never_passes_1(values, scale, more):
    less, much = guided_track(track(values), scale), guided_track(track(values), scale + more)
    assert less is not None and much is not None
    assert (much.values >= less.values - 1e-6).all()
    assert much.values.max() <= 1 and less.values.min() >= 0


@pytest.mark.parametrize("intensity", [0.05, 0.25, 0.5])
def test_every_step_of_the_usual_scales_shows(intensity):
    shown = [guided_track(track([intensity] * len(CONTROLS)), scale) for scale in (1, 2, 3.5, 5)]
    levels = [float(one.values[0, 0]) for one in shown if one is not None]
    assert np.all(np.diff(levels) > 0.02)


def test_missing_values_stay_missing_and_nothing_stays_nothing():
    values = [0.5] * len(CONTROLS)
    values[3] = float("nan")
    shown = guided_track(track(values), 3.5)
    assert shown is not None and np.isnan(shown.values[0]).sum() == 1
    assert guided_track(None, 3.5) is None
