"""Errors of sample moments, with standard errors and a joint test."""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from ..reprs import brief
from .checks import FloatArray, checked_gaussian, checked_samples
from .chunks import chunks


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

    __repr__ = brief


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
    x = checked_samples("x", x, 2)
    n, dim = x.shape
    mean, covariance = checked_gaussian("", mean, covariance, dim)
    row, column = np.diag_indices(dim) if covariance.ndim == 1 else np.triu_indices(dim)
    exact = covariance if covariance.ndim == 1 else covariance[row, column]
    moments = dim + len(row)
    if n <= 4 * moments:
        raise ValueError(
            f"x has {n} samples for {moments} moments: draw more than {4 * moments}, or give"
            " covariance as variances (d,)"
        )
    # Means are counted from the first sample: what does not vary then has a variance of exactly zero.
    centre = x[0] + (x - x[0]).mean(axis=0)

    def centred_moments(chunk: slice) -> FloatArray:
        centred = x[chunk] - centre
        return np.concatenate([centred, centred[:, row] * centred[:, column]], axis=1)

    first = centred_moments(slice(1))[0]
    total, outer = np.zeros(moments), np.zeros((moments, moments))
    for chunk in chunks(n, moments):
        vectors = centred_moments(chunk) - first
        total += vectors.sum(axis=0)
        outer += vectors.T @ vectors
    covariance_of_moments = (outer - np.outer(total, total) / n) / (n - 1)
    standard_errors = np.sqrt(np.diagonal(covariance_of_moments) / n)
    shift, products = centre - mean, (first + total / n)[dim:]
    # Products about the exact mean are linear in x and in products about the sample mean. T^2 does not change
    # under that map, which leaves minus the product of the shifts.
    deviations = np.concatenate([shift, products - shift[row] * shift[column] - exact])
    statistic, rank = _hotelling(deviations, covariance_of_moments, n)
    by_entry = products * (n / (n - 1)) - exact, standard_errors[dim:]
    if covariance.ndim == 2:
        matrices = np.zeros((2, dim, dim))
        matrices[:, row, column] = matrices[:, column, row] = by_entry
        by_entry = matrices[0], matrices[1]
    return MomentErrors(
        mean=shift,
        mean_standard_error=standard_errors[:dim],
        covariance=by_entry[0],
        covariance_standard_error=by_entry[1],
        statistic=statistic,
        rank=rank,
        p_value=float(scipy.special.fdtrc(rank, n - rank, statistic)) if rank else float(statistic == 0),
    )


def _hotelling(mean: FloatArray, covariance: FloatArray, n: int) -> tuple[float, int]:
    """T^2 of a mean of n vectors against zero, scaled to F(rank, n - rank), and the rank."""
    scale = np.sqrt(np.diagonal(covariance))
    if np.any(mean[scale == 0] != 0):
        return math.inf, int((scale > 0).sum())
    mean, covariance, scale = mean[scale > 0], covariance[np.ix_(scale > 0, scale > 0)], scale[scale > 0]
    if not len(mean):
        return 0.0, 0
    values, vectors = scipy.linalg.eigh(covariance / np.outer(scale, scale))
    along = vectors.T @ (mean / scale)
    # Linear dependence shows as a correlation eigenvalue at rounding; a mean along it may have its root's size.
    varies = values > 1e-10
    rank = int(varies.sum())
    if np.any(np.abs(along[~varies]) > 1e-5):
        return math.inf, rank
    squared = n * float((along[varies] ** 2 / values[varies]).sum())
    return squared * (n - rank) / (rank * (n - 1)), rank
