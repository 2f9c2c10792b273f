"""The mark: the record inside a written picture, sound or video of how it was made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auteur import __version__
from auteur.errors import MediaError, UsageError
from auteur.provenance.consent import check_consent
from auteur.provenance.signing import Signing

LABEL = "AI-generated"
"""First word of the text in the container, for people and searches."""

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's name for media made by a trained model."""

_CONTAINER_FIELDS = ("tool", "version", "models")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a file was made. Every writer of pictures, sounds and videos requires one.

    The container of the file carries the label, the tool and the models; the sidecar beside it, and a signed
    manifest in the file, carry everything.
    """

    tool: str = "Auteur"
    """Name of the program."""
    version: str = __version__
    """Version of the program."""
    models: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name of each model that took part -> its version or revision."""
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Role of each input ("portrait", "speech", ...) -> SHA-256 of its bytes, 64 hexadecimal digits."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The settings of the run; anything JSON can hold."""
    seed: int | None = None
    """Seed of the random numbers, if any were drawn."""
    consent: str | None = None
    """Who agreed to be shown, and on what basis; None where that is not stated."""
    signing: Signing | None = field(default=None, compare=False)
    """Certificate and key for a signed manifest; no part of what is recorded."""

    def __post_init__(self) -> None:
        check_consent(self.consent)
        try:
            json.dumps(self.to_json(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"the mark cannot be stored as JSON ({error}); use plain values only") from error

    def describe(self) -> str:
        """One sentence for people."""
        models = ", ".join(f"{name} {version}" for name, version in self.models.items())
        return f"{LABEL} with {self.tool} {self.version}" + (f" (models: {models})" if models else "")

    def container_text(self) -> str:
        """The ASCII text that goes into the container of the file: the label, then one JSON object."""
        fields = {name: value for name, value in self.to_json().items() if name in _CONTAINER_FIELDS}
        return f"{LABEL} {json.dumps(fields)}"

    def to_json(self) -> dict[str, Any]:
        """The mark as plain JSON values."""
        return {
            "tool": self.tool,
            "version": self.version,
            "models": dict(self.models),
            "inputs": dict(self.inputs),
            "settings": dict(self.settings),
            "seed": self.seed,
            "consent": self.consent,
        }


def parse_container_text(text: str) -> Mark | None:
    """The mark that `Mark.container_text` wrote (tool, version, models), or None for any other text."""
    label, _, payload = text.partition(" ")
    if label != LABEL:
        return None
    try:
        return mark_from_json(json.loads(payload))
    except (ValueError, RecursionError):
        return None


def mark_from_json(values: Any) -> Mark:
    """The mark stored in `values`; fields it lacks keep their defaults.

    Raises:
        ValueError: `values` is not a stored mark; the message names the field.
    """
    if not isinstance(values, dict) or not isinstance(values.get("tool"), str):
        raise ValueError("no field 'tool'")
    kinds = {
        "tool": str,
        "version": str,
        "models": dict,
        "inputs": dict,
        "settings": dict,
        "seed": int | None,
        "consent": str | None,
    }
    known = {name: values[name] for name in kinds if name in values}
    for name, value in known.items():
        if not isinstance(value, kinds[name]):
            raise ValueError(f"field {name!r} holds {value!r}")
    return Mark(**known)


def hash_file(path: Path | str) -> str:
    """SHA-256 of the bytes of a file, 64 hexadecimal digits; reads in blocks.

    Raises:
        MediaError: The file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"cannot read {str(path)!r}: {error.strerror}") from error


def hash_output(path: Path) -> tuple[str, int]:
    """SHA-256 and size in bytes of what was written: a file, or all files of a folder.

    A folder's hash is that of one line per entry, in the order of names: the file's own hash, two spaces, its
    name. `sha256sum * | sha256sum` in the folder gives the same.

    Raises:
        MediaError: Something cannot be read.
    """
    if not path.is_dir():
        return hash_file(path), path.stat().st_size
    whole, size = hashlib.sha256(), 0
    for entry in sorted(path.iterdir(), key=lambda entry: entry.name):
        digest = "folder" if entry.is_dir() else hash_file(entry)
        whole.update(f"{digest}  {entry.name}\n".encode())
        size += entry.stat().st_size
    return whole.hexdigest(), size
