"""Moment errors and witness sets against NumPy, SciPy and the uniform law of p-values."""

import math

import numpy as np
import pytest
from scipy import special, stats

from analytic import distances
from tests.analytic.normal_laws import ALARM


def test_moment_errors_are_those_of_numpy_with_calibrated_errors() -> None:
    mean, covariance = np.array([1.0, -2.0]), np.array([[2.0, 0.6], [0.6, 0.5]])
    root = np.linalg.cholesky(covariance)
    mean_z, covariance_z, p_values = [], [], []
    for seed in range(300):
        x = mean + np.random.default_rng([11, seed]).standard_normal((1000, 2)) @ root.T
        errors = distances.moment_errors(x, mean, covariance)
        mean_z.append(errors.mean / errors.mean_standard_error)
        covariance_z.append(errors.covariance / errors.covariance_standard_error)
        p_values.append(errors.p_value)
    np.testing.assert_allclose(errors.mean, x.mean(axis=0) - mean, rtol=1e-12)
    np.testing.assert_allclose(errors.covariance, np.cov(x.T) - covariance, rtol=1e-10)
    for z in (*np.transpose(mean_z), *np.transpose(covariance_z, (1, 2, 0)).reshape(4, 300)):
        assert ALARM < stats.chi2.cdf(np.sum(z**2), 300) < 1 - ALARM
    assert stats.kstest(p_values, "uniform").pvalue > ALARM
    wrong = distances.moment_errors(x, mean, covariance + np.diag([0.0, 0.15]))
    assert wrong.p_value < ALARM
    variances = distances.moment_errors(x, mean, np.diagonal(covariance))
    np.testing.assert_allclose(variances.covariance, np.diagonal(errors.covariance), rtol=1e-10)
    assert (errors.rank, variances.rank) == (5, 4)


def test_joint_test_is_hotellings_on_moments_about_the_exact_mean() -> None:
    random = np.random.default_rng(15)
    x = random.standard_normal((80, 2)) @ [[1.0, 0.4], [0.0, 2.0]] + [3.0, -1.0]
    mean, covariance = np.array([2.4, -0.2]), np.array([[1.3, 0.2], [0.2, 3.0]])
    z = x - mean
    for exact, rows, columns in (
        (covariance, [0, 0, 1], [0, 1, 1]),
        (np.diagonal(covariance), [0, 1], [0, 1]),
    ):
        moments = np.c_[z, z[:, rows] * z[:, columns] - covariance[rows, columns]]
        average, rank = moments.mean(axis=0), moments.shape[1]
        statistic = 80 * average @ np.linalg.solve(np.cov(moments.T), average) * (80 - rank) / (rank * 79)
        errors = distances.moment_errors(x, mean, exact)
        assert errors.statistic == pytest.approx(statistic, rel=1e-10, abs=0)
        assert errors.p_value == pytest.approx(stats.f.sf(statistic, rank, 80 - rank), rel=1e-8, abs=0)


def test_moment_errors_do_not_need_a_gaussian_law() -> None:
    p_values = [
        distances.moment_errors(np.random.default_rng([12, seed]).uniform(-1, 1, 2000), 0.0, 1 / 3).p_value
        for seed in range(300)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > ALARM


def test_moment_errors_take_singular_covariances() -> None:
    direction = np.array([1.0, 2.0, 0.0])
    p_values = []
    for seed in range(200):
        x = np.random.default_rng([13, seed]).standard_normal((500, 1)) * direction
        errors = distances.moment_errors(x, np.zeros(3), np.outer(direction, direction))
        p_values.append(errors.p_value)
        assert errors.rank == 2
    assert stats.kstest(p_values, "uniform").pvalue > ALARM
    assert (
        distances.moment_errors(
            x + np.array([0, 0, 1e-9]), np.zeros(3), np.outer(direction, direction)
        ).p_value
        == 0.0
    )
    assert (
        distances.moment_errors(x * [1, 1.001, 1], np.zeros(3), np.outer(direction, direction)).p_value == 0.0
    )
    atom = distances.moment_errors(np.full((20, 1), 3.0), 3.0, 0.0)
    assert (atom.p_value, atom.rank) == (1.0, 0)


def test_tv_witness_reaches_tv_on_the_best_set() -> None:
    # N(0.5, 1) exceeds N(0, 1) above 1/4.
    x = 0.5 + np.random.default_rng(14).standard_normal(40_000)
    probability = float(special.ndtr(-0.25))
    by_interval = distances.tv_witness(x, [[0.25, np.inf]], probability)
    assert by_interval == distances.tv_witness(x, lambda points: points >= 0.25, probability)
    exact = distances.gaussian_tv(0, 1, 0.5, 1)
    low, high = by_interval.interval(1 - 2 * ALARM)
    assert low < exact < high
    assert by_interval.error == pytest.approx(math.sqrt(0.6 * 0.4 / 40_000), rel=0.01, abs=0)


def test_tv_witness_counts_half_open_intervals() -> None:
    x = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 3.0, 4.0])
    witness = distances.tv_witness(x, [[0.0, 1.0], [1.0, 1.5], [3.0, 4.0]], 0.25)
    assert (witness.count, witness.n) == (5, 8)
    assert witness.value == pytest.approx(5 / 8 - 0.25)
    indicated = distances.tv_witness(np.c_[x, x], lambda points: points[:, 1] > 2, 0.0)
    assert indicated.count == 3


@pytest.mark.parametrize("count", [0, 1, 7, 49, 50])
def test_witness_interval_is_clopper_pearson(count: int) -> None:
    witness = distances.WitnessEstimate(count, 50, 0.3)
    exact = stats.binomtest(count, 50).proportion_ci(0.9, method="exact")
    assert witness.interval(0.9) == pytest.approx((exact.low - 0.3, exact.high - 0.3), abs=1e-12)
    assert witness.error > 0
