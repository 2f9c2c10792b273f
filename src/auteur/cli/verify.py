"""`auteur verify FILE`: the marks that a file carries."""

import json as json_text
from pathlib import Path
from typing import Annotated

import tyro

from auteur.cli.arguments import Flag, check_readable, options


@options
class VerifyArguments:
    """Options of `auteur verify`."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """The picture, sound, video or folder of frames."""
    json: Flag = False
    """Print one JSON object instead of lines."""


def verify(arguments: VerifyArguments) -> int:
    """Prints the marks of a picture, sound, video or folder of frames, and whether it is unchanged.

    The exit code is 0 where the marks could be read, whatever their content.

    Examples:
        auteur verify out.mp4
        auteur verify out.mp4 --json
    """
    check_readable(arguments.file, may_be_folder=True)

    from auteur.provenance import verify as read_marks

    report = read_marks(arguments.file)
    print(json_text.dumps(report.to_json()) if arguments.json else "\n".join(report.lines()))
    return 0
