"""The phi-functions of exponential integrators, accurate for steps of any size."""

from __future__ import annotations

from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
_SERIES_BELOW, _TERMS = 2.0, 30


def phi(k: int, z: ArrayLike) -> Array:
    """phi_k(z) = int_0^1 exp((1 - u) z) u^(k-1)/(k-1)! du, phi_0 = exp.

    By its Taylor series for |z| < 2, where the recursion phi_{k+1} = (phi_k - 1/k!)/z cancels; by the recursion
    elsewhere. z = -inf gives the limit 0.

    Parameters
    ----------
    k : int
        Index, 0 or more.
    z : array of any shape

    References
    ----------
    Hochbruck and Ostermann 2010, eq. 2.10 and 2.11.
    """
    if k < 0:
        raise ValueError(f"k is {k}: phi-functions are numbered from 0")
    z = np.asarray(z, dtype=np.float64)
    if k == 0:
        return np.exp(z)
    small = np.where(np.abs(z) < _SERIES_BELOW, z, 0.0)
    series = np.zeros_like(small)
    for j in range(_TERMS, -1, -1):
        series = series * small + 1 / factorial(j + k)
    large = np.where(np.abs(z) < _SERIES_BELOW, -_SERIES_BELOW, z)
    recursion = np.expm1(large) / large
    for j in range(1, k):
        recursion = (recursion - 1 / factorial(j)) / large
    return np.where(np.abs(z) < _SERIES_BELOW, series, recursion)
