"""Grammar-constrained decoding for any tokenizer and any model with `generate`."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.expression.audio_lm.grammar import AnswerGrammar, State, TokenGrammar

_PRINTED = frozenset(chr(code) for code in range(32, 127)) | {"\n"}
_MARKS = {"Ġ": " ", "Ċ": "\n", "▁": " "}
"""A space and a line's end in byte-level and SentencePiece vocabularies."""
_SAMPLE = "The speaker sounds disgusted.\nAction Units:\n[(8,.32)(11,.50)(12,1.00)]\n[]\n[(0,.01)(23,.99)]"


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that is used."""

    @property
    def all_special_ids(self) -> list[int]:
        """Special tokens."""
        ...

    def get_vocab(self) -> dict[str, int]:
        """Every token's form and number."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Tokens of a text."""
        ...


def token_grammar(tokenizer: Tokenizer, *, end: int, size: int) -> TokenGrammar:
    """Returns the grammar over a tokenizer's vocabulary.

    Args:
        tokenizer: Of transformers; byte-level BPE or SentencePiece.
        end: Token that ends an answer.
        size: Number of logits of the model.

    Raises:
        UsageError: Its tokens are not pieces of text in a supported form.
    """
    special = set(tokenizer.all_special_ids)
    pieces: dict[int, str] = {}
    for form, token in tokenizer.get_vocab().items():
        text = "\n" if form == "<0x0A>" else "".join(_MARKS.get(letter, letter) for letter in form)
        if token not in special and token < size and set(text) <= _PRINTED:
            pieces[token] = text
    written = "".join(
        pieces.get(token, "\0") for token in tokenizer.encode(_SAMPLE, add_special_tokens=False)
    )
    if written.removeprefix(" ") != _SAMPLE:
        raise UsageError(
            f"this tokenizer writes {written[:40]!r} for {_SAMPLE[:40]!r}; a byte-level BPE or "
            "SentencePiece one is needed"
        )
    return TokenGrammar(pieces, end=end, size=size)


class AnswerLogitsProcessor:
    """Masks every token that the grammars do not allow: pass it to `generate(logits_processor=[...])`.

    Args:
        tokens: The vocabulary's grammar.
        grammars: One per row of the batch, or one for all rows.
        prompt_length: Tokens per row before the answer, padding on the left included.
    """

    def __init__(
        self, tokens: TokenGrammar, grammars: Sequence[AnswerGrammar], *, prompt_length: int
    ) -> None:
        self._tokens, self._grammars, self._prompt = tokens, tuple(grammars), prompt_length
        self._seen: list[list[int]] = []
        self._states: list[State] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Returns scores [B, V] with -inf where a token may not follow input_ids [B, L].

        Raises:
            UsageError: There is not one grammar per row, or a row holds a token that was not allowed.
        """
        answers = input_ids[:, self._prompt :].tolist()
        if len(self._grammars) not in (1, len(answers)):
            raise UsageError(f"{len(self._grammars)} grammars for {len(answers)} rows; give one per row")
        masked = torch.full_like(scores, -torch.inf)
        states: list[State] = []
        for row, answer in enumerate(answers):
            grammar = self._grammars[row if len(self._grammars) > 1 else 0]
            state = self._state(row, grammar, answer)
            states.append(state)
            allowed = torch.from_numpy(self._tokens.allowed(grammar, state)).to(scores.device)
            masked[row, allowed] = scores[row, allowed]
        self._seen, self._states = answers, states
        return masked

    def _state(self, row: int, grammar: AnswerGrammar, answer: list[int]) -> State:
        """The state of a row; usually one token further than at the last call."""
        follows = row < len(self._seen) and bool(answer) and self._seen[row] == answer[:-1]
        state, new = (self._states[row], answer[-1:]) if follows else (grammar.start, answer)
        for token in new:
            if grammar.is_over(state):  # tokens after the end are padding
                break
            state = self._tokens.step(grammar, state, token)
        return state
