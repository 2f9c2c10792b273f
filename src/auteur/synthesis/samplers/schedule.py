"""Noise schedules of variance-preserving diffusion, and the quantities that belong to a noise level."""

from functools import cache

import torch
from torch import Tensor

from auteur.errors import UsageError

MODEL_TIMES = 1000
"""Noise levels; model times are 0 to 999, as in diffusers."""

MOST_STEPS = 1000


def check_steps(steps: int) -> int:
    """Returns `steps`.

    Raises:
        UsageError: Fewer than 1 or more than 1000.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(
            f"steps is {steps}; it must be between 1 and {MOST_STEPS}, 4 to 50 are usual: more are slower"
        )
    return steps


def scaled_linear_betas(first: float = 0.00085, last: float = 0.012, count: int = MODEL_TIMES) -> Tensor:
    """Returns β_1 … β_count, float64: linear in √β, as Stable Diffusion (Rombach et al. 2022) and Hallo."""
    return torch.linspace(first**0.5, last**0.5, count, dtype=torch.float64) ** 2


def rescale_zero_terminal_snr(betas: Tensor) -> Tensor:
    """Returns betas whose last level holds no signal (Lin et al. 2024, arXiv 2305.08891, algorithm 1)."""
    root = (1 - betas).cumprod(0).sqrt()  # √ᾱ_t
    root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))  # diffusers rounds in this order
    cumulative = root**2
    alphas = torch.cat([cumulative[:1], cumulative[1:] / cumulative[:-1]])
    return 1 - alphas


@cache
def signal_levels(zero_terminal_snr: bool = True) -> Tensor:
    """Returns ᾱ at levels 0 (clean: 1) to 1000 (all noise: 0 if `zero_terminal_snr`), float64 [1001]."""
    betas = scaled_linear_betas()
    if zero_terminal_snr:
        betas = rescale_zero_terminal_snr(betas)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)])


def trailing_times(steps: int) -> Tensor:
    """Returns steps + 1 times from 1 (all noise) down to 0 (clean), evenly spaced, float64.

    "Trailing" spacing starts from all noise at any number of steps (arXiv 2305.08891, section 3.3).

    Raises:
        UsageError: `steps` is out of range.
    """
    return torch.linspace(1, 0, check_steps(steps) + 1, dtype=torch.float64)


def spread(per_row: Tensor, like: Tensor) -> Tensor:
    """Returns one number per row [B], or one for all [], in the shape, type and device to multiply `like`."""
    shaped = per_row.reshape(-1, *([1] * (like.ndim - 1))) if per_row.ndim else per_row
    return shaped.to(like.device, like.dtype)
