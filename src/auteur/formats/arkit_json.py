"""Weights of ARKit's blend shapes as JSON, in the layout that Audio2Face exports and Blender add-ons read.

`facsNames` names the shapes, `weightMat` has a list of weights per frame, `exportFps` is the rate; `numPoses`
and `numFrames` repeat the sizes. Two keys of ours may follow, in radians with the signs of `PoseTrack` and
`GazeTrack`: `headPitchYawRoll` and `gazeYawPitch` (against the head); other readers skip
them.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS
from auteur.signals import AUTrack, GazeTrack, PoseTrack
from auteur.signals.storage import Document, values_array
from auteur.signals.timebase import MAX_RATE

NAMES, WEIGHTS = "facsNames", "weightMat"
_RATE, _HEAD, _GAZE = "exportFps", "headPitchYawRoll", "gazeYawPitch"
_SHAPES = CONVENTIONS["arkit52"].channels
_MOST_DENOMINATOR = 1001


@dataclass(frozen=True, kw_only=True, eq=False)
class ArkitWeights:
    """Blend shape weights of T frames."""

    shapes: AUTrack
    """Convention "arkit52"; may hold only some of its channels."""
    head: PoseTrack | None = None
    """Convention "live_link"; translation is not measured."""
    gaze: GazeTrack | None = None
    """Convention "head"."""
    unknown: tuple[str, ...] = ()
    """Shapes in the file that ARKit lacks; they are not read."""


def is_arkit_json(document: Document) -> bool:
    """Whether a JSON document has weights of blend shapes."""
    return NAMES in document and WEIGHTS in document


def read_arkit_json(document: Document, *, rate: Fraction | None = None, source: str) -> ArkitWeights:
    """The weights in a JSON document.

    Args:
        document: The parsed object.
        rate: True frame rate; else the file's own, 59.94 read as 60000/1001.
        source: Name of the file in errors.

    Raises:
        FormatError: Names and weights do not fit each other, no shape is ARKit's, a value is no number, or
            there is no rate.
    """
    names = _names(document, source)
    by_lower = {name.lower(): name for name in _SHAPES}
    known = [by_lower.get(name.lower()) for name in names]
    channels = tuple(name for name in known if name is not None)
    if not channels or len(set(channels)) < len(channels):
        state = "repeats one" if channels else "has none"
        raise FormatError(f"{source}: {NAMES} must name shapes of ARKit, each once, and {state}")
    weights = _matrix(document, WEIGHTS, len(names), source)
    timing: dict[str, Any] = {"rate": _rate(document, source) if rate is None else rate}
    columns = [index for index, name in enumerate(known) if name is not None]
    shapes = AUTrack(values=weights[:, columns], channels=channels, convention="arkit52", **timing)
    head = gaze = None
    if document.get(_HEAD) is not None:
        angles = _matrix(document, _HEAD, 3, source, frames=len(weights))
        values = np.concatenate([angles, np.full((len(angles), 3), np.nan)], axis=1)
        head = PoseTrack(values=values, convention="live_link", **timing)
    if document.get(_GAZE) is not None:
        values = _matrix(document, _GAZE, 2, source, frames=len(weights))
        gaze = GazeTrack(values=values, convention="head", **timing)
    unknown = tuple(name for name, shape in zip(names, known, strict=True) if shape is None)
    return ArkitWeights(shapes=shapes, head=head, gaze=gaze, unknown=unknown)


def arkit_json_text(weights: ArkitWeights) -> str:
    """The JSON text, one line per frame; numbers have 6 significant digits.

    Raises:
        UsageError: A weight is not measured.
    """
    track = weights.shapes
    if np.isnan(track.values).any():
        raise UsageError("blend shape weights must be numbers; fill what is not measured first")
    facts: dict[str, Any] = {
        _RATE: float(track.rate),
        "numPoses": len(track.channels),
        "numFrames": track.frames,
        NAMES: list(track.channels),
    }
    head = None if weights.head is None else weights.head.values[:, :3]
    gaze = None if weights.gaze is None else weights.gaze.values
    parts = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in facts.items()]
    for name, values in ((WEIGHTS, track.values), (_HEAD, head), (_GAZE, gaze)):
        if values is not None:
            parts.append(f"{json.dumps(name)}: [\n{_lines(values)}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _names(document: Document, source: str) -> list[str]:
    given = document[NAMES]
    names = (
        [name for name in cast("list[object]", given) if isinstance(name, str)]
        if isinstance(given, list)
        else []
    )
    if not isinstance(given, list) or len(names) < len(cast("list[object]", given)):
        raise FormatError(f"{source}: {NAMES} must be a list of names of blend shapes")
    return names


def _lines(values: NDArray[np.floating[Any]]) -> str:
    rows = (", ".join("null" if np.isnan(value) else f"{value:.6g}" for value in row) for row in values)
    return ",\n".join(f"[{row}]" for row in rows)


def _rate(document: Document, source: str) -> Fraction:
    value = document.get(_RATE)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_RATE:
        raise FormatError(f"{source}: {_RATE} is {value!r}; give frames per second, over 0 to {MAX_RATE}")
    exact = Fraction(str(value))
    near = Fraction(round(exact) * 1000, _MOST_DENOMINATOR)
    return near if abs(near - exact) < Fraction(1, 200) and exact.denominator > 1 else exact


def _matrix(
    document: Document, key: str, width: int, source: str, *, frames: int | None = None
) -> NDArray[np.float32]:
    values = values_array(document[key], f"{source}: {key}")
    wanted = (values.shape[0] if frames is None else frames, width)
    if values.ndim != 2 or values.shape != wanted:
        raise FormatError(
            f"{source}: {key} has shape {values.shape}; it needs one row per frame, {width} numbers in each"
        )
    return values
