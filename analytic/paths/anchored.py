"""Paths drawn to a second point y: bridges, which end in it, and diffusions that revert to it as their mean.

Given x_0 and y, x_t is Gaussian,

    x_t = k(t) y + alpha(t) x_0 + sigma(t) eps,

so that given y alone, x_t - k(t) y is an observation of x_0 as on a plain path: E[x_0 | x_t, y] is the plain denoiser,
at x_t - k y and (alpha, sigma), of the law of x_0 given y. That is the data's law where x_0 and y are independent, and
`GaussianMixture.given` has it where the pair is a mixture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .diffusion import VP
from .gaussian import Array, Gaussian, positive


class Anchored(Gaussian, ABC):
    """What both have: a second point y, N(0, spread^2 I) and independent of the data where nothing else is said.

    As a path, alpha and sigma are those of x_t under such a y, which is a part of the noise then; `plain` is the path
    of x_t - k y.
    """

    base: Gaussian
    spread: float

    @property
    @abstractmethod
    def plain(self) -> Gaussian:
        """Path of x_t - anchor(t) y given y."""

    def anchor(self, t: npt.ArrayLike) -> Array:
        """Share k(t) of y in x_t."""
        return self._apply(self._anchor, t)

    @abstractmethod
    def _anchor(self, t: Array) -> Array: ...

    @abstractmethod
    def _d_anchor(self, t: Array) -> Array: ...

    @abstractmethod
    def _half_d_variance(self, t: Array) -> Array:
        """Return sigma sigma' of the plain path, finite at both ends."""

    def d_anchor(self, t: npt.ArrayLike) -> Array:
        """Derivative of k in t."""
        return self._apply(self._d_anchor, t)

    def _alpha(self, t: Array) -> Array:
        return np.asarray(self.plain.alpha(t))

    def _d_alpha(self, t: Array) -> Array:
        return np.asarray(self.plain.d_alpha(t))

    def _sigma(self, t: Array) -> Array:
        return np.hypot(self.plain.sigma(t), self.spread * self._anchor(t))

    def _d_sigma(self, t: Array) -> Array:
        slope = self._half_d_variance(t) + self.spread**2 * self._anchor(t) * self._d_anchor(t)
        return slope / self._sigma(t)

    def _prior_deviation(self, t: Array) -> Array:
        return np.full_like(t, self.spread)

    def _noising(self) -> None:
        """Raise TypeError unless the base is a path from data to noise."""
        if not isinstance(self.base, Gaussian) or self.base.process != "noising":
            raise TypeError(f"base is {self.base!r}; pass a Gaussian path such as paths.VP()")


@dataclass(frozen=True)
class Pinned(Gaussian):
    """Plain path of a bridge, x_t - a(t) x_T: alpha and sigma are both 0 at its end, their ratio is the base's there.

    (alpha/sigma)^2 = SNR_t - SNR_T of the base.

    Parameters
    ----------
    base : Gaussian path
    """

    base: Gaussian

    def __post_init__(self) -> None:
        """Fix the times."""
        last = self.base.start
        self._fix(name=f"pinned-{self.base.name}", start=last, stop=self.base.stop, end=last)

    @cached_property
    def _last(self) -> float:
        return float(self.base.log_snr(self.end))

    def _ratio(self, t: Array) -> Array:
        """SNR_T/SNR_t."""
        return np.asarray(np.exp(2 * (self._last - self.base.log_snr(t))))

    def _free(self, t: Array) -> Array:
        """1 - SNR_T/SNR_t."""
        return -np.expm1(2 * (self._last - self.base.log_snr(t)))

    def _pull(self, t: Array) -> Array:
        """Derivative of SNR_T/SNR_t, finite where SNR_t is infinite."""
        return np.asarray(np.exp(2 * self._last) * self.base.g2(t) / self.base.alpha(t) ** 2)

    def _alpha(self, t: Array) -> Array:
        return np.asarray(self.base.alpha(t) * self._free(t))

    def _d_alpha(self, t: Array) -> Array:
        return np.asarray(self.base.d_alpha(t) * self._free(t) - self.base.alpha(t) * self._pull(t))

    def _sigma(self, t: Array) -> Array:
        return np.asarray(self.base.sigma(t) * np.sqrt(self._free(t)))

    def _half_d_variance(self, t: Array) -> Array:
        square = self.base.sigma(t) ** 2
        free = (self.base.g2(t) / 2 + self.base.f(t) * square) * self._free(t)
        return np.asarray(free - square * self._pull(t) / 2)

    def _d_sigma(self, t: Array) -> Array:
        return self._half_d_variance(t) / self._sigma(t)

    def _log_snr(self, t: Array) -> Array:
        return np.asarray(self.base.log_snr(t) + np.log(self._free(t)) / 2)

    def _d_log_snr(self, t: Array) -> Array:
        return np.asarray(self.base.d_log_snr(t) / self._free(t))

    def _g2(self, t: Array) -> Array:
        return np.asarray(self.base.g2(t))

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        return np.asarray(self.base.time_of_log_snr(np.logaddexp(2 * log_snr, 2 * self._last) / 2))


@dataclass(frozen=True)
class Bridge(Anchored):
    """Denoising diffusion bridge: a diffusion from the data, given where it ends, x_T = y.

    x_t = a y + b x_0 + c eps with a = (alpha_t/alpha_T) r, b = alpha_t (1 - r), c^2 = sigma_t^2 (1 - r) and
    r = SNR_T/SNR_t, all of the base. Sampling starts at its default start, T, and stops at its default stop.

    Parameters
    ----------
    base : Gaussian path
        Diffusion that is bridged, with signal and noise at its start; `VP(0.1, 2.1)` is the paper's own, `EDM()` its
        variance-exploding one.
    spread : float
        Standard deviation of y where no endpoint is given.

    Raises
    ------
    TypeError, ValueError
        A base that is no noising path, or is all noise at its start, so that its end says nothing of its beginning; a
        spread that is not above 0.

    References
    ----------
    Zhou, Lou, Khanna and Ermon 2023 (DDBM); Zheng et al. 2024 (DBIM) for a, b, c, `get_abc` of their code.
    """

    base: Gaussian = field(default_factory=lambda: VP(0.1, 2.1))
    spread: float = 1.0

    process: ClassVar[str] = "bridge"
    grid: ClassVar[str] = "two-sided"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        self._noising()
        positive("spread", self.spread)
        last = self.base.start
        if self.base.alpha(last) == 0:
            raise ValueError(
                f"base is {self.base!r}, all noise at its start, t = {last:g}: give a diffusion with signal left there"
            )
        self._fix(name=f"bridge-{self.base.name}", start=last, stop=self.base.stop, end=last)

    @cached_property
    def plain(self) -> Pinned:
        """Path of x_t - a(t) y, (b, c)."""
        return Pinned(self.base)

    def _anchor(self, t: Array) -> Array:
        return np.asarray(self.base.alpha(t) / self.base.alpha(self.end) * self.plain._ratio(t))

    def _d_anchor(self, t: Array) -> Array:
        moved = self.base.d_alpha(t) * self.plain._ratio(t) + self.base.alpha(t) * self.plain._pull(t)
        return np.asarray(moved / self.base.alpha(self.end))

    def _half_d_variance(self, t: Array) -> Array:
        return self.plain._half_d_variance(t)

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        # (sigma/alpha)^2 = (spread/alpha_T)^2 p^2 + p/SNR_T with p = r/(1 - r)
        last, snr = self.plain._last, np.exp(2 * log_snr)
        square, rate = (self.spread / self.base.alpha(self.end)) ** 2, np.exp(-2 * last) * snr
        reciprocal = (rate + np.sqrt(rate**2 + 4 * square * snr)) / 2
        return np.asarray(self.base.time_of_log_snr(last + np.log1p(reciprocal) / 2))


@dataclass(frozen=True)
class Scaled(Gaussian):
    """Plain path of a mean-reverting diffusion, x_t - (1 - alpha) mu: a base whose noise is scaled.

    Parameters
    ----------
    base : Gaussian path
    deviation : float
        Factor on its sigma.
    """

    base: Gaussian
    deviation: float

    def __post_init__(self) -> None:
        """Fix the times."""
        base = self.base
        self._fix(
            name=f"scaled-{base.name}", start=base.start, stop=base.stop, end=base.end, domain=base._domain
        )

    def _alpha(self, t: Array) -> Array:
        return np.asarray(self.base.alpha(t))

    def _d_alpha(self, t: Array) -> Array:
        return np.asarray(self.base.d_alpha(t))

    def _sigma(self, t: Array) -> Array:
        return np.asarray(self.deviation * self.base.sigma(t))

    def _d_sigma(self, t: Array) -> Array:
        return np.asarray(self.deviation * self.base.d_sigma(t))

    def _log_snr(self, t: Array) -> Array:
        return np.asarray(self.base.log_snr(t) - np.log(self.deviation))

    def _d_log_snr(self, t: Array) -> Array:
        return np.asarray(self.base.d_log_snr(t))

    def _f(self, t: Array) -> Array:
        return np.asarray(self.base.f(t))

    def _g2(self, t: Array) -> Array:
        return np.asarray(self.deviation**2 * self.base.g2(t))

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        return np.asarray(self.base.time_of_log_snr(log_snr + np.log(self.deviation)))


@dataclass(frozen=True)
class MeanReverting(Anchored):
    """Diffusion that reverts to a mean mu, dx = theta (mu - x) dt + s dW with s^2 = 2 deviation^2 theta.

    x_t = mu + (x_0 - mu) alpha_t + deviation sigma_t eps, where alpha and sigma are a variance-preserving base's:
    theta = -alpha'/alpha, half its beta. The law tends to N(mu, deviation^2), from which sampling starts; with the
    default base, whose integral of theta is 25, nothing of x_0 is left there. Times as the base's.

    Parameters
    ----------
    base : Gaussian path
        Variance-preserving.
    deviation : float
        lambda of the paper, above 0.
    spread : float
        Standard deviation of mu where no mean is given.

    Raises
    ------
    TypeError, ValueError
        A base that is no noising path or does not preserve variance; a deviation or spread that is not above 0.

    References
    ----------
    Luo et al. 2023 (IR-SDE), `IRSDE` of their code.
    """

    base: Gaussian = field(default_factory=lambda: VP(0.1, 100.0))
    deviation: float = 1.0
    spread: float = 1.0

    process: ClassVar[str] = "mean-reverting"
    grid: ClassVar[str] = "power"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        self._noising()
        positive("deviation", self.deviation)
        positive("spread", self.spread)
        base = self.base
        t = np.linspace(base.stop, base.start, 9)
        if np.abs(base.alpha(t) ** 2 + base.sigma(t) ** 2 - 1).max() > 1e-9:
            raise ValueError(
                f"base is {base!r}, which does not preserve variance: give paths.VP(...) or paths.CosineVP()"
            )
        name = f"mean-reverting-{base.name}"
        self._fix(name=name, start=base.start, stop=base.stop, end=base.end, domain=base._domain)

    @cached_property
    def plain(self) -> Scaled:
        """Path of x_t - (1 - alpha) mu."""
        return Scaled(self.base, self.deviation)

    @property
    def clock(self) -> Scaled:
        """Path whose Brownian motion is this one's."""
        return self.plain

    def _anchor(self, t: Array) -> Array:
        alpha, sigma = self.base.alpha(t), self.base.sigma(t)
        return np.asarray(sigma**2 / (1 + alpha))  # 1 - alpha, near the data too

    def _d_anchor(self, t: Array) -> Array:
        return np.asarray(-self.base.d_alpha(t))

    def _half_d_variance(self, t: Array) -> Array:
        return np.asarray(-(self.deviation**2) * self.base.alpha(t) * self.base.d_alpha(t))

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        # (sigma/alpha)^2 = deviation^2 (w^2 - 1) + spread^2 (w - 1)^2 with w = 1/alpha, whose root less 1 is u
        q, noise, wide = np.exp(-2 * log_snr), self.deviation**2, self.spread**2
        u = q / (noise + np.sqrt(noise**2 + q * (noise + wide)))
        return np.asarray(self.base.time_of_log_snr(-np.log(u * (u + 2)) / 2))
