"""Stages "crop" and "encode": the squares around a face, as H.264 that comes out the same everywhere.

`media.VideoWriter` is not for this: it marks what it writes as made by a model, and these are recordings of
people.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from auteur.data.prepare.clips import Clip
from auteur.data.prepare.clock import Clock
from auteur.data.prepare.frames import Picture
from auteur.data.prepare.options import RATE, PrepareOptions
from auteur.face.crops import CropFrame, cropped, frame_of_landmarks
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
    """Number of the frame whose crop is wanted as a picture, too."""


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
    """The crops of a clip as they are asked for; remembers one of them."""

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


def encode_video(pictures: Iterable[Picture], *, rate: Fraction, crf: int) -> bytes:
    """Returns an MP4 (H.264, 4:2:0, BT.709) of uint8 RGB [H, W, 3] pictures with even sides.

    Same pictures, same bytes: one thread, since the bytes of x264 depend on how many there are; and without
    its macroblock tree, whose choices differed from call to call at 96, 112, 160 and 192 px.
    """
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = None
        for number, picture in enumerate(pictures):
            if stream is None:
                settings = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
                stream = container.add_stream("libx264", rate=rate, options=settings)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                context = stream.codec_context
                context.thread_count, context.time_base = 1, 1 / rate
                context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
                context.color_range = 1  # limited
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
    return out.getvalue()


def decode_video(data: bytes) -> NDArray[np.uint8]:
    """Returns the pictures [T, H, W, 3] of a video that `encode_video` made."""
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        frames = [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in container.decode(video=0)]
    return np.stack(frames)


def jpeg_of(picture: Picture) -> bytes:
    """Returns a JPEG at quality 95 without subsampled colour."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return out.getvalue()
