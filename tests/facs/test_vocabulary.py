from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from action_units_page import action_units_page
from auteur.errors import UsageError
from auteur.facs import (
    ACTION_UNITS,
    CONTROLS,
    CONVENTIONS,
    EMOTION_ALIASES,
    EMOTIONS,
    PROTOTYPES,
    Control,
    find_emotion,
    prototype,
    resolve,
)


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("AU12", Control(12)),
        ("au1", Control(1)),
        ("AU01", Control(1)),
        ("AU 12 L", Control(12, "L")),
        ("AU12R", Control(12, "R")),
        ("smile", Control(12)),
        ("Smile-Left", Control(12, "L")),
        ("left smile", Control(12, "L")),
        ("upper_lip_suck", Control(28, "T")),
        ("AU28B", Control(28, "B")),
        ("upper_lip_raise", Control(10)),
        ("jaw_left", Control(30, "L")),
        ("mouthSmileLeft", Control(12, "L")),
        ("browInnerUp", Control(1)),
        ("eyeBlinkRight", Control(45, "R")),
    ],
)
def test_both_vocabularies(name, control):
    assert resolve(name) == control


def test_every_control_answers_to_its_code_and_its_name():
    for unit in ACTION_UNITS.values():
        for side, code in zip(unit.sides, unit.controls, strict=True):
            control = Control(unit.number, side)
            assert resolve(code) == resolve(control.name) == resolve(control.code) == control
            assert control.channels == (code,)
    assert Control(12).channels == ("AU12L", "AU12R")
    assert Control(12, "L").name == "smile_left"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smlie", "smile"),
        ("AU27", "AU26"),
        ("AU12T", "AU12L"),
        ("AU17L", "AU17"),
        ("brow_raise", "inner_brow_raise"),
        ("AU30", "jaw_left"),
        ("", "smile"),
        ("=cmd()", "smile"),
        ("AU" + "9" * 50, "AU12"),
    ],
)
def test_unknown_names_suggest_the_nearest(name, hint):
    with pytest.raises(UsageError, match=hint):
        resolve(name)


@given(st.text(max_size=30))
def test_any_text_resolves_or_is_a_usage_error(name):
    try:
        assert resolve(name).channels
    except UsageError as error:
        assert "\n" not in str(error)


def test_emotions_have_aliases():
    for alias, emotion in {**EMOTION_ALIASES, **{name.upper(): name for name in EMOTIONS}}.items():
        assert find_emotion(alias) == emotion
    with pytest.raises(UsageError, match="'happy'"):
        find_emotion("hapy")


@pytest.mark.parametrize("table", PROTOTYPES)
@pytest.mark.parametrize("name", CONVENTIONS)
def test_prototypes_scale_linearly_and_stay_in_range(table, name):
    for emotion in EMOTIONS:
        full = prototype(emotion, 1, convention=name, table=table)
        half = prototype(emotion, 0.5, convention=name, table=table)
        assert tuple(full) == CONVENTIONS[name].channels
        assert max(full.values()) <= CONVENTIONS[name].maximum
        assert (max(full.values()) > 0) == (emotion != "neutral")
        assert half == pytest.approx({channel: value / 2 for channel, value in full.items()})
        assert not any(prototype(emotion, 0, convention=name, table=table).values())


@pytest.mark.parametrize(
    ("emotion", "units"),
    [
        ("angry", {4, 7, 10, 23}),
        ("disgusted", {7, 14, 17}),
        ("fear", {2, 4, 5, 7, 26}),
        ("happy", {6, 12}),
        ("sad", {4, 7, 15}),
        ("surprised", {1, 2, 5, 26}),
        ("contempt", {12, 14}),
        ("neutral", set()),
    ],
)
def test_paper_table_moves_exactly_its_units(emotion, units):
    values = prototype(emotion, convention="openface18", table="chang2025")
    assert {int(name[2:4]) for name, value in values.items() if value} == units


@pytest.mark.parametrize(
    ("emotion", "units"),
    [
        ("happy", {6, 12, 25}),
        ("sad", {1, 4, 15, 17}),
        ("angry", {4, 7, 10, 17, 23, 24}),
        ("fear", {1, 2, 4, 5, 7, 20, 25}),
        ("disgusted", {4, 7, 9, 10, 15, 17}),
        ("surprised", {1, 2, 5, 26}),
        ("contempt", {12, 14, 15, 17}),
        ("neutral", set()),
    ],
)
def test_emotions_are_shown_by_the_units_of_emfacs(emotion, units):
    values = prototype(emotion, convention="facs")
    assert {int(name[2:].rstrip("LRTB")) for name, value in values.items() if value} == units


def test_sad_brows_rise_at_their_inner_ends():
    values = prototype("sad", convention="facs")
    assert values["AU1L"] > 2 * values["AU4L"]


def test_contempt_is_one_sided_in_emfacs():
    values = prototype("contempt", convention="facs", table="emfacs")
    raised, lowered = ({f"AU{n}{side}" for n in (12, 14, 15)} for side in "RL")
    shown = {name for name in CONTROLS if values[name]}
    assert shown & raised == {"AU12R", "AU14R"}
    assert shown & lowered == {"AU15L"}
    assert shown - raised - lowered == {"AU17"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"emotion": "bored"}, "choose one of"),
        ({"emotion": "happy", "intensity": 1.1}, "between 0 and 1"),
        ({"emotion": "happy", "intensity": -0.1}, "between 0 and 1"),
        ({"emotion": "happy", "intensity": float("nan")}, "between 0 and 1"),
        ({"emotion": "happy", "table": "x"}, "unknown prototype table"),
        ({"emotion": "happy", "convention": "x"}, "unknown AU convention"),
    ],
)
def test_impossible_prototypes_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        prototype(**arguments)


def test_the_page_is_current():
    page = Path(__file__).parents[2] / "docs" / "action_units.md"
    assert page.read_text(encoding="utf-8") == action_units_page()
