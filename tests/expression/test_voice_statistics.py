import numpy as np
import torch

from auteur.expression.acoustic_features import BANDS, CHANNELS
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.audio_lm.emotion_classifier import EmotionClassifierConfig, StatisticsRegression
from auteur.expression.voice_statistics import STATISTICS, voice_statistics
from auteur.lab.train.emotion_classifier import fitted_balance


def rows_of(count: int, octave: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows = random.normal(0, 0.3, (count, CHANNELS)).astype(np.float32)
    rows[:, BANDS] = octave + 0.05 * random.standard_normal(count)
    rows[:, BANDS + 1] = 0.9
    return rows


def test_statistics_exist_for_any_sound_and_follow_the_pitch():
    for count in (1, 2, 9, 400):
        silent = np.full((count, CHANNELS), -1.8, np.float32)
        silent[:, BANDS:] = 0
        for rows in (silent, rows_of(count, 0.2)):
            found = voice_statistics(rows)
            assert found.shape == (STATISTICS,)
            assert np.isfinite(found).all()
    low, high = (voice_statistics(rows_of(100, octave)) for octave in (0.0, 1.0))
    assert np.isclose((high - low).max(), 1, atol=0.05)


def test_the_regression_learns_and_its_supports_survive_as_bytes():
    torch.manual_seed(0)
    labels = torch.arange(60) % 3
    statistics = torch.randn(60, STATISTICS) + 2 * labels[:, None] * torch.sin(torch.arange(STATISTICS))
    regression = StatisticsRegression(EmotionClassifierConfig(supports=40))
    regression.fit(statistics, labels)
    assert (regression(statistics).argmax(-1) == labels).all()
    copy = StatisticsRegression(EmotionClassifierConfig(supports=40))
    copy.load_state_dict(regression.state_dict())
    torch.testing.assert_close(copy(statistics), regression(statistics))


def test_factors_calibrate_what_is_too_sure():
    torch.manual_seed(0)
    labels = torch.randint(len(VOICE_EMOTIONS), (400,))
    guesses = torch.where(torch.rand(400) < 0.6, labels, torch.randint(len(VOICE_EMOTIONS), (400,)))
    sure = (20 * torch.nn.functional.one_hot(guesses, len(VOICE_EMOTIONS)).float()).log_softmax(-1)
    factors = fitted_balance(sure, torch.zeros_like(sure), labels)
    right = (guesses == labels).float().mean()
    assert torch.isclose((factors[0] * sure).softmax(-1).max(-1).values.mean(), right, atol=0.02)
