"""A video as a folder: one PNG per frame and the sound beside them."""

import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import MediaError
from auteur.media.audio_writer import write_sound
from auteur.media.frame_writer import FrameWriter, check_frame
from auteur.media.image import save_marked_png
from auteur.media.output import marked_folder
from auteur.media.soundtrack import Soundtrack
from auteur.media.video_writer import channels_of, sound_blocks
from auteur.provenance.mark import Mark
from auteur.signals import Sound

SOUND_NAME = "sound.wav"


class FrameFolderWriter(FrameWriter):
    """Writes frames as 00001.png, 00002.png, … and the sound as sound.wav into a folder, whole or not at all.

    Every file carries the mark; the sidecar lies beside the folder, as `<folder>.json`. Frames may have
    transparency. Sound is cut where it outlasts the frames by more than one.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size_px: tuple[int, int],
        rate: Fraction | int,
        mark: Mark,
        audio: Sound | Soundtrack | None = None,
        overwrite: bool = False,
        is_transparent: bool = False,
    ) -> None:
        """Checks the settings; nothing is written before the block is entered.

        Args:
            path: The folder to make; it may exist if it is empty.
            size_px: (width, height) of the frames, 16 to 8192 each.
            rate: Frames per second, by which the sound is cut.
            mark: How the video was made.
            audio: Its sound.
            overwrite: Whether a folder of such frames may be replaced; any other folder stays.
            is_transparent: Whether frames are RGBA.

        Raises:
            UsageError: A setting is outside its range.
        """
        super().__init__(path, size_px, rate, mark, overwrite=overwrite)
        self._audio, self._is_transparent = audio, is_transparent

    @contextmanager
    def _output(self) -> Generator[None]:
        with marked_folder(self._path, mark=self._mark, overwrite=self._overwrite) as self._folder:
            yield
            self._finish()

    def write(self, image: NDArray[np.uint8]) -> None:
        """Appends one frame, uint8 RGB [H, W, 3]; RGBA [H, W, 4], not premultiplied, with transparency.

        Raises:
            UsageError: The array is no picture or not of the stated size.
            MediaError: The file cannot be written, for instance because the disk is full.
        """
        check_frame(image, self._size_px, number=self.frames, is_transparent=self._is_transparent)
        name = f"{self.frames + 1:05d}.png"
        try:
            save_marked_png(self._folder / name, self._watermarked(image), mark=self._mark)
        except OSError as error:
            raise MediaError(f"cannot write {name!r} in {str(self._path)!r}: {error.strerror}") from error
        self.frames += 1

    def _finish(self) -> None:
        self._check_frames()
        if self._audio is not None:
            most = math.ceil(Fraction(self.frames + 1) / self._rate * self._audio.rate_hz)
            write_sound(
                self._folder / SOUND_NAME,
                first_samples(sound_blocks(self._audio), most),
                rate_hz=self._audio.rate_hz,
                channels=channels_of(self._audio),
                mark=self._mark,
            )


def first_samples(blocks: Iterator[NDArray[np.float32]], most: int) -> Iterator[NDArray[np.float32]]:
    """Yields blocks [S, C] up to so many samples."""
    for block in blocks:
        yield block[:most]
        most -= min(most, len(block))
        if not most:
            return
