"""The vocabulary file `qwen.tiktoken` of Qwen-7B and Qwen-Audio as a fast tokenizer of transformers.

A line of the file is a token (base64) and its rank. Text is cut into words by a regular expression; within a
word, the neighbours whose concatenation has the lowest rank are joined, until none is a token. That is
byte-pair encoding whose merges are every way to make a token of two others, in the order of the ranks.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

from auteur.errors import WeightsError

FILE = "qwen.tiktoken"
END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (END_OF_TEXT, IM_START, IM_END)
"""Tokens that follow the ranks."""
EXTRAS = 205
"""Unused tokens after those."""
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_MOST_TOKENS = 400_000


def read_ranks(path: Path) -> dict[bytes, int]:
    """Returns the rank of every token.

    Raises:
        WeightsError: The file is missing or is no such vocabulary.
    """
    try:
        pairs = [line.split() for line in path.read_bytes().splitlines() if line]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except (OSError, ValueError, binascii.Error) as error:
        raise WeightsError(
            f"cannot read the vocabulary {str(path)!r}: {error}; copy {FILE} of the published folder"
        ) from error
    if sorted(ranks.values()) != list(range(len(ranks))) or not 256 <= len(ranks) <= _MOST_TOKENS:
        raise WeightsError(f"{str(path)!r} holds {len(ranks)} tokens whose ranks are not 0, 1, 2, …")
    return ranks


def merges_of(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Returns all pairs of tokens that make a token, in the order in which they are joined."""
    found = [
        (rank, ranks[left], ranks[right], left, right)
        for token, rank in ranks.items()
        for cut in range(1, len(token))
        if (left := token[:cut]) in ranks and (right := token[cut:]) in ranks
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def tokenizer_of(path: Path, special: dict[str, int]) -> Any:
    """Returns the fast tokenizer of a vocabulary file.

    Args:
        path: Of the file.
        special: Further special tokens and their numbers.

    Raises:
        WeightsError: As `read_ranks`.
    """
    import tokenizers
    import transformers
    from tokenizers import decoders, models, normalizers, pre_tokenizers

    ranks = read_ranks(path)
    shown = _shown_bytes()

    def text(token: bytes) -> str:
        return "".join(shown[byte] for byte in token)

    numbers = {name: len(ranks) + place for place, name in enumerate(SPECIAL)} | special
    vocabulary = {text(token): rank for token, rank in ranks.items()} | numbers
    merges = [(text(left), text(right)) for left, right in merges_of(ranks)]
    plain = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    plain.normalizer = normalizers.NFC()
    plain.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens(list(numbers))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain,
        eos_token=IM_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=list(numbers),
    )


def _shown_bytes() -> list[str]:
    """The letter for each byte in byte-level vocabularies: itself if printed, else one from U+0100 on."""
    printed = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in printed]
    return [chr(byte) if byte in printed else chr(256 + hidden.index(byte)) for byte in range(256)]
