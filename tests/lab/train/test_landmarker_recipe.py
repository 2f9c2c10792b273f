"""The landmarker's recipe: what earlier weights knew is kept, and known movement is what is learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("cv2", reason="training data needs OpenCV (the train extra)")

from auteur.face.landmarker import FEATURES, PROBES, Landmarker, LandmarkerOutput
from auteur.lab.data.face_crops import Shard
from auteur.lab.data.warped_faces import VIEWS
from auteur.lab.train.landmarker import continued, landmarker_loss, movement_errors, movement_loss

pytestmark = pytest.mark.slow

TINY = {"widths": (4, 6, 8, 10, 12), "hidden": 16}


def network(basis: torch.Tensor, mean: torch.Tensor, probes: tuple[int, ...]) -> Landmarker:
    return Landmarker(mean=mean, basis=basis, probes=torch.tensor(probes), **TINY).eval()


@torch.inference_mode()
def test_continuing_keeps_what_was_learned(tmp_path):
    torch.manual_seed(0)
    basis, mean = 0.02 * torch.randn(8, 478, 3), torch.rand(478, 3)
    old = network(basis, mean, FEATURES)
    save_file(old.state_dict(), tmp_path / "old.safetensors")
    mixed = torch.einsum("jk,kvc->jvc", torch.linalg.qr(torch.randn(8, 8))[0], basis) * 1.7
    shifted = mean + 0.1 * mixed[0]
    new = continued(network(mixed, shifted, PROBES), tmp_path / "old.safetensors")
    crops = torch.rand(3, 3, 160, 160)
    before, after = old(crops), new(crops)
    for field in ("landmarks", "coarse_landmarks", "blendshapes", "presence_logit"):
        assert torch.allclose(getattr(before, field), getattr(after, field), atol=2e-3), field


def test_movement_is_separated_from_place():
    torch.manual_seed(0)
    known = torch.rand(2, 3, 478, 3)
    offset = 0.3 * torch.rand(1, 3, 478, 3)  # both faces of a pair are off by the same
    assert movement_loss(known + offset, known).item() == pytest.approx(0, abs=1e-8)
    assert movement_loss(known[[0, 0]], known).item() > 0.1


def test_the_vertex_that_moves_counts_most():
    known = torch.zeros(2, 1, 478, 3)
    known[1, :, 50, 1] = 0.01
    missed_mover, wrong_still = known.clone(), known.clone()
    missed_mover[1, :, 50, 1] = 0
    wrong_still[1, :, 200, 1] = 0.01
    assert movement_loss(missed_mover, known) > 4 * movement_loss(wrong_still, known)


def test_moved_faces_teach_no_blendshapes():
    torch.manual_seed(0)
    output = LandmarkerOutput(
        torch.rand(2, 478, 3), torch.rand(2, 52), torch.full((2,), 5.0), torch.rand(2, 478, 3)
    )
    batch = {
        "face": torch.ones(2),
        "labelled": torch.tensor([1.0, 0.0]),
        "landmarks": torch.rand(2, 478, 3),
        "blendshapes": torch.rand(2, 52),
    }
    loss = landmarker_loss(output, batch, torch.ones(52))
    shapes = output.blendshapes.clone()
    shapes[1] = 1 - shapes[1]
    assert torch.equal(loss, landmarker_loss(replace(output, blendshapes=shapes), batch, torch.ones(52)))
    shapes[0] = 1 - shapes[0]
    assert not torch.equal(loss, landmarker_loss(replace(output, blendshapes=shapes), batch, torch.ones(52)))


def test_a_network_of_constant_output_follows_nothing():
    torch.manual_seed(0)
    grid = torch.rand(478, 3) * 0.5 + 0.25
    still = network(torch.zeros(8, 478, 3), grid, PROBES)
    landmarks = np.tile((grid.numpy() * 120 + 40).astype(np.float32), (VIEWS, 1, 1))
    landmarks[1:, 100:150, 1] += np.arange(1, VIEWS)[:, None]
    shard = Shard(
        "warped_000",
        ("a",) * VIEWS,
        np.zeros((VIEWS, 224, 224, 3), np.uint8),
        landmarks,
        np.zeros((VIEWS, 52), np.float32),
    )
    error, followed = movement_errors(still, [shard])
    assert error == pytest.approx(1, abs=0.2)
    assert followed == pytest.approx(0, abs=0.2)
