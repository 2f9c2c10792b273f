"""Tar archives whose bytes depend on nothing but their members.

That is the one reason for `tarfile` and not webdataset's TarWriter, which stamps the time of writing and
pickles values of unknown types.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from auteur.errors import FormatError
from auteur.signals import Waveform

LONGEST_NAME = 100
"""Of a member: what a USTAR header holds."""

Member = tuple[str, bytes]
"""Name in the archive and content."""


def write_tar(file: IO[bytes], members: Iterable[Member]) -> None:
    """Writes a USTAR archive: same members, same bytes."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
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


def npy(values: NDArray[Any]) -> bytes:
    """Returns an array as .npy in float32 (integers stay what they are)."""
    out = io.BytesIO()
    plain = np.asarray(values)
    np.save(out, plain.astype(np.float32) if plain.dtype.kind == "f" else plain, allow_pickle=False)
    return out.getvalue()


def from_npy(data: bytes) -> NDArray[Any]:
    """Returns the array that `npy` wrote."""
    return np.load(io.BytesIO(data), allow_pickle=False)


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
