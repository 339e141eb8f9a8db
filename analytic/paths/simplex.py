"""Noise on tokens in space: places on the simplex, or on its statistical manifold, that come from one-hot tokens.

Time runs as everywhere from the tokens at t = 0 to the noise at t = 1; papers' clocks run the other way. Sites are
noised alone, so that a place is a likelihood of its site's token, and a sequence law's own posterior P(token | places)
gives the velocity of its flow. Places are (n, L, V) arrays: sequences, sites, coordinates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats, real_number, whole_number

NODES = 24  # of Gauss and Legendre, for the speed of the Dirichlet path
LEAST = -300.0  # nats below the likeliest token of a site, to which likelihoods are cut
SMALL = 1e-8  # angle below which a geodesic is straight
_TINY = 1e-300


class Simplex(ABC):
    """What paths of tokens through space share: a clock, places of the noise, the likelihood that a place is."""

    start: ClassVar[float] = 1.0
    stop: ClassVar[float] = 0.0
    end: ClassVar[float] = 1.0
    process: ClassVar[str] = "simplex"
    grid: ClassVar[str] = "uniform"

    def noise(self, n: int, length: int, vocabulary: int, seed: int = 0) -> Floats:
        """Draw n places of the noise at t = 1, (n, length, vocabulary)."""
        sizes = [
            whole_number(size, name, 1) for size, name in ((length, "length"), (vocabulary, "vocabulary"))
        ]
        rng = np.random.default_rng(whole_number(seed, "seed"))
        return self.placed(rng.random((whole_number(n, "n"), *sizes)))

    @abstractmethod
    def placed(self, uniforms: Floats) -> Floats:
        """Return places of the noise from numbers (n, L, V) uniform on [0, 1)."""

    @abstractmethod
    def _log_likelihood(self, x: Floats, t: float) -> Floats:
        """Log-density of each site's place given its token, but for what all tokens share."""

    @abstractmethod
    def velocity(self, x: Floats, t: float, tokens: Floats) -> Floats:
        """Velocity of the flow to the tokens, -dx/dt, given P(token | x) of shape (n, L, V)."""

    @abstractmethod
    def move(self, x: Floats, shift: Floats) -> Floats:
        """Go from x along a tangent, and stay where places are."""

    def likelihood(self, x: ArrayLike, t: float) -> Floats:
        """Likelihood of each site's token, (n, L, V), largest 1: what `SequenceLaw.posterior` and its kin take.

        Raises
        ------
        TypeError, ValueError
            If x is not (n, L, V) with V of 2 or more, or t not above 0 and at most 1.
        """
        places = np.asarray(x, dtype=np.float64)
        if places.ndim != 3 or places.shape[2] < 2:
            raise ValueError(
                f"x has shape {places.shape}; give (n, L, V), a place on a simplex for each site"
            )
        t = real_number(t, "t")
        if not 0 < t <= 1:
            raise ValueError(f"t is {t}; give a time above 0, where places are tokens, and at most 1")
        logs = self._log_likelihood(places, t)
        return np.asarray(np.exp(np.maximum(logs - logs.max(axis=2, keepdims=True), LEAST)))

    def round(self, x: ArrayLike) -> NDArray[np.int64]:
        """Tokens (n, L) of the vertices that places are nearest to."""
        return np.asarray(np.asarray(x).argmax(axis=2))


@dataclass(frozen=True)
class Straight(Simplex):
    """Straight lines on the simplex: x_t = t x_1 + (1 - t) e_k from x_1 uniform.

    The density of x given token v is the same wherever x_v >= 1 - t, and 0 elsewhere: all that a place tells of its
    token is which coordinates have got so far.

    References
    ----------
    Stark et al. 2024 (Dirichlet flow matching), who show what is wrong with it.
    """

    def placed(self, uniforms: Floats) -> Floats:
        """Return uniform places, normalised exponentials."""
        return _shares(-np.log1p(-uniforms))

    def _log_likelihood(self, x: Floats, t: float) -> Floats:
        # a place that no token has got to, by rounding, is its largest coordinate's
        reached = (x >= 1 - t) | (x >= x.max(axis=2, keepdims=True))
        return np.where(reached, 0.0, -np.inf)

    def velocity(self, x: Floats, t: float, tokens: Floats) -> Floats:
        """(E[e_k | x] - x)/t."""
        return np.asarray((tokens - x) / t)

    def move(self, x: Floats, shift: Floats) -> Floats:
        """Return x + shift, a mean of x and vertices but for rounding."""
        return np.asarray(np.maximum(x + shift, 0.0))


@dataclass(frozen=True)
class Dirichlet(Simplex):
    """Dirichlet flow matching: x_t given token k is Dir(1 + s e_k) with s = top (1 - t).

    The velocity given token v is C(x_v, s)(e_v - x), C(x, s) = -dI_x(s + 1, V - 1)/ds B(s + 1, V - 1)/((1 - x)^(V - 1)
    x^s), I the regularised incomplete beta function, here by quadrature without differences. It ends
    before tokens are certain, and rounds.

    Parameters
    ----------
    top : float
        s where sampling ends; positive. Published code counts from 1 and ends at 8.

    References
    ----------
    Stark et al. 2024 (Dirichlet flow matching), eq. 14, and its code.
    """

    top: float = 7.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        if real_number(self.top, "top") == 0:
            raise ValueError("top is 0.0; give a positive s to end at")

    def placed(self, uniforms: Floats) -> Floats:
        """Return uniform places, normalised exponentials."""
        return _shares(-np.log1p(-uniforms))

    def _log_likelihood(self, x: Floats, t: float) -> Floats:
        return np.asarray(self.top * (1 - t) * np.log(np.maximum(x, _TINY)))

    def speed(self, x: Floats, s: float) -> Floats:
        """x^s C(x, s): integral of w^(V-2) u^s (log u + psi(s + V) - psi(s + 1)) over w from 0 to 1, u = 1 - (1 - x) w.

        With 1 - w = z^4, for what u^s log u is at u = 0.
        """
        b = x.shape[-1] - 1
        nodes, weights = legendre.leggauss(NODES)
        z = (nodes + 1) / 2
        weights = weights / 2 * 4 * z**3 * (1 - z**4) ** (b - 1)
        u = np.maximum(x[..., None] + (1 - x[..., None]) * z**4, _TINY)
        gap = float(scipy.special.digamma(s + 1 + b) - scipy.special.digamma(s + 1))
        logs = np.log(u)
        return np.asarray((np.exp(s * logs) * (logs + gap)) @ weights)

    def velocity(self, x: Floats, t: float, tokens: Floats) -> Floats:
        """Sum over tokens of P(v | x) C(x_v, s)(e_v - x), times ds/d(-t) = top."""
        s, places = self.top * (1 - t), np.clip(x, 0.0, 1.0)
        power = places**s
        # what P(v | x) and C have of x_v^s cancels; what is left of C there is 0 at x_v = 0
        pull = np.where(power > _TINY, tokens / np.maximum(power, _TINY) * self.speed(places, s), 0.0)
        return np.asarray(self.top * (pull - pull.sum(axis=2, keepdims=True) * x))

    def move(self, x: Floats, shift: Floats) -> Floats:
        """Return x + shift, cut at 0 and normalised where a step leaves the simplex."""
        return _shares(np.maximum(x + shift, 0.0))


@dataclass(frozen=True)
class FisherRao(Simplex):
    """Geodesics of the Fisher and Rao metric: of square roots of probabilities, great circles of a sphere.

    Places are points of the sphere's positive part. x_t lies on the geodesic from e_k to a point of the noise, at the
    share t. Given x at an angle a from e_v that point lies on the same great circle, at a/t: its density, and how far
    geodesics have spread, (sin(a/t)/sin a)^(V - 2), give that of x.

    Parameters
    ----------
    uniform : str
        Where the noise is uniform: on the "sphere" (Davis et al.), or its squares on the "simplex" (Cheng et al.).

    References
    ----------
    Davis et al. 2024 (Fisher flow matching); Cheng et al. 2024 (Categorical flow matching on statistical manifolds);
    their code.
    """

    uniform: str = "sphere"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        if self.uniform not in ("sphere", "simplex"):
            raise ValueError(f"uniform is {self.uniform!r}; use 'sphere' or 'simplex'")

    def placed(self, uniforms: Floats) -> Floats:
        """Return roots of shares: of exponentials, or of squared normals."""
        if self.uniform == "simplex":
            return np.sqrt(_shares(-np.log1p(-uniforms)))
        return np.sqrt(_shares(scipy.special.gammaincinv(0.5, uniforms)))

    def _log_likelihood(self, x: Floats, t: float) -> Floats:
        V, angles = x.shape[2], _angles(x)
        inside = angles / t <= np.pi / 2
        there = np.where(inside, angles / t, 0.0)
        stretch = np.where(angles > SMALL, np.sin(there) / np.sin(np.maximum(angles, SMALL)), 1 / t)
        logs = (V - 2) * np.log(np.maximum(stretch, _TINY))
        if self.uniform == "simplex":
            # there the density is the product of coordinates: cos(a/t), and those of x without x_v, stretched
            logs += (V - 1) * np.log(np.maximum(stretch, _TINY))
            logs += np.log(np.maximum(np.cos(there), _TINY)) - np.log(np.maximum(x, _TINY))
        logs = np.where(inside, logs, -np.inf)
        # where a step has gone beyond what any token leads to, the nearest vertex is what is left
        lost = ~inside.any(axis=2, keepdims=True) & (angles <= angles.min(axis=2, keepdims=True))
        return np.where(lost, 0.0, logs)

    def velocity(self, x: Floats, t: float, tokens: Floats) -> Floats:
        """E[log_x(e_k) | x]/t, log_x(e_v) = a/sin a (e_v - x cos a) for the angle a from e_v."""
        angles = _angles(x)
        pull = tokens * np.where(angles > SMALL, angles / np.sin(np.maximum(angles, SMALL)), 1.0)
        return np.asarray((pull - (pull * np.cos(angles)).sum(axis=2, keepdims=True) * x) / t)

    def move(self, x: Floats, shift: Floats) -> Floats:
        """Return the exponential map, cos(r) x + sin(r)/r shift with r = |shift|, cut to the positive part."""
        r = np.sqrt((shift**2).sum(axis=2, keepdims=True))
        ahead = np.maximum(np.cos(r) * x + np.sinc(r / np.pi) * shift, 0.0)
        return np.asarray(ahead / np.sqrt((ahead**2).sum(axis=2, keepdims=True)))


def _shares(numbers: Floats) -> Floats:
    return np.asarray(numbers / numbers.sum(axis=2, keepdims=True))


def _angles(x: Floats) -> Floats:
    """Angle of each place from each vertex, exact where it is small."""
    others = np.sqrt(np.maximum((x**2).sum(axis=2, keepdims=True) - x**2, 0.0))
    return np.asarray(np.arctan2(others, x))
