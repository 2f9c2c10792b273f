"""Live Link Face CSV: `Timecode, BlendshapeCount`, 52 ARKit shapes and 9 head and eye angles (radians).

Column names match whatever their case and order. A timecode `HH:MM:SS:FF.sub` counts frames at a nominal
whole rate (59.94 is written with 60 frame numbers), so time runs at the nominal rate unless the true one is
given. Columns we do not know are refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS
from auteur.formats.table import Row, decimal, read_header, read_rows, row_text
from auteur.formats.timing import even_frames
from auteur.signals import AUTrack

ANGLE_COLUMNS: tuple[str, ...] = tuple(
    f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll")
)
"""Head and eye angles in radians, in the signs of the app."""

_SHAPES = CONVENTIONS["arkit52"].channels
_EYE = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
_PAIRED_MOUTH = ("Smile", "Frown", "Dimple", "Stretch")
SHAPE_COLUMNS: tuple[str, ...] = (
    *(f"Eye{action}{side}" for side in ("Left", "Right") for action in _EYE),
    *("JawForward", "JawRight", "JawLeft", "JawOpen"),
    *("MouthClose", "MouthFunnel", "MouthPucker", "MouthRight", "MouthLeft"),
    *(f"Mouth{action}{side}" for action in _PAIRED_MOUTH for side in ("Left", "Right")),
    *("MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper"),
    *(f"Mouth{action}{side}" for action in ("Press", "LowerDown", "UpperUp") for side in ("Left", "Right")),
    *("BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight"),
    *("CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight", "TongueOut"),
)
"""The 52 shapes in the app's order."""

_TIMECODE = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d):(\d{1,3})(\.\d{1,9})?")
_NOMINAL_RATES = (24, 25, 30, 48, 50, 60, 120)


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveLinkTake:
    """A recorded take of T frames."""

    shapes: AUTrack
    """Convention "arkit52"; its time starts at 0."""
    angles: NDArray[np.float32]
    """[T, 9] in the order of `ANGLE_COLUMNS`, radians; NaN where the file has none."""
    first_timecode_sec: Fraction
    """Time of day at which the take starts."""


def read_live_link(
    lines: Iterable[str], *, rate: Fraction | None = None, source: str = "Live Link table"
) -> LiveLinkTake:
    """The take in a Live Link Face CSV.

    Args:
        lines: Lines of text.
        rate: True frame rate; else the nominal one, the smallest usual rate that holds all frame numbers.
        source: Name of the table in errors.

    Raises:
        FormatError: A column is missing or unknown, a timecode is malformed or does not increase, or a cell
            is no number.
    """
    iterator = iter(lines)
    header = read_header(iterator, source)
    by_lower = {name.lower(): name for name in header}
    _check_columns(by_lower, source)
    rows = list(read_rows(iterator, header, source))
    if not rows:
        raise FormatError(f"{source}: the take has no frames")
    seconds, frames = zip(*(_timecode(row, by_lower["timecode"]) for row in rows), strict=True)
    nominal = _nominal_rate(max(frames), source)
    times = [second + frame / nominal for second, frame in zip(seconds, frames, strict=True)]
    scale = Fraction(1) if rate is None else nominal / rate
    times_sec = np.array([float((time - times[0]) * scale) for time in times])
    columns = [by_lower.get(name.lower(), name) for name in (*_SHAPES, *ANGLE_COLUMNS)]
    values = np.array([row.numbers(columns) for row in rows])
    even = even_frames(times_sec, values, rate=rate or Fraction(nominal), source=source)
    shapes = AUTrack(values=even.values[:, :52], rate=even.rate, channels=_SHAPES, convention="arkit52")
    return LiveLinkTake(shapes=shapes, angles=even.values[:, 52:], first_timecode_sec=times[0])


def live_link_text(take: LiveLinkTake) -> str:
    """The take as CSV in the app's column order, 61 values with 6 digits after the point per row.

    Raises:
        UsageError: The take lasts past midnight, or lacks a shape.
    """
    track = take.shapes
    if track.channels != _SHAPES or take.angles.shape != (track.frames, 9):
        raise UsageError(
            "a take needs all 52 channels of arkit52 and nine angles per frame; convert the track first"
        )
    nominal = -(-track.rate.numerator // track.rate.denominator)
    if take.first_timecode_sec + Fraction(track.frames, nominal) >= 86_400:
        raise UsageError("the take lasts past midnight; choose an earlier first_timecode_sec")
    order = [_SHAPES.index(name[0].lower() + name[1:]) for name in SHAPE_COLUMNS]
    lines = [row_text(["Timecode", "BlendshapeCount", *SHAPE_COLUMNS, *ANGLE_COLUMNS])]
    for index in range(track.frames):
        time = take.first_timecode_sec + Fraction(index, nominal)
        numbers = [*track.values[index, order].tolist(), *take.angles[index].tolist()]
        lines.append(
            row_text([_timecode_text(time, nominal), "61", *(decimal(value, 6) for value in numbers)])
        )
    return "".join(lines)


def _check_columns(by_lower: dict[str, str], source: str) -> None:
    required = {"timecode", "blendshapecount", *(name.lower() for name in _SHAPES)}
    optional = {name.lower() for name in ANGLE_COLUMNS}
    missing, unknown = required - by_lower.keys(), by_lower.keys() - required - optional
    angles = optional & by_lower.keys()
    if missing or unknown or (angles and angles != optional):
        wrong = sorted(missing or unknown or optional - angles)[0]
        state = "unknown" if not missing and unknown else "missing"
        raise FormatError(
            f"{source}: column {wrong!r} is {state}; a Live Link Face table has 52 shapes and 9 angles"
        )


def _timecode(row: Row, column: str) -> tuple[int, Fraction]:
    """Whole seconds of the day, and the frame number with its fraction."""
    parts = _TIMECODE.fullmatch(row.cells[column])
    if parts is None or int(parts[1]) > 23:
        raise FormatError(
            f"{row.place}: timecode {row.cells[column][:40]!r} is not HH:MM:SS:FF or HH:MM:SS:FF.sub"
        )
    seconds = (int(parts[1]) * 60 + int(parts[2])) * 60 + int(parts[3])
    return seconds, int(parts[4]) + Fraction(parts[5] or 0)


def _nominal_rate(largest_frame: Fraction, source: str) -> int:
    for rate in _NOMINAL_RATES:
        if largest_frame < rate:
            return rate
    raise FormatError(
        f"{source}: frame number {int(largest_frame)} in a timecode; at most {_NOMINAL_RATES[-1] - 1}"
    )


def _timecode_text(time: Fraction, nominal: int) -> str:
    seconds, part = divmod(time, 1)
    frame = round(part * nominal * 1000) / 1000
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}:{frame:06.3f}"
