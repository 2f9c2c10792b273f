"""Long recordings in pieces: overlapping chunks, and frames of them stitched without jumps."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_FRAMES = 40
"""Eight seconds at 5 frames a second: about as long as the clips that models are trained on."""
OVERLAP_FRAMES = 8
"""Over 1.6 s one chunk fades into the next."""


@dataclass(frozen=True)
class Chunk:
    """Frames `first` to `stop` (excluded) of a recording."""

    first: int
    stop: int

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.stop - self.first


def chunks_of(frames: int, *, longest: int = CHUNK_FRAMES, overlap: int = OVERLAP_FRAMES) -> list[Chunk]:
    """Returns chunks that cover a recording; neighbours share at least `overlap` frames."""
    if frames <= longest:
        return [Chunk(0, frames)]
    count = -(-(frames - overlap) // (longest - overlap))
    last = frames - longest
    return [Chunk(start := round(i * last / (count - 1)), start + longest) for i in range(count)]


class Stitcher:
    """Joins chunks as they are written: inside an overlap the old one fades out and the new one in.

    Frames are returned as soon as no later chunk can change them.

    Args:
        chunks: Of `chunks_of`.
        units: Numbers per frame.
    """

    def __init__(self, chunks: list[Chunk], units: int) -> None:
        self._chunks, self._units = chunks, units
        self._tail = np.zeros((0, units), np.float32)
        """Intensities of the previous chunk in the frames that it shares with the current one."""

    def stitch(self, index: int, written: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yields the frames [units] that chunk `index` makes final, while its own are being written."""
        chunk = self._chunks[index]
        shared = len(self._tail)
        settled = chunk.frames
        if index + 1 < len(self._chunks):
            settled = self._chunks[index + 1].first - chunk.first
        kept: list[NDArray[np.float32]] = []
        for t, frame in enumerate(written):
            if t < shared:
                share = (t + 1) / (shared + 1)
                frame = (1 - share) * self._tail[t] + share * frame
            if t < settled:
                yield frame
            else:
                kept.append(frame)
        self._tail = np.stack(kept) if kept else np.zeros((0, self._units), np.float32)
