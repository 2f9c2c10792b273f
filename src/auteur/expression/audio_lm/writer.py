"""Writes answers with the compact model, token by token, frame by frame.

Fields are not drawn and not simply the likeliest: a unit is written where the chance that it is active, given
that no smaller one came first, reaches a threshold (the likeliest next index would skip units that are each
as likely as not); an intensity is the median of its distribution (least absolute error).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import UsageError
from auteur.expression.audio_lm import codec, vocabulary
from auteur.expression.audio_lm.codec import HEARD_EMOTIONS, Frame
from auteur.expression.audio_lm.compact import MOST_FRAMES, AudioLM, Cache, Prefix
from auteur.expression.audio_lm.grammar import AnswerGrammar, State
from auteur.expression.audio_lm.prompts import Order, layout

ACTIVE_FROM = 0.3
"""Chance from which a unit is written; chosen on the validation speakers."""


@dataclass
class Answering:
    """An answer that is being written; complete when `CompactWriter.frames` is exhausted."""

    tokens: list[int] = field(default_factory=list[int])
    probabilities: NDArray[np.float64] | None = None
    """Of each allowed emotion, where it was chosen, in the order of `HEARD_EMOTIONS`; None if none was
    written."""

    @property
    def text(self) -> str:
        """The text so far."""
        return vocabulary.text_of(self.tokens)

    @property
    def emotion(self) -> str | None:
        """The emotion that was written."""
        written = [token for token in self.tokens if token in vocabulary.EMOTION_TOKENS]
        return HEARD_EMOTIONS[vocabulary.EMOTION_TOKENS.index(written[0])] if written else None


class CompactWriter:
    """The model with its grammar.

    Args:
        model: In evaluation mode.
        active_from: Chance from which a unit is written, in (0, 1).
    """

    def __init__(self, model: AudioLM, *, active_from: float = ACTIVE_FROM) -> None:
        if not 0 < active_from < 1:
            raise UsageError(f"active_from is {active_from}; it must be between 0 and 1, both excluded")
        self.model = model.eval()
        self._grammar = vocabulary.grammar()
        self._active_from = active_from

    def listen(self, rows: Tensor) -> Tensor:
        """Returns the ear's log probabilities [emotions] for rows [N, CHANNELS]."""
        return self.model.ear.listen(rows)

    @torch.inference_mode()
    def name_emotion(
        self, rows: Tensor, heard: Tensor, frames: int, *, emotions: Sequence[str] = HEARD_EMOTIONS
    ) -> NDArray[np.float64]:
        """Returns the probability of each of `HEARD_EMOTIONS` as the first word of the chain of thought."""
        answer = Answering()
        first = self.frames(
            rows, heard, frames=frames, order=Order.EMOTION_THEN_UNITS, emotions=emotions, answer=answer
        )
        next(first)
        if answer.probabilities is None:
            raise UsageError("give at least two emotions to choose from")
        return answer.probabilities

    @torch.inference_mode()
    def frames(
        self,
        rows: Tensor,
        heard: Tensor,
        *,
        frames: int,
        order: Order = Order.EMOTION_THEN_UNITS,
        emotion: str | None = None,
        emotions: Sequence[str] = HEARD_EMOTIONS,
        answer: Answering | None = None,
    ) -> Iterator[Frame]:
        """Yields each frame as soon as its list is closed.

        Args:
            rows: [N, CHANNELS] of the sound.
            heard: From `listen`, over this sound or more.
            frames: How many to write, at most `MOST_FRAMES`.
            order: What is asked.
            emotion: Given emotion, for A+E->AU.
            emotions: What may be written as the emotion.
            answer: Filled while writing.

        Raises:
            UsageError: There are too many frames, or the order and the emotion do not fit.
        """
        if not 1 <= frames <= MOST_FRAMES:
            raise UsageError(f"{frames} frames at once; the compact model writes 1 to {MOST_FRAMES}")
        answer = Answering() if answer is None else answer
        grammar = AnswerGrammar(layout(order, frames=frames, emotions=emotions))
        prefix = self.model.prefix(_asked(order, emotion), rows[None], heard[None], frames)
        logits, cache = self.model.run(prefix.states, prefix.heard)
        given = -1 if emotion is None else HEARD_EMOTIONS.index(emotion)
        state, reader, done = grammar.start, vocabulary.Reader(emotion=given), 0
        while not grammar.is_over(state):
            token = self._choose(grammar, state, logits[0, -1], answer)
            state = self._grammar.step(grammar, state, token)
            closes = reader.frame >= done and "]" in self._grammar.pieces[token]
            if closes:
                yield _frame(reader.current)
                done += 1
            answer.tokens.append(token)
            reader.read(token)
            if not grammar.is_over(state):
                logits, cache = self._advance(prefix, token, reader, cache)

    def _advance(
        self, prefix: Prefix, token: int, reader: vocabulary.Reader, cache: Cache
    ) -> tuple[Tensor, Cache]:
        lights = {
            "tokens": torch.tensor([[token]]),
            "frame": torch.tensor([[reader.frame]]),
            "place": torch.tensor([[reader.place]]),
            "emotion": torch.tensor([[reader.emotion]]),
            "previous": torch.from_numpy(reader.previous)[None, None],
        }
        return self.model.run(self.model.text_states(prefix, lights), prefix.heard, cache)

    def _choose(self, grammar: AnswerGrammar, state: State, logits: Tensor, answer: Answering) -> int:
        allowed = self._grammar.allowed(grammar, state)
        if len(allowed) == 1:
            return int(allowed[0])
        chance = logits[torch.from_numpy(allowed)].double().softmax(0).numpy()
        if allowed[0] >= vocabulary.FIRST_NUMBER:
            return int(allowed[np.searchsorted(np.cumsum(chance), 0.5)])
        if allowed[0] in vocabulary.EMOTION_TOKENS:
            answer.probabilities = np.zeros(len(HEARD_EMOTIONS))
            answer.probabilities[[vocabulary.EMOTION_TOKENS.index(token) for token in allowed]] = chance
            return int(allowed[chance.argmax()])
        is_index = allowed >= vocabulary.FIRST_INDEX
        if not is_index.any():
            return int(allowed[chance.argmax()])
        closing = chance[~is_index].sum()
        units = chance[is_index]
        still_open = np.cumsum(units[::-1])[::-1] + closing  # chance that none smaller came
        active = np.flatnonzero(units >= self._active_from * still_open)
        if len(active):
            return int(allowed[is_index][active[0]])
        return int(allowed[~is_index][chance[~is_index].argmax()])


def _asked(order: Order, emotion: str | None) -> Tensor:
    if (order is Order.UNITS_GIVEN_EMOTION) != (emotion is not None):
        raise UsageError(f"{order} {'needs' if emotion is None else 'takes no'} given emotion")
    given = vocabulary.PAD if emotion is None else vocabulary.EMOTION_TOKENS[HEARD_EMOTIONS.index(emotion)]
    return torch.tensor([[vocabulary.order_token(order), given]])


def _frame(units: NDArray[np.float32]) -> Frame:
    return tuple((int(i), round(float(units[i]), 2)) for i in np.flatnonzero(units))


def whole_answer(
    writer: CompactWriter, rows: Tensor, *, frames: int, order: Order, emotion: str | None = None
) -> tuple[tuple[Frame, ...], Answering]:
    """Returns all frames and the answer at once."""
    answer = Answering()
    heard = writer.listen(rows)
    found = tuple(writer.frames(rows, heard, frames=frames, order=order, emotion=emotion, answer=answer))
    return codec.fitted(found, frames), answer
