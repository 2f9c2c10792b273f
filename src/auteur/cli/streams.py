"""Standard streams that cannot turn a finished run into an error."""

import os
import sys
from io import TextIOWrapper
from pathlib import Path

from auteur.errors import InputError


def secure() -> None:
    """Makes standard streams usable.

    Closed ones are opened on nothing, so that no output file gets their numbers; characters that they cannot
    encode are written as escapes.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
            setattr(sys, name, nowhere)
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Writes out what was printed. A reader that is gone, such as of `auteur … | head`, is no error.

    Raises:
        InputError: The result cannot be printed, such as into a file on a full disk.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except OSError as error:
        silence()
        raise InputError(
            f"the result cannot be printed: {error.strerror}; requested files are written"
        ) from error


def silence() -> None:
    """Discards what is printed from now on, also what Python writes out when it ends."""
    stream = sys.stdout
    if isinstance(stream, TextIOWrapper):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
