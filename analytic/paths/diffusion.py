"""Closed-form paths of diffusion models: variance-preserving, sub-VP, cosine, variance-exploding, EDM.

Every formula keeps a relative accuracy of a few units in the last place near both ends. On the paths driven
by a rate beta, B(t) is its integral from 0 to t, so that alpha = exp(-B/2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .gaussian import Array, Gaussian, UnitPrior, ordered, positive


class _Rate(UnitPrior):
    """A path with f = -beta/2, where beta is linear in t."""

    beta_min: float
    beta_max: float

    def _beta(self, t: Array) -> Array:
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def _integral(self, t: Array) -> Array:
        return t * (self.beta_min + (self.beta_max - self.beta_min) / 2 * t)

    def _time_of_integral(self, B: Array) -> Array:
        # The root of the quadratic that does not subtract.
        root = np.sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * B)
        return np.where(np.isinf(B), np.inf, 2 * B / (self.beta_min + root))

    def _alpha(self, t: Array) -> Array:
        return np.exp(-self._integral(t) / 2)

    def _d_alpha(self, t: Array) -> Array:
        return -self._beta(t) / 2 * self._alpha(t)

    def _f(self, t: Array) -> Array:
        return -self._beta(t) / 2


@dataclass(frozen=True)
class VP(_Rate):
    """Variance-preserving path, alpha = exp(-B/2) and sigma^2 = 1 - exp(-B).

    Sampling starts at 1 and stops at 1e-3 by default; the prior is N(0, I).

    Parameters
    ----------
    beta_min, beta_max : float
        beta at t = 0 and t = 1, 0 < beta_min <= beta_max; ValueError if not. A discrete chain of n steps with
        rates b_1..b_n has beta_min = n b_1, beta_max = n b_n: 0.85 and 12 for Stable Diffusion's.
    schedule : {"linear", "scaled-linear"}
        Whether beta or its square root is linear in t.

    References
    ----------
    Song et al. 2021 (score SDE), eqs. 32 and 33; scaled-linear from Rombach et al. 2022, in continuous time.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    schedule: str = "linear"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        ordered("beta_min", "beta_max", self.beta_min, self.beta_max)
        if self.schedule not in ("linear", "scaled-linear"):
            raise ValueError(f"schedule is {self.schedule!r}; pass 'linear' or 'scaled-linear'")
        name = "vp" if self.schedule == "linear" else "vp-scaled-linear"
        self._fix(name=name, start=1.0, stop=1e-3, end=1.0, domain=(0.0, np.inf))

    @property
    def _roots(self) -> tuple[float, float]:
        low, high = float(np.sqrt(self.beta_min)), float(np.sqrt(self.beta_max))
        # Not high - low, which cancels for nearly equal rates.
        return low, (self.beta_max - self.beta_min) / (high + low)

    def _beta(self, t: Array) -> Array:
        if self.schedule == "linear":
            return super()._beta(t)
        low, slope = self._roots
        return (low + slope * t) ** 2

    def _integral(self, t: Array) -> Array:
        if self.schedule == "linear":
            return super()._integral(t)
        low, slope = self._roots
        return t * (low**2 + slope * t * (low + slope * t / 3))

    def _time_of_integral(self, B: Array) -> Array:
        if self.schedule == "linear":
            return super()._time_of_integral(B)
        low, slope = self._roots
        root = np.cbrt(low**3 + 3 * slope * B)
        return np.where(np.isinf(B), np.inf, 3 * B / (root**2 + root * low + low**2))

    def _sigma(self, t: Array) -> Array:
        return np.sqrt(-np.expm1(-self._integral(t)))

    def _d_sigma(self, t: Array) -> Array:
        B = self._integral(t)
        return self._beta(t) / 2 * np.exp(-B) / np.sqrt(-np.expm1(-B))

    def _log_snr(self, t: Array) -> Array:
        B = self._integral(t)
        return -np.where(B < 1, np.log(np.expm1(B)), B + np.log1p(-np.exp(-B))) / 2

    def _d_log_snr(self, t: Array) -> Array:
        return self._beta(t) / 2 / np.expm1(-self._integral(t))

    def _g2(self, t: Array) -> Array:
        return self._beta(t)

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        return self._time_of_integral(np.logaddexp(0.0, -2 * log_snr))


@dataclass(frozen=True)
class SubVP(_Rate):
    """Sub-variance-preserving path, alpha = exp(-B/2) and sigma = 1 - alpha^2, beta linear in t.

    Sampling starts at 1 and stops at 1e-3 by default; the prior is N(0, I).

    Parameters
    ----------
    beta_min, beta_max : float
        beta at t = 0 and t = 1, 0 < beta_min <= beta_max; ValueError if not.

    References
    ----------
    Song et al. 2021 (score SDE), eqs. 28 and 29.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        ordered("beta_min", "beta_max", self.beta_min, self.beta_max)
        self._fix(name="sub-vp", start=1.0, stop=1e-3, end=1.0, domain=(0.0, np.inf))

    def _sigma(self, t: Array) -> Array:
        return -np.expm1(-self._integral(t))

    def _d_sigma(self, t: Array) -> Array:
        return self._beta(t) * np.exp(-self._integral(t))

    def _log_snr(self, t: Array) -> Array:
        # sigma/alpha = 2 sinh(B/2)
        B = self._integral(t)
        return -np.where(B < 1, np.log(2 * np.sinh(B / 2)), B / 2 + np.log1p(-np.exp(-B)))

    def _d_log_snr(self, t: Array) -> Array:
        return -self._beta(t) / 2 / np.tanh(self._integral(t) / 2)

    def _g2(self, t: Array) -> Array:
        return -self._beta(t) * np.expm1(-2 * self._integral(t))

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        # B = 2 asinh(sigma/alpha/2), written for sigma/alpha beyond the largest float where log_snr < 0.
        small = 2 * np.arcsinh(np.exp(-log_snr) / 2)
        square = 4 * np.exp(2 * log_snr)
        large = 2 * np.log1p(square / (1 + np.sqrt(1 + square)) / 2) - 2 * log_snr
        return self._time_of_integral(np.where(log_snr < 0, large, small))


@dataclass(frozen=True)
class CosineVP(UnitPrior):
    """Cosine variance-preserving path, alpha = cos(pi/2 (t + s)/(1 + s)) / cos(pi/2 s/(1 + s)).

    alpha is 0 at t = 1, where the path ends. Sampling starts at 0.9946 and stops at 1e-3 by default; the
    prior is N(0, I).

    Parameters
    ----------
    s : float
        Offset that keeps the first steps of a discrete chain noisy, above 0; ValueError if not.

    Notes
    -----
    A discrete chain of n steps clips its rates at 0.999, which touches its last step only: that chain ends at
    the noise level of t = 1 - sqrt(0.001)/n to leading order in 1/n, not at alpha = 0.

    References
    ----------
    Nichol and Dhariwal 2021, eq. 17; the start from Lu et al. 2022 (DPM-Solver), who keep clear of alpha = 0.
    """

    s: float = 0.008

    def __post_init__(self) -> None:
        """Validate the parameters."""
        positive("s", self.s)
        self._fix(name="cosine-vp", start=0.9946, stop=1e-3, end=1.0)

    @property
    def _angles(self) -> tuple[float, float]:
        """Angle a at t = 0, and speed w = pi/2 - a: alpha = cos(a + w t)/cos(a) = sin(w (1 - t))/sin(w)."""
        return np.pi / 2 * self.s / (1 + self.s), np.pi / 2 / (1 + self.s)

    def _alpha(self, t: Array) -> Array:
        _, w = self._angles
        return np.sin(w * (1 - t)) / np.sin(w)

    def _variance(self, t: Array) -> Array:
        # sin(w)^2 - sin(w (1 - t))^2 as a product; the second factor has two forms, one for each end.
        a, w = self._angles
        return np.sin(w * t) * np.sin(np.where(t < 0.5, 2 * a + w * t, w * (2 - t))) / np.sin(w) ** 2

    def _sigma(self, t: Array) -> Array:
        return np.sqrt(self._variance(t))

    def _d_alpha(self, t: Array) -> Array:
        a, w = self._angles
        return -w * np.sin(a + w * t) / np.sin(w)

    def _d_sigma(self, t: Array) -> Array:
        return -self._alpha(t) * self._d_alpha(t) / self._sigma(t)

    def _log_snr(self, t: Array) -> Array:
        return np.log(self._alpha(t)) - np.log(self._variance(t)) / 2

    def _d_log_snr(self, t: Array) -> Array:
        return self._f(t) / self._variance(t)

    def _g2(self, t: Array) -> Array:
        return -2 * self._f(t)

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        # tan(a + w t) = r/cos(a) with r^2 = sin(a)^2 + (sigma/alpha)^2; near the noise 1 - t from its
        # reciprocal, near the data tan(w t) by the subtraction theorem with r - sin(a) rationalised.
        a, w = self._angles
        sine, cosine, kappa = np.sin(a), np.sin(w), np.exp(-log_snr)
        r = np.hypot(sine, kappa)
        tangent = kappa / (r + sine) * kappa * cosine / (cosine**2 + r * sine)
        return np.where(kappa < 1, np.arctan(tangent) / w, 1 - np.arctan(cosine / r) / w)


@dataclass(frozen=True)
class VE(Gaussian):
    """Variance-exploding path, alpha = 1 and sigma = sigma_min (sigma_max/sigma_min)^t.

    Sampling starts at 1 (sigma_max) and stops at 0 (sigma_min) by default; the prior is N(0, sigma(t)^2 I).
    sigma reaches 0 at t = -inf only; the formulas hold for every t.

    Parameters
    ----------
    sigma_min, sigma_max : float
        sigma at t = 0 and t = 1, 0 < sigma_min < sigma_max; ValueError if not.

    References
    ----------
    Song et al. 2021 (score SDE), eqs. 30 and 31.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        ordered("sigma_min", "sigma_max", self.sigma_min, self.sigma_max, strict=True)
        self._fix(name="ve", start=1.0, stop=0.0, end=1.0, domain=(-np.inf, np.inf))

    @property
    def _growth(self) -> float:
        return float(np.log(self.sigma_max / self.sigma_min))

    def _alpha(self, t: Array) -> Array:
        return np.ones_like(t)

    def _sigma(self, t: Array) -> Array:
        # Measured from the nearer end, so that both ends are exact.
        return np.where(
            t < 0.5,
            self.sigma_min * np.exp(self._growth * t),
            self.sigma_max * np.exp(self._growth * (t - 1)),
        )

    def _d_alpha(self, t: Array) -> Array:
        return np.zeros_like(t)

    def _d_sigma(self, t: Array) -> Array:
        return self._growth * self._sigma(t)

    def _log_snr(self, t: Array) -> Array:
        return -np.log(self.sigma_min) - self._growth * t

    def _d_log_snr(self, t: Array) -> Array:
        return np.full_like(t, -self._growth)

    def _g2(self, t: Array) -> Array:
        return 2 * self._growth * self._sigma(t) ** 2

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        return (-log_snr - np.log(self.sigma_min)) / self._growth


@dataclass(frozen=True)
class EDM(Gaussian):
    """The path that has the noise level for its clock, alpha = 1 and sigma = t.

    Sampling starts at sigma_max and stops at sigma_min by default; the prior is N(0, sigma(t)^2 I).

    Parameters
    ----------
    sigma_min, sigma_max : float
        Default stop and start, 0 < sigma_min < sigma_max; ValueError if not. They do not change the path.

    References
    ----------
    Karras et al. 2022, table 1.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        ordered("sigma_min", "sigma_max", self.sigma_min, self.sigma_max, strict=True)
        self._fix(name="edm", start=float(self.sigma_max), stop=float(self.sigma_min), end=np.inf)

    def _alpha(self, t: Array) -> Array:
        return np.ones_like(t)

    def _sigma(self, t: Array) -> Array:
        return t.copy()

    def _d_alpha(self, t: Array) -> Array:
        return np.zeros_like(t)

    def _d_sigma(self, t: Array) -> Array:
        return np.ones_like(t)

    def _log_snr(self, t: Array) -> Array:
        return -np.log(t)

    def _d_log_snr(self, t: Array) -> Array:
        return -1 / t

    def _g2(self, t: Array) -> Array:
        return 2 * t

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        return np.exp(-log_snr)
