"""Emotion curves: what a text means, where it is wrong, and how strengths run between keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.expression.curve import MAX_STRENGTH, NON_NEUTRAL_EMOTIONS, EmotionCurve, Key, parse_curve

EXAMPLE = "0s neutral, 1s happy:0.3, 3s happy:1, 5s surprised:0.6"
HAPPY, SURPRISED = NON_NEUTRAL_EMOTIONS.index("happy"), NON_NEUTRAL_EMOTIONS.index("surprised")


def test_keys_are_met_exactly():
    values = parse_curve(EXAMPLE).at(np.array([0.0, 1.0, 3.0, 5.0, 9.0]))
    assert values[:, HAPPY].tolist() == [0.0, 0.3, 1.0, 0.0, 0.0]
    assert values[:, SURPRISED].tolist() == [0.0, 0.0, 0.0, 0.6, 0.6]
    assert parse_curve(EXAMPLE).emotions == ("happy", "surprised")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0 happy", {"happy": 1.0}),
        (" .5s  Joy : .25 ", {"happy": 0.25}),
        ("1s sad:0.4+fear:0.3", {"sad": 0.4, "fear": 0.3}),
        ("2s happy:0.3 + happy:0.4", {"happy": 0.7}),
        ("0s neutral", {}),
        ("0s angry:1.2", {"angry": 1.2}),
    ],
)
def test_what_one_key_may_hold(text: str, wanted: dict[str, float]):
    values = parse_curve(text).at(np.zeros(1))[0]
    assert {e: pytest.approx(v) for e, v in zip(NON_NEUTRAL_EMOTIONS, values, strict=True) if v} == wanted


@pytest.mark.parametrize(
    ("text", "character", "words"),
    [
        ("", 1, "expected a time"),
        ("happy", 1, "expected a time"),
        ("0s", 1, "expected a time"),
        ("0s neutral 1s happy", 12, "expected a comma"),
        ("0s neutral, 1s hapy:0.3", 16, "did you mean 'happy'"),
        ("0s happy:1.3", 10, "between 0 and 1.2"),
        ("0s happy:", 10, "expected a strength"),
        ("0s happy:-1", 10, "expected a strength"),
        ("0s happy:0.7+sad:0.9", 4, "add up to 1.6"),
        ("1s happy, 0.5s sad", 11, "times must rise"),
        ("1s happy, 1s sad", 11, "times must rise"),
        ("0s happy,", 10, "expected a time"),
        ("0s happy+", 10, "expected an emotion"),
        ("9999s happy", 1, "times end"),
    ],
)
def test_errors_point_at_the_character(text: str, character: int, words: str):
    with pytest.raises(UsageError, match=words) as caught:
        parse_curve(text)
    assert f"character {character} " in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_parses_or_points_into_itself(text: str):
    try:
        parse_curve(text)
    except UsageError as error:
        place = int(str(error).split("character ")[1].split(" ")[0])
        assert 1 <= place <= len(text) + 1


strengths = st.floats(0, MAX_STRENGTH).map(lambda value: round(value, 3))
curves = st.lists(
    st.tuples(st.floats(0.2, 4), strengths, st.sampled_from(NON_NEUTRAL_EMOTIONS)), min_size=1, max_size=6
)


@pytest.mark.slow
@given(curves)
def test_no_pops_no_overshoot(steps: list[tuple[float, float, str]]):
    times = np.cumsum([step[0] for step in steps])
    keys = [
        Key(float(time), tuple(amount if name == emotion else 0.0 for name in NON_NEUTRAL_EMOTIONS))
        for time, (_, amount, emotion) in zip(times, steps, strict=True)
    ]
    curve = EmotionCurve(tuple(keys))
    fine = np.arange(0, times[-1] + 1, 0.001)
    values = curve.at(fine)
    largest = np.max([key.strengths for key in keys], axis=0)
    assert (values >= 0).all()
    assert (values <= largest).all()
    # Speed is continuous: over a millisecond it changes by no more than the bend that 0.2 s between keys
    # allows.
    speed = np.diff(values, axis=0) / 0.001
    assert np.abs(np.diff(speed, axis=0)).max() < 0.001 * 10 * MAX_STRENGTH / 0.2**2
    for key in keys:
        np.testing.assert_allclose(curve.at(np.array([key.time_sec]))[0], key.strengths, atol=1e-12)


@pytest.mark.parametrize("value", [-0.1, 1.21, float("nan"), float("inf")])
def test_a_constant_outside_the_range_is_refused(value: float):
    with pytest.raises(UsageError, match=r"between 0 and 1\.2"):
        EmotionCurve.constant("happy", value)


def test_an_unknown_emotion_is_named_with_its_neighbour():
    with pytest.raises(UsageError, match="did you mean 'angry'"):
        EmotionCurve.constant("angri", 1)


@given(curves)
def test_a_curve_is_written_as_it_is_read(steps: list[tuple[float, float, str]]):
    times = np.cumsum([round(step[0], 3) for step in steps]).round(3)
    keys = [
        Key(float(time), tuple(amount if name == emotion else 0.0 for name in NON_NEUTRAL_EMOTIONS))
        for time, (_, amount, emotion) in zip(times, steps, strict=True)
    ]
    curve = EmotionCurve(tuple(keys))
    assert parse_curve(str(curve)) == curve


def test_blends_are_written_with_a_plus():
    assert str(parse_curve("1.5 sad:.4 + fear:.3")) == "1.5s sad:0.4+fear:0.3"
    assert str(EmotionCurve.constant("neutral", 1)) == "0s neutral"
