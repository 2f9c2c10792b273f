"""Noise keyed by frame: the same in every window, batch and resumed run."""

import hashlib
import math

import numpy as np
import torch
from torch import Tensor

from auteur.signals.chance import keyed_generator


def frame_noise(
    seed: int, first: int, stop: int, shape: tuple[int, ...], *, purpose: str = "sample"
) -> Tensor:
    """Returns standard normal numbers of frames `first` to `stop - 1`, float32 [stop - first, *shape].

    Each frame has a counter-based generator of its own, keyed by seed, purpose and frame number. The numbers
    are drawn on the CPU, so they are the same on every device.

    Args:
        seed: The user's.
        first: First frame; may be negative.
        stop: Frame after the last.
        shape: Of one frame, usually [C, H, W].
        purpose: Name of their use; every purpose has its own, independent numbers.
    """
    frames = [
        keyed_generator(f"{seed}:{purpose}:{frame}").standard_normal(shape, dtype=np.float32)
        for frame in range(first, stop)
    ]
    return torch.from_numpy(np.stack(frames)) if frames else torch.zeros(0, *shape)


def video_noise(
    seeds: tuple[int, ...],
    first: int,
    stop: int,
    shape: tuple[int, ...],
    *,
    purpose: str = "sample",
    common: float = 0.0,
) -> Tensor:
    """Returns the noise of several videos, one seed each, [B, stop - first, *shape].

    Args:
        seeds: One per video.
        first: First frame.
        stop: Frame after the last.
        shape: Of one frame.
        purpose: Name of their use.
        common: Share of the variance that all frames of a video have in common, in [0, 1].
    """
    own = [frame_noise(seed, first, stop, shape, purpose=purpose) for seed in seeds]
    if common:
        shared = [frame_noise(seed, 0, 1, shape, purpose=f"{purpose}:common") for seed in seeds]
        own = [mixed_noise(o, s, common) for o, s in zip(own, shared, strict=True)]
    return torch.stack(own)


def mixed_noise(own: Tensor, shared: Tensor, common: float) -> Tensor:
    """Returns unit noise of which a share of the variance is the same in all frames.

    The mixed noise model of PYoCo (Ge et al. 2023, arXiv 2305.10474, section 4.2): still parts are
    painted alike in every frame.
    """
    return math.sqrt(common) * shared + math.sqrt(1 - common) * own


def step_generator(seed: int, purpose: str) -> torch.Generator:
    """Returns the CPU generator of one purpose, such as a training step: no state needs to be kept."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
