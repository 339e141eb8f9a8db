"""W2 on Gaussians of laws that look alike around the direction of the start, in two numbers a precision.

Of m coordinates of one precision, all of which start alike, a is the part along the direction of the start and r the
length of the rest. A sampler that knows no other direction has a law that any turn around it keeps, as the target's is
kept, so that W2 of the two is W2 of their laws of (a, r) over all precisions. Of that, means and covariances give a
lower bound (Gelbrich 1990); it is above the one of the coordinates' own means and variances.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from .needs import Gaussian

Array = NDArray[np.float64]
BATCHES = 20  # of samples, each left out in turn
ROUNDING = 5e-13  # of W2^2, a difference of numbers of order 1 that the jackknife multiplies


@dataclass(frozen=True)
class Moments:
    """Averages over batches of samples of u = (a, r) - E(a, r), with a and r of all precisions, on the target.

    Attributes
    ----------
    mean : (batches, 2 levels) array
        Of u.
    second : (batches, 2 levels, 2 levels) array
        Of u u^T.
    """

    mean: Array
    second: Array


@dataclass(frozen=True)
class Reduced:
    """A Gaussian in these numbers.

    Attributes
    ----------
    k : (levels,) array
        Distinct precisions.
    m : (levels,) array
        How many coordinates have each, whole numbers.
    """

    k: Array
    m: Array

    @classmethod
    def of(cls, target: Gaussian) -> Reduced:
        """Return those of a target; ValueError if its coordinates are no whole number a precision."""
        k, counts = np.unique(target.precisions, return_counts=True)
        m = counts * target.dim / counts.sum()
        if not np.allclose(m % 1, 0):
            raise ValueError(f"dim is {target.dim}: give a multiple of {len(k)}, the number of precisions")
        return cls(k, m)

    @cached_property
    def centre(self) -> Array:
        """E(a, r) on the target, (2 levels,): r is chi-distributed with m - 1 degrees of freedom."""
        far = np.maximum(self.m, 2.0)
        r = np.sqrt(2.0) * np.exp(gammaln(far / 2) - gammaln((far - 1) / 2))
        return np.concatenate([0 * self.k, np.where(self.m > 1, r, 0.0) / np.sqrt(self.k)])

    @cached_property
    def variances(self) -> Array:
        """Of (a, r) on the target, (2 levels,); they are uncorrelated."""
        r = self.centre[len(self.k) :]
        return np.concatenate([1 / self.k, (self.m - 1) / self.k - r**2])

    @property
    def start(self) -> Array:
        """Where samplers start, (2 levels,): one deviation off along every direction."""
        return np.concatenate([np.sqrt(self.m / self.k), 0 * self.k])

    def moments(self, u: Array, beside: Array | None = None) -> Moments:
        """Average samples of (a, r), (n, 2 levels); where samples of the target are `beside`, by the difference."""
        mean, second = self._averages(u)
        if beside is not None:
            off, square = self._averages(beside)
            mean, second = mean - off, second - square + np.diag(self.variances)
        return Moments(mean, second)

    def _averages(self, u: Array) -> tuple[Array, Array]:
        parts = (u - self.centre).reshape(BATCHES, -1, u.shape[1])
        return parts.mean(axis=1), parts.transpose(0, 2, 1) @ parts / parts.shape[1]

    def squared(self, mean: Array, second: Array) -> Array:
        """Return W2^2 of Gaussians of (a, r) with these averages of u and of u u^T, (..., p) and (..., p, p)."""
        spread = np.sqrt(self.variances)
        C = second - mean[..., :, None] * mean[..., None, :]
        roots = np.sqrt(np.maximum(np.linalg.eigvalsh(spread[:, None] * C * spread), 0.0))
        around = np.trace(C, axis1=-2, axis2=-1) + np.sum(spread**2) - 2 * roots.sum(axis=-1)
        return np.asarray(np.sum(mean**2, axis=-1) + around)

    def w2_squared(self, found: Moments) -> tuple[float, float]:
        """Return W2^2 and its standard error, by the jackknife over batches, which takes what noise adds to it away.

        The error is at least that of rounding.
        """
        n = len(found.mean)
        mean, second = found.mean.mean(axis=0), found.second.mean(axis=0)
        whole = self.squared(mean, second)
        without = self.squared(
            mean + (mean - found.mean) / (n - 1), second + (second - found.second) / (n - 1)
        )
        value = n * whole - (n - 1) * without.mean()
        return float(value), max(float(np.sqrt((n - 1) * without.var())), ROUNDING)
