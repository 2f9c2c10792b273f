"""What writers of videos, GIFs and folders of frames share: checks, and output that appears whole."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from auteur.errors import MediaError, UsageError
from auteur.media.image import check_pixels
from auteur.provenance.mark import Mark
from auteur.watermark.embedding import embedder_of

_SIDE_RANGE_PX = (16, 8192)
_MAX_RATE = 240
_MAX_RATE_TERM = 1_000_000


class FrameWriter(ABC):
    """A marked video being written: entered, given every frame in order, left.

    The output and its sidecar appear when the block ends without an error, or not at all. Every frame gets
    the watermark of the run (`auteur.watermark`).
    """

    frames: int
    """Frames written so far."""

    def __init__(
        self, path: Path | str, size_px: tuple[int, int], rate: Fraction | int, mark: Mark, *, overwrite: bool
    ) -> None:
        self._path, self._size_px, self._rate = Path(path), check_size(size_px), exact_frame_rate(rate)
        self._overwrite = overwrite
        self._embedder, self._mark = embedder_of(mark, self._size_px)
        self._stack = ExitStack()
        self.frames = 0

    def __enter__(self) -> Self:
        """Opens the output under a temporary name.

        Raises:
            InputError: The folder is missing or cannot be written to, or something is in the way.
        """
        with ExitStack() as stack:
            stack.enter_context(self._output())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    @abstractmethod
    def _output(self) -> AbstractContextManager[None]:
        """Returns the block in which frames are written; it finishes what is written where it ends well."""

    @abstractmethod
    def write(self, image: NDArray[np.uint8]) -> None:
        """Appends one frame, uint8 [H, W, 3], or [H, W, 4] with transparency."""

    def _watermarked(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns a frame with the watermark, unless the mark switches it off or frames are too small."""
        return image if self._embedder is None else self._embedder(image)

    def _check_frames(self) -> None:
        if not self.frames:
            raise MediaError(
                f"cannot write {str(self._path)!r}: no frame was given; a video has at least one"
            )

    @contextmanager
    def _encoder_errors(self) -> Generator[None]:
        try:
            yield
        except FFmpegError as error:
            raise MediaError(f"cannot write {str(self._path)!r}: {error.strerror}") from error


def check_size(size_px: tuple[int, int]) -> tuple[int, int]:
    """Returns a (width, height) that videos can have.

    Raises:
        UsageError: A side is outside 16 to 8192.
    """
    low, high = _SIDE_RANGE_PX
    if not all(low <= side <= high for side in size_px):
        raise UsageError(
            f"size_px is {size_px}; both sides must be {low} to {high} pixels; resize the frames"
        )
    return size_px


def check_frame(
    image: NDArray[np.uint8], size_px: tuple[int, int], *, number: int, is_transparent: bool = False
) -> None:
    """Refuses arrays that cannot be a frame of a video of that size.

    Raises:
        UsageError: The array is no picture, or not of the stated size.
    """
    check_pixels(image, channels=4 if is_transparent else 3)
    if (image.shape[1], image.shape[0]) != size_px:
        raise UsageError(
            f"frame {number} is {image.shape[1]}x{image.shape[0]} pixels, the video "
            f"{size_px[0]}x{size_px[1]}; give every frame that size"
        )


def exact_frame_rate(rate: Fraction | int) -> Fraction:
    """Returns a frame rate as a fraction.

    Raises:
        UsageError: It is rounded, or outside what videos can have.
    """
    # A float is refused although the type excludes it: int(29.97) and 29.97 are the classic way to lose sync.
    if isinstance(rate, float):
        raise UsageError(f"rate is {rate}, a rounded number; give a Fraction such as 30000/1001 for 29.97")
    exact = Fraction(rate)
    if not 0 < exact <= _MAX_RATE or max(exact.numerator, exact.denominator) > _MAX_RATE_TERM:
        raise UsageError(
            f"rate is {exact}; it must be above 0 and at most {_MAX_RATE} frames/s with terms "
            f"up to {_MAX_RATE_TERM}"
        )
    return exact
