"""One step of a tableau as an affine map, when the model is affine: the core of `law` and `strong`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ...numerics.jit import COMPILED
from ..imperfect import Perturbation
from .packed import Packed


@njit(**COMPILED)
def affine_model(asked: Any, alpha: float, sigma: float, mean: float, variance: float) -> tuple[float, float]:
    """Return (gain, offset) of what is asked of N(mean, variance) at a level: gain * x + offset."""
    if sigma == 0.0 and asked[1] == 0.0:
        return asked[0] / alpha, 0.0
    gain = (asked[0] * alpha * variance - asked[1]) / (alpha * alpha * variance + sigma * sigma)
    return gain, asked[0] * mean - gain * alpha * mean


@njit(**COMPILED)
def affine_step(
    packed: Packed,
    wrong: Perturbation,
    n: int,
    mean: float,
    variance: float,
    along: float,
    rows: Any,
    out: Any,
) -> None:
    """Fill `out` (R, R + 1 + C): each new register as coefficients of the old ones, of 1 and of the channels.

    `along` is the part of a constant error, 1 in every coordinate, in this direction. `rows` (S, R + 1 + C) is scratch
    for the evaluations.
    """
    _S, R = packed.U.shape[1], packed.U.shape[2]
    C = packed.G.shape[2]
    stages, channels, registers, left = packed.counts[n]
    out[:] = 0.0
    rows[:] = 0.0
    for i in range(stages):
        for r in range(registers):
            rows[i, r] = packed.U[n, i, r]
        for m in range(channels):
            rows[i, R + 1 + m] = packed.G[n, i, m]
        for j in range(i):
            if packed.A[n, i, j] != 0.0:
                for column in range(R + 1 + C):
                    rows[i, column] += packed.A[n, i, j] * rows[j, column]
        gain, offset = affine_model(
            packed.asks[n, i], packed.levels[n, i, 0], packed.levels[n, i, 1], mean, variance
        )
        off, tilt, shift = wrong.linear[n, i, 0], wrong.linear[n, i, 1], wrong.linear[n, i, 2]
        gain, offset = off * gain + tilt, off * offset + shift * along
        for column in range(R + 1 + C):
            rows[i, column] *= gain
        rows[i, R] += offset
    for r in range(left):
        for s in range(registers):
            out[r, s] = packed.V[n, r, s]
        for m in range(channels):
            out[r, R + 1 + m] = packed.H[n, r, m]
        for j in range(stages):
            if packed.B[n, r, j] != 0.0:
                for column in range(R + 1 + C):
                    out[r, column] += packed.B[n, r, j] * rows[j, column]


def scratch(packed: Packed) -> tuple[Any, Any]:
    """Return arrays for `affine_step`'s rows and out."""
    S, R, C = packed.U.shape[1], packed.U.shape[2], packed.G.shape[2]
    return np.empty((S, R + 1 + C)), np.empty((R, R + 1 + C))
