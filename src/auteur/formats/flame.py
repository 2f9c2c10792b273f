"""FLAME parameters as trackers write them (DECA, EMOCA, SMIRK).

Names differ between programs: every alias below is accepted. The FLAME model and DECA are licensed for
non-commercial research and are not part of this project; their files are the user's.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What a file holds is not known before it is read.

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.files import check_name
from auteur.formats.inert_pickle import read_inert_pickle
from auteur.formats.plain_arrays import MOST_ARRAYS, numbers, read_npy, read_npz
from auteur.signals import ExpressionTrack
from auteur.signals.timebase import parse_rate

Floats = NDArray[np.floating]

ALIASES: dict[str, tuple[str, ...]] = {
    "expression": ("expression", "exp", "expcode", "expression_params", "expr", "expressions"),
    "jaw_pose": ("jaw_pose", "jaw", "jaw_params"),
    "pose": ("pose", "posecode"),
    "fps": ("fps", "rate", "frame_rate"),
}
"""Every accepted name of an array, ours first. "pose" is DECA's: global 3, then jaw 3."""

DECA_POSE = 6
DEFAULT_RATE = Fraction(25)
_LARGEST_NUMBER = 1e4


@dataclass(frozen=True, kw_only=True, eq=False)
class FlameParameters:
    """One face over time."""

    expression: ExpressionTrack
    """Convention "flame50" or "flame100"."""
    jaw_pose_rad: Floats | None
    """Axis-angle [T, 3]; None where the file has none."""


def read_flame_parameters(path: Path | str, *, rate: Fraction | str | float | None = None) -> FlameParameters:
    """Returns the parameters in an .npz, an old .pkl, or a folder of .npy files (EMOCA).

    Args:
        path: The file or folder. Pickles are read as data; nothing in them is executed.
        rate: Frames per second; unless given, that of the file, else 25.

    Raises:
        InputError: The file is missing, or a pickle names more than arrays.
        FormatError: It has no expression, shapes do not fit, or numbers are not finite.
    """
    source = Path(path)
    arrays = _renamed(_arrays_of(source), source)
    if "expression" not in arrays:
        raise FormatError(
            f"{str(source)!r} has no expression; name the array one of {', '.join(ALIASES['expression'])}"
        )
    expression = np.atleast_2d(arrays["expression"])
    frames, count = expression.shape
    pose = _rows(arrays, "pose", frames, DECA_POSE, source)
    jaw = _rows(arrays, "jaw_pose", frames, 3, source)
    if pose is not None and jaw is None:
        jaw = pose[:, 3:]
    stated = arrays.get("fps")
    found_rate = (
        rate if rate is not None else (DEFAULT_RATE if stated is None else float(np.ravel(stated)[0]))
    )
    try:
        track = ExpressionTrack(
            values=expression, rate=_exact(found_rate, source), convention=f"flame{count}"
        )
    except UsageError as error:
        raise FormatError(f"{str(source)!r}: {error}") from error
    return FlameParameters(expression=track, jaw_pose_rad=jaw)


def _content(source: Path) -> Mapping[str, Any]:
    """What a file holds, by name; arrays may still be `Inert`."""
    if source.suffix.lower() in (".pkl", ".pickle"):
        content = read_inert_pickle(source)
        if not isinstance(content, Mapping):
            raise FormatError(f"{str(source)!r} holds a {type(content).__name__}; expected named arrays")
        return {key: value for key, value in content.items() if isinstance(key, str)}
    return read_npz(source)


def _arrays_of(source: Path) -> Mapping[str, Any]:
    if not check_name(source).is_dir():
        return _content(source)
    paths = sorted(source.glob("*.npy"))
    if len(paths) > MOST_ARRAYS:
        raise FormatError(f"{str(source)!r} holds {len(paths)} arrays; at most {MOST_ARRAYS} are read")
    return {path.stem: read_npy(path) for path in paths}


def _renamed(content: Mapping[str, Any], source: Path) -> dict[str, Floats]:
    """Arrays under our names, checked to be numbers."""
    lower = {key.lower(): value for key, value in content.items()}
    arrays: dict[str, Floats] = {}
    for name, aliases in ALIASES.items():
        given = next((lower[alias] for alias in aliases if alias in lower), None)
        if given is None:
            continue
        values = numbers(given, f"{str(source)!r}: {name}", axes=(0, 1, 2))
        if np.abs(values).max() >= _LARGEST_NUMBER:
            raise FormatError(f"{str(source)!r}: {name} holds numbers over {_LARGEST_NUMBER:g}")
        arrays[name] = values
    return arrays


def _rows(arrays: Mapping[str, Floats], name: str, frames: int, width: int, source: Path) -> Floats | None:
    if name not in arrays:
        return None
    values = np.atleast_2d(arrays[name])
    if values.shape != (frames, width):
        raise FormatError(f"{str(source)!r}: {name} is {list(values.shape)}; it must be [{frames}, {width}]")
    return values


def _exact(rate: Fraction | str | float, source: Path) -> Fraction:
    try:
        found = parse_rate(rate) if isinstance(rate, str) else Fraction(rate).limit_denominator(1001)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise FormatError(f"{str(source)!r}: the frame rate {rate!r} is no number") from error
    if not 1 <= found <= 1000:
        raise FormatError(
            f"{str(source)!r}: the frame rate is {float(found):g}; it must be between 1 and 1000"
        )
    return found
