"""The control picture that AniPortrait's pose guider reads (theirs: FaceMeshVisualizer.draw_landmarks).

Oval without forehead, eyes, brows and lips as lines 2 px wide on black, drawn as OpenCV draws them: bit for
bit, without OpenCV. A line is the rectangle 1 px to either side of it, filled and outlined, and a plus of
five pixels on each end, so about 3 px wide. All lines of all frames are drawn at once; later lines lie on
top.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import InputError
from auteur.signals.topology import (
    FACE_OVAL,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    MEDIAPIPE_COUNT,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
)

SIDE_PX = 512
"""The picture is always drawn at this size, then resized."""

_ONE, _HALF = 1 << 16, 1 << 15  # of the fixed-point numbers that OpenCV draws with
_THICKNESS = 2

Ints = NDArray[np.int64]


def _chain(points: tuple[int, ...], *, closed: bool = False) -> list[tuple[int, int]]:
    pairs = list(pairwise(points))
    return [*pairs, (points[-1], points[0])] if closed else pairs


def _quarters(lips: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Lower and upper lip, each from its right corner to the middle and from there to the left one."""
    lower = (lips[0], *reversed(lips[11:]), lips[10])
    return [lower[:6], lower[5:], lips[:6], lips[5:11]]


_OUTER, _INNER = _quarters(OUTER_LIPS), _quarters(INNER_LIPS)
_GROUPS: list[tuple[tuple[int, int, int], list[tuple[int, int]]]] = [
    ((10, 200, 10), _chain(FACE_OVAL[5:32])),
    ((180, 200, 10), _chain(LEFT_EYE, closed=True)),
    ((180, 220, 10), _chain(LEFT_BROW[:5]) + _chain(LEFT_BROW[5:])),
    ((10, 200, 180), _chain(RIGHT_EYE, closed=True)),
    ((10, 220, 180), _chain(RIGHT_BROW[:5]) + _chain(RIGHT_BROW[5:])),
    ((10, 180, 20), _chain(_OUTER[0])),
    ((20, 10, 180), _chain(_OUTER[1])),
    ((100, 100, 30), _chain(_INNER[0])),
    ((100, 150, 50), _chain(_INNER[1])),
    ((20, 80, 100), _chain(_OUTER[2])),
    ((80, 100, 20), _chain(_OUTER[3])),
    ((120, 100, 200), _chain(_INNER[2])),
    ((150, 120, 100), _chain(_INNER[3])),
]
"""Colour and lines of each part in the order they are drawn; the first number of a colour is channel 0."""
_ENDS = np.array([pair for _, pairs in _GROUPS for pair in pairs])
_COLOURS = np.array([colour for colour, pairs in _GROUPS for _ in pairs], dtype=np.uint8)


def control_pictures(
    landmarks: NDArray[np.floating], *, width_px: int = SIDE_PX, height_px: int = SIDE_PX
) -> Tensor:
    """Returns control pictures, uint8 [F, height_px, width_px, 3].

    Args:
        landmarks: MediaPipe's 478, x and y as shares of the picture's sides, [F, 478, 2 or 3]. Lines to a
            point outside 0 … 1 are left out.
        width_px: Of the pictures; other sizes than 512 are resized as `cv2.resize` does (bilinear).
        height_px: Of the pictures.

    Raises:
        InputError: The landmarks have another shape or are not finite.
    """
    if landmarks.ndim != 3 or landmarks.shape[1] != MEDIAPIPE_COUNT or landmarks.shape[2] not in (2, 3):
        raise InputError(f"landmarks have shape {list(landmarks.shape)}; they must be [F, 478, 2 or 3]")
    points = landmarks[..., :2].astype(np.float32)
    if not np.isfinite(points).all():
        raise InputError("landmarks are not finite; leave out frames without a face")
    inside = np.all((points >= 0) & (points <= 1), axis=-1)
    pixels = np.floor(points * np.float32(SIDE_PX)).clip(max=SIDE_PX - 1)
    frame, line = np.nonzero(inside[:, _ENDS].all(-1))
    ends = pixels[frame[:, None], _ENDS[line]].astype(np.int64)  # [N, 2, 2]
    # The position in this order is that of frame and line; the highest line of a pixel is on top.
    rank = np.zeros((len(points), SIDE_PX * SIDE_PX), np.uint8)
    for owner, x, y in (_outlines(ends), _fillings(ends), _caps(ends)):
        kept = (x >= 0) & (x < SIDE_PX) & (y >= 0) & (y < SIDE_PX)
        owner, place = owner[kept], (y * SIDE_PX + x)[kept]
        np.maximum.at(rank, (frame[owner], place), (line[owner] + 1).astype(np.uint8))
    palette = np.concatenate([np.zeros((1, 3), np.uint8), _COLOURS])
    drawn = palette[rank].reshape(len(points), SIDE_PX, SIDE_PX, 3)
    if (width_px, height_px) != (SIDE_PX, SIDE_PX):
        drawn = resized_as_opencv(drawn, width_px, height_px)
    return torch.from_numpy(drawn)


def _corners(ends: Ints) -> Ints:
    """Corners of each line's rectangle in fixed point, [N, 4, 2]; all alike where a line has no length."""
    fixed = ends << 16
    first, second = fixed[:, 0], fixed[:, 1]
    dx, dy = (first[:, 0] - second[:, 0]) / _ONE, (second[:, 1] - first[:, 1]) / _ONE
    length = np.hypot(dx, dy)
    factor = np.where(length > 0, (_THICKNESS << 15) / np.where(length > 0, length, 1), 0)
    across = np.stack([np.rint(dy * factor), np.rint(dx * factor)], axis=-1).astype(np.int64)
    return np.stack([first + across, first - across, second - across, second + across], axis=1)


def _outlines(ends: Ints) -> tuple[Ints, Ints, Ints]:
    """The edges of the rectangles: one pixel per step along the longer axis."""
    corners = _corners(ends)
    start, stop, kept = _clipped(np.roll(corners, 1, axis=1).reshape(-1, 2), corners.reshape(-1, 2))
    owner = np.repeat(np.arange(len(ends)), 4)[kept]
    is_flat = np.abs(stop[:, 0] - start[:, 0]) > np.abs(stop[:, 1] - start[:, 1])
    along = np.where(is_flat, 0, 1)
    rows = np.arange(len(start))
    swapped = (stop[rows, along] < start[rows, along])[:, None]
    start, stop = np.where(swapped, stop, start), np.where(swapped, start, stop)
    reach = (stop - start)[rows, along]
    rise = (stop - start)[rows, 1 - along]
    # | 1 avoids a division by zero, as in OpenCV; towards zero, as in C.
    slope = np.sign(rise) * ((np.abs(rise) * _ONE) // (reach | 1))
    which, step = _ragged((reach >> 16) + 1)
    main = ((start[rows, along] + _HALF) >> 16)[which] + step
    side = ((start[rows, 1 - along] + _HALF)[which] + slope[which] * step) >> 16
    x, y = np.where(is_flat[which], main, side), np.where(is_flat[which], side, main)
    last = (stop + _HALF) >> 16
    return (
        np.concatenate([owner[which], owner]),
        np.concatenate([x, last[:, 0]]),
        np.concatenate([y, last[:, 1]]),
    )


def _clipped(start: Ints, stop: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Edges cut off at the sides of the picture, and which of them are left: OpenCV's clipLine."""
    ends = [start.copy(), stop.copy()]
    last = (SIDE_PX << 16) - 1
    for axis in (1, 0):  # top and bottom first; what is cut there counts for left and right
        below = [end[:, axis] < 0 for end in ends]
        above = [end[:, axis] > last for end in ends]
        crosses = ~((below[0] & below[1]) | (above[0] & above[1]))
        for which in (0, 1):
            moved = crosses & (below[which] | above[which])
            bound = np.where(below[which], 0, last)[moved]
            one, two, this = ends[0][moved], ends[1][moved], ends[which][moved]
            span = (two - one)[:, axis]
            shift = (bound - this[:, axis]).astype(np.float64) * (two - one)[:, 1 - axis] / span
            this[:, 1 - axis] += np.trunc(shift).astype(np.int64)
            this[:, axis] = bound
            ends[which][moved] = this
    kept = np.all([(end >= 0).all(1) & (end <= last).all(1) for end in ends], axis=0)
    return ends[0][kept], ends[1][kept], kept


def _fillings(ends: Ints) -> tuple[Ints, Ints, Ints]:
    """The pixels within the rectangles, row by row."""
    corners = _corners(ends)
    top = (corners[..., 1].min(1) + _HALF) >> 16
    bottom = (corners[..., 1].max(1) + _HALF) >> 16
    owner, step = _ragged(bottom - top + 1)
    row = top[owner] + step
    before, after = np.roll(corners, 1, axis=1)[owner], corners[owner]  # [rows, 4, 2]
    a, b = (before[..., 1] + _HALF) >> 16, (after[..., 1] + _HALF) >> 16
    down = (a < b)[..., None]
    upper, lower = np.where(down, before, after), np.where(down, after, before)
    a, b = np.minimum(a, b), np.maximum(a, b)
    crosses = (a != b) & (a <= row[:, None]) & (row[:, None] <= b)
    height = np.where(a == b, 1, b - a)
    x = upper[..., 0] + (lower[..., 0] - upper[..., 0]) * (row[:, None] - a) / height
    low = np.where(crosses, x, math.inf).min(1)
    high = np.where(crosses, x, -math.inf).max(1)
    kept = crosses.sum(1) >= 2
    owner, row = owner[kept], row[kept]
    left = (np.trunc(low[kept]).astype(np.int64) + _HALF) >> 16
    right = (np.trunc(high[kept]).astype(np.int64) + _HALF) >> 16
    which, step = _ragged(right - left + 1)
    return owner[which], left[which] + step, row[which]


def _caps(ends: Ints) -> tuple[Ints, Ints, Ints]:
    """A plus of five pixels on each end."""
    plus = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
    pixels = ends[:, :, None] + plus  # [N, 2, 5, 2]
    owner = np.repeat(np.arange(len(ends)), 10)
    return owner, pixels[..., 0].reshape(-1), pixels[..., 1].reshape(-1)


def _ragged(counts: Ints) -> tuple[Ints, Ints]:
    """Returns, for rows of so many items, the row of every item and its number within."""
    counts = counts.clip(min=0)
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) - np.repeat(counts.cumsum() - counts, counts)


def resized_as_opencv(pictures: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Returns pictures [F, H, W, C] at another size, as `cv2.resize` does (bilinear, fixed point)."""
    count, height, width, channels = pictures.shape
    content = pictures.astype(np.int64)
    if (height, width) == (2 * height_px, 2 * width_px):  # OpenCV takes the mean of four there
        quads = content.reshape(count, height_px, 2, width_px, 2, channels)
        return ((quads.sum((2, 4)) + 2) >> 2).astype(np.uint8)
    first, second, weights = _taps(width, width_px)
    rows = content[:, :, first] * weights[0][:, None] + content[:, :, second] * weights[1][:, None]
    first, second, weights = _taps(height, height_px)
    above, below = (
        (weight[:, None, None] * (rows[:, at] >> 4)) >> 16
        for weight, at in zip(weights, (first, second), strict=True)
    )
    return ((above + below + 2) >> 2).clip(0, 255).astype(np.uint8)


def _taps(before: int, after: int) -> tuple[Ints, Ints, list[Ints]]:
    """For each of `after` pixels the two of `before` that it lies between, and their weights, of 2048."""
    place = (np.arange(after) + 0.5) * (before / after) - 0.5
    first = np.floor(place).astype(np.int64)
    share = np.where((first < 0) | (first >= before - 1), np.float32(0), np.float32(place - first))
    first = first.clip(0, before - 1)
    weights = [np.rint((1 - share) * 2048).astype(np.int64), np.rint(share * 2048).astype(np.int64)]
    return first, (first + 1).clip(max=before - 1), weights
