"""`auteur units`: every control with its names and its movement."""

import json as json_text
from typing import Annotated

import tyro

from auteur.cli.arguments import Flag, options
from auteur.errors import UsageError


@options
class UnitsArguments:
    """Options of `auteur units`."""

    words: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="WORD ...")] = ()
    """Only controls in whose line all of these words are, such as brow, AU12 or left."""
    json: Flag = False
    """Print one JSON array instead of lines."""


def units(arguments: UnitsArguments) -> int:
    """Lists the controls of a face, as --au, --au-scale and --mute take them, and their movements.

    Left and right are the subject's. A code or name without a side moves both sides; intensities go from 0 to
    1, the strongest that a person can show.

    Examples:
        auteur units
        auteur units brow
        auteur units smile left
        auteur generate me.jpg talk.wav -o out.mp4 --au smile_left=0.6
    """
    from auteur.facs import listed_controls

    words = [word.lower() for word in arguments.words]
    every = listed_controls()
    found = [one for one in every if all(word in one.searched for word in words)]
    if not found:
        regions = ", ".join(dict.fromkeys(one.region for one in every))
        raise UsageError(
            f"no control has {' and '.join(map(repr, arguments.words))} in its line; try one of {regions}"
        )
    if arguments.json:
        print(json_text.dumps([one.to_json() for one in found]))
        return 0
    table = [("code", "name", "other names", "range", "what it moves")]
    table += [(one.code, one.name, ", ".join(one.other_names), "0 to 1", one.moves) for one in found]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0
