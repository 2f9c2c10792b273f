"""Any folder of videos, with or without a table of their labels; `speech` and `photos` are read alike.

Without a table every video is a recording, and the first folder below the root is the person (a video that
lies in the root is a person of its own). With one, only its rows count: columns are named like the fields of
`Recording`, `video` is needed, paths are relative to the root, an empty cell means "not known".
"""

import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
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
from auteur.lab.data.media_kinds import Medium
from auteur.lab.data.splits import is_held_out
from auteur.media import VIDEO_SUFFIXES

TABLE = "recordings.csv"

_NOT_IN_TABLES = ("reference", "measured", "medium")


@dataclass(frozen=True, kw_only=True)
class PlainFolder:
    """Files of one medium, with or without a table."""

    kind: str
    medium: Medium
    column: str
    """Column of the table that names the file."""
    suffixes: tuple[str, ...]
    person_of: Callable[[str], str]
    """The person of a file that lies in the root, by the name of the file."""
    held_out_by: Callable[[str], bool]
    """Whether a person is held out, by the name without the kind, where the table does not state it."""
    emotion_of: Callable[[str], str] = find_emotion
    """The emotion for a word in the table."""

    @property
    def layout(self) -> Layout:
        """The layout of the kind."""
        return Layout(
            expected=f"{self.medium}s ({' '.join(self.suffixes)}), and {TABLE} where more is known of them",
            looks_like=self._looks_like,
            find=self._find,
        )

    def _looks_like(self, folder: Path) -> bool:
        table = folder / TABLE
        if table.is_file():
            return self.column in read_table(table).heading
        return next(files_below(folder, self.suffixes), None) is not None

    def _find(self, tree: Tree) -> Iterator[Recording | Problem]:
        table = tree.annotations or tree.folder / TABLE
        if table.is_file():
            yield from self._table_rows(tree.folder, table)
        elif tree.annotations is not None:
            raise InputError(f"{str(table)!r} is no file; name the CSV with the labels of the {self.medium}s")
        else:
            for file in files_below(tree.folder, self.suffixes):
                person = self._person(tree.folder, file)
                yield Recording(
                    key=self._key(tree.folder, file),
                    person=person,
                    video=file,
                    medium=self.medium,
                    audio=beside(file, SOUND_SUFFIXES) if self.medium == "video" else None,
                    held_out=self._is_held_out(person),
                )

    def _person(self, folder: Path, file: Path) -> str:
        parts = file.relative_to(folder).parts if file.is_relative_to(folder) else (file.name,)
        return f"{self.kind}:{parts[0] if len(parts) > 1 else self.person_of(file.name)}"

    def _key(self, folder: Path, file: Path, start: float = 0.0) -> str:
        """The path below the root in letters that a key may have, with a digest where that lost some."""
        plain = (file.relative_to(folder) if file.is_relative_to(folder) else file).with_suffix("").as_posix()
        plain += f"-{round(start * 1000):d}" * bool(start)
        short = slug(plain.replace("/", "-"))
        if short == plain.replace("/", "-") and plain.count("-") == 0:
            return f"{self.kind}-{short}"
        return f"{self.kind}-{short}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"

    def _table_rows(self, folder: Path, table: Path) -> Iterator[Recording | Problem]:
        held_out: dict[str, tuple[bool, int]] = {}
        read = read_table(table)
        self._check_columns(table, read.heading)
        for line, row in read.rows:
            item = self._recording(folder, table, line, row)
            yield item
            if isinstance(item, Recording):
                before, where = held_out.setdefault(item.person, (item.held_out, line))
                if before != item.held_out:
                    raise InputError(
                        f"{str(table)!r}: {item.person!r} is held out in line {where} or {line} and trains "
                        "in the other; a person does one of both"
                    )

    def _check_columns(self, table: Path, found: Iterable[str]) -> None:
        known = [each.name for each in fields(Recording) if each.name not in _NOT_IN_TABLES]
        if self.medium != "video":
            known = [self.column, *(name for name in known if name not in ("video", "audio", self.column))]
        for name in found:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise InputError(
                    f"{str(table)!r} has an unknown column {name!r}; {hint}there are {', '.join(known)}"
                )
        if self.column not in found:
            raise InputError(f"{str(table)!r} has no column {self.column!r}, which names the file of a line")

    def _recording(self, folder: Path, table: Path, number: int, row: dict[str, str]) -> Recording | Problem:
        if row.get(""):
            return Problem(
                table, f"line {number} has more cells than the heading: quote those with commas; left out"
            )
        try:
            values = {
                name: self._value(name, text) for name, text in row.items() if text and name in _READERS
            }
        except (ValueError, UsageError) as error:
            return Problem(table, f"line {number}: {error}; left out")
        if not row[self.column]:
            return Problem(table, f"line {number} names no {self.column}; left out")
        file = folder / row[self.column]
        named = [file]
        if self.medium == "video" and row.get("audio"):
            named.append(folder / row["audio"])
        for path in named:
            if not _is_file(path):
                return Problem(path, f"is missing, line {number} of {table.name} names it; left out")
        audio = named[1] if len(named) > 1 else None
        if self.medium == "video" and audio is None:
            audio = beside(file, SOUND_SUFFIXES)
        person = self._person(folder, file)
        if row.get("person"):
            person = f"{self.kind}:{row['person'].removeprefix(f'{self.kind}:')}"
        start, stop = values.get("start_seconds", 0.0), values.get("stop_seconds")
        if start < 0 or (stop is not None and stop <= start):
            return Problem(table, f"line {number}: the stretch {start:g} to {stop:g} s is empty; left out")
        values = {"held_out": self._is_held_out(person), **values}
        key = row.get("key") or self._key(folder, file, start)
        try:
            return Recording(key=key, person=person, video=file, medium=self.medium, audio=audio, **values)
        except InputError as error:
            return Problem(table, f"line {number}: {error}; left out")

    def _is_held_out(self, person: str) -> bool:
        return self.held_out_by(person.removeprefix(f"{self.kind}:"))

    def _value(self, column: str, text: str) -> Any:
        return self.emotion_of(text) if column == "emotion" else _READERS[column](text)


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
    "language": str,
    "start_seconds": _seconds,
    "stop_seconds": _seconds,
    "box": _box,
    "held_out": _yes,
}

LAYOUT = PlainFolder(
    kind="folder",
    medium="video",
    column="video",
    suffixes=VIDEO_SUFFIXES,
    person_of=lambda name: Path(name).stem,
    held_out_by=lambda name: is_held_out(f"folder:{name}"),
).layout
