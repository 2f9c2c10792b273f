"""Times of the words of a text in its recording."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.media import read_speech
from auteur.signals import Waveform

_FRAMES_PER_SEC = 100
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_QUIET = 0.02
"""Share of the largest sample under which a recording is silent."""
_LONGEST_ALIGNED_SEC = 600
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_PHONES_OF_LETTERS = {
    **{
        "a": "AE",
        "b": "B",
        "c": "K",
        "d": "D",
        "e": "EH",
        "f": "F",
        "g": "G",
        "h": "HH",
        "i": "IH",
        "j": "JH",
    },
    **{"k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T"},
    **{"u": "AH", "v": "V", "w": "W", "x": "K S", "y": "Y", "z": "Z"},
}


@dataclass(frozen=True)
class Word:
    """A word and its time."""

    word: str
    """As in the text, with the punctuation around it."""
    start_sec: float
    end_sec: float

    def to_json(self) -> dict[str, Any]:
        """The word as JSON values."""
        return {"word": self.word, "start_sec": self.start_sec, "end_sec": self.end_sec}


def word_times(text: str, path: Path) -> tuple[tuple[Word, ...], bool]:
    """Returns the words of a text with their times in its recording, and whether these were measured.

    English words are aligned with the sound where PocketSphinx (extra "voice") is installed; words between
    those in it, and all words without it, share the time by their lengths.

    Args:
        text: Words of the recording.
        path: The recording of it.
    """
    words = [word for word in text.split() if _WORD.search(word)]
    sound = read_speech(path)
    spans = _aligned(words, sound)
    first, last = _loud_span(sound)
    is_measured = any(span is not None for span in spans)
    return tuple(_filled(words, spans, first, last)), is_measured


def _aligned(words: list[str], sound: Waveform) -> list[tuple[float, float] | None]:
    """Time of each word that could be aligned, in seconds."""
    nothing: list[tuple[float, float] | None] = [None] * len(words)
    try:
        import pocketsphinx
    except ImportError:
        return nothing
    if sound.duration_sec > _LONGEST_ALIGNED_SEC:
        return nothing
    decoder: Any = pocketsphinx.Decoder(loglevel="FATAL", lm=None)
    known = [(place, plain) for place, word in enumerate(words) for plain in _spoken(decoder, word)]
    if not known:
        return nothing
    samples = np.clip(np.rint(np.asarray(sound.samples) * 32767), -32768, 32767).astype("<i2").tobytes()
    try:
        decoder.set_align_text(" ".join(plain for _, plain in known))
        decoder.start_utt()
        decoder.process_raw(samples, full_utt=True)
        decoder.end_utt()
        found = [one for one in decoder.seg() or () if not one.word.startswith(("<", "["))]
    except RuntimeError:
        return nothing
    if len(found) != len(known):
        return nothing
    for (place, _), one in zip(known, found, strict=True):
        start, end = one.start_frame / _FRAMES_PER_SEC, (one.end_frame + 1) / _FRAMES_PER_SEC
        before = nothing[place]
        nothing[place] = (start if before is None else before[0], end)
    return nothing


def _spoken(decoder: Any, word: str) -> list[str]:
    """The dictionary's entries of a word, such as two of "half-way"; one is added for what it lacks."""
    whole = "".join(_WORD.findall(word)).lower().replace("’", "'")
    parts = [whole] if decoder.lookup_word(whole) else [part for part in whole.split("-") if part]
    for part in parts:
        if not decoder.lookup_word(part):
            phones = _guessed(decoder, part)
            if not phones:
                return []
            decoder.add_word(part, phones, True)
    return parts


def _guessed(decoder: Any, word: str) -> str:
    """Phones of a word by its letters and digits: about right in length, which is what alignment needs."""
    found = [
        decoder.lookup_word(_DIGITS[int(one)]) if one in "0123456789" else _PHONES_OF_LETTERS.get(one, "")
        for one in word
    ]
    return " ".join(phones for phones in found if phones)


def _loud_span(sound: Waveform) -> tuple[float, float]:
    """Second of the first and the last loud sample."""
    loud: NDArray[np.intp] = np.flatnonzero(np.abs(sound.samples) > _QUIET * np.abs(sound.samples).max())
    if not len(loud):
        return 0.0, float(sound.duration_sec)
    return float(loud[0] / sound.rate_hz), float((loud[-1] + 1) / sound.rate_hz)


def _filled(
    words: list[str], spans: list[tuple[float, float] | None], first: float, last: float
) -> list[Word]:
    """Words with times; those without share what lies between their neighbours by their letters."""
    made: list[Word] = []
    place = 0
    while place < len(words):
        span = spans[place]
        if span is not None:
            made.append(Word(words[place], *span))
            place += 1
            continue
        stop = next((i for i in range(place, len(words)) if spans[i] is not None), len(words))
        begin = made[-1].end_sec if made else first
        after = spans[stop] if stop < len(words) else None
        end = max(last if after is None else after[0], begin)
        letters = np.cumsum([0, *(len(word) + 1 for word in words[place:stop])])
        edges = begin + (end - begin) * letters / letters[-1]
        made += [
            Word(word, float(a), float(b))
            for word, a, b in zip(words[place:stop], edges[:-1], edges[1:], strict=True)
        ]
        place = stop
    return [replace(one, start_sec=round(one.start_sec, 3), end_sec=round(one.end_sec, 3)) for one in made]
