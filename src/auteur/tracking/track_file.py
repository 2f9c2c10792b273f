"""`auteur track`: a picture or a video of any length → one table row per frame."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from auteur.errors import FaceError, InputError
from auteur.face.action_units import Neutral, action_units, neutral_by_region, neutral_of
from auteur.face.backend import FaceBackend, FaceReading
from auteur.face.gaze import gaze_angles_rad, gaze_directions
from auteur.face.pose import head_pose
from auteur.face.smoothing import smooth_readings
from auteur.face.tracker import FaceTracker, Sighting, find_face
from auteur.facs import convert
from auteur.files import atomic_path
from auteur.formats import OTHER_CONTROLS, PRESENCE_COLUMNS, OpenFaceRow, OpenFaceWriter, pose_to_openface
from auteur.media import MediaInfo, VideoFrame, VideoReader, probe, read_image
from auteur.prefetch import prefetched
from auteur.signals import AUTrack, topology

CALM_SEARCH_SEC = 20
CALM_SEARCH_RATE = Fraction(5)
"""Seconds at the beginning that are searched for calm frames, and frames per second of the search."""

BLOCK_FRAMES = 64
"""Frames measured at once; memory does not grow with the video."""

PRESENT_FROM = 1.0
"""Intensity, 0 to 5, from which a unit counts as present."""


@dataclass(frozen=True)
class TrackOptions:
    """How to track."""

    dense: bool = False
    """Write the 478 mesh points and 52 blendshapes too."""
    smooth: bool = True
    """Average out jitter; adds no lag."""
    face: int = 0
    """Which face: 0 the largest, 1 the next, …"""
    neutral_sec: float | None = None
    """Time at which the person is at rest; Action Units are measured from there. Unless given, the calmest
    frames of the beginning stand in, and the average face in a picture."""


@dataclass(frozen=True)
class TrackSummary:
    """Result of tracking a file."""

    frames: int
    frames_with_face: int
    rate: Fraction
    """Nominal frames per second; 1 for a picture."""


def track_file(
    path: Path,
    out: Path,
    backend: FaceBackend,
    options: TrackOptions = TrackOptions(),
    *,
    overwrite: bool = False,
    on_frame: Callable[[int], None] | None = None,
    on_sighting: Callable[[Sighting], None] | None = None,
) -> TrackSummary:
    """Tracks one face through a picture or video and writes an OpenFace-compatible CSV, whole or not at all.

    Args:
        path: PNG, JPEG or WEBP picture, or a video.
        out: The CSV to write.
        backend: The face tracker.
        options: How to track.
        overwrite: Whether `out` may be replaced.
        on_frame: Called with the number of frames done.
        on_sighting: Called with each detection, at the start and after a loss.

    Raises:
        MediaError: The file cannot be read.
        FaceError: No usable face in any frame; the message is that of the first.
        InputError: `out` cannot be written.
    """
    info = probe(path)
    rate = info.frame_rate or Fraction(1)
    if options.neutral_sec is None:
        neutral = _neutral_at_start(path, info, backend, options)
    else:
        neutral = _neutral_at(path, info, backend, options.face, options.neutral_sec)
    frames = with_face = 0
    with (
        atomic_path(out, overwrite=overwrite) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as text,
    ):
        writer = OpenFaceWriter(text, others=True, dense=options.dense)
        tracker = FaceTracker(backend, face=options.face, on_sighting=on_sighting)
        with _frames(path, info) as pictures:
            for row in rows_of(_readings(pictures, tracker, options), info, neutral=neutral):
                writer.write(row)
                frames += 1
                with_face += row.is_success
                if on_frame:
                    on_frame(frames)
        if not with_face:
            raise FaceError(tracker.problem(path.name))
    return TrackSummary(frames, with_face, rate)


@contextmanager
def _frames(path: Path, info: MediaInfo) -> Iterator[Iterable[VideoFrame]]:
    if info.kind == "video":
        with VideoReader(path) as video, closing(prefetched(video)) as frames:
            yield frames
    else:
        yield [VideoFrame(image=read_image(path), index=0, time_sec=Fraction(0))]


def _readings(
    frames: Iterable[VideoFrame], tracker: FaceTracker, options: TrackOptions
) -> Iterator[tuple[Fraction, FaceReading | None]]:
    times: deque[Fraction] = deque()

    def raw() -> Iterator[FaceReading | None]:
        for frame in frames:
            times.append(frame.time_sec)
            yield tracker.step(frame.image)

    for reading in smooth_readings(raw()) if options.smooth else raw():
        yield times.popleft(), reading


def rows_of(
    readings: Iterable[tuple[Fraction, FaceReading | None]],
    info: MediaInfo,
    *,
    neutral: Neutral | None = None,
) -> Iterator[OpenFaceRow]:
    """Yields one row per (time, reading); frames without a face become rows with success 0."""
    numbered = enumerate(readings, start=1)
    while block := list(itertools.islice(numbered, BLOCK_FRAMES)):
        measured = iter(_measured_rows(block, info, neutral))
        for number, (time_sec, reading) in block:
            if reading is None:
                yield OpenFaceRow(
                    frame=number, timestamp_sec=float(time_sec), confidence=0.0, is_success=False
                )
            else:
                yield next(measured)


def _measured_rows(
    block: list[tuple[int, tuple[Fraction, FaceReading | None]]], info: MediaInfo, neutral: Neutral | None
) -> list[OpenFaceRow]:
    seen = [(number, time, reading) for number, (time, reading) in block if reading is not None]
    if not seen:
        return []
    landmarks = np.stack([reading.landmarks for *_, reading in seen])
    blendshapes = np.stack([reading.blendshapes for *_, reading in seen])
    pose = head_pose(landmarks)
    gaze = gaze_directions(landmarks, pose)
    angles = gaze_angles_rad(gaze)
    hub = action_units(landmarks, blendshapes, rate=info.frame_rate or Fraction(1), neutral=neutral)
    openface = convert(hub, "openface18")
    others = hub.values[:, [hub.channels.index(name) for name in OTHER_CONTROLS]]
    intensities = openface.values[:, :17]
    presences = np.stack([_presence(openface, name) for name in PRESENCE_COLUMNS], axis=1)
    translation = camera_translation_mm(pose.shift, pose.scale, info)
    openface_pose = pose_to_openface(np.concatenate([pose.angles_rad, translation], axis=-1))
    shapes = blendshapes.copy()
    shapes[:, 0] = 0.0  # the column is ARKit's tongueOut, which the tracker does not measure
    return [
        OpenFaceRow(
            frame=number,
            timestamp_sec=float(time),
            confidence=reading.confidence,
            gaze=gaze[i],
            gaze_angle_rad=angles[i],
            pose=openface_pose[i],
            landmarks_px=landmarks[i, list(topology.IBUG68), :2].astype(np.float64),
            intensities=intensities[i],
            presences=presences[i],
            other_units=others[i],
            mesh_px=landmarks[i],
            blendshapes=shapes[i],
        )
        for i, (number, time, reading) in enumerate(seen)
    ]


def _presence(openface18: AUTrack, column: str) -> np.ndarray:
    if column in openface18.channels:  # AU28, which has no intensity
        return openface18.channel(column)
    return openface18.channel(column.replace("_c", "_r")) >= PRESENT_FROM


def camera_translation_mm(shift_px: np.ndarray, pixels_per_mm: np.ndarray, info: MediaInfo) -> np.ndarray:
    """Returns the head's position [T, 3] before a camera of OpenFace's assumed focal length.

    OpenFace takes the focal length as 500 px for a picture of 640 × 480 and scales it with the picture.
    """
    width, height = info.width_px or 640, info.height_px or 480
    focal_px = (500 * width / 640 + 500 * height / 480) / 2
    middle = np.array([width / 2, height / 2])
    across = (shift_px[:, :2] - middle) / pixels_per_mm[:, None]
    return np.concatenate([across, (focal_px / pixels_per_mm)[:, None]], axis=1)


def _neutral_at(path: Path, info: MediaInfo, backend: FaceBackend, face: int, at_sec: float) -> Neutral:
    """Reads the frame that is shown at a time."""
    wanted = Fraction(str(at_sec))
    with _frames(path, info) as frames:
        remaining = iter(frames)
        shown = next(remaining)  # probing decoded a frame
        for frame in itertools.takewhile(lambda frame: frame.time_sec <= wanted, remaining):
            shown = frame
    end = shown.time_sec + 1 / (info.frame_rate or Fraction(1))
    if wanted > end:
        raise InputError(
            f"{path.name!r} ends at {float(end):.2f} s; --neutral {at_sec:g} lies behind its end"
        )
    reading = find_face(backend, shown.image, face=face, name=f"{path.name} at {at_sec:g} s")
    return neutral_of(reading.landmarks[None], reading.blendshapes[None])


def _neutral_at_start(
    path: Path, info: MediaInfo, backend: FaceBackend, options: TrackOptions
) -> Neutral | None:
    """Searches the beginning of a video for calm frames; None for a picture or without a face."""
    if info.kind != "video":
        return None
    tracker = FaceTracker(backend, face=options.face)
    with VideoReader(path) as video:
        frames = itertools.islice(video.frames_at(CALM_SEARCH_RATE), int(CALM_SEARCH_SEC * CALM_SEARCH_RATE))
        seen = [reading for frame in frames if (reading := tracker.step(frame.image)) is not None]
    if not seen:
        return None
    return neutral_by_region(np.stack([r.landmarks for r in seen]), np.stack([r.blendshapes for r in seen]))
