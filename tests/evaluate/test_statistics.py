"""Intervals that cover, and a test that is exact where all sign patterns can be tried."""

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.evaluate.statistics import bootstrap, bootstrap_of, compare, duration_slope, sign_flip_test


def test_the_mean_is_the_mean_and_missing_values_do_not_count():
    found = bootstrap(np.array([1.0, np.nan, 3.0]))
    assert (found.mean, found.count, found.groups) == (2.0, 2, 2)
    assert found.low <= 2 <= found.high


def test_one_person_has_no_interval_however_many_clips():
    found = bootstrap(np.arange(10.0), ["a"] * 10)
    assert found.mean == 4.5 and np.isnan(found.low) and found.count == 10


def test_nothing_measured_counts_0():
    assert bootstrap(np.array([np.nan])).count == 0


def test_intervals_cover_the_truth_about_as_often_as_they_promise():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        found = bootstrap(random.normal(0, 1, 30), resamples=300, seed=trial)
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_clips_of_one_person_widen_the_interval():
    random = np.random.default_rng(1)
    values = np.repeat(random.normal(0, 1, 6), 10) + random.normal(0, 0.01, 60)
    people = np.repeat(np.arange(6), 10).astype(str).tolist()
    grouped, alone = bootstrap(values, people), bootstrap(values)
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_the_p_value_is_the_share_of_sign_patterns():
    assert sign_flip_test(np.array([1.0, 1.0, 1.0, 1.0])) == pytest.approx(2 / 16)
    assert sign_flip_test(np.array([1.0, -1.0])) == 1.0
    assert np.isnan(sign_flip_test(np.array([1.0])))


def test_clips_of_one_person_are_not_evidence_of_their_own():
    differences, people = np.array([1.0, 2, 3, 2, 1, 3]), ["a", "a", "a", "b", "b", "c"]
    assert sign_flip_test(differences, people) == pytest.approx(2 / 8)
    assert np.isnan(sign_flip_test(differences, ["a"] * 6))
    assert compare(differences, np.zeros(6), people).p_value == pytest.approx(2 / 8)
    # The sums of three people are 6, 3 and -1: as much as 8 is reached by two patterns and their opposites.
    mixed = np.array([1.0, 2, 3, 2, 1, -1])
    assert sign_flip_test(mixed, people) == pytest.approx(4 / 8)


def test_many_clips_are_tested_at_random_and_agree_with_the_normal_approximation():
    random = np.random.default_rng(2)
    differences = random.normal(0.35, 1, 40)
    z = differences.mean() / np.sqrt((differences**2).mean() / 40)
    from math import erfc, sqrt

    assert sign_flip_test(differences) == pytest.approx(erfc(abs(z) / sqrt(2)), abs=0.02)


def test_comparing_takes_pairs():
    found = compare(np.array([2.0, 3.0, 4.0, np.nan]), np.array([1.0, 3.0, 2.0, 9.0]))
    assert found.difference.mean == 1.0 and found.first_larger == pytest.approx(2.5 / 3)
    with pytest.raises(UsageError, match="paired"):
        compare(np.zeros(2), np.zeros(3))
    with pytest.raises(UsageError, match="group"):
        bootstrap(np.zeros(2), ["a"])


def test_intervals_of_a_statistic_of_the_set():
    values = np.arange(20.0)
    low, high = bootstrap_of(lambda which: float(values[which].max()), 20)
    assert 10 < low <= high <= 19
    assert np.isnan(bootstrap_of(lambda which: 0.0, 1)).all()


def test_the_slope_over_length_is_that_of_a_line_and_needs_lengths_that_differ():
    seconds = np.array([1.0, 2, 4, 8, 9])
    found = duration_slope(3 - 0.5 * seconds, seconds)
    assert found.mean == pytest.approx(-0.5) and found.low == pytest.approx(-0.5) == found.high
    noisy = duration_slope(np.array([0.0, 1, 0, 1, 0]), seconds)
    assert noisy.low < 0 < noisy.high
    assert np.isnan(duration_slope(np.arange(5.0), np.full(5, 3.0)).mean)
    assert np.isnan(duration_slope(np.array([1.0, np.nan, 2.0]), np.arange(3.0)).mean)
