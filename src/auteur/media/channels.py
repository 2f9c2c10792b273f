"""Channels of a sound: how many become two, and two become one."""

from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from auteur.errors import MediaError

Weights = NDArray[np.float32]

_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Layouts of files that state only the number of their channels."""
_RATE_HZ = 48_000


@cache
def to_stereo(layout: str, channels: int, name: str) -> Weights:
    """Returns weights [C, 2] of the channels on the left and the right, or [1, 1] for mono.

    They are FFmpeg's own (ITU-R BS.775: centre and surrounds at -3 dB, no low-frequency channel), scaled so
    that what is in full scale stays there.

    Args:
        layout: FFmpeg's name of the layout.
        channels: Their number.
        name: The file, for errors.

    Raises:
        MediaError: The layout is unknown.
    """
    if channels < 1:
        raise MediaError(f"{name} states a sound of {channels} channels; it is damaged")
    if channels <= 2:
        return np.eye(channels, dtype=np.float32)
    for known in (layout, _USUAL_LAYOUTS.get(channels, layout)):
        try:
            if av.AudioLayout(known).nb_channels == channels:
                mixed = _mixed(known, channels)
                return (mixed / np.abs(mixed).sum(axis=0).max()).astype(np.float32)
        except (ValueError, FFmpegError):
            continue
    raise MediaError(f"{name} has {channels} channels of layout {layout!r}; mix it down to stereo first")


def _mixed(layout: str, channels: int) -> NDArray[np.float64]:
    """FFmpeg's rule as a matrix, from its output for each channel alone."""
    alone = np.eye(channels, dtype=np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(alone, "flt", layout)
    frame.sample_rate, frame.pts, frame.time_base = _RATE_HZ, 0, Fraction(1, _RATE_HZ)
    resampler = av.AudioResampler("flt", "stereo", _RATE_HZ)
    parts = [part.to_ndarray() for part in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate(parts, axis=1).reshape(-1, 2)[:channels].astype(np.float64)
