"""Test clips of a corpus: the held-out people of a prepared one (shards), or a folder of videos."""

import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from auteur.errors import FormatError, InputError
from auteur.evaluate.emotion import emotion_in_name
from auteur.evaluate.pairing import person_of
from auteur.facs import EMOTIONS
from auteur.files import atomic_path, make_folder, read_json
from auteur.media import VIDEO_SUFFIXES
from auteur.provenance import hash_file

INDEX = "index.json"
_HELD_OUT = "held_out"
_KEPT = (("mp4", ".mp4"), ("flac", ".flac"), ("json", ".json"))
"""Members of a sample that are unpacked, and the endings of their files."""
_CODES = {emotion[:3]: emotion for emotion in EMOTIONS}
"""Codes of emotions in the names of MEAD and CREMA-D."""


@dataclass(frozen=True, kw_only=True)
class TestClip:
    """One real video of a person."""

    name: str
    person: str
    """As the corpus names the person, without the corpus: "M003"."""
    video: Path
    emotion: str | None = None
    """One of `auteur.facs.EMOTIONS`; None: not stated."""

    __test__ = False  # the name of the field, not of a test


def read_corpus(inputs: Sequence[Path], work: Path) -> list[TestClip]:
    """Returns the clips of prepared corpora and of folders, in the order of their names.

    Of a prepared corpus those of its held-out people, unpacked into `work`; of a folder all of its videos,
    whose names state person and emotion as MEAD's and CREMA-D's do.

    Args:
        inputs: Folders that `auteur prepare` wrote, or folders of videos.
        work: Folder for unpacked clips; created if missing.

    Raises:
        InputError: A folder is missing or holds nothing usable.
        FormatError: A shard is damaged.
    """
    found: list[TestClip] = []
    for folder in inputs:
        if not folder.is_dir():
            raise InputError(
                f"{str(folder)!r} is no folder; name what auteur prepare wrote, or a folder of videos"
            )
        if (folder / INDEX).is_file():
            found += _unpacked(folder, work)
        else:
            found += [_of_video(path) for path in sorted(folder.rglob("*")) if _is_video(path)]
    if not found:
        raise InputError(
            f"{', '.join(repr(str(one)) for one in inputs)}: no video of a held-out person is there; name a "
            f"prepared corpus with such people, or a folder of videos ({', '.join(VIDEO_SUFFIXES)})"
        )
    return found


def of_people(clips: Sequence[TestClip], people: Sequence[str], *, any_people: bool) -> list[TestClip]:
    """Returns the clips of a protocol's test people; of all where it names none, or any may do.

    Raises:
        InputError: One of the people has no clip.
    """
    if not people or any_people:
        return list(clips)
    chosen = [clip for clip in clips if clip.person in people]
    if missing := sorted(set(people) - {clip.person for clip in chosen}):
        have = ", ".join(sorted({clip.person for clip in clips})[:12])
        raise InputError(
            f"the protocol is over the test people {', '.join(people)} and the corpus has no clip of "
            f"{', '.join(missing)} (it has {have}); name a corpus that has them, or add --any-people, which "
            "the report then states"
        )
    return chosen


def spread_over(clips: Sequence[TestClip], count: int) -> list[TestClip]:
    """Returns at most `count` clips, evenly spread over all of them; 0: all."""
    if not count or count >= len(clips):
        return list(clips)
    return [clips[number * len(clips) // count] for number in range(count)]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def _of_video(path: Path) -> TestClip:
    emotion = emotion_in_name(path.stem)
    words = path.stem.lower().split("_")
    coded = next((_CODES[word] for word in words if word in _CODES), None)
    return TestClip(
        name=path.stem, person=person_of(path.stem), video=path, emotion=emotion if coded is None else coded
    )


def _unpacked(folder: Path, work: Path) -> Iterator[TestClip]:
    """Unpacks the held-out samples of shards whose hash is right; what is there already stays."""
    make_folder(work)
    for shard in _shards(folder):
        path = folder / str(shard["file"])
        for key, members in groupby(_members(path, shard), key=lambda one: one[0].partition(".")[0]):
            yield _clip(key, dict(members), work)


def _shards(folder: Path) -> list[dict[str, Any]]:
    index = read_json(folder / INDEX)
    shards = index.get("shards") if isinstance(index, dict) else None
    if not isinstance(shards, list):
        raise FormatError(f"{str(folder / INDEX)!r} lists no shards; let auteur prepare finish")
    return [one for one in shards if one.get("file") and str(one["file"]).startswith(_HELD_OUT)]


def _members(path: Path, shard: dict[str, Any]) -> Iterable[tuple[str, bytes]]:
    if not path.is_file() or hash_file(path) != shard.get("sha256"):
        raise FormatError(f"shard {str(path)!r} is missing or damaged; run auteur prepare again to repair it")
    with tarfile.open(path, mode="r:") as archive:
        for header in archive:
            content = archive.extractfile(header)
            if content is not None and "/" not in header.name:
                yield header.name, content.read()


def _clip(key: str, members: dict[str, bytes], work: Path) -> TestClip:
    name = PurePosixPath(key).name
    if missing := {"mp4", "json"} - {one.partition(".")[2] for one in members}:
        raise FormatError(f"sample {key!r} has no {', '.join(sorted(missing))}; prepare the corpus again")
    for member, suffix in _KEPT:
        content, place = members.get(f"{key}.{member}"), work / f"{name}{suffix}"
        if content is not None and not place.exists():
            with atomic_path(place) as temporary:
                temporary.write_bytes(content)
    record = json.loads(members[f"{key}.json"])
    person = str(record["person"]).partition(":")
    return TestClip(
        name=name, person=person[2] or person[0], video=work / f"{name}.mp4", emotion=record.get("emotion")
    )
