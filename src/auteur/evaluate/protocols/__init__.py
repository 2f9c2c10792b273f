"""Protocols as data: measures and their settings, one TOML file each."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any, Literal

from auteur.errors import UsageError
from auteur.signals.timebase import parse_rate

Kind = Literal[
    "pairs",
    "self_reenactment",
    "cross_identity",
    "au_sweep",
    "emotion_sweep",
    "long_audio",
    "noise_and_silence",
    "paper_videos",
    "paper_units",
    "user_study",
    "user_study_tally",
]
ActionUnitsFrom = Literal["truth", "predicted", "none", "any"]
Request = Literal["truth", "speech", "label"]
"""Given to a system besides portrait and speech: the test video's Action Units, nothing, or its emotion."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a paper's table, as our system makes it."""

    name: str
    system: str = ""
    """Name of the system in `--systems`; "": any one that is given, the compact set unless one is."""
    request: Request = "speech"
    route: str = "auto"
    intensity: float = 1.0
    """Of the emotion, for the request "label"."""
    au_guidance: float | None = None
    guidance_form: Literal["published", "nested"] | None = None
    order: str = ""
    """Order of the answer of an audio-language model, for kind "paper_units"."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Settings of a comparison. Two results are comparable only if all of them are equal."""

    name: str
    title: str
    kind: Kind
    """"pairs" scores videos that exist; the others make them with our own system first."""
    about: str
    source: str
    fps: Fraction
    """Frames per second at which both videos are read, by time."""
    size_px: int
    """Side of the square crop that everything is measured in."""
    crop_to_face: float
    """Side of the crop in units of the face's size, at least."""
    pictures_per_second: int
    """Frames per second of the picture measures; landmarks are read in all frames."""
    action_units_from: ActionUnitsFrom
    """Whether the systems were given the real video's Action Units: the two kinds do not compare."""
    clips: int = 0
    """Number of clips of the published figures; 0: not fixed."""
    longest_sec: int = 0
    """Seconds of each clip that are read; 0: all."""
    splits: str = ""
    people: tuple[str, ...] = ()
    """Test people, by the corpus's names; (): all held-out people of the corpus."""
    portrait: Literal["own", "neutral"] = "own"
    """First frame of the test video, or of a neutral video of the same person."""
    threshold: float = 0.0
    """Intensity above which a unit counts as active, for kind "paper_units"."""
    metrics: tuple[str, ...] = ()
    """Columns of the paper's table, by `Metric.name`, in its order."""
    rows: tuple[Row, ...] = ()
    published: tuple[Mapping[str, str | float], ...] = ()
    """Rows of the paper: "row", "set", and its numbers by `Metric.name`."""
    unknown: tuple[str, ...] = ()
    """Settings that the publication leaves open, so that figures need not agree with it."""


@cache
def names() -> tuple[str, ...]:
    """Returns the names of all protocols."""
    files = resources.files("auteur.evaluate.protocols").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def load(name: str) -> Protocol:
    """Returns a protocol by its name; "_" and "-" are the same.

    Raises:
        UsageError: There is none of that name.
    """
    wanted = name.replace("_", "-").lower()
    if wanted not in names():
        raise UsageError(f"protocol {name!r} is unknown; there are {', '.join(names())}")
    text = resources.files("auteur.evaluate.protocols").joinpath(f"{wanted}.toml").read_text(encoding="utf-8")
    return from_table(tomllib.loads(text) | {"name": wanted})


def from_table(table: dict[str, Any]) -> Protocol:
    """Returns a protocol from its table.

    Raises:
        UsageError: A key is unknown or missing.
    """
    known = {field.name for field in fields(Protocol)}
    if unknown := table.keys() - known:
        raise UsageError(
            f"protocol has unknown keys {', '.join(sorted(unknown))}; known are {', '.join(known)}"
        )
    try:
        values: dict[str, Any] = table | {"fps": parse_rate(str(table["fps"]))}
        for name in ("unknown", "people", "metrics", "published"):
            values[name] = tuple(table.get(name, ()))
        values["rows"] = tuple(Row(**row) for row in table.get("rows", ()))
        return Protocol(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"protocol {table.get('name')!r} is incomplete: {error}") from error
