"""Tracks out of OpenFace rows: rows become frames by their timestamps."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.facs import au_track, convert, lossiness
from auteur.formats.openface import OTHER_CONTROLS, PRESENCE_COLUMNS, OpenFaceRow, pose_from_openface
from auteur.formats.timing import even_frames
from auteur.signals import AUTrack, GazeTrack, LandmarkTrack, PoseTrack


@dataclass(frozen=True)
class OpenFaceTracks:
    """One face of an OpenFace table; frames without success are NaN."""

    action_units: AUTrack
    """Convention "openface18", or "openface17" where the table has no AU28 presence."""
    performance: AUTrack
    """All units that the table measures: `action_units`, or in the convention "facs", NaN where not measured,
    with `OTHER_CONTROLS` where the table has those."""
    landmarks: LandmarkTrack
    """Convention "ibug68"."""
    pose: PoseTrack
    """Signs are the subject's; translation in OpenFace's millimetres, convention "openface_mm"."""
    gaze: GazeTrack
    """Convention "camera"."""
    mesh: LandmarkTrack | None
    """Convention "mediapipe478", where the rows have our dense block."""
    blendshapes: AUTrack | None
    """Convention "arkit52", where the rows have our dense block."""
    face_id: int = 0
    """Number of the face."""
    face_ids: tuple[int, ...] = (0,)
    """All faces of the table."""


def openface_tracks(
    rows: Iterable[OpenFaceRow],
    *,
    face_id: int | None = None,
    image_size_px: tuple[int, int] = (1, 1),
    rate: Fraction | None = None,
    source: str = "the OpenFace table",
) -> OpenFaceTracks:
    """Tracks of one face: that of most successful rows unless `face_id` names another.

    Timestamps decide the rate and where each row lies; frames that are missing in between are linear in time.

    Args:
        rows: Rows of one table.
        face_id: The face to take.
        image_size_px: Size of the picture, which the table does not state.
        rate: Frames per second, by which frame numbers place rows if all timestamps are the same.
        source: Name of the table in errors.

    Raises:
        UsageError: There is no such face.
        FormatError: There is no row, or timestamps do not increase.
    """
    by_face: dict[int, list[OpenFaceRow]] = {}
    for row in rows:
        by_face.setdefault(row.face_id, []).append(row)
    if not by_face:
        raise FormatError(f"{source} has no rows; nothing was tracked")
    chosen = _largest(by_face) if face_id is None else face_id
    if chosen not in by_face:
        raise UsageError(f"{source} has no face {chosen}; it has {', '.join(map(str, sorted(by_face)))}")
    rows = by_face[chosen]
    times_sec = _times_sec(rows, rate, source)
    tracks = _tracks(rows, times_sec, image_size_px, source)
    return replace(tracks, face_id=chosen, face_ids=tuple(sorted(by_face)))


def _largest(by_face: dict[int, list[OpenFaceRow]]) -> int:
    return max(by_face, key=lambda face: (sum(row.is_success for row in by_face[face]), -face))


def _times_sec(rows: Sequence[OpenFaceRow], rate: Fraction | None, source: str) -> NDArray[np.float64]:
    times_sec = np.array([row.timestamp_sec for row in rows])
    if len(rows) < 2 or np.ptp(times_sec) > 0:
        return times_sec
    if rate is None:
        raise FormatError(
            f"{source}: all timestamps are {times_sec[0]:g}, so times must come from the frame numbers; give "
            "the rate with --track-rate"
        )
    # OpenFace counts frames from 1, Python from 0: the first row stands at 0 either way.
    return np.array([(row.frame - rows[0].frame) / rate for row in rows], dtype=np.float64)


def _tracks(
    rows: Sequence[OpenFaceRow],
    times_sec: NDArray[np.float64],
    image_size_px: tuple[int, int],
    source: str,
) -> OpenFaceTracks:
    even = even_frames(times_sec, times_sec[:, None], source=source)
    timing: dict[str, Any] = {"rate": even.rate, "start_sec": even.start_sec}

    def frames(values: Callable[[OpenFaceRow], NDArray[np.float64]]) -> NDArray[np.float32]:
        array = np.stack([np.where(row.is_success, values(row), np.nan) for row in rows])
        return even_frames(times_sec, array, source=source).values

    def points(values: Callable[[OpenFaceRow], NDArray[np.float64]], convention: str) -> LandmarkTrack:
        return LandmarkTrack(
            values=frames(values), convention=convention, image_size_px=image_size_px, **timing
        )

    units, convention = _openface_units(rows)
    action_units = au_track(frames(units), convention=convention, **timing)
    pose = frames(lambda row: pose_from_openface(row.pose))
    # OpenFace counts gaze to the right and to the bottom of the picture.
    gaze = frames(lambda row: row.gaze_angle_rad * [1, -1])
    is_dense = any(row.mesh_px is not None for row in rows)
    return OpenFaceTracks(
        action_units=action_units,
        performance=_with_others(
            action_units, frames(lambda row: _or_nan(row.other_units, (len(OTHER_CONTROLS),)))
        ),
        landmarks=points(lambda row: row.landmarks_px, "ibug68"),
        pose=PoseTrack(values=pose, convention="openface_mm", **timing),
        gaze=GazeTrack(values=gaze, convention="camera", **timing),
        mesh=points(lambda row: _or_nan(row.mesh_px, (478, 3)), "mediapipe478") if is_dense else None,
        blendshapes=au_track(
            frames(lambda row: _or_nan(row.blendshapes, (52,))), convention="arkit52", **timing
        )
        if is_dense
        else None,
    )


def _or_nan(values: NDArray[np.float64] | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.full(shape, np.nan) if values is None else values


def _with_others(units: AUTrack, others: NDArray[np.float32]) -> AUTrack:
    """The units; in the convention "facs" with those that OpenFace lacks, [T, 7], where a table has them."""
    if np.isnan(others).all():
        return units
    made = lossiness(units.convention, "facs", channels=units.channels)
    whole = convert(units, "facs")
    values = np.array(whole.values)
    values[:, [made[name].kind == "absent" for name in whole.channels]] = np.nan
    values[:, [whole.channels.index(name) for name in OTHER_CONTROLS]] = others
    return whole.replace(values=values)


def _openface_units(rows: Sequence[OpenFaceRow]) -> tuple[Callable[[OpenFaceRow], NDArray[np.float64]], str]:
    lip_suck = PRESENCE_COLUMNS.index("AU28_c")
    if all(np.isnan(row.presences[lip_suck]) for row in rows):
        return (lambda row: row.intensities), "openface17"
    return (lambda row: np.append(row.intensities, row.presences[lip_suck])), "openface18"
