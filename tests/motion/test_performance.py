"""The performance: on the grid, in one convention, unknown kept apart from zero."""

from fractions import Fraction

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.facs import CONTROLS, au_track
from auteur.facs.conventions import find_convention
from auteur.motion.performance import (
    ARTICULATION_CONTROLS,
    Origin,
    Performance,
    as_specified,
    covers_lips,
    specified_controls,
)
from auteur.signals import AUTrack, PoseTrack


def facs(frames: int, rate: int = 25, **controls: float) -> AUTrack:
    values = np.zeros((frames, len(CONTROLS)))
    for name, value in controls.items():
        values[:, [i for i, c in enumerate(CONTROLS) if c in (name, f"{name}L", f"{name}R")]] = value
    return au_track(values, convention="facs", rate=Fraction(rate))


def openface(channels: tuple[str, ...] | None = None) -> AUTrack:
    names = find_convention("openface17").channels if channels is None else channels
    values = np.full((10, len(names)), 2.5)
    return AUTrack(values=values, rate=Fraction(25), channels=names, convention="openface17")


def test_controls_that_a_table_lacks_are_not_specified():
    controls = specified_controls(openface())
    assert {"AU12L", "AU12R", "AU26", "AU4L"} <= set(controls)
    assert not {"AU18", "AU22", "AU34", "AU61L"} & set(controls)
    track = as_specified(openface())
    assert np.allclose(track.channel("AU12L"), 0.5) and np.isnan(track.channel("AU18")).all()
    brows = as_specified(openface(("AU01_r", "AU02_r")))
    assert np.isnan(brows.channel("AU12L")).all() and np.allclose(brows.channel("AU1R"), 0.5)


def test_a_channel_without_any_value_is_not_specified():
    track = openface()
    values = np.array(track.values)
    values[:, track.channels.index("AU12_r")] = np.nan
    assert "AU12L" not in specified_controls(track.replace(values=values))


def test_action_units_are_the_larger_of_acted_and_added():
    acted = facs(5, AU1=0.3)
    acted = acted.replace(values=np.where(acted.values == 0, np.nan, acted.values))
    performance = Performance(frames=5, acted=acted, added=facs(5, AU1=0.2, AU12=0.6))
    units = performance.action_units
    assert units is not None and np.isfinite(units.values).all()
    assert np.allclose(units.channel("AU1L"), 0.3) and np.allclose(units.channel("AU12R"), 0.6)
    assert Performance(frames=5).action_units is None


def test_origins_default_to_idle():
    performance = Performance(frames=3, origins={"AU12L": Origin.REQUESTED})
    assert performance.origin("AU12L") is Origin.REQUESTED and performance.origin("AU1L") is Origin.IDLE


def test_lips_are_covered_where_the_mouth_ever_opens():
    assert covers_lips(facs(4, AU26=0.2)) and covers_lips(facs(4, AU25=0.1))
    assert not covers_lips(facs(4, AU12=1.0))
    assert not covers_lips(as_specified(openface(("AU01_r",))))


def test_what_forms_sounds_is_named():
    assert {"AU25", "AU26", "AU18", "AU22"} <= ARTICULATION_CONTROLS
    assert not {"AU12L", "AU15R", "AU4L", "AU9L"} & ARTICULATION_CONTROLS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"acted": facs(4)}, "acted has 4 frames at 25/s from 0 s; the performance has 5 at 25/s from 0 s"),
        ({"added": facs(5, rate=30)}, "added has 5 frames at 30/s"),
        ({"acted": openface().replace(values=np.zeros((10, 17)))}, "acted has 10 frames"),
        (
            {
                "head": PoseTrack(
                    values=np.zeros((3, 6)), rate=Fraction(25), convention="relative_canonical_mm"
                )
            },
            "head has 3 frames",
        ),
    ],
)
def test_what_is_not_on_the_grid_is_refused(changes: dict, message: str):
    with pytest.raises(UsageError, match=message):
        Performance(frames=5, **changes)


def test_another_convention_is_refused():
    track = openface().resample(25, frames=5)
    with pytest.raises(UsageError, match="added is in the convention 'openface17'; convert it to 'facs'"):
        Performance(frames=5, added=track)


def test_a_mouth_that_speech_moves_is_conditioned_on_nothing_and_keeps_its_smile():
    acted = facs(5, AU1=0.3, AU12=0.6, AU26=0.9)
    spoken = Performance(frames=5, acted=acted, added=facs(5, AU12=0.2, AU15=0.1)).with_spoken_lips()
    assert spoken.acted is not None and spoken.added is not None and spoken.action_units is not None
    assert np.allclose(spoken.acted.channel("AU1L"), 0.3)
    assert np.isnan(spoken.acted.channel("AU12L")).all() and np.isnan(spoken.acted.channel("AU26")).all()
    assert np.allclose(spoken.added.channel("AU12L"), 0.6) and np.allclose(spoken.added.channel("AU15R"), 0.1)
    assert not spoken.added.channel("AU26").any() and not spoken.added.channel("AU1L").any()
    assert np.allclose(spoken.action_units.channel("AU26"), 0.9)  # what was requested is kept for files
    idle = Performance(frames=5)
    assert idle.with_spoken_lips() is idle
