"""Writes a recorded performance as a file of another program, and reports the losses.

Action Units go through `auteur.facs.convert`. Gaze against the camera is gaze against the head plus the
head's own angles. ARKit's eye shapes and a gaze direction stand for each other: a turn of half a radian is 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.facs import convert, dropped_channels, find_convention, lossiness
from auteur.files import write_text
from auteur.formats.arkit_json import ArkitWeights, arkit_json_text
from auteur.formats.fex import FexTable, fex_text
from auteur.formats.live_link import NOMINAL_RATES, LiveLinkTake, live_link_text
from auteur.formats.openface import PRESENCE_COLUMNS, OpenFaceRow, OpenFaceWriter, pose_to_openface
from auteur.formats.recorded import RecordedPerformance, few
from auteur.signals import AUTrack, GazeTrack

Floats = NDArray[np.floating]

_EYE_SHAPES = {
    "eyeLookOutLeft": (0, 1.0),
    "eyeLookInRight": (0, 1.0),
    "eyeLookInLeft": (0, -1.0),
    "eyeLookOutRight": (0, -1.0),
    "eyeLookUpLeft": (1, 1.0),
    "eyeLookUpRight": (1, 1.0),
    "eyeLookDownLeft": (1, -1.0),
    "eyeLookDownRight": (1, -1.0),
}
"""Axis of the gaze (yaw, pitch) and the sign that each eye shape of ARKit stands for."""
_SHAPES_PER_RAD = 2.0
_PRESENT_FROM = 1.0
"""Intensity, 0 to 5, from which `auteur track` counts a unit as present."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file that a performance can be written as."""

    title: str
    """Its name in messages."""
    suffix: str
    """How its files end."""
    convention: str | None
    """Convention of its Action Units; None where it takes any."""
    text: Callable[[RecordedPerformance], str] | None
    """Returns the file's text; None where a track writes itself."""
    has_gaps: bool = True
    """Whether it can mark a value as not measured."""
    has_pose: bool = False
    """Whether it holds head pose and gaze."""
    states_rate: Callable[[AUTrack], bool] = lambda _: True
    """Whether a file of it states its frame rate."""


def write_recorded(
    recorded: RecordedPerformance,
    path: Path,
    kind: str,
    *,
    convention: str | None = None,
    rate: Fraction | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Writes a performance as a file of a kind, whole or not at all; returns sentences about what is lost.

    Args:
        recorded: The performance; frames and channels that are NaN are not measured.
        path: Where to.
        kind: One of `FILE_KINDS`.
        convention: Of our own files; the performance's own unless given.
        rate: Frames per second of the result, by linear interpolation; the performance's own unless given.
        overwrite: Whether `path` may be replaced.

    Raises:
        UsageError: The kind or the convention is unknown, or the file holds no other convention than its own.
        InputError: The file cannot be written.
    """
    if kind not in FILE_KINDS:
        raise UsageError(f"there is no kind of table {kind!r}; choose one of {', '.join(FILE_KINDS)}")
    wanted = FILE_KINDS[kind]
    if convention is not None and wanted.convention not in (None, convention):
        raise UsageError(f"{wanted.title} holds {wanted.convention}; leave out the convention {convention}")
    target = wanted.convention or convention or recorded.action_units.convention
    find_convention(target)
    recorded = _resampled(recorded, rate)
    turned, notes = _converted(recorded, target, wanted)
    if wanted.text is None:
        turned.action_units.save(path, overwrite=overwrite)
    else:
        write_text(path, wanted.text(turned), overwrite=overwrite)
    return notes


def _resampled(recorded: RecordedPerformance, rate: Fraction | None) -> RecordedPerformance:
    if rate is None or rate == recorded.action_units.rate:
        return recorded
    units = recorded.action_units.resample(rate)
    return replace(
        recorded,
        action_units=units,
        head=None if recorded.head is None else recorded.head.resample(rate, frames=units.frames),
        gaze=None if recorded.gaze is None else recorded.gaze.resample(rate, frames=units.frames),
    )


def _converted(
    recorded: RecordedPerformance, target: str, kind: FileKind
) -> tuple[RecordedPerformance, tuple[str, ...]]:
    """The performance in another convention, missing values as the kind requires, and the losses."""
    source = recorded.action_units
    if kind.text is None and target == source.convention:
        return RecordedPerformance(action_units=source), _motion_notes(recorded, None, kind)
    gaze = _against_head(recorded) or _gaze_of_shapes(source)
    units = convert(source, target)
    losses = lossiness(source.convention, target, channels=source.channels)
    absent = [name for name, loss in losses.items() if loss.kind == "absent"]
    values = np.array(units.values)
    values[:, [units.channels.index(name) for name in absent]] = np.nan
    if target == "arkit52" and gaze is not None:
        looks = [name for name in _EYE_SHAPES if name in absent]
        values[:, [units.channels.index(name) for name in looks]] = _looking(gaze, looks)
        absent = [name for name in absent if name not in looks]
    notes = list[str]()
    if not kind.has_gaps:
        values, bridged = _filled(values, units.channels, absent)
        if bridged:
            cells = "1 value that is" if bridged == 1 else f"{bridged} values that are"
            notes.append(f"{cells} not measured: bridged, since {kind.title} has no empty cells")
    lost = _lost_channels(source, target, ignoring=() if gaze is None else tuple(_EYE_SHAPES))
    if lost:
        notes.append(f"{kind.title} has nothing for {few(lost)}: not carried over")
    if absent:
        filling = "left empty" if kind.has_gaps else "written as 0"
        notes.append(f"the source does not measure {few(absent)}: {filling}")
    rough = [name for name, loss in losses.items() if loss.kind == "approximate"]
    if rough:
        notes.append(f"made of other channels, and so approximate: {few(rough)}")
    if not kind.states_rate(source):
        notes.append(f"{kind.title} does not state the rate, which is {source.rate} frames/s")
    notes += _motion_notes(recorded, gaze if target == "arkit52" else None, kind)
    head = recorded.head if kind.has_pose else None
    return (
        RecordedPerformance(
            action_units=units.replace(values=values), head=head, gaze=gaze if kind.has_pose else None
        ),
        tuple(notes),
    )


def _lost_channels(source: AUTrack, target: str, *, ignoring: Sequence[str]) -> list[str]:
    """Channels that move in the source and have no counterpart."""
    dropped = (name for name in dropped_channels(source.convention, target) if name in source.channels)
    return [name for name in dropped if name not in ignoring and np.nan_to_num(source.channel(name)).any()]


def _motion_notes(recorded: RecordedPerformance, shown: GazeTrack | None, kind: FileKind) -> tuple[str, ...]:
    """Report of head and gaze that the kind cannot hold; `shown` is gaze within its shapes."""
    tracks = {"head pose": recorded.head, "gaze": recorded.gaze if shown is None else None}
    lost = [name for name, track in tracks.items() if track is not None and not kind.has_pose]
    if not lost:
        return ()
    return (f"{kind.title} holds no {' and no '.join(lost)}: not carried over",)


def _against_head(recorded: RecordedPerformance) -> GazeTrack | None:
    gaze, head = recorded.gaze, recorded.head
    if gaze is None or gaze.convention == "head":
        return gaze
    if head is None:
        return None
    return gaze.replace(values=gaze.values - head.values[:, [1, 0]], convention="head")


def _gaze_of_shapes(track: AUTrack) -> GazeTrack | None:
    """The mean direction of ARKit's eye shapes, if the track has any of them."""
    names = [name for name in _EYE_SHAPES if name in track.channels]
    if track.convention != "arkit52" or len(names) < len(_EYE_SHAPES):
        return None
    angles = np.zeros((track.frames, 2), np.float32)
    for name, (axis, sign) in _EYE_SHAPES.items():
        angles[:, axis] += sign * track.channel(name) / 2 / _SHAPES_PER_RAD
    return GazeTrack(values=angles, rate=track.rate, start_sec=track.start_sec, convention="head")


def _looking(gaze: GazeTrack, names: Sequence[str]) -> Floats:
    turns = [(_EYE_SHAPES[name][1] * gaze.values[:, _EYE_SHAPES[name][0]]) for name in names]
    return np.clip(_SHAPES_PER_RAD * np.stack(turns, axis=1), 0, 1) if names else np.empty((gaze.frames, 0))


def _filled(values: Floats, channels: Sequence[str], absent: Sequence[str]) -> tuple[Floats, int]:
    """Values without NaN: linear between measured frames, held outside, 0 where nothing was measured."""
    result, bridged = np.array(values), 0
    for column, name in enumerate(channels):
        known = ~np.isnan(result[:, column])
        if known.all():
            continue
        places = np.flatnonzero(known)
        result[:, column] = (
            np.interp(np.arange(len(result)), places, result[known, column]) if len(places) else 0
        )
        bridged += 0 if name in absent else int((~known).sum())
    return result, bridged


def _openface_text(recorded: RecordedPerformance) -> str:
    units, head, gaze = recorded.action_units, recorded.head, recorded.gaze
    blank = np.full((units.frames, 6), np.nan)
    pose = pose_to_openface(blank if head is None else head.values)
    if head is not None and head.convention != "openface_mm":
        pose[:, :3] = np.nan  # another program's units and axes
    angles = np.full((units.frames, 2), np.nan)
    if gaze is not None and head is not None:  # OpenFace counts to the picture's right and bottom
        angles = (gaze.values + head.values[:, [1, 0]]) * [1, -1]
    ahead = np.concatenate([np.tan(angles), np.full((units.frames, 1), -1.0)], axis=1)
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    columns = [
        units.channels.index(name.replace("_c", "_r")) for name in PRESENCE_COLUMNS if name != "AU28_c"
    ]
    stream = StringIO()
    writer = OpenFaceWriter(stream)
    for index, time_sec in enumerate(units.times_sec.tolist()):
        values = units.values[index]
        present = np.where(np.isnan(values[columns]), np.nan, values[columns] >= _PRESENT_FROM)
        place = PRESENCE_COLUMNS.index("AU28_c")
        is_seen = not np.isnan(values).all()
        writer.write(
            OpenFaceRow(
                frame=index + 1,
                timestamp_sec=max(time_sec, 0.0),
                confidence=np.nan if is_seen else 0.0,
                is_success=is_seen,
                gaze=np.stack([ahead[index]] * 2),
                gaze_angle_rad=angles[index],
                pose=pose[index],
                intensities=values[:17],
                presences=np.insert(present, place, values[units.channels.index("AU28_c")]),
            )
        )
    return stream.getvalue()


def _fex_text(recorded: RecordedPerformance) -> str:
    units = recorded.action_units
    first = round(units.start_sec * units.rate)
    return fex_text(
        FexTable(
            frames=tuple(range(max(first, 0), max(first, 0) + units.frames)),
            channels=units.channels,
            probabilities=np.asarray(units.values, dtype=np.float64),
        )
    )


def _has_shown_rate(track: AUTrack) -> bool:
    """Whether the frame numbers of timecodes show the rate: a usual one, over a second or more."""
    return track.rate in NOMINAL_RATES and track.frames >= track.rate


def _live_link_text(recorded: RecordedPerformance) -> str:
    units = recorded.action_units
    angles = np.zeros((units.frames, 9), np.float32)
    if recorded.head is not None:
        pitch, yaw, roll = recorded.head.values[:, :3].T
        angles[:, :3] = np.nan_to_num(np.stack([yaw, -pitch, -roll], axis=1))
    if recorded.gaze is not None:
        yaw, pitch = np.nan_to_num(recorded.gaze.values).T
        angles[:, [3, 6]], angles[:, [4, 7]] = yaw[:, None], -pitch[:, None]
    start = max(units.start_sec, Fraction(0))
    return live_link_text(
        LiveLinkTake(shapes=units.replace(start_sec=0), angles=angles, first_timecode_sec=start)
    )


def _arkit_text(recorded: RecordedPerformance) -> str:
    return arkit_json_text(ArkitWeights(shapes=recorded.action_units, head=recorded.head, gaze=recorded.gaze))


FILE_KINDS: dict[str, FileKind] = {
    "openface": FileKind("OpenFace", ".csv", "openface18", _openface_text, has_pose=True),
    "fex": FileKind("py-feat", ".csv", "pyfeat20", _fex_text, states_rate=lambda _: False),
    "livelink": FileKind(
        "Live Link",
        ".csv",
        "arkit52",
        _live_link_text,
        has_gaps=False,
        has_pose=True,
        states_rate=_has_shown_rate,
    ),
    "arkit": FileKind("ARKit JSON", ".json", "arkit52", _arkit_text, has_gaps=False, has_pose=True),
    "auteur": FileKind("our track", ".csv or .json", None, None),
}
"""Every kind by the name that `auteur convert --to` takes."""
