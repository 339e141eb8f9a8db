"""Closed-form paths on [0, 1] that reach the noise, alpha = 0, at t = 1: linear, trigonometric, polynomial.

Every formula keeps a relative accuracy of a few units in the last place near both ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from .gaussian import Array, UnitPrior, positive


@dataclass(frozen=True, init=False)
class Linear(UnitPrior):
    """The straight path of flow matching, alpha = 1 - t and sigma = t.

    Sampling starts at 0.999 and stops at 0.001 by default; the prior is N(0, I). The path lives on [0, 1].

    References
    ----------
    Lipman et al. 2023; Liu et al. 2023 (rectified flow). Their clocks run from noise to data.
    """

    def __init__(self) -> None:
        """Set the times."""
        self._fix(name="linear", start=0.999, stop=0.001, end=1.0)

    def _alpha(self, t: Array) -> Array:
        return 1 - t

    def _sigma(self, t: Array) -> Array:
        return t.copy()

    def _d_alpha(self, t: Array) -> Array:
        return np.full_like(t, -1.0)

    def _d_sigma(self, t: Array) -> Array:
        return np.ones_like(t)

    def _log_snr(self, t: Array) -> Array:
        return np.log1p(-t) - np.log(t)

    def _d_log_snr(self, t: Array) -> Array:
        return -1 / (t * (1 - t))

    def _g2(self, t: Array) -> Array:
        return 2 * t / (1 - t)

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        return scipy.special.expit(-log_snr)


@dataclass(frozen=True, init=False)
class Trigonometric(UnitPrior):
    """The path on a quarter circle, alpha = cos(pi t/2) and sigma = sin(pi t/2).

    Sampling starts at 0.999 and stops at 0.001 by default; the prior is N(0, I). The path lives on [0, 1].

    References
    ----------
    Albergo and Vanden-Eijnden 2023 (stochastic interpolants); Salimans and Ho 2022, appendix.
    """

    def __init__(self) -> None:
        """Set the times."""
        self._fix(name="trigonometric", start=0.999, stop=0.001, end=1.0)

    def _alpha(self, t: Array) -> Array:
        return np.sin(np.pi / 2 * (1 - t))

    def _sigma(self, t: Array) -> Array:
        return np.sin(np.pi / 2 * t)

    def _d_alpha(self, t: Array) -> Array:
        return -np.pi / 2 * self._sigma(t)

    def _d_sigma(self, t: Array) -> Array:
        return np.pi / 2 * self._alpha(t)

    def _log_snr(self, t: Array) -> Array:
        return np.log(self._alpha(t)) - np.log(self._sigma(t))

    def _d_log_snr(self, t: Array) -> Array:
        return -np.pi / 2 / (self._alpha(t) * self._sigma(t))

    def _g2(self, t: Array) -> Array:
        return np.pi * self._sigma(t) / self._alpha(t)

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        near_data = 2 / np.pi * np.arctan(np.exp(-log_snr))
        return np.where(log_snr < 0, 1 - 2 / np.pi * np.arctan(np.exp(log_snr)), near_data)


@dataclass(frozen=True)
class Polynomial(UnitPrior):
    """A path that leaves the data at a polynomial rate, alpha = (1 - t)^power and sigma = 1 - (1 - t)^power.

    Sampling starts at 0.999 and stops at 0.001 by default; the prior is N(0, I). The path lives on [0, 1];
    power 1 is `Linear`.

    Parameters
    ----------
    power : float
        Above 0; ValueError if not.
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        positive("power", self.power)
        self._fix(name="polynomial", start=0.999, stop=0.001, end=1.0)

    def _alpha(self, t: Array) -> Array:
        return (1 - t) ** self.power

    def _sigma(self, t: Array) -> Array:
        return -np.expm1(self.power * np.log1p(-t))

    def _d_alpha(self, t: Array) -> Array:
        return -self.power * (1 - t) ** (self.power - 1)

    def _d_sigma(self, t: Array) -> Array:
        return -self._d_alpha(t)

    def _log_snr(self, t: Array) -> Array:
        return self.power * np.log1p(-t) - np.log(self._sigma(t))

    def _d_log_snr(self, t: Array) -> Array:
        return self._f(t) / self._sigma(t)

    def _f(self, t: Array) -> Array:
        # Not alpha'/alpha: alpha underflows for high powers.
        return -self.power / (1 - t)

    def _g2(self, t: Array) -> Array:
        return 2 * self.power * self._sigma(t) / (1 - t)

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        return -np.expm1(-np.logaddexp(0.0, -log_snr) / self.power)
