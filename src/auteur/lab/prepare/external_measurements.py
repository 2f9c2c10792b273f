"""Measurements of other tools: tables of OpenFace and py-feat, FLAME parameters of DECA and its kin."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np

from auteur.errors import FormatError
from auteur.formats import read_au_track
from auteur.formats.flame import FlameParameters, read_flame_parameters
from auteur.lab.corpora import Recording
from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.options import RATE
from auteur.media import probe
from auteur.signals import AUTrack, ExpressionTrack
from auteur.signals.timebase import exact_seconds
from auteur.signals.track import Track

AnyTrack = TypeVar("AnyTrack", bound=Track)

UNIT_TOOLS = {"openface": ("openface17", "openface18"), "pyfeat": ("pyfeat20",)}
"""Conventions of each tool, in which its numbers replace ours."""

FLAME_TOOLS = ("emoca", "deca", "smirk")
"""Order of preference of the tools."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExternalMeasurements:
    """Other tools' tracks of one recording, each on the clock of the video."""

    units: dict[str, AUTrack]
    """Tool → its track."""
    expression: tuple[str, ExpressionTrack, ExpressionTrack | None] | None
    """Tool, FLAME expression, jaw pose as axis-angle [T, 3] if the file has it."""


def read_external(recording: Recording) -> ExternalMeasurements:
    """Reads every file that a recording names in `measured`.

    Raises:
        FormatError: A file is damaged or of another kind than its tool writes.
        InputError: A file is missing.
    """
    if not recording.measured:
        return ExternalMeasurements(units={}, expression=None)
    rate = probe(recording.video).frame_rate or RATE
    units: dict[str, AUTrack] = {}
    for tool, path in sorted(recording.measured.items()):
        if tool in UNIT_TOOLS:
            track = read_au_track(path, rate=rate)
            if track.convention not in UNIT_TOOLS[tool]:
                raise FormatError(
                    f"{str(path)!r} holds {track.convention} Action Units; {tool} writes others"
                )
            units[tool] = _on_the_clock(track, recording, path)
    tool = next((tool for tool in FLAME_TOOLS if tool in recording.measured), None)
    if tool is None:
        return ExternalMeasurements(units=units, expression=None)
    path = recording.measured[tool]
    found = read_flame_parameters(path, rate=str(rate))
    jaw = _jaw_track(found)
    expression = (
        tool,
        _on_the_clock(found.expression, recording, path),
        None if jaw is None else _on_the_clock(jaw, recording, path),
    )
    return ExternalMeasurements(units=units, expression=expression)


def at_clip(track: AnyTrack, clip: Clip) -> AnyTrack:
    """Returns a track at the frames of a clip; NaN where it had ended, or had not begun."""
    return at_frames(track, clip.start_sec, clip.frames)


def at_frames(track: AnyTrack, start_sec: Fraction, frames: int) -> AnyTrack:
    """Returns a track at frames from a time on; NaN where it had ended, or had not begun."""
    even = track.resample(RATE, start_sec=start_sec, frames=frames)
    values = np.array(even.values)
    times = start_sec + np.array([Fraction(k) / RATE for k in range(frames)])
    slack = 1 / track.rate
    outside = (times < track.start_sec - slack) | (times >= track.start_sec + track.duration_sec + slack)
    values[outside.astype(bool)] = np.nan
    return even.replace(values=values)


def _on_the_clock(track: AnyTrack, recording: Recording, path: Path) -> AnyTrack:
    """A file with the recording's own key is of the recording, any other of the whole video."""
    if path.stem != recording.key:
        return track
    return track.replace(start_sec=track.start_sec + exact_seconds(recording.start_seconds, "start_seconds"))


def _jaw_track(found: FlameParameters) -> ExpressionTrack | None:
    if found.jaw_pose_rad is None:
        return None
    return ExpressionTrack(values=found.jaw_pose_rad, rate=found.expression.rate, convention="flame_jaw")
