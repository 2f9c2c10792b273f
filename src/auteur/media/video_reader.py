"""Frames of a video, one at a time, each with its time."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self, cast

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame as DecodedFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from auteur.errors import MediaError, UsageError
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.container import open_container, start_sec, stream_sec, video_stream
from auteur.media.orientation import upright
from auteur.media.probe import MediaInfo, frame_orientation, limit_pixels, probe, square_size
from auteur.media.source import open_source


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One picture of a video."""

    image: NDArray[np.uint8]
    """uint8 RGB [H, W, 3], upright, square pixels."""
    index: int
    """Position in the sequence it came from, from 0."""
    time_sec: Fraction
    """When it is shown. Zero is the earliest picture or sound of the file."""


class VideoReader:
    """Reads a video frame by frame; memory does not grow with its length.

    Every iteration starts at the first frame and ends the one before it. Rotation flags are applied,
    non-square pixels are stretched to squares, interlaced frames are given as they are. Time stamps are the
    truth; a frame that has none, or one that is not later than the frame before, is placed one average period
    after it.

    Example:
        with VideoReader("clip.mp4") as video:
            for frame in video:
                ...
    """

    info: MediaInfo
    """The result of `probe` for the file."""
    frame_rate: Fraction
    """Average frames per second, exactly as stored (30000/1001 stays 30000/1001)."""

    def __init__(self, path: Path | str, *, budget: Budget = DEFAULT_BUDGET) -> None:
        """Reads the header.

        Raises:
            MediaError: The file is missing, damaged, no video, of a refused kind or over the budget.
        """
        self.info = probe(path, budget=budget)
        if self.info.frame_rate is None:
            raise MediaError(f"{str(path)!r} holds no video; give an MP4, MOV, MKV, WEBM, AVI or MPG file")
        self.frame_rate = self.info.frame_rate
        self._budget = budget
        self._frames: Generator[VideoFrame] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; an iteration that is under way ends."""
        if self._frames is not None:
            self._frames.close()
            self._frames = None

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of every frame."""
        return cast("tuple[int, int]", (self.info.width_px, self.info.height_px))

    def __iter__(self) -> Iterator[VideoFrame]:
        """All frames with their own times.

        Raises:
            MediaError: The content is damaged, cut short, changes its size or breaks the budget.
        """
        self.close()
        self._frames = self._read()
        return self._frames

    def frames_at(self, rate: Fraction | int) -> Iterator[VideoFrame]:
        """Frames at the times 0, 1/rate, 2/rate, ...: each time the picture that is on screen then.

        Frames are repeated or left out as needed; before the first time stamp the first frame is shown, and
        the last one is shown for one average period. At the video's own constant rate every frame comes
        exactly once.

        Raises:
            UsageError: `rate` is outside 0 to the budget's highest frame rate.
            MediaError: As when iterating.
        """
        if not 0 < rate <= self._budget.max_frame_rate:
            raise UsageError(
                f"rate is {rate}; it must be above 0 and at most {self._budget.max_frame_rate} frames/s"
            )
        return self._resample(Fraction(rate))

    def _resample(self, rate: Fraction) -> Iterator[VideoFrame]:
        period = 1 / self.frame_rate
        # Containers that count in milliseconds stamp a frame up to a tick late.
        tolerance = min(Fraction(1, 1000), period / 4, 1 / rate / 4)
        shown: VideoFrame | None = None
        index = 0
        for frame in self:
            while shown is not None and index / rate + tolerance < frame.time_sec:
                yield VideoFrame(shown.image, index, index / rate)
                index += 1
                self._budget.check_frames(repr(str(self.info.path)), index)
            shown = frame
        while shown is not None and index / rate + tolerance < shown.time_sec + period:
            yield VideoFrame(shown.image, index, index / rate)
            index += 1

    def _read(self) -> Generator[VideoFrame]:
        with (
            open_source(self.info.path, self._budget) as source,
            open_container(source, self._budget) as container,
        ):
            stream = video_stream(container, source.name)
            if stream is None:
                raise MediaError(f"{source.name} has changed since it was opened; it holds no video now")
            limit_pixels(stream, source.name, self._budget)
            stream.thread_type = "AUTO"
            times = self._times(container, stream, source.name)
            for index, (frame, time_sec) in enumerate(times):
                yield VideoFrame(self._pixels(frame, stream, source.name), index, time_sec)

    def _times(
        self, container: InputContainer, stream: VideoStream, name: str
    ) -> Iterator[tuple[DecodedFrame, Fraction]]:
        zero, period = start_sec(container), 1 / self.frame_rate
        previous = -period
        for index, frame in enumerate(container.decode(stream)):
            stamp = stream_sec(stream, frame.pts)
            time_sec = previous + period if stamp is None or stamp - zero <= previous else stamp - zero
            self._budget.check_frames(name, index + 1)
            self._budget.check_duration(name, time_sec)
            yield frame, time_sec
            previous = time_sec

    def _pixels(self, frame: DecodedFrame, stream: VideoStream, name: str) -> NDArray[np.uint8]:
        width_px, height_px = square_size(stream, frame, name, self._budget)
        rgb = frame.reformat(width=width_px, height=height_px, format="rgb24").to_ndarray()
        image = upright(cast("NDArray[np.uint8]", rgb), frame_orientation(frame, name))
        if (image.shape[1], image.shape[0]) != self.size_px:
            was, now = self.size_px, (image.shape[1], image.shape[0])
            raise MediaError(
                f"{name} changes its size from {was} to {now} pixels midway; convert it to one size"
            )
        return image
