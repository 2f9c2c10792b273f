"""Reads the text in which the writers of this package put the mark."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import soundfile  # pyright: ignore[reportMissingTypeStubs]

from auteur.errors import MediaError
from auteur.media.budget import DEFAULT_BUDGET
from auteur.media.container import comment_of, open_container
from auteur.media.image import image_mark_text, open_image
from auteur.media.source import open_source
from auteur.provenance.mark import parse_container_text


def read_mark_text(path: Path | str) -> str | None:
    """The comment in the container of a picture, sound or video, or None if it has none.

    Of a folder of frames it is the comment that all of its files have in common; None where one has another.

    Raises:
        MediaError: The file is missing, damaged or of a refused kind, or a folder holds no frames.
    """
    if is_folder(path):
        return _common_text(Path(path))
    with open_source(path, DEFAULT_BUDGET) as source:
        if source.family == "image":
            with open_image(source, DEFAULT_BUDGET) as image:
                return image_mark_text(image)
        if source.family == "container":
            with open_container(source, DEFAULT_BUDGET) as container:
                return comment_of(container)
        try:
            with cast("Any", soundfile).SoundFile(source.file) as file:
                return file.comment or None
        except soundfile.LibsndfileError as error:
            raise MediaError(
                f"{source.name} cannot be decoded ({error.error_string}); it is damaged"
            ) from error


def is_folder(path: Path | str) -> bool:
    """Returns whether a name is that of a folder; false for names that no file can have."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _common_text(folder: Path) -> str | None:
    pictures, sounds = sorted(folder.glob("*.png")), sorted(folder.glob("*.wav"))
    if not (pictures or sounds):
        raise MediaError(
            f"the folder {str(folder)!r} holds no frames (PNG); name a file or a folder of frames"
        )
    DEFAULT_BUDGET.check_frames(repr(str(folder)), len(pictures) + len(sounds))
    texts = {read_mark_text(file) for file in pictures or sounds}
    text = texts.pop() if len(texts) == 1 else None
    mark = parse_container_text(text or "")
    if text is None or mark is None:
        return text
    # The sound carries no watermark, as its record states; in older folders it has the text of the pictures.
    of_sound = (text, replace(mark, watermark=False).container_text())
    return text if all(read_mark_text(sound) in of_sound for sound in sounds) else None
