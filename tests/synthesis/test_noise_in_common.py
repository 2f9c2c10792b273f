"""Noise that the frames of a video share."""

import pytest
import torch

from auteur.synthesis.losses import draw_noise
from auteur.synthesis.noise import video_noise

SHAPE = (3, 16, 16)


@pytest.mark.parametrize("common", [0.0, 0.3, 1.0])
def test_it_has_unit_variance_and_the_requested_correlation(common):
    first, second = video_noise((7,), 0, 2, (3, 64, 64), common=common)[0].flatten(1)
    assert first.std() == pytest.approx(1, abs=0.03)
    assert torch.corrcoef(torch.stack([first, second]))[0, 1] == pytest.approx(common, abs=0.03)


def test_a_frame_has_the_same_noise_in_every_window():
    whole = video_noise((7, 8), 0, 10, SHAPE, common=0.5)
    assert torch.equal(video_noise((7, 8), 4, 6, SHAPE, common=0.5), whole[:, 4:6])
    assert not torch.equal(whole[0], whole[1])


def test_training_draws_it_alike():
    noise = draw_noise(torch.zeros(2, 4, *SHAPE), 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(noise[:, 0], noise[:, 3]) and not torch.equal(noise[0], noise[1])
    noise = draw_noise(torch.zeros(2, 4, *SHAPE), 0.0, torch.Generator().manual_seed(0))
    assert not torch.equal(noise[:, 0], noise[:, 3])
