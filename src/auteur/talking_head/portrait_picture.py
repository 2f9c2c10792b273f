"""The portrait: a still picture, or a frame of a video."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from auteur.errors import FaceError
from auteur.face.backend import FaceBackend, FaceReading
from auteur.media import VideoReader, probe, read_image
from auteur.talking_head.portrait_notes import read_portrait

LONGEST_SIDE_PX = 1920
SEARCHED_SEC = 20
"""How much of a video is searched for a face."""
_SEARCH_RATE = Fraction(5)

Frames = NDArray[np.uint8]


def open_portrait(
    backend: FaceBackend, path: Path, *, face: int = 0
) -> tuple[Frames, FaceReading, tuple[str, ...]]:
    """Returns a portrait of at most 1920 px a side, its face, and warnings about what limits its quality.

    Of a video it is the first frame with a usable face, searched at five frames per second.

    Args:
        backend: The face tracker.
        path: A picture or a video.
        face: Which face: 0 the largest, 1 the next.

    Raises:
        MediaError: The file cannot be read.
        FaceError: There is no usable face, in a video none within its first 20 s.
    """
    if probe(path).kind != "video":
        picture = fitted(read_image(path, side_px=LONGEST_SIDE_PX))
        return (picture, *read_portrait(backend, picture, face=face, name=path.name))
    first_error: FaceError | None = None
    with VideoReader(path) as video:
        for frame in video.frames_at(_SEARCH_RATE):
            if frame.time_sec > SEARCHED_SEC:
                break
            picture = fitted(frame.image)
            try:
                reading, notes = read_portrait(backend, picture, face=face, name=path.name)
            except FaceError as error:
                first_error = first_error or error
                continue
            seconds = float(frame.time_sec)
            return picture, reading, (f"the portrait is the video's frame at {seconds:.2f} s", *notes)
    cause = f": {first_error}" if first_error else ""
    raise FaceError(
        f"no frame in the first {SEARCHED_SEC} s of {path.name!r} can be the portrait{cause}; give a picture"
    )


def fitted(picture: Frames) -> Frames:
    """Returns a picture [H, W, 3] whose longer side is at most 1920 px."""
    scale = LONGEST_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (round(picture.shape[0] * scale), round(picture.shape[1] * scale))
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    smaller = functional.interpolate(pixels, size, mode="area")[0]
    return smaller.round().byte().permute(1, 2, 0).contiguous().numpy()
