"""Conversion between any two Action Unit conventions, and its losses.

The rule. Each source channel gives its value, divided by its full scale, to every control it measures. Each
target channel takes, for every Action Unit it covers, the mean over that unit's sides, then the largest of
these, times its own full scale. Where the source does not measure a unit, `SUBSTITUTES` may stand in; where
nothing does, the channel is 0. `lossiness` says which of these happened.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.facs.action_units import ACTION_UNITS, CONTROLS
from auteur.facs.controls import control_number
from auteur.facs.conventions import Channel, Convention, find_convention
from auteur.signals import AUTrack

Kind = Literal["exact", "direct", "approximate", "absent"]
"""exact: the same column; direct: the same movement; approximate: merged, split or another kind of number;
absent: 0."""

PRESENCE_THRESHOLD = 0.2
"""Intensity from which a unit counts as present: 1 of OpenFace's 5, the FACS manual's trace level."""

_OUT_OF_RANGE = 0.1
"""Part of the range by which values may overshoot, as smoothing makes them; they are then clipped."""


@dataclass(frozen=True)
class Substitute:
    """A unit that stands in for one that the source does not measure."""

    number: int
    """Unit that stands in."""
    gain: float
    """Factor on its intensity."""
    confidence: float
    """Confidence by our judgement, 0 to 1."""
    note: str
    """Why, in a few words."""


SUBSTITUTES: dict[int, Substitute] = {
    23: Substitute(24, 0.6, 0.4, "pressed lips are mostly tight too"),
    24: Substitute(23, 0.6, 0.4, "tight lips are mostly pressed too"),
    25: Substitute(26, 1.0, 0.6, "an open jaw parts the lips; lips that part over a closed jaw are missed"),
    43: Substitute(45, 1.0, 0.5, "a blink is counted as closed eyes"),
    45: Substitute(43, 1.0, 0.5, "closed eyes are counted as a blink"),
}
"""Stand-ins by the number of the missing unit."""


@dataclass(frozen=True)
class Lossiness:
    """How one channel of the target is made."""

    kind: Kind
    """The largest loss that applies."""
    confidence: float
    """Confidence by our judgement, 0 to 1; ordinal, not measured."""
    sources: tuple[str, ...]
    """Source channels it is made from."""
    note: str
    """What was done, in a few words; "" for an exact copy."""


def convert(track: AUTrack, to: str) -> AUTrack:
    """The track in the convention `to`, all of its channels, same times.

    Values that overshoot the range of the source by at most a tenth are clipped to it. NaN stays NaN where it
    is used. The track may hold only some channels of its convention; the others count as not measured.

    Raises:
        UsageError: Either convention is unknown, the track has channels outside its convention, or its values
            are far outside the convention's range.
    """
    source, target = _checked_convention(track), find_convention(to)
    if source is target and track.channels == target.channels:
        return track
    controls = _decode(track, source)
    kept = {entry for entry in _entries(source, track.channels) if entry in target.entries}
    values = np.empty((track.frames, len(target.entries)), np.float32)
    for column, channel in enumerate(target.entries):
        is_kept = channel in kept
        values[:, column] = (
            track.channel(channel.name) if is_kept else _encode(controls, channel, track.frames)
        )
    return track.replace(values=values, channels=target.channels, convention=to)


def lossiness(source: str, target: str, *, channels: Collection[str] | None = None) -> dict[str, Lossiness]:
    """How each channel of `target` is made from `source`, in the target's order.

    Args:
        source: Convention of the track.
        target: Convention to convert to.
        channels: The channels the track has, if not all of its convention.

    Raises:
        UsageError: A convention or channel is unknown.
    """
    entries = _entries(find_convention(source), channels)
    return {channel.name: _channel_lossiness(entries, channel) for channel in find_convention(target).entries}


def dropped_channels(source: str, target: str) -> tuple[str, ...]:
    """Channels of `source` that no channel of `target` uses.

    Raises:
        UsageError: A convention is unknown.
    """
    used = {name for loss in lossiness(source, target).values() for name in loss.sources}
    return tuple(name for name in find_convention(source).channels if name not in used)


def encode_controls(controls: Mapping[str, float], convention: str) -> dict[str, float]:
    """Channel values of a convention for given intensities of controls such as {"AU12L": 0.5}; others are 0.

    A unit that the convention has no channel for acts through its stand-in, if `SUBSTITUTES` has one.

    Raises:
        UsageError: The convention is unknown.
    """
    entries = find_convention(convention).entries
    expressible = {control for entry in entries for control in entry.controls}
    left_open = {
        number
        for number, substitute in SUBSTITUTES.items()
        for control in ACTION_UNITS[substitute.number].controls
        if control in controls and control not in expressible
    }
    arrays = {
        control: np.array([controls.get(control, 0.0)])
        for control in CONTROLS
        if control in controls or control_number(control) not in left_open
    }
    return {channel.name: float(_encode(arrays, channel, 1)[0]) for channel in entries}


def mirror(track: AUTrack) -> AUTrack:
    """The track of the mirrored face: left and right channels change places.

    Raises:
        UsageError: The convention is unknown, or a side has no counterpart in the track.
    """
    find_convention(track.convention)
    order: list[int] = []
    for name in track.channels:
        other = mirrored_name(name, track.convention)
        if other not in track.channels:
            raise UsageError(
                f"cannot mirror: the track has {name!r} but not {other!r}; add the missing channel"
            )
        order.append(track.channels.index(other))
    return track.replace(values=track.values[:, order])


def mirrored_name(channel: str, convention: str) -> str:
    """Name of the channel that `channel` becomes in a mirror; itself where it has no side."""
    if convention == "facs":
        turned = {"AU61": "AU62", "AU62": "AU61"}.get(channel[:-1], channel[:-1])
        return turned + {"L": "R", "R": "L"}[channel[-1]] if channel[-1] in "LR" else channel
    for left, right in (("_left", "_right"), ("Left", "Right")):
        if channel.endswith(left):
            return channel.removesuffix(left) + right
        if channel.endswith(right):
            return channel.removesuffix(right) + left
    return channel


def _checked_convention(track: AUTrack) -> Convention:
    convention = find_convention(track.convention)
    _entries(convention, track.channels)
    slack = _OUT_OF_RANGE * convention.maximum
    finite = track.values[~np.isnan(track.values)]
    if finite.size and (finite.min() < -slack or finite.max() > convention.maximum + slack):
        raise UsageError(
            f"values from {finite.min():g} to {finite.max():g} are no {convention.name}, whose range is 0 to "
            f"{convention.maximum:g}; name the convention they are in"
        )
    return convention


def _entries(convention: Convention, channels: Collection[str] | None) -> tuple[Channel, ...]:
    if channels is None:
        return convention.entries
    unknown = [name for name in channels if name not in convention.channels]
    if unknown:
        raise UsageError(
            f"{convention.name} has no channel {unknown[0]!r}; it has {', '.join(convention.channels)}"
        )
    return tuple(entry for entry in convention.entries if entry.name in channels)


def _decode(track: AUTrack, convention: Convention) -> dict[str, NDArray[np.float64]]:
    """Intensity [T] in [0, 1] of each control that the track measures."""
    controls: dict[str, NDArray[np.float64]] = {}
    for channel in _entries(convention, track.channels):
        intensity = np.clip(track.channel(channel.name).astype(np.float64) / channel.full, 0, 1)
        controls |= dict.fromkeys(channel.controls, intensity)
    return controls


def _encode(
    controls: Mapping[str, NDArray[np.float64]], channel: Channel, frames: int
) -> NDArray[np.float64]:
    """Values [frames] of one target channel."""
    units: list[NDArray[np.float64]] = []
    for number in _numbers(channel.controls):
        measured, substitute = _measured(controls.keys(), channel, number)
        if measured:
            mean = np.mean([controls[name] for name in measured], axis=0)
            units.append(mean * (substitute.gain if substitute else 1.0))
    if not units:
        return np.zeros(frames)
    strongest = np.max(units, axis=0)
    if channel.unit == "presence":
        return np.where(np.isnan(strongest), np.nan, strongest >= PRESENCE_THRESHOLD)
    return strongest * channel.full


def _measured(
    available: Collection[str], channel: Channel, number: int
) -> tuple[tuple[str, ...], Substitute | None]:
    """The available controls that give `channel` its unit `number`; the substitute if they are stand-ins.

    A stand-in is taken only where none of the channel's units is measured.
    """
    wanted = [name for name in channel.controls if control_number(name) == number]
    direct = tuple(name for name in wanted if name in available)
    substitute = SUBSTITUTES.get(number)
    if direct or substitute is None or any(name in available for name in channel.controls):
        return direct, None
    sides = {name.removeprefix(f"AU{number}") for name in wanted}
    stand_ins = ACTION_UNITS[substitute.number].controls
    same_side = [name for name in stand_ins if name.removeprefix(f"AU{substitute.number}") in sides]
    return tuple(name for name in same_side or stand_ins if name in available), substitute


def _channel_lossiness(entries: tuple[Channel, ...], channel: Channel) -> Lossiness:
    if channel in entries:
        return Lossiness("exact", 1.0, (channel.name,), "")
    by_control = {control: entry for entry in entries for control in entry.controls}
    names: list[str] = []
    notes: list[str] = []
    confidence = 1.0
    for number in _numbers(channel.controls):
        measured, substitute = _measured(by_control.keys(), channel, number)
        names += measured
        if measured and substitute:
            notes.append(f"AU{number} from AU{substitute.number}: {substitute.note}")
            confidence *= substitute.confidence
    if not names:
        return Lossiness("absent", 0.0, (), "no source measures this movement; 0")
    used = tuple({by_control[name].name: by_control[name] for name in names}.values())
    for factor, note in _differences(used, channel):
        confidence *= factor
        notes.append(note)
    sources = tuple(entry.name for entry in used)
    kind: Kind = "approximate" if notes else "direct"
    return Lossiness(
        kind, round(confidence, 2), sources, "; ".join(notes) or "same movement, other scale or name"
    )


def _differences(used: tuple[Channel, ...], channel: Channel) -> Iterable[tuple[float, str]]:
    """Ways in which the channels `used` differ from the target `channel`: factor on confidence, note."""
    wanted = set(_numbers(channel.controls))
    read = [set(_numbers(entry.controls)) & wanted for entry in used]
    if any(
        numbers and set(_numbers(entry.controls)) > wanted for entry, numbers in zip(used, read, strict=True)
    ):
        yield 0.8, "the source merges several units"
    if any(numbers != wanted for numbers in read if numbers):
        yield 0.8, "largest of several units"
    if any(numbers == others for numbers, others in itertools.combinations(read, 2)):
        yield 0.9, "mean of the sides"
    others = {control for entry in used for control in entry.controls} - set(channel.controls)
    if any(control_number(control) in wanted for control in others):
        yield 0.8, "the source does not separate the sides"
    if any(entry.unit != channel.unit for entry in used):
        yield 0.5, f"{used[0].unit} read as {channel.unit}"


def _numbers(controls: Iterable[str]) -> list[int]:
    return list(dict.fromkeys(control_number(name) for name in controls))
