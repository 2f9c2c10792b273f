"""Crops of a face: an oriented square around it, and the affine maps to and from it.

Points are NumPy arrays [..., 2] in pixels; the picture's x runs right, y down, pixel centres at whole
numbers.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
"""MediaPipe indices of the outer eye corners; the subject's right eye is on the picture's left."""

CROP_TO_FACE = 1.3
"""Side of the crop in units of the larger side of the landmarks' bounding box."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class CropFrame:
    """An oriented square in a picture."""

    center_px: tuple[float, float]
    side_px: float
    roll_rad: float = 0.0
    """Angle from the picture's x axis to the line from the right to the left outer eye corner."""

    def matrix(self, size_px: int) -> Floats:
        """Returns the [2, 3] affine map from picture pixels to the pixels of a crop of `size_px`²."""
        scale = size_px / self.side_px
        cos, sin = np.cos(self.roll_rad) * scale, np.sin(self.roll_rad) * scale
        rotation = np.array([[cos, sin], [-sin, cos]])
        center = np.asarray(self.center_px)
        middle = (size_px - 1) / 2
        return np.concatenate([rotation, (middle - rotation @ center)[:, None]], axis=1)


def frame_of_landmarks(landmarks: Floats, *, crop_to_face: float = CROP_TO_FACE) -> CropFrame:
    """Returns the crop that the landmarker expects for a face with these landmarks ([478, 2 or 3] px)."""
    points = np.asarray(landmarks, dtype=np.float64)[:, :2]
    eye_line = points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]
    roll = float(np.arctan2(eye_line[1], eye_line[0]))
    upright = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    turned = points @ upright.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    center = upright.T @ ((low + high) / 2)
    return CropFrame((float(center[0]), float(center[1])), crop_to_face * float(np.max(high - low)), roll)


def apply(matrix: Floats, points: Floats) -> Floats:
    """Maps points [..., 2 or 3] by a [2, 3] affine map; a third coordinate is scaled by the map's scale."""
    moved = points[..., :2] @ matrix[:, :2].T + matrix[:, 2]
    if points.shape[-1] == 2:
        return moved
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return np.concatenate([moved, points[..., 2:] * scale], axis=-1)


def invert(matrix: Floats) -> Floats:
    """Returns the inverse of a [2, 3] affine map."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -(linear @ matrix[:, 2])[:, None]], axis=1)


def inter_ocular_px(landmarks: Floats) -> Floats:
    """Returns the distance between the outer eye corners of landmarks [..., 478, 2 or 3] px: [...] px."""
    return np.linalg.norm(landmarks[..., LEFT_EYE_OUTER, :2] - landmarks[..., RIGHT_EYE_OUTER, :2], axis=-1)


def cut(picture: Tensor, frame: CropFrame, size_px: int) -> Tensor:
    """Returns the crop [3, size_px, size_px] in [0, 1] of a picture uint8 [H, W, 3], black beyond its edges.

    Large faces are averaged down by a whole factor before they are sampled, so nothing aliases.
    """
    height, width = picture.shape[:2]
    reach = frame.side_px * math.sqrt(0.5) + 2
    center_x, center_y = frame.center_px
    left, top = max(0, math.floor(center_x - reach)), max(0, math.floor(center_y - reach))
    right, bottom = min(width, math.ceil(center_x + reach)), min(height, math.ceil(center_y + reach))
    if left >= right or top >= bottom:
        return torch.zeros(3, size_px, size_px)
    region = picture[top:bottom, left:right].permute(2, 0, 1)[None]  # [1, 3, h, w]
    factor = max(1, int(frame.side_px // size_px))
    region = _averaged_down(region.to(torch.float32, memory_format=torch.contiguous_format), factor) / 255
    to_picture = torch.from_numpy(invert(frame.matrix(size_px)))
    # align_corners=False measures from edges: -1 is the left of the first pixel, 1 the right of the last.
    offset = torch.tensor([left, top]) - 0.5
    extent = torch.tensor([region.shape[3], region.shape[2]]) * factor
    middle = torch.full((2,), (size_px - 1) / 2, dtype=torch.float64)
    shift = to_picture[:, 2] - offset + to_picture[:, :2] @ middle
    theta = torch.cat(
        [to_picture[:, :2] * size_px / extent[:, None], (2 * shift / extent - 1)[:, None]], dim=1
    )
    grid = functional.affine_grid(theta[None].float(), [1, 3, size_px, size_px], align_corners=False)
    return functional.grid_sample(region, grid, align_corners=False)[0]


def cropped(picture: NDArray[np.uint8], frame: CropFrame, size_px: int) -> NDArray[np.uint8]:
    """Returns the crop uint8 [size_px, size_px, 3] of a picture uint8 [H, W, 3], black beyond its edges."""
    crop = cut(torch.from_numpy(picture), frame, size_px)
    return (crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def _averaged_down(region: Tensor, factor: int) -> Tensor:
    """Returns means of whole factor × factor blocks of [1, 3, h, w]; several times faster than pooling."""
    height, width = (max(1, size // factor) * factor for size in region.shape[2:])
    region = functional.pad(region, (0, max(0, width - region.shape[3]), 0, max(0, height - region.shape[2])))
    blocks = [
        region[:, :, row:height:factor, column:width:factor]
        for row in range(factor)
        for column in range(factor)
    ]
    total = blocks[0].clone()
    for block in blocks[1:]:
        total += block
    return total / factor**2
