import numpy as np
import torch

from auteur.expression.acoustic_features import BANDS, CHANNELS
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.audio_lm.emotion_classifier import (
    EmotionClassifierConfig,
    EmotionEnsemble,
    FisherRegression,
    StatisticsRegression,
)
from auteur.expression.fisher_vectors import DESCRIPTORS, SpeechMixture, descriptors, fisher_vector
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
    factors = fitted_balance((sure, torch.zeros_like(sure)), labels)
    right = (guesses == labels).float().mean()
    assert torch.isclose((factors[0] * sure).softmax(-1).max(-1).values.mean(), right, atol=0.02)


def test_factors_of_predictions_without_an_error_are_finite():
    labels = torch.arange(30) % len(VOICE_EMOTIONS)
    perfect = torch.nn.functional.one_hot(labels, len(VOICE_EMOTIONS)).float()
    factors = fitted_balance((perfect.log_softmax(-1), perfect, 2 * perfect), labels)
    assert torch.isfinite(factors).all() and factors.abs().max() < 100


def test_a_mixture_finds_the_kinds_of_sound_and_vectors_are_of_length_one():
    torch.manual_seed(0)
    kinds = 6 * torch.randn(3, DESCRIPTORS)
    rows = kinds[torch.arange(600) % 3] + 0.5 * torch.randn(600, DESCRIPTORS)
    mixture = SpeechMixture(3)
    mixture.fit(rows)
    found = mixture.means * mixture.scale + mixture.centre
    assert torch.cdist(kinds, found).amin(1).max() < 1
    torch.testing.assert_close(mixture.shares, torch.full((3,), 1 / 3), atol=0.01, rtol=0)
    assert torch.isclose(mixture(rows[:90]).norm(), torch.ones(()))
    # What is as usual has no gradient by the means; what is louder in every kind of sound has.
    half = mixture.means.numel()
    louder = mixture(rows + torch.eye(DESCRIPTORS)[0])
    assert mixture(rows)[:half].norm() < 0.5 * louder[:half].norm()


def test_a_number_that_never_changes_does_no_harm():
    torch.manual_seed(0)
    rows = torch.randn(200, DESCRIPTORS)
    rows[:, -2] = 0
    mixture = SpeechMixture(4)
    mixture.fit(rows)
    assert torch.isfinite(mixture(rows[:20])).all()


def test_fisher_vectors_exist_for_any_sound():
    mixture = SpeechMixture(4)
    silent = np.full((9, CHANNELS), -1.8, np.float32)
    assert not fisher_vector(mixture, silent).any()
    assert descriptors(silent).shape == (0, DESCRIPTORS)
    assert torch.isfinite(fisher_vector(mixture, rows_of(1, 0.2))).all()
    assert len(fisher_vector(mixture, rows_of(50, 0.2))) == 2 * 4 * DESCRIPTORS


def test_the_regression_on_fisher_vectors_learns_and_counts_classes_alike():
    torch.manual_seed(0)
    config = EmotionClassifierConfig(components=2)
    labels = torch.cat([torch.zeros(50), torch.ones(10), torch.full((10,), 2)]).long()
    kinds = torch.nn.functional.normalize(torch.randn(3, 4 * DESCRIPTORS), dim=1)
    vectors = torch.nn.functional.normalize(kinds[labels] + 0.04 * torch.randn(70, 4 * DESCRIPTORS), dim=1)
    regression = FisherRegression(config)
    regression.fit(vectors, labels)
    assert (regression(vectors).argmax(-1) == labels).all()
    unseen = torch.nn.functional.normalize(kinds + 0.04 * torch.randn(3, 4 * DESCRIPTORS), dim=1)
    assert regression(unseen).argmax(-1).tolist() == [0, 1, 2]


def test_all_three_predictions_count_in_the_ensemble():
    torch.manual_seed(0)
    ensemble = EmotionEnsemble(EmotionClassifierConfig(width=4, hidden=8, voters=2, components=2))
    parts = [torch.randn(1, len(VOICE_EMOTIONS)) for _ in range(3)]
    whole = ensemble.joined(*parts)
    assert torch.isclose(whole.exp().sum(), torch.ones(()))
    for number in range(3):
        ensemble.balance.fill_(1)
        ensemble.balance[number] = 0
        assert not torch.allclose(ensemble.joined(*parts), whole)
