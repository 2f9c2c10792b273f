"""Lines of the drawing: the landmarks that they join, and their colours.

Lips in eight parts, lids, brows, and the face oval without the forehead; no irises and no nose: the style of
AniPortrait (Wei et al. 2024, arXiv 2403.17694). The colours are ours.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from auteur.signals import topology


@dataclass(frozen=True)
class Stroke:
    """One line through landmarks.

    Attributes:
        name: Part of the face.
        vertices: Landmarks in order.
        colour: Red, green, blue, 0 to 1.
    """

    name: str
    vertices: tuple[int, ...]
    colour: tuple[float, float, float]


def _quarters(
    name: str, ring: tuple[int, ...], colours: tuple[tuple[float, float, float], ...]
) -> list[Stroke]:
    closed = (*ring, ring[0])
    parts = ("upper_right", "upper_left", "lower_left", "lower_right")
    return [
        Stroke(f"{name}_{part}", closed[5 * index : 5 * index + 6], colour)
        for index, (part, colour) in enumerate(zip(parts, colours, strict=True))
    ]


def _brow(name: str, brow: tuple[int, ...], colour: tuple[float, float, float]) -> list[Stroke]:
    return [Stroke(f"{name}_upper", brow[:5], colour), Stroke(f"{name}_lower", brow[5:], colour)]


STROKES: tuple[Stroke, ...] = (
    Stroke("face_oval", topology.FACE_OVAL[5:32], (0.75, 0.75, 0.75)),
    *_brow("right_brow", topology.RIGHT_BROW, (1.0, 0.5, 0.0)),
    *_brow("left_brow", topology.LEFT_BROW, (0.0, 0.5, 1.0)),
    Stroke("right_eye", (*topology.RIGHT_EYE, topology.RIGHT_EYE[0]), (1.0, 0.0, 0.25)),
    Stroke("left_eye", (*topology.LEFT_EYE, topology.LEFT_EYE[0]), (0.25, 0.0, 1.0)),
    *_quarters(
        "outer_lips",
        topology.OUTER_LIPS,
        ((1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0)),
    ),
    *_quarters(
        "inner_lips",
        topology.INNER_LIPS,
        ((0.6, 0.6, 0.2), (0.2, 0.6, 0.2), (0.2, 0.6, 0.6), (0.6, 0.2, 0.6)),
    ),
)
"""Where lines are equally near, the later one shows."""

LINE_WIDTH_AT_512 = 2.0
"""Pixels; smaller drawings have thinner lines, but never below one pixel."""


def line_width_px(height_px: int, width_px: int) -> float:
    """Returns the width of lines in pixels, in a drawing of that size."""
    return max(1.0, LINE_WIDTH_AT_512 * max(height_px, width_px) / 512)


@cache
def segments() -> Tensor:
    """Returns the two landmarks of every straight piece, int64 [S, 2], in the order of `STROKES`."""
    return torch.tensor([pair for stroke in STROKES for pair in pairwise(stroke.vertices)])


@cache
def segment_colours() -> Tensor:
    """Returns the colour of every straight piece, float32 [S, 3]."""
    return torch.tensor([stroke.colour for stroke in STROKES for _ in pairwise(stroke.vertices)])
