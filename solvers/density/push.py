"""Steps as maps of the line: all registers through all stages, with derivatives in one parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ..jit import COMPILED
from ..packed import Packed
from .model import Levels, evaluate

_CHUNK = 64


@njit(**COMPILED)
def advance(
    packed: Packed, levels: Levels, n: int, channel: int, noise: float, rate: float, Z: Any, F: Any, share: Any
) -> None:
    """Take step n with one noise channel at a value that changes at `rate` with the parameter.

    Channel -1 leaves all noise out. Z (4, R) holds registers and their derivatives, then room for the new ones;
    F (2, S) and share (K,) are scratch.
    """
    stages, _, registers, left = packed.counts[n]
    for i in range(stages):
        u, du = 0.0, 0.0
        for r in range(registers):
            u += packed.U[n, i, r] * Z[0, r]
            du += packed.U[n, i, r] * Z[1, r]
        for j in range(i):
            u += packed.A[n, i, j] * F[0, j]
            du += packed.A[n, i, j] * F[1, j]
        if channel >= 0:
            u += packed.G[n, i, channel] * noise
            du += packed.G[n, i, channel] * rate
        value, slope = evaluate(levels.table[n, i], levels.coupling[n, i], u, share)
        F[0, i], F[1, i] = value, slope * du
    for r in range(left):
        z, dz = 0.0, 0.0
        for s in range(registers):
            z += packed.V[n, r, s] * Z[0, s]
            dz += packed.V[n, r, s] * Z[1, s]
        for j in range(stages):
            z += packed.B[n, r, j] * F[0, j]
            dz += packed.B[n, r, j] * F[1, j]
        if channel >= 0:
            z += packed.H[n, r, channel] * noise
            dz += packed.H[n, r, channel] * rate
        Z[2, r], Z[3, r] = z, dz
    for r in range(left):
        Z[0, r], Z[1, r] = Z[2, r], Z[3, r]


@njit(**COMPILED)
def push(packed: Packed, levels: Levels, first: int, stop: int, Z: Any, dZ: Any) -> None:
    """Push registers Z (n, R) and their derivatives dZ in place through steps first..stop-1, noise left out."""
    n, R = Z.shape
    S, K = levels.table.shape[1], levels.table.shape[3]
    for chunk in range((n + _CHUNK - 1) // _CHUNK):
        state, F, share = np.zeros((4, R)), np.empty((2, S)), np.empty(K)
        for i in range(chunk * _CHUNK, min(n, (chunk + 1) * _CHUNK)):
            for r in range(R):
                state[0, r], state[1, r] = Z[i, r], dZ[i, r]
            for step in range(first, stop):
                advance(packed, levels, step, -1, 0.0, 0.0, state, F, share)
            for r in range(R):
                Z[i, r], dZ[i, r] = state[0, r], state[1, r]
