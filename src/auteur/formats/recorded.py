"""Reads a recorded performance out of any supported file: Action Units, head pose and gaze."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from auteur.errors import FormatError, UsageError
from auteur.formats.arkit_json import ArkitWeights, is_arkit_json, read_arkit_json
from auteur.formats.au_table import check_channels, read_au_table
from auteur.formats.fex import read_fex
from auteur.formats.live_link import ANGLE_COLUMNS, LiveLinkTake, read_live_link
from auteur.formats.openface import PERFORMANCE_GROUPS, read_openface
from auteur.formats.openface_tracks import OpenFaceTracks, openface_tracks
from auteur.formats.table import open_table
from auteur.signals import AU_TABLE_MARK, AUTrack, GazeTrack, PoseTrack
from auteur.signals.storage import MAX_TRACK_BYTES, parse_document, read_text
from auteur.signals.timebase import Seconds, exact_rate, exact_seconds

_MOST_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class TrackReading:
    """Facts about a track file that the file does not state."""

    rate: Fraction | None = None
    """Frames per second of the video, for py-feat (25 unless given), Live Link takes at a fractional rate,
    and OpenFace tables without times. Kinds that state their own ignore it and report that."""
    face: int | None = None
    """Face of a table of several: OpenFace's `face_id` (the one tracked longest unless given), or of a
    py-feat table 0 for the largest in each frame, 1 for the next."""
    start_sec: Seconds | None = None
    """Second of the speech at which the first row happens; the file's own start unless given."""

    def __post_init__(self) -> None:
        if self.rate is not None:
            exact_rate(self.rate)
        if self.face is not None and self.face < 0:
            raise UsageError(f"the face of the track is {self.face}; faces count from 0")
        if self.start_sec is not None:
            exact_seconds(self.start_sec, "the start of the track")

    def given(self) -> dict[str, str]:
        """Returns what is given, as text by name, for the record of an output."""
        values = {"track_rate": self.rate, "track_face": self.face, "track_start_sec": self.start_sec}
        return {name: str(value) for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedPerformance:
    """One face of a track file. NaN is "not measured"; all tracks have the same frames."""

    action_units: AUTrack
    columns: AUTrack | None = None
    """The units in the convention of the file's columns, where `action_units` has more than that can hold."""
    head: PoseTrack | None = None
    """Head pose, where the file has any; its convention names the frame of reference."""
    gaze: GazeTrack | None = None
    """Gaze, where the file has any; its convention names the frame of reference."""
    notes: tuple[str, ...] = ()
    """Sentences about assumptions, and about contents that are not used."""

    def starting(self, start_sec: Seconds | None) -> "RecordedPerformance":
        """Returns the performance with its first frame at another time; None changes nothing."""
        if start_sec is None:
            return self
        start = exact_seconds(start_sec, "the start of the track")
        return replace(
            self,
            action_units=self.action_units.replace(start_sec=start),
            columns=None if self.columns is None else self.columns.replace(start_sec=start),
            head=None if self.head is None else self.head.replace(start_sec=start),
            gaze=None if self.gaze is None else self.gaze.replace(start_sec=start),
        )


def read_au_track(path: Path | str, *, rate: Fraction | None = None) -> AUTrack:
    """The Action Units in a file of any known kind, in the convention of its columns; as `read_recorded`."""
    recorded = read_recorded(path, TrackReading(rate=rate))
    return recorded.action_units if recorded.columns is None else recorded.columns


def read_recorded(path: Path | str, reading: TrackReading | None = None) -> RecordedPerformance:
    """Returns the performance in a file of any known kind, which is recognised by its content.

    Kinds: our JSON and table, weights of ARKit's blend shapes as JSON, and the CSV of OpenFace, py-feat and
    Live Link Face.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is of no known kind, or breaks the rules of its kind.
        UsageError: It has no such face.
    """
    reading = reading or TrackReading()
    return _read(path, reading, str(path)).starting(reading.start_sec)


def _read(path: Path | str, reading: TrackReading, source: str) -> RecordedPerformance:
    with open_table(path) as stream:
        lines, names = _with_names(stream)
        if AU_TABLE_MARK in names[0]:
            return _own(read_au_table(lines, source=source), reading)
        if "timecode" in names:
            return _of_take(read_live_link(lines, rate=reading.rate, source=source))
        if "timestamp" in names or any(name.startswith("au") and name.endswith("_r") for name in names):
            return _of_openface(lines, names, reading, source)
        if "frame" in names and any(name.startswith("au") for name in names):
            table = read_fex(lines, source=source)
            track = table.au_track(rate=reading.rate or 25, face=reading.face or 0, source=source)
            return RecordedPerformance(
                action_units=track, notes=_fex_notes(table.faces, table.extra, reading)
            )
    if names[0].startswith("{"):
        document = parse_document(read_text(path, max_bytes=MAX_TRACK_BYTES), source)
        if is_arkit_json(document):
            return _of_weights(read_arkit_json(document, rate=reading.rate, source=source))
        return _own(check_channels(AUTrack.from_document(document, source=source), source), reading)
    raise FormatError(
        f"{source}: no known kind of track; give our JSON or CSV, ARKit weights as JSON, or one of OpenFace "
        "(columns frame, timestamp, AU01_r …), py-feat (frame, AU01 …) or Live Link (Timecode, "
        "EyeBlinkLeft …)"
    )


def _with_names(stream: Iterator[str]) -> tuple[Iterator[str], list[str]]:
    """All lines, and the lower-case names in the first one that is no "sep=;" of a spreadsheet."""
    head = list(itertools.islice(stream, 1))
    if head and head[0].lower().startswith(("sep=", '"sep=')):
        head += itertools.islice(stream, 1)
    first = head[-1] if head else ""
    separator = max(",;\t", key=first.count)
    names = [name.strip().strip('"').lower() for name in first.split(separator)]
    return itertools.chain(head, stream), names


def _own(track: AUTrack, reading: TrackReading) -> RecordedPerformance:
    notes: list[str] = []
    if reading.rate is not None and reading.rate != track.rate:
        notes.append(
            f"the track file states {float(track.rate):g} frames/s itself; the other rate is not used"
        )
    if reading.face is not None:
        notes.append("the track file holds one face; the number of a face is not used")
    return RecordedPerformance(action_units=track, notes=tuple(notes))


def _of_weights(weights: ArkitWeights) -> RecordedPerformance:
    notes = (f"blend shapes that ARKit has not: {few(weights.unknown)}",) if weights.unknown else ()
    return RecordedPerformance(action_units=weights.shapes, head=weights.head, gaze=weights.gaze, notes=notes)


def _of_take(take: LiveLinkTake) -> RecordedPerformance:
    notes = (f"columns that nothing reads: {few(take.unknown)}",) if take.unknown else ()
    first_eye = ANGLE_COLUMNS.index("LeftEyeYaw")
    has_head, has_gaze = (not np.isnan(part).all() for part in np.split(take.angles, [first_eye], axis=1))
    return RecordedPerformance(
        action_units=take.shapes,
        head=take.head() if has_head else None,
        gaze=take.gaze() if has_gaze else None,
        notes=notes,
    )


def _of_openface(
    lines: Iterator[str], names: Sequence[str], reading: TrackReading, source: str
) -> RecordedPerformance:
    notes: list[str] = []
    if "timestamp" not in names and reading.rate is None:
        raise FormatError(
            f"{source}: column 'timestamp' is missing, so the rate is unknown; give it with --track-rate"
        )
    rows = read_openface(lines, only=PERFORMANCE_GROUPS, source=source)
    tracks = openface_tracks(rows, face_id=reading.face, rate=reading.rate, source=source)
    found = tracks.action_units.rate
    if reading.rate not in (None, found):
        notes.append(f"the track file's times show {float(found):g} frames/s; the other rate is not used")
    if np.isnan(tracks.performance.values).all():
        raise FormatError(f"{source}: the table has no Action Units or no row with success; track again")
    if "success" not in names:
        notes.append("the track file has no column success: every row counts as measured")
    return RecordedPerformance(
        action_units=tracks.performance,
        columns=tracks.action_units,
        head=None if np.isnan(tracks.pose.values[:, :3]).all() else tracks.pose,
        gaze=None if np.isnan(tracks.gaze.values).all() else tracks.gaze,
        notes=(*notes, *_face_notes(tracks, reading)),
    )


def _face_notes(tracks: OpenFaceTracks, reading: TrackReading) -> tuple[str, ...]:
    if reading.face is not None or len(tracks.face_ids) < 2:
        return ()
    known = few([str(face) for face in tracks.face_ids])
    return (
        f"the track file holds faces {known}: face {tracks.face_id}, tracked longest, is taken; "
        "choose another "
        "with --track-face",
    )


def _fex_notes(faces: int, extra: Collection[str], reading: TrackReading) -> tuple[str, ...]:
    notes: list[str] = []
    if reading.rate is None:
        notes.append(
            "the track file does not state its rate; 25 frames/s are assumed, change it with --track-rate"
        )
    if faces > 1 and reading.face is None:
        notes.append(
            f"the track file holds up to {faces} faces in a frame: the largest is taken; choose another with "
            "--track-face 1"
        )
    unused = [name for name in ("Pitch", "Roll", "Yaw", "gaze_pitch", "gaze_yaw") if name in extra]
    if unused:
        notes.append(f"columns that nothing reads: {few(unused)}")
    return tuple(notes)


def few(names: Sequence[str]) -> str:
    """Returns the first names of a list, and how many more there are."""
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"
