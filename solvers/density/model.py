"""A one-dimensional mixture's denoiser and score at all levels of a tableau, with their derivatives."""

from __future__ import annotations

from math import exp
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..jit import COMPILED
from ..packed import Packed

Array = NDArray[np.float64]


class Mixture(NamedTuple):
    """A Gaussian mixture on the line: weights, means, variances, each (K,)."""

    weights: Array
    means: Array
    variances: Array

    def density(self, x: Array) -> Array:
        """Density at places of any shape."""
        out = np.zeros(x.shape)
        for weight, mean, variance in zip(*self, strict=True):
            out += weight / np.sqrt(2 * np.pi * variance) * np.exp(-((x - mean) ** 2) / (2 * variance))
        return out


class Levels(NamedTuple):
    """What `evaluate` needs at each evaluation of each step.

    Within component k the value is gain_k x + offset_k, and component k weighs exp(log_weight_k - rate_k (x -
    centre_k)^2). table (N, S, 5, K) holds log_weight, rate, centre, gain, offset; coupling (N, S) is the
    derivative's factor on the variance of the value over components.
    """

    table: Array
    coupling: Array


def levels(packed: Packed, target: Mixture) -> Levels:
    """Tabulate a target at the levels of a tableau: alpha, sigma of every evaluation."""
    alpha, sigma = packed.levels[..., 0, None], packed.levels[..., 1, None]
    score = packed.score[..., None]
    weights, means, variances = target
    total = alpha**2 * variances + sigma**2
    atom = total == 0
    safe = np.where(atom, 1.0, total)
    # At sigma = 0 the denoiser is x/alpha whatever the component.
    exact = ~score & (sigma == 0)
    scale = np.where(alpha > 0, alpha, 1.0)
    gain = np.where(score, -1 / safe, np.where(exact, 1 / scale, alpha * variances / safe))
    offset = np.where(score, alpha * means / safe, np.where(exact, 0.0, sigma**2 * means / safe))
    rate = np.where(exact, 0.0, 1 / (2 * safe))
    log_weight = np.log(weights) - np.where(exact, 0.0, np.log(safe) / 2)
    parts = np.broadcast_arrays(log_weight, rate, alpha * means, gain, offset)
    with np.errstate(divide="ignore"):
        coupling = np.where(score, 1.0, np.where(exact, 0.0, alpha / np.where(sigma > 0, sigma, 1.0) ** 2))
    return Levels(np.ascontiguousarray(np.stack(parts, axis=2)), np.ascontiguousarray(coupling[..., 0]))


@njit(**COMPILED)
def evaluate(table: Any, coupling: float, x: float, share: Any) -> tuple[float, float]:
    """Value and derivative of the model at x; `share` (K,) is scratch.

    D' = sum_k r_k (gain_k + (alpha/sigma^2) (m_k - D)^2), which is alpha/sigma^2 Var[x_0 | x_t = x].
    """
    K = table.shape[1]
    top = -np.inf
    for k in range(K):
        distance = x - table[2, k]
        share[k] = table[0, k] - table[1, k] * distance * distance
        top = max(top, share[k])
    total, value = 0.0, 0.0
    for k in range(K):
        share[k] = 1.0 if share[k] == top else exp(share[k] - top)
        total += share[k]
        value += share[k] * (table[3, k] * x + table[4, k])
    value /= total
    slope = 0.0
    for k in range(K):
        difference = table[3, k] * x + table[4, k] - value
        slope += share[k] * (table[3, k] + coupling * difference * difference)
    return value, slope / total
