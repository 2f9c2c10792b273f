"""Luminance of pictures: ITU-R BT.601's weights of red, green and blue."""

import torch
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)


def luminance(pictures: Tensor) -> Tensor:
    """Returns the luminance of pictures [..., 3, H, W] in their own unit, [..., H, W]."""
    return torch.einsum("c,...chw->...hw", pictures.new_tensor(LUMINANCE), pictures)
