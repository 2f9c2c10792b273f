"""Gains that bring the contrast of painted openings to that of real ones (`auteur.synthesis.contrast`)."""

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from auteur.errors import UsageError
from auteur.lab.data.denoiser_clips import BatchOf
from auteur.lab.data.face_views import REGION_FLOOR
from auteur.lab.train.validation_images import paint
from auteur.synthesis.contrast import bands
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.losses import draw_noise
from auteur.synthesis.luminance import luminance
from auteur.synthesis.noise import step_generator

_MOST_BANDS = 4
_ROWS, _BATCHES = 8, 16
_LARGEST = 2.0


@torch.inference_mode()
def contrast_gains(denoiser: VideoDenoiser, clips: BatchOf) -> tuple[float, ...]:
    """Returns one gain per band, the finest first: deviation of real over that of painted openings, 1 to 2.

    Args:
        denoiser: In evaluation mode; it paints in one step.
        clips: Pictures of people whom it was trained on, with `warped` and `region`.

    Raises:
        UsageError: The clips lack one of these.
    """
    sums: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    for number in range(_BATCHES):
        generator = step_generator(0, f"contrast:{number}")
        batch = clips(_ROWS, 1, generator)
        warped = batch.conditions.warped
        if warped is None or batch.region is None:
            raise UsageError("clips for gains of contrast hold warped and region")
        noise = draw_noise(batch.clean, denoiser.config.noise_common, generator)
        painted = paint(denoiser, batch, noise, 1)
        region = ((batch.region - REGION_FLOOR) / (1 - REGION_FLOOR)).clamp(0, 1)
        inside = ((1 - warped[:, :, 3:]) * region).flatten(0, 1)
        count = min(_MOST_BANDS, min(painted.shape[-2:]).bit_length() - 1)
        shown = [bands(luminance(one.flatten(0, 1))[:, None], count)[0] for one in (painted, batch.clean)]
        for level, pair in enumerate(zip(*shown, strict=True)):
            weights = functional.avg_pool2d(inside, 2**level)
            sums[level] += [float((weights * band.square()).sum()) for band in pair]
    ratios = np.array([np.sqrt(of_real / max(of_painted, 1e-12)) for of_painted, of_real in sums.values()])
    return tuple(round(float(ratio), 3) for ratio in ratios.clip(1, _LARGEST))
