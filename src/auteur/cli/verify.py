"""`auteur verify FILE`: the marks that a file carries."""

import json as json_text
from pathlib import Path
from typing import Annotated

import tyro

from auteur.cli.arguments import Flag, check_readable, options
from auteur.errors import InputError


@options
class VerifyArguments:
    """Options of `auteur verify`."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """The picture, sound, video or folder of frames."""
    trust: Annotated[Path | None, tyro.conf.arg(metavar="ISSUERS.pem")] = None
    """Certificates of issuers whose signatures you trust, in PEM; needs c2pa."""
    json: Flag = False
    """Print one JSON object instead of lines."""


def verify(arguments: VerifyArguments) -> int:
    """Prints the marks of a picture, sound, video or folder of frames, and what each does and does not prove.

    The exit code is 0 where no mark contradicts the file, also if there is none; 3 where one does (verdict
    "changed"), or the file cannot be read.

    Examples:
        auteur verify out.mp4
        auteur verify out.mp4 --json
        auteur verify out.mp4 --trust issuers.pem
            whose signatures count as trusted
    """
    check_readable(arguments.file, may_be_folder=True)

    from auteur.provenance import verify as read_marks

    report = read_marks(arguments.file, trusted=arguments.trust)
    print(json_text.dumps(report.to_json()) if arguments.json else "\n".join(report.lines()))
    if report.contradictions:
        raise InputError(f"{str(arguments.file)!r} is changed: {report.contradictions[0]}")
    return 0
