"""Adjustment of Action Unit curves: scale, mute, offset and smoothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from auteur.errors import UsageError
from auteur.facs import dropped_channels, find_convention, resolve
from auteur.signals import AUTrack

LARGEST_SCALE = 10.0


@dataclass(frozen=True)
class Adjustment:
    """Adjustments of a track: smooth, scale, offset, mute, in this order; then values are clipped.

    Names are of either vocabulary (`AU12`, `smile_left`); one that a convention merges with others acts on
    the merged channel.
    """

    scale: Mapping[str, float] = field(default_factory=dict[str, float])
    """Factor per control, 0 to 10."""
    offset: Mapping[str, float] = field(default_factory=dict[str, float])
    """Added intensity per control, -1 to 1."""
    mute: tuple[str, ...] = ()
    """Controls set to 0."""
    smooth_sec: float = 0.0
    """Standard deviation of the smoothing over time, 0 to 10 s."""

    def __post_init__(self) -> None:
        for name, value in self.scale.items():
            if not 0 <= value <= LARGEST_SCALE:
                raise UsageError(
                    f"the scale of {name} is {value}; it must be between 0 and {LARGEST_SCALE:g}"
                )
        for name, value in self.offset.items():
            if not -1 <= value <= 1:
                raise UsageError(f"the offset of {name} is {value}; it must be between -1 and 1")
        if not 0 <= self.smooth_sec <= 10:
            raise UsageError(f"smoothing is over {self.smooth_sec} s; it must be between 0 and 10 seconds")
        for name in (*self.scale, *self.offset, *self.mute):
            resolve(name)

    def applied(self, track: AUTrack) -> AUTrack:
        """Returns the adjusted track, same times and channels; NaN stays NaN.

        Raises:
            UsageError: A control is unknown, or the track's convention has no channel for it.
        """
        convention = find_convention(track.convention)
        smooth = track.smooth(self.smooth_sec)
        values = np.array(smooth.values)
        for name, factor in self.scale.items():
            values[:, columns_of(name, track)] *= factor
        for name, added in self.offset.items():
            values[:, columns_of(name, track)] += added * convention.maximum
        for name in self.mute:
            values[:, columns_of(name, track)] = 0
        return smooth.replace(values=np.clip(values, 0, convention.maximum))


def columns_of(control: str, track: AUTrack) -> list[int]:
    """Returns the columns of a track that measure a control.

    Raises:
        UsageError: The control is unknown, or no channel of the track measures it.
    """
    wanted = set(resolve(control).channels)
    entries = find_convention(track.convention).entries
    names = {entry.name for entry in entries if wanted & set(entry.controls)}
    found = [column for column, name in enumerate(track.channels) if name in names]
    if not found:
        missing = ", ".join(dropped_channels("facs", track.convention)[:8])
        raise UsageError(
            f"{control!r} has no channel in {track.convention}; that convention cannot show {missing}, …"
        )
    return found
