"""Joint laws of a token and a number on the line, as densities on a grid of places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from analytic import GaussianMixture, reprs

Floats = NDArray[np.float64]
REACH = 8.0  # deviations beyond the outermost component, where 1e-15 is left
FINE = 0.5  # of the narrowest width in play: trapezoids of Gaussians are then exact to rounding


@dataclass(frozen=True, eq=False)
class OnLine:
    """Law of (token, x): a density in x for each token.

    Attributes
    ----------
    nodes : (n,) float64 array
        Equally spaced places.
    table : (K, n) float64 array
        Densities, whose integrals are the probabilities of tokens.
    """

    nodes: Floats
    table: Floats

    __repr__ = reprs.brief

    @property
    def spacing(self) -> float:
        """Distance of neighbouring places: the weight of each in a sum."""
        return float(self.nodes[1] - self.nodes[0])

    @property
    def tokens(self) -> Floats:
        """Probabilities of tokens, (K,)."""
        return np.asarray(self.table.sum(axis=1) * self.spacing)

    @cached_property
    def mean(self) -> float:
        """Mean of x."""
        return float(self.table.sum(axis=0) @ self.nodes * self.spacing)

    @cached_property
    def variance(self) -> float:
        """Variance of x."""
        return float(self.table.sum(axis=0) @ (self.nodes - self.mean) ** 2 * self.spacing)

    @cached_property
    def _below(self) -> scipy.interpolate.PPoly:
        return scipy.interpolate.CubicSpline(self.nodes, self.table.sum(axis=0)).antiderivative()

    def cdf(self, x: ArrayLike) -> Floats:
        """P(X <= x), for x of any shape, by a cubic spline of the density."""
        return np.asarray(self._below(np.clip(x, self.nodes[0], self.nodes[-1])))

    def quantile(self, u: ArrayLike) -> Floats:
        """Places that the probability u is below, u of any shape, by halving."""
        u = np.asarray(u, dtype=np.float64) * self._below(self.nodes[-1])
        after = np.clip(np.searchsorted(self._below(self.nodes), u), 1, len(self.nodes) - 1)
        low, high = self.nodes[after - 1], self.nodes[after]
        for _ in range(50):
            middle = (low + high) / 2
            less = self._below(middle) < u
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        return np.asarray((low + high) / 2)

    def total_variation(self, mixture: GaussianMixture) -> float:
        """Total variation from a mixture whose component is the token, between the difference's changes of sign."""
        return half_of_absolute(self.nodes, self.table - densities(mixture, self.nodes))


def half_of_absolute(nodes: Floats, difference: Floats) -> float:
    """Half the integral of |difference|, summed over rows, by cubic splines between their roots."""
    total = 0.0
    for row in difference:
        spline = scipy.interpolate.CubicSpline(nodes, row)
        ends = np.sort([nodes[0], *spline.roots(extrapolate=False), nodes[-1]])
        total += float(np.abs(np.diff(spline.antiderivative()(ends[np.isfinite(ends)]))).sum())
    return total / 2


def densities(mixture: GaussianMixture, x: Floats) -> Floats:
    """Density of each component times its weight, (K, n)."""
    v = mixture.variances
    return np.asarray(
        mixture.weights[:, None] * np.exp(-((x - mixture.means) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)
    )


def places(mixture: GaussianMixture, width: float) -> Floats:
    """Return places that hold a mixture on the line and whatever is smooth on a scale of `width`.

    Raises ValueError for a mixture that is not on the line, or has an atom.
    """
    if mixture.dim != 1 or not mixture.variances.all():
        raise ValueError(f"model is {mixture!r}: a law by quadrature needs dim = 1 and a density")
    deviations = np.sqrt(mixture.variances[:, 0])
    low = float((mixture.means[:, 0] - REACH * deviations).min())
    high = float((mixture.means[:, 0] + REACH * deviations).max())
    return np.linspace(low, high, int(np.ceil((high - low) / (FINE * width))) + 1)


def gaussian(x: Floats, means: Floats, deviation: Floats | float) -> Floats:
    """Density of N(means, deviation^2) at x, broadcast."""
    return np.asarray(np.exp(-(((x - means) / deviation) ** 2) / 2) / (np.sqrt(2 * np.pi) * deviation))
