"""Declaration of options, and parsing of their text."""

import ast
import inspect
import itertools
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, dataclass_transform

import tyro

from auteur.errors import InputError, UsageError

Flag = tyro.conf.FlagCreatePairsOff[bool]

Pairs = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")]
"""Words for `parse_pairs`."""

Rate = Annotated[str, tyro.conf.arg(metavar="RATE")]
"""A word for `parse_rate`."""

_UNSAID = ("None", "False", "True", "")
"""Defaults that help leaves out: an absent option, a switch, an empty list."""

_Class = TypeVar("_Class", bound=type)


def _hint(default: str) -> str:
    return "" if default in _UNSAID else f"(default: {default})"


@dataclass_transform(frozen_default=True)
def options(cls: _Class) -> _Class:
    """Makes a frozen dataclass of options whose help leaves out the defaults in `_UNSAID`.

    Every field is an option; its docstring is the help. A field whose default is another such class is a
    group of options with a box of its own in help, titled by the field's name.
    """
    help_of = _docstrings(cls)
    cls.__annotations__ = {
        name: Annotated[hint, tyro.conf.arg(help_behavior_hint=_hint, help=help_of.get(name))]
        for name, hint in cls.__annotations__.items()
    }
    return dataclass(frozen=True)(cls)


def _docstrings(cls: type) -> dict[str, str]:
    """Returns the docstring of every field on one line; as tyro reads it, it breaks where the code does."""
    module = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    body = module.body[0].body if isinstance(module.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            found[ast.unparse(field.target)] = " ".join(ast.literal_eval(text.value).split())
    return found


class _Offered(tuple[str, ...]):
    """Values that completion offers. Other values pass and are checked where they are used."""

    __slots__ = ()

    def __contains__(self, value: object) -> bool:
        return True


def choice(*names: str, other: str = "") -> Any:
    """Returns the annotation of a text option with known values, which help and shell completion show.

    Other words pass: synonyms of emotions are accepted, and what is unknown is refused in one line that names
    the nearest value.

    Args:
        names: The values.
        other: Placeholder of further values, such as "FILE".
    """
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join(filter(None, ("{" + ",".join(names) + "}", other))),
        instance_from_str=lambda words: words[0],
        is_instance=lambda value: value is None or isinstance(value, str),
        str_from_instance=lambda value: [str(value)],
        choices=_Offered(names),
    )


def check_readable(*paths: Path | None, may_be_folder: bool = False) -> None:
    """Checks input files before a library is loaded to read them.

    Raises:
        InputError: One is missing, is a folder where none is expected, may not be read or is empty.
    """
    for path in paths:
        if path is None:
            continue
        try:
            if path.is_dir() and may_be_folder:
                continue
            if path.is_dir():
                raise InputError(f"cannot read {str(path)!r}: it is a folder; name a file in it")
            with path.open("rb") as file:
                if path.is_file() and not file.read(1):
                    raise InputError(f"{str(path)!r} is empty; name a file with content")
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            if isinstance(error, InputError):
                raise
            cause = getattr(error, "strerror", None) or error
            raise InputError(f"cannot read {str(path)!r}: {cause}; name a file on this computer") from error


def parse_pairs(pairs: tuple[str, ...], option: str) -> dict[str, float]:
    """Returns {"AU12": 0.6} for ("AU12=0.6",).

    Raises:
        UsageError: A pair has no "=" or no number behind it.
    """
    values: dict[str, float] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            values[name] = float(text)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise UsageError(
                f"{option} {pair!r} is not NAME=VALUE, such as AU12=0.6 or smile=0.6; "
                "`auteur units` lists the names"
            )
    return values
