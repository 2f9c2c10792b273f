"""From a coarse segmentation to a matte that follows hair, and the person's own colours."""

import torch
import torch.nn.functional as functional
from torch import Tensor

from auteur.synthesis.warp.sampling import fill_in

_SURE = 0.95
"""Matte from which a pixel's colour is the person's own; below 1 minus this it is the background's."""
_RIDGE = 1e-4
"""Least variance of colour along which an edge is followed, for colours in [0, 1]."""


def guided_filter(guide: Tensor, values: Tensor, radius_px: int, ridge: float = _RIDGE) -> Tensor:
    """Returns values [1, H, W] smoothed except along edges of a picture [3, H, W], both in [0, 1].

    In each window the result is linear in the picture's colour (He, Sun & Tang, "Guided Image Filtering",
    2010, eq. 19 to 21).

    Args:
        guide: The picture.
        values: Values to smooth.
        radius_px: Half the side of the windows.
        ridge: Variance of colour that does not count as an edge.
    """
    mean, mean_value = _box(guide, radius_px), _box(values, radius_px)
    products = torch.stack([guide[i] * guide[j] for i in range(3) for j in range(3)])
    spread = _box(products, radius_px) - torch.stack([mean[i] * mean[j] for i in range(3) for j in range(3)])
    covariance = spread.reshape(3, 3, *guide.shape[1:]).permute(2, 3, 0, 1)
    with_values = (_box(guide * values, radius_px) - mean * mean_value).permute(1, 2, 0)[..., None]
    slope = torch.linalg.solve(covariance + ridge * torch.eye(3), with_values)[..., 0].permute(2, 0, 1)
    offset = mean_value - (slope * mean).sum(0, keepdim=True)
    return (_box(slope, radius_px) * guide).sum(0, keepdim=True) + _box(offset, radius_px)


def person_colours(picture: Tensor, matte: Tensor) -> Tensor:
    """Returns the person's own colours everywhere, [3, H, W] in [0, 1].

    Where the matte is 1 they are the picture's; along the outline the background's share of the colour is
    taken out; beyond it the nearest colours of the person go on (after Forte & Pitié, "F, B, Alpha Matting",
    2020, whose blurred averages are filled in here from what is sure).

    Args:
        picture: [3, H, W] in [0, 1].
        matte: [1, H, W] in [0, 1].
    """
    person = fill_in(picture, (matte > _SURE).float())
    background = fill_in(picture, (matte < 1 - _SURE).float())
    mixed = matte * person + (1 - matte) * background
    own = (person + matte * (picture - mixed)).clamp(0, 1)
    return torch.where(matte > _SURE, picture, own)


def _box(values: Tensor, radius_px: int) -> Tensor:
    """Means [C, H, W] over squares of 2 radius + 1 pixels, cut at the picture's border."""
    side = 2 * radius_px + 1
    return functional.avg_pool2d(values[None], side, 1, radius_px, count_include_pad=False)[0]
