"""HDTF (Zhang et al., "Flow-guided One-shot Talking Face Generation", 2021): stretches of web videos.

    RD_annotion_time.txt    Radio11.mp4 00:30-01:00 01:30-02:30
    RD_crop_wh.txt          Radio11_0.mp4 412 599 0 599            left, width, top, height
    RD_resolution.txt       Radio11.mp4 720                        the height that the crop is meant for

Videos are whole (`Radio11.mp4`, `RD_Radio11.mp4`) or cut, as the lists' authors name clips (`Radio11_0.mp4`)
or as the usual download script does (`RD_Radio11_000.mp4`). A clip without a crop is not part of the corpus:
its authors left it out for what happens in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from auteur.errors import InputError, MediaError
from auteur.lab.corpora.item import Problem, Recording, Tree
from auteur.lab.corpora.listing import Layout, files_below, slug
from auteur.lab.data.splits import is_held_out
from auteur.media import VIDEO_SUFFIXES, probe

SUBSETS = ("RD", "WDA", "WRA")
UNKNOWN_SPEAKERS = "RD"
"""The subset whose names do not identify the speaker; none of it is held out: two videos may show one
person."""
ALIASES = {"WhipJimClyburn": "JamesClyburn"}
"""One person under two names."""

_TIMES, _CROPS, _HEIGHTS = "annotion_time", "crop_wh", "resolution"
_CUT = re.compile(rf"(?P<subset>{'|'.join(SUBSETS)})_(?P<name>.+)_(?P<clip>\d{{1,3}})")

Box = tuple[float, float, float, float]


@dataclass
class _Lists:
    """The lists of one subset."""

    subset: str
    stretches: dict[str, list[tuple[float, float] | str]]
    """Name of a video to its stretches in seconds; a string is one that cannot be understood."""
    boxes: dict[tuple[str, int], Box]
    heights_px: dict[str, int]
    problems: list[Problem] = field(default_factory=list[Problem])


def _looks_like(folder: Path) -> bool:
    return _list_folder(folder) is not None or any(_CUT.fullmatch(path.stem) for path in folder.glob("*.mp4"))


def _list_folder(folder: Path) -> Path | None:
    for place in (folder, folder / "HDTF_dataset"):
        if any(place.glob(f"*_{_TIMES}.txt")):
            return place
    return None


def _find(tree: Tree) -> Iterator[Recording | Problem]:
    videos = {path.stem: path for path in files_below(tree.folder, VIDEO_SUFFIXES)}
    place = _list_folder(tree.annotations or tree.folder)
    if place is not None:
        for path in sorted(place.glob(f"*_{_TIMES}.txt")):
            lists = _read_lists(path)
            yield from lists.problems
            for name in lists.stretches:
                yield from _clips(lists, name, videos, path)
    elif tree.annotations is not None:
        raise InputError(
            f"{str(tree.annotations)!r} holds no *_{_TIMES}.txt; name the folder of HDTF's lists"
        )
    else:
        for stem, path in videos.items():
            if match := _CUT.fullmatch(stem):
                yield _recording(match["subset"], match["name"], int(match["clip"]), path)


def _clips(lists: _Lists, name: str, videos: dict[str, Path], listed: Path) -> Iterator[Recording | Problem]:
    subset, stretches = lists.subset, lists.stretches[name]
    whole = videos.get(f"{subset}_{name}") or videos.get(name)
    height_px: int | None = None
    for number, stretch in enumerate(stretches):
        stems = (f"{subset}_{name}_{number:03d}", f"{subset}_{name}_{number}", f"{name}_{number}")
        cut = next((videos[stem] for stem in stems if stem in videos), None)
        box = lists.boxes.get((name, number))
        if isinstance(stretch, str):
            yield Problem(listed, f"{name}: {stretch!r} is no stretch of time, such as 00:30-01:00; left out")
        elif cut is None and whole is None:
            yield Problem(listed, f"{name}: neither the video nor its clip {number} is there; left out")
        elif box is None:
            yield Problem(
                listed, f"{name}: clip {number} has no crop, so it is not part of the corpus; left out"
            )
        elif cut is not None:
            yield _recording(subset, name, number, cut)
        elif whole is not None:
            height_px = height_px or _height_px(whole)
            scaled = _scaled(box, height_px, lists.heights_px.get(name, 0))
            yield _recording(subset, name, number, whole, stretch=stretch, box=scaled)


def _recording(
    subset: str,
    name: str,
    number: int,
    video: Path,
    *,
    stretch: tuple[float, float] | None = None,
    box: Box | None = None,
) -> Recording:
    speaker = name if subset == UNKNOWN_SPEAKERS else name.rstrip("0123456789")
    person = f"hdtf:{ALIASES.get(speaker, speaker)}"
    start_seconds, stop_seconds = stretch or (0.0, None)
    return Recording(
        key=f"hdtf-{subset}-{slug(name)}-{number:03d}",
        person=person,
        video=video,
        start_seconds=start_seconds,
        stop_seconds=stop_seconds,
        box=box,
        held_out=subset != UNKNOWN_SPEAKERS and is_held_out(person),
    )


def _height_px(video: Path) -> int:
    # An unreadable video is reported when it is opened for its pictures.
    try:
        return probe(video).height_px or 0
    except MediaError:
        return 0


def _scaled(box: Box, height_px: int, listed_px: int) -> Box | None:
    """Returns the crop in pixels of the video, which often has another resolution than the list."""
    if not height_px or not listed_px:
        return None
    left, top, right, bottom = (side * height_px / listed_px for side in box)
    return left, top, right, bottom


def _read_lists(times: Path) -> _Lists:
    subset = times.name.removesuffix(f"_{_TIMES}.txt")
    lists = _Lists(subset, {}, {}, {})
    for name, words in _lines(times):
        lists.stretches[name] = [_stretch(word) for word in words]
    crops, heights = (times.with_name(f"{subset}_{kind}.txt") for kind in (_CROPS, _HEIGHTS))
    for clip, words in _lines(crops):
        name, _, number = clip.rpartition("_")
        try:
            left, width, top, height = (float(word) for word in words)
            lists.boxes[name, int(number)] = (left, top, left + width, top + height)
        except ValueError:
            lists.problems.append(Problem(crops, f"{clip}: {' '.join(words)!r} is no crop of four numbers"))
    for name, words in _lines(heights):
        lists.heights_px[name] = int(words[0]) if words and words[0].isdigit() else 0
    return lists


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields the name of a video or clip without its suffix, and the words after it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; download HDTF's lists again") from error
    for line in text.splitlines():
        if words := line.split():
            yield words[0].removesuffix(".mp4"), words[1:]


def _stretch(word: str) -> tuple[float, float] | str:
    match = re.fullmatch(r"(\d+(?::\d\d){1,2})-(\d+(?::\d\d){1,2})", word)
    start, stop = (_seconds(time) for time in match.groups()) if match else (0.0, 0.0)
    return (start, stop) if start < stop else word


def _seconds(time: str) -> float:
    seconds = 0
    for part in time.split(":"):
        seconds = 60 * seconds + int(part)
    return float(seconds)


LAYOUT = Layout(
    expected="RD_annotion_time.txt, RD_crop_wh.txt and RD_resolution.txt (so for WDA, WRA) with the videos "
    "that they name, or clips such as RD_Radio11_000.mp4",
    looks_like=_looks_like,
    find=_find,
)
