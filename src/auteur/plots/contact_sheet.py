"""A video on one picture: frames evenly spread over time, with the mouth of each at full size."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Frames = NDArray[np.uint8]

SHEET_FRAMES = 12
_COLUMNS = 6
_FRAME_WIDTH_PX = 320
_GAP_PX = 6
_BACKGROUND = 24
_MOUTH = (61, 291, 0, 17)
_MARGIN = 1.6
"""Side of a mouth crop, in widths of the mouth."""


def spread(count: int) -> list[int]:
    """Returns the numbers of up to 12 frames, each in the middle of its share of `count` frames."""
    wanted = min(SHEET_FRAMES, count)
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]


def contact_sheet(frames: Sequence[Frames], landmarks: NDArray[np.floating]) -> Frames:
    """Returns one picture: rows of the frames, then rows of their mouths, one pixel for one.

    Args:
        frames: uint8 [H, W, 3], all of one size.
        landmarks: Of each frame, [N, 478, 3] px.
    """
    whole = [_narrowed(frame) for frame in frames]
    # One box for all, so that what moves in the crops is the mouth.
    mouth = landmarks[:, _MOUTH, :2].reshape(-1, 2)
    low, high = mouth.min(axis=0), mouth.max(axis=0)
    half = _MARGIN * (high - low).max() / 2
    left, top = np.maximum((low + high) / 2 - half, 0).astype(int)
    right, bottom = ((low + high) / 2 + half).astype(int)
    crops = [frame[top : bottom + 1, left : right + 1] for frame in frames]
    rows = [_in_rows(whole), _in_rows(crops)]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_padded(row, row.shape[0], width) for row in rows])


def _narrowed(frame: Frames) -> Frames:
    if frame.shape[1] <= _FRAME_WIDTH_PX:
        return frame
    height = max(1, round(frame.shape[0] * _FRAME_WIDTH_PX / frame.shape[1]))
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    small = functional.interpolate(pixels, (height, _FRAME_WIDTH_PX), mode="area")[0]
    return small.round().byte().permute(1, 2, 0).numpy()


def _in_rows(pictures: Sequence[Frames]) -> Frames:
    height, width = pictures[0].shape[0] + _GAP_PX, pictures[0].shape[1] + _GAP_PX
    columns = min(_COLUMNS, len(pictures))
    cells = [_padded(picture, height, width) for picture in pictures]
    cells += [np.full_like(cells[0], _BACKGROUND)] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows)


def _padded(picture: Frames, height: int, width: int) -> Frames:
    result = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    result[: picture.shape[0], : picture.shape[1]] = picture
    return result
