"""2-Wasserstein distances: quantile functions and samples on the line, samples in any dimension."""

import math
from typing import overload

import numpy as np
import scipy
from numpy.typing import ArrayLike

from .checks import EPSILON, FloatArray, ScalarFunction, checked_sample_pair, checked_samples, evaluate
from .chunks import chunks
from .quadrature import POINTS, resolve
from .results import Estimate, Integral, root_with_error

MAX_TRANSPORT_PAIRS = 25_000_000
"""Largest cost matrix `w2_samples` builds: 5000 against 5000 points, 200 MB and about 5 s."""


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
        return _w2_sample_to_quantile(checked_samples("b", b, 2, line=True)[:, 0], a, "a")
    x = checked_samples("a", a, 2, line=True)
    if callable(b):
        return _w2_sample_to_quantile(x[:, 0], b, "b")
    return _w2_of_samples(x, checked_samples("b", b, 2, line=True))


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
    from scipy.spatial.distance import cdist  # which is slow to import

    x, y = checked_sample_pair(x, y, 2)
    n, m = len(x), len(y)
    if x.shape[1] == 1:
        return _w2_of_samples(x, y)
    if n * m > MAX_TRANSPORT_PAIRS:
        raise ValueError(
            f"x and y have {n} and {m} samples, {n * m} pairs, and exact transport takes at most"
            f" {MAX_TRANSPORT_PAIRS}: pass subsets such as x[:5000], y[:5000], or use sliced_w2"
        )
    # Imported here: POT loads every array library it finds, seconds that the other distances need not wait.
    from ot.lp import emd2

    squared, log = emd2(
        np.full(n, 1 / n), np.full(m, 1 / m), cdist(x, y, "sqeuclidean"), numItermax=100_000_000, log=True
    )
    if log["warning"] is not None:
        raise RuntimeError(f"exact transport of {n} against {m} samples failed: {log['warning']}")
    variance = log["u"].var(ddof=1) / n + log["v"].var(ddof=1) / m
    return Estimate(*root_with_error(float(squared), math.sqrt(variance)))


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
    x, y = checked_sample_pair(x, y, 2)
    if projections < 2:
        raise ValueError(f"projections = {projections}: give at least 2, the error needs their spread")
    directions = np.random.default_rng(seed).standard_normal((projections, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    potential_x, potential_y, squared = np.zeros(len(x)), np.zeros(len(y)), []
    for chunk in chunks(projections, len(x) + len(y)):
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
    return Estimate(*root_with_error(float(per_direction.mean()), math.sqrt(variance)))


def _w2_of_quantiles(quantile_a: ScalarFunction, quantile_b: ScalarFunction) -> Integral:
    centre = float(evaluate("a", quantile_a, np.array([0.5]))[0])

    def integrand(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        u = scipy.special.ndtr(z)
        mass = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        a, b = evaluate("a", quantile_a, u), evaluate("b", quantile_b, u)
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
    panels = resolve(integrand, np.array([-end, end]), 64)
    tail = float(scipy.special.ndtr(-end))
    u = np.array([tail, 4 * tail, 1 - tail, 1 - 4 * tail])
    squares = (evaluate("a", quantile_a, u) - evaluate("b", quantile_b, u)) ** 2
    left_out = _power_tail(tail, *squares[:2]) + _power_tail(tail, *squares[2:])
    return Integral(*root_with_error(panels.sums[0], panels.error + panels.unresolved + left_out))


def _noise_of_steepness(u: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Change of a quantile function over a change of u by EPSILON, from slopes between a panel's points."""
    u, quantiles = u.reshape(-1, POINTS), quantiles.reshape(-1, POINTS)
    steps = np.diff(u, axis=1)
    slopes = np.zeros((len(u), POINTS + 1))
    np.divide(np.diff(quantiles, axis=1), steps, out=slopes[:, 1:-1], where=steps > 0)
    return EPSILON * np.maximum(slopes[:, :-1], slopes[:, 1:]).ravel()


def _power_tail(mass: float, outer: float, inner: float) -> float:
    """Integral over (0, mass) of a power law with the values `outer` at mass and `inner` at 4 mass."""
    exponent = math.log(outer / inner) / math.log(4) if outer > inner > 0 else 0.0
    # A higher exponent is hardly integrable; the bound also keeps rounding from making an infinite error.
    return mass * outer / (1 - min(exponent, 0.9))


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
    return Estimate(*root_with_error(float(squared[0]), math.sqrt(variance)))


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
    q = evaluate(name, quantile, np.clip(u.ravel(), 1e-300, 1 - EPSILON / 2)).reshape(u.shape)
    squared = math.fsum((mass * (x[cell][:, None] - q) ** 2).sum(axis=1))
    image: FloatArray = n * np.bincount(cell, weights=(mass * q).sum(axis=1), minlength=n).astype(np.float64)
    potential = _potential(x[:, None], image[:, None])
    return Estimate(*root_with_error(squared, math.sqrt(float(potential.var(ddof=1)) / n)))
