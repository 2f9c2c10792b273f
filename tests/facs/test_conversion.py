import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auteur.errors import UsageError
from auteur.facs import (
    ACTION_UNITS,
    CONTROLS,
    CONVENTIONS,
    MEDIAPIPE_BLENDSHAPES,
    au_track,
    convert,
    dropped_channels,
    encode_controls,
    lossiness,
    mirror,
    mirrored_name,
)
from auteur.signals import AUTrack

NAMES = sorted(CONVENTIONS)
PAIRS = list(itertools.permutations(NAMES, 2))


def one_hot(convention, channel, value=1.0):
    names = CONVENTIONS[convention].channels
    return au_track(value * np.eye(len(names))[[names.index(channel)]], convention=convention, rate=25)


def constant(convention, value):
    width = len(CONVENTIONS[convention].channels)
    return au_track(np.full((1, width), value), convention=convention, rate=25)


@pytest.mark.parametrize(
    ("name", "count"),
    [("feafa24", 24), ("openface17", 17), ("openface18", 18), ("arkit52", 52), ("pyfeat20", 20)],
)
def test_conventions_have_their_published_size(name, count):
    channels = CONVENTIONS[name].channels
    assert len(channels) == len(set(channels)) == count


@pytest.mark.parametrize("name", NAMES)
def test_each_control_is_measured_by_at_most_one_channel(name):
    controls = [control for entry in CONVENTIONS[name].entries for control in entry.controls]
    assert len(controls) == len(set(controls))
    assert set(controls) <= set(CONTROLS)


def test_arkit_order_follows_mediapipe():
    assert MEDIAPIPE_BLENDSHAPES[0] == "_neutral"
    assert MEDIAPIPE_BLENDSHAPES[1:] == CONVENTIONS["arkit52"].channels[1:]
    assert list(MEDIAPIPE_BLENDSHAPES[1:]) == sorted(MEDIAPIPE_BLENDSHAPES[1:])
    assert CONVENTIONS["arkit52"].channels[0] == "tongueOut"


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversion_stays_in_range_and_zero_stays_zero(source, target):
    full = convert(constant(source, CONVENTIONS[source].maximum), target)
    zero = convert(constant(source, 0), target)
    assert full.convention == target
    assert full.channels == CONVENTIONS[target].channels
    assert zero.values.max() == 0
    assert full.values.min() >= 0
    assert full.values.max() <= CONVENTIONS[target].maximum


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_lossiness_names_exactly_the_channels_that_move(source, target):
    losses = lossiness(source, target)
    full = convert(constant(source, CONVENTIONS[source].maximum), target)
    assert tuple(losses) == full.channels
    for index, (name, loss) in enumerate(losses.items()):
        assert (loss.kind == "absent") == (full.values[0, index] == 0), name
        assert (loss.confidence == 0) == (loss.kind == "absent")
        assert bool(loss.note) == (loss.kind != "exact")


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_lossiness_names_the_channels_that_act(source, target):
    losses = lossiness(source, target)
    acting = {name: set() for name in losses}
    for channel in CONVENTIONS[source].channels:
        moved = convert(one_hot(source, channel, CONVENTIONS[source].maximum), target)
        for index in np.flatnonzero(moved.values[0]):
            acting[moved.channels[index]].add(channel)
    assert acting == {name: set(loss.sources) for name, loss in losses.items()}
    silent = set(CONVENTIONS[source].channels) - set().union(*acting.values())
    assert silent == set(dropped_channels(source, target))


@pytest.mark.slow
@given(hnp.arrays(np.float32, (3, 24), elements=st.floats(0, 1, width=32)))
def test_feafa_survives_arkit(values):
    track = au_track(values, convention="feafa24", rate=25)
    again = convert(convert(track, "arkit52"), "feafa24")
    brows = [6, 7]
    others = [index for index in range(24) if index not in brows]
    np.testing.assert_allclose(again.values[:, others], values[:, others], atol=1e-6)
    assert (again.values[:, brows] >= values[:, brows] - 1e-6).all()


@pytest.mark.slow
@given(hnp.arrays(np.float32, (3, 17), elements=st.floats(0, 5, width=32)))
def test_openface_survives_its_larger_sister_and_the_hub(values):
    track = au_track(values, convention="openface17", rate=25)
    assert convert(convert(track, "openface18"), "openface17") == track
    np.testing.assert_allclose(convert(convert(track, "facs"), "openface17").values, values, atol=1e-5)


@pytest.mark.parametrize(
    ("source", "channel", "target", "expected"),
    [
        ("arkit52", "mouthSmileLeft", "feafa24", {"lip_corner_pull_left": 1}),
        ("arkit52", "mouthSmileLeft", "openface17", {"AU12_r": 2.5}),
        ("arkit52", "browInnerUp", "feafa24", {"brow_raise_left": 1, "brow_raise_right": 1}),
        ("arkit52", "jawOpen", "openface17", {"AU25_r": 5, "AU26_r": 5}),
        ("arkit52", "mouthUpperUpRight", "feafa24", {"upper_lip_raise": 0.5}),
        ("feafa24", "eye_close_left", "arkit52", {"eyeBlinkLeft": 1}),
        ("feafa24", "brow_raise_right", "facs", {"AU1R": 1, "AU2R": 1}),
        ("feafa24", "lower_lip_suck", "openface18", {"AU28_c": 1}),
        ("pyfeat20", "AU43", "openface17", {"AU45_r": 5}),
        ("facs", "AU61L", "arkit52", {"eyeLookOutLeft": 1}),
        ("facs", "AU62L", "arkit52", {"eyeLookInLeft": 1}),
    ],
)
def test_known_conversions(source, channel, target, expected):
    moved = convert(one_hot(source, channel), target)
    assert {name: moved.channel(name)[0] for name in moved.channels if moved.channel(name)[0]} == expected


def test_presence_needs_a_trace():
    for value, present in [(0.15, 0), (0.25, 1)]:
        values = np.zeros((1, 24))
        values[0, [15, 16]] = value
        assert (
            convert(au_track(values, convention="feafa24", rate=25), "openface18").channel("AU28_c")
            == present
        )


def test_a_partial_track_counts_the_rest_as_not_measured():
    track = AUTrack(values=[[2.5]], rate=25, channels=("AU26_r",), convention="openface17")
    moved = convert(track, "openface17")
    assert moved.channel("AU26_r") == 2.5
    assert moved.channel("AU25_r") == 2.5
    losses = lossiness("openface17", "openface17", channels=("AU26_r",))
    assert losses["AU25_r"].sources == ("AU26_r",)
    assert losses["AU12_r"].kind == "absent"


def test_not_measured_stays_not_measured():
    track = au_track(np.full((1, 17), np.nan), convention="openface17", rate=25)
    assert np.isnan(convert(track, "pyfeat20").channel("AU12"))
    assert np.isnan(convert(track, "openface18").channel("AU12_r"))


def test_overshoot_is_clipped_and_more_is_refused():
    assert convert(constant("feafa24", 1.05), "arkit52").values.max() == 1
    with pytest.raises(UsageError, match="are no feafa24"):
        convert(constant("feafa24", 3), "arkit52")
    with pytest.raises(UsageError, match="are no feafa24"):
        convert(constant("feafa24", -0.5), "arkit52")


@pytest.mark.parametrize(
    "call",
    [
        lambda: convert(constant("feafa24", 0), "flame50"),
        lambda: convert(constant("feafa24", 0).replace(convention="mine"), "feafa24"),
        lambda: convert(constant("feafa24", 0).replace(convention="arkit52"), "feafa24"),
        lambda: lossiness("feafa24", "x"),
        lambda: lossiness("feafa24", "arkit52", channels=["AU12"]),
        lambda: au_track(np.zeros((2, 23)), convention="feafa24", rate=25),
        lambda: encode_controls({}, "x"),
    ],
)
def test_unknown_conventions_and_channels_are_refused(call):
    with pytest.raises(UsageError):
        call()


@pytest.mark.parametrize("name", NAMES)
def test_mirroring_is_an_involution_and_agrees_with_the_hub(name):
    width = len(CONVENTIONS[name].channels)
    values = np.random.default_rng(0).uniform(0, 1, (2, width))
    track = au_track(values, convention=name, rate=25)
    assert mirror(mirror(track)) == track
    np.testing.assert_allclose(convert(mirror(track), "facs").values, mirror(convert(track, "facs")).values)


def test_mirroring_turns_the_eyes():
    assert mirrored_name("AU61L", "facs") == "AU62R"
    assert mirrored_name("eyeLookInLeft", "arkit52") == "eyeLookInRight"
    assert mirrored_name("mouthLeft", "arkit52") == "mouthRight"
    assert mirrored_name("AU12_r", "openface17") == "AU12_r"
    assert mirrored_name("AU28B", "facs") == "AU28B"


def test_mirroring_half_a_face_is_refused():
    track = AUTrack(values=[[1.0]], rate=25, channels=("mouthLeft",), convention="arkit52")
    with pytest.raises(UsageError, match="mouthRight"):
        mirror(track)


def test_every_unit_is_reachable_from_some_convention():
    for unit in ACTION_UNITS.values():
        users = [
            c.name for c in CONVENTIONS.values() for e in c.entries if set(e.controls) & set(unit.controls)
        ]
        assert len(users) > 1, unit.code


def test_stand_ins_act_only_where_the_target_lacks_the_unit():
    assert encode_controls({"AU23": 1.0}, "arkit52")["mouthPressLeft"] == pytest.approx(0.6)
    assert encode_controls({"AU26": 1.0}, "openface17")["AU25_r"] == 0
