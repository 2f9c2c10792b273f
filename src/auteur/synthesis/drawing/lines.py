"""Landmark drawing (LMK): anti-aliased lines on black, many frames at once."""

import torch
from torch import Tensor

from auteur.synthesis.drawing.points import checked_landmarks
from auteur.synthesis.drawing.strokes import line_width_px, segment_colours, segments

COVERAGE_STEPS = 4096
"""Coverage is counted in these steps, so that lines that meet tie and the later one wins."""


def draw_lines(landmarks: Tensor, height_px: int, width_px: int, *, line_px: float | None = None) -> Tensor:
    """Returns drawings [..., 3, height_px, width_px], values 0 to 1.

    A pixel shows the nearest line, as bright as the part of the pixel it covers: 1 where its centre lies half
    a pixel inside the line, 0 half a pixel outside.

    Args:
        landmarks: MediaPipe's, pixels of the drawing (0 is the centre of the first pixel), [..., 478, 3].
        height_px: Rows.
        width_px: Columns.
        line_px: Width of lines; by default 2 at 512 pixels, at least 1.

    Raises:
        InputError: The landmarks have another shape or are not finite.
        UsageError: The size is out of range.
    """
    points = checked_landmarks(landmarks, height_px, width_px)[..., :2]
    half = 0.5 * (line_width_px(height_px, width_px) if line_px is None else line_px)
    device = points.device
    ends = points[:, segments().to(device)].flatten(0, 1)  # [N * S, 2, 2]
    which, x, y = _near_pixels(ends, half + 0.5, height_px, width_px)
    distance = _distance(ends[which], x.to(points.dtype), y.to(points.dtype))
    covered = ((half + 0.5 - distance).clamp(0, 1) * COVERAGE_STEPS).round().long()
    pieces = len(segments())
    frame, piece = which // pieces, which % pieces
    best = torch.zeros(len(points) * height_px * width_px, dtype=torch.int64, device=device)
    best.scatter_reduce_(0, (frame * height_px + y) * width_px + x, covered * pieces + piece, "amax")
    strength = (best // pieces).to(points.dtype) / COVERAGE_STEPS
    drawn = segment_colours().to(device)[best % pieces] * strength[:, None]
    drawn = drawn.reshape(len(points), height_px, width_px, 3).permute(0, 3, 1, 2)
    return drawn.reshape(*landmarks.shape[:-2], 3, height_px, width_px)


def _near_pixels(
    ends: Tensor, reach_px: float, height_px: int, width_px: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Every pixel in the box around every line: which line, column, row, int64 [P]."""
    last = torch.tensor([width_px - 1, height_px - 1], device=ends.device)
    low = torch.minimum((ends.amin(1) - reach_px).ceil().clamp(min=0), last + 1.0).long()
    high = torch.minimum((ends.amax(1) + reach_px).floor().clamp(min=-1), last.to(ends.dtype)).long()
    size = (high - low + 1).clamp(min=0)
    count = size[:, 0] * size[:, 1]
    which = torch.repeat_interleave(torch.arange(len(ends), device=ends.device), count)
    within = torch.arange(len(which), device=ends.device) - (count.cumsum(0) - count)[which]
    row = torch.div(within, size[which, 0], rounding_mode="floor")
    return which, low[which, 0] + within - row * size[which, 0], low[which, 1] + row


def _distance(ends: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Distance of points [P] from straight pieces [P, 2, 2]."""
    (start_x, start_y), (end_x, end_y) = ends[:, 0].unbind(-1), ends[:, 1].unbind(-1)
    along_x, along_y = end_x - start_x, end_y - start_y
    length = (along_x.square() + along_y.square()).clamp(min=1e-12)
    share = (((x - start_x) * along_x + (y - start_y) * along_y) / length).clamp(0, 1)
    return torch.hypot(
        x - torch.lerp(start_x, end_x, share),
        y - torch.lerp(start_y, end_y, share),
    )
