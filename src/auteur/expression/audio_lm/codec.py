r"""Action Units as text, the output format of AUHead's first stage, and back.

One list per frame, five frames a second, each on its own line; a list holds an (index, intensity) pair for
every active unit of FEAFA-24, in rising order, with two decimals and no leading zero (arXiv 2602.09534, Eq. 2
and 3):

    Action Units:
    [(8,.32)(11,.50)(12,.50)]
    []

The reader also takes nested lists (`[[8, 0.32], [11, 0.5]]`), commas between pairs or frames, leading zeros,
text that breaks off, and words before, between and after the lists.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS, EMOTION_ALIASES, EMOTIONS, convert
from auteur.signals import AUTrack, measured
from auteur.signals.timebase import Seconds, exact_seconds

CODEC_RATE = Fraction(5)
"""Frames per second of the text: gamma = 0.2 of 25."""
TRACK_RATE = Fraction(25)
"""Frames per second of the tracks made from it."""
UNITS = CONVENTIONS["feafa24"].channels
"""Convention whose channels the indices 0 to 23 number."""
VOICE_EMOTIONS = (*EMOTIONS, "calm", "bored")
"""Emotions that can be written: the eight of the faces, and two more that corpora of speech label."""

EMOTION_LEAD, EMOTION_END = "The speaker sounds ", "."
UNITS_LEAD = "Action Units:\n"
FRAME_END = "\n"

MAX_TEXT = 4_000_000
"""Characters that the reader takes at most: more than an hour of busy text."""

Frame = tuple[tuple[int, float], ...]
"""The active units of one instant: (index, intensity) with rising indices."""

_PAIR = re.compile(r"[(\[]\s*(\d{1,2})\s*[,:]\s*(\d{0,3}\.\d+|\d{1,3}\.?)\s*[)\]]", re.ASCII)
_SEPARATORS = re.compile(r"[\s,;]*")
_WORDS = {word: word for word in VOICE_EMOTIONS} | {
    alias: emotion for alias, emotion in EMOTION_ALIASES.items() if alias not in (*VOICE_EMOTIONS, "none")
}
_WORDS["surprise"] = "surprised"
_EMOTION = re.compile(r"\b(" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Content of a text."""

    frames: tuple[Frame, ...]
    """The lists in their order, at `CODEC_RATE`."""
    emotion: str | None = None
    """One of `VOICE_EMOTIONS`, if one is named outside the lists."""
    is_complete: bool = True
    """Whether the last list was closed."""


def frame_count(duration_sec: Seconds) -> int:
    """Returns round(duration × 5), at least 1: the number of lists for a recording."""
    return max(1, round(exact_seconds(duration_sec, "duration_sec") * CODEC_RATE))


def frames_of(track: AUTrack, *, frames: int | None = None, threshold: float = 0.0) -> tuple[Frame, ...]:
    """Returns the active units of every 200 ms of a track in any convention: stride down, no averaging.

    Args:
        track: Curves to write, their holes filled. Values are sampled at the times of the text's frames.
        frames: Number of lists; `frame_count` of the track unless given.
        threshold: The paper's lambda in [0, 1): only larger intensities are active. Those that round to .00
            never are.

    Raises:
        UsageError: The threshold is outside its range, or the track's convention is unknown.
    """
    if not 0 <= threshold < 1:
        raise UsageError(f"threshold is {threshold}; it must be at least 0 and below 1")
    count = frame_count(track.duration_sec) if frames is None else frames
    values = convert(measured(track), "feafa24").resample(CODEC_RATE, frames=count).values
    hundredths = np.rint(values.clip(0, 1).astype(np.float64) * 100).astype(int)
    active = (hundredths > 0) & (values > threshold)
    return tuple(
        tuple((int(i), hundredths[t, i] / 100) for i in np.flatnonzero(active[t])) for t in range(count)
    )


def values_of(frames: Iterable[Frame]) -> NDArray[np.float32]:
    """Returns the intensities of frames, [T, 24]."""
    rows = list(frames)
    values = np.zeros((len(rows), len(UNITS)), np.float32)
    for t, frame in enumerate(rows):
        for index, intensity in frame:
            values[t, index] = intensity
    return values


def number_text(intensity: float) -> str:
    """Returns ".32" for 0.32 and "1.00" for 1."""
    text = f"{intensity:.2f}"
    return text.removeprefix("0")


def frame_text(frame: Frame) -> str:
    """Returns one list, such as "[(8,.32)(11,.50)]"."""
    return "[" + "".join(f"({index},{number_text(value)})" for index, value in frame) + "]"


def frames_text(frames: Iterable[Frame]) -> str:
    """Returns the lists, one per line."""
    return FRAME_END.join(frame_text(frame) for frame in frames)


def read(text: str) -> Answer:
    """Parses a text, also an untidy one: see the module's docstring.

    Pairs outside a list, with an index over 23 or rounding to 0 are passed over; intensities over 1 count as
    1; where a list names a unit twice the last counts. A list that breaks off keeps its whole pairs.

    Raises:
        FormatError: The text is longer than `MAX_TEXT`.
    """
    if len(text) > MAX_TEXT:
        raise FormatError(f"the text has {len(text)} characters; at most {MAX_TEXT} are read")
    frames, outside, is_complete = _lists(text)
    named = _EMOTION.search(outside)
    emotion = _WORDS[named[1].lower()] if named else None
    return Answer(frames=tuple(frames), emotion=emotion, is_complete=is_complete)


def fitted(frames: Sequence[Frame], count: int) -> tuple[Frame, ...]:
    """Returns exactly `count` frames: cut, or the last one held; none at all become empty ones."""
    kept = tuple(frames[:count])
    last: Frame = kept[-1] if kept else ()
    return kept + (last,) * (count - len(kept))


@dataclass
class _Open:
    """A bracket that is not closed yet."""

    pairs: dict[int, float] = field(default_factory=dict[int, float])
    has_lists: bool = False
    has_words: bool = False

    @property
    def is_frame(self) -> bool:
        return not self.has_lists and (bool(self.pairs) or not self.has_words)

    def frame(self) -> Frame:
        return tuple(sorted((i, value) for i, value in self.pairs.items() if value > 0))


def _lists(text: str) -> tuple[list[Frame], str, bool]:
    """The frames, the text outside brackets, and whether every bracket was closed."""
    frames: list[Frame] = []
    outside: list[str] = []
    stack: list[_Open] = []
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at) if text[at] in "[(" else None
        if pair is not None:
            _note(stack, int(pair[1]), pair[2])
            at = pair.end()
        elif text[at] == "[":
            if stack:
                stack[-1].has_lists = True
            stack.append(_Open())
            at += 1
        elif text[at] == "]":
            closed = stack.pop() if stack else None
            if closed is not None and closed.is_frame:
                frames.append(closed.frame())
            at += 1
        else:
            stop = _SEPARATORS.match(text, at).end()  # pyright: ignore[reportOptionalMemberAccess]
            if stop == at:
                stop = at + 1
                if stack:
                    stack[-1].has_words = True
            if not stack:
                outside.append(text[at:stop])
            at = stop
    if stack and stack[-1].pairs and stack[-1].is_frame:
        frames.append(stack[-1].frame())
    return frames, "".join(outside), not stack


def _note(stack: list[_Open], index: int, number: str) -> None:
    value = round(min(float(number), 1.0), 2)
    if stack and index < len(UNITS) and math.isfinite(value):
        stack[-1].pairs[index] = value
