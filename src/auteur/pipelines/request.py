"""What a user asks a face to show, in any of the ways they may say it, as one track of Action Units."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.curve import DIALLED, STRONGEST, EmotionCurve
from auteur.facs import CONTROLS, au_track, convert, find_emotion, prototype, resolve
from auteur.formats import RecordedPerformance, TrackReading, read_recorded
from auteur.signals import AUTrack, measured

LARGEST_SCALE = 4.0


@dataclass(frozen=True)
class Performance:
    """An emotion, single Action Units and curves; all of them are optional and add up.

    Where two ask for the same control, `action_units` wins, otherwise the larger value counts. `scales` come
    last and touch everything.
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
    """Factor from 0 to 4 by control, on the whole of what is asked for: {"AU12": 1.5, "AU4": 0}. What would
    pass 1 stays at 1."""
    emotion_curve: EmotionCurve | None = None
    """Emotions and their strengths over time instead of one emotion throughout."""
    track_reading: TrackReading = field(default_factory=TrackReading)
    """Rate, face and start of the track, where its file cannot say them."""

    def __post_init__(self) -> None:
        if not 0 <= self.intensity <= STRONGEST:
            raise UsageError(f"intensity is {self.intensity}; it must be between 0 and {STRONGEST:g}")
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
        for name, factor in self.scales.items():
            if not 0 <= factor <= LARGEST_SCALE:
                raise UsageError(
                    f"the scale of {name} is {factor}; it must be between 0 and {LARGEST_SCALE:g}"
                )
            resolve(name)
        self.constants()

    @property
    def asks_nothing(self) -> bool:
        """Whether what to show is left to the speech."""
        nothing = self.emotion is None and self.emotion_curve is None
        return nothing and not self.action_units and self.track is None

    @property
    def emotions(self) -> EmotionCurve | None:
        """The emotion or the emotion curve, as a curve; None for neither."""
        if self.emotion is None:
            return self.emotion_curve
        return EmotionCurve.constant(self.emotion, self.intensity)

    def constants(self) -> dict[str, float]:
        """Returns what is asked for throughout, by control of the convention "facs".

        Raises:
            UsageError: The emotion or a control is unknown; the message names the nearest known one.
        """
        values: dict[str, float] = {}
        if self.emotion is not None:
            apex = prototype(find_emotion(self.emotion), convention="facs")
            asked = {name: min(value * self.intensity, 1.0) for name, value in apex.items()}
            values |= {name: value for name, value in asked.items() if value > 0}
        return values | self._single_units()

    @cached_property
    def recorded(self) -> RecordedPerformance | None:
        """What the track file holds, head pose and gaze too; read once.

        Raises:
            FormatError: The file is none that can be read.
        """
        if isinstance(self.track, AUTrack):
            return RecordedPerformance(action_units=self.track).starting(self.track_reading.start_sec)
        return None if self.track is None else read_recorded(self.track, self.track_reading)

    def check_covers(self, speech_sec: Fraction) -> None:
        """Reads the track, if there is one, and says early what is wrong with it.

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
                f"{float(speech_sec):.2f} s of speech; say when it starts with --track-start"
            )

    def curves(self) -> AUTrack | None:
        """Returns the asked curves in the convention "facs", as long as they are, without holes.

        Raises:
            FormatError: The file is none that can be read.
        """
        return None if self.recorded is None else convert(measured(self.recorded.action_units), "facs")

    def on_grid(self, frames: int, rate: Fraction, *, expression: AUTrack | None = None) -> AUTrack | None:
        """Returns all that is asked for as one "facs" track from time 0; None for nothing.

        Args:
            frames: How many.
            rate: Frames per second.
            expression: What a route made of the speech and the emotion (`auteur.pipelines.routes`); it takes
                the place of the emotion's fixed prototype.
        """
        constants = self._single_units() if expression is not None else self.constants()
        shown = self._prototypes(frames, rate) if expression is None else expression
        tracks = [track for track in (self.curves(), shown) if track is not None]
        if not constants and not tracks:
            return None
        if not tracks:
            values = np.tile(np.array(list(constants.values()), dtype=np.float32), (frames, 1))
            track = AUTrack(values=values, rate=rate, channels=tuple(constants), convention="facs")
            return self._scaled(track)
        whole = [convert(measured(track), "facs") for track in tracks]
        grids = [track.resample(rate, start_sec=0, frames=frames) for track in whole]
        values = np.max([grid.values for grid in grids], axis=0)
        single = self._single_units()
        for name, value in constants.items():
            column = grids[0].channels.index(name)
            values[:, column] = value if name in single else np.maximum(values[:, column], value)
        return self._scaled(grids[0].replace(values=values))

    def takeover(self, frames: int) -> NDArray[np.float64]:
        """Returns how far the performance directs the whole face, [T] in [0, 1].

        Curves direct it wholly, those of emotions as well; an emotion as far as its intensity, single units
        not at all.
        """
        if self.track is not None or self.emotion_curve is not None:
            return np.ones(frames)
        return np.full(frames, 0.0 if self.emotion is None else min(self.intensity, 1.0))

    def leaves_alone(self, expression: AUTrack) -> bool:
        """Returns whether nothing asked for changes a unit that a route's expression moves ("facs")."""
        moved = {name for name in expression.channels if expression.channel(name).any()}
        return not self.scales and not moved & self._single_units().keys()

    def _single_units(self) -> dict[str, float]:
        return {
            channel: float(value)
            for name, value in self.action_units.items()
            for channel in resolve(name).channels
        }

    def _prototypes(self, frames: int, rate: Fraction) -> AUTrack | None:
        """The fixed prototypes of a curve's emotions, each as strong as the curve says; blends add up."""
        if self.emotion_curve is None:
            return None
        strengths = self.emotion_curve.at(np.arange(frames) / float(rate))
        values = np.zeros((frames, len(CONTROLS)))
        for emotion in self.emotion_curve.emotions:
            apex = prototype(emotion, convention="facs")
            values += strengths[:, DIALLED.index(emotion), None] * np.array([apex[name] for name in CONTROLS])
        return au_track(np.clip(values, 0, 1), convention="facs", rate=rate)

    def _scaled(self, track: AUTrack) -> AUTrack:
        values = np.array(track.values)
        for name, factor in self.scales.items():
            columns = [track.channels.index(c) for c in resolve(name).channels if c in track.channels]
            values[:, columns] = np.clip(values[:, columns] * factor, 0, 1)
        return track.replace(values=values)
