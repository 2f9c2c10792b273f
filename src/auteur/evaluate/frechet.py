"""The Fréchet distance of two sets of features, of which FID and FVD are two cases."""

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError

Floats = NDArray[np.floating]


def frechet_distance(first: Floats, second: Floats) -> float:
    """Returns the squared Fréchet distance of Gaussians fitted to features [N, D] and [M, D].

    |m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½) (Dowson & Landau 1982; Heusel et al. 2017, equation 6), with sample
    covariances. tr (S1 S2)^½ is the sum of the singular values of X1 X2ᵀ, where S = XᵀX: no matrix root is
    taken, and fewer samples than dimensions do no harm to it. Such small sets bias the distance upwards all
    the same, so only sets of the same size may be compared.

    Raises:
        UsageError: A set has fewer than two rows, or their widths differ.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if min(len(first), len(second)) < 2 or first.shape[1:] != second.shape[1:] or first.ndim != 2:
        raise UsageError(
            f"features of shape {first.shape} and {second.shape} have no Fréchet distance; "
            "give at least two rows each and the same number of columns"
        )
    means, factors, traces = zip(*(_gaussian(features) for features in (first, second)), strict=True)
    root = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    return float(((means[0] - means[1]) ** 2).sum() + traces[0] + traces[1] - 2 * root)


def _gaussian(features: Floats) -> tuple[Floats, Floats, float]:
    """Mean, a factor X [<= D, D] with covariance XᵀX, and the covariance's trace."""
    mean = features.mean(axis=0)
    factor = (features - mean) / np.sqrt(len(features) - 1)
    if len(factor) > factor.shape[1]:
        factor = np.asarray(np.linalg.qr(factor, mode="r"))
    return mean, factor, float((factor**2).sum())
