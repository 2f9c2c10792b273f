"""Stage "read": the pictures of a recording at 25 per second, by time and never by number."""

import math
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.lab.corpora import Recording
from auteur.lab.prepare.options import RATE
from auteur.media import read_image
from auteur.media.video_tail import VideoTail
from auteur.signals.timebase import exact_seconds

Picture = NDArray[np.uint8]
"""RGB, [H, W, 3]."""


def first_frame(recording: Recording) -> int:
    """Returns the number, at 25 per second from the start of the video, of a recording's first frame."""
    return math.ceil(exact_seconds(recording.start_seconds, "start_seconds") * RATE)


def pictures_of(recording: Recording) -> Generator[Picture]:
    """Yields the pictures of a recording at 25 per second, or its only one, cut to its box.

    Each is what is on screen at its time: frames of a faster video are left out, of a slower one repeated. A
    recording that begins late in a long video costs no more than one that begins early, where the video lists
    its key frames.

    Raises:
        MediaError: The video cannot be read.
        InputError: The recording begins behind the end of its video, or its box lies outside the picture.
    """
    if recording.medium == "picture":
        picture = read_image(recording.video)
        box = _box_of(recording, picture.shape[1], picture.shape[0])
        yield picture if box is None else np.ascontiguousarray(picture[box])
        return
    first = first_frame(recording)
    stop = math.inf
    if recording.stop_seconds is not None:
        stop = math.ceil(exact_seconds(recording.stop_seconds, "stop_seconds") * RATE)
    is_empty = True
    with VideoTail(recording.video, start_sec=first / RATE) as video:
        box = _box_of(recording, *video.size_px)
        for frame in video.frames_at(RATE):
            if frame.index >= stop:
                break
            if frame.index >= first:
                is_empty = False
                yield frame.image if box is None else np.ascontiguousarray(frame.image[box])
    if is_empty:
        raise InputError(
            f"{str(recording.video)!r} has no picture from {recording.start_seconds:g} s on; "
            "check the begin of the recording in the annotation"
        )


def _box_of(recording: Recording, width: int, height: int) -> tuple[slice, slice] | None:
    if recording.box is None:
        return None
    left, top, right, bottom = recording.box
    x0, y0 = max(0, round(left)), max(0, round(top))
    x1, y1 = min(width, round(right)), min(height, round(bottom))
    if x1 - x0 < 2 or y1 - y0 < 2:
        raise InputError(
            f"the box {recording.box} lies outside {str(recording.video)!r}, which is {width}x{height} "
            "pixels; is the annotation for another resolution?"
        )
    return slice(y0, y1), slice(x0, x1)
