"""`auteur verify FILE`: what marks a file carries."""

from json import dumps
from pathlib import Path

import tyro

from auteur.provenance import verify as read_marks


def verify(file: tyro.conf.Positional[Path], json: tyro.conf.FlagCreatePairsOff[bool] = False) -> int:
    """Prints what marks a picture, sound or video carries, and whether it is unchanged since it was written.

    Example: auteur verify out.mp4

    Args:
        file: The picture, sound or video.
        json: Print one JSON object instead of lines.

    Returns:
        Exit code 0: the marks could be read, whatever they say.

    Raises:
        MediaError: The file is missing or is no picture, sound or video that Auteur reads.
    """
    report = read_marks(file)
    print(dumps(report.to_json()) if json else "\n".join(report.lines()))
    return 0
