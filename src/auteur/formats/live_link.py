"""Live Link Face CSV: `Timecode, BlendshapeCount`, 52 ARKit shapes and 9 head and eye angles (radians).

Column names match whatever their case and order; shapes and angles that are missing are not measured. A
timecode `HH:MM:SS:FF.sub` counts frames at a nominal whole rate (59.94 is written with 60 frame numbers), so
time runs at the nominal rate unless the true one is given. `sub` is a part of a frame, unless it only
counts the rows, as Face Landmark Link's does (000, 001, 002 …): then it is ignored. A take may
pass midnight.
"""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS
from auteur.formats.table import Row, decimal, read_table, row_text
from auteur.formats.timing import even_frames
from auteur.signals import AUTrack, GazeTrack, PoseTrack

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

_TIMECODE = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d):(\d{1,3})(\.\d{1,9})?", re.ASCII)
_DAY_SEC = 86_400
_LEAST_STEP = Fraction(1, 4)
NOMINAL_RATES = (24, 25, 30, 48, 50, 60, 120)
"""Rates that the frame numbers of timecodes are read as: the smallest that holds them all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveLinkTake:
    """A recorded take of T frames."""

    shapes: AUTrack
    """Convention "arkit52"; its time starts at 0."""
    angles: NDArray[np.float32]
    """[T, 9] in the order of `ANGLE_COLUMNS`, radians; NaN where the file has none."""
    first_timecode_sec: Fraction
    """Time of day at which the take starts."""
    unknown: tuple[str, ...] = ()
    """Columns that were not read."""

    def head(self) -> PoseTrack:
        """The head's angles in the subject's signs, convention "live_link"; translation is not measured.

        The app's angles are taken as turns about the axes of ARKit's face anchor (x to the subject's left, y
        up, z out of the face; developer.apple.com/documentation/arkit/arfaceanchor), so that +HeadPitch turns
        the nose down and +HeadRoll tilts the head to the subject's right.
        """
        yaw, pitch, roll = self.angles[:, :3].T
        blank = np.full((3, len(yaw)), np.nan, np.float32)
        values = np.concatenate([[-pitch, yaw, -roll], blank]).T
        return PoseTrack(values=values, rate=self.shapes.rate, convention="live_link")

    def gaze(self) -> GazeTrack:
        """The eyes' mean angles in the subject's signs, convention "head"; signs as in `head`."""
        yaw, pitch = self.angles[:, [3, 6]].mean(axis=1), self.angles[:, [4, 7]].mean(axis=1)
        return GazeTrack(values=np.stack([yaw, -pitch], axis=1), rate=self.shapes.rate, convention="head")


def read_live_link(
    lines: Iterable[str], *, rate: Fraction | None = None, source: str = "Live Link table"
) -> LiveLinkTake:
    """The take in a Live Link Face CSV.

    Args:
        lines: Lines of text.
        rate: True frame rate; else the nominal one, the smallest usual rate that holds all frame numbers.
        source: Name of the table in errors.

    Raises:
        FormatError: There is no shape, a column is unknown while a known one is missing, a timecode is
            malformed or does not increase, or a cell is no number.
    """
    header, table_rows = read_table(iter(lines), source)
    by_lower = {name.lower(): name for name in header}
    unknown = _unknown_columns(by_lower, source)
    rows = list(table_rows)
    if not rows:
        raise FormatError(f"{source}: the take has no frames")
    codes = [_timecode(row, by_lower["timecode"]) for row in rows]
    nominal = _nominal_rate(max(code.frame for code in codes), source)
    times = _times(codes, nominal)
    scale = Fraction(1) if rate is None else nominal / rate
    times_sec = np.array([float((time - times[0]) * scale) for time in times])
    columns = [by_lower.get(name.lower(), name) for name in (*_SHAPES, *ANGLE_COLUMNS)]
    values = np.array([row.numbers(columns) for row in rows])
    even = even_frames(times_sec, values, rate=rate or Fraction(nominal), source=source)
    shapes = AUTrack(values=even.values[:, :52], rate=even.rate, channels=_SHAPES, convention="arkit52")
    return LiveLinkTake(
        shapes=shapes, angles=even.values[:, 52:], first_timecode_sec=times[0], unknown=unknown
    )


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


def _unknown_columns(by_lower: dict[str, str], source: str) -> tuple[str, ...]:
    """Columns that are no part of a take; refused beside missing ones: one may stand for the other."""
    shapes, angles = {name.lower() for name in _SHAPES}, {name.lower() for name in ANGLE_COLUMNS}
    missing = {
        name for group in (shapes, angles) if group & by_lower.keys() for name in group
    } - by_lower.keys()
    unknown = sorted(by_lower.keys() - shapes - angles - {"timecode", "blendshapecount"})
    if not shapes & by_lower.keys():
        raise FormatError(f"{source}: every shape is missing; a Live Link Face table has 52 and 9 angles")
    if missing and unknown:
        raise FormatError(
            f"{source}: column {by_lower[unknown[0]]!r} is unknown and {sorted(missing)[0]!r} "
            "missing; a Live "
            "Link Face table has 52 shapes and 9 angles; rename or remove it"
        )
    return tuple(by_lower[name] for name in unknown)


@dataclass(frozen=True)
class _Timecode:
    second: int
    """Whole seconds of the day."""
    frame: int
    part: Fraction
    """Of a frame."""


def _timecode(row: Row, column: str) -> _Timecode:
    parts = _TIMECODE.fullmatch(row.cells[column])
    if parts is None or int(parts[1]) > 23:
        raise FormatError(
            f"{row.place}: timecode {row.cells[column][:40]!r} is not HH:MM:SS:FF or HH:MM:SS:FF.sub"
        )
    seconds = (int(parts[1]) * 60 + int(parts[2])) * 60 + int(parts[3])
    return _Timecode(seconds, int(parts[4]), Fraction(parts[5] or 0))


def _times(codes: list[_Timecode], nominal: int) -> list[Fraction]:
    """Seconds of the day, on past midnight; parts of frames count where they state time."""
    whole = _on_past_midnight([code.second + Fraction(code.frame, nominal) for code in codes])
    times = [time + code.part / nominal for time, code in zip(whole, codes, strict=True)]
    # Rows of different frames that come closer than a quarter of a frame are not separated by their parts.
    is_crowded = any(after - before < _LEAST_STEP / nominal for before, after in itertools.pairwise(times))
    has_own_frames = all(after > before for before, after in itertools.pairwise(whole))
    return whole if _only_counts(codes) or (is_crowded and has_own_frames) else times


def _on_past_midnight(times: list[Fraction]) -> list[Fraction]:
    days = 0
    found: list[Fraction] = []
    for time in times:
        if found and found[-1] - time - days > _DAY_SEC // 2:
            days += _DAY_SEC
        found.append(time + days)
    return found


def _only_counts(codes: list[_Timecode]) -> bool:
    """Whether each part is the last one plus a thousandth, so that it counts rows instead of time."""
    steps = {(after.part - before.part) % 1 for before, after in itertools.pairwise(codes)}
    return steps == {Fraction(1, 1000)}


def _nominal_rate(largest_frame: int, source: str) -> int:
    for rate in NOMINAL_RATES:
        if largest_frame < rate:
            return rate
    raise FormatError(
        f"{source}: frame number {largest_frame} in a timecode; at most {NOMINAL_RATES[-1] - 1}"
    )


def _timecode_text(time: Fraction, nominal: int) -> str:
    seconds, part = divmod(time, 1)
    frame = round(part * nominal * 1000) / 1000
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}:{frame:06.3f}"
