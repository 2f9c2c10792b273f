"""Phones of real English speech without a transcript, recognised by PocketSphinx.

The recogniser has a model of English words and their order, so where it mistakes a word it outputs one that
sounds
alike: the phones stay nearly right. Its text is cut at pauses, and its phones are aligned with each piece.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from auteur.lab.data.speech.corpus import PhoneSpan
from auteur.lab.data.speech.sphinx import (
    FRAMES_PER_SEC,
    SAMPLES_PER_FRAME,
    Samples,
    aligned,
    decode,
    new_decoder,
)
from auteur.speech.phones import phones_of_arpabet

_LONGEST_PIECE_FRAMES = 400
_PEAK = 16_000
_MARGIN_FRAMES = 5
"""Sound around a piece in seconds, so that its first and last phone are whole."""


@dataclass(frozen=True)
class _Word:
    text: str
    first: int
    last: int

    @property
    def is_pause(self) -> bool:
        return self.text.startswith(("<", "[", "+"))


class Recogniser:
    """Recognises English words and aligns their phones.

    Raises:
        UsageError: PocketSphinx is not installed.
    """

    def __init__(self) -> None:
        self._words = new_decoder()
        self._phones = new_decoder(lm=None, bestpath=False)

    def recognise(self, samples: Samples) -> tuple[PhoneSpan, ...]:
        """Returns the spans of all recognised phones and pauses, in order.

        Stretches where the words cannot be laid over the sound are left out: they are under no span.

        Args:
            samples: int16 [S] at 16 kHz.
        """
        loud = max(int(np.abs(samples.astype(np.int32)).max(initial=0)), 1)
        level = np.asarray(samples * (_PEAK / loud), np.int16)
        decode(self._words, level)
        words = [_Word(each.word, each.start_frame, each.end_frame) for each in self._words.seg() or ()]
        spans: list[PhoneSpan] = []
        for piece in _pieces(words):
            if piece[0].is_pause:
                spans.append(_span(piece[0].first, piece[0].last + 1, "sil"))
            else:
                spans += self._align(level, piece)
        return tuple(spans)

    def _align(self, samples: Samples, piece: list[_Word]) -> list[PhoneSpan]:
        first = max(piece[0].first - _MARGIN_FRAMES, 0)
        sound = samples[first * SAMPLES_PER_FRAME : (piece[-1].last + 1 + _MARGIN_FRAMES) * SAMPLES_PER_FRAME]
        try:
            found = aligned(self._phones, " ".join(word.text for word in piece), sound) or ()
        except RuntimeError:  # pieces that cannot be aligned are left out
            return []
        begin, end = piece[0].first, piece[-1].last + 1
        phones = [phone for word in found for phone in word]
        starts = [min(max(first + phone.start, begin), end) for phone in phones] + [end]
        return [
            _span(start, next_start, phone.name)
            for phone, start, next_start in zip(phones, starts[:-1], starts[1:], strict=True)
            if next_start > start
        ]


def _pieces(words: list[_Word]) -> Iterator[list[_Word]]:
    """Yields single pauses, and the words between them in pieces of at most four seconds."""
    piece: list[_Word] = []
    for word in words:
        too_long = bool(piece) and word.last - piece[0].first > _LONGEST_PIECE_FRAMES
        if piece and (word.is_pause or too_long):
            yield piece
            piece = []
        if word.is_pause:
            yield [word]
        else:
            piece.append(word)
    if piece:
        yield piece


def _span(first: int, stop: int, name: str) -> PhoneSpan:
    return PhoneSpan(
        start_sec=first / FRAMES_PER_SEC, stop_sec=stop / FRAMES_PER_SEC, phones=phones_of_arpabet(name)
    )
