"""RAVDESS (Livingstone & Russo, 2018): everything is in seven codes of the file name.

    Actor_01/01-01-03-02-01-01-01.mp4
             modality-channel-emotion-intensity-statement-repetition-actor

Modality 01 has pictures and sound, 02 pictures, 03 sound; a take that is there as 01 is read from that, one
that is there as 02 needs its 03. Channel 02 is song and is left out.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from auteur.facs import find_emotion
from auteur.lab.corpora.item import Problem, Recording, Tree
from auteur.lab.corpora.listing import SOUND_SUFFIXES, Layout, files_below
from auteur.lab.data.splits import SPEECH_TEST_PEOPLE
from auteur.media import VIDEO_SUFFIXES

TEST_ACTORS = SPEECH_TEST_PEOPLE["ravdess"]
"""No split is published; these actors are in no training data of the speech models of this package."""
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""Code 01 to 08. Calm counts as neutral (`facs.EMOTION_ALIASES`)."""
INTENSITIES = {"01": 0.6, "02": 1.0}
"""Normal and strong; the numbers are ours."""
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}

_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<rest>(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-"
    r"(?P<statement>0[12])-(?P<repetition>0[12])-(?P<actor>[01]\d|2[0-4]))"
)


def _looks_like(folder: Path) -> bool:
    return any(
        _NAME.fullmatch(path.stem)
        for pattern in ("*", "*/*", "*/*/*")
        for path in folder.glob(pattern + ".*")
    )


def _find(tree: Tree) -> Iterator[Recording | Problem]:
    videos = [(path, _NAME.fullmatch(path.stem)) for path in files_below(tree.folder, VIDEO_SUFFIXES)]
    takes = {(match["modality"], match["rest"]): (path, match) for path, match in videos if match}
    sounds = {
        match["rest"]: path
        for path in files_below(tree.folder, SOUND_SUFFIXES)
        if (match := _NAME.fullmatch(path.stem)) and match["modality"] == "03"
    }
    songs: Counter[Path] = Counter()
    for (modality, rest), (path, match) in takes.items():
        if match["channel"] == "02":
            songs[path.parent] += 1
        elif modality == "01":
            yield _recording(path, None, match)
        elif modality == "02" and ("01", rest) not in takes:
            if rest in sounds:
                yield _recording(path, sounds[rest], match)
            else:
                yield Problem(path, f"has no sound: neither '01-{rest}' nor '03-{rest}' is there; left out")
    yield from (Problem(place, f"{count} songs are left out") for place, count in songs.items())
    if takes:
        yield from (
            Problem(path, "is not named by seven codes; left out") for path, match in videos if not match
        )


def _recording(video: Path, audio: Path | None, match: re.Match[str]) -> Recording:
    emotion = find_emotion(EMOTIONS[int(match["emotion"]) - 1])
    return Recording(
        key=f"ravdess-{match['actor']}-{match['rest']}",
        person=f"ravdess:{match['actor']}",
        video=video,
        audio=audio,
        emotion=emotion,
        intensity=0.0 if emotion == "neutral" else INTENSITIES[match["intensity"]],
        view="front",
        text=STATEMENTS[match["statement"]],
        held_out=match["actor"] in TEST_ACTORS,
    )


LAYOUT = Layout(
    expected="Actor_01/01-01-03-02-01-01-01.mp4 (seven codes, the first 01 or 02)",
    looks_like=_looks_like,
    find=_find,
)
