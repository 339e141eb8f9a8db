"""Diffusion with momentum: the data shrink like a critically damped oscillator, at EDM's levels of noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .diffusion import EDM
from .gaussian import Array, ordered, positive


@dataclass(frozen=True)
class FDM(EDM):
    """Fast diffusion model: x_t = alpha (x_0 + t eps) with alpha = (1 + B) exp(-B), critical damping in B.

    B = multiplier (beta_min u + (beta_max - beta_min) u^2/2), u = (t - sigma_min)/(sigma_max - sigma_min), and 0 below
    sigma_min. The clock is sigma/alpha as on `EDM`, with its start and stop; the prior is N(0, sigma(t)^2 I).

    A denoiser knows x_0 from x/alpha: there nothing is moved against `EDM`, so that all samplers whose steps are in
    sigma/alpha or in log-SNR draw the same, times alpha. The published ones are of that kind, so that what momentum
    changes there is the network, which sees alpha x.

    Parameters
    ----------
    sigma_min, sigma_max : float
        Default stop and start, 0 < sigma_min < sigma_max.
    beta_min, beta_max : float
        Rates at u = 0 and u = 1, 0 < beta_min <= beta_max.
    multiplier : float
        Above 0.

    Raises
    ------
    TypeError, ValueError
        A parameter out of its range.

    References
    ----------
    Wu, Zhou, Kawaguchi and Zhang 2023 (Fast Diffusion Model): s(sigma) of their code's preconditioning, the same over
    EDM, VP and VE.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    multiplier: float = 1.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        ordered("sigma_min", "sigma_max", self.sigma_min, self.sigma_max, strict=True)
        ordered("beta_min", "beta_max", self.beta_min, self.beta_max)
        positive("multiplier", self.multiplier)
        self._fix(name="fdm", start=float(self.sigma_max), stop=float(self.sigma_min), end=np.inf)

    def _damping(self, t: Array) -> tuple[Array, Array]:
        """B and its derivative in t."""
        width, low, slope = self.sigma_max - self.sigma_min, self.beta_min, self.beta_max - self.beta_min
        u = np.maximum(t - self.sigma_min, 0) / width
        rate = np.where(u > 0, low + slope * u, 0.0) / width
        return self.multiplier * u * (low + slope * u / 2), self.multiplier * rate

    def _alpha(self, t: Array) -> Array:
        B, _ = self._damping(t)
        return (1 + B) * np.exp(-B)

    def _d_alpha(self, t: Array) -> Array:
        B, rate = self._damping(t)
        return -B * rate * np.exp(-B)

    def _sigma(self, t: Array) -> Array:
        return t * self._alpha(t)

    def _d_sigma(self, t: Array) -> Array:
        return self._alpha(t) + t * self._d_alpha(t)

    def _f(self, t: Array) -> Array:
        B, rate = self._damping(t)
        return -B * rate / (1 + B)

    def _g2(self, t: Array) -> Array:
        return 2 * t * self._alpha(t) ** 2
