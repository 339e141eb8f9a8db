"""Distances against independent routes: high precision, brute force, SciPy, exact population values.

Repeated-simulation tests of standard errors sum z^2 = ((value - truth) / error)^2 over independent
repetitions and ask that this chi-square be no further out than ALARM on either side. With 300 repetitions
that notices standard errors wrong by 25 per cent.
"""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, linalg, optimize, special, stats
from scipy.spatial.distance import cdist

from analytic import distances

ALARM = 1e-6
"""False-alarm rate of each side of every statistical check here, had its seed been random."""


def normal_density(mean: float, deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))


def normal_log_density(mean: float, deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: -0.5 * ((x - mean) / deviation) ** 2 - math.log(deviation) - 0.5 * math.log(2 * math.pi)


def normal_quantile(mean: float, deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda u: mean + deviation * special.ndtri(u)


def bisect(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """Invert an increasing function on (-60, 60)."""
    low, high = np.full(values.shape, -60.0), np.full(values.shape, 60.0)
    for _ in range(75):
        middle = 0.5 * (low + high)
        above = function(middle) < values
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return 0.5 * (low + high)


def close_pair(condition: float, separation: float, dim: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Two random covariances with a relative difference of about `separation`."""
    random = np.random.default_rng(int(condition))
    Q, _ = np.linalg.qr(random.standard_normal((dim, dim)))
    root = Q * np.sqrt(np.geomspace(1, 1 / condition, dim))
    noise = random.standard_normal((dim, dim))
    A = root @ root.T
    B = A + 0.1 * separation * root @ (noise + noise.T) @ root.T
    return 0.5 * (A + A.T), 0.5 * (B + B.T)


def precise_w2(A: np.ndarray, B: np.ndarray) -> float:
    """Bures distance by its textbook formula in 60 digits."""
    with mpmath.workdps(60):
        P, R = mpmath.matrix(A.tolist()), mpmath.matrix(B.tolist())
        values, Q = mpmath.eigsy(P)
        root = Q * mpmath.diag([mpmath.sqrt(v) for v in values]) * Q.T
        cross = mpmath.eigsy(root * R * root, eigvals_only=True)
        trace = sum(P[i, i] + R[i, i] - 2 * mpmath.sqrt(cross[i]) for i in range(P.rows))
        return float(mpmath.sqrt(trace))


def precise_kl(A: np.ndarray, B: np.ndarray, shift: np.ndarray) -> float:
    with mpmath.workdps(60):
        P, R, m = (mpmath.matrix(array.tolist()) for array in (A, B, shift))
        inverse = R**-1
        product = inverse * P
        trace = sum(product[i, i] for i in range(P.rows))
        return float((trace - P.rows - mpmath.log(mpmath.det(product)) + (m.T * inverse * m)[0]) / 2)


def precise_tv(mean_a: float, variance_a: float, mean_b: float, variance_b: float) -> float:
    """By the signs of the difference between its crossings, in 60 digits."""
    with mpmath.workdps(60):
        m_a, v_a, m_b, v_b = map(mpmath.mpf, (mean_a, variance_a, mean_b, variance_b))
        if v_a == v_b:
            return float(mpmath.erf(abs(m_a - m_b) / mpmath.sqrt(8 * v_a)))
        quadratic = (1 / v_a - 1 / v_b, -2 * (m_a / v_a - m_b / v_b))
        constant = m_a**2 / v_a - m_b**2 / v_b + mpmath.log(v_a / v_b)
        root = mpmath.sqrt(quadratic[1] ** 2 - 4 * quadratic[0] * constant)
        x = [(-quadratic[1] + sign * root) / (2 * quadratic[0]) for sign in (-1, 1)]
        inside = [
            mpmath.ncdf((x[1] - m) / mpmath.sqrt(v)) - mpmath.ncdf((x[0] - m) / mpmath.sqrt(v))
            for m, v in ((m_a, v_a), (m_b, v_b))
        ]
        return float(abs(inside[0] - inside[1]))


def assert_calibrated(estimates: list[Any], truth: float | None) -> None:
    """Standard errors match the spread about the truth, or if None about the mean of the repetitions."""
    values = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.error for estimate in estimates])
    centre = values.mean() if truth is None else truth
    statistic = float((((values - centre) / errors) ** 2).sum())
    cumulated = stats.chi2.cdf(statistic, len(values) - (truth is None))
    assert ALARM < cumulated < 1 - ALARM, (statistic / len(values), values.mean(), centre)


# ------------------------------------------------------------------------------------------------- Gaussians


@pytest.mark.parametrize("separation", [1.0, 1e-3, 1e-6, 1e-10])
@pytest.mark.parametrize("condition", [10.0, 1e4])
def test_gaussian_w2_of_matrices_has_no_floor(condition: float, separation: float) -> None:
    A, B = close_pair(condition, separation)
    zero = np.zeros(len(A))
    assert distances.gaussian_w2(zero, A, zero, B) == pytest.approx(precise_w2(A, B), rel=1e-12, abs=0)
    assert distances.gaussian_w2(zero, B, zero, A) == pytest.approx(precise_w2(A, B), rel=1e-12, abs=0)


def test_gaussian_w2_of_variances_has_no_floor() -> None:
    a = np.array([2.0, 1e-6, 0.3, 0.0])
    b = a * (1 + np.array([1e-10, -3e-10, 2e-11, 0.0]))
    with mpmath.workdps(50):
        roots_a, roots_b = ([mpmath.sqrt(mpmath.mpf(v)) for v in variances] for variances in (a, b))
        exact = mpmath.sqrt(sum((p - q) ** 2 for p, q in zip(roots_a, roots_b, strict=True)))
    assert distances.gaussian_w2(np.zeros(4), a, np.zeros(4), b) == pytest.approx(
        float(exact), rel=1e-14, abs=0
    )
    # Neither do squares underflow or overflow.
    assert distances.gaussian_w2([1e-200], [1.0], [0.0], [1.0]) == 1e-200
    assert distances.gaussian_w2([1e200], [1.0], [0.0], [1.0]) == 1e200


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_gaussian_w2_matches_the_matrix_square_root_formula(seed: int, dim: int) -> None:
    random = np.random.default_rng(seed)
    mean_a, mean_b = random.standard_normal((2, dim))
    A, B = (factor @ factor.T for factor in random.standard_normal((2, dim, dim + 2)))
    root = linalg.sqrtm(A)
    trace = np.trace(A + B - 2 * linalg.sqrtm(root @ B @ root)).real
    expected = math.sqrt(np.sum((mean_a - mean_b) ** 2) + trace)
    assert distances.gaussian_w2(mean_a, A, mean_b, B) == pytest.approx(expected, rel=1e-6, abs=0)


def test_gaussian_w2_takes_singular_matrices() -> None:
    u, v, zero = np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 1.0]), np.zeros(3)
    rank_one, other = np.outer(u, u), np.outer(v, v)
    assert distances.gaussian_w2(zero, rank_one, zero, other) == pytest.approx(
        math.sqrt(14 + 2 - 2 * 5), rel=1e-12
    )
    against_identity = math.sqrt(2 + (math.sqrt(14) - 1) ** 2)
    assert distances.gaussian_w2(zero, rank_one, zero, np.eye(3)) == pytest.approx(
        against_identity, rel=1e-12
    )
    assert distances.gaussian_w2(zero, np.eye(3), zero, rank_one) == pytest.approx(
        against_identity, rel=1e-12
    )
    assert distances.gaussian_w2(zero, rank_one, zero, rank_one) == 0.0
    assert distances.gaussian_w2(zero, rank_one, zero, np.zeros((3, 3))) == pytest.approx(
        math.sqrt(14), rel=1e-12
    )


def test_gaussian_covariances_may_be_scalars_variances_or_matrices() -> None:
    A, _ = close_pair(10.0, 1.0, dim=3)
    for distance in (distances.gaussian_w2, distances.gaussian_kl):
        values = {
            round(distance([0, 0, 0], A, [1, 0, 0], form), 12) for form in (2.0, [2.0] * 3, 2 * np.eye(3))
        }
        assert len(values) == 1
    assert distances.gaussian_w2(0.0, 1.0, 3.0, 25.0) == 5.0


@pytest.mark.parametrize("separation", [1.0, 1e-3, 1e-6, 1e-10])
def test_gaussian_kl_has_no_floor(separation: float) -> None:
    A, B = close_pair(100.0, separation)
    shift = separation * np.array([0.1, 0.0, 0.01, 0.0, 0.0])
    expected = precise_kl(A, B, shift)
    assert distances.gaussian_kl(shift, A, np.zeros(5), B) == pytest.approx(expected, rel=1e-11, abs=0)
    a, b = np.diagonal(A), np.diagonal(B)
    expected = precise_kl(np.diag(a), np.diag(b), shift)
    assert distances.gaussian_kl(shift, a, np.zeros(5), b) == pytest.approx(expected, rel=1e-13, abs=0)


def test_gaussian_kl_of_singular_laws_is_infinite_or_lives_on_the_common_support() -> None:
    def kl(a: list[float], b: list[float], shift: float = 0.0) -> float:
        return distances.gaussian_kl([0.0, shift], a, [0.0, 0.0], b)

    assert kl([1, 0], [2, 0]) == distances.gaussian_kl([0.0], [1.0], [0.0], [2.0])
    assert kl([1, 0], [2, 0], shift=1.0) == math.inf
    assert kl([1, 1], [1, 0]) == math.inf
    assert kl([1, 0], [1, 1]) == math.inf
    singular, regular = np.ones((2, 2)), np.array([[2.0, 0.5], [0.5, 1.0]])
    assert distances.gaussian_kl([0, 0], singular, [0, 0], regular) == math.inf
    for flat in np.random.default_rng(0).standard_normal((20, 3, 2)):
        assert distances.gaussian_kl(np.zeros(3), flat @ flat.T, np.zeros(3), np.eye(3) + 0.1) == math.inf
    with pytest.raises(ValueError, match=r"covariance_b is singular.*project"):
        distances.gaussian_kl([0, 0], regular, [0, 0], singular)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.floats(-13, 1), st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-13, 4), st.booleans(), st.booleans())
def test_gaussian_tv_is_exact_far_and_near(
    shift: float, sign: float, ratio: float, equal: bool, swap: bool
) -> None:
    narrow, wide = (sign * 10.0**shift, 0.7), (0.0, 0.7 if equal else 0.7 * (1 + 10.0**ratio))
    if swap:
        narrow, wide = wide, narrow
    assert distances.gaussian_tv(*narrow, *wide) == pytest.approx(
        precise_tv(*narrow, *wide), rel=1e-13, abs=0
    )


def test_gaussian_tv_of_point_masses() -> None:
    assert distances.gaussian_tv(0, 0, 0, 0) == 0.0
    assert distances.gaussian_tv(0, 0, 1, 0) == 1.0
    assert distances.gaussian_tv(0, 0, 0, 1) == 1.0
    assert distances.gaussian_tv(0, 1, 1e5, 1) == 1.0


# --------------------------------------------------------------------------------------- laws on the line


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


@pytest.mark.parametrize(
    ("mean", "deviation", "domain"),
    [
        (1.0, 1.0, 12),
        (0.0, 2.0, 20),
        (0.0, 1e-5, 40),
        (0.337, 1e-4, 40),
        (1e-9, 1.0, 10),
        (1e-6, 1 + 1e-6, 40),
        (30.0, 1.0, 60),
    ],
)
def test_tv_and_kl_1d_match_gaussians_within_their_errors(
    mean: float, deviation: float, domain: float
) -> None:
    edges = [-domain, domain]
    tv = distances.tv_1d(normal_density(0, 1), normal_density(mean, deviation), edges)
    exact = distances.gaussian_tv(0, 1, mean, deviation**2)
    assert abs(tv.value - exact) <= tv.error <= 1e-12
    kl = distances.kl_1d(normal_log_density(0, 1), normal_log_density(mean, deviation), edges)
    exact = distances.gaussian_kl(0.0, 1.0, mean, deviation**2)
    assert abs(kl.value - exact) <= kl.error + 1e-15 * exact
    assert kl.error <= 1e-4 * exact


def test_tv_1d_of_mixtures_matches_pieces_between_crossings() -> None:
    def a(x: Any) -> Any:
        return 0.3 * normal_density(-2, 0.4)(x) + 0.7 * normal_density(1, 1.0)(x)

    def b(x: Any) -> Any:
        return 0.5 * normal_density(-1.5, 0.7)(x) + 0.5 * normal_density(2, 0.5)(x)

    x = np.linspace(-15, 15, 3001)
    signs = np.sign(a(x) - b(x))
    roots = [
        optimize.brentq(lambda t: a(t) - b(t), x[i], x[i + 1])
        for i in np.flatnonzero(signs[1:] * signs[:-1] < 0)
    ]
    assert len(roots) >= 4
    pieces = [
        abs(integrate.quad(lambda t: a(t) - b(t), low, high, epsabs=1e-14, epsrel=1e-13)[0])
        for low, high in zip([-15, *roots], [*roots, 15], strict=True)
    ]
    tv = distances.tv_1d(a, b, [-15, 15])
    assert tv.value == pytest.approx(0.5 * sum(pieces), abs=1e-13)
    assert tv.error < 1e-13


def test_tv_1d_takes_jumps_at_breakpoints_and_elsewhere() -> None:
    def uniform(low: float, high: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: ((x >= low) & (x < high)) / (high - low)

    for edges in ([-1, 0, 1, 2], [-1, 0, 0.3, 1, 1.3, 2]):
        tv = distances.tv_1d(uniform(0, 1), uniform(0.3, 1.3), edges)
        assert abs(tv.value - 0.3) <= max(tv.error, 1e-13)
        assert tv.error < 1e-9


def test_quadrature_errors_cover_what_a_short_domain_leaves_out() -> None:
    exact = distances.gaussian_tv(0, 1, 0.5, 1.21), distances.gaussian_kl(0.0, 1.0, 0.5, 1.21)
    tv = distances.tv_1d(normal_density(0, 1), normal_density(0.5, 1.1), [-4.5, 4.8])
    kl = distances.kl_1d(normal_log_density(0, 1), normal_log_density(0.5, 1.1), [-4.5, 4.8])
    assert 1e-7 < abs(tv.value - exact[0]) <= tv.error < 1e-3
    assert 1e-7 < abs(kl.value - exact[1]) <= kl.error < 1e-3
    with pytest.raises(ValueError, match=r"density_a has mass 0\.95.* widen"):
        distances.tv_1d(normal_density(0, 1), normal_density(0, 2), [-2, 2])


def test_kl_1d_is_infinite_exactly_where_the_support_is_not_covered() -> None:
    def uniform(high: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: np.where((x >= 0) & (x <= high), -math.log(high), -np.inf)

    assert distances.kl_1d(uniform(2), uniform(1), [0, 1, 2]).value == math.inf
    kl = distances.kl_1d(uniform(1), uniform(2), [0, 1, 2])
    assert kl.value == pytest.approx(math.log(2), abs=1e-12)
    # exp(log_density_b) underflows where a does not: finite all the same.
    kl = distances.kl_1d(normal_log_density(0, 1), normal_log_density(0, 0.3), [-38, 38])
    assert kl.value == pytest.approx(distances.gaussian_kl(0.0, 1.0, 0.0, 0.09), rel=1e-12, abs=0)


# ---------------------------------------------------------------------------------------------- samples


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
    monkeypatch.setattr(distances, "_CHUNK_ENTRIES", 300)
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


def test_estimate_interval_is_normal() -> None:
    expected = stats.norm.interval(0.9, 2.0, 0.5)
    assert distances.Estimate(2.0, 0.5).interval(0.9) == pytest.approx(expected, rel=1e-12, abs=0)


# ---------------------------------------------------------------------------------------------- bad input

POINTS = np.zeros((5, 2))
BAD_INPUTS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: distances.gaussian_w2([0, 0], [1, 1], [0], [1]),
        ValueError,
        r"mean_a has dimension 2 and mean_b has 1",
    ),
    (
        lambda: distances.gaussian_w2([0, np.nan], [1, 1], [0, 0], 1),
        ValueError,
        r"mean_a has the value nan at \[1\]",
    ),
    (lambda: distances.gaussian_w2([0], [-1], [0], [1]), ValueError, r"covariance_a has the variance -1"),
    (
        lambda: distances.gaussian_w2([0, 0], 1, [0, 0], [[1, 2], [2, 1]]),
        ValueError,
        r"covariance_b has the eigenvalue -1",
    ),
    (
        lambda: distances.gaussian_w2([0, 0], [[1, 2], [0, 1]], [0, 0], 1),
        ValueError,
        r"covariance_a differs from its transp",
    ),
    (
        lambda: distances.gaussian_w2([0, 0], np.ones(3), [0, 0], 1),
        ValueError,
        r"covariance_a has shape \(3,\)",
    ),
    (lambda: distances.gaussian_w2(POINTS, 1, POINTS, 1), ValueError, r"mean_a has shape \(5, 2\)"),
    (lambda: distances.gaussian_w2("one", 1, 0, 1), TypeError, r"mean_a = 'one' is not an array"),
    (lambda: distances.gaussian_tv(0, -1, 0, 1), ValueError, r"variance_a = -1\.0"),
    (lambda: distances.gaussian_tv([0, 1], 1, 0, 1), ValueError, r"mean_a has shape \(2,\)"),
    (lambda: distances.w2_1d([1.0], [1.0, 2.0]), ValueError, r"a has 1 samples: give at least 2"),
    (lambda: distances.w2_1d(POINTS, POINTS), ValueError, r"a has shape \(5, 2\)"),
    (lambda: distances.w2_1d(special.ndtri, lambda u: u[:3]), ValueError, r"b returned shape"),
    (lambda: distances.w2_1d(special.ndtri, lambda u: u * np.nan), ValueError, r"b returned nan at"),
    (
        lambda: distances.tv_1d(normal_density(0, 1), normal_density(0, 1), [1, 0]),
        ValueError,
        r"breakpoints = \[1",
    ),
    (
        lambda: distances.tv_1d(normal_density(0, 1), lambda x: -x, [-9, 9]),
        ValueError,
        r"density_b returned -.*non-negative",
    ),
    (
        lambda: distances.kl_1d(lambda x: 0 * x + 800, lambda x: 0 * x, [0, 1]),
        ValueError,
        r"log_density_a returned 800",
    ),
    (lambda: distances.w2_samples(POINTS, np.zeros((5, 3))), ValueError, r"x has dimension 2 and y has 3"),
    (lambda: distances.w2_samples(np.zeros((5001, 2)), np.zeros((5001, 2))), ValueError, r"5001.*sliced_w2"),
    (lambda: distances.sliced_w2(POINTS, POINTS, projections=1), ValueError, r"projections = 1"),
    (lambda: distances.energy_distance(POINTS[:2], POINTS), ValueError, r"x has 2 samples: give at least 3"),
    (lambda: distances.mmd(POINTS, POINTS), ValueError, r"x and y have a median distance of 0"),
    (lambda: distances.mmd(POINTS, POINTS, bandwidth=-1), ValueError, r"bandwidth = -1"),
    (
        lambda: distances.moment_errors(POINTS, [0, 0], np.eye(2)),
        ValueError,
        r"x has 5 samples for 5 moments",
    ),
    (
        lambda: distances.moment_errors(POINTS, [0, 0, 0], 1),
        ValueError,
        r"mean has shape \(3,\): give \(2,\)",
    ),
    (lambda: distances.tv_witness([0.0], [[0, 1]], 1.5), ValueError, r"probability = 1\.5"),
    (lambda: distances.tv_witness([0.0], [[0, 2], [1, 3]], 0.5), ValueError, r"witness = .*disjoint"),
    (lambda: distances.tv_witness([0.0], [0, 1], 0.5), ValueError, r"witness has shape \(2,\)"),
    (lambda: distances.tv_witness([0.0], lambda x: x, 0.5), TypeError, r"witness returned dtype float64"),
    (
        lambda: distances.tv_witness(POINTS, lambda x: x > 0, 0.5),
        ValueError,
        r"witness returned shape \(5, 2\)",
    ),
    (lambda: distances.Estimate(0, 1).interval(95), ValueError, r"level = 95"),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), BAD_INPUTS, ids=[message for _, _, message in BAD_INPUTS]
)
def test_bad_input_names_argument_and_value(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
