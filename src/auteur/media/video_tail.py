"""The end of a video: what comes before the last key frame of the part that is skipped is not decoded."""

from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame as DecodedFrame
from av.video.stream import VideoStream

from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.container import fraction_of
from auteur.media.container import start_sec as zero_of
from auteur.media.video_reader import VideoFrame, VideoReader

_INDEXED = frozenset(("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"))
"""Formats that list their key frames with their times; others are decoded from the start."""


class VideoTail(VideoReader):
    """A `VideoReader` that begins near a given time.

    Frames come as from `VideoReader`, bit for bit, but it may begin later: at the last key frame that is not
    after `start_sec`. So the frame that is on screen at `start_sec`, and all after it, are the same; their
    `index` counts from the first one that comes. In `frames_at`, frames before `start_sec` show that first
    one, and from `start_sec` on all is the same.

    Example:
        with VideoTail("interview.mp4", start_sec=Fraction(300)) as video:
            for frame in video.frames_at(25):
                if frame.time_sec >= 300:
                    ...
    """

    def __init__(
        self, path: Path | str, *, start_sec: Fraction | int, budget: Budget = DEFAULT_BUDGET
    ) -> None:
        """Reads the header; raises as `VideoReader`."""
        super().__init__(path, budget=budget)
        self._start_sec = Fraction(start_sec)
        self._may_seek = self._start_sec > 0

    def _read(self) -> Generator[VideoFrame]:
        if self._may_seek:
            frames = super()._read()
            first = next(frames, None)
            if first is not None and first.time_sec <= self._start_sec:
                yield first
                yield from frames
                return
            # There is no key frame before it, or the list of them is not true.
            frames.close()
            self._may_seek = False
        yield from super()._read()

    def _times(
        self, container: InputContainer, stream: VideoStream, name: str
    ) -> Iterator[tuple[DecodedFrame, Fraction]]:
        tick_sec = fraction_of(stream.time_base)
        if not self._may_seek or container.format.name not in _INDEXED or tick_sec is None:
            return super()._times(container, stream, name)
        ticks = int((self._start_sec + zero_of(container)) / tick_sec)
        try:
            container.seek(ticks, stream=stream, backward=True)
        except FFmpegError:
            return iter(())
        # Pictures shown before the key frame need some that were skipped.
        return dropwhile(lambda timed: not timed[0].key_frame, super()._times(container, stream, name))
