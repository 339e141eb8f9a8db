"""Laws on the box [0, 1]^d under reflected Brownian motion: mixtures folded at the walls, in closed form."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat
import numpy as np

from . import reprs
from .mixtures import points
from .mixtures.gaussian_mixture import GaussianMixture
from .mixtures.parameters import Floats, real_number, whole_number
from .mixtures.weights import CHUNK_NUMBERS, chunks_of, foreign

Array = Any  # of any library the array API knows
BY_COSINES = 0.4  # variance from which the kernel is a sum of cosines, below it one of images
COSINES = 7  # the first left out is 1e-55 of the whole at that variance
NEGLIGIBLE = 80.0  # squared deviations per variance beyond which an image is 1e-17 of the whole


def fold(x: Array) -> Array:
    """Return x (n, dim) reflected at the walls of [0, 1]^d until it lies within."""
    xp = array_api_compat.array_namespace(x)
    return xp.abs(x - 2 * xp.round(x / 2))


class Folded:
    """A mixture folded into the box [0, 1]^d, and what reflected Brownian motion makes of it.

    Reflected Brownian motion from fold(x_0) is fold(x_0 + sigma z): its law at sigma is the noised mixture, folded. The
    density is a sum over images, or over cosines where noise is wide. Continued over the walls it is even and of period
    2, and its score odd: normal to a wall it is 0, so that the probability flow never leaves. So samplers need no
    wall of their own: `denoise` is that of the continued law, any method on a path with alpha = 1 runs in all of
    space, and its end folded has the law of the method that reflects at each step. `images` is the continued law as a
    mixture, for compiled samplers and, on the line, `density`.

    Parameters
    ----------
    mixture : GaussianMixture
        With covariances along the axes, which walls leave as they are; atoms are allowed. It may lie anywhere: what
        is outside the box is folded in.

    Raises
    ------
    TypeError, ValueError
        No mixture, or one with correlated coordinates.

    References
    ----------
    Lou and Ermon 2023 (Reflected diffusion models), and cube.py of its code for the two sums; Fishman et al. 2023
    (Diffusion models for constrained domains).
    """

    def __init__(self, mixture: GaussianMixture) -> None:
        if not isinstance(mixture, GaussianMixture):
            raise TypeError(f"mixture is {mixture!r}; give a GaussianMixture")
        if mixture.rotations is not None:
            raise ValueError(
                f"mixture is {mixture!r}, whose coordinates are correlated; give variances along the axes"
            )
        self.mixture = mixture

    __repr__ = reprs.brief

    @property
    def dim(self) -> int:
        """Dimension of the box."""
        return self.mixture.dim

    def sample(self, n: int, seed: int = 0) -> Floats:
        """Draw n samples, (n, dim)."""
        return np.asarray(fold(self.mixture.sample(n, seed)))

    def prior_sample(self, n: int, seed: int = 0) -> Floats:
        """Draw n samples of where the motion stays, uniform in the box, (n, dim)."""
        rng = np.random.Generator(np.random.Philox(key=whole_number(seed, "seed"), counter=[0, 0, 2, 0]))
        return rng.random((whole_number(n, "n"), self.dim))

    def noised(self, alpha: float, sigma: float) -> Folded:
        """Law of reflected Brownian motion at sigma; ValueError for alpha other than 1, as the box stays what it is."""
        if alpha != 1.0:
            raise ValueError(
                f"alpha is {alpha!r}; a box does not shrink: take a path with alpha = 1, such as VE"
            )
        return Folded(self.mixture.noised(1.0, sigma))

    def log_density(self, x: Floats) -> Floats:
        """Log-density at x (n, dim) in the box, in nats; ValueError for atoms and for places outside."""
        x = np.asarray(x, dtype=np.float64)
        outside = (x < 0) | (x > 1)
        if outside.any():
            raise ValueError(f"x holds {x[outside][0]!r}, outside the box; give places in [0, 1]")
        logs = self._parts(np, x, 0.0)[0]
        return np.asarray(np.logaddexp.reduce(logs, axis=1))

    def score(self, x: Array) -> Array:
        """Score of the continued law at x (n, dim) anywhere; ValueError for atoms."""
        return self._score(x, 0.0)

    def denoise(self, x: Array, alpha: float, sigma: float) -> Array:
        """E[x_0 | x_t = x] of the continued law, x + sigma^2 score, at x (n, dim) anywhere.

        ValueError for alpha other than 1; at sigma = 0 this is x.
        """
        if alpha != 1.0:
            raise ValueError(
                f"alpha is {alpha!r}; a box does not shrink: take a path with alpha = 1, such as VE"
            )
        variance = real_number(sigma, "sigma") ** 2
        return x if variance == 0 else x + variance * self._score(x, variance)

    def images(self, reach: float) -> GaussianMixture:
        """Images of the mixture on a stretch of space, as a mixture: to rounding the continued law well inside.

        A sampler that starts in the box and stays, with its noise, within a third of `reach` cannot tell them apart.
        Memory grows as reach^dim. Raises ValueError for a reach below 1.
        """
        if not (math.isfinite(reach) and reach >= 1):
            raise ValueError(f"reach is {reach!r}; give a finite length of at least 1")
        even = 2.0 * np.arange(-math.ceil(reach / 2), math.ceil(reach / 2) + 1)
        mixture, dim = self.mixture, self.dim
        places, signs = np.tile(even, 2), np.repeat([1.0, -1.0], len(even))
        chosen = np.stack(np.meshgrid(*[np.arange(len(places))] * dim, indexing="ij"), axis=-1).reshape(
            -1, dim
        )
        means = places[chosen][:, None] + signs[chosen][:, None] * fold(mixture.means)
        weights = np.tile(mixture.weights, len(chosen))
        variances = np.tile(mixture.variances, (len(chosen), 1))
        return GaussianMixture(weights / math.fsum(weights), means.reshape(-1, dim), variances)

    def _score(self, x: Array, variance: float) -> Array:
        size = self.mixture.means.size * 2 * self._count(variance)

        def odd(xp: Any, x: Array) -> Array:
            parts = []
            for rows in chunks_of(x, max(1, CHUNK_NUMBERS // size)):
                logs, slopes = self._parts(xp, fold(rows), variance)
                weights = xp.exp(logs - xp.max(logs, axis=1, keepdims=True))
                weights = weights / xp.sum(weights, axis=1, keepdims=True)
                side = xp.sign(rows - 2 * xp.round(rows / 2))  # the score is odd about every wall
                parts.append(side * xp.sum(weights[:, :, None] * slopes, axis=1))
            return parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)

        return points.mapped(x, self.dim, odd)

    def _count(self, variance: float) -> int:
        """Terms of the sum: cosines, or images of one sign."""
        widest = float(self.mixture.variances.max()) + variance
        return COSINES if self._wide(variance) else 2 * math.ceil(math.sqrt(NEGLIGIBLE * widest) / 2) + 3

    def _wide(self, variance: float) -> bool:
        return float(self.mixture.variances.min()) + variance >= BY_COSINES

    def _parts(self, xp: Any, x: Array, variance: float) -> tuple[Array, Array]:
        """Log-joint of component and x (n, K), slopes of the components' log-densities (n, K, dim), x in the box."""
        v = self.mixture.variances + variance  # (K, dim)
        if not v.all():
            raise ValueError(f"mixture is {self.mixture!r}, whose atoms have no density; give sigma > 0")
        means, count = np.asarray(fold(self.mixture.means)), self._count(variance)
        along = x[:, None, :, None]
        if self._wide(variance):
            j = np.linspace(np.pi, count * np.pi, count)
            factors: Floats = 2 * np.exp(-(j**2) * v[:, :, None] / 2) * np.cos(j * means[:, :, None])
            rates = foreign(xp, x, j)
            height = 1 + xp.sum(foreign(xp, x, factors) * xp.cos(rates * along), axis=3)
            slopes = -xp.sum(foreign(xp, x, factors * j) * xp.sin(rates * along), axis=3) / height
            logs = xp.log(height)
        else:
            even = 2.0 * (np.arange(count) - count // 2)
            places = np.concatenate([means[:, :, None] + even, even - means[:, :, None]], axis=2)
            away = along - foreign(xp, x, places)
            spread = foreign(xp, x, np.ascontiguousarray(v))
            falls = -(away**2) / (2 * spread[:, :, None])
            top = xp.max(falls, axis=3, keepdims=True)
            shares = xp.exp(falls - top)
            total = xp.sum(shares, axis=3)
            slopes = -xp.sum(shares * away, axis=3) / (total * spread)
            logs = xp.log(total) + top[:, :, :, 0] - xp.log(2 * np.pi * spread) / 2
        return foreign(xp, x, np.log(self.mixture.weights)) + xp.sum(logs, axis=2), slopes
