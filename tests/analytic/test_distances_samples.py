"""Estimates from samples against brute force, SciPy and exact population values.

Repeated-simulation tests of standard errors sum z^2 = ((value - truth) / error)^2 over independent
repetitions and ask that this chi-square be no further out than ALARM on either side. With 300 repetitions
that notices standard errors wrong by 25 per cent.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from analytic import distances
from analytic.distances import chunks
from tests.analytic.normal_laws import ALARM, normal_quantile


def assert_calibrated(estimates: list[Any], truth: float | None) -> None:
    """Standard errors match the spread about the truth, or if None about the mean of the repetitions."""
    values = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.error for estimate in estimates])
    centre = values.mean() if truth is None else truth
    statistic = float((((values - centre) / errors) ** 2).sum())
    cumulated = stats.chi2.cdf(statistic, len(values) - (truth is None))
    assert ALARM < cumulated < 1 - ALARM, (statistic / len(values), values.mean(), centre)


def test_energy_distance_on_the_line_matches_scipy() -> None:
    random = np.random.default_rng(4)
    x, y = random.standard_normal(40), random.exponential(size=55)
    # SciPy's is the root of the V-statistic; the U-statistic differs by the diagonal's share.
    v_statistic = stats.energy_distance(x, y) ** 2
    correction = sum(np.abs(z[:, None] - z).mean() / (len(z) - 1) for z in (x, y))
    assert distances.energy_distance(x, y).value == pytest.approx(v_statistic - correction, rel=1e-12, abs=0)


def test_energy_distance_by_sorting_equals_energy_distance_by_pairs() -> None:
    random = np.random.default_rng(5)
    x, y = 1e6 + random.standard_normal(300), 1e6 + random.standard_normal(200)
    flat, deep = distances.energy_distance(x, y), distances.energy_distance(np.c_[x, 0 * x], np.c_[y, 0 * y])
    assert (flat.value, flat.error) == pytest.approx((deep.value, deep.error), rel=1e-8, abs=0)


def test_pair_sums_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.random.default_rng(6).standard_normal((2, 101, 2))
    whole = distances.energy_distance(x, y), distances.mmd(x, y), distances.sliced_w2(x, y)
    moments = distances.moment_errors(x, [0, 0], np.eye(2))
    monkeypatch.setattr(chunks, "_CHUNK_ENTRIES", 300)
    parts = distances.energy_distance(x, y), distances.mmd(x, y), distances.sliced_w2(x, y)
    for one, other in zip(whole, parts, strict=True):
        assert (one.value, one.error) == pytest.approx((other.value, other.error), rel=1e-11, abs=0)
    chunked = distances.moment_errors(x, [0, 0], np.eye(2))
    assert chunked.statistic == pytest.approx(moments.statistic, rel=1e-10, abs=0)
    np.testing.assert_allclose(chunked.covariance, moments.covariance, rtol=1e-10)
    np.testing.assert_allclose(
        chunked.covariance_standard_error, moments.covariance_standard_error, rtol=1e-10
    )


@pytest.mark.parametrize("name", ["energy_distance", "mmd"])
def test_u_statistic_and_its_jackknife_match_their_definitions(name: str) -> None:
    x, y = np.random.default_rng(7).standard_normal((2, 9, 2))
    y = y[:7] + 0.5

    def literal(x: np.ndarray, y: np.ndarray) -> float:
        def mean(u: np.ndarray, v: np.ndarray, same: bool) -> float:
            pairs = [
                np.linalg.norm(p - q)
                if name == "energy_distance"
                else -math.exp(-np.sum((p - q) ** 2) / (2 * 1.3**2))
                for i, p in enumerate(u)
                for j, q in enumerate(v)
                if not (same and i == j)
            ]
            return float(np.mean(pairs))

        return 2 * mean(x, y, False) - mean(x, x, True) - mean(y, y, True)

    estimate = (
        distances.energy_distance(x, y) if name == "energy_distance" else distances.mmd(x, y, bandwidth=1.3)
    )
    assert estimate.value == pytest.approx(literal(x, y), rel=1e-11, abs=0)
    without_x = [literal(np.delete(x, i, 0), y) for i in range(9)]
    without_y = [literal(x, np.delete(y, i, 0)) for i in range(7)]
    assert estimate.error == pytest.approx(
        math.sqrt(8 * np.var(without_x) + 6 * np.var(without_y)), rel=1e-10
    )


def test_mmd_median_heuristic_is_the_median_pair_distance() -> None:
    x, y = np.random.default_rng(8).standard_normal((2, 60, 2))
    pooled = np.concatenate([x, y])
    median = float(np.median(cdist(pooled, pooled)[np.triu_indices(120, 1)]))
    assert distances.mmd(x, y) == distances.mmd(x, y, bandwidth=median)


def exact_energy(shift: float) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| for N(0, 1) and N(shift, 1), by the folded normal."""
    folded = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    return 2 * folded - 4 / math.sqrt(math.pi)


def exact_mmd(shift: float, bandwidth: float) -> float:
    width = bandwidth**2 + 2
    return 2 * bandwidth / math.sqrt(width) * (1 - math.exp(-(shift**2) / (2 * width)))


def test_standard_errors_match_repeated_sampling() -> None:
    def repeat(estimate: Callable[[np.random.Generator], Any], repetitions: int = 300) -> list[Any]:
        return [estimate(np.random.default_rng([9, seed])) for seed in range(repetitions)]

    def pair(random: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        return random.standard_normal(shape), 1 + random.standard_normal(shape)

    assert_calibrated(repeat(lambda r: distances.energy_distance(*pair(r, 500))), exact_energy(1.0))
    assert_calibrated(repeat(lambda r: distances.mmd(*pair(r, 300, 1), bandwidth=0.8)), exact_mmd(1.0, 0.8))
    # The bias of W2 at these sizes is a tenth of the error, or else the spread is taken about the mean.
    assert_calibrated(repeat(lambda r: distances.w2_1d(*pair(r, 1000))), 1.0)
    assert_calibrated(repeat(lambda r: distances.w2_1d(r.standard_normal(1000), normal_quantile(1, 1))), 1.0)
    assert_calibrated(
        repeat(lambda r: distances.sliced_w2(*pair(r, 800, 2), projections=24, seed=int(r.integers(2**31)))),
        1.0,
    )
    assert_calibrated(repeat(lambda r: distances.w2_samples(*pair(r, 150, 2))), None)


def test_unbiased_estimates_stay_within_conservative_errors_for_equal_laws() -> None:
    for estimate in (distances.energy_distance, lambda x, y: distances.mmd(x, y, bandwidth=1.0)):
        repetitions = [
            estimate(*np.random.default_rng([10, seed]).standard_normal((2, 200, 2))) for seed in range(300)
        ]
        values = np.array([one.value for one in repetitions])
        assert abs(values.mean()) < -stats.norm.ppf(ALARM) * values.std() / math.sqrt(300)
        ratio = math.sqrt(np.mean([one.error**2 for one in repetitions])) / values.std()
        assert 1.1 < ratio < 2.2


def test_estimate_interval_is_normal() -> None:
    expected = stats.norm.interval(0.9, 2.0, 0.5)
    assert distances.Estimate(2.0, 0.5).interval(0.9) == pytest.approx(expected, rel=1e-12, abs=0)
