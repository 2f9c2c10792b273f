"""Areas of a face, computed where they can be, against the same computed everywhere and one by one."""

import pytest
import torch
from torch.nn import functional

from auteur.signals.topology import LEFT_IRIS, RIGHT_IRIS
from auteur.synthesis.masks import holes, moved_mask
from auteur.synthesis.warp.apertures import aperture_between
from auteur.synthesis.warp.mesh import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    MOUTH_LOWER,
    MOUTH_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    generic_face,
)
from auteur.synthesis.warp.sampling import Box

SIZE_PX = 64
PIXELS = Box(left=0, top=0, right=SIZE_PX, bottom=SIZE_PX).pixels(torch.device("cpu"))


def face(*, turn_rad: float = 0.0, at_px: float = 32.0) -> torch.Tensor:
    """Landmarks [478, 2] of an open mouth and open eyes around a place of the square."""
    points = generic_face() * 16
    points[list(MOUTH_LOWER[1:-1]), 1] += 6
    cos, sin = torch.cos(torch.tensor(turn_rad)), torch.sin(torch.tensor(turn_rad))
    return points[:, :2] @ torch.tensor([[cos, sin], [-sin, cos]]) + at_px


@pytest.mark.parametrize("points", [face(), face(turn_rad=0.5), face(at_px=60), face(at_px=500), face() * 0])
@pytest.mark.parametrize("only_mouth", [True, False])
def test_openings_are_looked_for_nowhere_in_vain(points, only_mouth):
    edges = [(MOUTH_UPPER, MOUTH_LOWER)]
    if not only_mouth:
        edges += [(RIGHT_EYE_UPPER, RIGHT_EYE_LOWER), (LEFT_EYE_UPPER, LEFT_EYE_LOWER)]
    everywhere = torch.zeros(SIZE_PX, SIZE_PX)
    for upper, lower in edges:
        opening = aperture_between(points[list(upper)], points[list(lower)])
        place, _ = opening.place(PIXELS)
        inside = (place >= 0) & (place <= 1)
        everywhere = torch.maximum(everywhere, opening.mask(PIXELS, 1.5) * inside)
    assert torch.equal(holes(points, PIXELS, only_mouth=only_mouth), everywhere)


def test_an_open_mouth_shows():
    assert holes(face(), PIXELS, only_mouth=True).max() == 1


def test_movement_is_spread_as_a_gaussian_of_distance():
    points = face(turn_rad=0.2)
    distance_mm = torch.linspace(0, 6, 468)
    middles = torch.arange(0, SIZE_PX, 4) + 1.5
    down, right = torch.meshgrid(middles, middles, indexing="ij")
    apart = torch.cdist(torch.stack([right, down], -1).reshape(-1, 2), points[:468])
    eyes = (points[LEFT_IRIS[0]] - points[RIGHT_IRIS[0]]).norm()
    near = torch.exp(-((apart / (0.05 * eyes)) ** 2) / 2)
    spread = ((near @ distance_mm) / (near.sum(-1) + 1e-4)).reshape(1, 1, 16, 16)
    fine = functional.interpolate(spread, size=(SIZE_PX, SIZE_PX), mode="bilinear")[0, 0]
    share = ((fine - 0.7) / 1.8).clamp(0, 1)
    assert torch.allclose(
        moved_mask(points, distance_mm, SIZE_PX), share * share * (3 - 2 * share), atol=1e-3
    )


def test_many_frames_are_as_each_alone():
    points = torch.stack([face(turn_rad=turn) for turn in (0.0, 0.1, 0.4)])
    distance_mm = torch.rand(3, 468, generator=torch.Generator().manual_seed(0)) * 4
    together = moved_mask(points, distance_mm, SIZE_PX)
    alone = torch.stack([moved_mask(one, mm, SIZE_PX) for one, mm in zip(points, distance_mm, strict=True)])
    assert together.shape == (3, SIZE_PX, SIZE_PX) and together.max() > 0.5
    assert torch.allclose(together, alone, atol=1e-4)
