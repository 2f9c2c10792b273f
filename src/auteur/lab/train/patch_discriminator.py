"""Losses on painted pictures: a patch discriminator, a perceptual distance, and seams between patches.

N pictures, C channels, H W size.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.evaluate.face_features import FaceFeatureNet, distance_of_maps
from auteur.face.landmarker import CROP_SIZE_PX

_JITTER = 8
"""Pixels of the random shift of pictures before the discriminator: the strides of the layers then fall
on other pixels each time, and favour no grid."""
_SQUARE_PX = 4
"""Side of the squares of `split_error`."""
_SEAM_PATCHES = 8
"""Patches on a side, over which a repeating error is averaged."""


_HALVING = 2
"""Layers that halve the picture; the others see more of it, at the same fineness."""
_GROUPS = 8


class PatchDiscriminator(nn.Module):
    """Classifies patches as real or painted: pictures and their conditions, [N, C, H, W] each → logits.

    Group normalisation and no spectral one: with that, logits stayed so small that a discriminator of this
    size separated nothing after hundreds of steps.
    """

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for level, (before, width) in enumerate(zip((channels, *widths), widths, strict=False)):
            kernel, stride = (4, 2) if level < _HALVING else (3, 1)
            layers.append(nn.Conv2d(before, width, kernel, stride, 1))
            if level:
                layers.append(nn.GroupNorm(math.gcd(_GROUPS, width), width))
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, pictures: Tensor, conditions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Returns one logit per patch, [N, 1, h, w], and the features of every level on the way."""
        seen, features = torch.cat([pictures, conditions], dim=1).float(), list[Tensor]()
        with torch.autocast(seen.device.type, enabled=False):
            for layer in self.layers:
                seen = layer(seen)
                if isinstance(layer, nn.LeakyReLU):
                    features.append(seen)
        return seen, features


def jittered(pictures: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Returns the same cut of all pictures [N, C, H, W], `_JITTER` pixels smaller where they are large."""
    height, width = pictures[0].shape[-2:]
    less = min(_JITTER, height // 4, width // 4)
    top, left = torch.randint(less + 1, (2,), generator=generator).tolist()
    return [one[..., top : top + height - less, left : left + width - less] for one in pictures]


def mean_of_painted(values: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the mean of values per patch [N, 1, h, w], [], weighted by the painted share of each patch.

    Args:
        values: Of a discriminator.
        mask: Painted share of each pixel, [N, 1, H, W]; None, or nothing painted: all patches count alike.
    """
    if mask is None or not mask.any():
        return values.mean()
    size = (values.shape[-2], values.shape[-1])
    weights = functional.adaptive_avg_pool2d(mask.float(), size)
    return (values * weights).sum() / weights.sum()


def split_error(difference: Tensor, detail: float) -> Tensor:
    """Returns the mean square of [N, C, H, W]; what varies within squares is weighted by `detail`."""
    whole = difference.square().mean()
    if detail == 1:
        return whole
    of_means = functional.avg_pool2d(difference, _SQUARE_PX).square().mean()
    return torch.lerp(of_means, whole, detail)


def seam_loss(laid: Tensor, real: Tensor, mask: Tensor, patch: int) -> Tensor:
    """Returns the part of the error of pictures [N, C, H, W] that repeats from patch to patch, [].

    The error is averaged over neighbouring patches, place by place; what then differs between the places of a
    patch is a lattice, for nothing in a face repeats so. Places of little mask [N, 1, H, W] count little.
    """
    block = _SEAM_PATCHES * patch
    height, width = (side // block * block for side in laid.shape[-2:])
    if not height or not width:
        return laid.new_zeros(())

    def averaged(values: Tensor) -> Tensor:
        cut = values[..., :height, :width].unflatten(-1, (-1, _SEAM_PATCHES, patch))
        return cut.unflatten(-4, (-1, _SEAM_PATCHES, patch)).mean((-5, -2))  # [N, C, rows, p, columns, p]

    pattern = averaged((laid - real).float())
    pattern = pattern - pattern.mean((-3, -1), keepdim=True)
    return pattern.square().mean() / averaged(mask.float()).mean().clamp(min=1e-3)


def perceptual_loss(net: FaceFeatureNet, laid: Tensor, real: Tensor) -> Tensor:
    """Returns the mean auteur perceptual distance of pictures [N, 3, H, W] with values in [-1, 1].

    Like other losses on features of a trained network (Johnson et al. 2016, arXiv 1603.08155), it is small
    for small shifts and large for lost edges.
    """
    with torch.autocast(laid.device.type, enabled=False):
        sides = (CROP_SIZE_PX, CROP_SIZE_PX)
        of_laid, of_real = (
            [
                functional.normalize(seen, dim=1)
                for seen in net.activations(
                    functional.interpolate((p.float() + 1) / 2, sides, mode="bilinear")
                )
            ]
            for p in (laid, real)
        )
        return distance_of_maps(of_laid, of_real).mean()


def feature_matching_loss(some: list[Tensor], others: list[Tensor]) -> Tensor:
    """Returns the mean absolute difference of features over their size (pix2pixHD, arXiv 1711.11585), []."""
    shares = [
        (one - other).abs().mean() / (other.abs().mean() + 1e-6)
        for one, other in zip(some, others, strict=True)
    ]
    return torch.stack(shares).mean()
