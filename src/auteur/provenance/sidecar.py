"""The sidecar: a JSON file beside each written file with the full record of its making."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auteur.errors import FormatError, InputError, MediaError
from auteur.files import atomic_path, read_json, write_text
from auteur.provenance.mark import DIGITAL_SOURCE_TYPE, Mark, hash_output, mark_from_json

Record = dict[str, Any]

_FORMAT = "auteur-sidecar/1"
_MAX_NAME_BYTES = 255
_MAX_SIDECAR_BYTES = 16_000_000


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """Content of a sidecar: the mark, and the hash of the file it was written for."""

    mark: Mark
    output_sha256: str
    """SHA-256 of the finished file or folder (`hash_output`), 64 hexadecimal digits."""
    is_settled: bool = True
    """False while the file is about to take its name: what stands there may be another file still."""
    before: "Record | None" = None
    """Only if not settled: the record of the file that is to be replaced."""

    def of_content(self, sha256: str) -> "Sidecar | None":
        """Returns the record of the file with this hash.

        That is this one, unless the run that wrote it was killed before its file took the name: then it is
        the record of the file before, or None if that had none.
        """
        if self.is_settled or self.output_sha256 == sha256:
            return self
        return None if self.before is None else _sidecar(self.before)


def sidecar_path(path: Path | str) -> Path:
    """Where the sidecar of `path` lies: `out.mp4` -> `out.mp4.json`.

    Raises:
        MediaError: The sidecar's name would be longer than file systems allow.
    """
    path = Path(path)
    name = f"{path.name}.json"
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise MediaError(
            f"the name {path.name!r} has {len(path.name.encode())} bytes; at most {_MAX_NAME_BYTES - 5} "
            "leave room for the sidecar's .json; choose a shorter one"
        )
    return path.with_name(name)


class Announcement:
    """A sidecar on its way: beside `path` before the file itself, so that no file stands without its record.

    Until `settle`, the sidecar also holds the record of the file that is to be replaced. Whenever the process
    ends, the file there has its own record.
    """

    def __init__(self, path: Path | str, *, mark: Mark, finished: Path) -> None:
        """Writes the sidecar.

        Args:
            path: Final name of the file or folder that the sidecar describes.
            mark: How it was made.
            finished: The finished file or folder, wherever it lies now.

        Raises:
            InputError: The sidecar cannot be written.
        """
        self._beside = sidecar_path(path)
        digest, size = hash_output(finished)
        self._record: Record = {
            "format": _FORMAT,
            "ai_generated": True,
            "digital_source_type": DIGITAL_SOURCE_TYPE,
            **mark.to_json(),
            "output": {
                "name": Path(path).name,
                "bytes": size,
                "sha256": digest,
            },
        }
        self._before = self._beside.read_bytes() if self._beside.is_file() else None
        _write(self._beside, {**self._record, "before": _record_of(self._beside)})

    def settle(self) -> None:
        """Leaves the record of the new file alone, once the file has its name."""
        with suppress(InputError):  # such as on a full disk: the existing record is as good
            _write(self._beside, self._record)

    def withdraw(self) -> None:
        """Puts back the sidecar that was there; unless another run has written its own meanwhile."""
        ours = self._record["output"]["sha256"]
        record = _record_of(self._beside, settled_only=False)
        if record is None or "before" not in record or record["output"]["sha256"] != ours:
            return
        with suppress(OSError, InputError):
            if self._before is None:
                self._beside.unlink()
            else:
                with atomic_path(self._beside, overwrite=True) as temporary:
                    temporary.write_bytes(self._before)


def read_sidecar(path: Path | str) -> Sidecar | None:
    """The sidecar of the file `path`, or None if there is none.

    Raises:
        FormatError: A file of that name is there, but it is not an intact sidecar.
    """
    beside = sidecar_path(path)
    if not beside.is_file():
        return None
    try:
        return _sidecar(_read(beside))
    except OSError as error:
        raise FormatError(f"cannot read {str(beside)!r}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{str(beside)!r} is not an intact sidecar: {error}") from error


def _write(beside: Path, record: Record) -> None:
    write_text(beside, json.dumps(record, indent=2) + "\n", overwrite=True)


def _record_of(beside: Path, *, settled_only: bool = True) -> Record | None:
    """The record in a sidecar, or None where there is no intact one."""
    try:
        record = _read(beside)
        sidecar = _sidecar(record)
    except (OSError, ValueError, RecursionError):
        return None
    return record if sidecar.is_settled or not settled_only else sidecar.before


def _read(path: Path) -> Record:
    record = read_json(path, max_bytes=_MAX_SIDECAR_BYTES)
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT!r}")
    return record


def _sidecar(record: Record) -> Sidecar:
    output, before = record.get("output"), record.get("before")
    digest = output.get("sha256") if isinstance(output, dict) else None
    if not isinstance(digest, str):
        raise ValueError("it does not hold the hash of its file")
    if before is not None:
        if not isinstance(before, dict) or "before" in before:
            raise ValueError("field 'before' holds no record")
        _sidecar(before)
    return Sidecar(
        mark=mark_from_json(record),
        output_sha256=digest,
        is_settled="before" not in record,
        before=before,
    )
