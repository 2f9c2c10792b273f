"""The sidecar: a JSON file beside each written file with the full record of its making."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auteur.errors import FormatError, MediaError
from auteur.files import write_text
from auteur.provenance.mark import DIGITAL_SOURCE_TYPE, Mark, hash_output, mark_from_json

_FORMAT = "auteur-sidecar/1"
_MAX_NAME_BYTES = 255
_MAX_SIDECAR_BYTES = 16_000_000


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What a sidecar says: the mark, and the hash of the file it was written for."""

    mark: Mark
    output_sha256: str
    """SHA-256 of the finished file or folder (`hash_output`), 64 hexadecimal digits."""


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


def write_sidecar(path: Path | str, *, mark: Mark, finished: Path) -> None:
    """Writes the sidecar of `path`, replacing one that is there.

    Args:
        path: Final name of the file or folder that the sidecar describes.
        mark: How it was made.
        finished: The finished file or folder, wherever it lies now.

    Raises:
        InputError: The sidecar cannot be written.
    """
    digest, size = hash_output(finished)
    record: dict[str, Any] = {
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
    write_text(sidecar_path(path), json.dumps(record, indent=2) + "\n", overwrite=True)


def read_sidecar(path: Path | str) -> Sidecar | None:
    """The sidecar of the file `path`, or None if there is none.

    Raises:
        FormatError: A file of that name is there, but it is not an intact sidecar.
    """
    beside = sidecar_path(path)
    if not beside.is_file():
        return None
    try:
        return _parse(beside)
    except OSError as error:
        raise FormatError(f"cannot read {str(beside)!r}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{str(beside)!r} is not an intact sidecar: {error}") from error


def _parse(path: Path) -> Sidecar:
    if path.stat().st_size > _MAX_SIDECAR_BYTES:
        raise ValueError(f"it is larger than {_MAX_SIDECAR_BYTES} bytes")
    record: Any = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT!r}")
    output = record.get("output")
    digest = output.get("sha256") if isinstance(output, dict) else None
    if not isinstance(digest, str):
        raise ValueError("it does not hold the hash of its file")
    return Sidecar(mark=mark_from_json(record), output_sha256=digest)
