"""Head pose and gaze of a recorded performance, relative to the driver's calm pose, on the motion grid."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError
from auteur.formats import RecordedPerformance, TrackReading, read_recorded
from auteur.motion.grid import MOTION_RATE
from auteur.motion.habits import POSE_CONVENTION
from auteur.signals import GazeTrack, PoseTrack, load_track, without_holes
from auteur.signals.timebase import exact_seconds
from auteur.talking_head.request import PerformanceRequest

Floats = NDArray[np.floating[Any]]

LARGEST_TRAVEL_MM = 25.0
"""Limit of head travel: shoulders stay still, and a head that moves further would tear the portrait."""


def head_of(request: PerformanceRequest) -> PoseTrack | None:
    """Returns the head pose that a request names, as its file has it; None for idle motion."""
    if isinstance(request.head_track, PoseTrack):
        return request.head_track
    if isinstance(request.head_track, Path):
        return _pose_in(request.head_track, request.track_reading)
    recorded = request.recorded if request.head_track == "track" else None
    return None if recorded is None else recorded.head


def gaze_of(request: PerformanceRequest) -> RecordedPerformance | None:
    """Returns the recorded performance whose gaze a request names; None for idle gaze.

    Raises:
        FormatError: A file that is named for its gaze holds none.
    """
    if not isinstance(request.gaze_track, Path):
        return request.recorded if request.gaze_track == "track" else None
    recorded = read_recorded(request.gaze_track, request.track_reading)
    if recorded.gaze is None or np.isnan(recorded.gaze.values).all():
        raise FormatError(f"{request.gaze_track}: the file holds no gaze; name another, track or none")
    return recorded


def driven_head(request: PerformanceRequest, frames: int) -> PoseTrack | None:
    """Returns head motion relative to the driver's calm pose, convention "relative_canonical_mm".

    Args:
        request: The request.
        frames: How many, at 25 fps from time 0.
    """
    head = head_of(request)
    if head is None or np.isnan(head.values[:, :3]).all():
        return None
    whole = without_holes(head) if head.convention == POSE_CONVENTION else relative_to_calm(head)
    return whole.resample(MOTION_RATE, start_sec=0, frames=frames)


def relative_to_calm(head: PoseTrack) -> PoseTrack:
    """Returns a head pose minus its median, holes filled; travel that is not measured is none."""
    values = np.array(head.values, dtype=np.float64)
    measured = ~np.isnan(values).all(axis=0)
    values[:, measured] -= np.nanmedian(values[:, measured], axis=0)
    values[:, :3] = np.where(
        np.isnan(values[:, :3]), np.nan, np.arctan2(np.sin(values[:, :3]), np.cos(values[:, :3]))
    )
    moved = without_holes(head.replace(values=values, convention=POSE_CONVENTION))
    values = np.array(moved.values, dtype=np.float64)
    # OpenFace's camera looks along +z with y down, in millimetres, as the canonical head does.
    values[:, 3:] = LARGEST_TRAVEL_MM * np.tanh(values[:, 3:] / LARGEST_TRAVEL_MM)
    values[:, 5] = 0  # nearer and further would be a change of size
    return moved.replace(values=values)


def driven_gaze(request: PerformanceRequest, frames: int) -> Floats | None:
    """Returns the turn of the eyes in the head relative to the driver's calm gaze, [T, 2] rad; None for idle.

    x is to the picture's right, y down. Gaze that is in the Action Units (AU61 to AU64) is not given twice.
    """
    recorded = gaze_of(request)
    if recorded is None or recorded.gaze is None or np.isnan(recorded.gaze.values).all():
        return None
    gaze = recorded.gaze
    is_in_units = gaze.convention == "head" and request.gaze_track == "track"  # ARKit's blend shapes
    if is_in_units:
        return None
    turned = np.array(gaze.values, dtype=np.float64)
    if recorded.head is not None and gaze.convention == "camera":  # it includes the head's rotation
        turned = turned - recorded.head.values[:, [1, 0]]
    still = GazeTrack(
        values=(turned - np.nanmedian(turned, axis=0)).astype(np.float32),
        rate=gaze.rate,
        start_sec=gaze.start_sec,
        convention="head",
    )
    yaw, pitch = without_holes(still).resample(MOTION_RATE, start_sec=0, frames=frames).values.T
    return np.stack([yaw, -pitch], axis=1).astype(np.float64)


def _pose_in(path: Path, reading: TrackReading) -> PoseTrack:
    """Head pose out of a file: a pose track of ours, or any recorded performance that has one."""
    own = _own_pose(path)
    if own is not None:
        start = reading.start_sec
        return own if start is None else own.replace(start_sec=exact_seconds(start, "the start of the track"))
    head = read_recorded(path, reading).head
    if head is None or np.isnan(head.values[:, :3]).all():
        raise FormatError(f"{path}: the file holds no head pose; name another, track or none")
    return head


def _own_pose(path: Path) -> PoseTrack | None:
    """A pose track of ours; None for any other file."""
    if path.suffix.lower() != ".json":
        return None
    try:
        track = load_track(path)
    except FormatError:
        return None
    return track if isinstance(track, PoseTrack) else None
