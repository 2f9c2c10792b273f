"""Mouth cues in the four formats of Rhubarb Lip Sync 1: TSV, XML, JSON, and DAT for Moho and OpenToonz.

A cue is a mouth shape, A to H or X, that holds from its start to the next one's. Times are seconds with at
least two digits after the point, more where they are not whole hundredths. DAT counts frames from 1.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from xml.sax.saxutils import escape

from auteur.errors import UsageError

MOUTH_SHAPES = "ABCDEFGHX"
"""The six basic shapes of Hanna-Barbera, the extended G and H, and X for rest."""
CUE_SUFFIXES = (".json", ".tsv", ".xml", ".dat")


@dataclass(frozen=True)
class MouthCue:
    """A mouth shape and when it shows."""

    start_sec: Fraction
    end_sec: Fraction
    shape: str
    """One of `MOUTH_SHAPES`."""


def cues_text(cues: Sequence[MouthCue], suffix: str, *, sound: str, rate: Fraction = Fraction(24)) -> str:
    """The cues as the text of a file.

    Args:
        cues: At least one; each begins where the last ends.
        suffix: One of `CUE_SUFFIXES`.
        sound: Name of the recording, which XML and JSON state.
        rate: Frames per second that DAT counts.

    Raises:
        UsageError: The suffix is another, there is no cue, a shape is unknown, or the cues leave a gap.
    """
    if suffix not in CUE_SUFFIXES:
        raise UsageError(f"mouth cues are written as {', '.join(CUE_SUFFIXES)}, not as {suffix!r}")
    for number, cue in enumerate(cues):
        follows = number == 0 or cue.start_sec == cues[number - 1].end_sec
        if cue.shape not in MOUTH_SHAPES or not cue.start_sec < cue.end_sec or not follows:
            raise UsageError(f"mouth cue {number + 1} has no known shape or does not follow the one before")
    if not cues:
        raise UsageError("there is no mouth cue to write")
    match suffix:
        case ".tsv":
            return _tsv(cues)
        case ".xml":
            return _xml(cues, sound)
        case ".dat":
            return _dat(cues, rate)
        case _:
            return _json(cues, sound)


def _tsv(cues: Sequence[MouthCue]) -> str:
    # The last line ends the last cue; its shape is the one of rest.
    lines = [f"{_seconds(cue.start_sec)}\t{cue.shape}" for cue in cues]
    return "\n".join([*lines, f"{_seconds(cues[-1].end_sec)}\tX"]) + "\n"


def _xml(cues: Sequence[MouthCue], sound: str) -> str:
    spans = [(f'start="{_seconds(cue.start_sec)}" end="{_seconds(cue.end_sec)}"', cue.shape) for cue in cues]
    lines = [f"    <mouthCue {span}>{shape}</mouthCue>" for span, shape in spans]
    head = ['<?xml version="1.0" encoding="utf-8"?>', "<rhubarbResult>", "  <metadata>"]
    facts = [
        f"    <soundFile>{escape(sound)}</soundFile>",
        f"    <duration>{_seconds(cues[-1].end_sec)}</duration>",
    ]
    return "\n".join(
        [*head, *facts, "  </metadata>", "  <mouthCues>", *lines, "  </mouthCues>", "</rhubarbResult>", ""]
    )


def _json(cues: Sequence[MouthCue], sound: str) -> str:
    spans = [
        (f'"start": {_seconds(cue.start_sec)}, "end": {_seconds(cue.end_sec)}', cue.shape) for cue in cues
    ]
    lines = [f'    {{ {span}, "value": "{shape}" }}' for span, shape in spans]
    duration = _seconds(cues[-1].end_sec)
    facts = f'    "soundFile": {json.dumps(sound)},\n    "duration": {duration}'
    body = ",\n".join(lines)
    return f'{{\n  "metadata": {{\n{facts}\n  }},\n  "mouthCues": [\n{body}\n  ]\n}}\n'


def _dat(cues: Sequence[MouthCue], rate: Fraction) -> str:
    shapes: dict[int, str] = {}
    for cue in cues:  # of cues within one frame the last counts
        shapes[1 + int(cue.start_sec * rate)] = cue.shape
    end = max(1 + int(cues[-1].end_sec * rate), max(shapes) + 1)
    lines = [f"{frame} {shape}" for frame, shape in {**shapes, end: "X"}.items()]
    return "\n".join(["MohoSwitch1", *lines]) + "\n"


def _seconds(value: Fraction) -> str:
    whole, point, digits = f"{float(value):.6f}".partition(".")
    return whole + point + digits.rstrip("0").ljust(2, "0")
