"""Closed-form distances between two Gaussians, without cancellation where the two are close."""

import math

import numpy as np
import scipy
from numpy.typing import ArrayLike

from .checks import EPSILON, FloatArray, checked_gaussian_pair, checked_scalar


def gaussian_w2(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> float:
    """2-Wasserstein distance between two Gaussians, with no floor where the two are close.

    Variances: W2^2 = |m_a - m_b|^2 + sum (sqrt a - sqrt b)^2 with the difference of roots as (a - b)/(sqrt a
    + sqrt b): relative accuracy 1e-15 at any distance. Matrices: with E = B - A, A = Q diag(a) Q', and
    singular values s and right vectors V of B^(1/2) A^(1/2), the Bures term tr(A + B - 2 (A^(1/2) B
    A^(1/2))^(1/2)) equals

        sum_ij (Q' E A^(1/2) V)_ij^2 / (a_i + s_j)^2  +  sum over a_i = 0 of (Q' E Q)_ii,

    a sum of squares of first-order quantities, since X = (A^(1/2) B A^(1/2))^(1/2) - A solves A X + X (A + X)
    = A^(1/2) E A^(1/2). Relative accuracy about 1e-15 times the condition number of A, at any distance.
    Singular matrices are allowed; there the rounding of the input alone moves W2 by 1e-8 sqrt|A|, unless A
    equals B bit by bit.

    Parameters
    ----------
    mean_a, mean_b : (d,) array or scalar
    covariance_a, covariance_b : (d,), (d, d) or scalar
        Variances in a common basis, a symmetric positive semi-definite matrix, or one variance for every
        dimension. Variances and a matrix may be mixed.

    Raises
    ------
    ValueError
        Mismatched shapes, values that are not finite, a negative variance, a matrix not symmetric or not
        positive.

    References
    ----------
    Dowson and Landau 1982, main result; Olkin and Pukelsheim 1982 (the stable sum is derived above).
    """
    mean_a, A, mean_b, B = checked_gaussian_pair(mean_a, covariance_a, mean_b, covariance_b)
    difference = mean_b - mean_a
    if A.ndim == 1:
        roots = np.sqrt(A) + np.sqrt(B)
        return math.hypot(*difference, *np.divide(B - A, roots, out=np.zeros_like(roots), where=roots > 0))
    a, Q = scipy.linalg.eigh(A)
    b, R = scipy.linalg.eigh(B)
    a, b = _without_rounding("covariance_a", a), _without_rounding("covariance_b", b)
    E = B - A
    root_A = (Q * np.sqrt(a)) @ Q.T
    _, s, V_transposed = scipy.linalg.svd((R * np.sqrt(b)) @ R.T @ root_A)
    in_range = a > 0
    first_order = (Q.T @ E @ root_A @ V_transposed.T)[in_range] / (a[in_range, None] + s)
    kernel = Q[:, ~in_range]
    # E rather than B: equal singular matrices are at distance zero, not at the root of a rounding error.
    outside = np.einsum("ij,ij->j", kernel, E @ kernel)
    return math.hypot(*difference, *first_order.ravel(), *np.sqrt(np.maximum(outside, 0.0)))


def gaussian_kl(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> float:
    """Kullback-Leibler divergence KL(a | b) between two Gaussians, without cancellation where they are close.

    KL = (sum_i (x_i - log(1 + x_i)) + (m_a - m_b)' B^-1 (m_a - m_b)) / 2 with x_i the eigenvalues of
    L^-1 (A - B) L^-T, B = L L'. Relative accuracy about 1e-15 for variances, times the condition number of B
    for matrices. The value is inf where a is singular and b is not, and, for variances, where b has a zero
    variance at which a has spread or another mean; equal zero variances with equal means contribute nothing.

    Parameters
    ----------
    mean_a, covariance_a, mean_b, covariance_b : as in `gaussian_w2`.

    Raises
    ------
    ValueError
        As `gaussian_w2`; also a singular matrix `covariance_b`, whose range cannot be told from rounding.

    References
    ----------
    Kullback 1959, chapter 9 (x - log1p(x) is a rearrangement of its trace and log-determinant).
    """
    mean_a, A, mean_b, B = checked_gaussian_pair(mean_a, covariance_a, mean_b, covariance_b)
    difference = mean_a - mean_b
    if A.ndim == 1:
        null = B == 0
        if np.any(A[null] > 0) or np.any(difference[null] != 0):
            return math.inf
        A, B, difference = A[~null], B[~null], difference[~null]
        relative = (A - B) / B
        whitened = difference / np.sqrt(B)
    else:
        if _without_rounding("covariance_b", scipy.linalg.eigvalsh(B))[0] == 0:
            raise ValueError(
                "covariance_b is singular to rounding (eigenvalue 0): project both laws onto its range"
                " first, or give both covariances as variances in a common basis"
            )
        if _without_rounding("covariance_a", scipy.linalg.eigvalsh(A))[0] == 0:
            return math.inf
        L = scipy.linalg.cholesky(B, lower=True)
        half = scipy.linalg.solve_triangular(L, A - B, lower=True)
        relative = scipy.linalg.eigvalsh(scipy.linalg.solve_triangular(L, half.T, lower=True))
        whitened = scipy.linalg.solve_triangular(L, difference, lower=True)
    if np.any(relative <= -1):
        return math.inf
    return 0.5 * (math.fsum(minus_log1p(relative)) + math.fsum(whitened**2))


def gaussian_tv(mean_a: float, variance_a: float, mean_b: float, variance_b: float) -> float:
    """Total variation distance between two Gaussians on the line, exact, with no floor where they are close.

    The densities cross where a quadratic vanishes. With a the narrower law and x_1 < x_2 the crossings,
    TV = (F_b - F_a)(x_1) + (F_a - F_b)(x_2), both terms positive; each is a normal integral over a short
    interval. Relative accuracy about 1e-14. Point masses are allowed.

    Raises
    ------
    ValueError
        A value that is not finite or not a scalar, or a negative variance.
    """
    m_a, m_b = checked_scalar("mean_a", mean_a), checked_scalar("mean_b", mean_b)
    v_a, v_b = (
        checked_scalar("variance_a", variance_a, lowest=0.0),
        checked_scalar("variance_b", variance_b, lowest=0.0),
    )
    if v_a > v_b:
        m_a, v_a, m_b, v_b = m_b, v_b, m_a, v_a
    if v_a == 0:
        return 0.0 if v_b == 0 and m_a == m_b else 1.0
    # In units of b, a is N(m, s^2) with s <= 1; q = 1 - s^2 keeps the relative accuracy of v_b - v_a.
    scale = math.sqrt(v_b)
    m, s, q = abs(m_a - m_b) / scale, math.sqrt(v_a / v_b), (v_b - v_a) / v_b
    if m > 1e3:
        return 1.0
    minus_log = -2 * math.log(s) if q > 0.5 else -math.log1p(-q)
    # q y^2 - 2 m y + m^2 - s^2 minus_log = 0 with discriminant s^2 (m^2 + q minus_log), both terms positive.
    root = m + s * math.sqrt(m * m + q * minus_log)
    if root == 0:
        return 0.0
    lower = (m * m - s * s * minus_log) / root
    shrink = q / (1 + s)
    upper_part = 0.0
    if q > 0 and math.isfinite(upper := root / q):
        upper_part = _normal_increment(upper, (upper * shrink - m) / s)
    return min(1.0, abs(_normal_increment(lower, (lower * shrink - m) / s)) + abs(upper_part))


def minus_log1p(x: FloatArray) -> FloatArray:
    """Compute x - log(1 + x) for x > -1 without cancellation, by log1p(x) = 2 atanh(r), r = x/(2 + x)."""
    r = x / (2 + x)
    series = np.zeros_like(r)
    for k in range(17, 0, -1):
        series = series * r * r + 1 / (2 * k + 1)
    # At |x| < 1/2, |r| <= 1/3 and the first term left out is below 1e-17 of the sum.
    return np.where(np.abs(x) < 0.5, x * r - 2 * r**3 * series, x - np.log1p(x))


def _normal_increment(x: float, h: float) -> float:
    """Phi(x + h) - Phi(x), to full relative accuracy for small h."""
    if abs(h) < 1:
        nodes, weights = np.polynomial.legendre.leggauss(32)
        points = x + 0.5 * h * (1 + nodes)
        with np.errstate(under="ignore"):
            return 0.5 * h * float(weights @ np.exp(-0.5 * points * points)) / math.sqrt(2 * math.pi)
    # In the tail on the side of x, so that two numbers near 1 are never subtracted.
    side = -math.copysign(1.0, x)
    return side * float(scipy.special.ndtr(side * (x + h)) - scipy.special.ndtr(side * x))


def _without_rounding(name: str, values: FloatArray) -> FloatArray:
    """Increasing eigenvalues with those below rounding set to zero; ValueError where one is negative."""
    # Products of rank-deficient factors have come out with 7 EPSILON at dimension 3, where zero was due.
    rounding = 8 * len(values) * EPSILON * float(np.abs(values).max())
    if values[0] < -2 * rounding:
        raise ValueError(f"{name} has the eigenvalue {values[0]:.3g}: give a positive semi-definite matrix")
    return np.where(values <= rounding, 0.0, values)
