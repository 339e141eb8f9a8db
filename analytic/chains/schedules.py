"""Schedules alpha(t) on [0, 1]: the probability that a token is still untouched, from 1 at t = 0 downwards.

For the mixture family alpha is the weight of the data; for the other chains exp(-integrated rate).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..names import unknown
from ..paths.gaussian import ordered, positive
from .checks import Array
from .schedule_base import Given, Schedule

__all__ = [
    "NAMED",
    "Constant",
    "Cosine",
    "Geometric",
    "Given",
    "Linear",
    "LogLinear",
    "Polynomial",
    "Schedule",
    "named",
]


@dataclass(frozen=True)
class Linear(Schedule):
    """alpha = 1 - t: tokens are touched at a uniform time, and masks grow at a constant pace."""

    name: ClassVar[str] = "linear"

    def _alpha(self, t: Array) -> Array:
        return 1 - t

    def _noise(self, t: Array) -> Array:
        return t.copy()

    def _d_alpha(self, t: Array) -> Array:
        return np.full_like(t, -1.0)

    def _time_of_noise(self, noise: Array) -> Array:
        return noise.copy()


@dataclass(frozen=True)
class LogLinear(Schedule):
    """alpha = 1 - (1 - alpha_min) t, the log-linear noise of SEDD: `Linear` that stops short of alpha = 0.

    Parameters
    ----------
    alpha_min : float
        alpha at t = 1, strictly between 0 and 1; ValueError if not.

    References
    ----------
    Lou, Meng and Ermon 2024 (SEDD), appendix C, where alpha_min is called epsilon.
    """

    alpha_min: float = 1e-3
    name: ClassVar[str] = "log-linear"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        if positive("alpha_min", self.alpha_min) >= 1:
            raise ValueError(f"alpha_min is {self.alpha_min!r}; pass a number between 0 and 1")

    def _alpha(self, t: Array) -> Array:
        # Two positive terms, so that alpha keeps its digits as it comes down to alpha_min.
        return (1 - t) + self.alpha_min * t

    def _noise(self, t: Array) -> Array:
        return (1 - self.alpha_min) * t

    def _d_alpha(self, t: Array) -> Array:
        return np.full_like(t, self.alpha_min - 1)

    def _time_of_noise(self, noise: Array) -> Array:
        return noise / (1 - self.alpha_min)


@dataclass(frozen=True)
class Constant(Schedule):
    """alpha = exp(-total t): a constant rate, the time-homogeneous chain.

    Parameters
    ----------
    total : float
        The rate, and its integral over [0, 1]; above 0, ValueError if not.
    """

    total: float = 8.0
    name: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        positive("total", self.total)

    def _alpha(self, t: Array) -> Array:
        return np.exp(-self.total * t)

    def _noise(self, t: Array) -> Array:
        return -np.expm1(-self.total * t)

    def _d_alpha(self, t: Array) -> Array:
        return -self.total * np.exp(-self.total * t)

    def _rate(self, t: Array) -> Array:
        return np.full_like(t, self.total)

    def _integrated_rate(self, t: Array) -> Array:
        return self.total * t

    def _time_of_noise(self, noise: Array) -> Array:
        return -np.log1p(-noise) / self.total

    def _time_of_alpha(self, alpha: Array) -> Array:
        return -np.log(alpha) / self.total


@dataclass(frozen=True)
class Geometric(Schedule):
    """alpha = exp(sigma_min - sigma_min^(1-t) sigma_max^t): an integrated rate that grows geometrically.

    Parameters
    ----------
    sigma_min, sigma_max : float
        0 < sigma_min < sigma_max; ValueError if not. alpha at t = 1 is exp(sigma_min - sigma_max).

    Notes
    -----
    The papers leave the first sigma_min out, so that their t = 0 is not the data but the data noised by
    sigma_min. Here t = 0 is the data, as for every chain; transitions between positive times are the same.

    References
    ----------
    Lou, Meng and Ermon 2024 (SEDD), appendix C; Shi et al. 2024 (MD4), table 1.
    """

    sigma_min: float = 1e-5
    sigma_max: float = 20.0
    name: ClassVar[str] = "geometric"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        ordered("sigma_min", "sigma_max", self.sigma_min, self.sigma_max, strict=True)

    @property
    def _log_ratio(self) -> float:
        return float(np.log(self.sigma_max) - np.log(self.sigma_min))

    def _integrated_rate(self, t: Array) -> Array:
        return self.sigma_min * np.expm1(self._log_ratio * t)

    def _rate(self, t: Array) -> Array:
        return self.sigma_min * self._log_ratio * np.exp(self._log_ratio * t)

    def _alpha(self, t: Array) -> Array:
        return np.exp(-self._integrated_rate(t))

    def _noise(self, t: Array) -> Array:
        return -np.expm1(-self._integrated_rate(t))

    def _d_alpha(self, t: Array) -> Array:
        return -self._rate(t) * self._alpha(t)

    def _time_of_noise(self, noise: Array) -> Array:
        return np.log1p(-np.log1p(-noise) / self.sigma_min) / self._log_ratio

    def _time_of_alpha(self, alpha: Array) -> Array:
        return np.log1p(-np.log(alpha) / self.sigma_min) / self._log_ratio


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha = 1 - sin(pi t/2): slow at the noise, so that few tokens are decided in the first steps.

    References
    ----------
    Shi et al. 2024 (MD4), table 1; the mask rates of Chang et al. 2022 (MaskGIT), section 3.3.
    """

    name: ClassVar[str] = "cosine"

    def _alpha(self, t: Array) -> Array:
        # Exactly 1 at t = 0, and by the half angle exact near t = 1.
        return np.where(t < 0.5, 1 - np.sin(np.pi / 2 * t), 2 * np.sin(np.pi / 4 * (1 - t)) ** 2)

    def _noise(self, t: Array) -> Array:
        return np.sin(np.pi / 2 * t)

    def _d_alpha(self, t: Array) -> Array:
        return -np.pi / 2 * np.sin(np.pi / 2 * (1 - t))

    def _rate(self, t: Array) -> Array:
        # Cancelled by half angles: relative accuracy where alpha and alpha' both vanish.
        return np.pi / 2 / np.tan(np.pi / 4 * (1 - t))

    def _time_of_noise(self, noise: Array) -> Array:
        return 2 / np.pi * np.arcsin(noise)

    def _time_of_alpha(self, alpha: Array) -> Array:
        return 1 - 4 / np.pi * np.arcsin(np.sqrt(alpha / 2))


@dataclass(frozen=True)
class Polynomial(Schedule):
    """alpha = 1 - t^power.

    Parameters
    ----------
    power : float
        Above 0, ValueError if not; below 1 the rate is infinite at t = 0, and 1 is `Linear`.

    References
    ----------
    Shi et al. 2024 (MD4), table 1.
    """

    power: float = 2.0
    name: ClassVar[str] = "polynomial"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        positive("power", self.power)

    def _alpha(self, t: Array) -> Array:
        return -np.expm1(self.power * np.log(t))

    def _noise(self, t: Array) -> Array:
        return t**self.power

    def _d_alpha(self, t: Array) -> Array:
        return -self.power * t ** (self.power - 1)

    def _time_of_noise(self, noise: Array) -> Array:
        return noise ** (1 / self.power)

    def _time_of_alpha(self, alpha: Array) -> Array:
        return np.exp(np.log1p(-alpha) / self.power)


NAMED: dict[str, type[Schedule]] = {
    kind.name: kind for kind in (Linear, LogLinear, Constant, Geometric, Cosine, Polynomial)
}


def named(schedule: object) -> Schedule:
    """Return a schedule given as an object or by its name, then with its default parameters.

    Raises ValueError for an unknown name, TypeError for anything else.
    """
    if isinstance(schedule, Schedule):
        return schedule
    if not isinstance(schedule, str):
        raise TypeError(
            f"schedule is {schedule!r}; pass one of {', '.join(NAMED)}, or an object such as "
            "schedules.Polynomial(3)"
        )
    if schedule not in NAMED:
        raise unknown("schedule", schedule, NAMED)
    return NAMED[schedule]()
