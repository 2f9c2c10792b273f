"""Lags of a picture behind its sound."""

import numpy as np
import pytest

from auteur.evaluate.lags import aligned, best_correlation, correlation, correlations, without_drift


def curves(lag: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """A sound [200, columns], and a picture that trails it by `lag` frames, with some noise."""
    random = np.random.default_rng(columns)
    sound = random.normal(size=(200, columns))
    return sound, np.roll(sound, lag, axis=0) + random.normal(0, 0.3, (200, columns))


@pytest.mark.parametrize("lag", [-7, 0, 3])
@pytest.mark.parametrize("columns", [1, 3])
def test_a_planted_lag_is_found(lag: int, columns: int) -> None:
    by_lag = correlations(*curves(lag, columns), 10)
    assert by_lag.shape == (21,) and by_lag.argmax() - 10 == lag
    assert by_lag.max() > 0.9 and np.median(np.abs(by_lag)) < 0.2


def test_a_correlation_is_pearsons() -> None:
    sound, picture = (part[:, 0] for part in curves(2, 1))
    one, other = aligned(sound, picture, 2)
    assert len(one) == len(other) == 198
    assert correlation(sound, picture, 2) == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-12)
    assert best_correlation(sound, picture, 5) == pytest.approx(correlation(sound, picture, 2))
    assert correlation(sound, np.ones(200)) == 0


def test_drift_is_taken_out_and_speech_stays() -> None:
    times = np.arange(250) / 25
    speech, drift = np.sin(2 * np.pi * 4 * times), 5 * np.sin(2 * np.pi * 0.05 * times)
    left = without_drift(speech + drift)
    assert np.abs(left - speech)[25:-25].max() < 0.1
    assert without_drift((speech + drift)[:, None])[:, 0] == pytest.approx(left)
