"""Opens input files by their content, never by a name that a decoder could take for an address."""

import io
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from auteur.errors import InputError, MediaError
from auteur.files import open_input
from auteur.media.budget import Budget

Family = Literal["image", "sound", "container"]
"""Which decoder reads a file: Pillow, libsndfile or FFmpeg."""

_SIGNATURES: tuple[tuple[Family, re.Pattern[bytes]], ...] = (
    ("image", re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP|GIF8[79]a", re.DOTALL)),
    ("image", re.compile(rb"II\*\x00|MM\x00\*|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL)),
    ("image", re.compile(rb"....ftyp(avi[fs]|hei[cmxs]|hev[cmxs]|mif1|msf1)", re.DOTALL)),
    ("sound", re.compile(rb"(RIFF|RF64)....WAVE|fLaC|OggS", re.DOTALL)),
    ("container", re.compile(rb"FORM....AIF[FC]|caff\x00|\.snd|#!AMR|\x0b\x77", re.DOTALL)),
    ("container", re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", re.DOTALL)),
    ("container", re.compile(rb"RIFF....AVI |\x1aE\xdf\xa3|\x00\x00\x01\xba|ID3|\xff[\xe2-\xff]", re.DOTALL)),
    ("container", re.compile(rb"....(ftyp|moov|mdat|free|skip|wide)|FLV\x01", re.DOTALL)),
    ("container", re.compile(rb"\x47.{187}\x47.{187}\x47", re.DOTALL)),
)
_HEAD_BYTES = 2 * 188 + 1
"""Sign of a transport stream: three packets."""
_READABLE = (
    "PNG JPEG WEBP HEIC AVIF BMP TIFF GIF, WAV FLAC OGG MP3 M4A AAC AIFF CAF AU WMA AMR AC3, MP4 MOV "
    "MKV WEBM AVI MPG TS WMV FLV"
)


@dataclass(frozen=True)
class Source:
    """An open input file."""

    file: BinaryIO
    family: Family
    name: str
    """Name of the file in messages: its path, quoted, with control characters escaped."""


@contextmanager
def open_source(path: Path | str, budget: Budget) -> Generator[Source]:
    """Opens a regular file whose first bytes are those of a picture, sound or video.

    Raises:
        MediaError: The file is missing, not a regular file, empty, too large or of another kind.
    """
    name = repr(str(path))
    with _open(path) as file:
        budget.check_bytes(name, os.fstat(file.fileno()).st_size)
        yield Source(file, _family(file, name), name)


def source_of_bytes(content: bytes, name: str, budget: Budget) -> Source:
    """Returns the bytes of a file as an open input; `name` is its name in messages.

    Raises:
        MediaError: They are none, too many, or those of no known kind.
    """
    budget.check_bytes(name, len(content))
    file = io.BytesIO(content)
    return Source(file, _family(file, name), name)


def _open(path: Path | str) -> BinaryIO:
    try:
        return open_input(path)
    except InputError as error:
        raise MediaError(str(error)) from error


def _family(file: BinaryIO, name: str) -> Family:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    for family, pattern in _SIGNATURES:
        if pattern.match(head):
            return family
    raise MediaError(
        f"{name} is not a picture, sound or video of a known kind; convert it to one of {_READABLE}"
    )
