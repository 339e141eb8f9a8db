"""Gaussian mixtures, the target whose every noisy quantity is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import components, on_line, points, products
from . import parameters as mixture_parameters
from . import weights as mixture_weights
from .parameters import Floats
from .posterior import MixturePosterior
from .sampling import draw
from .weights import Array, Level, Namespace


@dataclass(frozen=True)
class Spectrum:
    """Law of a Gaussian in its eigenbasis: covariance = basis @ diag(variances) @ basis.T.

    Attributes
    ----------
    mean : (dim,) float64 array
        In the original coordinates.
    variances : (dim,) float64 array
        Eigenvalues of the covariance, zero allowed.
    basis : (dim, dim) float64 array or None
        Columns are eigenvectors; None when the covariance is diagonal.
    """

    mean: Floats
    variances: Floats
    basis: Floats | None


class GaussianMixture:
    """Law sum_k weights_k N(means_k, covariances_k) of x_0, with its noisy marginals, scores and posteriors.

    At a level (alpha, sigma) the noisy sample is x_t = alpha x_0 + sigma eps with eps ~ N(0, I).
    `log_density`, `score`, `hessian`, `denoise` and `denoise_jacobian` take an (n, dim) array of NumPy,
    torch, CuPy or another array-API library, compute in float64 and answer in its library, dtype and device;
    a row with NaN gives NaN. The other methods are NumPy only.

    Parameters
    ----------
    weights : (K,) array_like
        Positive, summing to one within 1e-12.
    means : (K, dim) array_like
        A (K,) array is read as dim = 1.
    covariances : array_like
        Scalar: the same isotropic variance for all. (K,): isotropic, one variance per component. (K, dim):
        diagonal, one row per component. (K, dim, dim): full matrices. The number of axes alone decides, also
        where K == dim: two axes always mean diagonals, never one matrix for all. Zero variances and singular
        matrices are allowed; a data set is a mixture with covariances 0. Eigenvalues of a full matrix below
        dim * 2.2e-16 times its largest one are taken as zero.

    Attributes
    ----------
    weights : (K,) float64 array
    means : (K, dim) float64 array
    variances : (K, dim) float64 array
        Eigenvalues of the covariances.
    rotations : (K, dim, dim) float64 array or None
        Columns are eigenvectors; None when every covariance is diagonal. All four arrays are read-only.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not describe a mixture; the message names argument, value and remedy.
    """

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> None:
        parameters = mixture_parameters.read(weights, means, covariances)
        self.weights = parameters.weights
        self.means = parameters.means
        self.variances = parameters.variances
        self.rotations = parameters.rotations

    def __repr__(self) -> str:
        return f"GaussianMixture(components={self.components}, dim={self.dim})"

    @property
    def components(self) -> int:
        """Number of components K."""
        return int(self.means.shape[0])

    @property
    def dim(self) -> int:
        """Dimension of x_0."""
        return int(self.means.shape[1])

    @property
    def is_gaussian(self) -> bool:
        """Whether there is a single component."""
        return self.components == 1

    # ---------------------------------------------------------------- the law itself

    def mean(self) -> Floats:
        """Mean of the mixture, (dim,)."""
        return self.weights @ self.means

    def covariance(self) -> Floats:
        """Covariance of the mixture, (dim, dim)."""
        return self._within(self.weights[None, :], self.variances)[0] + self._between()

    def spectrum(self) -> Spectrum:
        """Mean, eigenvalues and eigenbasis of a single Gaussian.

        Raises
        ------
        ValueError
            If there is more than one component.
        """
        if not self.is_gaussian:
            raise ValueError(
                f"spectrum needs a single Gaussian, this mixture has {self.components} components; "
                "use covariance(), or condition(k).spectrum() for one component"
            )
        basis = None if self.rotations is None else self.rotations[0]
        return Spectrum(self.means[0], self.variances[0], basis)

    def condition(self, labels: int | Sequence[int] | NDArray[np.integer]) -> GaussianMixture:
        """Law of x_0 given that its component is among `labels` (indices), weights renormalised.

        Raises
        ------
        TypeError
            If a label is not an integer.
        ValueError
            If labels is empty, repeats a label or leaves 0..K-1.
        """
        index = np.atleast_1d(np.asarray(labels))
        if index.size == 0 or index.ndim != 1:
            raise ValueError(f"labels is {labels!r}; give at least one component index, in one dimension")
        if index.dtype.kind not in "iu":
            raise TypeError(f"labels is {labels!r}; give integer component indices")
        if index.min() < 0 or index.max() >= self.components:
            raise ValueError(f"labels is {labels!r}; component indices run from 0 to {self.components - 1}")
        if len(np.unique(index)) != index.size:
            raise ValueError(f"labels is {labels!r}; give each component once")
        weights = self.weights[index] / math.fsum(self.weights[index])
        rotations = None if self.rotations is None else self.rotations[index]
        return self._of(weights, self.means[index], self.variances[index], rotations)

    def noised(self, alpha: float, sigma: float) -> GaussianMixture:
        """Marginal law of x_t = alpha x_0 + sigma eps."""
        alpha, sigma = _read_level(alpha, sigma)
        variances = np.hypot(alpha * self._deviations, sigma) ** 2
        return self._of(self.weights, alpha * self.means, variances, self.rotations)

    def observed(self, A: ArrayLike, deviation: ArrayLike = 0.0) -> GaussianMixture:
        """Law of y = A x_0 + deviation eps, a mixture in as many dimensions as A has rows.

        Parameters
        ----------
        A : (m, dim) array_like
        deviation : float or (m,) array_like
            Standard deviation of the noise, one for all rows or one a row.

        Raises
        ------
        TypeError, ValueError
            If A or the deviation is of another shape, not finite, or a deviation is negative.
        """
        seen = products.Observation.of(A, deviation, self.dim)
        means, covariances = products.image(self.means, self.matrices, seen)
        return GaussianMixture(self.weights, means, products.symmetric(covariances))

    def given(self, A: ArrayLike, y: ArrayLike, deviation: ArrayLike) -> GaussianMixture:
        """Law of x_0 given that A x_0 + deviation eps = y: a mixture whose component k is the posterior of k.

        Components keep their numbers; one that the observation excludes keeps a weight of 1e-300.

        Parameters
        ----------
        A : (m, dim) array_like
        y : (m,) array_like
        deviation : float or (m,) array_like
            Zero for what is seen without noise.

        Raises
        ------
        TypeError, ValueError
            As `observed`; if y is of another shape; if an observation without noise has no density.
        """
        seen = products.Observation.of(A, deviation, self.dim)
        found = products.posterior(self.weights, self.means, self.matrices, seen, seen.value(y))
        return GaussianMixture(*found)

    def times(self, other: GaussianMixture) -> GaussianMixture:
        """Law whose density is proportional to the product of the two densities: a mixture of all pairs.

        Raises
        ------
        ValueError
            If the other mixture is in another dimension, or two components are singular in one direction.
        """
        if other.dim != self.dim:
            raise ValueError(f"other has dim = {other.dim}; give a mixture in {self.dim} dimensions")
        one, two = ((m.weights, m.means, m.matrices) for m in (self, other))
        return GaussianMixture(*products.product(one, two))

    def sample(self, n: int, seed: int = 0) -> Floats:
        """Draw n independent samples, (n, dim); a longer draw with the same seed begins with a shorter one.

        Rows come in blocks of 8192, each from its own Philox stream keyed by (seed, block).

        Raises
        ------
        TypeError, ValueError
            If n or seed is not a non-negative integer.
        """
        n = mixture_parameters.whole_number(n, "n")
        seed = mixture_parameters.whole_number(seed, "seed")
        cumulative = np.cumsum(self.weights)

        def block(uniforms: Floats, normals: Floats, rows: slice) -> Floats:
            labels = np.minimum(np.searchsorted(cumulative, uniforms, side="right"), self.components - 1)
            return self.means[labels] + self._turned(labels, normals * self._deviations[labels])

        return draw(block, n, self.dim, seed)

    # ---------------------------------------------------------------- functions of a point

    def log_density(self, x: Array) -> Array:
        """Log-density of the mixture at x, (n,), in nats.

        Raises
        ------
        ValueError
            If a component is degenerate, so that there is no density.
        """
        self._require_density("log_density")
        return self._map(x, lambda xp, rows, level: mixture_weights.log_sum(xp, rows, level), 1.0, 0.0, True)

    def score(self, x: Array) -> Array:
        """Gradient of the log-density at x, (n, dim).

        Raises
        ------
        ValueError
            If a component is degenerate, so that there is no density.
        """
        self._require_density("score")
        by_products = self._axis_aligned_and_large

        def chunk(xp: Namespace, x: Array, level: Level) -> Array:
            weights = mixture_weights.responsibilities(xp, x, level)
            if not by_products:
                return xp.sum(weights[:, :, None] * components.component_scores(xp, x, level), axis=1)
            precision = 1.0 / level.total**2
            centred = level.means - level.centre
            return xp.matmul(weights, centred * precision) - xp.matmul(weights, precision) * (
                x - level.centre
            )

        return self._map(x, chunk, 1.0, 0.0, by_products)

    def hessian(self, x: Array) -> Array:
        """Second derivatives of the log-density at x, (n, dim, dim).

        Raises
        ------
        ValueError
            If a component is degenerate, so that there is no density.
        """
        self._require_density("hessian")
        with np.errstate(over="ignore"):
            within = self._full(1.0 / self.variances)

        def chunk(xp: Namespace, x: Array, level: Level) -> Array:
            weights = mixture_weights.responsibilities(xp, x, level)
            contrasts = components.score_contrasts(xp, x, level)
            spread = components.spread(xp, weights, contrasts)
            return spread - components.average(xp, weights, mixture_weights.foreign(xp, x, within))

        return self._map(x, chunk, 1.0, 0.0, False)

    def denoise(self, x: Array, alpha: float, sigma: float) -> Array:
        """Posterior mean E[x_0 | x_t = x], (n, dim).

        At sigma = 0 this is x / alpha, at alpha = 0 the mean of the mixture.

        Raises
        ------
        TypeError, ValueError
            If x is not (n, dim), if alpha or sigma is negative or not finite, or if both are zero.
        """
        alpha, sigma = _read_level(alpha, sigma)
        if sigma == 0.0:
            return points.mapped(x, self.dim, lambda xp, rows: rows / alpha)
        if alpha == 0.0:
            return points.mapped(
                x,
                self.dim,
                lambda xp, rows: xp.zeros_like(rows) + mixture_weights.foreign(xp, rows, self._centre),
            )
        gain, shrink = self._gain_and_shrink(alpha, sigma)

        def chunk(xp: Namespace, x: Array, level: Level) -> Array:
            weights = mixture_weights.responsibilities(xp, x, level)
            if level.rotations is not None:
                means = components.component_means(xp, x, level, mixture_weights.foreign(xp, x, gain))
                return xp.sum(weights[:, :, None] * means, axis=1)
            pull = xp.matmul(weights, mixture_weights.foreign(xp, x, gain))
            return xp.matmul(weights, mixture_weights.foreign(xp, x, shrink * self.means)) + pull * x

        return self._map(x, chunk, alpha, sigma, self._axis_aligned_and_large)

    def denoise_jacobian(self, x: Array, alpha: float, sigma: float) -> Array:
        """Derivative of `denoise` in x, (n, dim, dim): alpha / sigma^2 times the posterior covariance.

        The covariance is the average within components plus the spread between them, without cancellation.

        Raises
        ------
        TypeError, ValueError
            As `denoise`.
        """
        alpha, sigma = _read_level(alpha, sigma)
        if sigma == 0.0 or alpha == 0.0:
            same = np.eye(self.dim) / alpha if alpha > 0.0 else np.zeros((self.dim, self.dim))
            return points.mapped(
                x,
                self.dim,
                lambda xp, rows: xp.zeros_like(rows)[:, :, None] + mixture_weights.foreign(xp, rows, same),
            )
        gain, shrink = self._gain_and_shrink(alpha, sigma)
        within = self._full(gain)

        def chunk(xp: Namespace, x: Array, level: Level) -> Array:
            weights = mixture_weights.responsibilities(xp, x, level)
            local = (mixture_weights.foreign(xp, x, gain), mixture_weights.foreign(xp, x, shrink))
            contrasts = components.mean_contrasts(xp, x, level, *local)
            spread = alpha * components.spread(xp, weights, contrasts, scale=sigma)
            return spread + components.average(xp, weights, mixture_weights.foreign(xp, x, within))

        return self._map(x, chunk, alpha, sigma, False)

    def posterior(self, x: ArrayLike, alpha: float, sigma: float) -> MixturePosterior:
        """Law of x_0 given x_t = x, one mixture per row of x.

        At sigma = 0 each component's posterior is the atom x / alpha, with the weights of the mixture.

        Raises
        ------
        TypeError, ValueError
            As `denoise`.
        """
        alpha, sigma = _read_level(alpha, sigma)
        _, given = points.read(np.asarray(x), self.dim)
        rows = np.array(given, dtype=np.float64)
        weights = np.broadcast_to(self.weights, (len(rows), self.components))
        if sigma == 0.0:
            gain = np.full_like(self.means, 1.0 / alpha)
            return MixturePosterior(
                weights, rows, np.zeros_like(gain), gain, np.zeros_like(gain), None, alpha
            )
        gain, shrink = self._gain_and_shrink(alpha, sigma)
        if alpha > 0.0:
            weights = self._map(
                rows, mixture_weights.responsibilities, alpha, sigma, self._axis_aligned_and_large
            )
        return MixturePosterior(
            weights, rows, self.means, gain, shrink * self.variances, self.rotations, alpha
        )

    # ---------------------------------------------------------------- one dimension only

    def cdf(self, x: ArrayLike) -> Floats:
        """P(x_0 <= x) in one dimension, for x of any shape.

        Raises
        ------
        ValueError
            If dim is not one.
        """
        return on_line.cdf(*self._on_line("cdf"), x)

    def survival(self, x: ArrayLike) -> Floats:
        """P(x_0 > x) in one dimension, for x of any shape, accurate in the upper tail.

        Raises
        ------
        ValueError
            If dim is not one.
        """
        return on_line.survival(*self._on_line("survival"), x)

    def quantile(self, u: ArrayLike) -> Floats:
        """Smallest x with cdf(x) >= u in one dimension, for u of any shape in [0, 1].

        Raises
        ------
        ValueError
            If dim is not one, or if a u is outside [0, 1].
        """
        return on_line.quantile(*self._on_line("quantile"), u)

    def quantile_survival(self, s: ArrayLike) -> Floats:
        """Smallest x with survival(x) <= s in one dimension, for s of any shape in [0, 1]; exact for tiny s.

        Raises
        ------
        ValueError
            If dim is not one, or if an s is outside [0, 1].
        """
        return on_line.quantile_survival(*self._on_line("quantile_survival"), s)

    # ---------------------------------------------------------------- internals

    @classmethod
    def _of(
        cls, weights: Floats, means: Floats, variances: Floats, rotations: Floats | None
    ) -> GaussianMixture:
        """Build from canonical arrays that are known to be right."""
        mixture = cls.__new__(cls)
        mixture.weights = mixture_parameters.frozen(weights)
        mixture.means = mixture_parameters.frozen(means)
        mixture.variances = mixture_parameters.frozen(variances)
        mixture.rotations = None if rotations is None else mixture_parameters.frozen(rotations)
        return mixture

    @cached_property
    def _deviations(self) -> Floats:
        return np.sqrt(self.variances)

    @cached_property
    def _log_weights(self) -> Floats:
        return np.log(self.weights)

    @cached_property
    def _centre(self) -> Floats:
        return self.mean()

    @cached_property
    def _shared(self) -> bool:
        return self.rotations is None and not (self.variances != self.variances[0]).any()

    @property
    def _axis_aligned_and_large(self) -> bool:
        return self.rotations is None and self.components * self.dim > mixture_weights.PRODUCTS_FROM

    def _gain_and_shrink(self, alpha: float, sigma: float) -> tuple[Floats, Floats]:
        """Gain alpha v / s^2 and shrink sigma^2 / s^2: a component's posterior mean is shrink mu + gain x."""
        total = np.hypot(alpha * self._deviations, sigma)
        return (alpha * self._deviations / total) * (self._deviations / total), (sigma / total) ** 2

    def _full(self, eigenvalues: Floats) -> Floats:
        """Component matrices R_k diag(eigenvalues_k) R_k^T: (K, dim, dim), or (K, dim) when axis-aligned."""
        if self.rotations is None:
            return eigenvalues
        return (self.rotations * eigenvalues[:, None, :]) @ self.rotations.transpose(0, 2, 1)

    @property
    def matrices(self) -> Floats:
        """Covariances as matrices, (K, dim, dim)."""
        full = self._full(self.variances)
        return full if self.rotations is not None else full[:, :, None] * np.eye(self.dim)

    def _within(self, weights: Floats, eigenvalues: Floats) -> Floats:
        return np.asarray(components.average(np, weights, self._full(eigenvalues)))

    def _between(self) -> Floats:
        centred = self.means - self.mean()
        return (centred * self.weights[:, None]).T @ centred

    def _turned(self, labels: NDArray[np.integer], rows: Floats) -> Floats:
        """Rows given in the eigenbasis of their component, in the original coordinates."""
        if self.rotations is None:
            return rows
        turned = np.empty_like(rows)
        for k in np.unique(labels):
            turned[labels == k] = rows[labels == k] @ self.rotations[k].T
        return turned

    def _require_density(self, name: str) -> None:
        if not self.variances.all():
            index = int(np.argmin(self.variances.all(axis=1)))
            raise ValueError(
                f"{name} needs a density, and the covariance of component {index} is singular; "
                f"use noised(alpha, sigma).{name}(x) with sigma > 0"
            )

    def _on_line(self, name: str) -> tuple[Floats, Floats, Floats]:
        if self.dim != 1:
            raise ValueError(f"{name} needs dim = 1, this mixture has dim = {self.dim}")
        return self.weights, self.means[:, 0], self._deviations[:, 0]

    def _map(
        self,
        x: Array,
        function: Callable[[Namespace, Array, Level], Array],
        alpha: float,
        sigma: float,
        by_products: bool,
    ) -> Array:
        """Apply a function of (rows, level) chunk by chunk, so that temporaries stay small."""

        def whole(xp: Namespace, rows: Array) -> Array:
            log_weights, rotations, centre = self._log_weights, self.rotations, self._centre
            parameters = (log_weights, self.means, self._deviations, rotations, centre, self._shared)
            level = mixture_weights.level_of(xp, rows, parameters, alpha, sigma)
            step = mixture_weights.rows_per_chunk(self.components, self.dim, by_products)
            chunks = [function(xp, part, level) for part in mixture_weights.chunks_of(rows, step)]
            return chunks[0] if len(chunks) == 1 else xp.concat(chunks, axis=0)

        return points.mapped(x, self.dim, whole)


def _read_level(alpha: Any, sigma: Any) -> tuple[float, float]:
    alpha = mixture_parameters.real_number(alpha, "alpha")
    sigma = mixture_parameters.real_number(sigma, "sigma")
    if alpha == 0.0 and sigma == 0.0:
        raise ValueError(
            "alpha and sigma are both 0; a level needs signal or noise (the prior mean is (0, 1))"
        )
    return alpha, sigma
