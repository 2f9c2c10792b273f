"""Blinks and shifts of the gaze: what is planted is found, and what is not there is named."""

from pathlib import Path

import numpy as np
import pytest

from auteur.errors import InputError, UsageError
from auteur.lab.data.shards import Corpora
from auteur.lab.train.idle_motion import IdleMotionRecipe, Talker, blink_statistics, gaze_statistics

FRAMES = 200


def talker(*, blinks: tuple[int, ...] = (), turns: tuple[int, ...] = ()) -> Talker:
    """Lids that close to 0.6 at some frames, eyes that turn by 0.1 rad at others."""
    lids, gaze = np.zeros(FRAMES), np.zeros((FRAMES, 2))
    for frame in blinks:
        lids[frame - 2 : frame + 3] = (0.2, 0.4, 0.6, 0.4, 0.2)
    for number, frame in enumerate(turns):
        gaze[frame:, 0] = 0.1 * (-1) ** number
    return Talker(pose=np.zeros((FRAMES, 6)), blink=lids, gaze=gaze)


def test_the_interval_of_blinks_and_the_length_of_fixations_are_those_planted():
    both = [talker(blinks=(20, 70, 120, 170), turns=(10, 60, 110))]
    found = blink_statistics(both, 0.45)
    assert found[0] == pytest.approx(np.log(60 / 17)) and found[1] == 0, "every two seconds, at a usual rate"
    assert 0 < found[2] < 0.2 and 0 < found[4] < 0.2
    gaze = gaze_statistics(both, 0.05)
    np.testing.assert_allclose(gaze[2:], [np.log(2), 0], atol=1e-6)


def test_too_few_are_named_with_the_setting():
    with pytest.raises(InputError, match=r"no clip shows two blinks that close lids by 0\.45;.*--blink-peak"):
        blink_statistics([talker(blinks=(50,)), talker(blinks=(50,))], 0.45)
    with pytest.raises(InputError, match=r"two shifts of the gaze by 0\.2 rad;.*--saccade-rad"):
        gaze_statistics([talker(turns=(10, 60, 110))], 0.25 - 0.05)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"blink_peak": 1.0}, "blink_peak is 1.0; it must be above 0 and below 1"),
        ({"saccade_rad": 0.0}, "above 0"),
    ],
)
def test_settings_outside_their_range_are_named(setting, message):
    with pytest.raises(UsageError, match=message):
        IdleMotionRecipe(data=Corpora(), out=Path("run"), **setting)
