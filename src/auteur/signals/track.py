"""The base of every track: values over exact time, immutable."""

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auteur.errors import FormatError, UsageError
from auteur.signals import storage
from auteur.signals.timebase import (
    Seconds,
    check_extent,
    exact_rate,
    exact_seconds,
    linear_resample,
    local_linear_smooth,
)

FloatArray = NDArray[np.float32]
"""Any float32 array; each docstring gives its shape."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Track:
    """Values over time at an exact rate. Frame `t` happens at `start_sec + t / rate`.

    A value may be NaN, which means "not measured"; infinities are refused. Arrays are copied in and are
    read-only.
    """

    kind: ClassVar[str] = ""
    """Name of the class in saved files."""
    value_dimensions: ClassVar[tuple[int, ...]] = (2,)
    """How many axes `values` may have."""

    values: FloatArray
    """float32 [T, channels] or [T, channels, axes], T >= 1, read-only."""
    rate: Fraction
    """Frames per second, exact, in (0, 1000]."""
    start_sec: Fraction = Fraction(0)
    """Time of frame 0 in seconds."""
    channels: tuple[str, ...]
    """Unique names along the second axis of `values`."""
    convention: str
    """Name of the meaning and range of the channels."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "values", _frozen_array(self.values, type(self).__name__, self.value_dimensions)
        )
        object.__setattr__(self, "rate", exact_rate(self.rate))
        object.__setattr__(self, "start_sec", exact_seconds(self.start_sec, "start_sec"))
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.convention:
            raise UsageError(f"{type(self).__name__} needs a convention: name what its numbers mean")
        if len(set(self.channels)) != len(self.channels) or not all(self.channels):
            raise UsageError(
                f"{type(self).__name__} channels must be unique, non-empty names, got {self.channels}"
            )
        if len(self.channels) != self.values.shape[1]:
            raise UsageError(
                f"{type(self).__name__} has {len(self.channels)} channel names for {self.values.shape[1]} "
                "columns of values; give one name per column"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Track) or type(self) is not type(other):
            return NotImplemented
        same_values = np.array_equal(self.values, other.values, equal_nan=True)
        return same_values and self._attributes() == other._attributes()

    def __repr__(self) -> str:
        most = 4
        names = ", ".join(self.channels[:most]) + (", …" if len(self.channels) > most else "")
        return (
            f"{type(self).__name__}({self.convention}, {self.frames} frames at {self.rate}/s from "
            f"{float(self.start_sec):g} s, {len(self.channels)} channels: {names})"
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # arrays are compared by value

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self.values.shape[0]

    @property
    def duration_sec(self) -> Fraction:
        """`frames / rate`: the time the frames cover, the last one's own span included."""
        return self.frames / self.rate

    @property
    def times_sec(self) -> NDArray[np.float64]:
        """Time of each frame in seconds, float64 [T]."""
        return np.arange(self.frames, dtype=np.float64) / float(self.rate) + float(self.start_sec)

    def channel(self, name: str) -> FloatArray:
        """Values of one channel: [T], or [T, axes] where a channel has several.

        Raises:
            UsageError: There is no channel of that name.
        """
        if name not in self.channels:
            raise UsageError(
                f"no channel {name!r} in this {self.convention} track; it has {', '.join(self.channels)}"
            )
        return self.values[:, self.channels.index(name)]

    def replace(self, **changes: Any) -> Self:
        """A copy with some attributes changed, checked like a new track."""
        return dataclasses.replace(self, **changes)

    def resample(
        self, rate: Fraction | int, *, start_sec: Seconds | None = None, frames: int | None = None
    ) -> Self:
        """The track at another rate, by time: linear between frames, held outside them.

        Without `frames` the result has every frame that begins inside the track, `ceil(duration * rate)`.
        Positions are computed with exact fractions, so a new frame that falls on an old one equals it. A NaN
        spreads to the new frames that lie between it and its neighbours.

        Args:
            rate: Frames per second of the result.
            start_sec: Time of its first frame; this track's own start unless given.
            frames: How many frames, at least 1.

        Raises:
            UsageError: The rate, start or frame count is outside its range.
        """
        new_rate = exact_rate(rate)
        new_start = self.start_sec if start_sec is None else exact_seconds(start_sec, "start_sec")
        count = (
            math.ceil((self.start_sec + self.duration_sec - new_start) * new_rate)
            if frames is None
            else frames
        )
        if count < 1:
            raise UsageError(
                f"resampling would give {count} frames; it needs at least 1, starting before the end"
            )
        check_extent(count, math.prod(self.values.shape[1:]), "the resampled track")
        first = (new_start - self.start_sec) * self.rate
        values = linear_resample(self.values, first=first, step=self.rate / new_rate, frames=count)
        return self.replace(values=values, rate=new_rate, start_sec=new_start)

    def slice(self, start_sec: Seconds, stop_sec: Seconds) -> Self:
        """The frames whose time `t` satisfies `start_sec <= t < stop_sec`; they keep their times.

        Raises:
            UsageError: No frame lies in the interval.
        """
        first = math.ceil((exact_seconds(start_sec, "start_sec") - self.start_sec) * self.rate)
        last = math.ceil((exact_seconds(stop_sec, "stop_sec") - self.start_sec) * self.rate)
        first, last = max(first, 0), min(last, self.frames)
        if first >= last:
            stop = float(self.start_sec + self.duration_sec)
            raise UsageError(
                f"no frame between {float(start_sec):g} s and {float(stop_sec):g} s; "
                f"this track covers {float(self.start_sec):g} s to {stop:g} s"
            )
        return self.replace(values=self.values[first:last], start_sec=self.start_sec + first / self.rate)

    def concatenate(self, other: Self) -> Self:
        """This track followed at once by `other`, whose own start time is dropped.

        Raises:
            UsageError: The two differ in class, rate, channels, convention or shape.
        """
        mine, theirs = self._attributes(), other._attributes()
        different = [name for name in mine if name != "start_sec" and mine[name] != theirs.get(name)]
        if type(self) is not type(other) or self.values.shape[1:] != other.values.shape[1:] or different:
            what = ", ".join(different) or "kind or shape"
            raise UsageError(
                f"cannot join two tracks that differ in {what}; convert or resample one of them first"
            )
        return self.replace(values=np.concatenate([self.values, other.values]))

    def smooth(self, sigma_sec: float) -> Self:
        """The track smoothed over time without lag.

        Each frame becomes the value at its own time of a straight line fitted to its neighbours under
        Gaussian weights (local linear regression, Fan 1992). Weights are symmetric in time, so nothing is
        delayed; straight lines pass unchanged, at the ends too. NaN frames have no weight and stay NaN.

        Args:
            sigma_sec: Standard deviation of the weights in seconds, in [0, 10]; 0 changes nothing. A peak
                narrower than about `3 * sigma_sec` loses height.

        Raises:
            UsageError: `sigma_sec` is outside its range.
        """
        if not 0 <= sigma_sec <= 10:
            raise UsageError(f"sigma_sec is {sigma_sec}; it must be between 0 and 10 seconds")
        return self.replace(
            values=local_linear_smooth(self.values, sigma_frames=sigma_sec * float(self.rate))
        )

    def to_dataframe(self) -> Any:
        """Returns a pandas DataFrame: a row per frame, indexed by `time_sec`, a column per channel.

        Channels with several axes become a column per axis, such as "p0_x".

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            pandas: Any = import_module("pandas")  # optional; types are the same without it
        except ImportError as error:
            raise UsageError("to_dataframe needs pandas: pip install 'auteur-face[notebook]'") from error
        columns = list(self.channels)
        if self.values.ndim == 3:
            columns = [f"{name}_{axis}" for name in columns for axis in "xyz"[: self.values.shape[2]]]
        index = pandas.Index(self.times_sec, name="time_sec")
        return pandas.DataFrame(self.values.reshape(self.frames, -1), index=index, columns=columns)

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Writes the track as JSON (`auteur.signals.storage`), whole or not at all.

        Raises:
            InputError: The file cannot be written, or exists and `overwrite` is false.
        """
        storage.write_track_text(path, self.kind, self.values, self._attributes(), overwrite=overwrite)

    def to_text(self) -> str:
        """Returns the track as the JSON text that `from_text` reads."""
        return storage.track_text(self.kind, self.values, self._attributes())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Reads a track that `save` wrote.

        Raises:
            InputError: The file is missing or cannot be read.
            FormatError: The file is not a track of this class, is too large or breaks a rule of the format.
        """
        return cls.from_text(storage.read_text(path, max_bytes=storage.MAX_TRACK_BYTES), source=str(path))

    @classmethod
    def from_text(cls, text: str, *, source: str = "text") -> Self:
        """Parses the JSON form of a track of this class; `source` names it in errors.

        Raises:
            FormatError: As `load`.
        """
        return cls.from_document(storage.parse_document(text, source), source=source)

    @classmethod
    def from_document(cls, document: storage.Document, *, source: str) -> Self:
        """Builds the track from a parsed document, refusing unknown and missing keys.

        Raises:
            FormatError: As `load`.
        """
        names = [field.name for field in dataclasses.fields(cls) if field.name != "values"]
        attributes = storage.check_document(document, kind=cls.kind, names=names, source=source)
        try:
            return cls(values=storage.values_array(document["values"], source), **attributes)
        except UsageError as error:
            raise FormatError(f"{source}: {error}") from error

    def _attributes(self) -> dict[str, Any]:
        """Every field but the values, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "values"
        }


def _frozen_array(values: ArrayLike, owner: str, dimensions: tuple[int, ...]) -> FloatArray:
    """A read-only float32 copy of `values` with one of the allowed numbers of axes."""
    with np.errstate(over="ignore"):  # what overflows float32 is infinite, which is refused below
        array = np.array(values, dtype=np.float32)
    if array.ndim not in dimensions or 0 in array.shape:
        axes = " or ".join(map(str, dimensions))
        raise UsageError(
            f"{owner} values have shape {array.shape}; they need {axes} axes, none of them empty"
        )
    if np.isinf(array).any():
        raise UsageError(f"{owner} values hold an infinity; use finite numbers, or NaN for 'not measured'")
    array.setflags(write=False)
    return array
