"""What a user asks a face to show, in any of the ways they may say it, as one track of Action Units."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from auteur.errors import UsageError
from auteur.facs import convert, find_emotion, prototype, resolve
from auteur.formats import read_au_track
from auteur.signals import AUTrack


@dataclass(frozen=True)
class Performance:
    """An emotion, single Action Units and curves; all of them are optional and add up.

    Where two ask for the same control, `action_units` wins, otherwise the larger value counts.
    """

    emotion: str | None = None
    """One of the eight labels or a word for one (`auteur.facs.EMOTIONS`)."""
    intensity: float = 1.0
    """Of the emotion, in [0, 1]."""
    action_units: Mapping[str, float] = field(default_factory=dict[str, float])
    """Intensity in [0, 1] by control, in either vocabulary: {"AU12": 0.6} or {"smile_left": 0.6}."""
    track: AUTrack | Path | None = None
    """Curves, or a file of them in any format that `auteur.formats` reads."""

    def __post_init__(self) -> None:
        if not 0 <= self.intensity <= 1:
            raise UsageError(f"intensity is {self.intensity}; it must be between 0 and 1")
        for name, value in self.action_units.items():
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}; intensities must be between 0 and 1")
        self.constants()

    def constants(self) -> dict[str, float]:
        """Returns what is asked for throughout, by control of the convention "facs".

        Raises:
            UsageError: The emotion or a control is unknown; the message names the nearest known one.
        """
        values: dict[str, float] = {}
        if self.emotion is not None:
            asked = prototype(find_emotion(self.emotion), self.intensity, convention="facs")
            values |= {name: value for name, value in asked.items() if value > 0}
        for name, value in self.action_units.items():
            values |= dict.fromkeys(resolve(name).channels, float(value))
        return values

    def curves(self) -> AUTrack | None:
        """Returns the asked curves in the convention "facs", as long as they are.

        Raises:
            FormatError: The file is none that can be read.
        """
        if self.track is None:
            return None
        track = self.track if isinstance(self.track, AUTrack) else read_au_track(self.track)
        return convert(track, "facs")

    def on_grid(self, frames: int, rate: Fraction) -> AUTrack | None:
        """Returns all that is asked for as one "facs" track from time 0; None for nothing."""
        constants, curves = self.constants(), self.curves()
        if not constants and curves is None:
            return None
        if curves is None:
            values = np.tile(np.array(list(constants.values()), dtype=np.float32), (frames, 1))
            return AUTrack(values=values, rate=rate, channels=tuple(constants), convention="facs")
        curves = curves.resample(rate, start_sec=0, frames=frames)
        values = np.nan_to_num(np.array(curves.values))
        fixed = {channel for name in self.action_units for channel in resolve(name).channels}
        for name, value in constants.items():
            column = curves.channels.index(name)
            values[:, column] = value if name in fixed else np.maximum(values[:, column], value)
        return curves.replace(values=values)
