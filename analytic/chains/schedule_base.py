"""What all schedules alpha(t) share, and one's own from two callables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .checks import Array, elementwise


class Schedule(ABC):
    """A non-increasing alpha(t) with alpha(0) = 1; methods are elementwise on numbers and arrays.

    All raise TypeError for what is no number and ValueError for times, alphas and noises outside [0, 1].
    Both alpha and noise = 1 - alpha keep their relative accuracy, each at its own end.
    """

    name: ClassVar[str]

    def alpha(self, t: npt.ArrayLike) -> Array:
        """Probability of being untouched at time t."""
        return elementwise(self._alpha, "t", t)

    def noise(self, t: npt.ArrayLike) -> Array:
        """1 - alpha(t), without cancellation near t = 0."""
        return elementwise(self._noise, "t", t)

    def d_alpha(self, t: npt.ArrayLike) -> Array:
        """Derivative of alpha in t."""
        return elementwise(self._d_alpha, "t", t)

    def rate(self, t: npt.ArrayLike) -> Array:
        """Rate beta(t) = -alpha'(t)/alpha(t) at which tokens are touched; infinite where alpha is 0."""
        return elementwise(self._rate, "t", t)

    def integrated_rate(self, t: npt.ArrayLike) -> Array:
        """Integral of the rate from 0 to t, -log alpha(t); infinite where alpha is 0."""
        return elementwise(self._integrated_rate, "t", t)

    def time_of_alpha(self, alpha: npt.ArrayLike) -> Array:
        """Time at which alpha has the given value; ValueError for values it never takes."""
        values = elementwise(np.copy, "alpha", alpha)
        # Near alpha = 1 the difference 1 - alpha is exact, and near alpha = 0 alpha itself carries the bits.
        near_data = elementwise(self._time_of_noise, "alpha", 1 - values)
        near_noise = elementwise(self._time_of_alpha, "alpha", values)
        return self._inside("alpha", values, values, np.where(values > 0.5, near_data, near_noise)[()])

    def time_of_noise(self, noise: npt.ArrayLike) -> Array:
        """Time at which 1 - alpha has the given value; ValueError for values it never takes."""
        values = elementwise(np.copy, "noise", noise)
        return self._inside("noise", values, 1 - values, elementwise(self._time_of_noise, "noise", values))

    def step(self, s: float, t: float) -> tuple[float, float]:
        """Return alpha(t)/alpha(s) and one minus it, both to a few units in the last place, for s <= t."""
        if s == t:
            return 1.0, 0.0
        first, last = float(self.alpha(s)), float(self.alpha(t))
        lost = first - last if first < 0.5 else float(self.noise(t)) - float(self.noise(s))
        return last / first, lost / first

    def _inside(self, name: str, given: Array, alpha: Array, times: Array) -> Array:
        lowest = float(self.alpha(1.0))
        # An alpha that was rounded up or down at the end is still the end's.
        outside = np.asarray(alpha < lowest * (1 - 1e-14) - 1e-16 * (name == "noise"))
        if outside.any():
            raise ValueError(
                f"{name} is {np.asarray(given)[outside].flat[0]}, which {self!r} never reaches: its alpha ends "
                f"at {lowest:g}; pass a value on the way there"
            )
        return np.clip(times, 0.0, 1.0)

    def _rate(self, t: Array) -> Array:
        return -self._d_alpha(t) / self._alpha(t)

    def _integrated_rate(self, t: Array) -> Array:
        noise = self._noise(t)
        return np.where(noise < 0.5, -np.log1p(-noise), -np.log(self._alpha(t)))

    @abstractmethod
    def _alpha(self, t: Array) -> Array: ...

    @abstractmethod
    def _noise(self, t: Array) -> Array: ...

    @abstractmethod
    def _d_alpha(self, t: Array) -> Array: ...

    @abstractmethod
    def _time_of_noise(self, noise: Array) -> Array: ...

    def _time_of_alpha(self, alpha: Array) -> Array:
        return self._time_of_noise(1 - alpha)


@dataclass(frozen=True)
class Given(Schedule):
    """A schedule of one's own.

    Parameters
    ----------
    function, derivative : callable
        alpha and its derivative, elementwise functions of a float64 array of times in [0, 1]; TypeError if
        not callable. alpha must be 1 at t = 0, non-negative and non-increasing, and the derivative must agree
        with its finite differences; ValueError if not.

    Notes
    -----
    1 - alpha is formed by subtraction, so near t = 0 it is good to about 1e-16 and no better.
    """

    function: Callable[[Array], npt.ArrayLike]
    derivative: Callable[[Array], npt.ArrayLike]
    name: ClassVar[str] = "given"

    def __post_init__(self) -> None:
        """Check both functions on 257 times."""
        for key, function in (("function", self.function), ("derivative", self.derivative)):
            if not callable(function):
                raise TypeError(f"{key} is {function!r}; pass a function of an array of times")
        t = np.linspace(0.0, 1.0, 257)
        alpha = self._alpha(t)
        if not np.isfinite(alpha).all() or (alpha < 0).any() or abs(alpha[0] - 1) > 1e-14:
            i = int(np.argmax(~np.isfinite(alpha) | (alpha < 0)))
            raise ValueError(
                f"function is {alpha[i]} at t = {t[i]:g}; alpha must be 1 at t = 0, finite and non-negative"
            )
        rising = np.diff(alpha) > 0
        if rising.any():
            i = int(np.argmax(rising))
            raise ValueError(
                f"function rises from {alpha[i]:g} at t = {t[i]:g} to {alpha[i + 1]:g} at t = {t[i + 1]:g}; "
                "alpha must not increase, with t = 0 at the data"
            )
        middle = t[1:-1]
        given, found = self._d_alpha(middle), (alpha[2:] - alpha[:-2]) * 128
        # A central difference is off by the change of slope within it, which the neighbours show.
        slopes = self._d_alpha(np.clip(np.stack([middle - 1 / 256, middle + 1 / 256]), 1e-9, 1 - 1e-9))
        wrong = np.abs(given - found) > 1e-4 + np.abs(slopes - given).max(axis=0)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(
                f"derivative is {given[i]:g} at t = {middle[i]:g}, but function has the slope {found[i]:g} "
                "there; correct it"
            )

    def _alpha(self, t: Array) -> Array:
        return np.array(np.broadcast_to(np.asarray(self.function(t), dtype=np.float64), t.shape))

    def _noise(self, t: Array) -> Array:
        return 1 - self._alpha(t)

    def _d_alpha(self, t: Array) -> Array:
        return np.array(np.broadcast_to(np.asarray(self.derivative(t), dtype=np.float64), t.shape))

    def _time_of_noise(self, noise: Array) -> Array:
        return self._time_of_alpha(1 - noise)

    def _time_of_alpha(self, alpha: Array) -> Array:
        from scipy.optimize.elementwise import find_root  # which is slow to import

        ends = self._alpha(np.array([0.0, 1.0]))
        clipped = np.clip(alpha, ends[1], ends[0])
        times = np.where(clipped >= ends[0], 0.0, 1.0)
        inside = (clipped < ends[0]) & (clipped > ends[1])
        if inside.any():
            bracket = (np.zeros(int(inside.sum())), np.ones(int(inside.sum())))
            times[inside] = find_root(lambda t, a: self._alpha(t) - a, bracket, args=(clipped[inside],)).x
        return times
