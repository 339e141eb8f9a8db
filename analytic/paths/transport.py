"""Stochastic interpolants x_t = sum_k w_k(t) x_k + gamma(t) z between laws that are all data: paths of transport.

x_0 is the law that samplers end at, the last x_k the one that they start from, z ~ N(0, I) independent of them. Noise
enters by its variance gamma^2, whose rate is regular where gamma' is not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from .gaussian import Array, UnitPrior

SHAPES = ("linear", "trigonometric")


class Weights(NamedTuple):
    """Weights at n times: of x_k and their derivatives, (n, K), gamma^2 and half of its derivative, (n,)."""

    of: Array
    slopes: Array
    variance: Array
    half_rate: Array


class Transport(UnitPrior, ABC):
    """What interpolants share.

    As a path, alpha = 1 - t/end and sigma = t/end: a level says the time, whatever the weights. Samplers start
    at the last law and stop at the first, and reach both. `g2` is the noise that an SDE takes where none is named.
    """

    process: ClassVar[str] = "interpolant"
    grid: ClassVar[str] = "uniform"

    @property
    @abstractmethod
    def marginals(self) -> int:
        """How many laws it goes through, K."""

    @abstractmethod
    def _weights(self, t: Array) -> Weights:
        """Return the weights at times (n,)."""

    def weights(self, t: npt.ArrayLike) -> Weights:
        """Return weights and noise at n times, or at one; ValueError for times off the path."""
        self.alpha(t)
        return self._weights(np.atleast_1d(np.asarray(t, dtype=np.float64)))

    def time(self, alpha: npt.ArrayLike, sigma: npt.ArrayLike) -> Array:
        """Return the times of levels."""
        return np.asarray(self.end * np.asarray(sigma) / np.add(alpha, sigma))

    def _alpha(self, t: Array) -> Array:
        return 1 - t / self.end

    def _sigma(self, t: Array) -> Array:
        return t / self.end

    def _d_alpha(self, t: Array) -> Array:
        return np.full_like(t, -1 / self.end)

    def _d_sigma(self, t: Array) -> Array:
        return np.full_like(t, 1 / self.end)


def _level(noise: object, most: float = np.inf) -> None:
    if isinstance(noise, bool) or not isinstance(noise, int | float | np.integer | np.floating):
        raise TypeError(f"noise is {noise!r}; pass a number of at least 0")
    if not 0 <= noise < most:
        raise ValueError(
            f"noise is {noise!r}; pass a number of at least 0{f', below {most:g}' * (most < np.inf)}"
        )


@dataclass(frozen=True)
class Interpolant(Transport):
    """Interpolant of two laws with the noise of a Brownian bridge, gamma^2 = noise^2 t (1 - t).

    x_t = alpha x_0 + beta x_1 + gamma z, with alpha = 1 - t and beta = t, or on a quarter circle that leaves variances
    as they are. Without noise and from N(0, I), independent of the data, these are the paths `Linear` and
    `Trigonometric`.

    Parameters
    ----------
    shape : str
        "linear", or "trigonometric": alpha = sqrt(1 - gamma^2) cos(pi t/2), beta = sqrt(1 - gamma^2) sin(pi t/2).
    noise : float
        0 for none; below 2 for the trigonometric shape. Its square is `g2`: on the linear shape that of the Brownian
        motion whose bridges the ways from x_1 to x_0 are.

    Raises
    ------
    TypeError, ValueError
        Another shape or noise.

    References
    ----------
    Albergo, Boffi and Vanden-Eijnden 2023 (Stochastic interpolants: a unifying framework), section 4, linear and
    trigonometric with the Brownian gamma.
    """

    shape: str = "linear"
    noise: float = 0.5

    def __post_init__(self) -> None:
        """Validate the parameters."""
        if self.shape not in SHAPES:
            raise ValueError(f"shape is {self.shape!r}; pass one of {', '.join(SHAPES)}")
        _level(self.noise, 2.0 if self.shape == "trigonometric" else np.inf)
        self._fix(name="interpolant", start=1.0, stop=0.0, end=1.0)

    @property
    def marginals(self) -> int:
        """2."""
        return 2

    def _g2(self, t: Array) -> Array:
        return np.full_like(t, self.noise**2)

    def _weights(self, t: Array) -> Weights:
        variance, half_rate = self.noise**2 * t * (1 - t), self.noise**2 * (1 - 2 * t) / 2
        if self.shape == "linear":
            of, slopes = np.stack([1 - t, t], 1), np.stack([-np.ones_like(t), np.ones_like(t)], 1)
            return Weights(of, slopes, variance, half_rate)
        # sines of the distance to the end where they vanish
        circle = np.stack([np.sin(np.pi / 2 * (1 - t)), np.sin(np.pi / 2 * t)], 1)
        turning = np.pi / 2 * np.stack([-circle[:, 1], circle[:, 0]], 1)
        radius = np.sqrt(1 - variance)[:, None]
        return Weights(
            radius * circle, radius * turning - half_rate[:, None] / radius * circle, variance, half_rate
        )


@dataclass(frozen=True, init=False)
class EncodingDecoding(Transport):
    """Interpolant by way of pure noise: x_1 is turned into N(0, I) at t = 1/2, and that into x_0.

    The weight of x_0 is cos(pi t)^2 for t < 1/2 and 0 beyond, that of x_1 the other way round, gamma = sin(pi t)^2:
    whatever their coupling, x_1 and x_0 are independent given x_1/2.

    References
    ----------
    Albergo, Boffi and Vanden-Eijnden 2023, section 4, the encoding-decoding interpolant.
    """

    def __init__(self) -> None:
        """Set the times."""
        self._fix(name="encoding-decoding", start=1.0, stop=0.0, end=1.0)

    @property
    def marginals(self) -> int:
        """2."""
        return 2

    def _g2(self, t: Array) -> Array:
        return np.ones_like(t)

    def _weights(self, t: Array) -> Weights:
        # cos(pi t) as a sine of the distance to 1/2, where it vanishes
        cosine, sine = np.sin(np.pi * (0.5 - t)), np.sin(np.pi * np.minimum(t, 1 - t))
        first = np.stack([t < 0.5, t > 0.5], 1)
        of, slopes = (part[:, None] * first for part in (cosine**2, -2 * np.pi * sine * cosine))
        return Weights(of, slopes, sine**4, 2 * np.pi * sine**3 * cosine)


@dataclass(frozen=True)
class Multimarginal(Transport):
    """Interpolant through several laws, one at each whole time: t = 0 is the first, t = laws - 1 the last.

    Between times k and k + 1, with u = t - k, it is cos(pi u/2)^2 x_k + sin(pi u/2)^2 x_(k+1) + gamma z with gamma =
    noise sin(pi u)/2: a path along the edges of the simplex of all convex combinations, which stops at its corners, so
    that velocities are continuous. Grids should have the whole times among their nodes.

    Parameters
    ----------
    laws : int
        2 or more.
    noise : float
        0 for none.

    Raises
    ------
    TypeError, ValueError
        Other numbers.

    References
    ----------
    Albergo, Boffi, Lindsey and Vanden-Eijnden 2023 (Multimarginal generative modeling), whose barycentric interpolant
    takes any path in the simplex; this path and its noise are chosen here.
    """

    laws: int = 3
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        if isinstance(self.laws, bool) or not isinstance(self.laws, int | np.integer):
            raise TypeError(f"laws is {self.laws!r}; pass a whole number")
        if self.laws < 2:
            raise ValueError(f"laws is {self.laws!r}; pass at least 2")
        _level(self.noise)
        end = float(self.laws - 1)
        self._fix(name="multimarginal", start=end, stop=0.0, end=end)

    @property
    def marginals(self) -> int:
        """As many as there are laws."""
        return int(self.laws)

    def _g2(self, t: Array) -> Array:
        return np.full_like(t, self.noise**2)

    def _weights(self, t: Array) -> Weights:
        k = np.floor(t)
        u = t - k
        cosine, sine = np.sin(np.pi / 2 * (1 - u)), np.sin(np.pi / 2 * u)
        here = np.arange(self.marginals) == k[:, None]
        after = np.arange(self.marginals) == k[:, None] + 1
        turning = np.pi * sine * cosine
        of = here * (cosine**2)[:, None] + after * (sine**2)[:, None]
        slopes = (after * 1.0 - here) * turning[:, None]
        square = self.noise**2 * (sine * cosine) ** 2
        return Weights(of, slopes, square, self.noise**2 * turning * (cosine**2 - sine**2) / 2)
