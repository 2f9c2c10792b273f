"""The face detector: shapes, targets and candidates there and back, and that it can learn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.face.auteur_backend import for_inference
from auteur.face.crops import CropFrame
from auteur.face.detector import (
    Detection,
    FaceDetector,
    decode_cells,
    detect,
    detector_loss,
    target_cells,
    without_repeats,
)
from auteur.weights import load_shipped


@pytest.fixture
def network() -> FaceDetector:
    torch.manual_seed(0)
    return FaceDetector(widths=(4, 6, 8, 10, 12))


def logits(targets: torch.Tensor) -> torch.Tensor:
    """The cells of a network that is sure of its targets: heat as a logit, all else as it is."""
    heat = targets[:1].clamp(1e-5, 1 - 1e-5)
    return torch.cat([torch.log(heat / (1 - heat)), targets[1:]])


def test_shapes_batches_and_repetition(network):
    pictures = torch.rand(2, 3, 64, 96, generator=torch.manual_seed(1))
    network.eval()
    with torch.inference_mode():
        cells = network(pictures)
        assert cells.shape == (2, 6, 8, 12)
        assert torch.equal(cells, network(pictures))
        assert torch.allclose(cells, torch.cat([network(picture[None]) for picture in pictures]), atol=1e-5)


def test_an_untrained_network_finds_no_faces(network):
    assert not detect(network.eval(), torch.zeros(120, 90, 3, dtype=torch.uint8), 96)


def test_gradients_reach_every_parameter(network):
    targets, counts = target_cells([CropFrame((40, 40), 30)], 96)
    detector_loss(
        network(torch.rand(2, 3, 96, 96)), targets.expand(2, -1, -1, -1), counts.expand(2, -1, -1)
    ).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@torch.inference_mode()
def test_a_folded_network_returns_the_same(network):
    pictures = torch.rand(2, 3, 64, 64, generator=torch.manual_seed(2))
    network.train()(pictures)
    before = network.eval()(pictures)
    assert torch.allclose(before, for_inference(network)(pictures), atol=1e-4)


@settings(deadline=None)
@given(
    st.floats(4, 251), st.floats(4, 251), st.floats(9, 250), st.floats(-math.pi, math.pi), st.floats(0.2, 5)
)
def test_targets_decode_to_the_face(x, y, side_px, roll_rad, scale):
    cells, counts = target_cells([CropFrame((x, y), side_px, roll_rad)], 256)
    assert counts[int((y + 0.5) / 8), int((x + 0.5) / 8)] == 1
    (found,) = decode_cells(logits(cells), scale=scale)
    assert found.confidence > 0.99
    assert (
        math.dist(found.frame.center_px, ((x + 0.5) / scale - 0.5, (y + 0.5) / scale - 0.5))
        < 0.01 / scale + 1e-3
    )
    assert math.isclose(found.frame.side_px, side_px / scale, rel_tol=1e-4)
    assert math.isclose(math.cos(found.frame.roll_rad - roll_rad), 1, abs_tol=1e-5)


def test_several_faces_decode_most_certain_first():
    faces = [CropFrame((60, 60), 40), CropFrame((180, 70), 60), CropFrame((120, 200), 20)]
    cells, _ = target_cells(faces, 256)
    found = decode_cells(logits(cells), scale=1.0)
    assert sorted(round(d.frame.side_px) for d in found) == [20, 40, 60]
    assert [d.confidence for d in found] == sorted((d.confidence for d in found), reverse=True)


def test_faces_outside_the_picture_are_no_targets():
    cells, counts = target_cells([CropFrame((300, 20), 50), CropFrame((20, -30), 50)], 256)
    assert cells.abs().max() == counts.max() == 0


def test_repeats_are_dropped_and_neighbours_kept():
    sure, again = Detection(CropFrame((50, 50), 40), 0.9), Detection(CropFrame((55, 52), 44), 0.8)
    beside = Detection(CropFrame((90, 50), 40), 0.7)
    assert without_repeats([sure, again, beside]) == [sure, beside]


def test_small_pictures_are_searched_too(network):
    shipped = load_shipped(FaceDetector(), "detector")
    for size in ((1, 1), (3, 700), (900, 2)):
        blank = torch.zeros(*size, 3, dtype=torch.uint8)
        found = detect(network.eval(), blank, 64)
        numbers = [(*one.frame.center_px, one.frame.side_px, one.confidence) for one in found]
        assert all(math.isfinite(number) for row in numbers for number in row)
        assert detect(shipped, blank, 64) == []


@pytest.mark.slow
def test_it_learns_one_picture(network):
    random = torch.manual_seed(3)
    picture = 0.2 * torch.rand(1, 3, 64, 64, generator=random)
    picture[:, :, 20:44, 12:36] += 0.7
    targets, counts = target_cells([CropFrame((24, 32), 24, 0.2)], 64)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = detector_loss(network(picture), targets[None], counts[None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    (found, *_) = decode_cells(network(picture).detach()[0], scale=1.0)
    assert math.dist(found.frame.center_px, (24, 32)) < 3
    assert abs(found.frame.side_px - 24) < 5
