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

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, InputError

ITEM_BYTES = {
    **{"F64": 8, "F32": 4, "F16": 2, "BF16": 2},
    **{"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1},
}
"""Bytes per number by the name that safetensors gives a type."""
FLOATS = ("F64", "F32", "F16", "BF16")

LARGEST_HEADER_BYTES = 100_000_000
"""What safetensors itself allows."""
MOST_AXES = 8
_ALIGNMENT = 8

Raw = NDArray[np.uint8]


@dataclass(frozen=True)
class StoredTensor:
    """Location of the numbers of a tensor in a file."""

    dtype: str
    """One of `ITEM_BYTES`."""
    shape: tuple[int, ...]
    offset: int
    """Of its first byte."""
    strides: tuple[int, ...] | None = None
    """Numbers from an element to the next along each axis; None: the order of C."""

    @property
    def count(self) -> int:
        """Its numbers."""
        return math.prod(self.shape)

    @property
    def byte_count(self) -> int:
        """Its bytes."""
        return self.count * ITEM_BYTES[self.dtype]

    @property
    def span(self) -> int:
        """Bytes from its first number to behind its last."""
        if self.strides is None or not self.count:
            return self.byte_count
        reach = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return (reach + 1) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class TensorFile:
    """A file of tensors, opened: names and shapes are read, no tensor is in memory."""

    path: Path
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]

    def raw(self, name: str) -> Raw:
        """Returns the bytes of a tensor, little-endian, in the order of C.

        Raises:
            InputError: The file cannot be read any more.
            FormatError: It ends before the tensor does.
        """
        stored = self.tensors[name]
        try:
            with self.path.open("rb") as file:
                file.seek(stored.offset)
                content = file.read(stored.span)
        except OSError as error:
            raise InputError(f"cannot read {str(self.path)!r}: {error.strerror}") from error
        if len(content) != stored.span:
            raise FormatError(f"{str(self.path)!r} ends before its tensor {name!r} does")
        flat = np.frombuffer(content, np.uint8)
        if stored.strides is None or not stored.count:
            return flat
        size = ITEM_BYTES[stored.dtype]
        steps = (*(stride * size for stride in stored.strides), 1)
        return np.lib.stride_tricks.as_strided(flat, (*stored.shape, size), steps).reshape(-1).copy()

    def is_finite(self, name: str, raw: Raw) -> bool:
        """Whether the bytes of a tensor hold neither NaN nor infinity."""
        dtype = self.tensors[name].dtype
        if dtype not in FLOATS:
            return True
        if dtype == "BF16":  # an exponent of ones, as in float32, of which it is the upper half
            return not bool(((raw.view("<u2") & 0x7F80) == 0x7F80).any())
        return bool(np.isfinite(raw.view({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])).all())


def open_tensors(path: Path | str) -> TensorFile:
    """Returns the tensors of a checkpoint of torch (a zip) or of a safetensors file; the first bytes decide.

    Raises:
        InputError: The file is missing, or its pickle names something that tensors do not need; nothing of it
            was executed.
        FormatError: It is neither, or damaged.
    """
    # Here, since that module needs `StoredTensor`.
    from auteur.formats.torch_zip import read_torch_zip

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


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Returns a shape, or a tuple of strides, as whole numbers that are not negative.

    Raises:
        ValueError: It is none.
    """
    sizes = tuple(shape)
    if len(sizes) > MOST_AXES or not all(type(size) is int and 0 <= size < 2**48 for size in sizes):
        raise ValueError(f"a shape is {sizes}")
    return sizes


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
