"""Speech and Action Units → landmarks on a portrait: paper C's first stage alone, as a file one can edit."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from auteur.errors import UsageError
from auteur.face.pose import head_pose
from auteur.facs import convert
from auteur.files import atomic_path, check_writable
from auteur.formats import PRESENCE_COLUMNS, OpenFaceRow, OpenFaceWriter, pose_to_openface
from auteur.signals import AUTrack, LandmarkTrack
from auteur.signals.topology import IBUG68
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.talking_head import Settings, TalkingHead, TalkingVideo
from auteur.tracking.track_file import PRESENT_FROM

LANDMARK_SUFFIXES = (".json", ".csv")

MOST_JSON_FRAMES = 6000
"""Four minutes at 25 fps: about 80 MB. Longer tracks go into tables, which are written as they are made."""

_BLOCK_FRAMES = 256


def move(
    speech: Path | str,
    *,
    portrait: Path | str,
    track: AUTrack | Path | None = None,
    au: Mapping[str, float] | None = None,
    emotion: str | None = None,
    intensity: float = 1.0,
    settings: Settings | None = None,
    face: int = 0,
) -> LandmarkTrack:
    """Returns the landmarks of a portrait that speaks the speech: [frames, 478, 3] px of the portrait.

    Args:
        speech: Sound file, or a video with sound.
        portrait: A picture, or a video whose first usable frame is taken.
        track: Action Unit curves, or a file of them.
        au: Intensities by control, such as {"AU1": 0.5, "smile": 0.3}.
        emotion: Label, such as "happy".
        intensity: Of the emotion, in [0, 1].
        settings: Seed, frame rate and habits.
        face: Which face of the portrait: 0 the largest, 1 the next.

    Raises:
        UsageError: A value is outside its range or unknown.
        MediaError: A file cannot be read.
        FaceError: The portrait holds no usable face.
    """
    asked = PerformanceRequest(emotion=emotion, intensity=intensity, action_units=au or {}, track=track)
    head = TalkingHead.from_pretrained("warp")
    return head.perform(Path(portrait), Path(speech), asked, settings or Settings(), face=face).landmarks()


def check_landmarks(path: Path, *, overwrite: bool = False) -> None:
    """Raises early what `save_landmarks` would raise for a path.

    Raises:
        UsageError: It ends neither in .json nor in .csv.
        InputError: It cannot be written.
    """
    if path.suffix.lower() not in LANDMARK_SUFFIXES:
        raise UsageError(f"landmarks are written as .json or .csv, and {str(path)!r} ends in neither")
    check_writable(path, overwrite=overwrite)


def save_landmarks(
    video: TalkingVideo,
    path: Path,
    *,
    overwrite: bool = False,
    on_frame: Callable[[int], None] | None = None,
) -> None:
    """Writes the landmarks of a video, whole or not at all.

    A .json is a `LandmarkTrack`. A .csv is an OpenFace table with the dense mesh, as `auteur track --dense`
    writes it, and with the rendered Action Units; it streams, so memory does not grow with length.

    Args:
        video: From `TalkingHead`.
        path: Ends in .json or .csv.
        overwrite: Whether it may replace a file.
        on_frame: Called with the number of frames done.

    Raises:
        UsageError: The ending is another, or there are too many frames for a JSON.
        InputError: The file cannot be written.
    """
    check_landmarks(path, overwrite=overwrite)
    if path.suffix.lower() == ".csv":
        with (
            atomic_path(path, overwrite=overwrite) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as text,
        ):
            writer = OpenFaceWriter(text, dense=True)
            for done, row in enumerate(_rows(video), start=1):
                writer.write(row)
                if on_frame:
                    on_frame(done)
        return
    if video.frame_count > MOST_JSON_FRAMES:
        raise UsageError(
            f"{video.frame_count} frames are too many for one JSON, which holds up to {MOST_JSON_FRAMES}; "
            "write a .csv"
        )
    video.landmarks_in_view().save(path, overwrite=overwrite)
    if on_frame:
        on_frame(video.frame_count)


def _rows(video: TalkingVideo) -> Iterator[OpenFaceRow]:
    units = convert(video.performed(), "openface18")
    columns = [
        units.channels.index(name if name in units.channels else name.replace("_c", "_r"))
        for name in PRESENCE_COLUMNS
    ]
    for first in range(0, video.frame_count, _BLOCK_FRAMES):
        block = video.landmarks_in_view(first, first + _BLOCK_FRAMES)
        mesh = np.asarray(block.values, dtype=np.float64)
        angles = head_pose(mesh).angles_rad
        blank = np.full((len(angles), 3), np.nan)  # without a camera there is no distance of the head
        poses = pose_to_openface(np.concatenate([angles, blank], axis=-1))
        for i, time_sec in enumerate(block.times_sec.tolist()):
            values = units.values[first + i]
            present = values[columns] >= np.where([c.startswith("AU28") for c in PRESENCE_COLUMNS], 0.5, 1)
            yield OpenFaceRow(
                frame=first + i + 1,
                timestamp_sec=time_sec,
                pose=poses[i],
                landmarks_px=mesh[i, list(IBUG68), :2],
                intensities=values[:17],
                presences=present * PRESENT_FROM,
                mesh_px=mesh[i],
            )
