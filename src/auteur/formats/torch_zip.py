"""What `torch.save` writes, read as data: a zip of one small pickle and the numbers beside it.

The pickle maps numbers to tensors. It is interpreted by `formats.inert_pickle`, which recognises the
five names that tensors need by their text and calls none of them.
"""

import struct
import zipfile
from pathlib import Path
from typing import Any, cast

from auteur.errors import FormatError, InputError
from auteur.formats.inert_pickle import PERSISTENT, Inert, Name, interpreted
from auteur.formats.stored_tensors import ITEM_BYTES, StoredTensor, TensorFile, checked_shape

LARGEST_PICKLE_BYTES = 64 * 2**20
"""Two thousand tensors take a third of a megabyte."""

_STORAGES = {
    **{"torch DoubleStorage": "F64", "torch FloatStorage": "F32", "torch HalfStorage": "F16"},
    **{"torch BFloat16Storage": "BF16", "torch LongStorage": "I64", "torch IntStorage": "I32"},
    **{"torch ShortStorage": "I16", "torch CharStorage": "I8", "torch ByteStorage": "U8"},
    "torch BoolStorage": "BOOL",
}
_TENSOR, _PARAMETER = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
_NAMES = frozenset({*_STORAGES, _TENSOR, _PARAMETER, "collections OrderedDict"})
_WRAPPERS = ("state_dict", "model_state_dict", "module")
"""Keys under which trainers store the state dict."""
_LOCAL_HEADER = 30
"""Bytes of a zip entry's own header before its name."""


def read_torch_zip(source: Path, size: int) -> TensorFile:
    """Returns the tensors of a file that `torch.save` wrote.

    Raises:
        InputError: The file cannot be read, or its pickle names what tensors do not need.
        FormatError: It is damaged, truncated, or no state dict.
    """
    shown = repr(str(source))
    try:
        with zipfile.ZipFile(source) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
            if len(pickles) != 1:
                raise FormatError(f"{shown} is a zip, but not of torch: it holds {len(pickles)} data.pkl")
            root = pickles[0].removesuffix("data.pkl")
            if entries[pickles[0]].file_size > LARGEST_PICKLE_BYTES:
                raise FormatError(f"{shown} has a pickle of more than {LARGEST_PICKLE_BYTES} bytes")
            content = archive.read(pickles[0])
            order = entries.get(f"{root}byteorder")
            if order is not None and order.file_size < 16 and archive.read(order) == b"big":
                raise FormatError(f"{shown} was written on a big-endian machine, which is not read")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise FormatError(f"{shown} is damaged or truncated: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror or error}") from error
    state = _state_dict(interpreted(content, names=_NAMES, source=shown), shown)
    places: dict[str, tuple[int, int]] = {}
    tensors: dict[str, StoredTensor] = {}
    for name, value in state.items():
        key, made = _described(value, f"{shown}: {name!r}")
        if key not in places:
            entry = entries.get(f"{root}data/{key}")
            if entry is None:
                raise FormatError(f"{shown} lacks the numbers of {name!r}; it is truncated or damaged")
            places[key] = _place(source, entry, size)
        begin, length = places[key]
        if made.offset + made.span > length:
            raise FormatError(f"{shown}: {name!r} lies outside the numbers that the file holds")
        tensors[name] = StoredTensor(made.dtype, made.shape, begin + made.offset, made.strides)
    return TensorFile(source, tensors, {})


def _state_dict(value: Any, shown: str) -> dict[str, Any]:
    """The names and tensors of a pickle; other entries, such as a step's number, are left out."""
    if not isinstance(value, dict):
        raise FormatError(f"{shown} holds no state dict of tensors")
    found = cast(dict[Any, Any], value)
    for key in _WRAPPERS:
        if isinstance(found.get(key), dict):
            return _state_dict(found[key], shown)
    state = {
        str(name): one.arguments[0] if one.kind == _PARAMETER and one.arguments else one
        for name, one in found.items()
        if isinstance(one, Inert)
    }
    if not state:
        raise FormatError(f"{shown} holds no state dict of tensors")
    return state


def _described(value: Any, where: str) -> tuple[str, StoredTensor]:
    """The key of a tensor's storage, and its place within."""
    try:
        if not isinstance(value, Inert) or value.kind != _TENSOR:
            raise ValueError("it is no tensor")
        storage, start, shape, strides = value.arguments[:4]
        if not isinstance(storage, Inert) or storage.kind != PERSISTENT:
            raise ValueError("it has no storage")
        tag, kind, key, _, _ = storage.arguments[0]
        if tag != "storage" or not isinstance(kind, Name) or kind.text not in _STORAGES:
            raise ValueError("its storage is of an unknown kind")
        dtype = _STORAGES[kind.text]
        sizes, steps = checked_shape(shape), checked_shape(strides)
        if len(sizes) != len(steps) or checked_shape((start,)) != (start,):
            raise ValueError("shape and strides differ in length")
    except (ValueError, TypeError, IndexError) as error:
        raise FormatError(f"{where} cannot be read: {error}") from error
    ordered, step = True, 1
    for extent, stride in zip(reversed(sizes), reversed(steps), strict=True):
        ordered = ordered and (extent == 1 or stride == step)
        step *= extent
    made = StoredTensor(dtype, sizes, start * ITEM_BYTES[dtype], None if ordered else steps)
    return str(key), made


def _place(source: Path, entry: zipfile.ZipInfo, size: int) -> tuple[int, int]:
    """The first byte of a stored entry in the file, and the number of its bytes."""
    shown = repr(str(source))
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise FormatError(f"{shown} keeps {entry.filename!r} compressed or encrypted, as torch never does")
    try:
        with source.open("rb") as file:
            file.seek(entry.header_offset)
            header = file.read(_LOCAL_HEADER)
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror}") from error
    if len(header) != _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise FormatError(f"{shown} is damaged: {entry.filename!r} has no header")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    begin = entry.header_offset + _LOCAL_HEADER + name_length + extra_length
    if begin + entry.file_size > size:
        raise FormatError(f"{shown} ends before {entry.filename!r} does; it is truncated")
    return begin, entry.file_size
