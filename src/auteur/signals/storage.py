"""Our own JSON for tracks: text in, arrays out. Independent of the kind of track."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError
from auteur.files import read_bytes, write_text

Document = dict[str, Any]
"""A parsed track file: string keys, JSON values."""

FORMAT_NAME = "auteur-track"
FORMAT_VERSION = 1
MAX_TRACK_BYTES = 128 * 1024**2
"""Largest track file that is read; ten minutes of 52 channels take about 10 MB."""

_FRACTION = re.compile(r"-?\d{1,18}(/0*[1-9]\d{0,17})?", re.ASCII)


def write_track_text(
    path: Path | str,
    kind: str,
    values: NDArray[np.float32],
    attributes: Mapping[str, Any],
    *,
    overwrite: bool,
) -> None:
    """Writes a track file; see `track_text`.

    Raises:
        InputError: As `auteur.files.write_text`.
    """
    write_text(path, track_text(kind, values, attributes), overwrite=overwrite)


def track_text(kind: str, values: NDArray[np.float32], attributes: Mapping[str, Any]) -> str:
    """The JSON text of a track, one frame per line. Fractions are written "30000/1001", NaN as null.

    Numbers are the shortest decimals that give the same float32 back.
    """
    header = {"format": FORMAT_NAME, "version": FORMAT_VERSION, "kind": kind}
    header |= {
        name: str(value) if isinstance(value, Fraction) else value for name, value in attributes.items()
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in header.items()]
    frames = ",\n".join(_frame_texts(values))
    return "{\n" + ",\n".join(lines) + f',\n"values": [\n{frames}\n]\n}}\n'


def read_text(path: Path | str, *, max_bytes: int) -> str:
    """The UTF-8 text of a file that is at most `max_bytes` long.

    Raises:
        InputError: The file is missing or unreadable.
        FormatError: It is too large or not UTF-8.
    """
    content = read_bytes(path, max_bytes=max_bytes)
    if len(content) > max_bytes:
        raise FormatError(
            f"{str(path)!r} is larger than {max_bytes // 1024**2} MiB; split it into shorter parts"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{str(path)!r} is not UTF-8 text; export it again as UTF-8") from error


def parse_document(text: str, source: str) -> Document:
    """The JSON object in `text`. Repeated keys, NaN and Infinity literals are refused.

    Raises:
        FormatError: The text is not such an object.
    """
    try:
        document: object = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: not a track file: {error}") from error
    if not isinstance(document, dict):
        raise FormatError(f"{source}: not a track file: the top level must be an object")
    return cast(Document, document)


def check_document(document: Document, *, kind: str, names: Sequence[str], source: str) -> dict[str, Any]:
    """The attributes `names` of a track of `kind`, in their Python types; no key may be extra or missing.

    Raises:
        FormatError: Any of that does not hold.
    """
    _expect(document, "format", FORMAT_NAME, source)
    _expect(document, "version", FORMAT_VERSION, source)
    _expect(document, "kind", kind, source)
    wanted = {"format", "version", "kind", "values", *names}
    unknown, missing = sorted(document.keys() - wanted), sorted(wanted - document.keys())
    if unknown or missing:
        raise FormatError(
            f"{source}: unknown keys {unknown}, missing keys {missing}; a {kind} track has {sorted(wanted)}"
        )
    return {name: _attribute(name, document[name], source) for name in names}


def values_array(values: object, source: str) -> NDArray[np.float32]:
    """Nested lists of numbers and nulls as an array; null becomes NaN.

    Raises:
        FormatError: An entry is no number, a number is out of range, or the lists are ragged.
    """
    if not isinstance(values, list):
        raise FormatError(f"{source}: 'values' must be a list of frames")
    for entry in _leaves(cast(list[object], values)):
        if entry is not None and type(entry) not in (int, float):
            raise FormatError(f"{source}: 'values' holds {entry!r}; only numbers and null are allowed")
    try:
        with np.errstate(over="ignore"):  # what overflows float32 becomes infinite, which every track refuses
            return np.array(values, dtype=np.float64).astype(np.float32)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{source}: 'values' must be frames of equal length with finite numbers") from error


def _frame_texts(values: NDArray[np.float32]) -> Iterator[str]:
    for frame in values:
        digits = np.where(np.isnan(frame), "null", frame.astype(str))
        rows = digits if digits.ndim == 1 else [f"[{','.join(row)}]" for row in digits]
        yield f"[{','.join(rows)}]"


def _leaves(values: list[object]) -> Iterator[object]:
    for entry in values:
        if isinstance(entry, list):
            yield from _leaves(cast(list[object], entry))
        else:
            yield entry


def _unique_keys(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is repeated")
    return document


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed; write null for 'not measured'")


def _expect(document: Document, key: str, wanted: str | int, source: str) -> None:
    found = document.get(key)
    if type(found) is not type(wanted) or found != wanted:
        raise FormatError(f"{source}: {key!r} is {found!r}; expected {wanted!r}")


def _attribute(name: str, value: object, source: str) -> object:
    """One attribute in its Python type: exact fraction, tuple of names, pair of sizes, or text."""
    if name in ("rate", "start_sec"):
        return _fraction(name, value, source)
    if name == "channels":
        return _typed_tuple(name, value, str, source)
    if name == "image_size_px":
        return _typed_tuple(name, value, int, source)
    if not isinstance(value, str):
        raise FormatError(f"{source}: {name!r} is {value!r}; expected text")
    return value


def _fraction(name: str, value: object, source: str) -> Fraction:
    if not isinstance(value, str) or not _FRACTION.fullmatch(value):
        raise FormatError(f'{source}: {name!r} is {value!r}; expected text such as "25" or "30000/1001"')
    return Fraction(value)


def _typed_tuple(name: str, value: object, entry_type: type, source: str) -> tuple[Any, ...]:
    if isinstance(value, list) and all(type(entry) is entry_type for entry in cast(list[object], value)):
        return tuple(cast(list[Any], value))
    raise FormatError(f"{source}: {name!r} must be a list of {entry_type.__name__} values")
