"""Landmark distances against a transcription of EAT's formula; Action Unit figures against closed forms."""

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.evaluate import control
from auteur.evaluate.landmark_distance import (
    face_landmark_distance,
    ibug68,
    landmark_velocity_distance,
    mouth_landmark_distance,
)

UNITS = control.UNITS


def points(seed: int, frames: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 256, (frames, 68, 2))


def eat_distance(made: np.ndarray, real: np.ndarray) -> float:
    """EAT's scorer, step by step: centre each set by its own mean, then the mean Euclidean distance."""
    total = 0.0
    for frame in range(len(made)):
        centre_made = sum(made[frame]) / len(made[frame])
        centre_real = sum(real[frame]) / len(real[frame])
        distances = []
        for p, q in zip(made[frame], real[frame], strict=True):
            dx = (p[0] - centre_made[0]) - (q[0] - centre_real[0])
            dy = (p[1] - centre_made[1]) - (q[1] - centre_real[1])
            distances.append((dx * dx + dy * dy) ** 0.5)
        total += sum(distances) / len(distances)
    return total / len(made)


def test_distances_are_eats():
    made, real = points(0), points(1)
    assert face_landmark_distance(made, real).mean() == pytest.approx(eat_distance(made, real))
    mouths = made[:, 48:], real[:, 48:]
    assert mouth_landmark_distance(made, real).mean() == pytest.approx(eat_distance(*mouths))


def test_moving_a_whole_face_does_not_count_and_size_does():
    made, real = points(0), points(1)
    distance = face_landmark_distance(made, real)
    assert face_landmark_distance(made + np.array([30, -7]), real) == pytest.approx(distance)
    assert face_landmark_distance(2 * made, 2 * real) == pytest.approx(2 * distance)
    assert face_landmark_distance(real, real) == pytest.approx(0)


def test_the_velocity_form_ignores_a_constant_difference():
    real = points(1)
    assert landmark_velocity_distance(real + points(2, 1), real) == pytest.approx(0, abs=1e-9)
    assert (landmark_velocity_distance(points(0), real) > 1).all()


def test_mesh_points_become_the_68():
    mesh = np.random.default_rng(0).uniform(0, 9, (3, 478, 3))
    assert ibug68(mesh).shape == (3, 68, 2)
    with pytest.raises(UsageError, match="frames, points, 2"):
        face_landmark_distance(np.zeros((2, 68, 2)), np.zeros((3, 68, 2)))


def test_unit_errors_and_correlations_leave_out_what_was_not_measured():
    requested = np.tile(np.linspace(0, 1, 10)[:, None], (1, len(UNITS)))
    requested[:, 1] = 0.4
    shown = requested * 0.5 + 0.1
    shown[3] = np.nan
    shown[:, 2] = 0.7
    errors, correlations = control.unit_errors(shown, requested), control.unit_correlations(shown, requested)
    seen = np.delete(np.linspace(0, 1, 10), 3)
    assert errors[0] == pytest.approx(np.abs(seen * 0.5 - 0.1).mean())
    assert correlations[0] == pytest.approx(1)
    assert np.isnan(correlations[1]), "requested to stand still"
    assert correlations[2] == 0, "requested to move and does not"


@pytest.mark.slow
def test_rank_correlation_is_spearmans():
    stats = pytest.importorskip("scipy.stats", reason="scipy is the reference")
    random = np.random.default_rng(0)
    a, b = random.integers(0, 6, 30).astype(float), random.normal(0, 1, 30)
    assert control.rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert control.rank_correlation(a, np.zeros(30)) == 0


def test_monotonic_means_moving_and_never_back():
    assert control.is_monotonic(np.array([0, 0.1, 0.1, 0.5]))
    assert not control.is_monotonic(np.array([0, 0.3, 0.2, 0.5]))
    assert not control.is_monotonic(np.zeros(5))


def test_cross_talk_counts_other_regions_only():
    change = np.zeros(len(UNITS))
    change[UNITS.index(2)] = 0.9  # the other brow unit: the same region as AU1
    assert control.cross_talk(change, 1) == 0
    change[UNITS.index(12)] = 0.9
    others = len(control.other_regions(1))
    assert control.cross_talk(change, 1) == pytest.approx(0.9 / others)
