"""The kinds of track that pass between stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from auteur.errors import FormatError, UsageError
from auteur.files import write_text
from auteur.signals import storage
from auteur.signals.curves_svg import curves_svg
from auteur.signals.topology import LANDMARK_CONVENTIONS
from auteur.signals.track import FloatArray, Track

POSE_CHANNELS = ("pitch", "yaw", "roll", "x", "y", "z")
"""Channels of a `PoseTrack`: three angles in radians, then three translations."""

GAZE_CHANNELS = ("yaw", "pitch")
"""Channels of a `GazeTrack`: two angles in radians."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AUTrack(Track):
    """Action Units over time, values [T, A].

    `convention` is "facs" ([0, 1], every unit and side: the hub of all conversions), "feafa24" ([0, 1]),
    "openface17" or "openface18" (0 to 5), "arkit52" ([0, 1]) or "pyfeat20" (probabilities); `auteur.facs`
    defines each channel and converts between them.
    """

    kind: ClassVar[str] = "au"

    def _repr_html_(self) -> str:
        """The curves that move most, for notebooks."""
        return f"<div>{escape(repr(self))}</div>{curves_svg(self)}"

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Writes the track, whole or not at all: as a table where `path` ends in ".csv", as JSON otherwise.

        `auteur.formats.read_au_track` reads both.

        Raises:
            InputError: The file cannot be written, or exists and `overwrite` is false.
        """
        if Path(path).suffix.lower() == ".csv":
            write_text(path, au_table_text(self), overwrite=overwrite)
        else:
            super().save(path, overwrite=overwrite)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LandmarkTrack(Track):
    """Points of a face over time, values [T, L, 2 or 3] in pixels of a picture of `image_size_px`.

    x grows to the picture's right and y downwards from the top-left corner; depth is in the same pixel unit,
    smaller is nearer to the camera (MediaPipe's sign). `convention` is "mediapipe478", "c162" or "ibug68" and
    gives the channel names unless they are given.
    """

    kind: ClassVar[str] = "landmarks"
    value_dimensions: ClassVar[tuple[int, ...]] = (3,)

    channels: tuple[str, ...] = ()
    image_size_px: tuple[int, int]
    """Width and height of the picture, at least 1 each."""

    def __post_init__(self) -> None:
        _default_channels(self, LANDMARK_CONVENTIONS.get(self.convention, ()))
        object.__setattr__(self, "image_size_px", tuple(self.image_size_px))
        super().__post_init__()
        if self.values.shape[2] not in (2, 3):
            raise UsageError(f"landmarks have {self.values.shape[2]} coordinates; give x, y or x, y, depth")
        if len(self.image_size_px) != 2 or min(self.image_size_px) < 1:
            raise UsageError(
                f"image_size_px is {self.image_size_px}; give width and height, at least 1 pixel each"
            )

    def subset(self, indices: Sequence[int], *, convention: str) -> Self:
        """Only the landmarks at `indices`, in that order, as a track of another convention.

        Raises:
            UsageError: An index is outside 0 … L - 1.
        """
        if not all(0 <= index < len(self.channels) for index in indices):
            raise UsageError(f"landmark indices must be between 0 and {len(self.channels) - 1}")
        channels = LANDMARK_CONVENTIONS.get(convention) or tuple(self.channels[index] for index in indices)
        return self.replace(values=self.values[:, list(indices)], channels=channels, convention=convention)

    def centroid(self) -> FloatArray:
        """Mean over the landmarks of each frame, [T, 2 or 3] in pixels."""
        return self.values.mean(axis=1, dtype=np.float64).astype(np.float32)

    def xy(self) -> FloatArray:
        """The first two coordinates, [T, L, 2] in pixels."""
        return self.values[:, :, :2]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExpressionTrack(Track):
    """Expression vectors over time, values [T, E]; the convention is "compact50", "flame50" or the like."""

    kind: ClassVar[str] = "expression"

    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        width = np.shape(self.values)[-1] if np.ndim(self.values) == 2 else 0
        _default_channels(self, tuple(f"e{index}" for index in range(width)))
        super().__post_init__()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PoseTrack(Track):
    """Head pose over time, values [T, 6]: pitch, yaw, roll in radians, then translation x, y, z.

    Angles are the subject's: +pitch lifts the nose, +yaw turns the head to the subject's left, +roll tilts
    the head to the subject's left shoulder. `convention` names the unit and axes of the translation.
    """

    kind: ClassVar[str] = "pose"

    channels: tuple[str, ...] = POSE_CHANNELS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels != POSE_CHANNELS:
            raise UsageError(f"pose channels are {self.channels}; they must be {POSE_CHANNELS}")


@dataclass(frozen=True, kw_only=True, eq=False)
class GazeTrack(Track):
    """Gaze over time, values [T, 2]: yaw, pitch in radians, the mean of both eyes.

    Angles are the subject's, as in `PoseTrack`: +yaw looks to the subject's left, +pitch up. `convention`
    names the frame of reference: "camera" (OpenFace; includes the head's rotation) or "head".
    """

    kind: ClassVar[str] = "gaze"

    channels: tuple[str, ...] = GAZE_CHANNELS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels != GAZE_CHANNELS:
            raise UsageError(f"gaze channels are {self.channels}; they must be {GAZE_CHANNELS}")


AU_TABLE_MARK = "# auteur-au 1"
"""How our own AU tables begin; the rest of that line gives convention, rate and start."""


def au_table_text(track: AUTrack) -> str:
    """The track as CSV: a line of facts, a header, then one row per frame that starts with its time.

    Numbers are the shortest decimals that give the same float32 back; "nan" means "not measured".
    """
    facts = f"convention={track.convention} rate={track.rate} start_sec={track.start_sec}"
    lines = [f"{AU_TABLE_MARK} {facts}", ",".join(["time_sec", *track.channels])]
    cells = track.values.astype(str)
    lines += [
        ",".join([f"{time_sec:.6f}", *row]) for time_sec, row in zip(track.times_sec, cells, strict=True)
    ]
    return "\n".join(lines) + "\n"


TRACK_KINDS: dict[str, type[Track]] = {
    cls.kind: cls for cls in (AUTrack, LandmarkTrack, ExpressionTrack, PoseTrack, GazeTrack)
}
"""Class of each kind of track file."""


def load_track(path: Path | str) -> Track:
    """Reads a track file of any kind.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no track file or breaks a rule of the format.
    """
    document = storage.parse_document(storage.read_text(path, max_bytes=storage.MAX_TRACK_BYTES), str(path))
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in TRACK_KINDS:
        raise FormatError(f"{path}: track kind is {kind!r}; expected one of {', '.join(TRACK_KINDS)}")
    return TRACK_KINDS[kind].from_document(document, source=str(path))


def _default_channels(track: Track, channels: tuple[str, ...]) -> None:
    if not track.channels:
        object.__setattr__(track, "channels", channels)
