"""The form of every corpus: a list of recordings of one person each, and a list of problems."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from auteur.errors import InputError
from auteur.lab.data.media_kinds import Medium

KINDS: dict[str, str] = {
    "mead": "auteur.lab.corpora.mead",
    "hdtf": "auteur.lab.corpora.hdtf",
    "cremad": "auteur.lab.corpora.cremad",
    "ravdess": "auteur.lab.corpora.ravdess",
    "folder": "auteur.lab.corpora.folder",
    "speech": "auteur.lab.corpora.speech",
    "photos": "auteur.lab.corpora.photos",
}
"""The module of each kind; it holds a `LAYOUT` of `auteur.lab.corpora.listing`."""

TOOLS: tuple[str, ...] = ("openface", "deca", "emoca", "smirk", "pyfeat")
"""The tools whose existing output a recording can name in `measured`."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One person on one stretch of one video. Nothing is opened: these are names and labels of the corpus."""

    key: str
    """Unique and stable: the same tree gives the same keys everywhere. Letters, digits, "_" and "-", so that
    it can name a file; a corpus is in the order of its sorted keys."""
    person: str
    """The person, with the corpus in front, such as "mead:M003"."""
    video: Path
    """The file with the pictures; of speech alone, with the sound."""
    medium: Medium = "video"
    audio: Path | None = None
    """The file with the sound; None: the sound is in `video`."""
    emotion: str | None = None
    """The acted emotion, one of `facs.EMOTIONS`, of speech alone also calm or bored; None where the corpus
    does not state it."""
    perceived: str | None = None
    """Majority vote of raters of picture and sound, where the corpus has votes; None also at a tie."""
    intensity: float | None = None
    """Intensity of the emotion, in [0, 1]; None where the corpus does not state it."""
    view: str | None = None
    """Position of the camera, in the corpus's word, such as "front"."""
    text: str | None = None
    """The spoken text."""
    language: str | None = None
    """Of the text, such as "en"; None: English."""
    start_seconds: float = 0.0
    """Begin of the recording in `video` (and `audio`), in seconds."""
    stop_seconds: float | None = None
    """End of the recording in seconds; None: the end of the file."""
    box: tuple[float, float, float, float] | None = None
    """Box of the face in the annotation: left, top, right, bottom in pixels of `video`."""
    held_out: bool = False
    """Whether the person is held out of training; the same for every recording of a person."""
    reference: str | None = None
    """Key of a recording of the same person with another emotion, if such references are requested and there
    is one. A reference picture from it cannot leak the target emotion to a model."""
    measured: Mapping[str, Path] = field(default_factory=dict, hash=False)
    """Output that another tool left for this recording; the name of the tool is one of `TOOLS`."""

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise InputError(f"key {self.key!r} must be letters, digits, '_' and '-' only")


@dataclass(frozen=True)
class Problem:
    """A path in a corpus that is no usable recording, and the reason. It never stops the listing."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """Returns the path and the reason on one line."""
        return f"{self.path}: {self.reason}"


class Corpus(Protocol):
    """A corpus on disk."""

    kind: str
    """One of `KINDS`."""
    problems: list[Problem]
    """Paths that were left out with the reason, in the order of the paths."""

    def recordings(self) -> list[Recording]:
        """Returns every usable recording in the order of the keys."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Folders of a corpus."""

    folder: Path
    """The root of the published tree."""
    annotations: Path | None = None
    """The corpus's own annotation; None: looked for in `folder`."""
    measured: Path | None = None
    """Existing output of other tools, a folder for each of `TOOLS`; None: there is none."""
