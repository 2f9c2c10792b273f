"""The face detector: a whole picture → where faces are, how large and how tilted.

Axis legend: B batch, C channels, H W picture, h w cells of 8 × 8 pixels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.face.crops import CropFrame
from auteur.face.landmarker import ResidualBlock

STRIDE_PX = 8
INPUT_SIZES_PX = (256, 640)
"""Long sides at which a picture is searched, in turn: small faces need the larger one."""

THRESHOLD = 0.35
"""Heat above which a cell is a face candidate; the landmarker confirms or rejects it."""


class FaceDetector(nn.Module):
    """A small fully convolutional centre-point detector (after Zhou et al. 2019, Objects as Points).

    Every 8 × 8 cell predicts whether a face is centred in it, the centre's offset, the log of the
    face's size (larger side of the landmarks' box, upright along the eye line) and the direction of the eye
    line.

    Args:
        widths: Channels at strides 2, 4, 8, 16 and 32.
    """

    def __init__(self, *, widths: tuple[int, int, int, int, int] = (16, 24, 32, 48, 64)) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth, deep = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 3, 2, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            ResidualBlock(half, quarter, stride=2),
            ResidualBlock(quarter, eighth, stride=2),
            ResidualBlock(eighth, eighth, stride=1),
        )
        self.down = nn.Sequential(
            ResidualBlock(eighth, sixteenth, stride=2), ResidualBlock(sixteenth, sixteenth, stride=1)
        )
        self.deeper = nn.Sequential(
            ResidualBlock(sixteenth, deep, stride=2), ResidualBlock(deep, deep, stride=1)
        )
        self.deep_to_sixteenth = nn.Conv2d(deep, sixteenth, 1)
        self.sixteenth_to_eighth = nn.Conv2d(sixteenth, eighth, 1)
        self.head = nn.Sequential(ResidualBlock(eighth, eighth, stride=1), nn.Conv2d(eighth, 6, 1))
        nn.init.constant_(self.get_parameter("head.1.bias")[:1], -4.0)  # faces are rare: start from "none"

    def forward(self, pictures: Tensor) -> Tensor:
        """Maps pictures [B, 3, H, W] in [0, 1], H and W multiples of 32, to cells [B, 6, H / 8, W / 8].

        Channels: heat logit, centre offset x and y in cells, log of size / 8 px, eye-line direction x and y.
        """
        eighth = self.stem((pictures - 0.5) * 4.0)
        sixteenth = self.down(eighth)
        deep = self.deeper(sixteenth)
        sixteenth = sixteenth + functional.interpolate(self.deep_to_sixteenth(deep), scale_factor=2.0)
        eighth = eighth + functional.interpolate(self.sixteenth_to_eighth(sixteenth), scale_factor=2.0)
        return self.head(torch.relu(eighth)).float()


@dataclass(frozen=True)
class Detection:
    """A face candidate in a picture."""

    frame: CropFrame
    """Centre, size (larger side of the landmarks' box) and eye line, in pixels of the picture."""
    confidence: float
    """Heat in [0, 1]."""


def detect(detector: nn.Module, picture: Tensor, long_side_px: int) -> list[Detection]:
    """Returns the face candidates in a picture uint8 [H, W, 3], searched at one size, by falling heat."""
    height, width = picture.shape[:2]
    scale = long_side_px / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = picture.permute(2, 0, 1)[None].float() / 255
    mode = "area" if scale < 1 else "bilinear"
    pixels = functional.interpolate(pixels, size, mode=mode)
    pixels = functional.pad(pixels, (0, -size[1] % 32, 0, -size[0] % 32))
    return decode_cells(detector(pixels)[0], scale=scale)


def decode_cells(cells: Tensor, *, scale: float) -> list[Detection]:
    """Turns cells [6, h, w] into candidates, in pixels of the picture before it was scaled by `scale`."""
    heat = torch.sigmoid(cells[0])
    peaks = (heat == functional.max_pool2d(heat[None], 3, 1, 1)[0]) & (heat > THRESHOLD)
    found: list[Detection] = []
    for row, column in peaks.nonzero().tolist():
        _, offset_x, offset_y, log_size, eye_x, eye_y = cells[:, row, column].tolist()
        center = ((column + offset_x) * STRIDE_PX / scale - 0.5, (row + offset_y) * STRIDE_PX / scale - 0.5)
        side = math.exp(min(log_size, 5.0)) * STRIDE_PX / scale
        frame = CropFrame(center, side, math.atan2(eye_y, eye_x))
        found.append(Detection(frame, float(heat[row, column])))
    return without_repeats(sorted(found, key=lambda d: -d.confidence))


def without_repeats(detections: list[Detection]) -> list[Detection]:
    """Drops every candidate whose centre lies well inside a more confident one of similar size."""
    kept: list[Detection] = []
    for candidate in detections:
        for other in kept:
            distance = math.dist(candidate.frame.center_px, other.frame.center_px)
            if distance < 0.4 * max(candidate.frame.side_px, other.frame.side_px):
                break
        else:
            kept.append(candidate)
    return kept


def target_cells(frames: list[CropFrame], size_px: int) -> tuple[Tensor, Tensor]:
    """Returns the detector's targets for a square picture: cells [6, h, w] and their weights [h, w].

    The heat target is 1 at the face's own cell and falls off as a Gaussian a tenth of the face wide; offset,
    size and direction count in the cells whose heat exceeds a half.
    """
    count = size_px // STRIDE_PX
    cells, counts = torch.zeros(6, count, count), torch.zeros(count, count)
    axis = torch.arange(count) + 0.5
    for frame in frames:
        x, y = ((value + 0.5) / STRIDE_PX for value in frame.center_px)
        column, row = int(x), int(y)
        if not (0 <= column < count and 0 <= row < count):
            continue
        width = max(0.6, 0.1 * frame.side_px / STRIDE_PX)
        heat = torch.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * width**2))
        heat[row, column] = 1.0
        cells[0] = torch.maximum(cells[0], heat)
        mine = heat > 0.5
        counts[mine] = 1.0
        cells[1] = torch.where(mine, (x - axis[None] + 0.5).expand(count, count), cells[1])
        cells[2] = torch.where(mine, (y - axis[:, None] + 0.5).expand(count, count), cells[2])
        for channel, value in (
            (3, math.log(frame.side_px / STRIDE_PX)),
            (4, math.cos(frame.roll_rad)),
            (5, math.sin(frame.roll_rad)),
        ):
            cells[channel][mine] = value
    return cells, counts


def detector_loss(cells: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """Returns the centre-point loss: penalty-reduced focal loss on heat, smooth L1 on geometry.

    Args:
        cells: [B, 6, h, w] predicted.
        targets: [B, 6, h, w] from `target_cells`.
        counts: [B, h, w], where geometry counts.
    """
    heat, wanted = torch.sigmoid(cells[:, 0]).clamp(1e-4, 1 - 1e-4), targets[:, 0]
    positive = wanted.eq(1)
    gain = torch.log(heat) * (1 - heat) ** 2 * positive
    loss = torch.log(1 - heat) * heat**2 * (1 - wanted) ** 4 * ~positive
    faces = positive.sum().clamp(min=1)
    geometry = functional.smooth_l1_loss(cells[:, 1:], targets[:, 1:], beta=0.1, reduction="none")
    geometry = (geometry.mean(1) * counts).sum() / counts.sum().clamp(min=1)
    return -(gain.sum() + loss.sum()) / faces + 2.0 * geometry
