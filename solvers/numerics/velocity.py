"""A velocity under friction and noise, without a force: its exact flow, accurate for steps of any size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .phi import phi

Array = NDArray[np.float64]
_SERIES_BELOW, _TERMS = 2.0, 12


class FreeFlow(NamedTuple):
    """The flow of dx = v dt, dv = -friction v dt + sqrt(2 friction) dW over a time h.

    Attributes
    ----------
    kept, moved : arrays
        v' = kept v and x' = x + moved v, but for the noise.
    v_of_w, v_of_b, x_of_w, x_of_b : arrays
        Weights of W's increment and of what is left of the exponential beside it, both N(0, I), in v' and in x'.
    pushed : array
        What a force that stays as it is adds to x'; it adds `moved` to v'.
    """

    kept: Array
    moved: Array
    v_of_w: Array
    v_of_b: Array
    x_of_w: Array
    x_of_b: Array
    pushed: Array


def free_flow(friction: float, h: ArrayLike) -> FreeFlow:
    """Return the flow over h: with z = friction h its noise is sqrt(2z) (phi_1(-z) W + z d B) in v.

    In x it is h sqrt(2z) (phi_2(-z) W - d B), d that of `deviation_of_decay`.
    """
    h = np.asarray(h, dtype=np.float64)
    z: Array = friction * h
    d, size = deviation_of_decay(z), np.sqrt(2 * z)
    one, two = phi(1, -z), phi(2, -z)
    return FreeFlow(np.exp(-z), h * one, size * one, size * z * d, h * size * two, -h * size * d, h**2 * two)


def deviation_of_decay(z: ArrayLike) -> Array:
    """Standard deviation of e^{-z u}, u uniform on (0, 1), over z: 1/sqrt(12) at z = 0.

    Its square times z^2 is phi_1(-2z) - phi_1(-z)^2, which cancels for small z: there it is
    e^{-z} sinh(y)/y (cosh y - sinh(y)/y) with y = z/2 and a series of positive terms for the bracket.
    """
    z = np.asarray(z, dtype=np.float64)
    y2 = np.where(z < _SERIES_BELOW, z / 2, 0.0) ** 2
    bracket, sinhc = np.zeros_like(y2), np.ones_like(y2)
    term = np.ones_like(y2)  # y^2(k-1)/(2k+1)!
    for k in range(1, _TERMS + 1):
        term = term / (2 * k * (2 * k + 1)) * (y2 if k > 1 else 1.0)
        bracket = bracket + 2 * k * term  # (cosh y - sinh(y)/y) / y^2
        sinhc = sinhc + term * y2
    large = np.where(z < _SERIES_BELOW, _SERIES_BELOW, z)
    plain = np.sqrt(phi(1, -2 * large) - phi(1, -large) ** 2) / large
    return np.where(z < _SERIES_BELOW, np.exp(-z / 2) * np.sqrt(sinhc * bracket) / 2, plain)
