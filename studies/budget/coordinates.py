"""Laws as points of a Hilbert space in which 2-Wasserstein distance is the norm of a difference.

Two families have such coordinates. Gaussians that share an eigenbasis: means and standard deviations along it,
W2^2 = sum (m - m')^2 + sum (s - s')^2. Laws on the line: the quantile function, W2^2 = integral (Q - Q')^2 du
(Villani 2003, theorem 2.18). Elsewhere sliced W2 has them, the quantile functions of projections, which are known by
samples. So an error is a vector, errors from several causes can be added, and a part's share of a whole is a
projection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from analytic import GaussianMixture
from solvers import DensityLaw
from solvers.continuous.executors.law import GaussianLaw, gaussian_law

from ..laws import GROUPS, directions_in

Array = NDArray[np.float64]
REACH = 8.0  # deviations of a standard normal between which quantiles are compared: 6e-16 is outside each
SPACING = 0.25  # longest panel, in the same unit
NODES, WEIGHTS = np.polynomial.legendre.leggauss(5)
SAME = 1e-10  # edges nearer than this are one
TAILS = np.linspace(-9.0, 9.0, 37)  # where a mixture's own panels end, in deviations of each component


class Coordinates(ABC):
    """What a budget asks of a family of laws.

    Attributes
    ----------
    weights : (m,) array
        Of coordinates in inner products.
    """

    weights: Array

    @abstractmethod
    def of(self, law: Any) -> Array:
        """Return a law's coordinates, (m,)."""

    def inner(self, a: Array, b: Array) -> float:
        """Return the inner product of two differences of coordinates."""
        return float(np.sum(self.weights * a * b))

    def norm(self, a: Array) -> float:
        """Return the distance that a difference of coordinates stands for."""
        return float(np.sqrt(max(self.inner(a, a), 0.0)))

    def deviation(self, part: Array, whole: Array) -> float:
        """Return the standard error of a part's share <part, whole>/|whole|: 0 where laws are exact."""
        return 0.0

    @abstractmethod
    def moved(self, law: Any, x: Array, change: Array, direction: Array) -> Array:
        """Return, sample by sample (n,), what small moves add to a law's coordinates along a direction.

        Their mean is the change of the law's coordinates, to first order in the moves, in inner product with the
        direction. `x` (n, dim) are samples of the law and `change` (n, dim) how far each moves.
        """


class GaussianCoordinates(Coordinates):
    """Means and standard deviations along a target's eigenvectors, (2 dim,).

    Parameters
    ----------
    target : Gaussian target
    """

    def __init__(self, target: GaussianMixture) -> None:
        self._base = gaussian_law(target)
        self.weights = np.ones(2 * target.dim)

    def of(self, law: Any) -> Array:
        """Return means and standard deviations of a GaussianLaw or a Gaussian target."""
        law = law if isinstance(law, GaussianLaw) else gaussian_law(law)
        law.error_to(self._base)  # raises where the basis differs
        return np.concatenate([law.centre, np.sqrt(law.variances)])

    def moved(self, law: GaussianLaw, x: Array, change: Array, direction: Array) -> Array:
        """D mean = E[change], d deviation = E[(x - mean) change]/deviation."""
        if law.basis is not None:
            x, change = x @ law.basis, change @ law.basis
        dim = len(law.centre)
        deviations = np.sqrt(law.variances)
        standard = (x - law.centre) / np.where(deviations > 0, deviations, np.inf)
        return np.asarray(change @ direction[:dim] + (standard * change) @ direction[dim:])


class LineCoordinates(Coordinates):
    """Quantile functions of laws on the line, at nodes that resolve all laws named beforehand.

    Quadrature is by Gauss and Legendre in z, u = Phi(z), on panels that end wherever one of the laws' own panels
    ends: there a quantile function jumps where a law has next to no mass between two modes.

    Parameters
    ----------
    laws : sequence of DensityLaw and one-dimensional GaussianMixture
        Laws without density are not resolved: ValueError for a component of variance 0.
    """

    def __init__(self, laws: Sequence[DensityLaw | GaussianMixture]) -> None:
        edges = [np.arange(-REACH, REACH + SPACING / 2, SPACING)]
        for law in laws:
            places = _places(law)
            z = _normal(law.cdf(places), law.survival(places))
            edges.append(z[np.abs(z) < REACH])
        every = np.sort(np.concatenate(edges))
        every = every[np.append(True, np.diff(every) > SAME)]
        half, middle = np.diff(every) / 2, (every[1:] + every[:-1]) / 2
        self.z = (middle[:, None] + half[:, None] * NODES).ravel()
        self.weights = (half[:, None] * WEIGHTS).ravel() * np.exp(-(self.z**2) / 2) / np.sqrt(2 * np.pi)
        self._lower, self._upper = ndtr(self.z), ndtr(-self.z)

    def of(self, law: Any) -> Array:
        """Return the law's quantiles at the nodes; the smaller tail decides."""
        below = self._lower < 0.5
        x = np.empty_like(self.z)
        x[below] = law.quantile(self._lower[below])
        x[~below] = law.quantile_survival(self._upper[~below])
        return x

    def moved(self, law: DensityLaw, x: Array, change: Array, direction: Array) -> Array:
        """dQ(u) = E[change | x = Q(u)], so the inner product is the mean of change times direction at F(x)."""
        _, lower, upper = law.at(x[:, 0])
        z = _normal(lower, upper)
        return np.asarray(change[:, 0] * np.interp(z, self.z, direction))


class SlicedCoordinates(Coordinates):
    """Sorted projections of samples, in independent groups, (groups, directions, samples of a group).

    Their norm is sliced W2. Noise of samples is in every coordinate, so that squares would count it: an inner product
    joins a group of the one with the other groups of the other instead, and is unbiased but for that of order
    statistics, which the laws that are subtracted share. A small squared norm may come out negative, and counts as 0.

    Parameters
    ----------
    dim : int
        Of the samples.
    """

    def __init__(self, dim: int) -> None:
        self.directions = directions_in(dim)
        self.weights = np.ones(1)

    def of(self, law: Array) -> Array:
        """Return the coordinates of (n, dim) samples; those beyond equal groups are left out."""
        return np.sort(self._projected(law), axis=2)

    def inner(self, a: Array, b: Array) -> float:
        """Return the mean over pairs of different groups."""
        return _of_pairs(self._products(a, b))

    def deviation(self, part: Array, whole: Array) -> float:
        """Return the standard error by the jackknife over groups."""
        own, cross = self._products(whole, whole), self._products(part, whole)
        without = [np.delete(np.delete(m, g, 0), g, 1) for m in (own, cross) for g in range(len(own))]
        squares, products = np.array([_of_pairs(m) for m in without]).reshape(2, len(own))
        if not np.all(squares > 0):
            return float(
                np.sqrt(max(-squares.min(), squares.max()))
            )  # the whole is noise, about as large as this
        shares = products / np.sqrt(squares)
        return float(np.sqrt((len(shares) - 1) * np.mean((shares - shares.mean()) ** 2)))

    def moved(self, law: Array, x: Array, change: Array, direction: Array) -> Array:
        """Return a sample's move along the direction that other groups have at its rank."""
        rank = np.argsort(np.argsort(self._projected(x), axis=2), axis=2)
        others = (direction.sum(axis=0) - direction) / (len(direction) - 1)
        return np.asarray(
            np.mean(self._projected(change) * np.take_along_axis(others, rank, 2), axis=1).ravel()
        )

    def _projected(self, x: Array) -> Array:
        """Return projections in the order of samples, (groups, directions, samples of a group)."""
        size = len(x) // GROUPS
        groups = x[: size * GROUPS].reshape(GROUPS, size, -1)
        return np.asarray(np.einsum("gnd,kd->gkn", groups, self.directions))

    def _products(self, a: Array, b: Array) -> Array:
        """Return the inner products of each group of one with each of the other."""
        groups, directions, size = a.shape
        return np.asarray(a.reshape(groups, -1) @ b.reshape(groups, -1).T / (directions * size))


def _of_pairs(products: Array) -> float:
    """Return the mean of what is not on the diagonal."""
    groups = len(products)
    return float((products.sum() - np.trace(products)) / (groups * (groups - 1)))


def _normal(lower: Array, upper: Array) -> Array:
    """Return the z with Phi(z) = lower and Phi(-z) = upper, by the smaller of the two; infinite at 0."""
    with np.errstate(divide="ignore"):
        return np.where(lower < upper, ndtri(np.clip(lower, 0, 1)), -ndtri(np.clip(upper, 0, 1)))


def _places(law: DensityLaw | GaussianMixture) -> Array:
    """Return the ends of the panels that resolve a law, increasing."""
    if isinstance(law, DensityLaw):
        return np.unique(law.panels)
    deviations = np.sqrt(np.asarray(law.variances)[:, 0])
    if not deviations.all():
        raise ValueError(
            "target has a component of variance 0, whose quantile function is no curve: add a little noise"
        )
    return np.unique(np.asarray(law.means)[:, :1] + deviations[:, None] * TAILS)
