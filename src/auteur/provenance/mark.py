"""The mark: the record inside a written picture, sound or video of how it was made."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auteur import __version__
from auteur.errors import MediaError, UsageError
from auteur.provenance.consent import check_consent
from auteur.provenance.credentials import Signing

LABEL = "AI-generated"
"""First word of the text in the container, for people and searches."""

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's name for media made by a trained model."""

_CONTAINER_FIELDS = ("tool", "version", "models")
_NAMING_FIELDS = (*_CONTAINER_FIELDS, "inputs", "settings", "seed")
_RUN_ID = re.compile(r"[0-9a-f]{8}")


def check_run_id(run_id: str) -> str:
    """Returns a run id.

    Raises:
        UsageError: It is not eight hexadecimal digits in lower case.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(f"the run id is {run_id[:40]!r}; it must be eight digits of 0-9 and a-f")
    return run_id


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a file was made. Every writer of pictures, sounds and videos requires one.

    The container of the file carries the label, the tool, the models and the run id; the sidecar beside it,
    and a signed manifest in the file, carry everything.
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
    watermark: bool = True
    """Whether the pixels carry the run id (`auteur.watermark`). Writers put it there unless this is false;
    of sound, and of pictures too small for it, they record false."""
    run_id: str = field(default="", compare=False)
    """Name of the run, eight hexadecimal digits. Unless given, the first of the SHA-256 of the fields up to
    `seed`: the same inputs, settings and seed give the same frames, mark included, and any other run
    another."""

    def __post_init__(self) -> None:
        check_consent(self.consent)
        if self.run_id:
            check_run_id(self.run_id)
        try:
            json.dumps(self.to_json(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"the mark cannot be stored as JSON ({error}); use plain values only") from error
        if not self.run_id:
            named = {name: value for name, value in self.to_json().items() if name in _NAMING_FIELDS}
            digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
            object.__setattr__(self, "run_id", digest[:8])

    def describe(self) -> str:
        """One sentence for people."""
        models = ", ".join(f"{name} {version}" for name, version in self.models.items())
        return f"{LABEL} with {self.tool} {self.version}" + (f" (models: {models})" if models else "")

    def container_text(self) -> str:
        """The ASCII text that goes into the container of the file: the label, then one JSON object."""
        names = (*_CONTAINER_FIELDS, "run_id") if self.watermark else _CONTAINER_FIELDS
        fields = {name: value for name, value in self.to_json().items() if name in names}
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
            "watermark": self.watermark,
            "run_id": self.run_id,
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
        "watermark": bool,
        "run_id": str,
    }
    known = {name: values[name] for name in kinds if name in values}
    for name, value in known.items():
        if not isinstance(value, kinds[name]):
            raise ValueError(f"field {name!r} holds {value!r}")
    known.setdefault("watermark", "run_id" in known)
    try:
        return Mark(**known)
    except UsageError as error:
        raise ValueError(str(error)) from error


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
