"""Steps as maps of the line: all registers through all stages, with derivatives, 16 places at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ....numerics.jit import COMPILED
from ..packed import Packed
from .mixture_on_line import Levels, ask

LANES = 16


@njit(**COMPILED)
def advance(
    packed: Packed,
    levels: Levels,
    n: int,
    channel: int,
    noise: Any,
    rate: Any,
    known: int,
    Z: Any,
    dZ: Any,
    F: Any,
    dF: Any,
    room: Any,
    share: Any,
) -> None:
    """Take step n for 16 places: registers Z and their derivatives dZ (R, 16) in place.

    Noise `channel` has the values `noise` (16,) that change at `rate` (16,); channel -1 leaves all noise out. The
    first `known` evaluations are in F, dF (S, 16) already; room (2 R + 4, 16) and share (K, 16) are scratch.
    """
    stages, _, registers, left = packed.counts[n]
    for i in range(known, stages):
        u, du = room[0], room[1]
        u[:] = 0.0
        du[:] = 0.0
        for r in range(registers):
            factor = packed.U[n, i, r]
            for l in range(16):
                u[l] += factor * Z[r, l]
                du[l] += factor * dZ[r, l]
        for j in range(i):
            factor = packed.A[n, i, j]
            for l in range(16):
                u[l] += factor * F[j, l]
                du[l] += factor * dF[j, l]
        if channel >= 0:
            factor = packed.G[n, i, channel]
            for l in range(16):
                u[l] += factor * noise[l]
                du[l] += factor * rate[l]
        ask(levels, n, i, u, F[i], dF[i], room[2:6], share)
        for l in range(16):
            dF[i, l] *= du[l]
    for r in range(left):
        z, dz = room[2 * r], room[2 * r + 1]
        z[:] = 0.0
        dz[:] = 0.0
        for s in range(registers):
            factor = packed.V[n, r, s]
            for l in range(16):
                z[l] += factor * Z[s, l]
                dz[l] += factor * dZ[s, l]
        for j in range(stages):
            factor = packed.B[n, r, j]
            for l in range(16):
                z[l] += factor * F[j, l]
                dz[l] += factor * dF[j, l]
        if channel >= 0:
            factor = packed.H[n, r, channel]
            for l in range(16):
                z[l] += factor * noise[l]
                dz[l] += factor * rate[l]
    for r in range(left):
        Z[r] = room[2 * r]
        dZ[r] = room[2 * r + 1]


@njit(**COMPILED)
def push(packed: Packed, levels: Levels, first: int, stop: int, Z: Any, dZ: Any) -> None:
    """Push registers Z (P, R, 16) and their derivatives dZ in place through steps first..stop-1, noise left out."""
    S, K = levels.table.shape[1], levels.table.shape[3]
    F, dF = np.empty((S, LANES)), np.empty((S, LANES))
    room, share = np.empty((2 * Z.shape[1] + 4, LANES)), np.empty((K, LANES))
    quiet = np.zeros(LANES)
    for p in range(len(Z)):
        for step in range(first, stop):
            advance(packed, levels, step, -1, quiet, quiet, 0, Z[p], dZ[p], F, dF, room, share)
