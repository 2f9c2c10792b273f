"""Picture measures, pixel by pixel: PSNR, SSIM and sharpness.

T frames, H W picture.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.errors import UsageError

Pictures = NDArray[np.uint8]
Floats = NDArray[np.floating]

WINDOW = 7
"""Side of SSIM's window in pixels: scikit-image's default."""
_K1, _K2, _RANGE = 0.01, 0.03, 255.0


def psnr(generated: Pictures, reference: Pictures) -> Floats:
    """Returns the peak signal-to-noise ratio [T] in dB of uint8 pictures [T, H, W, 3]; the same: infinity.

    10 log10(255² / mean squared error over all pixels and channels), as scikit-image's
    `peak_signal_noise_ratio` with `data_range=255`.
    """
    _check(generated, reference)
    error = generated.astype(np.float64) - reference.astype(np.float64)
    mean = (error**2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(_RANGE**2 / mean)


def ssim(generated: Pictures, reference: Pictures) -> Floats:
    """Returns the structural similarity [T] in [-1, 1] of uint8 pictures [T, H, W, 3]; the same: 1.

    Wang et al. 2004 as scikit-image's `structural_similarity` computes it by default: a uniform window of
    7 × 7, sample covariances, borders of 3 px left out, mean over channels.
    """
    _check(generated, reference)
    if min(generated.shape[1:3]) < WINDOW:
        raise UsageError(f"pictures are {generated.shape[1:3]}; SSIM needs at least {WINDOW} px a side")
    x, y = _channels(generated), _channels(reference)
    mean_x, mean_y = _box(x), _box(y)
    sample = WINDOW**2 / (WINDOW**2 - 1)
    var_x = sample * (_box(x * x) - mean_x**2)
    var_y = sample * (_box(y * y) - mean_y**2)
    covariance = sample * (_box(x * y) - mean_x * mean_y)
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    similar = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similar = similar / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similar.mean(dim=(1, 2, 3)).reshape(-1, 3).mean(dim=1).double().numpy()


def sharpness(pictures: Pictures) -> Floats:
    """Returns the mean absolute Laplacian [T] of the luma of uint8 pictures [T, H, W, 3], in grey levels."""
    luma = pictures.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    inner = luma[:, 1:-1, 1:-1]
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return np.abs(around - 4 * inner).mean(axis=(1, 2))


def _channels(pictures: Pictures) -> Tensor:
    """[T, H, W, 3] → [T * 3, 1, H, W]; less the middle grey, so that single precision is enough."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    return pixels.reshape(-1, 1, *pixels.shape[2:])


def _box(x: Tensor) -> Tensor:
    """Means over the window wherever it fits, rows then columns."""
    return functional.avg_pool2d(functional.avg_pool2d(x, (1, WINDOW), 1), (WINDOW, 1), 1)


def _check(generated: Pictures, reference: Pictures) -> None:
    if generated.shape != reference.shape or generated.ndim != 4 or generated.shape[3] != 3:
        raise UsageError(
            f"pictures of shape {generated.shape} and {reference.shape} cannot be compared; "
            "give two arrays [frames, height, width, 3] of one size"
        )
