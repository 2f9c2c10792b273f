"""Options that determine the shards. Engine and workers are not among them."""

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from auteur import __version__
from auteur.errors import UsageError
from auteur.lab.data.shards import FORMAT
from auteur.weights import version

RATE = Fraction(25)
"""Frames per second of everything in a shard."""

PREPARE_MODELS = ("detector", "landmarker", "speech_encoder", "expression_space")
"""Shipped weights that a sample depends on."""


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Everything that the shards depend on, apart from the corpus itself."""

    kind: str
    """One of `auteur.lab.corpora.KINDS`."""
    annotations: str | None = None
    """The corpus's own annotation, if it is not in its folder."""
    measured: str | None = None
    """Folder of other tools' output."""
    views: tuple[str, ...] = ()
    """Only recordings from these views; all unless given."""
    other_emotion_reference: bool = False
    """Whether the reference picture comes from a recording of the same person with another emotion."""
    limit: int | None = None
    """Only so many recordings, the first in the order of their keys."""
    size_px: int = 256
    """Side of the crops."""
    align: Literal["clip", "frame"] = "clip"
    """One upright square for a whole clip, in which the head moves; or one per frame, turned with the
    eyes."""
    crop_to_face: float = 1.8
    """Side of that square in units of the larger side of the face."""
    crf: int = 18
    """H.264 quality, 0 (lossless) to 51."""
    least_face_px: int = 80
    """Faces that are smaller in the recording are rejected."""
    least_seconds: float = 1.0
    """Shorter stretches with a face are rejected."""
    longest_seconds: float = 20.0
    """Longer ones are divided evenly."""
    most_offset_frames: int = 5
    """Clips with a larger accepted offset of the sound are rejected."""
    least_agreement: float = 0.3
    """In clips of 8 s and more, sound that the lips follow less at any offset is rejected: a voice-over."""
    keep_silent: bool = False
    """Keep clips without sound; their samples lack everything about speech."""
    shard_mb: int = 256
    """A shard is closed with the recording that fills it to so many MiB."""

    def check(self) -> None:
        """Raises `UsageError` for the first value outside its range."""
        ranges: dict[str, tuple[float, float]] = {
            "size_px": (64, 1024),
            "crop_to_face": (1.0, 4.0),
            "crf": (0, 51),
            "least_face_px": (24, 4096),
            "least_seconds": (0.2, 60),
            "longest_seconds": (1, 600),
            "most_offset_frames": (0, 15),
            "least_agreement": (-1, 1),
            "shard_mb": (1, 8192),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} is {value}; it must be between {low:g} and {high:g}")
        if self.size_px % 2:
            raise UsageError(f"size_px is {self.size_px}; H.264 needs an even side")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit is {self.limit}; it must be 1 or more")
        if self.least_seconds > self.longest_seconds:
            raise UsageError(
                f"least_seconds is {self.least_seconds:g}; it must be at most longest_seconds, "
                f"{self.longest_seconds:g}"
            )


def identity(options: PrepareOptions) -> dict[str, Any]:
    """Returns the values that are equal for two runs with the same shards, as plain JSON."""
    given = {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(options).items()}
    return {
        "format": FORMAT,
        "auteur": __version__,
        "models": {name: version(name) for name in PREPARE_MODELS},
        "options": given,
    }


def difference(then: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Returns in words how two identities differ, or None where they do not."""
    before, after = _flat(then), _flat(now)
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not changed:
        return None
    return "; ".join(
        f"{name} was {_shown(before.get(name))} and is {_shown(after.get(name))}" for name in changed
    )


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in values.items() if not isinstance(value, dict)}
    for inner in ("options", "models"):
        flat |= values.get(inner, {})
    return flat


def _shown(value: Any) -> str:
    if isinstance(value, str) and Path(value).name != value:
        return repr(value)
    return "not set" if value in (None, []) else str(value)
