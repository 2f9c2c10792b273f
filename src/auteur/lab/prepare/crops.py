"""Stages "crop" and "encode": the squares around a face, as H.264 that comes out the same everywhere."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from auteur.face.crops import CropFrame, cropped, frame_of_landmarks
from auteur.lab.data.encoded_video import encode_video
from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.clock import Clock
from auteur.lab.prepare.frames import Picture
from auteur.lab.prepare.options import RATE, PrepareOptions
from auteur.signals.timebase import local_linear_smooth

Floats = NDArray[np.floating]

ROOM = 1.1
"""Side of the square that a face needs at least, wherever it moves in a clip, in units of its extent."""

STEADY_FRAMES = 3.0
"""Standard deviation of the smoothing of squares that follow the face."""

_JPEG_QUALITY = 95


def squares(landmarks: Floats, options: PrepareOptions) -> list[CropFrame]:
    """Returns the square of each frame for landmarks [T, 478, 3] px."""
    own = [frame_of_landmarks(points, crop_to_face=options.crop_to_face) for points in landmarks]
    if options.align == "frame":
        return _steadied(own)
    points = landmarks[..., :2].reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float(np.median([frame.side_px for frame in own])), ROOM * float((high - low).max()))
    middle = (low + high) / 2
    return [CropFrame((float(middle[0]), float(middle[1])), side)] * len(own)


def _steadied(frames: list[CropFrame]) -> list[CropFrame]:
    values = np.array([(*frame.center_px, np.log(frame.side_px), frame.roll_rad) for frame in frames])
    values[:, 3] = np.unwrap(values[:, 3])
    steady = local_linear_smooth(values.astype(np.float32), sigma_frames=STEADY_FRAMES).astype(np.float64)
    return [CropFrame((x, y), float(np.exp(side)), roll) for x, y, side, roll in steady.tolist()]


@dataclass(frozen=True, eq=False)
class Framed:
    """A clip and the square of each of its frames."""

    clip: Clip
    squares: list[CropFrame]
    kept: int
    """Number of the frame whose crop is also kept as a picture."""


def crop_videos(
    pictures: Iterable[Picture], clips: Iterable[Framed], options: PrepareOptions, clock: Clock
) -> Iterator[tuple[bytes, Picture]]:
    """Yields the video and the kept crop of each clip; clips are in order and do not overlap."""
    remaining, at = iter(pictures), 0
    for framed in clips:
        for _ in islice(remaining, framed.clip.first - at):
            pass
        at = framed.clip.first + framed.clip.frames
        crops = _Crops(islice(remaining, framed.clip.frames), framed, options.size_px, clock)
        with clock.stage("encode"):
            video = encode_video(crops, rate=RATE, crf=options.crf)
        yield video, crops.kept[0]


class _Crops:
    """The crops of a clip, made when they are read; keeps one of them."""

    def __init__(self, pictures: Iterable[Picture], framed: Framed, size_px: int, clock: Clock) -> None:
        self._pictures, self._framed, self._size_px, self._clock = pictures, framed, size_px, clock
        self.kept: list[Picture] = []

    def __iter__(self) -> Iterator[Picture]:
        for number, (picture, square) in enumerate(zip(self._pictures, self._framed.squares, strict=True)):
            with self._clock.stage("crop"):
                crop = cropped(picture, square, self._size_px)
            if number == self._framed.kept:
                self.kept.append(crop)
            yield crop


def jpeg_of(picture: Picture) -> bytes:
    """Returns a JPEG at quality 95 without subsampled colour."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return out.getvalue()
