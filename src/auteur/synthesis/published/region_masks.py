"""Masks of Hallo's speech: one number per pixel and level for pose, face and lips (theirs: get_mask).

Boxes around face and lips are drawn at the picture's size, made small, blurred and subtracted from each other
as OpenCV does it, in fixed point, without OpenCV; then made smaller still as Pillow does it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from auteur.errors import FaceError
from auteur.media.resize import resized
from auteur.signals.topology import FACE_OVAL, OUTER_LIPS
from auteur.synthesis.published.control_picture import resized_as_opencv

_SIDE = 64
_FACE_KERNEL, _LIP_KERNEL = 51, 31
_FACE_RATIO, _LIP_RATIO = 1.2, 2.0

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """Hallo's inputs about the location of a face."""

    face_box: Tensor
    """1 in the box around the face, 0 elsewhere, [1, 3, H, W]."""
    masks: tuple[Tensor, ...]
    """For each level, pose, face and lips at each pixel in [0, 1], [3, pixels]."""


def region_masks(
    landmarks: NDArray[np.floating], width_px: int, height_px: int, levels: int = 4
) -> RegionMasks:
    """Returns the masks of a face.

    Args:
        landmarks: MediaPipe's 478 in pixels of the picture, [478, 2 or 3].
        width_px: Of the picture; the first level has an eighth of it.
        height_px: Of the picture.
        levels: Of the UNet.

    Raises:
        FaceError: The face lies outside the picture.
    """
    lips = _box(landmarks[list(OUTER_LIPS), :2], _LIP_RATIO, width_px, height_px)
    face = _box(landmarks[list(FACE_OVAL), :2], _FACE_RATIO, width_px, height_px)
    blurred_lips = _stretched(blurred(_small(lips), _LIP_KERNEL))
    blurred_face = _stretched(blurred(_small(face), _FACE_KERNEL))
    pose = ((1.0 - blurred_face / 255.0) * 255).astype(np.uint8)
    only_face = (blurred_face.astype(np.int64) - blurred_lips).clip(0).astype(np.uint8)
    return _by_level((pose, only_face, blurred_lips), face > 0, levels)


def masks_of_regions(regions: Tensor, width_px: int, height_px: int, levels: int = 4) -> RegionMasks:
    """Returns the masks of regions that are drawn already, as training clips hold them.

    The box of the face, which is blurred in the regions, is the one whose blurred edges are where theirs are.

    Args:
        regions: Pose, face and lips at each pixel in [0, 1], [3, h, w], at the picture's size or an eighth.
        width_px: Of the picture.
        height_px: Of the picture.
        levels: Of the UNet.

    Raises:
        FaceError: No pixel is less than half pose.
    """
    parts = (255 * regions.float().cpu().clamp(0, 1)).round().byte().numpy()
    inside = 255.0 - parts[0]
    if inside.max() < 128:
        raise FaceError("the regions hold no face; draw them where a face is")
    face = np.zeros((height_px, width_px), bool)
    top, bottom = _edges_before_blurring(inside.max(1), height_px)
    left, right = _edges_before_blurring(inside.max(0), width_px)
    face[top:bottom, left:right] = True
    return _by_level(parts, face, levels)


def _edges_before_blurring(profile: NDArray[np.floating], size_px: int) -> tuple[int, int]:
    """First pixel of a box and the first after it, from the box's blurred profile in [0, 255].

    Of a box of width w, blurred by a Gaussian of deviation s and 255 in its middle, the edge
    is at the level (Phi(w / s) - 1/2) / (2 Phi(w / 2 s) - 1), which is half only for wide boxes. The width at
    half the level gives the level, and that the width.
    """
    cell_px = size_px / len(profile)
    deviation_px = _deviation(_FACE_KERNEL) * size_px / _SIDE
    level = 0.5
    for _ in range(8):
        above = np.flatnonzero(profile >= 255 * level)
        first, last = int(above[0]), int(above[-1])
        # Pixel centres are at whole numbers and a half, and the level is passed between two of them.
        low = first + 0.5 - (_share_above(profile, first, first - 1, level) if first > 0 else 0.5)
        high = last + 0.5 + (_share_above(profile, last, last + 1, level) if last + 1 < len(profile) else 0.5)
        widths = (high - low) * cell_px / (deviation_px * sqrt(2))
        level = min(0.95, 0.5 * erf(widths) / erf(widths / 2))
    return round(low * cell_px), round(high * cell_px)


def _share_above(profile: NDArray[np.floating], inner: int, outer: int, level: float) -> float:
    """Part of the way from a value above a level to its neighbour below at which the level is passed."""
    return float((profile[inner] - 255 * level) / (profile[inner] - profile[outer]))


def _by_level(parts: Iterable[Bytes], face: NDArray[np.bool_], levels: int) -> RegionMasks:
    """Pose, face and lips at every level, beside the box of the face."""
    height_px, width_px = face.shape
    pictures, masks = list(parts), list[Tensor]()
    for level in range(levels):
        width, height = (max(1, size >> (3 + level)) for size in (width_px, height_px))
        small = [resized(part, width, height) for part in pictures]
        masks.append(from_numpy(np.stack(small).reshape(3, -1) / np.float32(255)))
    box = from_numpy(face.astype(np.float32))
    return RegionMasks(box.expand(1, 3, -1, -1).contiguous(), tuple(masks))


def _box(points: NDArray[np.floating], ratio: float, width_px: int, height_px: int) -> Bytes:
    """255 in the box around some points, made wider and higher by a ratio and moved into the picture."""
    picture = np.zeros((height_px, width_px), np.uint8)
    left, top, right, bottom = box_around(points, ratio, width_px, height_px)
    if right <= left or bottom <= top:
        raise FaceError("the face lies outside the picture; choose another portrait")
    picture[top:bottom, left:right] = 255
    return picture


def box_around(
    points: NDArray[np.floating], ratio: float, width_px: int, height_px: int
) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of a box around points, moved into the picture.

    It goes (side x ratio) // 2 to either side of the floored middle of the rounded extremes.
    """
    low, high = np.round(points.min(0)), np.round(points.max(0))
    middle, half = (low + high) // 2, ((high - low) * ratio) // 2
    edges: list[int] = []
    for axis, size in enumerate((width_px, height_px)):
        first, last = float(middle[axis] - half[axis]), float(middle[axis] + half[axis])
        if first < 0:
            first, last = 0, last - first
        if last > size:
            first, last = first - (last - size), size
        edges += [max(round(first), 0), round(last)]
    return edges[0], edges[2], edges[1], edges[3]


def _small(picture: Bytes) -> Bytes:
    return resized_as_opencv(picture[None, ..., None], _SIDE, _SIDE)[0, ..., 0]


def _stretched(picture: Bytes) -> Bytes:
    """From 0 at the darkest to 255 at the brightest pixel."""
    low, high = float(picture.min()), float(picture.max())
    scale = 255 / (high - low) if high > low else 0.0
    # In float32: half-way cases round to even there.
    wide = picture.astype(np.float32) * np.float32(scale) - np.float32(low * scale)
    return np.rint(wide).clip(0, 255).astype(np.uint8)


def blurred(picture: Bytes, kernel: int) -> Bytes:
    """Returns a picture [H, W] blurred by a Gaussian `kernel` pixels wide, in OpenCV's fixed point."""
    weights = _gaussian(kernel)
    half = kernel // 2
    rows = np.pad(picture.astype(np.int64), ((0, 0), (half, half)), mode="reflect")
    once = sum(weight * rows[:, i : i + picture.shape[1]] for i, weight in enumerate(weights))
    columns = np.pad(np.asarray(once), ((half, half), (0, 0)), mode="reflect")
    twice = sum(weight * columns[i : i + picture.shape[0]] for i, weight in enumerate(weights))
    return ((np.asarray(twice) + (1 << 15)) >> 16).clip(0, 255).astype(np.uint8)


def _deviation(kernel: int) -> float:
    """Of the Gaussian that OpenCV takes for a kernel, in its pixels."""
    return 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8


def _gaussian(kernel: int) -> list[int]:
    """Weights of 256 in sum; what rounding takes from one is given to the next."""
    places = np.arange(kernel) - kernel // 2
    exact = np.exp(-(places**2) / (2 * _deviation(kernel) ** 2))
    exact = exact / exact.sum() * 256
    found, left_over = [], 0.0
    for value in exact[: kernel // 2]:
        found.append(int(np.rint(value + left_over)))
        left_over += value - found[-1]
    return [*found, 256 - 2 * sum(found), *reversed(found)]
