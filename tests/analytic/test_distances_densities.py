"""TV and KL of densities on the line against closed forms and SciPy's quadrature between crossings."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize

from analytic import distances
from tests.analytic.normal_laws import normal_density, normal_log_density


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
    # Where the densities are close at the ends, the divergence left out is of second order in their ratio.
    kl = distances.kl_1d(normal_log_density(0, 1), normal_log_density(0.1, 1), [-4.5, 4.6])
    assert 1e-7 < abs(kl.value - 0.005) <= kl.error < 1e-5
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
