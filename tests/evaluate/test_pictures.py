"""Picture and feature distances against scikit-image and closed forms."""

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.evaluate.frechet import frechet_distance
from auteur.evaluate.picture_quality import psnr, sharpness, ssim

metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is the reference")


def pair(astronaut, seed: int = 0):
    random = np.random.default_rng(seed)
    real = np.stack([astronaut[40:140, 150:270], astronaut[200:300, 60:180]])
    noisy = np.clip(real + random.normal(0, 12, real.shape), 0, 255).astype(np.uint8)
    return noisy, np.ascontiguousarray(real)


def test_psnr_is_scikit_images(astronaut):
    made, real = pair(astronaut)
    wanted = [metrics.peak_signal_noise_ratio(r, m) for m, r in zip(made, real, strict=True)]
    assert psnr(made, real) == pytest.approx(wanted, abs=1e-9)
    assert np.isinf(psnr(real, real)).all()


def test_ssim_is_scikit_images(astronaut):
    made, real = pair(astronaut)
    wanted = [metrics.structural_similarity(m, r, channel_axis=2) for m, r in zip(made, real, strict=True)]
    assert ssim(made, real) == pytest.approx(wanted, abs=2e-5)
    assert ssim(real, real) == pytest.approx([1, 1], abs=1e-6)


def test_ssim_of_bright_and_flat_pictures_is_stable():
    flat = np.full((1, 32, 32, 3), 250, np.uint8)
    other = flat.copy()
    other[0, 10:20] = 251
    wanted = metrics.structural_similarity(flat[0], other[0], channel_axis=2)
    assert ssim(flat, other)[0] == pytest.approx(wanted, abs=2e-3)


def test_blur_is_less_sharp(astronaut):
    real = pair(astronaut)[1]
    blurred = (real[:, :-1].astype(int) + real[:, 1:]) // 2
    assert (sharpness(blurred.astype(np.uint8)) < 0.8 * sharpness(real)).all()


def test_pictures_that_do_not_pair_are_refused():
    with pytest.raises(UsageError, match="one size"):
        psnr(np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 9, 3), np.uint8))
    with pytest.raises(UsageError, match="7 px"):
        ssim(np.zeros((1, 6, 8, 3), np.uint8), np.zeros((1, 6, 8, 3), np.uint8))


@pytest.mark.parametrize(("count", "width"), [(500, 6), (12, 30)])
def test_frechet_distance_is_the_closed_form_with_a_matrix_root(count, width):
    linalg = pytest.importorskip("scipy.linalg", reason="scipy has the matrix root")
    random = np.random.default_rng(0)
    a = random.normal(0, 1, (count, width)) @ random.normal(0, 1, (width, width))
    b = random.normal(0.5, 2, (count, width))
    s1, s2 = np.cov(a.T), np.cov(b.T)
    gap = ((a.mean(0) - b.mean(0)) ** 2).sum()
    wanted = gap + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real)
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-3, abs=1e-3)


def test_frechet_distance_of_known_gaussians():
    random = np.random.default_rng(1)
    a = random.normal(0, 1, (4000, 2))
    a = (a - a.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(a.T))).T  # exactly N(0, I)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + np.array([3, 4])) == pytest.approx(25)
    assert frechet_distance(a, 3 * a) == pytest.approx(2 * (3 - 1) ** 2)


def test_sets_that_are_too_small_have_no_distance():
    with pytest.raises(UsageError, match="two rows"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
