"""The requested performance, in every form in which it can be stated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.curve import MAX_STRENGTH, NON_NEUTRAL_EMOTIONS, EmotionCurve
from auteur.facs import (
    ACTION_UNITS,
    CONTROLS,
    UNSHOWN_UNITS,
    au_track,
    find_emotion,
    prototype,
    resolve,
)
from auteur.formats import RecordedPerformance, TrackReading, read_recorded
from auteur.motion.course import course_of
from auteur.motion.grid import MOTION_RATE
from auteur.motion.performance import LipSource, as_specified, covers_lips
from auteur.signals import AUTrack, PoseTrack, measured

LARGEST_SCALE = 4.0
_GAZE_CONTROLS = frozenset(name for n in (61, 62, 63, 64) for name in ACTION_UNITS[n].controls)


@dataclass(frozen=True)
class PerformanceRequest:
    """An emotion, single Action Units and curves; all of them are optional and add up.

    Where two specify the same control, `action_units` wins, otherwise the larger value counts. `scales` come
    last and act on all of it.
    """

    emotion: str | None = None
    """One of the eight labels or a word for one (`auteur.facs.EMOTIONS`)."""
    intensity: float = 1.0
    """Of the emotion, in [0, 1.2]; over 1 extrapolates."""
    action_units: Mapping[str, float] = field(default_factory=dict[str, float])
    """Intensity in [0, 1] by control, in either vocabulary: {"AU12": 0.6} or {"smile_left": 0.6}."""
    track: AUTrack | Path | None = None
    """Curves, or a file of them in any format that `auteur.formats` reads."""
    scales: Mapping[str, float] = field(default_factory=dict[str, float])
    """Factor from 0 to 4 by control, on the whole request: {"AU12": 1.5, "AU4": 0}. Products above 1 are
    clipped to 1."""
    emotion_curve: EmotionCurve | None = None
    """Emotions and their strengths over time instead of one emotion throughout."""
    track_reading: TrackReading = field(default_factory=TrackReading)
    """Rate, face and start of the track, where its file does not state them."""
    drive: Path | None = None
    """A video of an actor, who is tracked: face, head, gaze and blinks, in place of a track."""
    lips: LipSource | None = None
    """Source of the lips; None: the track where it measures how far the mouth opens, else the speech."""
    head_track: Path | PoseTrack | Literal["track", "none"] = "track"
    """Where head motion comes from: the track's own, if it has any; another file; or "none" of them."""
    gaze_track: Path | Literal["track", "none"] = "track"
    """Where gaze comes from, as `head_track`."""

    def __post_init__(self) -> None:
        if not 0 <= self.intensity <= MAX_STRENGTH:
            raise UsageError(f"intensity is {self.intensity}; it must be between 0 and {MAX_STRENGTH:g}")
        if self.emotion_curve is not None and self.emotion is not None:
            raise UsageError("give either an emotion or an emotion curve")
        if self.emotion_curve is not None and self.intensity != 1:
            raise UsageError(
                f"intensity is {self.intensity:g}, and an emotion curve has strengths of its own: "
                "write happy:0.5 into it"
            )
        for name, value in self.action_units.items():
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}; intensities must be between 0 and 1")
            control = resolve(name)
            if control.number in UNSHOWN_UNITS:
                raise UsageError(
                    f"{name} ({control.unit.name.lower()}) cannot be shown: nothing in a generated face "
                    "moves with it; `auteur units` lists what does"
                )
        for name, factor in self.scales.items():
            if not 0 <= factor <= LARGEST_SCALE:
                raise UsageError(
                    f"the scale of {name} is {factor}; it must be between 0 and {LARGEST_SCALE:g}"
                )
            resolve(name)
        if self.emotion is not None:
            find_emotion(self.emotion)
        self.single_units()
        if self.lips not in (None, "speech", "track", "both"):
            raise UsageError(f"lips is {self.lips!r}; choose speech, track or both")
        if self.lips in ("track", "both") and self.track is None and self.drive is None:
            raise UsageError(f"lips {self.lips!r} need a track; name one, or leave them to the speech")
        if self.track is not None and self.drive is not None:
            raise UsageError("give either a track or a video of an actor, not both")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is requested, so that the expression follows from the speech."""
        nothing = self.emotion is None and self.emotion_curve is None
        return nothing and not self.action_units and self.track is None and self.drive is None

    @property
    def emotions(self) -> EmotionCurve | None:
        """The emotion or the emotion curve, as a curve; None for neither."""
        if self.emotion is None:
            return self.emotion_curve
        return EmotionCurve.constant(self.emotion, self.intensity)

    @cached_property
    def recorded(self) -> RecordedPerformance | None:
        """Contents of the track file, with head pose and gaze; read once.

        Raises:
            FormatError: The file is none that can be read.
        """
        if self.drive is not None:
            from auteur.tracking.actor import track_actor  # a request without an actor loads no tracker

            return track_actor(self.drive, self.track_reading)
        if isinstance(self.track, AUTrack):
            return RecordedPerformance(action_units=self.track).starting(self.track_reading.start_sec)
        return None if self.track is None else read_recorded(self.track, self.track_reading)

    def check_covers(self, speech_sec: Fraction) -> None:
        """Reads the track, if there is one, and raises its errors early.

        Raises:
            FormatError: The file is none that can be read.
            UsageError: None of it lies within the speech.
        """
        if self.recorded is None:
            return
        track = self.recorded.action_units
        end_sec = track.start_sec + track.duration_sec
        if end_sec <= 0 or track.start_sec >= speech_sec:
            raise UsageError(
                f"the track covers {float(track.start_sec):g} s to {float(end_sec):g} s, none of the "
                f"{float(speech_sec):.2f} s of speech; set its start with --track-start"
            )

    def files(self) -> dict[str, Path]:
        """Returns the files that the request names, by role."""
        named = {
            "track": self.track,
            "drive": self.drive,
            "head_track": self.head_track,
            "gaze_track": self.gaze_track,
        }
        return {role: value for role, value in named.items() if isinstance(value, Path)}

    @property
    def source(self) -> Path | None:
        """The file that stands for the performance: the actor's video or the track."""
        return self.drive if self.drive is not None else self.track if isinstance(self.track, Path) else None

    def sources(self) -> dict[str, str]:
        """Returns the settings of lips, head and gaze, as text by name, for the record of an output."""
        named = {"lips": self.lips, "head_from": self.head_track, "gaze_from": self.gaze_track}
        return {name: value for name, value in named.items() if isinstance(value, str) and value != "track"}

    @property
    def lip_source(self) -> LipSource:
        """Source of the lips: as requested, or the track where it measures how far the mouth opens."""
        if self.lips is not None:
            return self.lips
        if self.recorded is None:
            return "speech"
        return "track" if covers_lips(as_specified(measured(self.recorded.action_units))) else "speech"

    def override(self, frames: int) -> NDArray[np.float64]:
        """Returns the share of the portrait's own expression that is removed, [T] in [0, 1].

        Recorded tracks and emotion curves replace it wholly, an emotion as far as its intensity, single units
        not at all.
        """
        if self.recorded is not None or self.emotion_curve is not None:
            return np.ones(frames)
        return np.full(frames, 0.0 if self.emotion is None else min(self.intensity, 1.0))

    def single_units(self) -> dict[str, float]:
        """Returns the intensities of single controls, by control of the convention "facs"."""
        return {
            channel: float(value)
            for name, value in self.action_units.items()
            for channel in resolve(name).channels
        }

    @property
    def turns_eyes(self) -> bool:
        """Whether single controls turn the eyes."""
        return bool(_GAZE_CONTROLS & self.single_units().keys())

    def recorded_units(self, frames: int) -> AUTrack | None:
        """Returns the recorded units on the motion grid, "facs", NaN where not specified; None for no track.

        Controls that `action_units` gives are 0: those values win, and are added. Gaze of the track is left
        out where `gaze_track` is not the track.
        """
        if self.recorded is None:
            return None
        track = as_specified(measured(self.recorded.action_units))
        track = self._without_single(track.resample(MOTION_RATE, start_sec=0, frames=frames))
        if self.gaze_track == "track":
            return track
        values = np.array(track.values)
        values[:, [name in _GAZE_CONTROLS for name in track.channels]] = np.nan
        return track.replace(values=values)

    def expressed_units(self, track: AUTrack) -> AUTrack:
        """Returns a route's units, convention "facs" on the motion grid, in the form of `recorded_units`.

        Blinks are not specified: routes describe expressions, most of them a few times a second.
        """
        values = np.array(track.values)
        values[:, [CONTROLS.index("AU45L"), CONTROLS.index("AU45R")]] = np.nan
        return self._without_single(track.replace(values=values))

    def strengths(self, frames: int, *, seed: int, liveliness: float) -> NDArray[np.float64] | None:
        """Returns the strength of each of `NON_NEUTRAL_EMOTIONS`, [T, 7]; None for no emotion.

        A label is an emotion that is held, with an onset and slow waves (`auteur.motion.course`); a curve
        states its own course.

        Args:
            frames: T.
            seed: Of the waves.
            liveliness: Factor on them.
        """
        if self.emotions is None:
            return None
        strengths = self.emotions.at(np.arange(frames) / float(MOTION_RATE))
        if self.emotion is not None:
            strengths = strengths * course_of(NON_NEUTRAL_EMOTIONS, frames, seed=seed, liveliness=liveliness)
        return strengths.astype(np.float64)

    def added_units(self, frames: int, *, strengths: NDArray[np.float64] | None) -> AUTrack | None:
        """Returns single controls and fixed prototypes of emotions, "facs", T frames; None for nothing.

        Args:
            frames: T.
            strengths: Of each of `NON_NEUTRAL_EMOTIONS`, [T, 7]; None where no emotion is requested, or a
                route expresses it.
        """
        values = np.zeros((frames, len(CONTROLS)))
        if strengths is not None and self.emotions is not None:
            for emotion in self.emotions.emotions:
                apex = prototype(emotion, convention="facs")
                full = np.array([apex[name] for name in CONTROLS])
                values += strengths[:, NON_NEUTRAL_EMOTIONS.index(emotion), None] * full
            values = np.clip(values, 0, 1)
        for name, value in self.single_units().items():
            values[:, CONTROLS.index(name)] = value
        return au_track(values, convention="facs", rate=MOTION_RATE) if values.any() else None

    def scaled(self, track: AUTrack | None) -> AUTrack | None:
        """Returns a track with the factors of `scales`; None stays None."""
        if track is None or not self.scales:
            return track
        values = np.array(track.values)
        for name, factor in self.scales.items():
            columns = [track.channels.index(c) for c in resolve(name).channels if c in track.channels]
            # A control at factor 0 is at rest; without a value it would be left to the motion model.
            values[:, columns] = np.clip(values[:, columns] * factor, 0, 1) if factor else 0
        return track.replace(values=values)

    def _without_single(self, track: AUTrack) -> AUTrack:
        values = np.array(track.values)
        values[:, [name in self.single_units() for name in track.channels]] = 0
        return track.replace(values=values)
