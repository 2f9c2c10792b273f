"""The lines of a jobs file, checked as `auteur generate` checks its options."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_type_hints

from auteur.batch.results import RESULTS
from auteur.errors import AuteurError, InputError, UsageError
from auteur.expression.curve import EmotionCurve, parse_curve
from auteur.expression.unit_curves import (
    HEAD_ANGLES,
    LARGEST_ANGLE_DEG,
    Keyframes,
    head_curves_track,
    keyframes_of,
    unit_curves_track,
)
from auteur.facs import resolve
from auteur.files import check_name, is_unfinished, open_input
from auteur.formats import TrackReading, read_recorded
from auteur.media.frame_output import ENDINGS
from auteur.motion.grid import MOTION_RATE
from auteur.motion.performance import as_specified
from auteur.painting.warp_renderer import WarpRenderer
from auteur.signals import AUTrack, measured
from auteur.signals.timebase import parse_rate
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings

_MOST_LINE_CHARACTERS = 1_000_000
_LARGEST = 2**63
"""No number of a job is as large."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One video to make."""

    line: int
    """Of the jobs file, from 1."""
    portrait: Path
    speech: Path | None
    output: PurePosixPath
    """Below the folder of the run."""
    requested: PerformanceRequest
    settings: Settings
    face: int
    """Which face of the portrait: 0 the largest."""


@dataclass(frozen=True)
class BadLine:
    """A line of a jobs file that is no job."""

    line: int
    reason: str


def read_jobs(path: Path, *, defaults: Mapping[str, Any], paints: bool) -> Iterator[Job | BadLine]:
    """Yields the job of every line of a jobs file, in order; blank lines are skipped.

    Args:
        path: JSONL: one object per line, with the names of `auteur generate`. Files that lines name are
            found from the folder of this one.
        defaults: Values for lines that do not set them, under the same names.
        paints: Whether the preset has a denoiser.

    Raises:
        InputError: The file cannot be read.
    """
    for number, text in enumerate(_lines(path), start=1):
        if text.isspace() and len(text) <= _MOST_LINE_CHARACTERS:
            continue
        try:
            yield _job(number, text, path.parent, defaults, paints=paints)
        except AuteurError as error:
            yield BadLine(number, " ".join(str(error).split()))
        except OSError as error:
            yield BadLine(number, f"cannot read {str(error.filename)!r}: {error.strerror}")


def check_keys(values: Mapping[str, Any]) -> Values:
    """Returns values under the names of `auteur generate` with the types of the Python API.

    Raises:
        UsageError: A name is unknown or a value of the wrong kind.
    """
    checked: Values = {}
    for key, value in values.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"choose among {', '.join(_KEYS)}"
            if key in _OF_THE_RUN:
                hint = f"it holds for the whole run: give --{key.replace('_', '-')} on the command line"
            raise UsageError(f"unknown key {key!r}; {hint}")
        if value is not None:
            checked[key] = _KEYS[key](key, value)
    return checked


def kinds_of_keys() -> dict[str, str]:
    """Returns what kind of value every key takes: text, file, number, whole, truth and so on."""
    return {key: check.__name__.removeprefix("_") for key, check in _KEYS.items()}


def _lines(path: Path) -> Iterator[str]:
    """Yields the lines of a file, each cut where it is longer than a line may be."""
    try:
        with open_input(path) as file, TextIOWrapper(file, encoding="utf-8-sig") as lines:
            while text := lines.readline(_MOST_LINE_CHARACTERS + 1):
                rest = text
                while rest and not rest.endswith("\n"):
                    rest = lines.readline(_MOST_LINE_CHARACTERS)
                yield text
    except OSError as error:
        raise InputError(f"cannot read the jobs {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the jobs {str(path)!r} are not text in UTF-8; save them as UTF-8") from error


def _job(number: int, text: str, folder: Path, defaults: Mapping[str, Any], *, paints: bool) -> Job:
    given = {**defaults, **_parse(text)}
    values = check_keys(given)
    output = values.pop("output", None) or PurePosixPath(f"{number:06d}.mp4")
    return job_of(values, line=number, output=output, place=lambda text: folder / text, paints=paints)


def job_of(
    values: Mapping[str, Any],
    *,
    line: int,
    output: PurePosixPath,
    place: Callable[[str], Path],
    paints: bool,
    track: AUTrack | None = None,
) -> Job:
    """Returns the job of checked values (`check_keys`, without "output").

    Args:
        values: By the names of `auteur generate`.
        line: Number of the job.
        output: Name of its video.
        place: Path of a file that a value names.
        paints: Whether a denoiser will take part.
        track: A track that is no file.

    Raises:
        UsageError: A value is missing or outside its range.
        InputError: A file is missing.
    """
    values = dict(values)
    for key in ("portrait", "speech"):
        if key not in values and not (
            key == "speech" and (track or values.keys() & {"track", "drive", "curves"})
        ):
            raise UsageError(f"the key {key!r} is missing; name a file")
    sources = {key: _source(place, values.pop(key)) for key in ("head_track", "gaze_track") if key in values}
    paths = {key: place(values.pop(key)) for key in _FILES if key in values}
    for key, path in paths.items():
        if not path.is_file():
            raise InputError(f"the {key} {str(path)!r} does not exist")
    reading = TrackReading(
        rate=values.pop("track_rate", None),
        face=values.pop("track_face", None),
        start_sec=values.pop("track_start", None),
    )
    curves, head_curves = values.pop("curves", None), values.pop("head_curves", None)
    if head_curves:
        sources["head_track"] = head_curves_track(head_curves, rate=MOTION_RATE)
    if curves:
        track, reading = _drawn(curves, track, paths, reading), TrackReading()
    requested = PerformanceRequest(
        action_units=values.pop("au", {}),
        track=track or paths.get("track"),
        drive=paths.get("drive"),
        lips=values.pop("lips", None),
        scales=values.pop("au_scale", {}) | dict.fromkeys(values.pop("mute", []), 0.0),
        **sources,
        track_reading=reading,
        **{name: values.pop(name) for name in _PERFORMANCE if name in values},
    )
    face = values.pop("face", 0)
    settings = Settings(**values)
    if not paints:
        WarpRenderer().resolve(settings.render_options)
    return Job(line, paths["portrait"], paths.get("speech"), output, requested, settings, face)


def _drawn(
    curves: Mapping[str, Keyframes], track: AUTrack | None, paths: dict[str, Path], reading: TrackReading
) -> AUTrack:
    """The curves on top of a track, if there is one; its file is taken out of `paths`."""
    if "drive" in paths:
        raise UsageError("curves and drive: give either curves or a video of an actor, not both")
    if "track" in paths:
        track = read_recorded(paths.pop("track"), reading).action_units
    under = None if track is None else as_specified(measured(track))
    return unit_curves_track(curves, rate=MOTION_RATE, duration_sec=0, under=under)


def _source(place: Callable[[str], Path], text: str) -> Any:
    return text if text in ("track", "none") else place(str(check_name(text)))


def _parse(text: str) -> Values:
    if len(text) > _MOST_LINE_CHARACTERS:
        raise InputError(f"it has over {_MOST_LINE_CHARACTERS} characters; at most so many are read")
    try:
        values = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except InputError:
        raise
    except RecursionError as error:
        raise InputError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise InputError(f"it is no JSON: {error.msg} at character {error.pos + 1}") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise InputError("it holds a number of too many digits") from error
    if not isinstance(values, dict):
        raise InputError(f'it is no JSON object; write {"{"}"portrait": …, "speech": …{"}"}')
    return values


def _once(pairs: list[tuple[str, Any]]) -> Values:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise InputError(f"the key {twice!r} is there twice")
    return values


def _refuse(constant: str) -> None:
    raise InputError(f"{constant} is no number")


def _wrong(key: str, value: Any, wanted: str) -> UsageError:
    return UsageError(f"{key} is {json.dumps(value)[:80]}; it must be {wanted}")


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _wrong(key, value, "text")
    return value


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        raise _wrong(key, value, "a number")
    return value


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not abs(value) < _LARGEST:
        raise _wrong(key, value, "a whole number")
    return value


def _file(key: str, value: Any) -> str:
    try:
        return str(check_name(_text(key, value)))
    except InputError as error:
        raise UsageError(f"{key}: {error}") from error


def _truth(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, value, "true or false")
    return value


def _rate(key: str, value: Any) -> Fraction:
    """A float counts as the decimal it prints as, text may be a fraction."""
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return parse_rate(str(value))
    except ValueError:  # also of a whole number too long to be printed
        pass
    raise _wrong(key, value, 'a number such as 25 or "30000/1001"')


def _intensities(key: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise _wrong(key, value, 'an object such as {"AU12": 0.6}')
    return {name: _number(f"{key} {name}", one) for name, one in value.items()}


def _names(key: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise _wrong(key, value, 'a list such as ["AU4"]')
    return [_text(key, one) for one in value]


def _output(key: str, value: Any) -> PurePosixPath:
    path = PurePosixPath(_file(key, value))
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise _wrong(key, value, "a path inside the folder of the run, such as anna/01.mp4")
    if path.suffix.lower() not in ENDINGS:
        raise _wrong(key, value, f"a name that ends in {', '.join(ENDINGS)}")
    if any(is_unfinished(part) or part == RESULTS for part in path.parts):
        raise _wrong(key, value, f"no name that a batch uses itself ({RESULTS}, .….part.mp4)")
    return path


def _curves(key: str, value: Any) -> dict[str, Keyframes]:
    if not isinstance(value, dict):
        raise _wrong(key, value, 'an object such as {"AU12": [[0, 0], [1.2, 0.8]]}')
    for name in value:
        resolve(name)
    return {name: keyframes_of(name, one, low=0, high=1) for name, one in value.items()}


def _head_curves(key: str, value: Any) -> dict[str, Keyframes]:
    if not isinstance(value, dict) or not value.keys() <= set(HEAD_ANGLES):
        raise _wrong(key, value, 'an object of pitch, yaw and roll such as {"yaw": [[0, 0], [1, 12]]}')
    most = LARGEST_ANGLE_DEG
    return {name: keyframes_of(name, one, low=-most, high=most) for name, one in value.items()}


def _curve(key: str, value: Any) -> EmotionCurve:
    return parse_curve(_text(key, value))


_BY_TYPE: dict[Any, Callable[[str, Any], Any]] = {
    str: _text,
    str | None: _text,
    int: _whole,
    int | None: _whole,
    float: _number,
    float | None: _number,
    bool: _truth,
    Fraction: _rate,
    EmotionCurve | None: _curve,
    Literal["published", "nested"] | None: _text,
}


def _plain_fields(kind: type) -> dict[str, Callable[[str, Any], Any]]:
    """Returns how to read the fields of a dataclass that a single JSON value can fill."""
    hints = get_type_hints(kind)
    return {one.name: _BY_TYPE[hints[one.name]] for one in fields(kind) if hints[one.name] in _BY_TYPE}


_PERFORMANCE = _plain_fields(PerformanceRequest)

_KEYS: dict[str, Callable[[str, Any], Any]] = {
    "portrait": _file,
    "speech": _file,
    "output": _output,
    **_PERFORMANCE,
    "au": _intensities,
    "curves": _curves,
    "head_curves": _head_curves,
    "track": _file,
    "drive": _file,
    "lips": _text,
    "head_track": _text,
    "gaze_track": _text,
    "track_rate": _rate,
    "track_face": _whole,
    "track_start": _number,
    "au_scale": _intensities,
    "mute": _names,
    "face": _whole,
    **_plain_fields(Settings),
}

_FILES = ("portrait", "speech", "track", "drive")

_OF_THE_RUN = ("preset", "device", "overwrite", "engine", "workers", "sign", "key")
