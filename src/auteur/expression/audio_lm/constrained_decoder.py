"""Constrained decoding with the compact model, token by token, frame by frame.

Decoding is neither sampling nor greedy: a unit is written where the probability that it is active, given that
no smaller one came first, reaches a threshold (the most probable next index would skip units of probability
one half); an intensity is the median of its distribution (least absolute error).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import UsageError
from auteur.expression.audio_lm import codec, vocabulary
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS, Frame
from auteur.expression.audio_lm.compact import MOST_FRAMES, AudioLM, Prefix
from auteur.expression.audio_lm.grammar import AnswerGrammar, TokenGrammar
from auteur.expression.audio_lm.prompts import Order, layout
from auteur.expression.audio_lm.stepping import Stepper

ACTIVE_FROM = 0.3
"""Probability from which a unit is written; chosen on the validation speakers."""


@dataclass
class PartialAnswer:
    """An answer that is being written; complete when `ConstrainedDecoder.frames` is exhausted."""

    tokens: list[int] = field(default_factory=list[int])
    probabilities: NDArray[np.float64] | None = None
    """Probability of each allowed emotion, where it was chosen, in the order of `VOICE_EMOTIONS`; None if
    none was written."""

    @property
    def text(self) -> str:
        """The text so far."""
        return vocabulary.text_of(self.tokens)

    @property
    def emotion(self) -> str | None:
        """The emotion that was written."""
        written = [token for token in self.tokens if token in vocabulary.EMOTION_TOKENS]
        return VOICE_EMOTIONS[vocabulary.EMOTION_TOKENS.index(written[0])] if written else None


@dataclass(frozen=True, eq=False)
class Passage:
    """A piece of sound that is to be transcribed."""

    rows: Tensor
    """Acoustic features [N, CHANNELS]."""
    heard: Tensor
    """From `ConstrainedDecoder.emotion_log_probabilities`, over this sound or more."""
    emotions: Sequence[str] = VOICE_EMOTIONS
    """Words that may be written as the emotion."""
    answer: PartialAnswer = field(default_factory=PartialAnswer)
    """Filled while writing."""


class _Position:
    """Decoding state of a passage."""

    def __init__(self, number: int, passage: Passage, grammar: AnswerGrammar, given: int) -> None:
        self.number, self.passage, self.grammar = number, passage, grammar
        self.state, self.reader, self._done = grammar.start, vocabulary.Reader(emotion=given), 0

    @property
    def is_over(self) -> bool:
        """Whether the answer is complete."""
        return self.grammar.is_over(self.state)

    def take(self, token: int, tokens: TokenGrammar) -> Frame | None:
        """Appends an allowed token, and returns the frame that it closes."""
        closed = None
        if self.reader.frame >= self._done and "]" in tokens.pieces[token]:
            closed = _frame(self.reader.current)
            self._done += 1
        self.state = tokens.step(self.grammar, self.state, token)
        self.passage.answer.tokens.append(token)
        self.reader.read(token)
        return closed


class ConstrainedDecoder:
    """The model with its grammar.

    Args:
        model: In evaluation mode.
        active_from: Probability from which a unit is written, in (0, 1).
    """

    def __init__(self, model: AudioLM, *, active_from: float = ACTIVE_FROM) -> None:
        if not 0 < active_from < 1:
            raise UsageError(f"active_from is {active_from}; it must be between 0 and 1, both excluded")
        self.model = model.eval()
        self._grammar = vocabulary.grammar()
        self._active_from = active_from

    def emotion_log_probabilities(self, rows: Tensor) -> Tensor:
        """Returns the ensemble's log probabilities [emotions] for rows [N, CHANNELS]."""
        return self.model.ear.emotion_log_probabilities(rows)

    @torch.inference_mode()
    def frames(
        self,
        rows: Tensor,
        heard: Tensor,
        *,
        frames: int,
        order: Order = Order.EMOTION_THEN_UNITS,
        emotion: str | None = None,
        emotions: Sequence[str] = VOICE_EMOTIONS,
        answer: PartialAnswer | None = None,
    ) -> Iterator[Frame]:
        """Yields each frame as soon as its list is closed.

        Args:
            rows: [N, CHANNELS] of the sound.
            heard: From `emotion_log_probabilities`, over this sound or more.
            frames: How many to write, at most `MOST_FRAMES`.
            order: Order of the answer.
            emotion: Given emotion, for A+E->AU.
            emotions: Words that may be written as the emotion.
            answer: Filled while writing.

        Raises:
            UsageError: There are too many frames, or the order and the emotion do not fit.
        """
        passage = Passage(rows, heard, emotions, PartialAnswer() if answer is None else answer)
        for _, frame in self.decode_batch([passage], frames=frames, order=order, emotion=emotion):
            yield frame

    @torch.inference_mode()
    def decode_batch(
        self,
        passages: Sequence[Passage],
        *,
        frames: int,
        order: Order = Order.EMOTION_THEN_UNITS,
        emotion: str | None = None,
    ) -> Iterator[tuple[int, Frame]]:
        """Yields each frame of several passages, with the passage's number, as soon as its list is closed.

        A step writes one token of every passage, and takes about as long as for one alone.

        Args:
            passages: Their answers are filled while writing.
            frames: How many to write of each, at most `MOST_FRAMES`.
            order: Order of the answer.
            emotion: Given emotion, for A+E->AU.

        Raises:
            UsageError: There are too many frames, or the order and the emotion do not fit.
        """
        if not 1 <= frames <= MOST_FRAMES:
            raise UsageError(f"{frames} frames at once; the compact model writes 1 to {MOST_FRAMES}")
        prompt, given = _prompt(order, emotion), -1 if emotion is None else VOICE_EMOTIONS.index(emotion)
        positions = [
            _Position(number, one, AnswerGrammar(layout(order, frames=frames, emotions=one.emotions)), given)
            for number, one in enumerate(passages)
        ]
        prefix = Prefix.stack(
            [self.model.prefix(prompt, one.rows[None], one.heard[None], frames) for one in passages]
        )
        logits, cache = self.model.run(prefix.states, prefix.heard)
        following, step = logits[:, -1].numpy(), Stepper(self.model, prefix, cache)
        while positions:
            for position, scores in zip(positions, following, strict=True):
                token = self._choose(position, scores)
                frame = position.take(token, self._grammar)
                if frame is not None:
                    yield position.number, frame
            going_on = [row for row, position in enumerate(positions) if not position.is_over]
            if len(going_on) < len(positions):
                positions = [positions[row] for row in going_on]
                step.keep(going_on)
            if positions:
                last = [position.passage.answer.tokens[-1] for position in positions]
                following = step(last, [position.reader for position in positions])

    def _choose(self, position: "_Position", logits: NDArray[np.float32]) -> int:
        allowed, answer = self._grammar.allowed(position.grammar, position.state), position.passage.answer
        if len(allowed) == 1:
            return int(allowed[0])
        weight = logits[allowed].astype(np.float64)
        weight = np.exp(weight - weight.max())
        probability = weight / weight.sum()
        if allowed[0] >= vocabulary.FIRST_NUMBER:
            return int(allowed[np.searchsorted(np.cumsum(probability), 0.5)])
        if allowed[0] in vocabulary.EMOTION_TOKENS:
            answer.probabilities = np.zeros(len(VOICE_EMOTIONS))
            answer.probabilities[[vocabulary.EMOTION_TOKENS.index(token) for token in allowed]] = probability
            return int(allowed[probability.argmax()])
        is_index = allowed >= vocabulary.FIRST_INDEX
        if not is_index.any():
            return int(allowed[probability.argmax()])
        closing = probability[~is_index].sum()
        units = probability[is_index]
        still_open = np.cumsum(units[::-1])[::-1] + closing  # probability that no smaller one came
        active = np.flatnonzero(units >= self._active_from * still_open)
        if len(active):
            return int(allowed[is_index][active[0]])
        return int(allowed[~is_index][probability[~is_index].argmax()])


def _prompt(order: Order, emotion: str | None) -> Tensor:
    if (order is Order.UNITS_GIVEN_EMOTION) != (emotion is not None):
        raise UsageError(f"{order} {'needs' if emotion is None else 'takes no'} given emotion")
    given = vocabulary.PAD if emotion is None else vocabulary.EMOTION_TOKENS[VOICE_EMOTIONS.index(emotion)]
    return torch.tensor([[vocabulary.order_token(order), given]])


def _frame(units: NDArray[np.float32]) -> Frame:
    return tuple((int(i), round(float(units[i]), 2)) for i in np.flatnonzero(units))


def whole_answer(
    decoder: ConstrainedDecoder, rows: Tensor, *, frames: int, order: Order, emotion: str | None = None
) -> tuple[tuple[Frame, ...], PartialAnswer]:
    """Returns all frames and the answer at once."""
    answer = PartialAnswer()
    heard = decoder.emotion_log_probabilities(rows)
    found = tuple(decoder.frames(rows, heard, frames=frames, order=order, emotion=emotion, answer=answer))
    return codec.fitted(found, frames), answer
