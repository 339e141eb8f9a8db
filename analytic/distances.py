"""Distances between laws: closed forms for Gaussians, quadrature in one dimension, estimates from samples.

Three kinds of answer, so that a reader always knows what an error bar means. A closed form is a float. A
quadrature is an `Integral`, whose error bounds a deterministic quantity. A function of samples is an
`Estimate`, whose error is a standard error; its bias, where it has one, is in the docstring and not in the
error.

The file is long because it is one public name with many short, independent functions.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, special, stats
from scipy.spatial.distance import cdist

FloatArray = NDArray[np.float64]
ScalarFunction = Callable[[FloatArray], ArrayLike]

EPSILON = float(np.finfo(np.float64).eps)
MAX_TRANSPORT_PAIRS = 25_000_000
"""Largest cost matrix `w2_samples` builds: 5000 against 5000 points, 200 MB and about 5 s."""
_CHUNK_ENTRIES = 4_000_000


@dataclass(frozen=True)
class Integral:
    """A deterministic number found by quadrature, with an estimate of its absolute numerical error."""

    value: float
    error: float


@dataclass(frozen=True)
class Estimate:
    """A number estimated from samples, with its standard error."""

    value: float
    error: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided normal interval value -+ quantile * error; ValueError unless 0 < level < 1."""
        half_width = float(special.ndtri(0.5 + _level(level) / 2)) * self.error
        return self.value - half_width, self.value + half_width


@dataclass(frozen=True)
class WitnessEstimate:
    """P_hat(A) - p(A) for a witness set A of known probability, in which `count` of `n` samples fell."""

    count: int
    n: int
    probability: float

    @property
    def value(self) -> float:
        """Observed frequency minus exact probability; its absolute value estimates a lower bound of TV."""
        return self.count / self.n - self.probability

    @property
    def error(self) -> float:
        """Standard error at the frequency (count + 2) / (n + 4) (Agresti and Coull 1998): never zero."""
        frequency = (self.count + 2) / (self.n + 4)
        return math.sqrt(frequency * (1 - frequency) / self.n)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson interval of P(A) - p(A): covers with at least the stated probability, for any n.

        References
        ----------
        Clopper and Pearson 1934, in its form by beta quantiles.
        """
        tail = (1 - _level(level)) / 2
        k, n = self.count, self.n
        low = float(special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
        high = float(special.betainccinv(k + 1, n - k, tail)) if k < n else 1.0
        return low - self.probability, high - self.probability


@dataclass(frozen=True)
class MomentErrors:
    """Errors of sample moments against exact ones, with standard errors and one joint test.

    `mean` and `mean_standard_error` are (d,); `covariance` and `covariance_standard_error` are (d,) where
    variances were given and (d, d) where a matrix was. `statistic` is Hotelling's T^2 of all these moments
    together, scaled to F(rank, n - rank); `p_value` is its upper tail.
    """

    mean: FloatArray
    mean_standard_error: FloatArray
    covariance: FloatArray
    covariance_standard_error: FloatArray
    statistic: float
    rank: int
    p_value: float


# ------------------------------------------------------------------------------------------------- Gaussians


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
    mean_a, A, mean_b, B = _gaussian_pair(mean_a, covariance_a, mean_b, covariance_b)
    difference = mean_b - mean_a
    if A.ndim == 1:
        return math.hypot(*difference, *_difference_of_roots(A, B))
    a, Q = linalg.eigh(A)
    b, R = linalg.eigh(B)
    a, b = _without_rounding("covariance_a", a), _without_rounding("covariance_b", b)
    E = B - A
    root_A = (Q * np.sqrt(a)) @ Q.T
    _, s, V_transposed = linalg.svd((R * np.sqrt(b)) @ R.T @ root_A)
    in_range = a > 0
    first_order = (Q.T @ E @ root_A @ V_transposed.T)[in_range] / (a[in_range, None] + s)
    kernel = Q[:, ~in_range]
    # E rather than B, so that equal singular matrices are at distance zero and not at the root of a rounding
    # error.
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
    mean_a, A, mean_b, B = _gaussian_pair(mean_a, covariance_a, mean_b, covariance_b)
    difference = mean_a - mean_b
    if A.ndim == 1:
        null = B == 0
        if np.any(A[null] > 0) or np.any(difference[null] != 0):
            return math.inf
        A, B, difference = A[~null], B[~null], difference[~null]
        relative = (A - B) / B
        whitened = difference / np.sqrt(B)
    else:
        if _without_rounding("covariance_b", linalg.eigvalsh(B))[0] == 0:
            raise ValueError(
                "covariance_b is singular to rounding (eigenvalue 0): project both laws onto its range"
                " first, or give both covariances as variances in a common basis"
            )
        if _without_rounding("covariance_a", linalg.eigvalsh(A))[0] == 0:
            return math.inf
        L = linalg.cholesky(B, lower=True)
        half = linalg.solve_triangular(L, A - B, lower=True)
        relative = linalg.eigvalsh(linalg.solve_triangular(L, half.T, lower=True))
        whitened = linalg.solve_triangular(L, difference, lower=True)
    if np.any(relative <= -1):
        return math.inf
    return 0.5 * (math.fsum(_minus_log1p(relative)) + math.fsum(whitened**2))


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
    m_a, m_b = _scalar("mean_a", mean_a), _scalar("mean_b", mean_b)
    v_a, v_b = _scalar("variance_a", variance_a, lowest=0.0), _scalar("variance_b", variance_b, lowest=0.0)
    if v_a > v_b:
        m_a, v_a, m_b, v_b = m_b, v_b, m_a, v_a
    if v_a == 0:
        return 0.0 if v_b == 0 and m_a == m_b else 1.0
    # In units of b: a is N(m, s^2) with s <= 1, and q = 1 - s^2 carries the full relative accuracy of v_b -
    # v_a.
    scale = math.sqrt(v_b)
    m, s, q = abs(m_a - m_b) / scale, math.sqrt(v_a / v_b), (v_b - v_a) / v_b
    if m > 1e3:
        return 1.0
    minus_log = -2 * math.log(s) if q > 0.5 else -math.log1p(-q)
    # q y^2 - 2 m y + m^2 - s^2 minus_log = 0; the discriminant is s^2 (m^2 + q minus_log), a sum of positive
    # terms.
    root = m + s * math.sqrt(m * m + q * minus_log)
    if root == 0:
        return 0.0
    lower = (m * m - s * s * minus_log) / root
    shrink = q / (1 + s)
    upper_part = 0.0
    if q > 0 and math.isfinite(upper := root / q):
        upper_part = _normal_increment(upper, (upper * shrink - m) / s)
    return min(1.0, abs(_normal_increment(lower, (lower * shrink - m) / s)) + abs(upper_part))


# --------------------------------------------------------------------------------------- laws on the line


@overload
def w2_1d(a: ScalarFunction, b: ScalarFunction) -> Integral: ...
@overload
def w2_1d(a: ArrayLike, b: ScalarFunction | ArrayLike) -> Estimate: ...
@overload
def w2_1d(a: ScalarFunction, b: ArrayLike) -> Estimate: ...
def w2_1d(a: ScalarFunction | ArrayLike, b: ScalarFunction | ArrayLike) -> Integral | Estimate:
    """2-Wasserstein distance on the line, between laws given by quantile functions or by samples.

    W2^2 is the integral over (0, 1) of (Q_a - Q_b)^2. Two quantile functions: adaptive quadrature in z, u =
    Phi(z), |z| < 7.8, which follows jumps of either function down to the resolution of u; the error covers
    quadrature, rounding, and the mass 3e-15 left out at each end, by a power law. Samples: exact distance of
    the empirical laws, by sorting; error as in `w2_samples`. Its bias is upward, E W2^2 - W2^2 of order 1/n
    (times log log n for Gaussian tails); equal laws therefore give a value of the size of its error, not
    zero.

    Parameters
    ----------
    a, b : callable or (n,) samples
        A callable maps an array of probabilities in (0, 1) to quantiles of the same shape and is
        non-decreasing.

    Returns
    -------
    Integral or Estimate
        Integral for two callables, else Estimate.

    Raises
    ------
    ValueError
        Samples with fewer than 2 points, not finite, or not one-dimensional; a quantile that is not finite.

    References
    ----------
    Villani 2003, Theorem 2.18; standard errors by the limit theorem of del Barrio and Loubes 2019.
    """
    if callable(a):
        if callable(b):
            return _w2_of_quantiles(a, b)
        return _w2_sample_to_quantile(_samples("b", b, 2, line=True)[:, 0], a, "a")
    x = _samples("a", a, 2, line=True)
    if callable(b):
        return _w2_sample_to_quantile(x[:, 0], b, "b")
    return _w2_of_samples(x, _samples("b", b, 2, line=True))


def tv_1d(density_a: ScalarFunction, density_b: ScalarFunction, breakpoints: ArrayLike) -> Integral:
    """Total variation distance of two densities on the line, integrated between their sign changes.

    TV is half the integral of |a - b|. Both densities are first resolved by adaptive quadrature, then the
    sign changes of their difference are bisected and each piece is integrated by itself. The error covers
    quadrature, rounding and the mass outside the breakpoints.

    Parameters
    ----------
    density_a, density_b : callable
        Map an (n,) array of points to (n,) densities.
    breakpoints : (k,) increasing, k >= 2
        First and last bound the domain; put the others at kinks, jumps and very narrow peaks.

    Raises
    ------
    ValueError
        Breakpoints not increasing or not finite; densities negative, not finite or of another shape; less
        than 0.999 or more than 1.001 of either mass found, which means a domain too small or a peak never
        seen.
    """
    edges = _breakpoints(breakpoints)

    def difference_and_densities(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        a, b = (
            _evaluate(name, density, x, lowest=0.0)
            for name, density in (("density_a", density_a), ("density_b", density_b))
        )
        return np.stack([a - b, a, b]), np.stack([2 * EPSILON * (a + b), 1e-12 * a, 1e-12 * b])

    panels = _integrate_densities(difference_and_densities, edges)
    mass_outside = _mass_outside(panels.sums[1:], "density_a", "density_b")
    x, difference = panels.nodes, panels.values[0].ravel()
    noise = panels.noise[0].ravel()
    changes = np.flatnonzero(
        (difference[:-1] * difference[1:] < 0)
        & (np.abs(difference[:-1]) > noise[:-1])
        & (np.abs(difference[1:]) > noise[1:])
    )
    low, high, sign = x[changes], x[changes + 1], np.sign(difference[changes])
    # The integral depends on a crossing to second order, so a crossing to 2^-40 of the node spacing is exact.
    for _ in range(40 if len(changes) else 0):
        middle = 0.5 * (low + high)
        left = np.sign(difference_and_densities(middle)[0][0]) == sign
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    pieces = _Panels(difference_and_densities, np.union1d(panels.edges, 0.5 * (low + high)))
    value = 0.5 * math.fsum(np.abs(pieces.integrals[0]))
    error = 0.5 * (pieces.error(0) + panels.unresolved() + float(mass_outside.sum()))
    return Integral(value, error)


def kl_1d(log_density_a: ScalarFunction, log_density_b: ScalarFunction, breakpoints: ArrayLike) -> Integral:
    """Kullback-Leibler divergence KL(a | b) of two densities on the line, without cancellation.

    Integrates a log(a/b) - a + b, which is never negative and has the same integral for normalised densities.
    Logarithms are asked for because a density that underflows in the tail of the other would read as
    infinite. The value is inf where b vanishes and a does not. The error covers quadrature, rounding and,
    from the size of the integrand at the two ends, what lies outside the breakpoints.

    Parameters
    ----------
    log_density_a, log_density_b : callable
        Map an (n,) array of points to (n,) log-densities; -inf is allowed.
    breakpoints : (k,) increasing, k >= 2
        As in `tv_1d`.

    Raises
    ------
    ValueError
        As `tv_1d`.
    """
    edges = _breakpoints(breakpoints)

    def logs(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return (
            _evaluate("log_density_a", log_density_a, x, finite=False),
            _evaluate("log_density_b", log_density_b, x, finite=False),
        )

    def integrand_and_densities(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        log_a, log_b = logs(x)
        with np.errstate(under="ignore"):
            a, b = np.exp(log_a), np.exp(log_b)
        integrand, rounding = _kl_integrand(log_a, log_b, a, b)
        # An infinite integrand would poison the adaptive rule: it is set aside here and answered for below.
        integrand = np.where(np.isinf(integrand), 0.0, integrand)
        return np.stack([integrand, a, b]), np.stack([rounding, 1e-12 * a, 1e-12 * b])

    panels = _integrate_densities(integrand_and_densities, edges)
    mass_outside = _mass_outside(panels.sums[1:], "log_density_a", "log_density_b")
    log_a, log_b = logs(panels.nodes)
    if np.any(np.isneginf(log_b) & (log_a > -700.0)):
        return Integral(math.inf, 0.0)
    outside = 0.0
    span = edges[-1] - edges[0]
    for log_a_end, log_b_end in zip(*logs(edges[[0, -1]]), strict=True):
        if log_a_end == -math.inf or log_b_end == -math.inf:
            continue
        # A tail lighter than exponential holds less than density * span; the measured mass may say even less.
        log_ratio = log_a_end - log_b_end
        tail_a, tail_b = (
            min(mass + 64 * EPSILON, math.exp(min(log_end, 50.0)) * span)
            for mass, log_end in zip(mass_outside, (log_a_end, log_b_end), strict=True)
        )
        if abs(log_ratio) < 0.5:
            outside += tail_b * float(_kl_of_ratio(np.expm1(np.array([log_ratio])))[0])
        else:
            outside += tail_a * max(log_ratio, 0.0) + tail_b
    return Integral(max(panels.sums[0], 0.0), float(panels.error(0) + panels.unresolved() + outside))


# ---------------------------------------------------------------------------------------------- samples


def w2_samples(x: ArrayLike, y: ArrayLike) -> Estimate:
    """2-Wasserstein distance of two empirical laws, exact, by optimal transport (POT's network simplex).

    Biased upward for the laws behind the samples: E W2 - W2 is of order n^(-1/d) for d > 4 (n^(-1/4) or less
    below) and does not average out; compare with the value for two samples of the same law. The error is the
    standard error about E W2, not about W2: Var(W2^2) = Var(u)/n + Var(v)/m with the optimal dual potentials
    u, v.

    Parameters
    ----------
    x, y : (n, d), (m, d) samples; (n,) is read as (n, 1). n * m at most MAX_TRANSPORT_PAIRS unless d = 1.

    Raises
    ------
    ValueError
        Bad samples, or too many pairs.
    RuntimeError
        The simplex did not converge.

    References
    ----------
    Standard error: del Barrio and Loubes 2019, main theorem. Bias: Fournier and Guillin 2015, Theorem 1.
    """
    x, y = _sample_pair(x, y, 2)
    n, m = len(x), len(y)
    if x.shape[1] == 1:
        return _w2_of_samples(x, y)
    if n * m > MAX_TRANSPORT_PAIRS:
        raise ValueError(
            f"x and y have {n} and {m} samples, {n * m} pairs, and exact transport takes at most"
            f" {MAX_TRANSPORT_PAIRS}: pass subsets such as x[:5000], y[:5000], or use sliced_w2"
        )
    # Imported here because POT loads every array library it finds, which takes seconds that other distances
    # need not wait.
    from ot.lp import emd2

    squared, log = emd2(
        np.full(n, 1 / n), np.full(m, 1 / m), cdist(x, y, "sqeuclidean"), numItermax=100_000_000, log=True
    )
    if log["warning"] is not None:
        raise RuntimeError(f"exact transport of {n} against {m} samples failed: {log['warning']}")
    variance = log["u"].var(ddof=1) / n + log["v"].var(ddof=1) / m
    return Estimate(*_root(float(squared), math.sqrt(variance)))


def sliced_w2(x: ArrayLike, y: ArrayLike, projections: int = 128, seed: int = 0) -> Estimate:
    """Sliced 2-Wasserstein distance: the root of the mean over directions theta of W2^2(theta.x, theta.y).

    Biased upward like `w2_1d` of samples, by order 1/n in the square, in any dimension. The error joins
    the sampling error, from dual potentials averaged over directions, and the spread over directions.

    Parameters
    ----------
    x, y : (n, d), (m, d) samples; (n,) is read as (n, 1).
    projections : int >= 2
        Number of independent uniform directions.
    seed : int
        Seed of the directions: the same seed gives the same directions for the same d.

    Raises
    ------
    ValueError
        Bad samples, or fewer than 2 projections.

    References
    ----------
    Bonneel et al. 2015; standard errors by the limit theorem of del Barrio and Loubes 2019.
    """
    x, y = _sample_pair(x, y, 2)
    if projections < 2:
        raise ValueError(f"projections = {projections}: give at least 2, the error needs their spread")
    directions = np.random.default_rng(seed).standard_normal((projections, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    potential_x, potential_y, squared = np.zeros(len(x)), np.zeros(len(y)), []
    for chunk in _chunks(projections, len(x) + len(y)):
        projected_x, projected_y = x @ directions[chunk].T, y @ directions[chunk].T
        order_x, order_y = np.argsort(projected_x, axis=0), np.argsort(projected_y, axis=0)
        values, sorted_x, sorted_y = _w2_of_sorted(
            np.take_along_axis(projected_x, order_x, 0), np.take_along_axis(projected_y, order_y, 0)
        )
        squared.append(values)
        for total, order, potential in ((potential_x, order_x, sorted_x), (potential_y, order_y, sorted_y)):
            unsorted = np.empty_like(potential)
            np.put_along_axis(unsorted, order, potential, 0)
            total += unsorted.sum(axis=1)
    per_direction = np.concatenate(squared)
    variance = sum(p.var(ddof=1) / (projections**2 * len(p)) for p in (potential_x, potential_y))
    variance += per_direction.var(ddof=1) / projections
    return Estimate(*_root(float(per_direction.mean()), math.sqrt(variance)))


def energy_distance(x: ArrayLike, y: ArrayLike) -> Estimate:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|, unbiased, so that it may come out negative.

    This is the square of `scipy.stats.energy_distance`, estimated by U-statistics instead of V-statistics.
    The error is the delete-one jackknife over both samples: conservative (Efron and Stein 1981), by a factor
    of about 1.6 for equal laws. O((n + m) log(n + m)) in one dimension, else O(n m d) time and chunked
    memory.

    Parameters
    ----------
    x, y : (n, d), (m, d) samples, n and m >= 3; (n,) is read as (n, 1).

    Raises
    ------
    ValueError
        Bad samples.

    References
    ----------
    Szekely and Rizzo 2013 (definition of the energy distance); jackknife: Arvesen 1969.
    """
    x, y = _sample_pair(x, y, 3)
    if x.shape[1] == 1:
        centre = float(np.median(x))
        line_x, line_y = x[:, 0] - centre, y[:, 0] - centre
        rows, columns = _absolute_sums(line_x, line_y), _absolute_sums(line_y, line_x)
        within_x, within_y = _absolute_sums(line_x, line_x), _absolute_sums(line_y, line_y)
    else:

        def distance(u: FloatArray, v: FloatArray) -> FloatArray:
            return cdist(u, v)

        rows, columns = _kernel_sums(x, y, distance)
        within_x, within_y = _kernel_sums(x, x, distance)[0], _kernel_sums(y, y, distance)[0]
    return _two_sample_statistic(-rows, -columns, -within_x, -within_y)


def mmd(x: ArrayLike, y: ArrayLike, bandwidth: float | None = None) -> Estimate:
    """Squared maximum mean discrepancy with the kernel exp(-|x - y|^2 / (2 bandwidth^2)), unbiased.

    It may come out negative. Error: delete-one jackknife as in `energy_distance`, at a fixed bandwidth. O(n m
    d).

    Parameters
    ----------
    x, y : (n, d), (m, d) samples, n and m >= 3; (n,) is read as (n, 1).
    bandwidth : float, optional
        Positive. Default: the median heuristic, the median distance between distinct points of the pooled
        sample, of which at most 500 evenly spaced members of each sample are used. It then depends on the
        samples: fix it to compare values across runs.

    Raises
    ------
    ValueError
        Bad samples, a bandwidth not positive and finite, or a median distance of zero.

    References
    ----------
    Gretton et al. 2012, eq. 3 (unbiased estimate), section 8 (median heuristic); jackknife: Arvesen 1969.
    """
    x, y = _sample_pair(x, y, 3)
    if bandwidth is None:
        pooled = np.concatenate([sample[:: -(-len(sample) // 500)] for sample in (x, y)])
        bandwidth = float(np.median(cdist(pooled, pooled)[np.triu_indices(len(pooled), 1)]))
        if bandwidth == 0:
            raise ValueError("x and y have a median distance of 0 (repeated points): give bandwidth yourself")
    if not 0 < bandwidth < math.inf:
        raise ValueError(
            f"bandwidth = {bandwidth}: give a positive, finite length, or None for the median heuristic"
        )
    precision = 0.5 / bandwidth**2

    def kernel(u: FloatArray, v: FloatArray) -> FloatArray:
        with np.errstate(under="ignore"):
            return np.exp(-precision * cdist(u, v, "sqeuclidean"))

    rows, columns = _kernel_sums(x, y, kernel)
    # A point's kernel with itself is 1 and does not belong in a U-statistic.
    return _two_sample_statistic(
        rows, columns, _kernel_sums(x, x, kernel)[0] - 1, _kernel_sums(y, y, kernel)[0] - 1
    )


def moment_errors(x: ArrayLike, mean: ArrayLike, covariance: ArrayLike) -> MomentErrors:
    """Errors of the sample mean and covariance, each with a standard error, and a joint test.

    Standard errors come from the samples' own second and fourth moments, so the law need not be Gaussian. The
    test is Hotelling's T^2 on the vector (x - mean, (x - mean)(x - mean)' - covariance), symmetric entries
    once; directions in which it does not vary are left out, or give a p-value of 0 where it is not zero. Its
    level is asymptotic: squares are skewed, so take n well above 20 times the number of moments.

    Parameters
    ----------
    x : (n, d) samples; (n,) is read as (n, 1).
    mean : (d,) or scalar
    covariance : (d,), (d, d) or scalar
        Variances compare means and variances only, 2 d moments; a matrix compares every entry.

    Raises
    ------
    ValueError
        Bad samples or moments, or n not above 4 times the number of moments.

    References
    ----------
    Hotelling 1931; Anderson 2003, chapter 5 (distribution of T^2).
    """
    x = _samples("x", x, 2)
    n, dim = x.shape
    mean, covariance = _gaussian("", mean, covariance, dim)
    upper = np.arange(dim)[None].repeat(2, 0) if covariance.ndim == 1 else np.stack(np.triu_indices(dim))
    exact = covariance if covariance.ndim == 1 else covariance[upper[0], upper[1]]
    moments = dim + upper.shape[1]
    if n <= 4 * moments:
        raise ValueError(
            f"x has {n} samples for {moments} moments: draw more than {4 * moments}, or give"
            " covariance as variances (d,)"
        )
    sample_mean = x.mean(axis=0)
    total, outer = np.zeros(moments), np.zeros((moments, moments))
    fourth = np.zeros(upper.shape[1])
    # The variances of the products, about the sample mean, need the sample covariance first: hence two
    # passes.
    second = np.zeros(upper.shape[1])
    for chunk in _chunks(n, moments):
        centred = x[chunk] - sample_mean
        second += (centred[:, upper[0]] * centred[:, upper[1]]).sum(axis=0)
    # Counted from the first sample, what does not vary has a covariance of exactly zero.
    first = _moment_vectors(x[:1] - mean, upper, exact)[0]
    for chunk in _chunks(n, moments):
        centred = x[chunk] - sample_mean
        fourth += ((centred[:, upper[0]] * centred[:, upper[1]] - second / n) ** 2).sum(axis=0)
        vectors = _moment_vectors(x[chunk] - mean, upper, exact) - first
        total += vectors.sum(axis=0)
        outer += vectors.T @ vectors
    statistic, rank = _hotelling(first + total / n, (outer - np.outer(total, total) / n) / (n - 1), n)
    covariance_error, covariance_standard_error = second / (n - 1) - exact, np.sqrt(fourth / n / (n - 1))
    if covariance.ndim == 2:
        errors = np.zeros((2, dim, dim))
        errors[:, upper[0], upper[1]] = errors[:, upper[1], upper[0]] = (
            covariance_error,
            covariance_standard_error,
        )
        covariance_error, covariance_standard_error = errors
    return MomentErrors(
        mean=sample_mean - mean,
        mean_standard_error=x.std(axis=0, ddof=1) / math.sqrt(n),
        covariance=covariance_error,
        covariance_standard_error=covariance_standard_error,
        statistic=statistic,
        rank=rank,
        p_value=float(stats.f.sf(statistic, rank, n - rank)) if rank else float(statistic == 0),
    )


def tv_witness(
    samples: ArrayLike, witness: Callable[[FloatArray], ArrayLike] | ArrayLike, probability: float
) -> WitnessEstimate:
    """Lower bound of the total variation distance between a sampled law and an exact one, by a witness set A.

    |P(A) - p(A)| <= TV for every A chosen without looking at the samples, with equality for A = {f > p}. The
    estimate P_hat(A) - p(A) is unbiased, unlike the TV of a histogram.

    Parameters
    ----------
    samples : (n, d) samples; (n,) is read as (n, 1) for intervals and handed on as it is to a callable.
    witness : callable or (k, 2) array
        Indicator from samples to (n,) booleans, or, on the line, disjoint increasing intervals [low, high);
        ends may be infinite.
    probability : float in [0, 1]
        Exact probability of A under the reference law.

    Raises
    ------
    ValueError
        Bad samples, intervals not disjoint and increasing, an indicator of another shape, a probability
        outside [0, 1].
    TypeError
        An indicator that does not return booleans.
    """
    if not 0 <= probability <= 1:
        raise ValueError(
            f"probability = {probability}: give the exact probability of the witness set, within [0, 1]"
        )
    points = _samples("samples", samples, 1, line=not callable(witness))
    if callable(witness):
        inside = np.asarray(witness(points if np.ndim(samples) > 1 else points[:, 0]))
        if inside.dtype != np.bool_:
            raise TypeError(
                f"witness returned dtype {inside.dtype}: return booleans, True for samples inside the set"
            )
        if inside.shape != (len(points),):
            raise ValueError(
                f"witness returned shape {inside.shape} for {len(points)} samples: return ({len(points)},)"
            )
        return WitnessEstimate(int(inside.sum()), len(points), float(probability))
    intervals = np.asarray(witness, dtype=np.float64)
    if intervals.ndim != 2 or intervals.shape[1] != 2:
        raise ValueError(
            f"witness has shape {intervals.shape}: give intervals as (k, 2), one row [low, high) each"
        )
    ends = intervals.ravel()
    # Written so that NaN fails too.
    if not (np.all(intervals[:, 0] < intervals[:, 1]) and np.all(ends[1:] >= ends[:-1])):
        raise ValueError(
            f"witness = {intervals.tolist()}: give disjoint intervals in increasing order, low < high"
        )
    count = int((np.searchsorted(ends, points[:, 0], side="right") % 2 == 1).sum())
    return WitnessEstimate(count, len(points), float(probability))


# --------------------------------------------------------------------------------------- Gaussian pieces


def _difference_of_roots(a: FloatArray, b: FloatArray) -> FloatArray:
    roots = np.sqrt(a) + np.sqrt(b)
    return np.divide(b - a, roots, out=np.zeros_like(roots), where=roots > 0)


def _minus_log1p(x: FloatArray) -> FloatArray:
    """Compute x - log(1 + x) for x > -1 without cancellation, by log1p(x) = 2 atanh(r), r = x/(2 + x)."""
    r = x / (2 + x)
    series = np.zeros_like(r)
    for k in range(17, 0, -1):
        series = series * r * r + 1 / (2 * k + 1)
    # At |x| < 1/2, |r| <= 1/3 and the first term left out is below 1e-17 of the sum.
    return np.where(np.abs(x) < 0.5, x * r - 2 * r**3 * series, x - np.log1p(x))


def _kl_of_ratio(x: FloatArray) -> FloatArray:
    """Compute (1 + x) log(1 + x) - x for |x| <= 1 or so; half of it cancels at worst."""
    return x * x - (1 + x) * _minus_log1p(x)


def _kl_integrand(
    log_a: FloatArray, log_b: FloatArray, a: FloatArray, b: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Value a log(a/b) - a + b and its rounding, for densities that may vanish."""
    positive = np.isfinite(log_a)
    both = positive & np.isfinite(log_b)
    log_ratio = np.subtract(log_a, log_b, out=np.zeros_like(log_a), where=both)
    near = both & (np.abs(log_ratio) < 0.4)
    small = np.expm1(np.where(near, log_ratio, 0.0))
    far = a * log_ratio - a + b
    value = np.where(
        near, b * _kl_of_ratio(small), np.where(both, far, np.where(positive & (a > 0), np.inf, b))
    )
    magnitude = np.where(both, np.abs(log_a) + np.abs(log_b) + 1, 1.0)
    rounding = 2 * EPSILON * np.where(near, b * np.abs(small), a + b) * magnitude
    return value, rounding


def _normal_increment(x: float, h: float) -> float:
    """Phi(x + h) - Phi(x), to full relative accuracy for small h."""
    if abs(h) < 1:
        nodes, weights = np.polynomial.legendre.leggauss(32)
        points = x + 0.5 * h * (1 + nodes)
        with np.errstate(under="ignore"):
            return 0.5 * h * float(weights @ np.exp(-0.5 * points * points)) / math.sqrt(2 * math.pi)
    # In the tail on the side of x, so that two numbers near 1 are never subtracted.
    side = -math.copysign(1.0, x)
    return side * float(special.ndtr(side * (x + h)) - special.ndtr(side * x))


def _without_rounding(name: str, values: FloatArray) -> FloatArray:
    """Increasing eigenvalues with those below rounding set to zero; ValueError where one is negative."""
    # Products of rank-deficient factors have come out with 7 EPSILON at dimension 3, where zero was due.
    rounding = 8 * len(values) * EPSILON * float(np.abs(values).max())
    if values[0] < -2 * rounding:
        raise ValueError(f"{name} has the eigenvalue {values[0]:.3g}: give a positive semi-definite matrix")
    return np.where(values <= rounding, 0.0, values)


# --------------------------------------------------------------------------------------------- quadrature


def _clenshaw_curtis(intervals: int) -> FloatArray:
    """Weights of the rule at cos(k pi / intervals), k = 0 .. intervals, even (Waldvogel 2006)."""
    k, j = np.arange(intervals + 1), np.arange(1, intervals // 2 + 1)
    b, c = np.where(j == intervals // 2, 1, 2), np.where(k % intervals == 0, 1, 2)
    return c / intervals * (1 - np.cos(2 * np.pi * np.outer(k, j) / intervals) @ (b / (4 * j**2 - 1)))


# Nested rules with the ends among their nodes: a jump between an end and the first inner node still shows.
_POINTS = 17
_NODES = -np.cos(np.pi * np.arange(_POINTS) / (_POINTS - 1))
_FINE = _clenshaw_curtis(_POINTS - 1)
_FINE_MINUS_COARSE = _FINE.copy()
_FINE_MINUS_COARSE[::2] -= _clenshaw_curtis((_POINTS - 1) // 2)

_Integrand = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


class _Panels:
    """Clenshaw-Curtis sums of several functions over the panels between increasing edges.

    The integrand maps (n,) points to (values, noise), both (channels, n). Channel 0 is the wanted integral;
    the others are there to be resolved, so that a jump or peak which channel 0 does not show is still found.
    Noise is the rounding of a value, below which a disagreement of the two rules is no reason to refine.
    """

    def __init__(self, integrand: _Integrand, edges: FloatArray) -> None:
        self.integrand, self.edges = integrand, edges
        self.values, self.noise = self._sample(edges[:-1], edges[1:])
        self.limit = 4 * len(edges) + 20_000
        # Narrower than this, a panel's own points are no longer told apart well enough to be worth halving.
        self.narrowest = 32 * EPSILON * float(np.abs(edges).max())
        self.stuck = False

    def _sample(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        points = (0.5 * (left + right))[:, None] + (0.5 * (right - left))[:, None] * _NODES
        values, noise = self.integrand(points.ravel())
        return values.reshape(len(values), -1, _POINTS), noise.reshape(len(noise), -1, _POINTS)

    @property
    def nodes(self) -> FloatArray:
        half = 0.5 * np.diff(self.edges)
        return ((0.5 * (self.edges[1:] + self.edges[:-1]))[:, None] + half[:, None] * _NODES).ravel()

    @property
    def integrals(self) -> FloatArray:
        return self.values @ _FINE * (0.5 * np.diff(self.edges))

    @property
    def sums(self) -> list[float]:
        return [math.fsum(channel) for channel in self.integrals]

    @property
    def _disagreement(self) -> FloatArray:
        return np.abs(self.values @ _FINE_MINUS_COARSE) * (0.5 * np.diff(self.edges))

    @property
    def _floor(self) -> FloatArray:
        half = 0.5 * np.diff(self.edges)
        return self.noise @ _FINE * half + 50 * EPSILON * (np.abs(self.values) @ _FINE * half)

    def error(self, channel: int) -> float:
        """Disagreement of the two rules plus rounding: a pessimistic error of the sum of a channel."""
        return float(
            self._disagreement[channel].sum()
            + (self.noise[channel] @ _FINE * 0.5 * np.diff(self.edges)).sum()
        )

    def unresolved(self) -> float:
        """What the other channels still disagree on: zero once refinement came to its end by itself."""
        if not self.stuck:
            return 0.0
        return float(np.maximum(self._disagreement - self._floor, 0.0)[1:].sum())

    def refine(self, relative: float = 1e-12) -> None:
        """Bisect until every channel is resolved to `relative` of the integral of channel 0, or rounding."""
        while True:
            # Tolerance by a panel's share: the sum over panels then stays below the whole.
            magnitude = float((np.abs(self.values[0]) @ _FINE * 0.5 * np.diff(self.edges)).sum())
            tolerance = relative * magnitude / (len(self.edges) - 1)
            excess = self._disagreement - np.maximum(self._floor, tolerance)
            excess[:, np.diff(self.edges) <= self.narrowest] = 0.0
            # The worst first, so that noise spread over many panels cannot use up the limit before a jump is
            # followed.
            bad = np.any((excess > 0) & (excess >= 0.01 * excess.max(axis=1, keepdims=True)), axis=0)
            if not bad.any():
                return
            if len(self.edges) + bad.sum() > self.limit:
                self.stuck = True
                return
            left, right = self.edges[:-1][bad], self.edges[1:][bad]
            middle = 0.5 * (left + right)
            halves = self._sample(np.concatenate([left, middle]), np.concatenate([middle, right]))
            edges = np.concatenate([self.edges[:-1][~bad], left, middle])
            order = np.argsort(edges)
            self.values = np.concatenate([self.values[:, ~bad], halves[0]], axis=1)[:, order]
            self.noise = np.concatenate([self.noise[:, ~bad], halves[1]], axis=1)[:, order]
            self.edges = np.append(edges[order], self.edges[-1])


def _subdivide(edges: FloatArray, panels: int) -> FloatArray:
    """At least `panels` panels, each interval between edges cut alike."""
    pieces = max(1, -(-panels // (len(edges) - 1)))
    fractions = np.arange(pieces) / pieces
    return np.append((edges[:-1, None] + np.diff(edges)[:, None] * fractions).ravel(), edges[-1])


def _integrate_densities(integrand: _Integrand, edges: FloatArray) -> _Panels:
    """Refine panels for (wanted, a, b), from a finer start while mass, so perhaps a peak, is missing."""
    for start in (64, 512, 4096, 32_768):
        panels = _Panels(integrand, _subdivide(edges, start))
        panels.refine()
        if max(abs(1 - mass) for mass in panels.sums[1:]) < 1e-9:
            break
    return panels


def _mass_outside(masses: list[float], *names: str) -> FloatArray:
    for name, mass in zip(names, masses, strict=True):
        if not abs(1 - mass) < 1e-3:
            raise ValueError(
                f"{name} has mass {mass:.6g} between the breakpoints: widen them, add breakpoints at"
                " narrow peaks, or normalise the density"
            )
    return np.abs(1 - np.array(masses))


def _w2_of_quantiles(quantile_a: ScalarFunction, quantile_b: ScalarFunction) -> Integral:
    centre = float(_evaluate("a", quantile_a, np.array([0.5]))[0])

    def integrand(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        u = special.ndtr(z)
        mass = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        a, b = _evaluate("a", quantile_a, u), _evaluate("b", quantile_b, u)
        difference = a - b
        # An error of a rounding of 1 in u: of u itself near 1, or inside a root finder anywhere.
        noise_a, noise_b = _noise_of_steepness(u, a), _noise_of_steepness(u, b)
        spread_a, spread_b = a - centre, b - centre
        noise = np.stack(
            [
                2 * np.abs(difference) * (2 * EPSILON * (np.abs(a) + np.abs(b)) + noise_a + noise_b),
                # These two only have to betray a jump, a disagreement of per cents between the rules.
                2 * np.abs(spread_a) * noise_a + 1e-9 * spread_a**2,
                2 * np.abs(spread_b) * noise_b + 1e-9 * spread_b**2,
            ]
        )
        return np.stack([difference, spread_a, spread_b]) ** 2 * mass, noise * mass

    end = 7.8
    panels = _Panels(integrand, _subdivide(np.array([-end, end]), 64))
    panels.refine()
    tail = float(special.ndtr(-end))
    u = np.array([tail, 4 * tail, 1 - tail, 1 - 4 * tail])
    squares = (_evaluate("a", quantile_a, u) - _evaluate("b", quantile_b, u)) ** 2
    left_out = _power_tail(tail, *squares[:2]) + _power_tail(tail, *squares[2:])
    return Integral(*_root(panels.sums[0], panels.error(0) + panels.unresolved() + left_out))


def _noise_of_steepness(u: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Change of a quantile function over a change of u by EPSILON, from slopes between a panel's points."""
    u, quantiles = u.reshape(-1, _POINTS), quantiles.reshape(-1, _POINTS)
    steps = np.diff(u, axis=1)
    slopes = np.zeros((len(u), _POINTS + 1))
    np.divide(np.diff(quantiles, axis=1), steps, out=slopes[:, 1:-1], where=steps > 0)
    return EPSILON * np.maximum(slopes[:, :-1], slopes[:, 1:]).ravel()


def _power_tail(mass: float, outer: float, inner: float) -> float:
    """Integral over (0, mass) of a power law with the values `outer` at mass and `inner` at 4 mass."""
    exponent = math.log(outer / inner) / math.log(4) if outer > inner > 0 else 0.0
    # A higher exponent is hardly integrable; the bound also keeps rounding from making an infinite error.
    return mass * outer / (1 - min(exponent, 0.9))


# ------------------------------------------------------------------------------------------ sample pieces


def _root(squared: float, error: float) -> tuple[float, float]:
    """Square root of an estimated square, and its error, without dividing by a value that may be zero."""
    value = math.sqrt(max(squared, 0.0))
    return value, float(error / (value + math.sqrt(max(squared, 0.0) + error))) if error > 0 else 0.0


def _potential(points: FloatArray, images: FloatArray) -> FloatArray:
    """Kantorovich potential at sorted (n, k) points: the integral of 2 (x - T(x)), by trapezoids."""
    displacement = points - images
    steps = np.diff(points, axis=0) * (displacement[1:] + displacement[:-1])
    return np.concatenate([np.zeros((1, points.shape[1])), np.cumsum(steps, axis=0)])


def _w2_of_sorted(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Squared W2 (k,) of empirical laws sorted along axis 0, (n, k) and (m, k), and their potentials."""
    n, m = len(x), len(y)
    # Jumps of the two quantile functions at multiples of 1/n and 1/m, in exact integers of 1/(n m).
    jumps = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    weights = np.diff(jumps)[:, None] / (n * m)
    at_x, at_y = x[jumps[:-1] // m], y[jumps[:-1] // n]
    squared = (weights * (at_x - at_y) ** 2).sum(axis=0)
    starts_x, starts_y = np.searchsorted(jumps, np.arange(n) * m), np.searchsorted(jumps, np.arange(m) * n)
    image_of_x = n * np.add.reduceat(weights * at_y, starts_x, axis=0)
    image_of_y = m * np.add.reduceat(weights * at_x, starts_y, axis=0)
    return squared, _potential(x, image_of_x), _potential(y, image_of_y)


def _w2_of_samples(x: FloatArray, y: FloatArray) -> Estimate:
    squared, *potentials = _w2_of_sorted(np.sort(x, axis=0), np.sort(y, axis=0))
    variance = sum(float(potential.var(ddof=1)) / len(potential) for potential in potentials)
    return Estimate(*_root(float(squared[0]), math.sqrt(variance)))


def _w2_sample_to_quantile(x: FloatArray, quantile: ScalarFunction, name: str) -> Estimate:
    n = len(x)
    x = np.sort(x)
    # Cells of mass 1/n, cut further where few, and towards both ends, where a quantile function diverges.
    pieces = -(-512 // n)
    ends = 0.25 ** np.arange(20, 0, -1) / (n * pieces)
    edges = np.concatenate([[0.0], ends, np.arange(1, n * pieces) / (n * pieces), 1 - ends[::-1], [1.0]])
    nodes, weights = np.polynomial.legendre.leggauss(7 if n < 10_000 else 3)
    width = np.diff(edges)
    u = 0.5 * (edges[1:] + edges[:-1])[:, None] + 0.5 * width[:, None] * nodes
    mass = 0.5 * width[:, None] * weights
    cell = np.clip(np.floor(0.5 * (edges[1:] + edges[:-1]) * n), 0, n - 1).astype(np.int64)
    q = _evaluate(name, quantile, np.clip(u.ravel(), 1e-300, 1 - EPSILON / 2)).reshape(u.shape)
    squared = math.fsum((mass * (x[cell][:, None] - q) ** 2).sum(axis=1))
    image: FloatArray = n * np.bincount(cell, weights=(mass * q).sum(axis=1), minlength=n).astype(np.float64)
    potential = _potential(x[:, None], image[:, None])
    return Estimate(*_root(squared, math.sqrt(float(potential.var(ddof=1)) / n)))


def _absolute_sums(points: FloatArray, others: FloatArray) -> FloatArray:
    """Sum over j of |points_i - others_j|, by sorting."""
    ordered = np.sort(others)
    prefix = np.concatenate([[0.0], np.cumsum(ordered)])
    below = np.searchsorted(ordered, points)
    return points * (2 * below - len(ordered)) + prefix[-1] - 2 * prefix[below]


def _kernel_sums(
    x: FloatArray, y: FloatArray, kernel: Callable[[FloatArray, FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Row sums (n,) and column sums (m,) of kernel(x_i, y_j), in chunks of rows."""
    rows, columns = np.empty(len(x)), np.zeros(len(y))
    for chunk in _chunks(len(x), len(y)):
        block = kernel(x[chunk], y)
        rows[chunk] = block.sum(axis=1)
        columns += block.sum(axis=0)
    return rows, columns


def _two_sample_statistic(
    rows: FloatArray, columns: FloatArray, within_x: FloatArray, within_y: FloatArray
) -> Estimate:
    """U-statistic E k(X, X') + E k(Y, Y') - 2 E k(X, Y) from row sums, with its delete-one jackknife."""
    n, m = len(rows), len(columns)
    cross, sum_x, sum_y = float(rows.sum()), float(within_x.sum()), float(within_y.sum())
    value = sum_x / (n * (n - 1)) + sum_y / (m * (m - 1)) - 2 * cross / (n * m)
    without_x = (sum_x - 2 * within_x) / ((n - 1) * (n - 2)) - 2 * (cross - rows) / ((n - 1) * m)
    without_y = (sum_y - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (cross - columns) / (n * (m - 1))
    variance = (n - 1) / n * np.sum((without_x - without_x.mean()) ** 2)
    variance += (m - 1) / m * np.sum((without_y - without_y.mean()) ** 2)
    return Estimate(value, math.sqrt(float(variance)))


def _moment_vectors(shifted: FloatArray, upper: NDArray[np.int64], exact: FloatArray) -> FloatArray:
    return np.concatenate([shifted, shifted[:, upper[0]] * shifted[:, upper[1]] - exact], axis=1)


def _hotelling(mean: FloatArray, covariance: FloatArray, n: int) -> tuple[float, int]:
    """T^2 of a mean of n vectors against zero, scaled to F(rank, n - rank), and the rank."""
    scale = np.sqrt(np.diagonal(covariance))
    if np.any(mean[scale == 0] != 0):
        return math.inf, int((scale > 0).sum())
    mean, covariance, scale = mean[scale > 0], covariance[np.ix_(scale > 0, scale > 0)], scale[scale > 0]
    if not len(mean):
        return 0.0, 0
    values, vectors = linalg.eigh(covariance / np.outer(scale, scale))
    along = vectors.T @ (mean / scale)
    # Linear dependence shows as a correlation eigenvalue at rounding; its root is the size a mean along it
    # may have.
    varies = values > 1e-10
    rank = int(varies.sum())
    if np.any(np.abs(along[~varies]) > 1e-5):
        return math.inf, rank
    squared = n * float((along[varies] ** 2 / values[varies]).sum())
    return squared * (n - rank) / (rank * (n - 1)), rank


def _chunks(count: int, width: int) -> Iterator[slice]:
    """Slices of range(count) such that slice * width stays within a fixed memory."""
    size = max(1, _CHUNK_ENTRIES // max(1, width))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


# --------------------------------------------------------------------------------------------- validation


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: give a confidence level strictly between 0 and 1, such as 0.95")
    return level


def _finite(name: str, values: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} = {values!r:.60} is not an array of real numbers: pass one ({error})"
        ) from error
    if not np.all(np.isfinite(array)):
        bad = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(
            f"{name} has the value {array[tuple(bad)]} at {bad}: remove or repair values that are not finite"
        )
    return array


def _scalar(name: str, value: ArrayLike, lowest: float = -math.inf) -> float:
    array = _finite(name, value)
    if array.size != 1:
        raise ValueError(f"{name} has shape {array.shape}: give one number")
    if array.item() < lowest:
        raise ValueError(f"{name} = {array.item()}: give a number not below {lowest:g}")
    return float(array.item())


def _samples(name: str, values: ArrayLike, fewest: int, line: bool = False) -> FloatArray:
    array = _finite(name, values)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} has shape {np.shape(values)}: give samples as (n, d), or (n,) on the line")
    if line and array.shape[1] != 1:
        raise ValueError(
            f"{name} has shape {np.shape(values)}: this distance takes samples on the line, (n,) or (n, 1)"
        )
    if len(array) < fewest:
        raise ValueError(f"{name} has {len(array)} samples: give at least {fewest}")
    return array


def _sample_pair(x: ArrayLike, y: ArrayLike, fewest: int) -> tuple[FloatArray, FloatArray]:
    first, second = _samples("x", x, fewest), _samples("y", y, fewest)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"x has dimension {first.shape[1]} and y has {second.shape[1]}: give samples of equal dimension"
        )
    return first, second


def _gaussian(
    suffix: str, mean: ArrayLike, covariance: ArrayLike, dimension: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Check mean (d,) and covariance, (d,) or (d, d); the suffix completes the arguments' names."""
    mean_name, covariance_name = f"mean{suffix}", f"covariance{suffix}"
    mean_array, covariance_array = _finite(mean_name, mean), _finite(covariance_name, covariance)
    if mean_array.ndim == 0:
        mean_array = np.full(1 if dimension is None else dimension, mean_array)
    if mean_array.ndim != 1 or mean_array.size == 0 or dimension not in (None, len(mean_array)):
        wanted = "(d,)" if dimension is None else f"({dimension},)"
        raise ValueError(f"{mean_name} has shape {mean_array.shape}: give {wanted} or a scalar")
    dim = len(mean_array)
    if covariance_array.ndim == 0:
        covariance_array = np.full(dim, covariance_array)
    if covariance_array.shape == (1, 1) and dim == 1:
        covariance_array = covariance_array[0]
    if covariance_array.shape not in ((dim,), (dim, dim)):
        raise ValueError(
            f"{covariance_name} has shape {covariance_array.shape} for a mean of dimension {dim}: give"
            f" variances ({dim},), a matrix ({dim}, {dim}) or a scalar"
        )
    diagonal = covariance_array if covariance_array.ndim == 1 else np.diagonal(covariance_array)
    if np.any(diagonal < 0):
        raise ValueError(
            f"{covariance_name} has the variance {diagonal.min()}: variances are zero or positive"
        )
    if covariance_array.ndim == 2:
        skew = float(np.abs(covariance_array - covariance_array.T).max())
        if skew > 1e-10 * float(np.abs(covariance_array).max()):
            raise ValueError(
                f"{covariance_name} differs from its transpose by {skew:.3g}: pass (C + C.T) / 2"
            )
        covariance_array = 0.5 * (covariance_array + covariance_array.T)
    return mean_array, covariance_array


def _gaussian_pair(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Two checked Gaussians, both covariances as variances where both are diagonal, else both as matrices."""
    first_mean, first = _gaussian("_a", mean_a, covariance_a)
    second_mean, second = _gaussian("_b", mean_b, covariance_b)
    if len(first_mean) != len(second_mean):
        raise ValueError(
            f"mean_a has dimension {len(first_mean)} and mean_b has {len(second_mean)}: make them equal"
        )
    pair = [np.diag(c) if c.ndim == 1 else c for c in (first, second)]
    if all(np.count_nonzero(c) == np.count_nonzero(np.diagonal(c)) for c in pair):
        pair = [np.diagonal(c).copy() for c in pair]
    return first_mean, pair[0], second_mean, pair[1]


def _breakpoints(breakpoints: ArrayLike) -> FloatArray:
    edges = _finite("breakpoints", breakpoints)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError(
            f"breakpoints = {edges.tolist()}: give at least 2 finite numbers in increasing order"
        )
    return edges


def _evaluate(
    name: str, function: ScalarFunction, points: FloatArray, lowest: float = -math.inf, finite: bool = True
) -> FloatArray:
    values = np.asarray(function(points), dtype=np.float64)
    if values.shape != points.shape:
        raise ValueError(
            f"{name} returned shape {values.shape} for points {points.shape}: return one value a point"
        )
    bad = ~np.isfinite(values) | (values < lowest) if finite else ~(values < 709)
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name} returned {values[first]} at {points[first]}: return finite"
            f"{', non-negative' if lowest == 0 else ''} values{'' if finite else ' below 709 or -inf'}"
        )
    return values
