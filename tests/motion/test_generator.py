"""The network: its flow, its ELBO, its windows, its conditions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_samples import TINY, shaken
from safetensors.torch import save_file

from auteur.errors import WeightsError
from auteur.motion.generator import MotionConfig, MotionGenerator, log_normal
from auteur.motion.layers import FlowPrior
from auteur.motion.noise import frame_noise
from auteur.motion.sync import MOUTH, SyncExpert
from auteur.weights import load_model, metadata_of


def _flow() -> FlowPrior:
    flow = FlowPrior(channels=4, hidden=6, kernel=3, layers=2, couplings=4, condition=3)
    return shaken(flow)


@pytest.mark.slow
def test_flow_reverse_undoes_forward():
    flow, z, c = _flow().double(), torch.randn(2, 4, 9).double(), torch.randn(2, 3, 9).double()
    assert not torch.allclose(flow(z, c), z)
    torch.testing.assert_close(flow.reverse(flow(z, c), c), z)


def test_flow_has_unit_jacobian_and_four_couplings():
    flow, c = _flow().double(), torch.randn(1, 3, 3).double()
    jacobian = torch.autograd.functional.jacobian(
        lambda z: flow(z.view(1, 4, 3), c).flatten(), torch.randn(12).double()
    )
    assert abs(abs(torch.linalg.det(jacobian).item()) - 1) < 1e-9
    assert len(MotionGenerator(TINY).prior.couplings) == 4


def test_kl_estimate_is_zero_for_the_prior_itself_and_positive_otherwise():
    model = MotionGenerator(TINY).eval()  # couplings start as the identity (and flips): p(z | c) = N(0, I)
    condition = model.condition(torch.randn(4, 400, 5), None)
    with torch.no_grad():
        model.encoder_out.weight.zero_()
        model.encoder_out.bias.zero_()
        assert abs(model(torch.randn(4, 400, 6), condition).kl.item()) < 0.05
        model.encoder_out.bias[:4] = 1.0  # mean 1: KL = 1/2 per channel
        assert model(torch.randn(4, 400, 6), condition).kl.item() == pytest.approx(0.5, abs=0.05)


def test_log_normal_is_the_density():
    x = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(log_normal(x), torch.distributions.Normal(0.0, 1.0).log_prob(x))


@settings(max_examples=8, deadline=None)
@given(window=st.integers(3, 90), seed=st.integers(0, 5))
def test_windows_leave_no_seam(window: int, seed: int):
    model = shaken(MotionGenerator(TINY))
    condition = model.condition(torch.randn(1, 120, 5, generator=torch.Generator().manual_seed(seed)), None)
    whole = model.sample(condition, seed=seed, temperature=1.0, window_frames=1000)
    parts = model.sample(condition, seed=seed, temperature=1.0, window_frames=window)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)


def test_reach_is_not_overstated_nor_understated(generator: MotionGenerator):
    condition = generator.condition(torch.randn(1, 200, 5), None)
    reach = generator.reach_frames - 2  # two frames of it are the speech code's
    first_kernels = 3  # conditions enter after the first convolution of a stack
    touched = condition.clone()
    touched[..., 100] += 5.0
    before, after = (generator.sample(c, seed=0, temperature=0.5) for c in (condition, touched))
    moved = torch.nonzero((before - after).abs().amax(1) > 0).flatten()
    assert reach - first_kernels <= 100 - moved.min() <= reach
    assert reach - first_kernels <= moved.max() - 100 <= reach


def test_temperature_zero_ignores_the_seed_and_seeds_differ(generator: MotionGenerator):
    condition = generator.condition(torch.randn(1, 40, 5), None)
    still = [generator.sample(condition, seed=s, temperature=0.0) for s in (1, 2)]
    assert torch.equal(*still)
    lively = [generator.sample(condition, seed=s, temperature=1.0) for s in (1, 2)]
    assert not torch.allclose(*lively)


def test_no_aus_is_another_thing_than_zero_aus_and_dropping_is_the_same_as_leaving_out(
    generator: MotionGenerator,
):
    speech, zero = torch.randn(2, 10, 5), torch.zeros(2, 10, 18)
    without = generator.condition(speech, None)
    assert not torch.allclose(without, generator.condition(speech, zero))
    dropped = generator.condition(speech, zero, drop_aus=torch.tensor([True, False]))
    torch.testing.assert_close(dropped[0], without[0])
    torch.testing.assert_close(dropped[1], generator.condition(speech, zero)[1])
    with pytest.raises(ValueError, match="speech features, Action Units or both"):
        generator.condition(None, None)


def test_noise_belongs_to_the_frame():
    whole = frame_noise(3, "motion", -10, 600, 4)
    assert np.array_equal(frame_noise(3, "motion", 250, 261, 4), whole[260:271])
    assert not np.array_equal(frame_noise(3, "head", -10, 600, 4), whole)
    assert abs(whole.mean()) < 0.1 and abs(whole.std() - 1) < 0.1


def test_full_size_is_the_same_class():
    config = MotionConfig.full()
    assert (config.speech_features, config.hidden, config.latent, config.kernel) == (1024, 256, 16, 5)
    assert (config.encoder_layers, config.decoder_layers) == (8, 4)
    assert (config.flow_hidden, config.flow_couplings, config.flow_layers) == (64, 4, 4)
    with torch.device("meta"):
        model = MotionGenerator(config)
    assert type(model) is MotionGenerator and sum(p.numel() for p in model.parameters()) > 8e6


def test_saved_generator_comes_back_with_its_sizes(tmp_path, generator: MotionGenerator):
    path = tmp_path / "motion.safetensors"
    save_file(generator.state_dict(), path, metadata=metadata_of(generator.kind, TINY))
    again = load_model(path, MotionGenerator)
    assert again.config == TINY
    torch.testing.assert_close(again.basis, generator.basis)
    save_file(generator.state_dict(), path)
    with pytest.raises(WeightsError, match="holds no motion generator config"):
        load_model(path, MotionGenerator)


def test_expert_learns_from_its_own_loss_only():
    expert = SyncExpert(speech_features=5, width=8)
    speech, mouth = torch.randn(2, 40, 5), torch.randn(2, 40, len(MOUTH), 3, requires_grad=True)
    expert.judge(speech, mouth).backward()
    assert mouth.grad is not None and mouth.grad.abs().sum() > 0
    assert all(p.grad is None for p in expert.parameters())
    expert.loss(speech, mouth.detach()).backward()
    assert all(p.grad is not None for p in expert.parameters())


def test_long_speech_is_coded_piece_by_piece_as_in_one(monkeypatch):
    model = shaken(MotionGenerator(TINY)).eval()
    speech = torch.randn(1, 23, TINY.speech_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model._speech_code_of(speech)
        for step in (1, 5, 23, 40):
            monkeypatch.setattr("auteur.motion.generator._CODED_AT_ONCE", step)
            assert torch.allclose(model._speech_code_of(speech), whole, atol=1e-5)
