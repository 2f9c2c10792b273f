"""From a tree on disk to a `Corpus`: the layout of each kind, and the code common to all."""

import csv
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import zip_longest
from pathlib import Path

from auteur.errors import InputError
from auteur.lab.corpora.item import KINDS, TOOLS, Problem, Recording, Tree
from auteur.lab.data.media_kinds import PLAIN_KINDS
from auteur.signals.seeding import keyed_generator

SOUND_SUFFIXES = (".wav", ".m4a", ".flac", ".mp3", ".ogg", ".aac")
MEASURED_SUFFIXES = (".csv", ".npz", ".pkl", ".json")
"""Suffixes of the output of other tools; EMOCA writes a folder."""

_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Layout of one kind of corpus on disk."""

    expected: str
    """The published layout in a few words, for messages."""
    looks_like: Callable[[Path], bool]
    """Whether a folder is laid out so; reads names of the first levels only."""
    find: Callable[[Tree], Iterator[Recording | Problem]]
    """Yields recordings and problems, in any order."""


@dataclass
class Listing:
    """A `Corpus` that was read."""

    kind: str
    problems: list[Problem] = field(default_factory=list[Problem])
    found: list[Recording] = field(default_factory=list[Recording])

    def recordings(self) -> list[Recording]:
        """Returns every usable recording in the order of the keys."""
        return list(self.found)


@dataclass(frozen=True)
class CsvTable:
    """A CSV."""

    heading: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]
    """Number of the line that each row ends on, and its cells; a cell beyond the heading is under ""."""


def layout_of(kind: str) -> Layout:
    """Returns the layout of one of `KINDS`."""
    return import_module(KINDS[kind]).LAYOUT


def list_tree(kind: str, tree: Tree, *, other_emotion_reference: bool, seed: int) -> Listing:
    """Reads a tree; see `open_corpus`.

    Raises:
        InputError: A folder is missing, or the tree is not laid out as the kind is.
    """
    for place, what in ((tree.folder, "corpus"), (tree.measured, "folder of measurements")):
        if place is not None and not place.is_dir():
            raise InputError(f"the {what} {str(place)!r} is no folder; name the folder that holds it")
    layout, listing, by_key = layout_of(kind), Listing(kind), dict[str, Recording]()
    for item in layout.find(tree):
        if isinstance(item, Problem):
            listing.problems.append(item)
        elif item.key in by_key:
            first = by_key[item.key].video
            listing.problems.append(Problem(item.video, f"is {item.key!r} as {str(first)!r} is; left out"))
        else:
            by_key[item.key] = item
    if not by_key and not listing.problems:
        raise InputError(_wrong_tree(kind, layout, tree.folder))
    listing.problems.sort(key=lambda problem: str(problem.path))
    found = [by_key[key] for key in sorted(by_key)]
    if tree.measured is not None:
        found = [replace(each, measured=_measured(each, tree.folder, tree.measured)) for each in found]
    listing.found = with_references(found, seed=seed) if other_emotion_reference else found
    return listing


def with_references(recordings: Sequence[Recording], *, seed: int) -> list[Recording]:
    """Returns the recordings, each with the key of another emotion of the same person in the same view.

    The choice depends on the key, the seed and the candidates. A recording without an
    emotion, or of a person without another one in this view, keeps None.
    """
    shown: dict[tuple[str, str | None], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for each in recordings:
        if each.emotion is not None:
            shown[each.person, each.view][each.emotion].append(each.key)

    def reference(each: Recording) -> str | None:
        emotions = shown[each.person, each.view]
        others = [key for emotion in sorted(emotions) if emotion != each.emotion for key in emotions[emotion]]
        if each.emotion is None or not others:
            return None
        return others[int(keyed_generator(f"reference {seed} {each.key}").integers(len(others)))]

    return [replace(each, reference=reference(each)) for each in recordings]


def files_below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Yields the files with such suffixes in the order of their names, without hidden files and folders."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(tuple(suffixes)):
                yield Path(place, name)


def beside(path: Path, suffixes: Sequence[str]) -> Path | None:
    """Returns the file that has this name but for one of the suffixes; None: there is none."""
    for suffix in suffixes:
        if (other := path.with_suffix(suffix)).is_file():
            return other
    return None


def read_table(path: Path) -> CsvTable:
    """Returns a CSV with a heading, without spaces around the cells; a missing cell is empty.

    Raises:
        InputError: It cannot be read or is no CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            heading = tuple(cell.strip() for cell in next(reader, ()))
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; save it as CSV in UTF-8") from error
    return CsvTable(heading, [(line, dict(zip_longest(heading, row, fillvalue=""))) for line, row in rows])


def slug(text: str) -> str:
    """Returns `text` with everything that a key may not hold replaced by "-"."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_")


def _measured(recording: Recording, folder: Path, measured: Path) -> dict[str, Path]:
    names = [recording.key]
    if recording.video.is_relative_to(folder) and not (recording.start_seconds or recording.stop_seconds):
        names.append(recording.video.relative_to(folder).with_suffix("").as_posix())
    found: dict[str, Path] = {}
    for tool in TOOLS:
        for name in names:
            place = measured / tool / name
            output = place if place.is_dir() else _file_named(place)
            if output is not None:
                found.setdefault(tool, output)
    return found


def _file_named(place: Path) -> Path | None:
    # Not `with_suffix`: a name may hold dots of its own.
    files = (place.with_name(place.name + suffix) for suffix in MEASURED_SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def _wrong_tree(kind: str, layout: Layout, folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if path.name[0] != ".")
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    others = [
        other for other in KINDS if other not in (kind, *PLAIN_KINDS) and layout_of(other).looks_like(folder)
    ]
    hint = f"; it looks like {others[0]!r}, name that kind" if others else ""
    return f"{str(folder)!r} holds no {kind!r}: expected {layout.expected}; found {shown or 'nothing'}{hint}"
