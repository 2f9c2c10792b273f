"""Portraits of one tone, such as greyscale and sepia: painted pixels take their colours."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.synthesis.luminance import LUMINANCE, luminance
from auteur.synthesis.warp.sampling import smooth_step

Floats = NDArray[np.floating]

_ONE_TONE, _COLOURED = 2.0 / 255, 3.8 / 255
"""Root mean square difference of the face's colours from one tone: up to the first it has no other tone,
from the second on it is coloured. A sepia JPEG has 2.6, varnished Mona Lisa 3.0, photographs 4.2 and more."""
_SAMPLES = 20_000


@dataclass(frozen=True, eq=False)
class Tone:
    """The colours that luminance has in a portrait.

    Attributes:
        coefficients: Of 1, luminance and its square, by colour, [3, 3]; all in [0, 1].
        darkest: Luminance below which colours fade to black.
        brightest: Luminance above which colours keep their distance from grey at this luminance.
        strength: How far the portrait has one tone only, 0 to 1.
    """

    coefficients: Tensor
    darkest: float
    brightest: float
    strength: float

    def __call__(self, pictures: Tensor) -> Tensor:
        """Returns pictures [..., 3, h, w] in [0, 1] in the tone, as far as the portrait has only one."""
        if self.strength == 0:
            return pictures
        light = luminance(pictures)
        known = light.clamp(self.darkest, self.brightest)
        powers = torch.stack([torch.ones_like(known), known, known.square()], dim=-3)
        toned = torch.einsum("cp,...phw->...chw", self.coefficients.to(pictures), powers)
        darker = (light / known).clamp(max=1)[..., None, :, :]
        toned = toned * darker + (light - known).clamp(min=0)[..., None, :, :]
        return torch.lerp(pictures, toned.clamp(0, 1), self.strength)


def tone_of(portrait: Tensor, landmarks: Floats) -> Tone:
    """Returns the tone of a portrait's face.

    Args:
        portrait: uint8 [3, H, W].
        landmarks: [478, 3] px.
    """
    low = np.floor(landmarks[:, :2].min(axis=0)).astype(int).clip(0)
    high = np.ceil(landmarks[:, :2].max(axis=0)).astype(int)
    pixels = portrait[:, low[1] : high[1], low[0] : high[0]].flatten(1)
    pixels = pixels[:, :: max(1, pixels.shape[1] // _SAMPLES)].double() / 255
    light = pixels.new_tensor(LUMINANCE) @ pixels
    powers = torch.stack([torch.ones_like(light), light, light.square()], dim=1)
    coefficients = torch.linalg.lstsq(powers, pixels.T, driver="gelsd").solution.T
    rest = (pixels - coefficients @ powers.T).square().mean().sqrt()
    ends = torch.quantile(light, light.new_tensor([0.01, 0.99])).clamp(min=1 / 255)
    return Tone(
        coefficients=coefficients.float(),
        darkest=float(ends[0]),
        brightest=float(ends[1]),
        strength=float(1 - smooth_step((rest - _ONE_TONE) / (_COLOURED - _ONE_TONE))),
    )
