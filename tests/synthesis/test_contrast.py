"""Contrast between the lips: bands add up, gains act on their band inside and nowhere else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.synthesis.contrast import bands, with_contrast
from auteur.synthesis.denoiser.config import PaintingConfig
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS
from auteur.synthesis.luminance import luminance


def pictures(seed: int = 0, *shape: int) -> torch.Tensor:
    return 0.3 + 0.4 * torch.rand(
        *(shape or (2, 3, 3, 32, 32)), generator=torch.Generator().manual_seed(seed)
    )


EVERYWHERE = torch.ones(1, 1, 1, 32, 32)


@given(st.integers(0, 100), st.lists(st.just(1.0), max_size=4))
def test_gains_of_1_change_nothing(seed: int, gains: list[float]) -> None:
    shown = pictures(seed)
    assert torch.equal(with_contrast(shown, EVERYWHERE, gains), shown)


def test_outside_nothing_changes_and_inside_the_deviation_of_a_band_grows_by_its_gain() -> None:
    shown, inside = pictures(), torch.zeros(1, 1, 1, 32, 32)
    inside[..., 8:24, 8:24] = 1
    made = with_contrast(shown, inside, (1.5, 1.0, 1.0))
    assert torch.equal(made[..., :8, :], shown[..., :8, :])
    before, after = (bands(luminance(one)[..., None, :, :].flatten(0, 1), 3)[0] for one in (shown, made))
    middle = (slice(None), slice(None), slice(10, 22), slice(10, 22))
    assert float(after[0][middle].std() / before[0][middle].std()) == pytest.approx(1.5, rel=0.02)
    half = (slice(None), slice(None), slice(6, 10), slice(6, 10))
    assert 0.95 < float(after[1][half].std() / before[1][half].std()) < 1.35  # bands overlap a little


def test_hue_stays_and_values_stay_in_range() -> None:
    shown = pictures(1)
    made = with_contrast(shown, EVERYWHERE, (4.0, 4.0, 4.0, 4.0))
    assert float(made.min()) >= 0 and float(made.max()) <= 1
    mild = with_contrast(shown, EVERYWHERE, (1.2, 1.1))
    shares, own = mild / mild.sum(2, keepdim=True), shown / shown.sum(2, keepdim=True)
    assert torch.allclose(shares, own, atol=1e-4)


@pytest.mark.parametrize("gains", [(1.0,) * 5, (-0.1,), (4.5, 1.0)])
def test_gains_out_of_range_are_refused(gains: tuple[float, ...]) -> None:
    assert "at most 4 gains of 0 to 4" in PaintingConfig(contrast=gains).problems(4)[0]
    with pytest.raises(UsageError, match="contrast"):
        DENOISER_PRESETS["compact"].config.changed(contrast=gains)
