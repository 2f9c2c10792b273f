import pytest
import torch

from auteur.errors import UsageError
from auteur.synthesis.conditions import CONDITION_NAMES, Conditions, ReferenceFeatures


def some(rows: int = 2, frames: int = 4) -> Conditions:
    return Conditions(
        au=torch.rand(rows, frames, 5),
        audio=torch.rand(rows, frames, 5, 3),
        reference=torch.rand(rows, 3, 4, 4),
    )


def test_given_is_present_and_without_is_not():
    given = some()
    assert given.names == ("reference", "au", "audio")
    assert given.presence("au").tolist() == [True, True]
    assert given.presence("past") is None
    lost = given.without("au", "past")
    assert lost.presence("au").tolist() == [False, False]
    assert torch.equal(lost.au, given.au)
    assert lost.presence("audio").all()
    assert not given.only("audio").presence("reference").any()
    assert given.only("audio").presence("audio").all()


def test_stacking_fills_what_is_missing_and_marks_it():
    one, other = some(1), some(2).replace(au=None).without("audio")
    stacked = Conditions.stack([one, other])
    assert stacked.rows == 3
    assert stacked.presence("au").tolist() == [True, False, False]
    assert stacked.presence("audio").tolist() == [True, False, False]
    assert stacked.presence("reference").all()
    assert not stacked.au[1:].any()
    back = stacked.index(slice(0, 1))
    assert torch.equal(back.au, one.au)
    assert back.presence("au").tolist() == [True]


def test_stacking_features_of_portraits():
    one, other = (
        Conditions(reference=ReferenceFeatures({"mid_0": torch.full((1, 4, 2), value)}))
        for value in (1.0, 2.0)
    )
    both = Conditions.stack([one, other]).reference
    assert both.rows == 2
    assert both.layers["mid_0"][:, 0, 0].tolist() == [1, 2]
    with pytest.raises(UsageError, match="cannot be stacked"):
        Conditions.stack([one, Conditions(reference=torch.zeros(1, 3, 4, 4))])


def test_without_regions_audio_acts_everywhere_also_when_stacked():
    one = some(1).replace(regions=torch.zeros(1, 4, 3, 8, 8))
    assert Conditions.stack([one, some(1)]).regions[1].eq(1).all()


def test_what_cannot_be_stacked():
    with pytest.raises(UsageError, match="hold nothing"):
        Conditions.stack([some(), Conditions()])
    with pytest.raises(UsageError, match="different margins"):
        Conditions.stack([some(), some().with_margin("au", 2)])
    drawn = Conditions(landmarks=torch.zeros(1, 2, 3, 8, 8))
    with pytest.raises(UsageError, match="landmarks_reference"):
        Conditions.stack([drawn, drawn.replace(landmarks_reference=torch.zeros(1, 3, 8, 8))])


def test_dropping_follows_the_rates_and_the_seed():
    given = some(4000)
    rates = {"au": 0.3, "audio": 0.0, "past": 0.5}
    dropped = given.drop(rates, torch.Generator().manual_seed(0), together=0.1)
    assert dropped.presence("reference").all()
    assert dropped.presence("au").float().mean() == pytest.approx(0.7 * 0.9, abs=0.03)
    assert dropped.presence("audio").float().mean() == pytest.approx(0.9, abs=0.02)
    # What is lost together is lost together.
    assert not dropped.presence("au")[~dropped.presence("audio")].any()
    again = given.drop(rates, torch.Generator().manual_seed(0), together=0.1)
    assert torch.equal(again.presence("au"), dropped.presence("au"))
    without_past = {name: rates[name] for name in ("au", "audio")}
    fewer = given.drop(without_past, torch.Generator().manual_seed(0), together=0.1)
    assert torch.equal(fewer.presence("au"), dropped.presence("au"))
    twice = dropped.drop({"au": 0.5}, torch.Generator().manual_seed(1))
    assert not twice.presence("au")[~dropped.presence("au")].any()


def test_frames_of_a_margin_are_those_of_the_whole():
    whole = some(1, 6).with_margin("au", 2)
    assert whole.au.shape[1] == 10
    assert torch.equal(whole.au[:, 0], whole.au[:, 2])
    part = whole.frames(slice(1, 3))
    assert part.audio.shape[1] == 2
    assert torch.equal(part.au, whole.au[:, 1:7])
    assert torch.equal(part.reference, whole.reference)
    assert part.with_margin("au", 2) is part
    with pytest.raises(UsageError, match="the step is 2"):
        whole.frames(slice(0, 4, 2))


def test_moving_keeps_presence_boolean():
    moved = some().without("au").to("cpu", torch.bfloat16)
    assert moved.audio.dtype == torch.bfloat16
    assert moved.presence("au").dtype == torch.bool


def test_names_and_sizes_are_checked():
    with pytest.raises(UsageError, match="batch size"):
        Conditions(au=torch.zeros(2, 3, 5), audio=torch.zeros(1, 3, 5, 3))
    with pytest.raises(UsageError, match="no condition"):
        some().without("smell")
    with pytest.raises(UsageError, match=CONDITION_NAMES[0]):
        some().replace(present={"smell": torch.ones(2, dtype=torch.bool)})
