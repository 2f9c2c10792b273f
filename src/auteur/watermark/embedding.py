"""Embedding: a picture plus the run's pattern, as strong as the texture hides it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.provenance.mark import Mark, check_run_id
from auteur.watermark.pattern import UNITS, pattern_of

SMALLEST_PX = 96
"""Pictures with a shorter side stay unmarked: less than that carries no message."""

_BLOCK = 4
"""Samples per side of the blocks in which the strength is computed."""
_FLAT, _TEXTURE = 0.55, 0.5
"""Strength on a flat area, and what the square root of a grey level of activity adds at most, both root mean
square grey levels."""
_MOST_ACTIVITY = 25
"""Grey levels of activity beyond which strength grows no further: 5 grey levels at most."""
_FULL_PX, _MOST_SIZE_FACTOR = 512, 1.6
"""Pictures with a shorter side below 512 pixels get up to 1.6 times the strength, as codecs leave less of
theirs."""
_ROOT_MEAN_SQUARE = 1.95
"""The limit for a whole picture: 42.3 dB."""

_PATTERN_STEPS, _STRENGTH_STEPS, _SHIFT = 64, 16, 10
"""Pattern and strength are whole numbers of 16 bits; their product is shifted by 10 bits to grey levels."""

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Embedder:
    """Puts the mark of one run into pictures of one size.

    The pattern is computed once; a frame then costs the strength of a coarse grid, a multiplication per pixel
    and a saturated addition. The mark of a part of the picture that stays as it is stays as it is, too. Only
    the share of texture depends on earlier frames: where a busy one has lowered it, it stays low, so that the
    mark does not pump.
    """

    def __init__(self, run_id: str, size_px: tuple[int, int]) -> None:
        """Computes the pattern.

        Args:
            run_id: Eight hexadecimal digits.
            size_px: (width, height) of the pictures; if a side is below `SMALLEST_PX`, they stay as they are.

        Raises:
            UsageError: The run id is none.
        """
        self._size_px = size_px
        check_run_id(run_id)
        self._step = max(1, round(min(size_px) / UNITS))
        self._cell = self._step * _BLOCK
        width, height = size_px
        self._pattern: NDArray[np.int16] | None = None
        size_factor = float(np.clip(_FULL_PX / min(size_px), 1, _MOST_SIZE_FACTOR))
        self._flat, self._texture = _FLAT * size_factor, _TEXTURE * size_factor
        if carries_watermark(size_px):
            pattern = np.clip(pattern_of(run_id, size_px), -5, 5) * _PATTERN_STEPS
            padded = np.pad(pattern, ((0, -height % self._cell), (0, -width % self._cell)))
            self._pattern = np.repeat(np.rint(padded).astype(np.int16), 3, axis=1)
            # Memory that every frame uses again, and the sums of columns of samples as a matrix.
            self._change = np.empty_like(self._pattern)
            self._blocks = np.repeat(np.eye(padded.shape[1] // self._cell, dtype=np.float32), _BLOCK, axis=0)

    def __call__(self, image: Picture) -> Picture:
        """Returns a marked copy of uint8 [H, W, 3], or of RGBA [H, W, 4], whose opacity stays.

        Raises:
            UsageError: The picture has another size.
        """
        if image.ndim != 3 or image.shape[2] not in (3, 4) or image.shape[1::-1] != self._size_px:
            size = f"[{self._size_px[1]}, {self._size_px[0]}, 3 or 4]"
            raise UsageError(
                f"the picture is {list(image.shape)}; it must be {size}; give every frame that size"
            )
        if self._pattern is None:
            return image
        (rows, columns), (height, width) = self._pattern.shape, image.shape[:2]
        strength = self._strength(image[..., 1], (rows // self._cell, columns // 3 // self._cell))
        steps = np.repeat(np.rint(strength * _STRENGTH_STEPS).astype(np.int16), 3 * self._cell, axis=1)
        change = self._change.reshape(-1, self._cell, columns)
        np.multiply(self._pattern.reshape(change.shape), steps[:, None], out=change)
        change += 1 << _SHIFT - 1  # so that the shift rounds
        change >>= _SHIFT
        colours = self._change[:height, : 3 * width]
        colours += image[..., :3].reshape(height, 3 * width)
        np.clip(colours, 0, 255, out=colours)
        if image.shape[2] == 3:
            return colours.astype(np.uint8).reshape(image.shape)
        marked = image.copy()
        marked[..., :3] = colours.reshape(height, width, 3)
        return marked

    def _strength(self, green: Picture, cells: tuple[int, int]) -> Floats:
        """Returns the strength in each cell [rows, columns], from the activity of the green channel."""
        rows, columns = cells
        samples = green[:: self._step, :: self._step].astype(np.float32)
        missing = (rows * _BLOCK - samples.shape[0], columns * _BLOCK - samples.shape[1])
        if any(missing):
            samples = np.pad(samples, ((0, missing[0]), (0, missing[1])), mode="edge")
        # Sums of whole numbers below 2^24, so exact in any order.
        lines = samples.reshape(rows, _BLOCK, -1)
        count = _BLOCK**2
        mean = lines.sum(1) @ self._blocks / count
        mean_square = (lines * lines).sum(1) @ self._blocks / count
        activity = np.sqrt(np.maximum(mean_square - mean**2, 0))
        # A cell is as active as the calmest around it: beside an edge the pattern would show.
        activity = np.minimum(np.minimum(activity, _smoothed(activity)), _MOST_ACTIVITY)
        visible = np.clip(np.minimum((mean + 20) / 90, (279 - mean) / 48), 0.3, 1)
        flat, texture = self._flat * visible, _smoothed(np.sqrt(activity)) * visible
        self._texture = min(self._texture, _largest_factor(flat, texture))
        return flat + self._texture * texture


def carries_watermark(size_px: tuple[int, int]) -> bool:
    """Returns whether pictures of (width, height) are large enough for a watermark."""
    return min(size_px) >= SMALLEST_PX


def embedder_of(mark: Mark, size_px: tuple[int, int]) -> "tuple[Embedder | None, Mark]":
    """Returns the embedder of a mark's run for pictures of (width, height), and the mark to record with them.

    Where the mark switches the watermark off, or the pictures are too small for one, there is no embedder,
    and the mark to record says that there is no watermark.
    """
    if mark.watermark and carries_watermark(size_px):
        return Embedder(mark.run_id, size_px), mark
    return None, replace(mark, watermark=False)


def embed(frames: Iterable[Picture], run_id: str) -> Iterator[Picture]:
    """Yields marked copies of pictures of one size, uint8 RGB [H, W, 3] or RGBA [H, W, 4].

    Raises:
        UsageError: The run id is none, or a picture has another size than the first.
    """
    embedder = None
    for frame in frames:
        embedder = embedder or Embedder(run_id, (frame.shape[1], frame.shape[0]))
        yield embedder(frame)


def _largest_factor(flat: Floats, texture: Floats) -> float:
    """Returns the largest x for which flat + x * texture stays within the limit for a whole picture."""
    square, mixed = float(np.mean(texture**2)), float(np.mean(flat * texture))
    spare = _ROOT_MEAN_SQUARE**2 - float(np.mean(flat**2))
    return (math.sqrt(mixed**2 + square * spare) - mixed) / square if square else math.inf


def _smoothed(values: Floats) -> Floats:
    """Returns the mean over 3 x 3 cells."""
    padded = np.pad(values, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return ((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9).astype(np.float32)
