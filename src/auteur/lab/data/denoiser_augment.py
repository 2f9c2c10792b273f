"""Augmentation of light and camera, the same for a clip, its portrait and its warp."""

import torch
from torch import Tensor
from torch.nn import functional

from auteur.lab.data.denoiser_clips import ClipBatch
from auteur.synthesis.luminance import LUMINANCE

_GREY, _SOFT = 0.08, 0.2
"""Probabilities that a row loses its colours, or its finest detail."""


def augmented(batch: ClipBatch, generator: torch.Generator) -> ClipBatch:
    """Returns a batch of pixels in [-1, 1] with each row in another light; drawings and numbers stay.

    Args:
        batch: Its `reference` and `past` are pictures, if given.
        generator: Source of chance, on the CPU.
    """
    rows = len(batch.clean)
    matrices, shifts = _colours(rows, generator)
    shares = 0.5 + 0.5 * torch.rand(rows, generator=generator)
    is_soft = torch.rand(rows, generator=generator) < _SOFT

    def changed(pictures: Tensor) -> Tensor:
        flat = pictures.reshape(rows, -1, *pictures.shape[-3:])
        coloured = torch.einsum("bij,bfjhw->bfihw", matrices, flat) + shifts[:, None, :, None, None]
        for row in is_soft.nonzero()[:, 0].tolist():
            coloured[row] = _softened(coloured[row], float(shares[row]))
        return coloured.clamp(-1, 1).reshape(pictures.shape)

    given = batch.conditions
    parts: dict[str, Tensor] = {}
    if given.warped is not None:
        parts["warped"] = torch.cat([changed(given.warped[:, :, :3]), given.warped[:, :, 3:]], dim=2)
    for name in ("reference", "past"):
        if isinstance(value := getattr(given, name), Tensor):
            parts[name] = changed(value)
    return ClipBatch(changed(batch.clean), given.replace(**parts), batch.region)


def _colours(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A linear map of colours [B, 3, 3] and what is added [B, 3], for values in [-1, 1]."""

    def normal(*shape: int, deviation: float) -> Tensor:
        return deviation * torch.randn(*shape, generator=generator)

    saturation = 0.6 + 0.8 * torch.rand(rows, generator=generator)
    saturation = torch.where(torch.rand(rows, generator=generator) < _GREY, 0.0, saturation)
    grey = torch.tensor(LUMINANCE).expand(3, 3)
    mixed = torch.lerp(grey.expand(rows, 3, 3), torch.eye(3).expand(rows, 3, 3), saturation[:, None, None])
    gains = torch.exp(normal(rows, 1, deviation=0.15) + normal(rows, 3, deviation=0.06))
    matrices = gains[:, :, None] * mixed
    shifts = normal(rows, 1, deviation=0.1) + normal(rows, 3, deviation=0.03)
    return matrices, shifts


def _softened(pictures: Tensor, share: float) -> Tensor:
    """Pictures [F, 3, H, W] as a camera with a share of the pixels would have taken them."""
    size = pictures.shape[-2:]
    small = [max(8, round(side * share)) for side in size]
    down = functional.interpolate(pictures, size=small, mode="bilinear", antialias=True)
    return functional.interpolate(down, size=tuple(size), mode="bilinear")
