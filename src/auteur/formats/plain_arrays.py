"""NumPy's .npy and .npz files as plain arrays, within limits: the reader of files from strangers.

`numpy.load` raises any error of its zip reader, trusts the sizes in headers, and unpacks without limit.
"""

import math
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from auteur.errors import FormatError
from auteur.files import open_input

MOST_FILE_BYTES = 256 * 2**20
MOST_BYTES = 512 * 2**20
"""Of all arrays of a file together, unpacked."""
MOST_ARRAYS = 1000
MOST_NUMBERS = 32_000_000
"""Of one array that is used."""

Arrays = dict[str, np.ndarray[Any, Any]]

_READ_HEADER: Mapping[tuple[int, int], Any] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


def read_npz(path: Path | str) -> Arrays:
    """Returns the arrays of an .npz by name.

    Raises:
        InputError: The file is missing, or not a regular file.
        FormatError: It is damaged, too large, or holds Python objects.
    """
    name = repr(str(path))
    with open_input(path) as file:
        _check_size(file, name)
        try:
            return _members(file)
        except FormatError as error:
            raise FormatError(f"{name}: {error}") from error
        except Exception as error:  # zipfile, zlib, tokenize and NumPy have many
            raise FormatError(f"{name} is no .npz of plain arrays: {error}") from error


def read_npy(path: Path | str) -> np.ndarray[Any, Any]:
    """Returns the array of an .npy.

    Raises:
        InputError: The file is missing, or not a regular file.
        FormatError: It is damaged, too large, or holds Python objects.
    """
    name = repr(str(path))
    with open_input(path) as file:
        size = _check_size(file, name)
        try:
            return _array(file, size)
        except FormatError as error:
            raise FormatError(f"{name}: {error}") from error
        except Exception as error:  # zipfile, zlib, tokenize and NumPy have many
            raise FormatError(f"{name} is no plain array: {error}") from error


def numbers(value: Any, name: str, *, axes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Returns a value out of a file as finite float64 numbers.

    Args:
        value: Anything.
        name: Of the array in errors.
        axes: How many it may have.

    Raises:
        FormatError: It is no such array.
    """
    try:
        array = np.asarray(value)
    except Exception as error:  # zipfile, zlib, tokenize and NumPy have many
        raise FormatError(f"{name} is no array: {error}") from error
    if array.dtype.kind not in "fiu":
        raise FormatError(f"{name} holds {str(array.dtype)[:40]}, not numbers")
    if array.ndim not in axes or not 0 < array.size <= MOST_NUMBERS:
        wanted = " or ".join(map(str, axes))
        raise FormatError(
            f"{name} is {list(array.shape)}; it needs {wanted} axes and 1 to {MOST_NUMBERS} numbers"
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise FormatError(f"{name} holds NaN or infinity")
    return array


def _members(file: BinaryIO) -> Arrays:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ARRAYS:
            raise FormatError(f"it holds {len(entries)} arrays; at most {MOST_ARRAYS} are read")
        left, found = MOST_BYTES, Arrays()
        for entry in entries:
            with archive.open(entry) as member:
                content = member.read(left + 1)
            left -= len(content)
            if left < 0:
                raise FormatError(f"it unpacks to over {MOST_BYTES // 2**20} MiB")
            found[entry.filename.removesuffix(".npy")] = _array(BytesIO(content), len(content))
        return found


def _array(file: Any, size: int) -> np.ndarray[Any, Any]:
    shape, is_fortran, dtype = _READ_HEADER[npy.read_magic(file)](file)
    if dtype.kind not in "fiubSU" or dtype.itemsize == 0:
        raise FormatError(f"it holds {str(dtype)[:40]}; only plain arrays are read")
    count = math.prod(shape)
    if not 0 <= count * dtype.itemsize <= size or any(side < 0 for side in shape):
        raise FormatError(f"its header states {str(list(shape))[:60]}, which is not what the file holds")
    flat = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _check_size(file: BinaryIO, name: str) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    if size > MOST_FILE_BYTES:
        raise FormatError(f"{name} has {size} bytes; at most {MOST_FILE_BYTES} are read")
    return size
