"""Tensors in files: where their numbers lie, and how they are read one at a time."""

import math
from collections.abc import Mapping
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

MOST_AXES = 8

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


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Returns a shape, or a tuple of strides, as whole numbers that are not negative.

    Raises:
        ValueError: It is none.
    """
    sizes = tuple(shape)
    if len(sizes) > MOST_AXES or not all(type(size) is int and 0 <= size < 2**48 for size in sizes):
        raise ValueError(f"a shape is {sizes}")
    return sizes
