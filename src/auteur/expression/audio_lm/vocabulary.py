"""The compact model's own vocabulary: whole fields of the codec's text, a token each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.grammar import TokenGrammar
from auteur.expression.audio_lm.prompts import Order

PAD, END = 0, 1
_HEAD = 2 + len(Order)
"""Padding, end, then a token per order of the answer."""

_OPEN, _CLOSE, _NEXT = "[", "]", f"]{codec.FRAME_END}["
_SAID = tuple(word + codec.EMOTION_END for word in codec.HEARD_EMOTIONS)
_WORDS = (
    codec.EMOTION_LEAD,
    f"\n{codec.EMOTION_LEAD}",
    *_SAID,
    codec.UNITS_LEAD + _OPEN,
    f"\n{codec.UNITS_LEAD}{_OPEN}",
    _CLOSE,
    _NEXT,
)
_INDICES = tuple(f"({index}," for index in range(len(codec.UNITS)))
_NUMBERS = tuple(f"{codec.number_text(k / 100)})" for k in range(1, 101))

PIECES = (*_WORDS, *_INDICES, *_NUMBERS)
"""Text of every token from `_HEAD` on."""
SIZE = _HEAD + len(PIECES)
FIRST_INDEX = _HEAD + len(_WORDS)
"""Token of "(0,": index `i` is this plus `i`."""
FIRST_NUMBER = FIRST_INDEX + len(_INDICES)
"""Token of ".01)": intensity `k` hundredths is this plus `k - 1`."""
_TOKENS = {piece: _HEAD + place for place, piece in enumerate(PIECES)}
EMOTION_TOKENS = tuple(_TOKENS[word] for word in _SAID)
OPENING = frozenset(_TOKENS[piece] for piece in PIECES if piece.endswith(_OPEN))
"""Tokens that begin a frame."""
_LONGEST = max(map(len, PIECES))


def order_token(order: Order) -> int:
    """Returns the token of an order."""
    return 2 + list(Order).index(order)


def tokens_of(text: str) -> list[int]:
    """Returns the tokens of a codec text, longest pieces first.

    Raises:
        UsageError: The text holds something that no piece writes.
    """
    tokens: list[int] = []
    at = 0
    while at < len(text):
        for length in range(min(_LONGEST, len(text) - at), 0, -1):
            token = _TOKENS.get(text[at : at + length])
            if token is not None:
                tokens.append(token)
                at += length
                break
        else:
            raise UsageError(f"{text[at : at + 20]!r} is no text of the codec")
    return tokens


def text_of(tokens: Sequence[int]) -> str:
    """Returns the text of tokens; padding, end and orders have none."""
    return "".join(PIECES[token - _HEAD] for token in tokens if token >= _HEAD)


def grammar() -> TokenGrammar:
    """Returns the grammar over this vocabulary."""
    return TokenGrammar({_HEAD + place: piece for place, piece in enumerate(PIECES)}, end=END, size=SIZE)


@dataclass
class Reader:
    """Parse state of a text, which is added to every token's embedding.

    Everything here follows from the tokens read so far.
    """

    frame: int = -1
    """Frame that is being written, -1 before the first."""
    place: int = 0
    """Tokens since the frame began."""
    index: int = -1
    """Unit whose intensity comes next, -1 elsewhere."""
    emotion: int = -1
    """Place in `HEARD_EMOTIONS` of the emotion that was given or written, -1 for none."""

    def __post_init__(self) -> None:
        self.current = np.zeros(len(codec.UNITS), np.float32)
        self.previous = np.zeros(len(codec.UNITS), np.float32)

    def read(self, token: int) -> None:
        """Takes one more token."""
        if token in OPENING:
            self.frame += 1
            self.place, self.index = 0, -1
            self.previous, self.current = self.current, np.zeros_like(self.current)
            return
        self.place += 1
        if FIRST_INDEX <= token < FIRST_NUMBER:
            self.index = token - FIRST_INDEX
        elif token >= FIRST_NUMBER:
            self.current[self.index] = (token - FIRST_NUMBER + 1) / 100
            self.index = -1
        elif token in EMOTION_TOKENS:
            self.emotion = EMOTION_TOKENS.index(token)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sidelights:
    """State of `Reader` after each of N tokens."""

    frame: NDArray[np.int64]
    """[N]."""
    place: NDArray[np.int64]
    """[N]."""
    previous: NDArray[np.float32]
    """[N, 24]: units of the frame before."""
    emotion: NDArray[np.int64]
    """[N]: place of the emotion in force, -1 for none."""


def sidelights(tokens: Sequence[int], *, given: int = -1) -> Sidelights:
    """Returns the parse states of a whole text; `given` is the index of a given emotion."""
    reader = Reader(emotion=given)
    frame, place, previous, emotion = [], [], [], []
    for token in tokens:
        reader.read(token)
        frame.append(reader.frame)
        place.append(reader.place)
        previous.append(reader.previous)
        emotion.append(reader.emotion)
    return Sidelights(
        frame=np.array(frame, np.int64),
        place=np.array(place, np.int64),
        previous=np.stack(previous),
        emotion=np.array(emotion, np.int64),
    )
