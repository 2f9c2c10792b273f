"""CREMA-D (Cao et al., "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", 2014).

    VideoFlash/1001_DFA_ANG_XX.flv    actor, sentence, emotion, level
    AudioWAV/1001_DFA_ANG_XX.wav
    processedResults/summaryTable.csv

`emotion` is the acted one, `perceived` the majority vote of the raters of picture and sound together; the two
differ often, so clear faces are those of recordings where they agree. Level XX (not specified) takes
the raters' mean level where they agree with the actor.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auteur.errors import InputError
from auteur.lab.corpora.item import Problem, Recording, Tree
from auteur.lab.corpora.listing import (
    SOUND_SUFFIXES,
    Layout,
    beside,
    files_below,
    read_table,
)
from auteur.lab.data.splits import is_held_out
from auteur.media import VIDEO_SUFFIXES

TABLE = "summaryTable.csv"
EMOTIONS = {"ANG": "angry", "DIS": "disgusted", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LEVELS = {"LO": 0.2, "MD": 0.5, "HI": 0.8}
"""Intensities in the corpus's own tables: 20, 50 and 80 of 100."""
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}

# The published sound of one recording is called 1040_ITH_SAD_X.
_NAME = re.compile(r"(?P<actor>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>LO|MD|HI|XX?)")


@dataclass(frozen=True)
class _Vote:
    emotion: str | None
    level: float | None


def _looks_like(folder: Path) -> bool:
    patterns = ("*", "VideoFlash/*", "AudioWAV/*")
    return any(_NAME.fullmatch(path.stem) for pattern in patterns for path in folder.glob(pattern))


def _find(tree: Tree) -> Iterator[Recording | Problem]:
    videos = [(path, _NAME.fullmatch(path.stem)) for path in files_below(tree.folder, VIDEO_SUFFIXES)]
    # Published as .flv; converted copies may lie beside the originals.
    videos.sort(key=lambda video: (video[0].suffix.lower() == ".flv", video[0]))
    named = [(path, match) for path, match in videos if match]
    taken: set[str] = set()
    votes = _votes(_table(tree)) if named else {}
    sounds = [place for name in ("AudioWAV", "AudioMP3") if (place := tree.folder / name).is_dir()]
    for path, match in named:
        if path.suffix.lower() != ".flv" or path.stem not in taken:
            taken.add(path.stem)
            yield _recording(path, match, sounds, votes.get(path.stem))
    if named:
        yield from (
            Problem(path, "is not named ACTOR_SENTENCE_EMOTION_LEVEL; left out")
            for path, match in videos
            if not match
        )


def _recording(
    video: Path, match: re.Match[str], sound_folders: list[Path], vote: _Vote | None
) -> Recording | Problem:
    if match["emotion"] not in EMOTIONS or match["sentence"] not in SENTENCES:
        return Problem(video, "has an unknown code of emotion or sentence; left out")
    emotion = EMOTIONS[match["emotion"]]
    audio = _sound(video, sound_folders)
    if audio is None and sound_folders:
        where = " or ".join(place.name for place in sound_folders)
        return Problem(video, f"has no sound in {where}; left out")
    agreed = vote.level if vote is not None and vote.emotion == emotion else None
    return Recording(
        key=f"cremad-{video.stem}",
        person=f"cremad:{match['actor']}",
        video=video,
        audio=audio,
        emotion=emotion,
        perceived=None if vote is None else vote.emotion,
        intensity=0.0 if emotion == "neutral" else LEVELS.get(match["level"], agreed),
        view="front",
        text=SENTENCES[match["sentence"]],
        held_out=is_held_out(f"cremad:{match['actor']}"),
    )


def _sound(video: Path, folders: list[Path]) -> Path | None:
    stems = (video.stem, video.stem.removesuffix("X"))
    sounds = (beside(place / f"{stem}.wav", SOUND_SUFFIXES) for place in folders for stem in stems)
    return next((sound for sound in sounds if sound is not None), None)


def _table(tree: Tree) -> Path | None:
    if tree.annotations is None:
        return next(iter(sorted(tree.folder.rglob(TABLE))), None)
    table = tree.annotations / TABLE if tree.annotations.is_dir() else tree.annotations
    if not table.is_file():
        raise InputError(f"{str(table)!r} is no file; name the corpus's {TABLE}")
    return table


def _votes(table: Path | None) -> dict[str, _Vote]:
    """Returns the vote on each recording; a tie, written "A:D", counts as no vote."""
    if table is None:
        return {}
    read = read_table(table)
    if missing := {"FileName", "MultiModalVote", "MultiModalLevel"} - set(read.heading):
        raise InputError(f"{str(table)!r} lacks {', '.join(sorted(missing))}; is it CREMA-D's {TABLE}?")
    return {row["FileName"]: _vote(row["MultiModalVote"], row["MultiModalLevel"]) for _, row in read.rows}


def _vote(letter: str, level: str) -> _Vote:
    emotion = {code[0]: emotion for code, emotion in EMOTIONS.items()}.get(letter)
    try:
        return _Vote(emotion, None if emotion is None else min(max(float(level) / 100, 0.0), 1.0))
    except ValueError:
        return _Vote(emotion, None)


LAYOUT = Layout(
    expected="VideoFlash/1001_DFA_ANG_XX.flv with AudioWAV/1001_DFA_ANG_XX.wav",
    looks_like=_looks_like,
    find=_find,
)
