"""Prompts and layouts of the answers: the paper's chain of thought and its ablations.

The final wording of AUHead's prompt is not published; its order of emotion and Action Units is, and so is an
earlier version whose facts (16 kHz, 5 frames a second, the order of the 24 units, the number format) are
kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from auteur.errors import UsageError
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.codec import Answer, Frame
from auteur.facs import find_emotion


class Order(StrEnum):
    """Given inputs (A audio, E emotion) and the order of the answer."""

    EMOTION_THEN_UNITS = "A->E->AU"
    """The paper's chain of thought."""
    UNITS = "A->AU"
    UNITS_THEN_EMOTION = "A->AU->E"
    UNITS_GIVEN_EMOTION = "A+E->AU"
    """The emotion is the user's."""


@dataclass(frozen=True)
class Literal:
    """Text that every answer has here."""

    text: str


@dataclass(frozen=True)
class Choice:
    """One of these words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Frames:
    """This many lists of pairs, each on its own line."""

    count: int


Layout = tuple[Literal | Choice | Frames, ...]
"""An answer's parts from first to last."""

SYSTEM = "You are a helpful assistant."

_FACTS = (
    "The speech above is sampled at 16 kHz and cut into pieces of 3,200 samples, so there are 5 frames a "
    "second. Each frame is the face of the speaker at that moment: 24 Action Units with intensities from 0 "
    "to 1. In their order, from 0: {units}. Write one list per frame, each on its own line, with a pair "
    "(index,intensity) for every active unit, indices rising, two decimals, no leading zero, such as "
    "[(8,.32)(11,.50)(12,.50)]; a frame without active units is []. "
)
_QUESTIONS = {
    Order.EMOTION_THEN_UNITS: "Which emotion does the speaker express? Choose one of {emotions}. "
    "Say it first, then write the {frames} frames.",
    Order.UNITS: "Write the {frames} frames.",
    Order.UNITS_THEN_EMOTION: "Write the {frames} frames, then say which emotion the speaker expresses, "
    "one of {emotions}.",
    Order.UNITS_GIVEN_EMOTION: "The emotion of the speaker is {emotion}. Write the {frames} frames.",
}


def question(
    order: Order,
    *,
    frames: int,
    emotion: str | None = None,
    emotions: Sequence[str] = codec.HEARD_EMOTIONS,
) -> str:
    """Returns the user's text beside the audio.

    Raises:
        UsageError: The order needs an emotion and none is given, or one is given and not needed, or it is
            none of `emotions`.
    """
    if (order is Order.UNITS_GIVEN_EMOTION) != (emotion is not None):
        raise UsageError(f"{order} {'needs' if emotion is None else 'takes no'} given emotion")
    if emotion is not None and emotion not in emotions:
        raise UsageError(f"unknown emotion {emotion!r}; choose one of {', '.join(emotions)}")
    units = ", ".join(name.replace("_", " ") for name in codec.UNITS)
    asked = _QUESTIONS[order].format(emotions=", ".join(emotions), emotion=emotion, frames=frames)
    return _FACTS.format(units=units) + asked


def layout(order: Order, *, frames: int, emotions: Sequence[str] = codec.HEARD_EMOTIONS) -> Layout:
    """Returns the parts that an answer must have.

    Raises:
        UsageError: There is no frame or no emotion to write.
    """
    if frames < 1 or not emotions:
        raise UsageError(f"an answer needs frames and emotions, got {frames} and {len(emotions)}")
    heard = (Literal(codec.EMOTION_LEAD), Choice(tuple(emotions)), Literal(codec.EMOTION_END))
    units = (Literal(codec.UNITS_LEAD), Frames(frames))
    match order:
        case Order.EMOTION_THEN_UNITS:
            return (*heard, Literal("\n"), *units)
        case Order.UNITS_THEN_EMOTION:
            return (*units, Literal("\n"), *heard)
        case _:
            return units


def answer_text(order: Order, *, emotion: str, frames: Sequence[Frame]) -> str:
    """Returns the answer that teaches a model: what `layout` describes."""
    heard = f"{codec.EMOTION_LEAD}{emotion}{codec.EMOTION_END}"
    units = codec.UNITS_LEAD + codec.frames_text(frames)
    match order:
        case Order.EMOTION_THEN_UNITS:
            return f"{heard}\n{units}"
        case Order.UNITS_THEN_EMOTION:
            return f"{units}\n{heard}"
        case _:
            return units


def read_answer(text: str, *, frames: int) -> Answer:
    """Parses an answer, with exactly `frames` frames."""
    found = codec.read(text)
    return Answer(
        frames=codec.fitted(found.frames, frames),
        emotion=found.emotion,
        is_complete=found.is_complete and len(found.frames) == frames,
    )


def find_heard_emotion(name: str) -> str:
    """Returns the one of `codec.HEARD_EMOTIONS` for a word, whatever its case.

    Raises:
        UsageError: None does.
    """
    key = name.strip().lower()
    return key if key in codec.HEARD_EMOTIONS else find_emotion(name)


LONGEST_PAIR_TOKENS = 8
"""No tokenizer needs more than one token per character of "(11,.50)"."""


def token_budget(parts: Layout) -> int:
    """Returns the largest number of new tokens of an answer, so that no answer is ever cut.

    With grammar-constrained decoding an answer ends by itself; a busy face (7 active units) takes about a
    third of this. The 512 that generation defaults to would end after 2.5 s.
    """
    frames = sum(part.count for part in parts if isinstance(part, Frames))
    return 64 + frames * (len(codec.UNITS) * LONGEST_PAIR_TOKENS + 3)
