"""The exact law of a sampler on a Gaussian target: mean and covariance, no noise, any tableau."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from analytic import reprs

from ...numerics.jit import COMPILED
from ...protocols import GaussianTarget, process_of
from ..imperfect import Perturbation, perturbation
from ..tableau import Tableau
from .affine import affine_step
from .packed import Packed, pack

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianError:
    """How one Gaussian differs from another, signed, in the basis they share.

    Attributes
    ----------
    mean, deviation : (dim,) float64 arrays
        Difference of means and of standard deviations along each basis vector.
    variance : (dim,) float64 array
        Difference of variances along each basis vector.
    w2, kl : float
        2-Wasserstein distance and KL(law || other); kl is inf if the other law is degenerate and this is not.
    """

    mean: Array
    deviation: Array
    variance: Array
    w2: float
    kl: float

    __repr__ = reprs.brief


@dataclass(frozen=True, eq=False)
class GaussianLaw:
    """A Gaussian law in the eigenbasis of the target it was computed for.

    Attributes
    ----------
    centre, variances : (dim,) float64 arrays
        Mean and variances along the basis vectors.
    basis : (dim, dim) float64 array or None
        Columns are the basis vectors; None for the coordinate axes.
    """

    centre: Array
    variances: Array
    basis: Array | None

    __repr__ = reprs.brief

    @property
    def mean(self) -> Array:
        """Mean in the original coordinates, (dim,)."""
        return self.centre if self.basis is None else self.basis @ self.centre

    @cached_property
    def covariance(self) -> Array:
        """Covariance in the original coordinates, (dim, dim); built when first asked for."""
        if self.basis is None:
            return np.diag(self.variances)
        return np.asarray((self.basis * self.variances) @ self.basis.T)

    def error_to(self, other: GaussianLaw | GaussianTarget) -> GaussianError:
        """Compare with another law in the same basis, or with a Gaussian target that has this basis.

        Raises ValueError if the bases or dimensions differ.
        """
        if not isinstance(other, GaussianLaw):
            other = gaussian_law(other)
        same = (self.basis is None) == (other.basis is None) and len(self.centre) == len(other.centre)
        if not same or (self.basis is not None and not np.array_equal(self.basis, np.asarray(other.basis))):
            raise ValueError("other is a law in another basis or dimension: compare laws of one target")
        mean = self.centre - other.centre
        variance = self.variances - other.variances
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation = variance / (np.sqrt(self.variances) + np.sqrt(other.variances))
            ratio = variance / other.variances
            terms = _excess(ratio) + mean**2 / other.variances
        deviation = np.where(variance == 0, 0.0, deviation)
        terms = np.where((other.variances == 0) & (variance == 0) & (mean == 0), 0.0, terms)
        kl = float(np.sum(terms) / 2)
        return GaussianError(
            mean,
            deviation,
            variance,
            float(np.sqrt(np.sum(mean**2) + np.sum(deviation**2))),
            kl if not np.isnan(kl) else float("inf"),
        )


def _excess(u: Array) -> Array:
    """U - log(1 + u), without cancellation for small u."""
    small = np.abs(u) < 1e-2
    v = np.where(small, u, 0.0)
    series = np.zeros_like(v)
    for k in range(9, 1, -1):
        series = (-1.0) ** k / k + v * series
    return np.where(small, v**2 * series, np.where(small, 0.0, u) - np.log1p(np.where(small, 0.0, u)))


def gaussian_law(target: GaussianTarget) -> GaussianLaw:
    """Return a Gaussian target as a law in its own eigenbasis; TypeError for what is none."""
    if not hasattr(target, "spectrum"):
        raise TypeError(f"target is {target!r}, which is no Gaussian: use `run`, or give a Gaussian target")
    spectrum = target.spectrum()
    centre = spectrum.mean if spectrum.basis is None else spectrum.basis.T @ spectrum.mean
    return GaussianLaw(np.array(centre), np.array(spectrum.variances), spectrum.basis)


def ones_along(law: GaussianLaw) -> Array:
    """Return the vector of ones in the law's basis, (dim,)."""
    ones = np.ones(len(law.centre))
    return ones if law.basis is None else np.ascontiguousarray(law.basis.T @ ones)


def marginal(target: GaussianTarget, alpha: float, sigma: float) -> GaussianLaw:
    """Return the law of alpha x_0 + sigma eps, in the target's eigenbasis; of an interpolant its law at the level."""
    if process_of(target) == "interpolant":
        return gaussian_law(target.noised(alpha, sigma))  # type: ignore[attr-defined]  # which every one has
    law = gaussian_law(target)
    return GaussianLaw(alpha * law.centre, alpha**2 * law.variances + sigma**2, law.basis)


def start_law(tableau: Tableau, target: GaussianTarget, initial: str | GaussianLaw) -> GaussianLaw:
    """Return the law a sampler starts from: "marginal", "prior" or a law in the target's basis."""
    if isinstance(initial, GaussianLaw):
        initial.error_to(gaussian_law(target))  # raises where the basis differs
        return initial
    if initial == "marginal":
        return marginal(target, *tableau.start)
    if initial == "prior":
        base = gaussian_law(target)
        return GaussianLaw(
            0 * base.centre, np.full_like(base.variances, tableau.prior_deviation**2), base.basis
        )
    raise ValueError(f"initial is {initial!r}: use 'marginal', 'prior' or a GaussianLaw")


@njit(**COMPILED)
def _propagate(
    packed: Packed,
    wrong: Perturbation,
    along: Any,
    means: Any,
    variances: Any,
    start_mean: Any,
    start_variance: Any,
    mu: Any,
    cov: Any,
) -> None:
    d, R = mu.shape
    S, C = packed.U.shape[1], packed.G.shape[2]
    for k in range(d):
        rows, out = np.empty((S, R + 1 + C)), np.empty((R, R + 1 + C))
        m, c = np.zeros(R), np.zeros((R, R))
        half, new_m = np.zeros((R, R)), np.zeros(R)
        m[0], c[0, 0] = start_mean[k], start_variance[k]
        for n in range(len(packed.counts)):
            affine_step(packed, wrong, n, means[k], variances[k], along[k], rows, out)
            for i in range(R):
                new_m[i] = out[i, R]
                for j in range(R):
                    new_m[i] += out[i, j] * m[j]
                    half[i, j] = 0.0
                    for s in range(R):
                        half[i, j] += out[i, s] * c[s, j]
            for i in range(R):
                m[i] = new_m[i]
                for j in range(R):
                    total = 0.0
                    for s in range(R):
                        total += half[i, s] * out[j, s]
                    for s in range(C):
                        total += out[i, R + 1 + s] * out[j, R + 1 + s]
                    c[i, j] = total
        mu[k] = m
        cov[k] = c


def law(tableau: Tableau, target: GaussianTarget, initial: str | GaussianLaw = "marginal") -> GaussianLaw:
    """Exact law of the sample a tableau ends with, on a Gaussian target.

    Mean and covariance of all registers are carried through every step, per eigenvector of the target's
    covariance, so the cost is O(steps * dim).

    Parameters
    ----------
    tableau : Tableau
    target : Gaussian target
        With `spectrum()`; ValueError from there if it is not a Gaussian.
    initial : str or GaussianLaw
        "marginal": the target's own law at the start level; "prior": N(0, prior_deviation^2 I); or a law
        in the target's eigenbasis.

    Returns
    -------
    GaussianLaw

    Raises
    ------
    ValueError
        `initial` is none of the above.
    FloatingPointError
        The law overflowed: the method is unstable on this grid.
    """
    begin, base = start_law(tableau, target, initial), gaussian_law(target)
    packed = pack(tableau)
    R = packed.U.shape[2]
    mu, cov = np.empty((len(base.centre), R)), np.empty((len(base.centre), R, R))
    wrong, along = perturbation(packed, target), ones_along(base)
    _propagate(packed, wrong, along, base.centre, base.variances, begin.centre, begin.variances, mu, cov)
    if not (np.all(np.isfinite(mu)) and np.all(np.isfinite(cov))):
        raise FloatingPointError(
            f"{tableau.name} overflowed on {len(tableau)} steps: take more steps or another grid"
        )
    return GaussianLaw(mu[:, 0].copy(), cov[:, 0, 0].copy(), base.basis)
