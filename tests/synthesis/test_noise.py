"""Noise belongs to frames."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from auteur.synthesis.noise import frame_noise, step_generator, video_noise


@given(st.integers(-50, 2000), st.integers(1, 12), st.integers(0, 12))
def test_a_frame_has_the_same_noise_in_every_piece(first, count, cut):
    cut = min(cut, count)
    whole = frame_noise(7, first, first + count, (2, 3))
    pieces = [frame_noise(7, first, first + cut, (2, 3)), frame_noise(7, first + cut, first + count, (2, 3))]
    assert torch.equal(whole, torch.cat(pieces))


def test_rows_frames_seeds_and_purposes_are_independent_and_normal():
    noise = video_noise((0, 1), 0, 40, (4, 16, 16))
    other = frame_noise(0, 0, 40, (4, 16, 16), purpose="other")
    rows = torch.stack([*noise.flatten(2).flatten(0, 1), *other.flatten(1)])
    assert rows.mean().abs() < 0.01
    assert abs(rows.var() - 1) < 0.02
    correlations = torch.corrcoef(rows) - torch.eye(len(rows))
    assert correlations.abs().max() < 0.17  # 1024 numbers each: 5.4 standard deviations
    assert torch.equal(noise[1], frame_noise(1, 0, 40, (4, 16, 16)))


def test_a_steps_generator_needs_no_state():
    first = torch.rand(3, generator=step_generator(5, "train:12"))
    assert torch.equal(first, torch.rand(3, generator=step_generator(5, "train:12")))
    assert not torch.equal(first, torch.rand(3, generator=step_generator(5, "train:13")))
