"""Files of every verb: names that can exist, and outputs apart from inputs and from each other."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from auteur.errors import UsageError
from auteur.files import check_name

OUTPUTS = ("out", "target", "cues", "plot", "sheet", "save_tracks", "srt")
"""Arguments that name what is written; every other path is read."""


def check_arguments(arguments: Any) -> None:
    """Checks the paths in the options of a verb and in its groups of options.

    Raises:
        InputError: A name is too long or not UTF-8.
        UsageError: An output is an input or another output, or its record would be.
    """
    check_paths(dict(_flat(arguments)))


def check_paths(values: Mapping[str, Any]) -> None:
    """Checks the paths among arguments by name.

    Raises:
        InputError: A name is too long or not UTF-8.
        UsageError: An output is an input or another output, or its record would be.
    """
    paths = [(name, path) for name, value in values.items() for path in _paths(value)]
    for _, path in paths:
        check_name(path)
    taken = {_place(path): f"the input {str(path)!r}" for name, path in paths if name not in OUTPUTS}
    for name, path in paths:
        if name not in OUTPUTS or path.is_dir():
            continue
        # The second is the record beside a picture or video.
        files = (path, path.with_name(f"{path.name}.json"))
        for file in files:
            if (other := taken.get(_place(file))) is not None:
                raise UsageError(f"the output {str(file)!r} is also {other}; choose another name")
        taken |= dict.fromkeys(map(_place, files), f"the output {str(path)!r}")


def _flat(arguments: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(arguments).items():
        if dataclasses.is_dataclass(value):
            yield from _flat(value)
        else:
            yield name, value


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _paths(one)


def _place(path: Path) -> str:
    return os.path.realpath(path)
