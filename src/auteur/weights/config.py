"""Configs in weights files: untrusted JSON into frozen dataclasses, by the types of their fields."""

import dataclasses
import json
import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from auteur.errors import UsageError

Config = TypeVar("Config")

LARGEST_WHOLE = 65_536
LARGEST_NUMBER = 1e6
MOST_ENTRIES = 64
LONGEST_TEXT = 200
LEAST = "least"
"""Key of a field's metadata: its smallest whole number. Unless given, 0 if that is its default, else 1."""


def config_of(kind: type[Config], text: str) -> Config:
    """Returns the config that a JSON text holds.

    Args:
        kind: A dataclass, whose fields may be whole numbers up to 65,536, numbers up to a million, truth
            values, text, literals, tuples of up to 64 of these, other such dataclasses, or None where they
            allow it.
        text: What `json.dumps(dataclasses.asdict(config))` wrote.

    Raises:
        UsageError: It is no JSON, or a value is unknown, missing, of another type or outside its range.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is no JSON: {error}") from error
    return _dataclass(kind, values, "")


def _dataclass(kind: type[Any], values: Any, path: str) -> Any:
    if not isinstance(values, Mapping):
        raise UsageError(f"{path.rstrip('.') or 'the config'} must be a table, not {type(values).__name__}")
    fields = {one.name: one for one in dataclasses.fields(kind)}
    if unknown := sorted(values.keys() - fields.keys()):
        raise UsageError(f"unknown setting {', '.join(repr(path + name)[:80] for name in unknown[:5])}")
    hints = get_type_hints(kind)
    given = {name: _value(hints[name], value, path + name, fields[name]) for name, value in values.items()}
    try:
        return kind(**given)
    except TypeError as error:  # one without a default is missing
        raise UsageError(f"{path.rstrip('.') or 'the config'}: {error}") from error


def _value(hint: Any, value: Any, path: str, field: "dataclasses.Field[Any]") -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        options = get_args(hint)
        if value is None and NoneType in options:
            return None
        (hint,) = (one for one in options if one is not NoneType)
        return _value(hint, value, path, field)
    if origin is tuple:
        if not isinstance(value, list) or len(value) > MOST_ENTRIES:
            raise _wrong(path, value, f"a list of at most {MOST_ENTRIES} values")
        return tuple(_value(get_args(hint)[0], one, f"{path}[{i}]", field) for i, one in enumerate(value))
    if origin is Literal:
        if value not in get_args(hint):
            raise _wrong(path, value, f"one of {', '.join(map(str, get_args(hint)))}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, value, f"{path}.")
    return _plain(hint, value, path, field)


def _plain(hint: Any, value: Any, path: str, field: "dataclasses.Field[Any]") -> Any:
    if hint is bool and isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str) and len(value) <= LONGEST_TEXT:
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        least = field.metadata.get(LEAST, 0 if field.default == 0 else 1)
        if least <= value <= LARGEST_WHOLE:
            return value
        raise _wrong(path, value, f"a whole number from {least} to {LARGEST_WHOLE}")
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) <= LARGEST_NUMBER and math.isfinite(value):
            return value
        raise _wrong(path, value, f"a number up to {LARGEST_NUMBER:g}")
    wanted = {bool: "true or false", str: f"text of at most {LONGEST_TEXT} characters", int: "a whole number"}
    raise _wrong(path, value, wanted.get(hint, "a number"))


def _wrong(path: str, value: Any, wanted: str) -> UsageError:
    return UsageError(f"{path} is {json.dumps(value)[:40]}; it must be {wanted}")
