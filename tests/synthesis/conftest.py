"""Fixtures of the denoiser's tests; being here, it also lets them import the samples beside it."""

import denoiser_samples
import pytest

from auteur.synthesis.denoiser.network import VideoDenoiser


@pytest.fixture(scope="session", params=sorted(denoiser_samples.TINY))
def model(request: pytest.FixtureRequest) -> VideoDenoiser:
    """Every preset at tiny size, all its weights random, so that no conditioner is silent."""
    return denoiser_samples.loud(denoiser_samples.TINY[request.param])
