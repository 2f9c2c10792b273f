"""Keyframes of single controls and of the head, and the curves through them.

The curves are those of emotions over time (`auteur.expression.curve`): monotone cubics that pass through
every keyframe, never overshoot, and hold their first and last value outside.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.curve import LONGEST_SEC, monotone_cubic
from auteur.facs import CONTROLS, au_track, resolve
from auteur.signals import POSE_CHANNELS, AUTrack, PoseTrack

Floats = NDArray[np.floating]
Keyframes = Sequence[tuple[float, float]]
"""(time in seconds, value), times rising."""

HEAD_ANGLES = ("pitch", "yaw", "roll")
LARGEST_ANGLE_DEG = 45.0
MOST_KEYFRAMES = 20_000
"""Of one curve."""


def keyframes_of(name: str, values: object, *, low: float, high: float) -> tuple[tuple[float, float], ...]:
    """Returns checked keyframes of a curve.

    Args:
        name: What messages call the curve.
        values: A list of pairs [seconds, value].
        low: Least value.
        high: Largest value.

    Raises:
        UsageError: It is no such list, times do not rise within 0 to 3600 s, or a value is outside its range.
    """
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= MOST_KEYFRAMES:
        raise UsageError(
            f"the curve of {name} must be a list of 1 to {MOST_KEYFRAMES} keyframes [seconds, value], "
            "such as [[0, 0], [1.2, 0.8]]"
        )
    found: list[tuple[float, float]] = []
    for entry in values:
        if not isinstance(entry, list | tuple) or len(entry) != 2 or not all(map(_is_number, entry)):
            raise UsageError(f"the curve of {name} holds {str(entry)[:80]}; keyframes are [seconds, value]")
        time_sec, value = float(entry[0]), float(entry[1])
        if not 0 <= time_sec <= LONGEST_SEC:
            raise UsageError(
                f"the curve of {name} has a keyframe at {time_sec:g} s; times go from 0 to {LONGEST_SEC:g} s"
            )
        if found and time_sec <= found[-1][0]:
            raise UsageError(
                f"the curve of {name}: times must rise, and {time_sec:g} s does not follow {found[-1][0]:g} s"
            )
        if not low <= value <= high:
            raise UsageError(
                f"the curve of {name} is {value:g} at {time_sec:g} s; it must be between {low:g} and {high:g}"
            )
        found.append((time_sec, value))
    return tuple(found)


def curve_at(keyframes: Keyframes, times_sec: Floats) -> Floats:
    """Returns the values [T] of the curve through keyframes."""
    knots, values = np.array(keyframes, dtype=np.float64).T
    return monotone_cubic(knots, values[:, None], times_sec)[:, 0]


def unit_curves_track(
    curves: Mapping[str, Keyframes],
    *,
    rate: Fraction,
    duration_sec: float | Fraction,
    under: AUTrack | None = None,
) -> AUTrack:
    """Returns Action Unit curves as a track of the convention "facs" from time 0, NaN for other controls.

    Args:
        curves: Keyframes by control, in either vocabulary; a control of one side wins over one of both.
        rate: Frames per second of the track.
        duration_sec: Its length; the last keyframe's time where that is later.
        under: A track in "facs" whose controls count where there is no curve; its rate and start stay.

    Raises:
        UsageError: A control is unknown.
    """
    last = max((frames[-1][0] for frames in curves.values()), default=0.0)
    if under is None:
        count = max(1, math.ceil(max(float(duration_sec), last) * rate) + 1)
        values = np.full((count, len(CONTROLS)), np.nan)
        under = au_track(values, convention="facs", rate=rate)
    values = np.array(under.values)
    found = {name: resolve(name) for name in curves}
    for name in sorted(curves, key=lambda one: len(found[one].channels), reverse=True):
        drawn = np.clip(curve_at(curves[name], under.times_sec), 0, 1)
        for channel in found[name].channels:
            values[:, under.channels.index(channel)] = drawn
    return under.replace(values=values)


def head_curves_track(curves: Mapping[str, Keyframes], *, rate: Fraction) -> PoseTrack:
    """Returns keyframes of pitch, yaw and roll in degrees as a head pose relative to the portrait's.

    Args:
        curves: Keyframes by angle; an angle without any is 0.
        rate: Frames per second of the track, which ends with the last keyframe.
    """
    last = max((frames[-1][0] for frames in curves.values()), default=0.0)
    times = np.arange(max(1, math.ceil(last * rate) + 1)) / float(rate)
    values = np.zeros((len(times), len(POSE_CHANNELS)))
    for name, keyframes in curves.items():
        values[:, HEAD_ANGLES.index(name)] = np.radians(curve_at(keyframes, times))
    return PoseTrack(values=values.astype(np.float32), rate=rate, convention="relative_canonical_mm")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
