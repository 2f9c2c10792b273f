"""Any folder of videos, with or without a table of their labels.

Without a table every video is a recording, and the first folder below the root is the person (a video that
lies in the root is a person of its own). With one, only its rows count: columns are named like the fields of
`Recording`, `video` is needed, paths are relative to the root, an empty cell means "not known".
"""

import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from auteur.errors import InputError, UsageError
from auteur.facs import find_emotion
from auteur.lab.corpora.item import Problem, Recording, Tree
from auteur.lab.corpora.listing import (
    SOUND_SUFFIXES,
    Layout,
    beside,
    files_below,
    read_table,
    slug,
)
from auteur.lab.data.splits import is_held_out
from auteur.media import VIDEO_SUFFIXES

TABLE = "recordings.csv"

_NOT_IN_TABLES = ("reference", "measured")


def _looks_like(folder: Path) -> bool:
    return (folder / TABLE).is_file() or next(files_below(folder, VIDEO_SUFFIXES), None) is not None


def _find(tree: Tree) -> Iterator[Recording | Problem]:
    table = tree.annotations or tree.folder / TABLE
    if table.is_file():
        yield from _table_rows(tree.folder, table)
    elif tree.annotations is not None:
        raise InputError(f"{str(table)!r} is no file; name the CSV with the labels of the videos")
    else:
        for video in files_below(tree.folder, VIDEO_SUFFIXES):
            person = _person(tree.folder, video)
            yield Recording(
                key=_key(tree.folder, video),
                person=person,
                video=video,
                audio=beside(video, SOUND_SUFFIXES),
                held_out=is_held_out(person),
            )


def _person(folder: Path, video: Path) -> str:
    parts = video.relative_to(folder).parts if video.is_relative_to(folder) else (video.name,)
    return f"folder:{parts[0] if len(parts) > 1 else video.stem}"


def _key(folder: Path, video: Path, start: float = 0.0) -> str:
    """Returns the path below the root in letters that a key may have, with a digest where that lost some."""
    plain = (video.relative_to(folder) if video.is_relative_to(folder) else video).with_suffix("").as_posix()
    plain += f"-{round(start * 1000):d}" * bool(start)
    short = slug(plain.replace("/", "-"))
    if short == plain.replace("/", "-") and plain.count("-") == 0:
        return f"folder-{short}"
    return f"folder-{short}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _table_rows(folder: Path, table: Path) -> Iterator[Recording | Problem]:
    held_out: dict[str, tuple[bool, int]] = {}
    read = read_table(table)
    _check_columns(table, read.heading)
    for line, row in read.rows:
        item = _recording(folder, table, line, row)
        yield item
        if isinstance(item, Recording):
            before, where = held_out.setdefault(item.person, (item.held_out, line))
            if before != item.held_out:
                raise InputError(
                    f"{str(table)!r}: {item.person!r} is held out in line {where} or {line} and trains in "
                    "the other; a person does one of both"
                )


def _check_columns(table: Path, found: Iterable[str]) -> None:
    known = [each.name for each in fields(Recording) if each.name not in _NOT_IN_TABLES]
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(
                f"{str(table)!r} has an unknown column {name!r}; {hint}there are {', '.join(known)}"
            )
    if "video" not in found:
        raise InputError(f"{str(table)!r} has no column 'video', which names the file of a line")


def _recording(folder: Path, table: Path, number: int, row: dict[str, str]) -> Recording | Problem:
    if row.get(""):
        return Problem(
            table, f"line {number} has more cells than the heading: quote those with commas; left out"
        )
    try:
        values = {name: _READERS[name](text) for name, text in row.items() if text and name in _READERS}
    except (ValueError, UsageError) as error:
        return Problem(table, f"line {number}: {error}; left out")
    if not row["video"]:
        return Problem(table, f"line {number} names no video; left out")
    video = folder / row["video"]
    named = [video, folder / row["audio"]] if row.get("audio") else [video]
    for path in named:
        if not _is_file(path):
            return Problem(path, f"is missing, line {number} of {table.name} names it; left out")
    audio = named[1] if len(named) > 1 else beside(video, SOUND_SUFFIXES)
    person = (
        f"folder:{row['person'].removeprefix('folder:')}" if row.get("person") else _person(folder, video)
    )
    start, stop = values.get("start_seconds", 0.0), values.get("stop_seconds")
    if start < 0 or (stop is not None and stop <= start):
        return Problem(table, f"line {number}: the stretch {start:g} to {stop:g} s is empty; left out")
    values = {"held_out": is_held_out(person), **values}
    key = row.get("key") or _key(folder, video, start)
    try:
        return Recording(key=key, person=person, video=video, audio=audio, **values)
    except InputError as error:
        return Problem(table, f"line {number}: {error}; left out")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for this disk
        return False


def _share(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError(f"intensity is {text}; it must be between 0 and 1")
    return value


def _seconds(text: str) -> float:
    if not 0 <= (value := float(text)) < 1e7:
        raise ValueError(f"{text!r} is no time in seconds")
    return value


def _yes(text: str) -> bool:
    answers = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in answers:
        raise ValueError(f"held_out is {text!r}; write yes or no")
    return answers[text.lower()]


def _box(text: str) -> tuple[float, float, float, float]:
    sides = [float(side) for side in text.replace(",", " ").split()]
    if len(sides) != 4 or not (sides[0] < sides[2] and sides[1] < sides[3]):
        raise ValueError(f"box is {text!r}; write left top right bottom in pixels")
    return sides[0], sides[1], sides[2], sides[3]


_READERS: dict[str, Callable[[str], Any]] = {
    "emotion": find_emotion,
    "perceived": find_emotion,
    "intensity": _share,
    "view": str,
    "text": str,
    "start_seconds": _seconds,
    "stop_seconds": _seconds,
    "box": _box,
    "held_out": _yes,
}

LAYOUT = Layout(
    expected=f"videos ({' '.join(VIDEO_SUFFIXES)}), and {TABLE} where more is known about them",
    looks_like=_looks_like,
    find=_find,
)
