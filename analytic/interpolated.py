"""Mixtures carried along an interpolant: marginals, velocity, score and expectations of the ends in closed form."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike

from .mixtures.gaussian_mixture import GaussianMixture, Spectrum
from .mixtures.parameters import Floats
from .mixtures.weights import Array, foreign
from .paths.transport import Transport
from .reprs import brief

_ROUNDING = 1e-14  # of the largest variance, below which a component has none


class Moments(NamedTuple):
    """Components at n times: means m and m' (n, C, dim), covariances S of x and B of dx/dt with x, (n, C, dim, dim)."""

    means: Floats
    slopes: Floats
    covariances: Floats
    drifts: Floats


class Interpolated:
    """The law of x_t = sum_k w_k(t) x_k + gamma(t) z on a path, of a joint mixture of its ends; a model of its flow.

    Within component c, x_t is N(m, S) and dx_t/dt has with it the covariance B = sum_kl w_k' w_l C_kl + gamma gamma' I,
    so that E[dx/dt | x, c] = m' + B S^-1 (x - m), and the velocity is its mean given x. Functions of x take and return
    arrays (n, dim) of any library that the array API covers, and compute in float64.

    Parameters
    ----------
    joint : GaussianMixture
        Law of (x_0, x_1, ...) in one vector, the data first; see `analytic.couplings`.
    path : paths.Interpolant, EncodingDecoding or Multimarginal

    Raises
    ------
    TypeError, ValueError
        Another path, or a joint law that is not of as many ends as the path has.

    References
    ----------
    Albergo, Boffi and Vanden-Eijnden 2023 (Stochastic interpolants: a unifying framework), section 2 for velocity and
    score, appendix A for mixtures.
    """

    process: ClassVar[str] = "interpolant"

    def __init__(self, joint: GaussianMixture, path: Transport) -> None:
        if not isinstance(path, Transport):
            raise TypeError(
                f"path is {path!r}, which has noise at its end: give paths.Interpolant() or its kin"
            )
        K = path.marginals
        if joint.dim % K:
            raise ValueError(
                f"joint is {joint!r}; {path!r} needs the law of {K} vectors in one: give analytic.couplings' or a "
                f"mixture in {K} times as many dimensions as samples have"
            )
        self.joint, self.path = joint, path
        self.dim = joint.dim // K
        self._means = joint.means.reshape(-1, K, self.dim)
        self._blocks = joint.matrices.reshape(-1, K, self.dim, K, self.dim).transpose(0, 1, 3, 2, 4)

    __repr__ = brief

    @property
    def components(self) -> int:
        """Components of the joint law, and of every marginal."""
        return self.joint.components

    @property
    def is_gaussian(self) -> bool:
        """Whether all marginals are Gaussians."""
        return self.joint.is_gaussian

    def end(self, k: int) -> GaussianMixture:
        """Law of x_k: the data for k = 0; ValueError for a k that is none."""
        if not 0 <= k < self.path.marginals:
            raise ValueError(f"k is {k}; give an end from 0 to {self.path.marginals - 1}")
        return GaussianMixture(self.joint.weights, self._means[:, k], self._blocks[:, k, k])

    def spectrum(self) -> Spectrum:
        """Mean, eigenvalues and eigenbasis of the data, where all marginals are Gaussians; ValueError if not."""
        return self.end(0).spectrum()

    def mean(self) -> Floats:
        """Mean of the data, (dim,)."""
        return self.end(0).mean()

    def covariance(self) -> Floats:
        """Covariance of the data, (dim, dim)."""
        return self.end(0).covariance()

    def marginal(self, t: float) -> GaussianMixture:
        """Law of x_t."""
        at = self.moments(t)
        return GaussianMixture(self.joint.weights, at.means[0], at.covariances[0])

    def noised(self, alpha: float, sigma: float) -> GaussianMixture:
        """Law at a level of the path, which says the time."""
        return self.marginal(float(self.path.time(alpha, sigma)))

    def moments(self, t: ArrayLike) -> Moments:
        """Means and covariances of the components, and of their derivatives in time, at n times or at one."""
        w = self.path.weights(t)
        eye = np.eye(self.dim)
        means, slopes = (np.einsum("nk,ckd->ncd", part, self._means) for part in (w.of, w.slopes))
        S, B = (
            np.einsum("nk,nl,cklij->ncij", part, w.of, self._blocks) + noise[:, None, None, None] * eye
            for part, noise in ((w.of, w.variance), (w.slopes, w.half_rate))
        )
        return Moments(means, slopes, (S + S.swapaxes(2, 3)) / 2, B)

    def velocity(self, x: Array, t: float) -> Array:
        """Velocity E[dx_t/dt | x_t = x] of the flow that carries the marginals."""
        return self._asked(x, t, 1.0, 0.0)

    def score(self, x: Array, t: float) -> Array:
        """Gradient of the log-density of x_t."""
        return self._asked(x, t, 0.0, 1.0)

    def expected(self, x: Array, t: float, k: int) -> Array:
        """E[x_k | x_t = x]: for k = 0 the denoiser."""
        of_x = np.einsum("l,clij->cij", self.path.weights(t).of[0], self._blocks[:, k])
        at = self.moments(t)
        P = _precisions(at.covariances[0], t)
        return self._average(x, at.means[0], P, self._means[:, k], of_x @ P)

    def ask(self, x: Array, alpha: float, sigma: float, a: float, b: float) -> Array:
        """Return a times the velocity and b times the score at x (n, dim): what a step on the path asks of a model."""
        return self._asked(x, float(self.path.time(alpha, sigma)), a, b)

    def _asked(self, x: Array, t: float, a: float, b: float) -> Array:
        at = self.moments(t)
        P = _precisions(at.covariances[0], t)
        gain = (a * at.drifts[0] - b * np.eye(self.dim)) @ P
        return self._average(x, at.means[0], P, a * at.slopes[0], gain)

    def _average(self, x: Array, means: Floats, precisions: Floats, offsets: Floats, gains: Floats) -> Array:
        """Mean over the components given x of offset + gain (x - mean)."""
        xp = array_api_compat.array_namespace(x)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"x has shape {tuple(x.shape)}; give (n, {self.dim})")
        wide = xp.astype(x, xp.float64)
        heights = np.log(self.joint.weights) + np.linalg.slogdet(precisions)[1] / 2
        logs, values = [], []
        for height, mean, precision, offset, gain in zip(
            heights, means, precisions, offsets, gains, strict=True
        ):
            off = wide - foreign(xp, wide, mean)
            logs.append(
                float(height) - xp.sum(xp.matmul(off, foreign(xp, wide, precision)) * off, axis=1) / 2
            )
            values.append(foreign(xp, wide, offset) + xp.matmul(off, foreign(xp, wide, gain.T)))
        top = logs[0]
        for log in logs[1:]:
            top = xp.maximum(top, log)
        shares = [xp.exp(log - top)[:, None] for log in logs]
        total: Any = sum(share * value for share, value in zip(shares, values, strict=True))
        return xp.astype(total / sum(shares), x.dtype)


def _precisions(S: Floats, t: float) -> Floats:
    values, vectors = np.linalg.eigh(S)
    if np.any(values[:, 0] <= _ROUNDING * np.maximum(values[:, -1], 1e-300)):
        raise ValueError(
            f"joint has a component without variance in some direction at t = {float(t):g}, where nothing has a score: "
            "keep clear of that time, or give a path with noise"
        )
    return np.asarray((vectors / values[:, None]) @ vectors.swapaxes(1, 2))
