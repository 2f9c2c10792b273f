"""Small trees laid out like the published corpora, to try things before the corpus is at hand, and to test.

    PYTHONPATH=tests python -m support.lookalike --kind mead --out DIR

People are one portrait, mirrored and shaded: every second one is held out. Labels are the rendered
expressions; with clips of your own they mean nothing.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path

import tyro

from auteur.errors import InputError, UsageError
from auteur.lab.corpora import cremad, ravdess
from auteur.lab.corpora.item import KINDS
from auteur.lab.data.splits import PUBLISHED_TEST_PEOPLE, is_held_out
from support.footage import (
    EMOTIONS,
    FAULTS,
    INTRO_SECONDS,
    Clip,
    clip_of,
    cut_short,
    write_sound,
    write_video,
)

VIDEO_KINDS = tuple(kind for kind in KINDS if kind not in ("speech", "photos"))

_LATE = 1
"""The emotion that HDTF's look-alike shows after an empty room, so that a stretch does not begin at 0."""


@dataclass(frozen=True, kw_only=True)
class Lookalike:
    """A tree that was built."""

    kind: str
    folder: Path
    """Its root, as `open_corpus` takes it."""
    people: tuple[str, ...]
    """Who is in it, as `Recording.person`; the second, fourth … are held out."""
    faults: dict[str, str] = field(default_factory=dict[str, str])
    """Each of `footage.FAULTS` that was put in -> the key that its recording has, or would have had: the
    "no_sound" of MEAD, CREMA-D, RAVDESS and "folder" is not listed but among the problems."""


@dataclass(frozen=True, kw_only=True)
class _Take:
    """One recording to be placed."""

    person: str
    emotion: int
    """Index into `EMOTIONS`."""
    clip: Clip
    fault: str | None = None
    number: int = 0
    """Counts the faults."""


def build_lookalike(
    kind: str,
    folder: Path | str,
    *,
    people: int = 2,
    clips: Path | None = None,
    seconds: float = 1.5,
    bad: bool = False,
) -> Lookalike:
    """Builds a small tree and returns what is in it.

    Each person has one recording for each of `EMOTIONS`. The faces are made once per process and length, in
    some seconds; after that a tree takes a second or two.

    Args:
        kind: One of `KINDS`.
        folder: Where; made if missing, must be empty.
        people: How many, 1 to 8.
        clips: Folder of videos with sound to use in place of made faces.
        seconds: Length of each recording.
        bad: Whether the first person also has one recording with each of `footage.FAULTS`.

    Raises:
        UsageError: The kind is unknown or a number outside its range.
        InputError: The folder is not empty, or the clips cannot be used.
    """
    root = Path(folder)
    if kind not in VIDEO_KINDS:
        raise UsageError(f"no look-alike of {kind!r}; choose one of {', '.join(VIDEO_KINDS)}")
    if not 1 <= people <= 8:
        raise UsageError(f"people is {people}; it must be between 1 and 8")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{str(root)!r} is not empty; name a new folder")
    root.mkdir(parents=True, exist_ok=True)
    builder = _BUILDERS[kind]
    names = builder.names(people)
    takes = [
        _Take(
            person=name,
            emotion=emotion,
            clip=clip_of(clips, seconds, emotion, person=number, change=builder.change(emotion)),
        )
        for number, name in enumerate(names)
        for emotion in range(len(EMOTIONS))
    ]
    if bad:
        takes += [
            _Take(
                person=names[0],
                emotion=0,
                clip=clip_of(clips, seconds, 0, person=0, change=fault),
                fault=fault,
                number=number,
            )
            for number, fault in enumerate(FAULTS)
        ]
    keys = [builder.place(root, take) for take in takes]
    builder.finish(root, takes)
    faults = {take.fault: key for take, key in zip(takes, keys, strict=True) if take.fault}
    return Lookalike(kind=kind, folder=root, people=tuple(builder.person(n) for n in names), faults=faults)


def _nothing(root: Path, takes: list[_Take]) -> None:
    del root, takes


@dataclass(frozen=True, kw_only=True)
class _Builder:
    """How one kind is laid out."""

    person: Callable[[str], str]
    candidates: tuple[str, ...]
    is_test: Callable[[str], bool]
    place: Callable[[Path, _Take], str]
    """Writes the files of a take and returns the key of its recording."""
    finish: Callable[[Path, list[_Take]], None] = _nothing
    """Writes the tables."""
    change: Callable[[int], str] = lambda emotion: "none"
    """What is done to the footage of each emotion."""

    def names(self, people: int) -> list[str]:
        """Returns people of the two parts in turn."""
        training = [name for name in self.candidates if not self.is_test(name)]
        test = [name for name in self.candidates if self.is_test(name)]
        turns: Iterator[str | None] = chain.from_iterable(zip_longest(training, test))
        return [name for name in turns if name is not None][:people]


def _write(video: Path, take: _Take, *, inside: bool, sound: Path | None = None) -> None:
    """Writes a take; its fault decides whether it has sound and can be read."""
    missing = take.fault == "no_sound"
    write_video(video, take.clip, sound=inside and not missing)
    if sound is not None and not missing:
        write_sound(sound, take.clip)
    if take.fault == "unreadable":
        cut_short(video)


def _place_mead(root: Path, take: _Take) -> str:
    emotion, level = ("sad", 1) if take.fault else (EMOTIONS[take.emotion], 1 if take.emotion == 0 else 3)
    place, person = f"{emotion}/level_{level}/{take.number + 1:03d}", root / take.person
    _write(
        person / "video" / "front" / f"{place}.mp4",
        take,
        inside=False,
        sound=person / "audio" / f"{place}.m4a",
    )
    return f"mead-{take.person}-front-{emotion}-{level}-{take.number + 1:03d}"


def _cremad_name(take: _Take) -> str:
    codes = {emotion: code for code, emotion in cremad.EMOTIONS.items()}
    sentence = tuple(cremad.SENTENCES)[take.number if take.fault else take.emotion]
    return f"{take.person}_{sentence}_{'SAD' if take.fault else codes[EMOTIONS[take.emotion]]}_XX"


def _place_cremad(root: Path, take: _Take) -> str:
    name = _cremad_name(take)
    _write(root / "VideoFlash" / f"{name}.flv", take, inside=True, sound=root / "AudioWAV" / f"{name}.wav")
    return f"cremad-{name}"


def _finish_cremad(root: Path, takes: list[_Take]) -> None:
    """Writes votes: happy is seen as such, neutral is a tie, and anger is taken for disgust."""
    votes = (("D:N", "41.33:89.67"), ("H", "73.2"), ("D", "52.5"))
    table = root / "processedResults" / cremad.TABLE
    table.parent.mkdir()
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        channels = [
            f"{channel}{column}"
            for channel in ("Voice", "Face", "MultiModal")
            for column in ("Vote", "Level")
        ]
        rows.writerow(["", "FileName", *channels])
        rows.writerows(
            [number, _cremad_name(take), "N", "60.5", *votes[take.emotion], *votes[take.emotion]]
            for number, take in enumerate(takes, start=1)
        )


def _place_ravdess(root: Path, take: _Take) -> str:
    emotion = ravdess.EMOTIONS.index("sad" if take.fault else EMOTIONS[take.emotion]) + 1
    strong, dogs, again = (take.number >> bit & 1 for bit in range(3))
    rest = f"01-{emotion:02d}-{strong + 1:02d}-{dogs + 1:02d}-{again + 1:02d}-{take.person}"
    modality = "02" if take.fault == "no_sound" else "01"
    _write(root / f"Actor_{take.person}" / f"{modality}-{rest}.mp4", take, inside=True)
    return f"ravdess-{take.person}-{rest}"


def _hdtf_name(take: _Take) -> str:
    return "Fault" + take.fault.title().replace("_", "") if take.fault else f"{take.person}{take.emotion}"


def _place_hdtf(root: Path, take: _Take) -> str:
    _write(root / f"{_hdtf_name(take)}.mp4", take, inside=True)
    return f"hdtf-WDA-{_hdtf_name(take)}-000"


def _finish_hdtf(root: Path, takes: list[_Take]) -> None:
    lines: dict[str, list[str]] = {"video_url": [], "annotion_time": [], "crop_wh": [], "resolution": []}
    for take in takes:
        name, side = _hdtf_name(take), min(take.clip.size_px)
        first = INTRO_SECONDS if take.emotion == _LATE else 0
        last = max(first + 1, int(take.clip.seconds))
        lines["video_url"].append(f"{name} https://example.org/{name}")
        lines["annotion_time"].append(f"{name}.mp4 00:{first:02d}-00:{last:02d}")
        lines["crop_wh"].append(f"{name}_0.mp4 0 {side} 0 {side}")
        lines["resolution"].append(f"{name}.mp4 {take.clip.size_px[1]}")
    for kind, rows in lines.items():
        (root / f"WDA_{kind}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _place_folder(root: Path, take: _Take) -> str:
    name = take.fault or EMOTIONS[take.emotion]
    _write(root / take.person / f"{name}.mp4", take, inside=True)
    return f"{take.person}_{name}"


def _finish_folder(root: Path, takes: list[_Take]) -> None:
    with (root / "recordings.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["key", "person", "video", "audio", "emotion", "intensity"])
        for take in takes:
            name = take.fault or EMOTIONS[take.emotion]
            missing = f"{take.person}/{name}.wav" if take.fault == "no_sound" else ""
            emotion = "" if take.fault else EMOTIONS[take.emotion]
            rows.writerow(
                [
                    f"{take.person}_{name}",
                    take.person,
                    f"{take.person}/{name}.mp4",
                    missing,
                    emotion,
                    emotion and 1,
                ]
            )


_BUILDERS: dict[str, _Builder] = {
    "mead": _Builder(
        person=lambda name: f"mead:{name}",
        candidates=("M005", "M007", "W011", "W014", *sorted(PUBLISHED_TEST_PEOPLE["mead"])),
        is_test=lambda name: name in PUBLISHED_TEST_PEOPLE["mead"],
        place=_place_mead,
    ),
    "hdtf": _Builder(
        person=lambda name: f"hdtf:{name}",
        candidates=tuple(f"Speaker{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        is_test=lambda name: is_held_out(f"hdtf:{name}"),
        place=_place_hdtf,
        change=lambda emotion: "after_a_wall" if emotion == _LATE else "none",
        finish=_finish_hdtf,
    ),
    "cremad": _Builder(
        person=lambda name: f"cremad:{name}",
        candidates=tuple(f"{number}" for number in range(1001, 1092)),
        is_test=lambda name: is_held_out(f"cremad:{name}"),
        place=_place_cremad,
        finish=_finish_cremad,
    ),
    "ravdess": _Builder(
        person=lambda name: f"ravdess:{name}",
        candidates=tuple(f"{number:02d}" for number in range(1, 25)),
        is_test=lambda name: name in ravdess.TEST_ACTORS,
        place=_place_ravdess,
    ),
    "folder": _Builder(
        person=lambda name: f"folder:{name}",
        candidates=tuple(f"person_{number}" for number in range(1, 41)),
        is_test=lambda name: is_held_out(f"folder:{name}"),
        place=_place_folder,
        finish=_finish_folder,
    ),
}


@dataclass(frozen=True)
class LookalikeRecipe:
    """Which tree to build."""

    kind: str
    """mead, hdtf, cremad, ravdess or folder."""
    out: Path
    """A new folder."""
    people: int = 2
    clips: Path | None = None
    """Folder of videos with sound to use in place of made faces."""
    seconds: float = 1.5
    bad: bool = False
    """Also put in recordings that cannot be used."""


if __name__ == "__main__":
    recipe = tyro.cli(LookalikeRecipe)
    build_lookalike(
        recipe.kind,
        recipe.out,
        people=recipe.people,
        clips=recipe.clips,
        seconds=recipe.seconds,
        bad=recipe.bad,
    )
