"""Pairs of generated and real videos: files, or folders paired by name."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.evaluate.emotion import emotion_in_name
from auteur.media import VIDEO_SUFFIXES
from auteur.signals import AUTrack

REQUEST_SUFFIXES = (".csv", ".json")
SOUND_SUFFIXES = (".wav", ".flac")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One real video and each system's version of it."""

    name: str
    person: str
    """Clips of one person are not independent; intervals draw whole people."""
    reference: Path
    videos: Mapping[str, Path]
    """System → its video."""
    request: AUTrack | Path | None = None
    """The requested Action Units; the real video's own unless given."""
    emotion: str | None = None
    portrait: NDArray[np.uint8] | None = None
    """Portrait [H, W, 3] of the person in the videos, if it is another than in the real one:
    cross-identity."""
    notes: tuple[str, ...] = field(default=())


def find_clips(
    systems: Mapping[str, Path], reference: Path, *, requests: Path | None = None
) -> tuple[list[Clip], list[str]]:
    """Returns the clips that every system has a video of, and a sentence about each video left over.

    Two files are one clip whatever their names; of folders, files of the same stem are. A person is the part
    of a name before the first "_", unless that makes one person of all.

    Args:
        systems: System → file or folder.
        reference: Real video, or folder of them.
        requests: Folder (or file) of the requested tracks, `<stem>.csv` or `.json`.

    Raises:
        InputError: A path is missing, a folder holds no video, or nothing pairs.
    """
    wanted = videos_of(reference)
    given = {name: videos_of(path) for name, path in systems.items()}
    if reference.is_file():
        if many := [name for name, videos in given.items() if len(videos) > 1]:
            raise InputError(
                f"{str(reference)!r} is one video, {many[0]!r} a folder of several; name a folder"
            )
        stem = next(iter(wanted))
        given = {name: {stem: next(iter(videos.values()))} for name, videos in given.items()}
    clips: list[Clip] = []
    notes: list[str] = []
    for stem, path in wanted.items():
        missing = [name for name, videos in given.items() if stem not in videos]
        if missing:
            notes.append(f"{stem}: left out, {' and '.join(missing)} made no video of it")
            continue
        clips.append(
            Clip(
                name=stem,
                person=person_of(stem),
                reference=path,
                videos={name: videos[stem] for name, videos in given.items()},
                request=_request(requests, stem),
                emotion=emotion_in_name(stem),
            )
        )
    for name, videos in given.items():
        notes += [
            f"{stem}: left out, {name} has it and the reference does not" for stem in videos.keys() - wanted
        ]
    if len({clip.person for clip in clips}) == 1:
        clips = [dataclasses.replace(clip, person=clip.name) for clip in clips]
    if not clips:
        raise InputError(f"no video in {str(reference)!r} has a partner of the same name; rename one side")
    return clips, notes


def person_of(stem: str) -> str:
    """Returns the person of a clip: its name up to the first "_"."""
    return stem.split("_", 1)[0]


def sound_of(video: Path) -> Path:
    """Returns the file of a video's sound: a recording of the same name beside it, else the video itself."""
    beside = [video.with_suffix(suffix) for suffix in SOUND_SUFFIXES]
    return next((path for path in beside if path.is_file()), video)


def videos_of(path: Path) -> dict[str, Path]:
    """Returns the videos of a folder, or a single one, by the stem of their names.

    Raises:
        InputError: There is none.
    """
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise InputError(f"{str(path)!r} does not exist; give a video or a folder of videos")
    found = {p.stem: p for p in sorted(path.iterdir()) if p.suffix.lower() in VIDEO_SUFFIXES}
    if not found:
        raise InputError(
            f"{str(path)!r} holds no video ({', '.join(VIDEO_SUFFIXES)}); name a folder that does"
        )
    return found


def _request(requests: Path | None, stem: str) -> Path | None:
    if requests is None:
        return None
    if requests.is_file():
        return requests
    return next((p for s in REQUEST_SUFFIXES if (p := requests / f"{stem}{s}").is_file()), None)
