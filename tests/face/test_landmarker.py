"""The landmarker network: shapes, batches, gradients, and the folded network that is shipped."""

import pytest
import torch

from auteur.face.auteur_backend import for_inference
from auteur.face.landmarker import PROBES, Landmarker


@pytest.fixture
def network() -> Landmarker:
    torch.manual_seed(0)
    basis = 0.02 * torch.randn(8, 478, 3)
    tiny = {"widths": (4, 6, 8, 10, 12), "hidden": 16}
    return Landmarker(mean=torch.rand(478, 3), basis=basis, probes=torch.tensor(PROBES), **tiny)


def crops(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 160, 160, generator=torch.manual_seed(1))


def used(network: Landmarker) -> Landmarker:
    """The network after a few batches, so that its batch statistics are not those of a new one."""
    with torch.no_grad():
        for _ in range(3):
            network.train()(crops(4))
    return network.eval()


def test_shapes_and_ranges(network):
    output = network(crops(3))
    assert output.landmarks.shape == output.coarse_landmarks.shape == (3, 478, 3)
    assert output.blendshapes.shape == (3, 52)
    assert output.presence_logit.shape == (3,)
    assert 0 <= output.blendshapes.min() <= output.blendshapes.max() <= 1


@torch.inference_mode()
def test_a_batch_is_its_pictures_one_by_one_and_evaluation_repeats(network):
    network = used(network)
    batch = crops(3)
    together, again = network(batch), network(batch)
    for field in ("landmarks", "blendshapes", "presence_logit", "coarse_landmarks"):
        assert torch.equal(getattr(together, field), getattr(again, field))
        one_by_one = torch.cat([getattr(network(crop[None]), field) for crop in batch])
        assert torch.allclose(getattr(together, field), one_by_one, atol=1e-5)


def test_gradients_reach_every_parameter(network):
    output = network(crops(4))
    terms = (output.landmarks, output.coarse_landmarks, output.blendshapes, output.presence_logit)
    sum(term.square().sum() for term in terms).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@torch.inference_mode()
def test_a_folded_network_returns_the_same(network):
    network = used(network)
    batch = crops(2)
    before = network(batch)
    folded = for_inference(network)
    after = folded(batch)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert torch.allclose(before.landmarks, after.landmarks, atol=1e-4)
    assert torch.allclose(before.blendshapes, after.blendshapes, atol=1e-4)
    assert torch.allclose(before.presence_logit, after.presence_logit, atol=1e-3)


def test_probes_are_the_moving_parts():
    assert {13, 14, 61, 159, 145, 468, 473, 105} <= set(PROBES)
    assert not {10, 152, 1} & set(PROBES)
