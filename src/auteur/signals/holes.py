"""Frames that were not measured, filled: unknown is never zero.

A hole is a run of NaN in one channel between measured frames. Holes of up to half a second are bridged; over
longer ones the channel eases out to rest and back in. At the ends of a track, where one neighbour is missing,
short holes hold the other one.
"""

from fractions import Fraction
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from auteur.signals.track import Track
from auteur.signals.tracks import AUTrack

BRIDGED_SEC = Fraction(1, 2)
"""Longest hole that is bridged; also how long easing takes on each side of a longer one."""

AnyTrack = TypeVar("AnyTrack", bound=Track)


def unmeasured_frames(track: Track) -> int:
    """Returns in how many frames a channel is NaN that is measured in others; all, where none ever is."""
    missing = np.isnan(track.values).reshape(track.frames, -1)
    partly = missing[:, ~missing.all(axis=0)]
    return int(partly.any(axis=1).sum()) if partly.shape[1] else track.frames


def without_holes(track: AnyTrack, *, rest: float = 0.0) -> AnyTrack:
    """Returns the track without NaN; times stay as they are.

    Args:
        track: Values [T, channels] or [T, channels, axes].
        rest: What a channel eases to in holes of over half a second, and what one that is never measured
            holds.
    """
    if not np.isnan(track.values).any():
        return track
    values = np.array(track.values, dtype=np.float64)
    columns = values.reshape(track.frames, -1)
    longest = float(BRIDGED_SEC * track.rate)
    for index in np.flatnonzero(np.isnan(columns).any(axis=0)):
        columns[:, index] = _filled(columns[:, index], longest, rest)
    return track.replace(values=values)


def measured(track: AUTrack) -> AUTrack:
    """Returns the channels that are measured in some frame, without holes.

    Channels that are never measured are left out, so that `auteur.facs.convert` may let others stand in for
    them; a track of such channels alone stays whole, at rest.
    """
    known = np.flatnonzero((~np.isnan(track.values)).sum(axis=0))
    if 0 < known.size < len(track.channels):
        names = tuple(track.channels[index] for index in known)
        track = track.replace(values=track.values[:, known], channels=names)
    return without_holes(track)


def _filled(values: NDArray[np.float64], longest: float, rest: float) -> NDArray[np.float64]:
    places = np.arange(len(values))
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return np.full(len(values), rest)
    bridged = np.interp(places, known, values[known])
    last = np.searchsorted(known, places, side="right") - 1
    before = np.where(last >= 0, places - known[np.maximum(last, 0)], np.inf)
    following = np.minimum(last + 1, known.size - 1)
    after = np.where(last + 1 < known.size, known[following] - places, np.inf)
    # The frames of a hole count by the time between its measured neighbours; at an end, to the only one.
    nearest = np.where(np.isinf(before), known[0], np.where(np.isinf(after), len(values) - known[-1], 0))
    width = np.where(np.isinf(before) | np.isinf(after), nearest, before + after) - 1
    eased = rest + _share(before, longest) * (values[known[np.maximum(last, 0)]] - rest)
    eased += _share(after, longest) * (values[known[following]] - rest)
    is_hole = np.isnan(values)
    return np.where(is_hole & (width > longest), eased, np.where(is_hole, bridged, values))


def _share(distance: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """1 at a measured frame, 0 from `longest` frames away on, smooth between (a raised cosine)."""
    return (1 + np.cos(np.pi * np.clip(distance / max(longest, 1.0), 0, 1))) / 2
