"""The performance: the one type that routes fill, motion follows and renderers are conditioned on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.facs import ACTION_UNITS, CONTROLS, convert, lossiness
from auteur.motion.grid import MOTION_RATE
from auteur.signals import AUTrack, ExpressionTrack, PoseTrack

Floats = NDArray[np.floating[Any]]

LipSource = Literal["speech", "track", "both"]
"""Source of the lips: the speech, the Action Units, or both."""

OPENING_UNITS = (8, 25, 26, 28)
ARTICULATION_UNITS = (*OPENING_UNITS, 16, 18, 22, 23, 24, 29, 30)
"""Units that form speech sounds; left to the speech where it is the source of the lips."""

ARTICULATION_CONTROLS = frozenset(
    name for number in ARTICULATION_UNITS if number in ACTION_UNITS for name in ACTION_UNITS[number].controls
)

MOUTH_UNITS = (*ARTICULATION_UNITS, 6, 7, 9, 10, 11, 12, 13, 14, 15, 17, 20, 27, 34)
"""Units that move the mouth, or that people raise together with it."""

MOUTH_CONTROLS = frozenset(
    name for number in MOUTH_UNITS if number in ACTION_UNITS for name in ACTION_UNITS[number].controls
)


class Origin(StrEnum):
    """Origin of a control's values."""

    REQUESTED = "requested"
    """A user gave them."""
    HEARD = "heard"
    """A model predicted them from the speech."""
    IDLE = "idle"
    """Nothing specifies them: they are left to the motion model."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpressionShapes:
    """An expression trajectory as weights of mesh shapes: finer than Action Units can express."""

    weights: Floats
    """[T, E] at 25 fps from time 0; a shorter one holds its end."""
    shapes: Floats
    """[E, 478, 3] mm of the canonical head, lids and gaze left alone."""
    space: str
    """Name of the expression space that the weights belong to."""

    def displacement_mm(self, part: slice) -> Floats:
        """Returns the displacement [frames, 478, 3] of some frames."""
        rows = np.minimum(np.arange(part.start, part.stop), len(self.weights) - 1)
        return np.tensordot(self.weights[rows], self.shapes, axes=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Performance:
    """Everything a face does over time, on the motion grid (25 fps from time 0). Immutable; None is idle.

    There are two ways for Action Units to act. What describes the face as a whole (a recorded track,
    predicted units) conditions the motion model, paper C's u_t; single controls and labelled emotions are
    displacements of the Action Unit basis on top, since a model of whole faces follows single units only
    weakly.
    """

    frames: int
    """T."""
    acted: AUTrack | None = None
    """Units that condition the motion model, convention "facs", T frames; NaN where not specified."""
    added: AUTrack | None = None
    """Units that are added by the basis, convention "facs", T frames."""
    expression: ExpressionShapes | None = None
    """An expression that is added as mesh shapes."""
    head: PoseTrack | None = None
    """Relative to the portrait's pose, convention "relative_canonical_mm", T frames."""
    gaze_rad: Floats | None = None
    """Turn of the eyes in the head [T, 2]: x (+ to the picture's right), y (+ down)."""
    posture: PoseTrack | None = None
    """Added to head motion that is drawn, same convention as `head`: how an emotion holds the head."""
    posture_gaze_rad: Floats | None = None
    """Added to gaze that is drawn [T, 2], as `gaze_rad`."""
    lips: LipSource = "speech"
    override: Floats | None = None
    """Share of the portrait's own expression that is removed, [T] in [0, 1]; None: 0."""
    origins: Mapping[str, Origin] = field(default_factory=dict[str, Origin])
    """By control of the convention "facs"; controls that are missing are idle."""
    summary: AUTrack | None = None
    """`expression` as Action Units, for files and plots."""
    notes: tuple[str, ...] = ()
    """Sentences about rules that applied to the speech."""
    emotions: Floats | None = None
    """Strength of each of `auteur.facs.EMOTIONS` [T, 8], for motion models that are conditioned on labels;
    None: no emotion is requested."""
    trajectory: ExpressionTrack | None = None
    """The expression vectors that a route predicts, at 25 fps from time 0, for denoisers that are conditioned
    on vectors of this space."""

    def __post_init__(self) -> None:
        """Refuses tracks that are not on the motion grid."""
        tracks = {"acted": self.acted, "added": self.added, "head": self.head, "posture": self.posture}
        for name, track in tracks.items():
            if track is not None and (track.frames, track.rate, track.start_sec) != (
                self.frames,
                MOTION_RATE,
                0,
            ):
                raise UsageError(
                    f"{name} has {track.frames} frames at {float(track.rate):g}/s from "
                    f"{float(track.start_sec):g} s; the performance has {self.frames} at "
                    f"{float(MOTION_RATE):g}/s from 0 s: resample it"
                )
        for name, track in (("acted", self.acted), ("added", self.added)):
            if track is not None and (track.convention != "facs" or track.channels != CONTROLS):
                raise UsageError(
                    f"{name} is in the convention {track.convention!r}; convert it to 'facs', all controls"
                )

    @property
    def action_units(self) -> AUTrack | None:
        """The requested units, convention "facs": the larger of acted and added; None without any."""
        if self.summary is not None:
            return self.summary
        tracks = [track for track in (self.acted, self.added) if track is not None]
        if not tracks:
            return None
        values = np.fmax.reduce([track.values for track in tracks])
        return tracks[0].replace(values=np.nan_to_num(values))

    def with_spoken_lips(self) -> "Performance":
        """Returns the performance with a mouth that the speech moves; its expression is added by the basis.

        Units that form speech sounds are left to the speech. The others of the mouth would, as conditions,
        calm it: faces that were filmed with such values are mostly silent.
        """
        if self.acted is None:
            return self
        values = np.array(self.acted.values)
        is_mouth = np.array([name in MOUTH_CONTROLS for name in self.acted.channels])
        is_sound = np.array([name in ARTICULATION_CONTROLS for name in self.acted.channels])
        expressed = np.where(is_mouth & ~is_sound, np.nan_to_num(values), 0)
        if self.added is not None:
            expressed = np.fmax(self.added.values, expressed)
        values[:, is_mouth] = np.nan
        return replace(
            self,
            acted=self.acted.replace(values=values),
            added=self.acted.replace(values=expressed),
            summary=self.action_units,
        )

    def later(self, first: int) -> "Performance":
        """Returns the performance without its first frames."""
        return self._changed(-first, lambda rows: rows[min(first, len(rows) - 1) :])

    def held_before(self, frames: int) -> "Performance":
        """Returns the performance with `frames` frames before it that hold its first one."""
        return self._changed(
            frames, lambda rows: np.pad(rows, ((frames, 0), *[(0, 0)] * (rows.ndim - 1)), mode="edge")
        )

    def _changed(self, added: int, rows_of: Callable[[Floats], Floats]) -> "Performance":
        if not added:
            return self
        changes: dict[str, Any] = {"frames": self.frames + added}
        for name in ("acted", "added", "head", "posture", "summary"):
            if (track := getattr(self, name)) is not None:
                changes[name] = track.replace(values=rows_of(track.values))
        for name in ("gaze_rad", "posture_gaze_rad", "override", "emotions"):
            if (values := getattr(self, name)) is not None:
                changes[name] = rows_of(values)
        if (shapes := self.expression) is not None:
            changes["expression"] = replace(shapes, weights=rows_of(shapes.weights))
        return replace(self, **changes)

    def origin(self, control: str) -> Origin:
        """Returns the origin of a control's values."""
        return self.origins.get(control, Origin.IDLE)


def specified_controls(track: AUTrack) -> tuple[str, ...]:
    """Returns the controls of "facs" that a track of any convention measures, in order."""
    measured = [name for name in track.channels if not np.isnan(track.channel(name)).all()]
    made = lossiness(track.convention, "facs", channels=measured)
    return tuple(name for name in CONTROLS if made[name].kind != "absent")


def as_specified(track: AUTrack) -> AUTrack:
    """Returns a track in the convention "facs", NaN for controls that it does not measure."""
    controls = specified_controls(track)
    whole = convert(track, "facs")
    values = np.array(whole.values)
    values[:, [name not in controls for name in whole.channels]] = np.nan
    return whole.replace(values=values)


def covers_lips(track: AUTrack) -> bool:
    """Returns whether a "facs" track measures how far the mouth opens and it ever does."""
    opening = [name for number in (25, 26) for name in ACTION_UNITS[number].controls]
    values = track.values[:, [track.channels.index(name) for name in opening]]
    return bool(np.nan_to_num(values).any())
