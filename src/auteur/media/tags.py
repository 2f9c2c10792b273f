"""Reads the text in which the writers of this package put the mark."""

from pathlib import Path
from typing import Any, cast

import soundfile  # pyright: ignore[reportMissingTypeStubs]

from auteur.errors import MediaError
from auteur.media.budget import DEFAULT_BUDGET
from auteur.media.container import comment_of, open_container
from auteur.media.image import image_mark_text, open_image
from auteur.media.source import open_source


def read_mark_text(path: Path | str) -> str | None:
    """The comment in the container of a picture, sound or video, or None if it has none.

    Raises:
        MediaError: The file is missing, damaged or of a refused kind.
    """
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
