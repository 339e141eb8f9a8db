"""2-Wasserstein distances against closed forms, quadrature graded towards the jumps, and assignments."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize, special, stats
from scipy.spatial.distance import cdist

from analytic import distances
from tests.analytic.normal_laws import ALARM, normal_density, normal_quantile


def bisect(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """Invert an increasing function on (-60, 60)."""
    low, high = np.full(values.shape, -60.0), np.full(values.shape, 60.0)
    for _ in range(75):
        middle = 0.5 * (low + high)
        above = function(middle) < values
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return 0.5 * (low + high)


@pytest.mark.parametrize(
    ("mean", "deviation"), [(1.0, 1.0), (0.0, 2.0), (1e-6, 1 + 1e-6), (1e-9, 1.0), (0.0, 1.0)]
)
def test_w2_1d_of_quantile_functions_matches_gaussians_within_its_error(
    mean: float, deviation: float
) -> None:
    integral = distances.w2_1d(normal_quantile(0.0, 1.0), normal_quantile(mean, deviation))
    exact = distances.gaussian_w2(0.0, 1.0, mean, deviation**2)
    assert abs(integral.value - exact) <= integral.error <= 1e-12


@pytest.mark.parametrize("shift", [0.0, 1e-12, 1e-6, 0.2])
@pytest.mark.parametrize("base", [0.5, 0.31])
def test_w2_1d_follows_jumps_that_no_fixed_node_sees(base: float, shift: float) -> None:
    def atoms(weight: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda u: np.where(u < weight, -10.0, 10.0)

    # base + shift is rounded: what it is as a float decides.
    exact = 20 * math.sqrt((base + shift) - base)
    integral = distances.w2_1d(atoms(base), atoms(base + shift))
    assert abs(integral.value - exact) <= max(integral.error, 1e-12 * exact)
    assert integral.error <= 1e-7


def test_w2_1d_follows_jumps_past_functions_that_are_rough_everywhere() -> None:
    def rough(weight: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda u: np.where(u < weight, -10.0, 10.0) + 1e-6 * np.sin(1e9 * u)

    integral = distances.w2_1d(rough(0.31), rough(0.31 + 1e-8))
    assert abs(integral.value - 20e-4) <= integral.error
    assert integral.value == pytest.approx(20e-4, rel=1e-5, abs=0)


def test_w2_1d_that_gives_up_refining_admits_what_it_may_have_missed() -> None:
    def rough(u: np.ndarray) -> np.ndarray:
        return np.where(u < 0.31, -10.0, 10.0) + 1e-3 * np.sin(1e9 * u)

    # No node meets the one place, 1e-9 wide, where the two differ.
    integral = distances.w2_1d(rough, lambda u: rough(u) + 5 * ((u > 0.4) & (u < 0.4 + 1e-9)))
    assert integral.value == 0.0
    assert 5 * math.sqrt(1e-9) < integral.error < 0.1


@pytest.mark.parametrize(("moved", "deviation"), [(1e-3, 0.1), (1e-7, 0.5), (1e-7, 2.0)])
def test_w2_1d_of_separated_mixtures_matches_quadrature_in_offsets_from_the_jumps(
    moved: float, deviation: float
) -> None:
    def tail_below(x: np.ndarray) -> np.ndarray:
        return special.ndtr(-(x + 10) / deviation)

    def upper(x: np.ndarray) -> np.ndarray:
        return special.ndtr((x - 10) / deviation)

    def mixture_quantile(weight: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda u: bisect(lambda x: weight * (1 - tail_below(x)) + (1 - weight) * upper(x), u)

    # Offsets of u from the two steep places 1/2 and 1/2 + moved keep the digits that u itself has lost there.
    def difference(offset: np.ndarray, origin: float) -> np.ndarray:
        weight = 0.5 + moved
        a = bisect(lambda x: 0.5 * (upper(x) - tail_below(x)), offset + origin)
        b = bisect(lambda x: (1 - weight) * upper(x) - weight * tail_below(x), offset + (origin - moved))
        return a - b

    grid = np.concatenate([[0.0], np.geomspace(1e-40, 1, 250)])
    nodes, weights = np.polynomial.legendre.leggauss(16)
    total = 0.0
    for origin, length in (
        (0.0, -0.25),
        (0.0, moved / 2),
        (moved, -moved / 2),
        (moved, 0.25 - moved),
    ):
        total += _graded(difference, origin, length * grid, nodes, weights)
    # The two ends of (0, 1), graded towards 0 and 1; what is nearer than 1e-13 weighs nothing.
    total += _graded(difference, -0.5, 0.25 * grid[grid > 1e-13], nodes, weights, absolute=True)
    total += _graded(difference, 0.5, -0.25 * grid[grid > 1e-13], nodes, weights, absolute=True)
    integral = distances.w2_1d(mixture_quantile(0.5), mixture_quantile(0.5 + moved))
    assert abs(integral.value - math.sqrt(total)) <= integral.error + 1e-13
    # Two jumps of 20, each followed down to a mass of 1e-14 or so: what u in double precision can tell.
    assert integral.value * integral.error < 2 * 20**2 * 1e-14


def _graded(
    difference: Callable[[np.ndarray, float], np.ndarray],
    origin: float,
    edges: np.ndarray,
    nodes: np.ndarray,
    weights: np.ndarray,
    absolute: bool = False,
) -> float:
    half = 0.5 * np.diff(edges)[:, None]
    offsets = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * nodes).ravel()
    values = difference(origin + offsets, 0.0) if absolute else difference(offsets, origin)
    return float(np.abs(half * weights).ravel() @ values**2)


@pytest.mark.parametrize("freedom", [3, 5, 30])
def test_w2_1d_error_covers_heavy_tails(freedom: int) -> None:
    law = stats.t(freedom)
    integral = distances.w2_1d(law.ppf, lambda u: 2 * law.ppf(u))
    assert abs(integral.value - math.sqrt(freedom / (freedom - 2))) <= integral.error <= 1e-4


def test_w2_1d_of_samples_is_the_optimal_assignment() -> None:
    random = np.random.default_rng(1)
    x, y = random.standard_normal(12), 1 + random.standard_normal(18)
    # 12 and 18 points become 36 each by repetition.
    cost = (np.repeat(x, 3)[:, None] - np.repeat(y, 2)) ** 2
    expected = math.sqrt(cost[optimize.linear_sum_assignment(cost)].mean())
    assert distances.w2_1d(x, y).value == pytest.approx(expected, rel=1e-13, abs=0)
    assert distances.w2_samples(x, y[:, None]).value == pytest.approx(expected, rel=1e-13, abs=0)


def test_w2_1d_of_a_sample_and_a_quantile_function_is_exact() -> None:
    # (x_k - Q)^2 integrates to 1 + 1 - 2 E|Z| for the sample {-1, 1} and a standard Gaussian.
    expected = math.sqrt(2 - 2 * math.sqrt(2 / math.pi))
    assert distances.w2_1d([1.0, -1.0], special.ndtri).value == pytest.approx(expected, rel=1e-9, abs=0)
    assert distances.w2_1d(special.ndtri, [1.0, -1.0]).value == pytest.approx(expected, rel=1e-9, abs=0)
    x = np.random.default_rng(0).standard_normal(1000)
    cells = -np.diff(normal_density(0, 1)(special.ndtri(np.arange(1001) / 1000)))
    exact = np.mean(x**2) + 1 - 2 * np.sort(x) @ cells
    assert distances.w2_1d(x, special.ndtri).value == pytest.approx(math.sqrt(exact), rel=1e-8, abs=0)


def test_w2_samples_is_the_optimal_assignment() -> None:
    x, y = np.random.default_rng(2).standard_normal((2, 60, 3))
    cost = cdist(x, y + 1, "sqeuclidean")
    expected = math.sqrt(cost[optimize.linear_sum_assignment(cost)].mean())
    assert distances.w2_samples(x, y + 1).value == pytest.approx(expected, rel=1e-12, abs=0)


def test_sliced_w2_of_a_line_is_w2_and_of_a_shift_is_its_share() -> None:
    random = np.random.default_rng(3)
    x, y = random.standard_normal(50), random.standard_normal(70) + 1
    line, plain = distances.sliced_w2(x, y, projections=3), distances.w2_1d(x, y)
    assert (line.value, line.error) == pytest.approx((plain.value, plain.error), rel=1e-10, abs=0)
    # For a translation by m, (theta.m)^2 has mean |m|^2 / d, here 1, and standard deviation |m|^2 / d^(3/2) *
    # sqrt((2 d - 2) / (d + 2)), here 1; its root has half the relative deviation.
    cloud = random.standard_normal((40, 4))
    shifted = distances.sliced_w2(cloud, cloud + np.array([2.0, 0, 0, 0]), projections=4000)
    assert abs(shifted.value - 1.0) < -stats.norm.ppf(ALARM) * 0.5 / math.sqrt(4000)
