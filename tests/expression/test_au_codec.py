from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.errors import FormatError, UsageError
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.codec import Frame
from auteur.expression.audio_lm.prompts import Order, answer_text, layout, question, read_answer, token_budget
from auteur.facs import au_track

intensities = st.integers(1, 100).map(lambda k: k / 100)
frames = st.dictionaries(st.integers(0, 23), intensities, max_size=24).map(
    lambda found: tuple(sorted(found.items()))
)
texts = st.lists(frames, min_size=1, max_size=12)

KNOWN: list[Frame] = [((8, 0.32), (11, 0.5)), (), ((0, 0.01), (23, 1.0))]


def test_compact_form():
    assert codec.frames_text(KNOWN) == "[(8,.32)(11,.50)]\n[]\n[(0,.01)(23,1.00)]"


@pytest.mark.slow
@given(texts)
def test_reading_undoes_writing(some):
    answer = codec.read(codec.frames_text(some))
    assert answer.frames == tuple(some)
    assert answer.is_complete
    assert answer.emotion is None


@pytest.mark.slow
@given(st.lists(st.lists(st.floats(0, 1, width=32), min_size=24, max_size=24), min_size=1, max_size=6))
def test_values_come_back_rounded_with_zeros_dropped(rows):
    track = au_track(rows, convention="feafa24", rate=5)
    written = codec.frames_of(track)
    read = codec.values_of(codec.read(codec.frames_text(written)).frames)
    np.testing.assert_allclose(read, track.values, atol=0.005 + 1e-6)
    np.testing.assert_allclose(read * 100, np.rint(read * 100), atol=1e-4)
    assert all(value > 0 for frame in written for _, value in frame)
    assert all([i for i, _ in frame] == sorted({i for i, _ in frame}) for frame in written)


@pytest.mark.slow
@given(texts)
def test_nested_lists_with_leading_zeros_are_read(some):
    nested = str([[[index, value] for index, value in frame] for frame in some])
    assert codec.read(nested).frames == tuple(some)
    per_line = "\n".join(str([[index, value] for index, value in frame]) for frame in some)
    assert codec.read(per_line).frames == tuple(some)


@pytest.mark.slow
@given(texts)
def test_commas_between_pairs_and_frames_are_read(some):
    text = ",".join(codec.frame_text(frame).replace(")(", "),(") for frame in some)
    assert codec.read(text).frames == tuple(some)


@pytest.mark.slow
@given(texts, st.data())
def test_a_text_that_breaks_off_keeps_what_is_whole(some, data):
    text = codec.frames_text(some)
    kept = data.draw(st.integers(0, len(text)))
    found = codec.read(text[:kept])
    for got, wanted in zip(found.frames, some, strict=False):
        assert got == wanted[: len(got)]
    assert len(found.frames) <= len(some)
    assert found.frames[:-1] == tuple(some)[: max(len(found.frames) - 1, 0)]


@pytest.mark.slow
@given(st.text(max_size=300) | st.text(alphabet="[]()., 0123456789\n", max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_is_too_strange(text):
    for frame in codec.read(text).frames:
        assert all(0 <= i < 24 and 0 < value <= 1 for i, value in frame)
        assert [i for i, _ in frame] == sorted({i for i, _ in frame})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Here you are! [(3,.20)] and then [(4,.30)] bye", (((3, 0.2),), ((4, 0.3),))),
        ("[see above] [(3,.20)]", (((3, 0.2),),)),
        ("[(24,.50)(3,.20)]", (((3, 0.2),),)),
        ("[(3,2.5)]", (((3, 1.0),),)),
        ("[(3,.20)(3,.40)]", (((3, 0.4),),)),
        ("[(3,.00)]", ((),)),
        ("[ ( 3 , 0.2 ) ; [4, .25] ]", (((3, 0.2), (4, 0.25)),)),
        ("no lists at all", ()),
        ("]]][[", ()),
        ("", ()),
    ],
)
def test_untidy_texts(text, wanted):
    assert codec.read(text).frames == wanted


@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("The speaker sounds angry.\nAction Units:\n[]", "angry"),
        ("Emotion: Surprise. [[8, 0.1]]", "surprised"),
        ("happiness, I would say", "happy"),
        ("[(8,.10)] It is CALM.", "calm"),
        ("sadly nothing", None),
        ("[happy]", None),
    ],
)
def test_emotions_are_found_outside_lists(text, emotion):
    assert codec.read(text).emotion == emotion


def test_a_huge_text_is_refused():
    with pytest.raises(FormatError, match="at most"):
        codec.read("x" * (codec.MAX_TEXT + 1))


def test_deep_brackets_do_no_harm():
    assert codec.read("[" * 10_000).frames == ()


@pytest.mark.parametrize(
    ("seconds", "count"), [("0.1", 1), ("0.29", 1), ("1", 5), ("3.3", 16), ("3.5", 18), ("600", 3000)]
)
def test_frame_count(seconds, count):
    assert codec.frame_count(Fraction(seconds)) == count


def test_stride_down_takes_every_fifth_frame():
    values = np.zeros((25, 24), np.float32)
    values[:, 8] = np.arange(25) / 50
    found = codec.frames_of(au_track(values, convention="feafa24", rate=25))
    assert found == ((), ((8, 0.1),), ((8, 0.2),), ((8, 0.3),), ((8, 0.4),))


def test_threshold_drops_faint_units():
    track = au_track([[0.3] * 12 + [0.05] * 12], convention="feafa24", rate=5)
    assert [i for i, _ in codec.frames_of(track, threshold=0.1)[0]] == list(range(12))
    with pytest.raises(UsageError, match="threshold is 1"):
        codec.frames_of(track, threshold=1)


def test_other_conventions_are_converted_and_nan_is_nothing():
    track = au_track([[np.nan] * 17], convention="openface17", rate=25)
    assert codec.frames_of(track) == ((),)


@pytest.mark.slow
@pytest.mark.parametrize("order", list(Order))
@given(some=texts, emotion=st.sampled_from(codec.VOICE_EMOTIONS))
def test_answers_come_back(order, some, emotion):
    answer = read_answer(answer_text(order, emotion=emotion, frames=some), frames=len(some))
    assert answer.frames == tuple(some)
    assert answer.is_complete
    says_emotion = order in (Order.EMOTION_THEN_UNITS, Order.UNITS_THEN_EMOTION)
    assert answer.emotion == (emotion if says_emotion else None)


def test_answers_are_brought_to_length():
    short = read_answer("Action Units:\n[(8,.32)]", frames=3)
    assert short.frames == (((8, 0.32),),) * 3
    assert not short.is_complete
    assert read_answer("", frames=2).frames == ((), ())
    assert read_answer("[]\n[]\n[]", frames=2).frames == ((), ())


def test_questions_name_what_is_given():
    assert "angry" in question(Order.UNITS_GIVEN_EMOTION, frames=5, emotion="angry")
    assert "write the 7 frames" in question(Order.EMOTION_THEN_UNITS, frames=7)
    with pytest.raises(UsageError, match="needs given emotion"):
        question(Order.UNITS_GIVEN_EMOTION, frames=5)
    with pytest.raises(UsageError, match="takes no given emotion"):
        question(Order.UNITS, frames=5, emotion="angry")
    with pytest.raises(UsageError, match="unknown emotion 'cross'"):
        question(Order.UNITS_GIVEN_EMOTION, frames=5, emotion="cross")


def test_the_budget_holds_the_longest_answer_a_character_a_token():
    full: Frame = tuple((i, 0.99) for i in range(24))
    text = answer_text(Order.EMOTION_THEN_UNITS, emotion="disgusted", frames=[full] * 40)
    assert len(text) <= token_budget(layout(Order.EMOTION_THEN_UNITS, frames=40))
