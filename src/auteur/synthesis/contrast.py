"""Contrast inside an opening, brought back to that of real mouths, band by band.

What a network predicts under a squared error is a mean. Its deviation is that of the truth times their
correlation, least in the finest detail: a haze. Here the luminance is split into the bands of a Laplacian
pyramid (Burt & Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983, with means of 2 × 2 pixels and
bilinear interpolation), and each band is multiplied by a gain. `auteur.lab.train.contrast_gains` measures the
gains on people whom the network was trained on.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from auteur.synthesis.luminance import luminance

_DARKEST = 0.02
"""Luminance below which colours are not scaled any further down."""


def bands(values: Tensor, count: int) -> tuple[list[Tensor], Tensor]:
    """Returns so many bands of values [N, 1, S, S], the finest first, each half the size, and the rest.

    Args:
        values: S is a multiple of 2 to the power of `count`.
        count: Of bands.
    """
    found: list[Tensor] = []
    for _ in range(count):
        coarse = functional.avg_pool2d(values, 2)
        found.append(values - _doubled(coarse))
        values = coarse
    return found, values


def with_contrast(pictures: Tensor, inside: Tensor, gains: Sequence[float]) -> Tensor:
    """Returns pictures [..., 3, S, S] in [0, 1] with each band of their luminance times its gain.

    Args:
        pictures: Painted squares; S is a multiple of 2 to the power of the number of gains.
        inside: Weight of the change, [..., 1, S, S] in [0, 1].
        gains: Of the bands, the finest first; those of 1 change nothing.
    """
    if all(gain == 1 for gain in gains):
        return pictures
    light = luminance(pictures)
    flat = light.reshape(-1, 1, *light.shape[-2:])
    found, changed = bands(flat, len(gains))
    for band, gain in zip(reversed(found), reversed(gains), strict=True):
        changed = _doubled(changed) + gain * band
    ratio = changed.clamp(_DARKEST, 1) / flat.clamp(min=_DARKEST)
    scaled = (pictures * ratio.reshape(light.shape)[..., None, :, :]).clamp(0, 1)
    return torch.lerp(pictures, scaled, inside)


def _doubled(values: Tensor) -> Tensor:
    return functional.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
