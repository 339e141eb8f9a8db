"""Dynamics on the target itself, whose law stays what it is: time in place of a level of noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .gaussian import Array, UnitPrior, positive


@dataclass(frozen=True)
class Langevin(UnitPrior):
    """Dynamics that keep the target at every time, alpha = 1 and sigma = 0: Langevin's, with or without a velocity.

    Time is what is left of `time`: sampling starts there and stops at 0. The law at every time is the target's, so
    that a sampler started from it is off by its steps alone, and one started from N(0, I) by what is left of that too.

    Parameters
    ----------
    time : float
        How long the dynamics run, above 0; in units where dx = score dt + sqrt(2) dW.
    """

    time: float = 4.0

    process: ClassVar[str] = "langevin"
    grid: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        time = positive("time", self.time)
        self._fix(name="langevin", start=time, stop=0.0, end=time)

    def _alpha(self, t: Array) -> Array:
        return np.ones_like(t)

    def _sigma(self, t: Array) -> Array:
        return np.zeros_like(t)

    _d_alpha = _d_sigma = _f = _g2 = _sigma

    def _log_snr(self, t: Array) -> Array:
        return np.full_like(t, np.inf)

    def _d_log_snr(self, t: Array) -> Array:
        return np.zeros_like(t)

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        raise ValueError(f"log_snr asks {self!r} for a time, but the data have no noise at any: name times")
