"""Where paint is laid over the warp, and the way there and back."""

import numpy as np
import pytest
import torch

from auteur.face.crops import CropFrame
from auteur.painting.compositing import CropRegion, painted_masks
from auteur.signals.topology import INNER_LIPS
from auteur.synthesis.canonical_crops import crop_frames
from auteur.synthesis.masks import with_rim
from auteur.synthesis.warp.mesh import generic_face

SIZE_PX = 64


def face(*, gap_px: float) -> torch.Tensor:
    """Landmarks [478, 3] of a face in a picture of 200 × 220, its lips apart by so much."""
    points = generic_face() * 60 + torch.tensor([100.0, 90.0, 0.0])
    upper, lower = list(INNER_LIPS[1:10]), list(INNER_LIPS[11:])
    for chain in (upper, lower):
        points[chain, 1] = points[[78, 308], 1].mean()
    points[lower, 1] += gap_px
    return points


SHUT = face(gap_px=0.0)


def mouth_square(points: torch.Tensor) -> CropRegion:
    return CropRegion(crop_frames(points[None].numpy(), "mouth")[0], SIZE_PX, 200, 220)


def painted(points: torch.Tensor, own: torch.Tensor, square: CropRegion, paints: str) -> torch.Tensor:
    return painted_masks(points[None], own, [square], "mouth", paints)[0]


def test_closed_lips_are_left_as_the_warp_made_them():
    points = face(gap_px=0.0)
    assert painted(points, SHUT, mouth_square(points), "openings").max() == 0


def test_open_lips_are_painted_inside_and_little_beyond():
    points = face(gap_px=14.0)
    square = mouth_square(points)
    mask = painted(points, SHUT, square, "openings")
    inside = points[[13, 14], :2].mean(0)
    rows, columns = square.box
    x, y = (inside - torch.tensor([columns.start, rows.start])).round().long().tolist()
    assert mask[y, x] == 1
    opening, below = points[list(INNER_LIPS), 1], square.pixels[..., 1]
    outside = (below > opening.max() + 7) | (below < opening.min() - 7)
    assert mask[outside].max() == 0


def test_what_the_portrait_shows_itself_is_left():
    own, wider = face(gap_px=6.0), face(gap_px=14.0)
    assert painted(own, own, mouth_square(own), "openings").max() == 0
    assert painted(wider, own, mouth_square(wider), "openings").max() == 1
    assert painted(own, SHUT, mouth_square(own), "openings").max() == 1
    still = painted(own, own, mouth_square(own), "lips")
    assert still.max() == 0


def test_lips_that_move_are_painted_and_the_rest_is_not():
    smiling = SHUT.clone()
    smiling[[61, 185, 146, 57, 186], 0] -= 4.0  # about as many millimetres
    square = mouth_square(SHUT)
    mask = painted(smiling, SHUT, square, "lips")
    rows, columns = square.box
    at = {
        name: mask[round(float(y)) - rows.start, round(float(x)) - columns.start]
        for name, (x, y) in {"moved": smiling[61, :2], "still": smiling[291, :2]}.items()
    }
    assert 0.3 < at["moved"] <= 0.5 and at["still"] == 0
    assert painted(smiling, SHUT, square, "openings").max() == 0


def test_a_head_that_turns_moves_no_skin():
    angle = torch.tensor(0.2)
    turn = torch.tensor(
        [[angle.cos(), 0, angle.sin()], [0, 1.0, 0], [-angle.sin(), 0, angle.cos()]], dtype=SHUT.dtype
    )
    turned = (SHUT - SHUT.mean(0)) @ turn.T + SHUT.mean(0)
    assert painted(turned, SHUT, mouth_square(turned), "lips").max() == 0


def test_the_rim_grows_and_softens():
    opening = torch.zeros(40, 40)
    opening[18:22, 10:30] = 1
    mask = with_rim(opening)
    assert mask[20, 20] == 1 and 0 < mask[17, 20] <= 1 and mask[10, 20] == 0
    assert ((mask >= opening * 0.5) & (mask <= 1)).all()


@pytest.mark.parametrize("roll", [0.0, 0.4])
@pytest.mark.parametrize("center", [(100.0, 80.0), (4.0, 5.0), (400.0, 400.0)])
def test_a_square_comes_back_to_where_it_was_cut(roll, center):
    picture = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 120, 160), dtype=np.uint8))
    smooth = torch.nn.functional.avg_pool2d(picture.float(), 9, 1, 4).byte()
    square = CropRegion(CropFrame(center, 60.0, roll), 60, 160, 120)
    rows, columns = square.box
    back = square.over(smooth[:, rows, columns].float(), 255 * square.cut(smooth))
    assert back.shape == smooth[:, rows, columns].shape
    if back.numel():
        inner = square.border == 1
        change = (back - smooth[:, rows, columns]).abs()
        assert change[:, inner & (square_is_in(square))].mean() < 3


def square_is_in(square: CropRegion) -> torch.Tensor:
    """Where the pixels of the box lie well inside the picture."""
    x, y = square.pixels[..., 0], square.pixels[..., 1]
    return (x > 2) & (y > 2) & (x < square.width_px - 3) & (y < square.height_px - 3)
