"""Data seen through a Poisson field in D further dimensions, PFGM++: noise is a Student t of D degrees of freedom."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy

from . import reprs
from .mixtures import points
from .mixtures.gaussian_mixture import GaussianMixture
from .mixtures.parameters import Floats, real_number, whole_number
from .mixtures.weights import CHUNK_NUMBERS, chunks_of, foreign

Array = Any  # of any library the array API knows


class PoissonFlow:
    """Atoms under PFGM++'s kernel p_r(x | y) ~ (|x - y|^2 + r^2)^(-(N + D)/2) with r = sigma sqrt(D).

    The kernel is a multivariate Student t about y with D degrees of freedom and scale sigma. Its flow
    dx/dsigma = (x - E[y | x])/sigma, with the mean of the atoms that x may come from, has the form of the
    probability-flow ODE on `paths.EDM` and `paths.VE`: every method without noise runs on it as it is, by `run`. The
    paper has no SDE with these marginals, so that methods with noise are refused.

    Parameters
    ----------
    data : GaussianMixture
        Of atoms: all components without variance.
    augmented : float
        D, the dimensions that data are augmented by, above 0; 1 is PFGM, infinity a diffusion.

    Attributes
    ----------
    flow_only : bool
        True: `run` takes no method with noise.

    Raises
    ------
    TypeError, ValueError
        Data with a variance, which this kernel has no closed form for, or augmented that is not positive.

    References
    ----------
    Xu et al. 2023 (PFGM++: Unlocking the potential of physics-inspired generative models), and its training/loss.py for
    r = sigma sqrt(D); Xu et al. 2022 (Poisson flow generative models) for D = 1.
    """

    flow_only = True

    def __init__(self, data: GaussianMixture, augmented: float) -> None:
        if not isinstance(data, GaussianMixture):
            raise TypeError(f"data is {data!r}; give a GaussianMixture of atoms")
        if data.variances.any():
            raise ValueError(
                f"data is {data!r}, which has a variance; give atoms, GaussianMixture(weights, means, 0.0)"
            )
        if not augmented > 0:
            raise ValueError(f"augmented is {augmented!r}; give a number of dimensions above 0, or math.inf")
        self.data, self.augmented = data, float(augmented)

    __repr__ = reprs.brief

    @property
    def dim(self) -> int:
        """Dimension N of the data."""
        return self.data.dim

    def denoise(self, x: Array, alpha: float, sigma: float) -> Array:
        """Mean of the atoms that x = alpha (y + noise of scale sigma/alpha) may come from, (n, dim).

        At sigma = 0 this is x / alpha, at alpha = 0 the mean of the data.
        """
        alpha, sigma = real_number(alpha, "alpha"), real_number(sigma, "sigma")

        def nearest(xp: Any, x: Array) -> Array:
            if sigma == 0.0:
                return x / alpha
            if alpha == 0.0:
                return 0 * x + foreign(xp, x, self.data.mean())
            atoms, log_weights = (foreign(xp, x, a) for a in (self.data.means, np.log(self.data.weights)))
            parts = []
            for rows in chunks_of(x / alpha, max(1, CHUNK_NUMBERS // self.data.means.size)):
                squares = xp.sum((rows[:, None, :] - atoms[None, :, :]) ** 2, axis=2) / (sigma / alpha) ** 2
                logs = log_weights + self._fall(xp, squares)
                weights = xp.exp(logs - xp.max(logs, axis=1, keepdims=True))
                parts.append(xp.matmul(weights / xp.sum(weights, axis=1, keepdims=True), atoms))
            return parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)

        return points.mapped(x, self.dim, nearest)

    def log_density(self, x: Floats, sigma: float) -> Floats:
        """Log-density of the data under noise of scale sigma > 0, at x (n, dim), in nats."""
        self._positive(sigma)
        N, D = self.dim, self.augmented
        squares = ((np.asarray(x, dtype=np.float64)[:, None, :] - self.data.means) ** 2).sum(axis=2)
        top = -N / 2 * math.log(2 * math.pi)
        if math.isfinite(D):
            top = (
                scipy.special.gammaln((N + D) / 2)
                - scipy.special.gammaln(D / 2)
                - N / 2 * math.log(math.pi * D)
            )
        logs = np.log(self.data.weights) + self._fall(np, squares / sigma**2)
        return np.asarray(scipy.special.logsumexp(logs, axis=1) + top - N * math.log(sigma))

    def cdf(self, x: Floats, sigma: float) -> Floats:
        """P(X <= x) on the line under noise of scale sigma > 0, for x of any shape; ValueError elsewhere."""
        self._positive(sigma)
        if self.dim != 1:
            raise ValueError(f"cdf needs dim = 1, these data have dim = {self.dim}")
        z = (np.asarray(x, dtype=np.float64)[..., None] - self.data.means[:, 0]) / sigma
        below = (
            scipy.special.stdtr(self.augmented, z) if math.isfinite(self.augmented) else scipy.special.ndtr(z)
        )
        return np.asarray(below @ self.data.weights)

    def noised_sample(self, n: int, sigma: float, seed: int = 0) -> Floats:
        """Draw n samples (n, dim) of the data under noise of scale sigma."""
        return self.data.sample(n, seed) + self.prior_sample(n, sigma, seed)

    def prior_sample(self, n: int, sigma: float, seed: int = 0) -> Floats:
        """Draw n samples (n, dim) of the prior at sigma: the kernel about the origin, which data are small beside.

        |x| = r sqrt(B/(1 - B)) with B ~ Beta(N/2, D/2), in a direction drawn evenly.

        References
        ----------
        Xu et al. 2023; training/loss.py of its code.
        """
        n, sigma = whole_number(n, "n"), real_number(sigma, "sigma")
        N, D = self.dim, self.augmented
        rng = np.random.Generator(np.random.Philox(key=whole_number(seed, "seed"), counter=[0, 0, 1, 0]))
        direction = rng.standard_normal((n, N))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        if math.isinf(D):
            length = sigma * np.sqrt(rng.chisquare(N, n))
        else:
            beta = rng.beta(N / 2, D / 2, n)
            length = sigma * np.sqrt(D * beta / (1 - beta))
        return np.asarray(length[:, None] * direction)

    def _fall(self, xp: Any, squares: Array) -> Array:
        """Log of the kernel less that at its centre, from |x - y|^2 / sigma^2."""
        if math.isinf(self.augmented):
            return -squares / 2
        return -(self.dim + self.augmented) / 2 * xp.log1p(squares / self.augmented)

    def _positive(self, sigma: float) -> None:
        if not real_number(sigma, "sigma") > 0:
            raise ValueError(f"sigma is {sigma!r}; give a scale of noise above 0, atoms have no density")
