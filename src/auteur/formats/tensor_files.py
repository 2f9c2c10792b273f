"""Checkpoints read and written tensor by tensor, as data: torch's zip layout and safetensors.

A checkpoint of several gigabytes is never held in memory: names, shapes and places of the numbers come first,
and one tensor at a time is read after that. Nothing of a file is executed; torch itself is not needed.
"""

import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auteur.errors import FormatError, InputError
from auteur.formats.stored_tensors import ITEM_BYTES, Raw, StoredTensor, TensorFile, checked_shape
from auteur.formats.torch_zip import read_torch_zip

LARGEST_HEADER_BYTES = 100_000_000
"""What safetensors itself allows."""
_ALIGNMENT = 8


def open_tensors(path: Path | str) -> TensorFile:
    """Returns the tensors of a checkpoint of torch (a zip) or of a safetensors file; the first bytes decide.

    Raises:
        InputError: The file is missing, or its pickle names something that tensors do not need; nothing of it
            was executed.
        FormatError: It is neither, or damaged.
    """
    source = Path(path)
    try:
        size = source.stat().st_size
        with source.open("rb") as file:
            first = file.read(8)
    except OSError as error:
        raise InputError(f"cannot read {str(source)!r}: {error.strerror}") from error
    if first.startswith(b"PK"):
        return read_torch_zip(source, size)
    if first.startswith(b"\x80"):
        raise FormatError(
            f"{str(source)!r} is a bare pickle, perhaps of torch before 1.6; only torch's zip layout and "
            "safetensors are read"
        )
    return _read_safetensors(source, size, first)


def _read_safetensors(source: Path, size: int, first: bytes) -> TensorFile:
    length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
    if not 2 <= length <= min(LARGEST_HEADER_BYTES, size - 8):
        raise FormatError(f"{str(source)!r} is neither a checkpoint of torch nor a safetensors file")
    try:
        with source.open("rb") as file:
            file.seek(8)
            header: Any = json.loads(file.read(length))
        metadata: dict[str, str] = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
        tensors = {str(name): _of_header(entry, 8 + length) for name, entry in header.items()}
    except OSError as error:
        raise InputError(f"cannot read {str(source)!r}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{str(source)!r} has a damaged safetensors header: {error}") from error
    for name, stored in tensors.items():
        if stored.offset + stored.byte_count > size:
            raise FormatError(f"{str(source)!r} ends before its tensor {name!r} does")
    return TensorFile(source, tensors, metadata)


def _of_header(entry: Any, start: int) -> StoredTensor:
    dtype, shape, (begin, end) = str(entry["dtype"]), checked_shape(entry["shape"]), entry["data_offsets"]
    if dtype not in ITEM_BYTES:
        raise ValueError(f"type {dtype} is not read; {', '.join(ITEM_BYTES)} are")
    stored = StoredTensor(dtype, shape, start + int(begin))
    if int(begin) < 0 or int(end) - int(begin) != stored.byte_count:
        raise ValueError(f"a tensor of shape {shape} in {dtype} has {stored.byte_count} bytes")
    return stored


@dataclass(frozen=True)
class NewTensor:
    """A tensor to be written: its numbers are made when their turn has come."""

    dtype: str
    shape: tuple[int, ...]
    raw: Callable[[], Raw]


def write_safetensors(
    path: Path, tensors: Mapping[str, NewTensor], metadata: Mapping[str, str], *, each: Iterable[None] = ()
) -> None:
    """Writes a safetensors file with one tensor in memory at a time.

    Args:
        path: A temporary name; see `auteur.files.atomic_path`.
        tensors: Tensors by name.
        metadata: Texts beside it.
        each: Advanced once per tensor, for progress.

    Raises:
        ValueError: A tensor has another number of bytes than its shape.
        OSError: The disk is full.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begin = 0
    # Larger numbers first, as safetensors does: every tensor then starts at a multiple of its number's size.
    order = sorted(tensors, key=lambda name: (-ITEM_BYTES[tensors[name].dtype], name))
    for name in order:
        one = tensors[name]
        end = begin + math.prod(one.shape) * ITEM_BYTES[one.dtype]
        header[name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    ticks = iter(each)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            raw = tensors[name].raw()
            begin, end = header[name]["data_offsets"]
            if raw.nbytes != end - begin:
                raise ValueError(f"{name} has {raw.nbytes} bytes, not {end - begin}")
            file.write(raw.data)
            next(ticks, None)
