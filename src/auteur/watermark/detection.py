"""Detection: frames → estimate of the pattern → synchronisation → message."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auteur.watermark.code import CODE_BITS, TOOL, decode, encode
from auteur.watermark.embedding import SMALLEST_PX
from auteur.watermark.pattern import CHIPS, UNITS, band_pass, layout, whitening

if TYPE_CHECKING:  # it takes torch
    from torch import Tensor

    from auteur.watermark.network import PatternEstimator

FRAMES_AT_ONCE = 24
"""Frames between searches; a video in which nothing is found is read further."""
MOST_FRAMES = 96
_EARLY = (4, 8, 16)
"""Frames after which the watermark is looked for in place already."""

_PER_CHIP = 2
"""Samples per chip of the estimated pattern."""
_SCALE_STEP, _ANGLE_STEP_DEG = 1.012, 0.6
_SEARCHES = ((1.0, 0.0), (1.18, 2.4), (2.0, 2.4))
"""Largest scale and angle in degrees of each search; a later one takes longer and runs only where the one
before found nothing, the last one only once all frames are read."""
_CANDIDATES = 4
"""Alignments that a search decodes at most; the search in place has two. A file has at most 34 decoded, each
to 64 messages (`auteur.watermark.code`), of which one is wrong and passes for right in 5e-7 of all files."""
_SYNC_SIGMA = 4.5
"""Alignments below this many standard deviations are not decoded."""

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WatermarkReading:
    """The watermark found in frames."""

    found: bool
    """Whether a message with a right checksum that names this tool was read."""
    tool: str | None = None
    """Name of the tool; None where nothing was found."""
    run_id: str | None = None
    """Eight hexadecimal digits, those of the sidecar of the same run; None where nothing was found."""
    confidence: float = 0.0
    """Share of the 288 code bits that were received right, 0.5 to 1; 0 where nothing was found."""
    frames_read: int
    """Frames that were examined."""
    problem: str | None = None
    """Why nothing can be found, such as a picture that is too small; None otherwise."""


@dataclass(frozen=True)
class Alignment:
    """A place of the tile in a picture."""

    sigma: float
    """Correlation with the synchronisation chips, in standard deviations over all shifts."""
    scale: float
    """Length of a unit of the pattern in units of the picture."""
    angle_deg: float
    """Clockwise turn."""
    shift: tuple[int, int]
    """Of the tile, in samples, down and right."""
    tile: Floats
    """The estimate folded to one tile [64, 64]."""


def detect(frames: Iterable[Picture]) -> WatermarkReading:
    """Looks for the watermark of this tool in frames of one video, or in one picture.

    The estimates of the pattern are averaged over the frames. After 4, 8 and 16 frames the watermark is
    looked for in place; after every 24 also up to 18 % larger or smaller and turned by up to 2.4°; at the end
    also up to twice as large or small. At most 96 frames are taken from `frames`.

    Nothing is found in unmarked frames and in those with the watermark of another program. Frames of another
    size than the first are left out.

    Args:
        frames: uint8 RGB [H, W, 3]; every fourth or so of a video is enough.

    Raises:
        WeightsError: The weights of the detector are missing or damaged.
    """
    total, count = None, 0
    for count, frame in enumerate(_of_one_size(frames), start=1):
        if min(frame.shape[:2]) < SMALLEST_PX:
            size = f"{frame.shape[1]}x{frame.shape[0]}"
            problem = f"{size} pixels; a shorter side below {SMALLEST_PX} pixels carries no watermark"
            return WatermarkReading(found=False, frames_read=count, problem=problem)
        estimate = estimate_pattern(frame)
        total = estimate if total is None else total + estimate
        searches = 1 if count in _EARLY else 0 if count % FRAMES_AT_ONCE else 2
        reading = search(total, _SEARCHES[:searches], frames=count)
        if reading.found:
            return reading
        if count == MOST_FRAMES:
            break
    if total is None:
        return WatermarkReading(found=False, frames_read=0, problem="there is no frame")
    return search(total, _SEARCHES, frames=count)


def _of_one_size(frames: Iterable[Picture]) -> Iterator[Picture]:
    shape = None
    for frame in frames:
        shape = shape or frame.shape
        if frame.shape == shape:
            yield frame


def canonical(frame: Picture) -> "Tensor":
    """Returns the luma of uint8 RGB [H, W, 3], 256 samples along the shorter side, as [1, 1, h, w]."""
    import torch
    from torch.nn.functional import interpolate

    height, width = frame.shape[:2]
    shrink = UNITS / min(height, width)
    pixels = torch.from_numpy(np.ascontiguousarray(frame[..., :3])).permute(2, 0, 1)[None].float()
    luma = (pixels * torch.tensor([0.2126, 0.7152, 0.0722]).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    # Even sides, as the network halves them.
    size = [max(2, 2 * round(side * shrink / 2)) for side in (height, width)]
    return interpolate(luma, size=size, mode="bilinear", antialias=True, align_corners=False)


def estimate_pattern(frame: Picture) -> Floats:
    """Returns the estimated pattern, [h, w] with two samples per chip, of uint8 RGB [H, W, 3]."""
    import torch

    with torch.inference_mode():
        return _estimator()(canonical(frame))[0].numpy()


@cache
def _estimator() -> "PatternEstimator":
    from auteur.watermark.network import PatternEstimator
    from auteur.weights import load_shipped

    return load_shipped(PatternEstimator(), "watermark")


def search(
    estimate: Floats, searches: Sequence[tuple[float, float]] = _SEARCHES, *, frames: int
) -> WatermarkReading:
    """Returns the message in an averaged estimate [h, w].

    Args:
        estimate: The estimate.
        searches: Largest scale and angle in degrees of each, growing.
        frames: Number of frames that the reading reports.
    """
    for number, (scale, angle) in enumerate(searches):
        narrower = searches[number - 1] if number else None
        found = [
            alignment
            for tried in _hypotheses(scale, angle, narrower)
            for alignment in aligned(estimate, *tried)
            if alignment.sigma >= _SYNC_SIGMA
        ]
        for alignment in sorted(found, key=lambda one: -one.sigma)[:_CANDIDATES]:
            soft = soft_bits(alignment)
            run_id = decode(soft)
            if run_id is not None:
                right = float(np.mean(np.sign(soft) == encode(run_id)))
                return WatermarkReading(
                    found=True, tool=TOOL, run_id=run_id, confidence=right, frames_read=frames
                )
    return WatermarkReading(found=False, frames_read=frames)


def _hypotheses(
    largest_scale: float, largest_deg: float, narrower: tuple[float, float] | None
) -> Iterator[tuple[float, float]]:
    """Yields (scale, angle in degrees) on a grid, without those that a narrower search has tried."""
    steps = round(math.log(largest_scale) / math.log(_SCALE_STEP))
    turns = round(largest_deg / _ANGLE_STEP_DEG)
    for i in range(-steps, steps + 1):
        scale = _SCALE_STEP**i
        for j in range(-turns, turns + 1):
            is_done = (
                narrower is not None
                and max(scale, 1 / scale) <= narrower[0]
                and (abs(j * _ANGLE_STEP_DEG) <= narrower[1] + 1e-6)
            )
            if not is_done:
                yield scale, j * _ANGLE_STEP_DEG


def aligned(estimate: Floats, scale: float, angle_deg: float) -> list[Alignment]:
    """Returns the two best shifts of the tile at a scale and angle."""
    tile = folded(estimate, scale, angle_deg)
    correlation = np.fft.irfft2(np.fft.rfft2(tile) * _sync_spectrum(), tile.shape)
    correlation /= correlation.std() + 1e-12
    best = np.argsort(correlation, axis=None)[-2:]
    return [
        Alignment(
            sigma=float(correlation.flat[place]),
            scale=scale,
            angle_deg=angle_deg,
            shift=(int(place) // tile.shape[1], int(place) % tile.shape[1]),
            tile=tile,
        )
        for place in best
    ]


def folded(estimate: Floats, scale: float, angle_deg: float) -> Floats:
    """Returns an estimate [h, w], scaled and turned back, as the mean of its tiles [64, 64]."""
    import torch
    from torch.nn.functional import grid_sample

    height, width = estimate.shape
    side = CHIPS * _PER_CHIP
    rows, columns = (math.ceil(length / scale / side) for length in (height, width))
    turn = math.radians(angle_deg)
    down, right = torch.meshgrid(
        torch.arange(rows * side) + 0.5 - rows * side / 2,
        torch.arange(columns * side) + 0.5 - columns * side / 2,
        indexing="ij",
    )
    x = scale * (math.cos(turn) * right - math.sin(turn) * down) / (width / 2)
    y = scale * (math.sin(turn) * right + math.cos(turn) * down) / (height / 2)
    source = torch.from_numpy(np.stack([estimate, np.ones_like(estimate)]))[None]
    sampled = grid_sample(source, torch.stack([x, y], -1)[None], align_corners=False)[0]
    sums = sampled.reshape(2, rows, side, columns, side).sum((1, 3)).numpy()
    return sums[0] / np.maximum(sums[1], 0.25) * np.sqrt(np.maximum(sums[1], 0.25))


@cache
def _sync_spectrum() -> NDArray[np.complex64]:
    """Returns the conjugate spectrum of the band-limited synchronisation chips."""
    sync, signs, _, _ = layout()
    chips = np.zeros(CHIPS * CHIPS, np.float32)
    chips[sync] = signs
    side = CHIPS * _PER_CHIP
    impulses = np.zeros((side, side), np.float32)
    impulses[_PER_CHIP // 2 :: _PER_CHIP, _PER_CHIP // 2 :: _PER_CHIP] = chips.reshape(CHIPS, CHIPS)
    return np.conj(np.fft.rfft2(impulses) * band_pass(_PER_CHIP, side)).astype(np.complex64)


def soft_bits(alignment: Alignment) -> Floats:
    """Returns the soft decisions [288] of a tile that is aligned."""
    side = CHIPS * _PER_CHIP
    filtered = np.fft.irfft2(np.fft.rfft2(alignment.tile) * band_pass(_PER_CHIP, side), (side, side))
    rolled = np.roll(filtered, [-alignment.shift[0], -alignment.shift[1]], (0, 1))
    chips = rolled[_PER_CHIP // 2 :: _PER_CHIP, _PER_CHIP // 2 :: _PER_CHIP].reshape(-1)
    _, _, data, bits = layout()
    return np.bincount(bits, chips[data] * whitening(), CODE_BITS).astype(np.float32)
