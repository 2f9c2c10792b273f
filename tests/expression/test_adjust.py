import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.expression.adjust import Adjustment, columns_of
from auteur.facs import au_track


def track(convention: str = "feafa24", value: float = 0.4):
    columns = {"feafa24": 24, "openface17": 17}[convention]
    return au_track(np.full((50, columns), value), convention=convention, rate=25)


def test_scale_offset_mute():
    done = Adjustment(scale={"smile": 1.5, "AU26": 10}, offset={"AU4L": 0.25}, mute=("AU43", "AU5")).applied(
        track()
    )
    assert done.channel("lip_corner_pull_left")[0] == pytest.approx(0.6)
    assert done.channel("jaw_open")[0] == 1
    assert done.channel("brow_lower_left")[0] == pytest.approx(0.65)
    assert done.channel("brow_lower_right")[0] == pytest.approx(0.4)
    assert not done.channel("eye_close_left").any()
    assert not done.channel("lid_raise_right").any()


def test_an_empty_request_changes_nothing():
    assert Adjustment().applied(track()) == track()


def test_scales_of_other_conventions_are_kept():
    done = Adjustment(offset={"AU12": 0.5}).applied(track("openface17", 1.0))
    assert done.channel("AU12_r")[0] == pytest.approx(3.5)


def test_merged_units_share_a_channel():
    assert columns_of("AU1", track()) == columns_of("AU2", track())


def test_smoothing_keeps_length_and_level():
    values = np.zeros((50, 24), np.float32)
    values[25] = 1
    rough = au_track(values, convention="feafa24", rate=25)
    smooth = Adjustment(smooth_sec=0.1).applied(rough)
    assert smooth.frames == 50
    assert smooth.values.max() < 0.5
    assert smooth.values[20:31].sum() > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": {"AU12": 11}}, "scale of AU12 is 11"),
        ({"offset": {"AU12": -2}}, "offset of AU12 is -2"),
        ({"smooth_sec": -1}, "smoothing is over -1 s"),
        ({"mute": ("AU99",)}, "unknown Action Unit 'AU99'"),
    ],
)
def test_bad_adjustments(wrong, message):
    with pytest.raises(UsageError, match=message):
        Adjustment(**wrong)


def test_a_unit_that_the_convention_lacks():
    with pytest.raises(UsageError, match="'AU6' has no channel in feafa24"):
        Adjustment(mute=("AU6",)).applied(track())
