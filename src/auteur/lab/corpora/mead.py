"""MEAD (Wang et al., "MEAD: A Large-scale Audio-visual Dataset for Emotional Talking-face Generation", 2020).

As it is unpacked, videos have no sound and each take's sound lies beside:

    M003/video/front/angry/level_1/001.mp4
    M003/audio/angry/level_1/001.m4a

or as others cut it, one file per take: `M003_ang_1_001.mp4`, sound inside or beside. Numbers of takes do not
identify the sentence: it differs between people and emotions, so `text` stays None.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from auteur.facs import EMOTIONS
from auteur.lab.corpora.item import Problem, Recording, Tree
from auteur.lab.corpora.listing import SOUND_SUFFIXES, Layout, beside, files_below
from auteur.lab.data.splits import is_held_out
from auteur.media import VIDEO_SUFFIXES

VIEWS = ("front", "left_30", "left_60", "right_30", "right_60", "top", "down")
LEVELS = 3

_PERSON = re.compile(r"[MW]\d{3}")
_CODES = {emotion[:3]: emotion for emotion in EMOTIONS}
_FLAT = re.compile(
    rf"(?P<person>[MW]\d{{3}})_((?P<view>{'|'.join(VIEWS)})_)?(?P<emotion>[a-z]{{3,9}})_"
    r"(level_)?(?P<level>[1-3])_(?P<take>\d{3})"
)


def _people(folder: Path) -> Iterator[Path]:
    """Yields the folders of people: `folder` itself, in it, or a level further down ("Part 0")."""
    for pattern in ("", "*", "*/*"):
        for place in sorted(folder.glob(pattern)) if pattern else [folder]:
            if _PERSON.fullmatch(place.name) and (place / "video").is_dir():
                yield place


def _looks_like(folder: Path) -> bool:
    flat = partial(re.match, _FLAT)
    return any(_people(folder)) or any(flat(path.name) for path in folder.glob("*.mp4"))


def _find(tree: Tree) -> Iterator[Recording | Problem]:
    for person in _people(tree.folder):
        for video in files_below(person / "video", VIDEO_SUFFIXES):
            yield _take(person, video)
    for video in files_below(tree.folder, VIDEO_SUFFIXES):
        if match := _FLAT.fullmatch(video.stem):
            yield _flat_take(video, match)


def _take(person: Path, video: Path) -> Recording | Problem:
    parts = video.relative_to(person / "video").with_suffix("").parts
    if len(parts) != 4 or parts[0] not in VIEWS or not re.fullmatch(r"level_[1-3]", parts[2]):
        return Problem(video, "is not at VIEW/EMOTION/level_1…3/NUMBER below 'video'; left out")
    view, emotion, level, take = parts
    if emotion not in EMOTIONS:
        return Problem(video, f"has the emotion {emotion!r}, MEAD has {', '.join(EMOTIONS)}; left out")
    audio = beside(person / "audio" / emotion / level / video.name, SOUND_SUFFIXES)
    if audio is None:
        return Problem(video, f"has no sound: 'audio/{emotion}/{level}/{take}.m4a' is missing; left out")
    return _recording(video, audio, person.name, view, emotion, int(level[-1]), take)


def _flat_take(video: Path, match: re.Match[str]) -> Recording | Problem:
    emotion = _CODES.get(match["emotion"], match["emotion"])
    if emotion not in EMOTIONS:
        return Problem(video, f"has the emotion {emotion!r}, codes are {', '.join(_CODES)}; left out")
    audio, level = beside(video, SOUND_SUFFIXES), int(match["level"])
    return _recording(video, audio, match["person"], match["view"] or "front", emotion, level, match["take"])


def _recording(
    video: Path, audio: Path | None, person: str, view: str, emotion: str, level: int, take: str
) -> Recording:
    return Recording(
        key=f"mead-{person}-{view}-{emotion}-{level}-{take}",
        person=f"mead:{person}",
        video=video,
        audio=audio,
        emotion=emotion,
        intensity=0.0 if emotion == "neutral" else level / LEVELS,
        view=view,
        held_out=is_held_out(f"mead:{person}"),
    )


LAYOUT = Layout(
    expected="PERSON/video/VIEW/EMOTION/level_N/001.mp4 with PERSON/audio/EMOTION/level_N/001.m4a "
    "(PERSON such as M003), or PERSON_EMO_N_001.mp4",
    looks_like=_looks_like,
    find=_find,
)
