"""Emotions over time as text: "0s neutral, 1s happy:0.3, 3s happy:1, 5s sad:0.4+fear:0.3".

Each key is a time, then one emotion or several added with "+", each with a strength from 0 to 1.2 (1 unless
given). Between keys every emotion follows its own smooth monotone curve, so nothing overshoots and nothing
pops.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.facs import EMOTIONS, find_emotion

Floats = NDArray[np.floating]

MAX_STRENGTH = 1.2
"""Largest strength: beyond 1, faces are extrapolated."""
NON_NEUTRAL_EMOTIONS = EMOTIONS[1:]
"""Emotions with a strength; neutral is all of them at 0."""
LONGEST_SEC = 3600.0
EXTRAPOLATES = f"strengths over 1 extrapolate (up to {MAX_STRENGTH:g}); look at the result"

_TIME = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*s?\s+", re.ASCII)
_WORD = re.compile(r"\s*([A-Za-z]+)\s*")
_STRENGTH = re.compile(r":\s*(\d+(?:\.\d*)?|\.\d+)\s*", re.ASCII)


@dataclass(frozen=True)
class Key:
    """Emotions at one time."""

    time_sec: float
    strengths: tuple[float, ...]
    """Strength of each of `NON_NEUTRAL_EMOTIONS`, at least 0; together at most `MAX_STRENGTH`."""


@dataclass(frozen=True)
class EmotionCurve:
    """Strengths of the seven emotions over time."""

    keys: tuple[Key, ...]
    """At least one, times rising. Before the first and behind the last its values hold."""

    def __post_init__(self) -> None:
        if not self.keys:
            raise UsageError("an emotion curve needs at least one key, such as '0s happy:0.5'")
        times = [key.time_sec for key in self.keys]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise UsageError(
                f"times of an emotion curve must rise, and these are {', '.join(f'{t:g}' for t in times)}"
            )
        for key in self.keys:
            check_strength(sum(key.strengths), f"at {key.time_sec:g} s")

    @classmethod
    def constant(cls, emotion: str, strength: float) -> "EmotionCurve":
        """Returns one emotion at one strength throughout.

        Raises:
            UsageError: The emotion is unknown or the strength is outside 0 to 1.2.
        """
        found = find_emotion(emotion)
        check_strength(strength, "of the emotion")
        return cls((Key(0.0, tuple(strength if name == found else 0.0 for name in NON_NEUTRAL_EMOTIONS)),))

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions with a strength above 0 at some key."""
        used = np.array([key.strengths for key in self.keys]).max(axis=0) > 0
        return tuple(name for name, is_used in zip(NON_NEUTRAL_EMOTIONS, used, strict=True) if is_used)

    @property
    def duration_sec(self) -> float:
        """Time of the last key."""
        return self.keys[-1].time_sec

    @property
    def strongest(self) -> float:
        """Largest sum of strengths at any key."""
        return max(sum(key.strengths) for key in self.keys)

    def __str__(self) -> str:
        """The curve as `parse_curve` reads it."""
        mixes = [
            "+".join(
                f"{name}:{value:.10g}"
                for name, value in zip(NON_NEUTRAL_EMOTIONS, key.strengths, strict=True)
                if value
            )
            for key in self.keys
        ]
        return ", ".join(
            f"{key.time_sec:.10g}s {mix or 'neutral'}" for key, mix in zip(self.keys, mixes, strict=True)
        )

    def at(self, times_sec: Floats) -> Floats:
        """Returns strengths [T, 7] of `NON_NEUTRAL_EMOTIONS`, a key's at its time (`monotone_cubic`)."""
        knots = np.array([key.time_sec for key in self.keys])
        return monotone_cubic(knots, np.array([key.strengths for key in self.keys]), times_sec)


def monotone_cubic(knots: Floats, values: Floats, times_sec: Floats) -> Floats:
    """Returns curves [T, C] through values [K, C] at rising times [K]; their ends hold outside.

    Cubic Hermite curves with the slopes of Fritsch & Butland, "A method for constructing local monotone
    piecewise cubic interpolants", 1984: once differentiable, monotone between keys.
    """
    times = np.clip(np.asarray(times_sec, dtype=np.float64), knots[0], knots[-1])
    if len(knots) == 1:
        return np.repeat(values, len(times), axis=0)
    slopes = _slopes(knots, values)
    low = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, len(knots) - 2)
    span = (knots[low + 1] - knots[low])[:, None]
    u = (times - knots[low])[:, None] / span
    rise = u * u * (3 - 2 * u)
    bend = span * (u * (1 - u) ** 2 * slopes[low] - u * u * (1 - u) * slopes[low + 1])
    # Rounding must not leave 0 or the range of two keys.
    bounds = np.stack([values[low], values[low + 1]])
    return np.clip((1 - rise) * values[low] + rise * values[low + 1] + bend, bounds.min(0), bounds.max(0))


def check_strength(strength: float, where: str) -> None:
    """Raises a usage error unless the strength is in [0, 1.2]."""
    if not 0 <= strength <= MAX_STRENGTH + 1e-9:
        raise UsageError(f"the strength {where} is {strength:g}; it must be between 0 and {MAX_STRENGTH:g}")


def parse_curve(text: str) -> EmotionCurve:
    """Parses the text of a curve.

    Args:
        text: Keys separated by commas, such as "0s neutral, 1s happy:0.3, 3s happy:1".

    Raises:
        UsageError: The text is no curve; the message shows it with the offending character marked, an unknown
            emotion with the nearest known one.
    """
    keys: list[Key] = []
    place = 0
    while True:
        key, place = _key(text, place, keys[-1].time_sec if keys else None)
        keys.append(key)
        if place == len(text):
            return EmotionCurve(tuple(keys))
        if text[place] != ",":
            raise _problem(text, place, "expected a comma, ':' and a strength, or '+' and another emotion")
        place += 1


def _key(text: str, place: int, before: float | None) -> tuple[Key, int]:
    start = place + len(text[place:]) - len(text[place:].lstrip())
    time = _TIME.match(text, place)
    if time is None:
        raise _problem(text, start, "expected a time and an emotion, such as 1.5s happy:0.3")
    time_sec = float(time[1])
    if before is not None and time_sec <= before:
        raise _problem(text, start, f"times must rise, and {time_sec:g} s does not follow {before:g} s")
    if time_sec > LONGEST_SEC:
        raise _problem(text, start, f"times end at {LONGEST_SEC:g} s")
    strengths, place = _mix(text, time.end())
    return Key(time_sec, strengths), place


def _mix(text: str, place: int) -> tuple[tuple[float, ...], int]:
    """The emotions of one key, added with "+"."""
    first = place
    found = dict.fromkeys(NON_NEUTRAL_EMOTIONS, 0.0)
    while True:
        word = _WORD.match(text, place)
        if word is None:
            raise _problem(text, place, "expected an emotion")
        try:
            emotion = find_emotion(word[1])
        except UsageError as error:
            raise _problem(text, word.start(1), str(error)) from error
        place = word.end()
        strength, start = 1.0, place
        if text[place : place + 1] == ":":
            number = _STRENGTH.match(text, place)
            if number is None:
                raise _problem(text, place + 1, f"expected a strength between 0 and {MAX_STRENGTH:g}")
            strength, start, place = float(number[1]), number.start(1), number.end()
        if strength > MAX_STRENGTH:
            raise _problem(
                text, start, f"the strength is {strength:g}; it must be between 0 and {MAX_STRENGTH:g}"
            )
        if emotion != "neutral":
            found[emotion] += strength
        if text[place : place + 1] != "+":
            break
        place += 1
    if sum(found.values()) > MAX_STRENGTH + 1e-9:
        total = sum(found.values())
        raise _problem(
            text, first, f"strengths add up to {total:g}; together they must be at most {MAX_STRENGTH:g}"
        )
    return tuple(found.values()), place


def _problem(text: str, place: int, cause: str) -> UsageError:
    shown = repr(text[place]) if place < len(text) else "the end"
    return UsageError(
        f"emotion curve, character {place + 1} ({shown}): {cause}; in {text[:place]!r} >>> {text[place:]!r}"
    )


def _slopes(knots: Floats, values: Floats) -> Floats:
    """Slope [K, 7] of every curve at its keys: 0 at turns and ends, a weighted harmonic mean elsewhere."""
    spans = np.diff(knots)[:, None]
    rises = np.diff(values, axis=0) / spans
    slopes = np.zeros_like(values)
    before, after = rises[:-1], rises[1:]
    one, two = 2 * spans[1:] + spans[:-1], spans[1:] + 2 * spans[:-1]
    same = before * after > 0
    safe = np.where(same, one / np.where(same, before, 1) + two / np.where(same, after, 1), 1)
    slopes[1:-1] = np.where(same, (one + two) / safe, 0)
    return slopes
