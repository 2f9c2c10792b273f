"""Training losses: weights and the values they are known to have."""

import math

import pytest
import torch

from auteur.errors import UsageError
from auteur.synthesis.losses import LossSettings, denoising_loss, draw_times, min_snr_weight, offset_noise
from auteur.synthesis.samplers import Diffusion, Flow

SHAPE = (4, 3, 2, 5, 5)
TIMES = torch.tensor([0.2, 0.5, 0.8, 1.0], dtype=torch.float64)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *SHAPE, generator=generator)


@pytest.mark.slow
def test_min_snr_is_that_of_diffusers():
    training_utils = pytest.importorskip("diffusers.training_utils")
    scheduler = pytest.importorskip("diffusers").DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    levels = torch.tensor([1, 100, 500, 1000])
    theirs = training_utils.compute_snr(scheduler, levels - 1)
    ours = Diffusion(zero_terminal_snr=False).snr(levels.double() / 1000)
    assert torch.allclose(ours.float(), theirs, rtol=1e-3)
    # The weight that the training scripts of diffusers and Hallo use for v: min(SNR + 1, γ) / (SNR + 1).
    expected = torch.minimum(theirs + 1, torch.tensor(5.0)) / (theirs + 1)
    assert torch.allclose(min_snr_weight(ours, 5.0).float(), expected, rtol=1e-3)


def test_min_snr_weight_bounds_easy_levels_and_keeps_the_level_without_signal():
    snr = torch.tensor([0.0, 1.0, 4.0, 9.0, 99.0])
    assert torch.allclose(min_snr_weight(snr, 5.0), torch.tensor([1.0, 1.0, 1.0, 0.5, 0.05]))


def test_diffusion_loss_is_the_weighted_error_of_v(data):
    clean, noise = data
    process = Diffusion()
    target = process.target(clean, noise, TIMES)
    assert denoising_loss(process, target, clean, noise, TIMES, settings=LossSettings()) == 0
    loss = denoising_loss(process, target + 2, clean, noise, TIMES, settings=LossSettings(snr_gamma=0))
    assert float(loss) == pytest.approx(4)
    weighted = denoising_loss(process, target + 2, clean, noise, TIMES, settings=LossSettings(snr_gamma=5))
    expected = 4 * min_snr_weight(process.snr(TIMES), 5).mean()
    assert float(weighted) == pytest.approx(float(expected), rel=1e-5)


def test_flow_loss_is_the_error_of_the_data(data):
    clean, noise = data
    process = Flow()
    prediction = process.target(clean, noise, TIMES) + 0.3
    noisy = process.noised(clean, noise, TIMES)
    error = (process.clean(noisy, prediction, TIMES) - clean).square().mean()
    loss = denoising_loss(process, prediction, clean, noise, TIMES, settings=LossSettings())
    assert float(loss) == pytest.approx(float(error), rel=1e-4)


def test_rows_with_too_large_an_error_do_not_count(data):
    clean, noise = data
    process = Flow()
    prediction = process.target(clean, noise, TIMES) + 0.1
    prediction[3] += 100
    loss = denoising_loss(process, prediction, clean, noise, TIMES, settings=LossSettings(largest_error=0.1))
    assert float(loss) == pytest.approx(0.01 * float(TIMES[:3].square().mean()), rel=1e-3)
    everything = denoising_loss(
        process, prediction + 100, clean, noise, TIMES, settings=LossSettings(largest_error=0.1)
    )
    assert everything == 0


def test_a_region_weights_pixels(data):
    clean, noise = data
    process = Flow()
    prediction = process.target(clean, noise, TIMES).clone()
    prediction[..., 0] += 1
    region = torch.ones(1, 1, 1, 5, 5)
    region[..., 0] = 0
    loss = denoising_loss(process, prediction, clean, noise, TIMES, settings=LossSettings(), region=region)
    assert float(loss) == pytest.approx(0, abs=1e-9)


def test_offset_noise_is_shared_by_pixels_and_frames_of_a_channel():
    noise = torch.zeros(64, 3, 4, 5, 5)
    assert offset_noise(noise, 0.0, torch.Generator()) is noise
    offset = offset_noise(noise, 0.05, torch.Generator().manual_seed(0))
    assert (offset == offset[:, :1, :, :1, :1]).all()
    assert float(offset[:, 0, :, 0, 0].std()) == pytest.approx(0.05, rel=0.2)


def test_times_are_drawn_over_the_whole_path():
    generator = torch.Generator().manual_seed(0)
    uniform = draw_times(Diffusion(), 20000, LossSettings(), generator)
    assert (float(uniform.min()), float(uniform.max())) == (0.001, 1.0)
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.01)
    normal = torch.logit(draw_times(Flow(), 20000, LossSettings(time_mean=-1), generator))
    assert float(normal.mean()) == pytest.approx(-1, abs=0.03)


@pytest.mark.parametrize(
    "wrong",
    [
        {"snr_gamma": -1},
        {"snr_gamma": math.nan},
        {"noise_offset": 2},
        {"time_deviation": 0},
        {"largest_error": 0},
    ],
)
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        LossSettings(**wrong)
