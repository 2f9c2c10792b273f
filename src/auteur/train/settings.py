"""Settings of a recipe as text: `key=value` pairs, typed by the recipe's dataclass."""

import ast
import dataclasses
import difflib
import inspect
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from auteur.errors import UsageError

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Setting:
    """One thing that can be set."""

    name: str
    """With dots, such as "schedule.steps"."""
    kind: Any
    """Its type."""
    default: Any
    """`dataclasses.MISSING` where it must be given."""
    explanation: str

    @property
    def is_required(self) -> bool:
        """Whether there is no default."""
        return self.default is dataclasses.MISSING

    def read(self, text: str) -> Any:
        """Returns the value that a text stands for.

        Raises:
            UsageError: It stands for none.
        """
        try:
            return _read(self.kind, text)
        except ValueError as error:
            raise UsageError(f"{self.name} is {text!r}; it must be {words_of(self.kind)}") from error


def settings(kind: type, prefix: str = "", default: Any = None) -> Iterator[Setting]:
    """Yields what can be set of a dataclass, dataclasses in it included.

    Args:
        kind: The dataclass.
        prefix: Before each name.
        default: An instance whose values are the defaults; the dataclass's own unless given.
    """
    hints, explained = get_type_hints(kind), explanations(kind)
    for field in dataclasses.fields(kind):
        own, name = hints[field.name], f"{prefix}{field.name}"
        value = _default(field) if default is None else getattr(default, field.name)
        if dataclasses.is_dataclass(own) and isinstance(own, type):
            inner = None if value is dataclasses.MISSING else value
            yield from settings(own, f"{name}.", inner)
        elif _is_readable(own):
            yield Setting(name, own, value, explained.get(field.name, ""))


def built(kind: type, pairs: Sequence[str], given: Mapping[str, Any] | None = None) -> Any:
    """Returns the dataclass with `pairs` of "key=value" set.

    Args:
        kind: The dataclass.
        pairs: Such as "schedule.steps=100".
        given: Further values by name; pairs go before them.

    Raises:
        UsageError: A name is unknown (the nearest is suggested), a value of the wrong type, or something that
            must be given is not.
    """
    known = {one.name: one for one in settings(kind)}
    values = dict(given or {})
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair!r} is not NAME=VALUE, such as schedule.steps=100")
        if name not in known:
            raise UsageError(f"there is no setting {name!r}{_nearest(name, known)}")
        values[name] = known[name].read(text)
    missing = [one for one in known.values() if one.is_required and one.name not in values]
    if missing:
        wanted = " ".join(f"--set {one.name}={example_of(one.kind)}" for one in missing)
        raise UsageError(f"this recipe must be told more: {wanted}; with --help it says what these are")
    return _built(kind, values, "")


def _built(kind: type, values: Mapping[str, Any], prefix: str) -> Any:
    arguments: dict[str, Any] = {}
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        name, own = f"{prefix}{field.name}", hints[field.name]
        if name in values:
            arguments[field.name] = values[name]
        elif dataclasses.is_dataclass(own) and isinstance(own, type):
            changes = {key: value for key, value in values.items() if key.startswith(f"{name}.")}
            default = _default(field)
            if default is dataclasses.MISSING:
                arguments[field.name] = _built(own, changes, f"{name}.")
            elif changes:
                arguments[field.name] = _changed(default, changes, f"{name}.")
    return kind(**arguments)


def _changed(instance: Any, values: Mapping[str, Any], prefix: str) -> Any:
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(instance):
        name, own = f"{prefix}{field.name}", getattr(instance, field.name)
        inner = {key: value for key, value in values.items() if key.startswith(f"{name}.")}
        if name in values:
            changes[field.name] = values[name]
        elif inner:
            changes[field.name] = _changed(own, inner, f"{name}.")
    return dataclasses.replace(instance, **changes)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING


def _nearest(name: str, known: Mapping[str, Setting]) -> str:
    same_end = [one for one in known if one.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    near = same_end or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    near = near or [one for one in known if difflib.get_close_matches(name, [one.rsplit(".", 1)[-1]])]
    return f"; did you mean {near[0]!r}?" if near else "; --help lists the settings"


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)


def _is_readable(kind: Any) -> bool:
    if kind in _WORDS or get_origin(kind) is Literal:
        return True
    if isinstance(kind, type) and issubclass(kind, Enum):
        return True
    if _is_optional(kind):
        return all(_is_readable(one) for one in get_args(kind) if one is not type(None))
    return get_origin(kind) is tuple and all(_is_readable(one) for one in get_args(kind) if one is not ...)


def _read(kind: Any, text: str) -> Any:
    """Returns the value of a text; ValueError if there is none."""
    if _is_optional(kind):
        if text.lower() == "none":
            return None
        return _read(next(one for one in get_args(kind) if one is not type(None)), text)
    if get_origin(kind) is Literal:
        found = [one for one in get_args(kind) if str(one) == text]
        if not found:
            raise ValueError(text)
        return found[0]
    if get_origin(kind) is tuple:
        inner, parts = get_args(kind), [part for part in text.strip("()[]").split(",") if part.strip()]
        kinds = [inner[0]] * len(parts) if inner[-1] is ... else list(inner)
        return tuple(_read(one, part.strip()) for one, part in zip(kinds, parts, strict=True))
    if kind is bool:
        if text.lower() not in _TRUTH:
            raise ValueError(text)
        return _TRUTH[text.lower()]
    if isinstance(kind, type) and issubclass(kind, Enum):
        names = {str(one.value).lower(): one for one in kind} | {one.name.lower(): one for one in kind}
        if text.lower() not in names:
            raise ValueError(text)
        return names[text.lower()]
    if kind is float:
        return float(text)
    return kind(text)


def words_of(kind: Any) -> str:
    """Returns what a value of a type looks like, in words."""
    if _is_optional(kind):
        inner = next(one for one in get_args(kind) if one is not type(None))
        return f"{words_of(inner)}, or none"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(str(one) or '(nothing)' for one in get_args(kind))}"
    if get_origin(kind) is tuple:
        return f"{words_of(get_args(kind)[0])} or several with commas between"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(str(one.value) for one in kind)}"
    return _WORDS[kind]


def example_of(kind: Any) -> str:
    """Returns a placeholder for a value."""
    return "PATH" if kind is Path else "VALUE"


def text_of(value: Any) -> str:
    """Returns a value as `key=value` takes it."""
    if isinstance(value, tuple):
        return ",".join(text_of(one) for one in value)
    if isinstance(value, Enum):
        return str(value.value)
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def explanations(kind: type) -> dict[str, str]:
    """Returns the text under each field of a dataclass, as its source has it."""
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):
        return {}
    (body,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    found: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if is_field and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[field.target.id] = " ".join(str(after.value.value).split())  # pyright: ignore[reportAttributeAccessIssue]
    return found
