"""Tar archives whose bytes depend on nothing but their members, and arrays in them that are read by rows.

That is the one reason for `tarfile` and not webdataset's TarWriter, which stamps the time of writing and
pickles values of unknown types.
"""

import io
import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from auteur.errors import FormatError
from auteur.signals import Waveform

LONGEST_NAME = 100
"""Of a member: what a USTAR header holds."""

ARRAY_SUFFIXES = ("npy", "frames")
"""Of members that hold arrays: NumPy's format, and pictures of which each is compressed on its own."""

Member = tuple[str, bytes]
"""Name in the archive and content."""

_COMPRESSION = 1


def write_tar(file: IO[bytes], members: Iterable[Member]) -> None:
    """Writes a USTAR archive: same members, same bytes."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for member in members:
            add_member(archive, member)


def add_member(archive: tarfile.TarFile, member: Member) -> None:
    """Adds a member to an archive that is being written."""
    name, content = member
    header = tarfile.TarInfo(name)  # time, owner and group are 0 in a new one
    header.size, header.mode = len(content), 0o644
    archive.addfile(header, io.BytesIO(content))


def read_tar(path: Path) -> Iterator[Member]:
    """Yields the members of an archive in their order.

    Raises:
        FormatError: It cannot be read to its end.
    """
    try:
        with tarfile.open(path, mode="r:") as archive:
            for header in archive:
                content = archive.extractfile(header)
                if content is not None:
                    yield header.name, content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FormatError(f"{str(path)!r} is no whole archive ({error}); make it again") from error


@dataclass(frozen=True)
class StoredMember:
    """The place of a member of an archive, from which it is read without the others."""

    path: Path
    name: str
    offset: int
    """Of its first byte."""
    size: int

    def content(self) -> bytes:
        """Returns its bytes."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def shape(self) -> tuple[int, ...]:
        """Returns the shape of the array that it holds."""
        return self._lengths()[0] if self.name.endswith(".frames") else self._mapped().shape

    def rows(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Returns rows of the array that it holds; reads little more than them."""
        if not self.name.endswith(".frames"):
            return np.array(self._mapped()[rows])
        shape, lengths, start = self._lengths()
        chosen = range(shape[0])[rows]
        ends = np.cumsum([start, *lengths])
        with self.path.open("rb") as file:
            file.seek(self.offset + int(ends[chosen.start]) if len(chosen) else self.offset)
            parts = [zlib.decompress(file.read(lengths[number])) for number in chosen]
        return np.frombuffer(b"".join(parts), np.uint8).reshape(len(chosen), *shape[1:]).copy()

    def _mapped(self) -> NDArray[Any]:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
        if not shape or 0 in shape:
            return from_npy(self.content())
        return np.memmap(self.path, dtype, "r", offset=start, shape=shape)

    def _lengths(self) -> tuple[tuple[int, ...], list[int], int]:
        """Shape, bytes of each compressed row, and where the first one begins."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            head = file.readline()
        about = json.loads(head)
        return tuple(about["shape"]), about["bytes"], len(head)


def stored_members(path: Path) -> list[StoredMember]:
    """Returns the places of all members of an archive; reads their headers only.

    Raises:
        FormatError: It cannot be read to its end.
    """
    try:
        with tarfile.open(path, mode="r:") as archive:
            return [StoredMember(path, one.name, one.offset_data, one.size) for one in archive]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FormatError(f"{str(path)!r} is no whole archive ({error}); make it again") from error


def npy(values: NDArray[Any]) -> bytes:
    """Returns an array as .npy in float32 (integers stay what they are)."""
    plain = np.asarray(values)
    return _saved(plain.astype(np.float32) if plain.dtype.kind == "f" else plain)


def array_member(name: str, values: NDArray[Any]) -> Member:
    """Returns an array as a member; videos of bytes [T, C, H, W] are compressed picture by picture."""
    plain = np.ascontiguousarray(values)
    if plain.dtype != np.uint8 or plain.ndim != 4:
        return f"{name}.npy", _saved(plain)
    rows = [zlib.compress(row.tobytes(), _COMPRESSION) for row in plain]
    head = json.dumps({"shape": plain.shape, "bytes": [len(row) for row in rows]})
    return f"{name}.frames", head.encode() + b"\n" + b"".join(rows)


def from_npy(data: bytes) -> NDArray[Any]:
    """Returns the array that `npy` wrote."""
    return np.load(io.BytesIO(data), allow_pickle=False)


def from_member(name: str, data: bytes) -> NDArray[Any]:
    """Returns the array that `array_member` or `npy` wrote."""
    if name.endswith(".npy"):
        return from_npy(data)
    head, _, body = data.partition(b"\n")
    about = json.loads(head)
    ends = np.cumsum([0, *about["bytes"]])
    rows = [zlib.decompress(body[a:b]) for a, b in pairwise(ends)]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(about["shape"]).copy()


def flac(waveform: Waveform) -> bytes:
    """Returns sound as 16-bit FLAC."""
    out = io.BytesIO()
    samples = np.clip(waveform.samples, -1, 1)
    soundfile.write(out, samples, waveform.rate_hz, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def from_flac(data: bytes) -> Waveform:
    """Returns the sound that `flac` wrote."""
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    return Waveform(samples=np.asarray(samples, dtype=np.float32), rate_hz=rate_hz)


def json_line(values: Mapping[str, Any]) -> bytes:
    """Returns plain values as one line of JSON with sorted keys."""
    return (json.dumps(values, ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n").encode()


def _saved(values: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    return out.getvalue()
