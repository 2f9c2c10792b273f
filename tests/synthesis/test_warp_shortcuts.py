"""What the warp leaves out as it changes nothing: still pixels, skin beside the face, rows of triangles."""

import pytest
import torch
from torch import Tensor

from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp import warper as warper_module
from auteur.synthesis.warp.mesh import generic_face
from auteur.synthesis.warp.raster import Grid, draw_displacement
from auteur.synthesis.warp.sampling import Box
from auteur.synthesis.warp.skin_shading import SHADING_CONTROLS
from support.slow_warp import reference_displacement

SIDE = 160


@pytest.fixture(scope="module")
def face() -> Tensor:
    return generic_face() * 30 + torch.tensor([0.5 * SIDE, 0.42 * SIDE, 0.0])


@pytest.fixture(scope="module")
def warper(face: Tensor) -> PortraitWarper:
    noise = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, size=(SIDE, SIDE), mode="bicubic")[0]
    return PortraitWarper((40 + 180 * smooth).clamp(0, 255).to(torch.uint8), face)


def test_copied_pixels_are_those_that_reading_would_give(warper: PortraitWarper, face: Tensor) -> None:
    mesh = warper.mesh(face + torch.tensor([4.0, -2.0, 0.0]))
    origins, _ = warper._field.origins(mesh.source, mesh.target, mesh.corners, [])
    stays = (origins == warper._pixels).all(-1)
    assert 0.02 < stays.float().mean() < 0.98
    difference = warper._moved_skin(origins) - warper._skin.sharp(origins)
    assert difference.abs().max() <= 0.02


def test_shading_is_the_same_when_it_is_computed_everywhere(
    warper: PortraitWarper, face: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = torch.full((1, len(SHADING_CONTROLS)), 0.7)
    moved = (face + torch.tensor([7.0, 5.0, 0.0]))[None]
    around_the_face = warper.render(moved, units)
    assert not torch.equal(around_the_face, warper.render(moved))

    def everywhere(points: Tensor, margin_px: float, limits: Box) -> Box:
        return limits

    monkeypatch.setattr(warper_module, "box_around", everywhere)
    assert torch.equal(warper.render(moved, units), around_the_face)


@pytest.mark.parametrize("step_px", [1, 2, 5])
def test_slivers_and_triangles_beyond_the_grid_are_drawn_as_by_the_reference(step_px: int) -> None:
    source = torch.tensor(
        [[2.0, 3, 0], [40, 3.2, 0], [39, 4, 0], [-9, 20, 0], [60, 22, 0], [20, 70, 0], [20, -30, 0]]
    )
    target = source + torch.tensor([1.5, -0.5, 0.0])
    corners = torch.tensor([[3, 4, 5], [3, 6, 4], [0, 1, 2], [0, 2, 1]])
    grid = Grid(left_px=-3, top_px=-2, step_px=step_px, columns=52 // step_px, rows=48 // step_px)
    fast = draw_displacement(source, target, corners, grid)
    slow = reference_displacement(source, target, corners, grid)
    assert (slow != 0).any()
    assert (fast - slow).abs().max() <= 1e-3
