"""Constrained decoding: an automaton over the codec's text, and the tokens that it allows next.

The automaton reads characters, so it serves any tokenizer whose tokens are pieces of text: the vocabulary
becomes a trie once, and a walk through trie and automaton together gives the tokens that may follow. Frames
are counted, emotions come from a list, indices rise within a frame and intensities lie between .01 and 1.00:
an answer cannot fail to parse.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.audio_lm.codec import FRAME_END, UNITS
from auteur.expression.audio_lm.prompts import Choice, Frames, Layout, Literal

_LAST_INDEX = len(UNITS) - 1
_DIGITS = frozenset("0123456789")
_ALPHABET = _DIGITS | frozenset("[](),.\n") | frozenset("abcdefghijklmnopqrstuvwxyzATSU :")
"""Every letter of answers."""


class State(NamedTuple):
    """A position in an answer. Equal states allow equal continuations."""

    part: int
    """Number of the part of the layout; the count of parts when the answer is over."""
    typed: str = ""
    """Characters of the current literal or word; of the current pair, inside frames."""
    frames_left: int = 0
    """Frames not yet closed, inside frames."""
    last_index: int = -1
    """Largest index of the current frame; -2 between frames."""


_BETWEEN = -2
_CLOSE = "]"


@dataclass(frozen=True)
class AnswerGrammar:
    """The automaton of one layout."""

    layout: Layout

    @property
    def start(self) -> State:
        """The state before the first character."""
        return self._enter(0)

    @cached_property
    def shape(self) -> Layout:
        """The layout with every number of frames set to 1: what allowed tokens depend on beside the state."""
        return tuple(Frames(1) if isinstance(part, Frames) else part for part in self.layout)

    def is_over(self, state: State) -> bool:
        """Whether the answer is complete."""
        return state.part == len(self.layout)

    def read(self, text: str, state: State | None = None) -> State | None:
        """Returns the state after some text, or None where the text is not allowed."""
        current: State | None = self.start if state is None else state
        for character in text:
            if current is None:
                return None
            current = self.step(current, character)
        return current

    def step(self, state: State, character: str) -> State | None:
        """Returns the state after one more character, or None where it is not allowed."""
        if self.is_over(state):
            return None
        part = self.layout[state.part]
        if isinstance(part, Literal):
            return self._spelled(state, (part.text,), character)
        if isinstance(part, Choice):
            return self._spelled(state, part.words, character)
        return self._in_frames(state, character)

    def _enter(self, part: int) -> State:
        entered = self.layout[part] if part < len(self.layout) else None
        if isinstance(entered, Frames):
            return State(part, frames_left=entered.count, last_index=_BETWEEN)
        return State(part)

    def _spelled(self, state: State, words: tuple[str, ...], character: str) -> State | None:
        typed = state.typed + character
        if typed in words and not any(word != typed and word.startswith(typed) for word in words):
            return self._enter(state.part + 1)
        return state._replace(typed=typed) if any(word.startswith(typed) for word in words) else None

    def _in_frames(self, state: State, character: str) -> State | None:
        if state.last_index == _BETWEEN:
            return self._between(state, character)
        if not state.typed:
            if character == _CLOSE:
                left = state.frames_left - 1
                if left == 0:
                    return self._enter(state.part + 1)
                return state._replace(frames_left=left, last_index=_BETWEEN, typed="]")
            if character == "(" and state.last_index < _LAST_INDEX:
                return state._replace(typed="(")
            return None
        return _in_pair(state, character)

    def _between(self, state: State, character: str) -> State | None:
        """After a frame comes the line's end, then the next frame."""
        if state.typed == "]":
            return state._replace(typed="") if character == FRAME_END else None
        return state._replace(typed="", last_index=-1) if character == "[" else None


def _in_pair(state: State, character: str) -> State | None:
    index_text, comma, number = state.typed[1:].partition(",")
    if not comma:
        if character == ",":
            rises = index_text != "" and int(index_text) > state.last_index
            return state._replace(typed=state.typed + ",") if rises else None
        index = index_text + character
        return (
            state._replace(typed=state.typed + character) if _may_be_index(index, state.last_index) else None
        )
    if character == ")":
        if len(number) not in (3, 4) or (number.startswith(".") and len(number) != 3):
            return None
        return state._replace(typed="", last_index=int(index_text))
    return state._replace(typed=state.typed + character) if _may_be_number(number + character) else None


@cache
def _may_be_index(text: str, last: int) -> bool:
    """Whether an index over `last` begins with these digits (and is these digits, if nothing can follow)."""
    return any(str(index).startswith(text) for index in range(last + 1, _LAST_INDEX + 1))


@cache
def _may_be_number(text: str) -> bool:
    if text.startswith("1"):
        return "1.00".startswith(text)
    return text[0] == "." and len(text) <= 3 and set(text[1:]) <= _DIGITS and text != ".00"


@dataclass
class _Node:
    tokens: list[int]
    children: "dict[str, _Node]"


class TokenGrammar:
    """The tokens of a vocabulary that may come next.

    Args:
        pieces: Text of each token that may be used; tokens with no text or with half a character are left
        out. end: Token that ends an answer.
        size: Number of logits, more than the largest token.
    """

    def __init__(self, pieces: Mapping[int, str], *, end: int, size: int) -> None:
        self.end, self.size = end, size
        self._root = _Node([], {})
        for token, text in pieces.items():
            if text and token != end:
                self._insert(token, text)
        self._allowed: dict[tuple[Layout, State], NDArray[np.int64]] = {}
        self._continues: dict[tuple[Layout, State], bool] = {}
        self._spells = set(self._root.children) >= _ALPHABET and all(
            self._root.children[letter].tokens for letter in _ALPHABET
        )
        """Whether every letter is a token, so that whatever is begun can be ended."""
        self.pieces = dict(pieces)
        spans = max((text.count(_CLOSE) for text in self.pieces.values()), default=0)
        self._most_left = 2 * spans + 1
        """Frames left from which on more make no difference: a token and the one after it close fewer."""

    def allowed(self, grammar: AnswerGrammar, state: State) -> NDArray[np.int64]:
        """Returns the tokens that may follow, rising; the end token alone where the answer is over.

        Raises:
            UsageError: The vocabulary cannot write the answer.
        """
        key = self._key(grammar, state)
        if key not in self._allowed:
            if grammar.is_over(state):
                found = [self.end]
            else:
                follow = self._walk(grammar, self._root, state)
                found = sorted(token for token, after in follow if self._can_go_on(grammar, after))
            if not found:
                raise UsageError(f"the tokenizer has no token that can follow {state}; use another")
            self._allowed[key] = np.array(found, dtype=np.int64)
        return self._allowed[key]

    def step(self, grammar: AnswerGrammar, state: State, token: int) -> State:
        """Returns the state after an allowed token.

        Raises:
            UsageError: The token is not allowed.
        """
        if token == self.end and grammar.is_over(state):
            return state
        after = grammar.read(self.pieces.get(token, "\0"), state)
        if after is None:
            raise UsageError(f"token {token} ({self.pieces.get(token)!r}) is not allowed here")
        return after

    def _can_go_on(self, grammar: AnswerGrammar, state: State) -> bool:
        """Whether an answer can be ended from here: whole fields can begin what they cannot end."""
        if self._spells or grammar.is_over(state):
            return True
        key = self._key(grammar, state)
        if key not in self._continues:
            self._continues[key] = any(True for _ in self._walk(grammar, self._root, state))
        return self._continues[key]

    def _key(self, grammar: AnswerGrammar, state: State) -> tuple[Layout, State]:
        """What the tokens that may follow depend on."""
        if state.frames_left <= self._most_left:
            return grammar.shape, state
        return grammar.shape, state._replace(frames_left=self._most_left)

    def _insert(self, token: int, text: str) -> None:
        node = self._root
        for character in text:
            node = node.children.setdefault(character, _Node([], {}))
        node.tokens.append(token)

    def _walk(self, grammar: AnswerGrammar, node: _Node, state: State) -> Iterable[tuple[int, State]]:
        """Tokens that the automaton lets pass from a state, each with the state after it."""
        for token in node.tokens:
            yield token, state
        for character, child in node.children.items():
            after = grammar.step(state, character)
            if after is not None:
                yield from self._walk(grammar, child, after)
