"""Gaussian distances against their textbook formulas in high precision."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from analytic import distances


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
