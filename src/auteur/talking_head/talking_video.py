"""A video whose frames are made on demand: written, read one by one, or shown in a notebook."""

import base64
import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur import provenance
from auteur.errors import UsageError
from auteur.media import QUALITIES, Soundtrack, has_sound, open_frames, resized
from auteur.signals import AUTrack, Sound
from auteur.signals.curves_svg import curves_svg
from auteur.talking_head.finishing import Finishing
from auteur.talking_head.settings import Settings

MOST_BYTES_AT_ONCE = 8_000_000_000
"""Limit of `to_numpy`, in bytes."""

_SHOWN_SEC = 20
_SHOWN_PX = 480

Frames = NDArray[np.uint8]


class FrameSequence(ABC):
    """A video of a known number of frames, each of which is made on demand.

    `len(video)` is the number of frames, `for frame in video` yields them in order.

    Attributes:
        frame_count: Number of frames, 1 or more.
        au_track: The requested performance, convention "facs", or None.
        sound: The recording.
        mark: How the video is made; written into every output.
    """

    frame_count: int
    au_track: AUTrack | None

    def __init__(
        self, *, settings: Settings, sound: Sound | Soundtrack, mark: provenance.Mark, finishing: Finishing
    ) -> None:
        self._settings, self._finishing = settings, finishing
        self.sound, self.mark = sound, mark

    @property
    def fps(self) -> Fraction:
        """Frames per second."""
        return self._settings.fps

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self._finishing.view.size_px

    @property
    def is_transparent(self) -> bool:
        """Whether frames are RGBA."""
        return self._finishing.is_transparent

    @abstractmethod
    def frames(self) -> Generator[Frames]:
        """Yields the frames in order, uint8 [H, W, 3], or [H, W, 4] with transparency."""

    @abstractmethod
    def _frame_alone(self, number: int) -> Frames:
        """Returns one frame without those before it."""

    @property
    def duration(self) -> Fraction:
        """Length in seconds: frames / fps."""
        return self.frame_count / self.fps

    def __len__(self) -> int:
        return self.frame_count

    def __iter__(self) -> Iterator[Frames]:
        return self.frames()

    def frame(self, time_sec: float | Fraction) -> Frames:
        """Returns the frame that is shown at a time, uint8 [H, W, 3 or 4], without making those before it.

        A denoiser that is conditioned on past frames has none here, so its frame may differ slightly from
        the same one of the whole video.

        Args:
            time_sec: In seconds, from 0 to the end of the video.

        Raises:
            UsageError: The time is outside the video.
        """
        if not 0 <= time_sec <= self.duration:
            raise UsageError(
                f"there is no frame at {float(time_sec):g} s; the video lasts from 0 to "
                f"{float(self.duration):g} s"
            )
        return self._frame_alone(min(math.floor(time_sec * self.fps), self.frame_count - 1))

    def to_numpy(self) -> Frames:
        """Returns all frames, uint8 [T, H, W, 3], or [T, H, W, 4] with transparency.

        Raises:
            UsageError: They are more than 8 GB; go through them one by one instead.
        """
        width, height = self.size_px
        size = (self.frame_count, height, width, 4 if self.is_transparent else 3)
        if math.prod(size) > MOST_BYTES_AT_ONCE:
            raise UsageError(
                f"{self.frame_count} frames of {width}x{height} are {math.prod(size) / 1e9:.0f} GB; at most "
                f"{MOST_BYTES_AT_ONCE / 1e9:g} GB are held; go through the video frame by frame, or choose a "
                "smaller size"
            )
        every = np.empty(size, np.uint8)
        for number, frame in enumerate(self):
            every[number] = frame
        return every

    def save(
        self, path: Path | str, *, overwrite: bool = False, on_frame: Callable[[int], None] | None = None
    ) -> None:
        """Writes the marked video with the speech, whole or not at all.

        Args:
            path: Ends in .mp4, .mov, .webm or .gif (without sound); a name without ending is a folder of PNGs
                and the sound. Transparent frames need .webm, .mov or a folder.
            overwrite: Whether it may replace a file, or a folder of such frames.
            on_frame: Called with the number of frames done; raising an error in it cancels, leaving nothing.

        Raises:
            UsageError: The ending is another, or cannot hold the frames.
            InputError: The file or folder cannot be written.
        """
        path = Path(path)
        writer = open_frames(
            path,
            size_px=self.size_px,
            rate=self.fps,
            mark=self.mark,
            audio=self.sound if has_sound(path) else None,
            overwrite=overwrite,
            quality_crf=QUALITIES[self._settings.quality],
            is_transparent=self.is_transparent,
        )
        with writer as video, closing(self.frames()) as frames:
            for done, frame in enumerate(frames, start=1):
                video.write(frame)
                if on_frame:
                    on_frame(done)

    def __repr__(self) -> str:
        width, height = self.size_px
        return (
            f"{type(self).__name__}({self.frame_count} frames of {width}x{height} at {self.fps} frames/s, "
            f"{float(self.duration):.2f} s)"
        )

    def _repr_html_(self) -> str:
        """A player and the curves of what was requested, for notebooks; the first 20 s, at most 480 px."""
        if not hasattr(self, "_shown_html"):
            self._shown_html = self._html()
        return self._shown_html

    def _html(self) -> str:
        width, height = self.size_px
        scale = min(1.0, _SHOWN_PX / max(width, height))
        small = (max(16, 2 * round(width * scale / 2)), max(16, 2 * round(height * scale / 2)))
        most = math.ceil(_SHOWN_SEC * self.fps)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "shown.mp4"
            writer = open_frames(path, size_px=small, rate=self.fps, mark=self.mark, audio=self.sound)
            with writer as video, closing(self.frames()) as frames:
                for frame, _ in zip(frames, range(most), strict=False):
                    video.write(resized(_on_white(frame), *small))
            content = base64.b64encode(path.read_bytes()).decode("ascii")
        curves = "" if self.au_track is None else curves_svg(self.au_track)
        cut = f"; the first {_SHOWN_SEC} s are shown" if self.frame_count > most else ""
        return (
            f'<div><video controls loop width="{small[0]}" height="{small[1]}" '
            f'src="data:video/mp4;base64,{content}"></video>'
            f"<div>{self.frame_count} frames, {width}x{height}, {float(self.fps):g} frames/s, "
            f"AI-generated{cut}</div>{curves}</div>"
        )


def _on_white(frame: Frames) -> Frames:
    if frame.shape[2] == 3:
        return frame
    share = frame[..., 3:].astype(np.float32) / 255
    return np.rint(frame[..., :3] * share + 255 * (1 - share)).astype(np.uint8)
