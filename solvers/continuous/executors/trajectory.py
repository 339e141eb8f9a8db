"""One trajectory: the steps of a tableau as compiled code walks them, on the CPU and on CUDA."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...numerics.jit import COMPILED
from ...numerics.philox import fill_normals
from ...protocols import Target
from ..imperfect import Imperfect, Perturbation, perturb_block, perturbation
from .mixture_block import Components, components, draw, evaluate, normalisers
from .packed import Packed


class Plan(NamedTuple):
    """All that a trajectory reads: coefficients, errors of the model, the mixture, and what to start from.

    normaliser (N, S, K) or (1, 1, K), see `mixture_block.normalisers`; `noise` (channels, n, dim) replaces the
    addressed stream when it has channels; `given` is True where samples start at given points, `errs` where the
    model errs.
    """

    packed: Packed
    wrong: Perturbation
    target: Components
    normaliser: Any
    start: Components
    noise: Any
    seed: Any
    first: int
    given: bool
    errs: bool


@njit(**COMPILED)
def _combine(out: Any, coefficients: Any, terms: Any, fresh: bool) -> None:
    """Out (dim, lanes) = or += sum_i coefficients[i] terms[i]; zero coefficients, padding too, are skipped."""
    dim, lanes = out.shape
    zero = out.dtype.type(0.0)
    for i in range(terms.shape[0]):
        c = coefficients[i]
        if c == zero:
            continue
        for d in range(dim):
            if fresh:
                for lane in range(lanes):
                    out[d, lane] = c * terms[i, d, lane]
            else:
                for lane in range(lanes):
                    out[d, lane] += c * terms[i, d, lane]
        fresh = False
    if fresh:
        for d in range(dim):
            for lane in range(lanes):
                out[d, lane] = zero


@njit(inline="always", **COMPILED)
def begin(plan: Plan, x: Any, row: int, Z: Any, words: Any, normals: Any) -> None:
    """Fill register 0 of Z (R, dim, lanes), and zero the others, for the samples from `row` of x (n, dim) on."""
    R, dim, lanes = Z.shape
    for r in range(1, R):
        for d in range(dim):
            for lane in range(lanes):
                Z[r, d, lane] = Z.dtype.type(0.0)
    if plan.given:
        for lane in range(min(lanes, x.shape[0] - row)):
            for d in range(dim):
                Z[0, d, lane] = x[row + lane, d]
    else:
        draw(plan.start, plan.seed, plan.first + row, words, normals, Z[0])


@njit(inline="always", **COMPILED)
def advance(
    plan: Plan, i: int, row: int, Z: Any, new: Any, F: Any, xi: Any, U: Any, work: Any, words: Any
) -> None:
    """Carry the registers Z (R, dim, lanes) of the samples from `row` on through step i, into `new`.

    F (S, dim, lanes), xi (C, dim, lanes), U (dim, lanes), work (K + 2 + dim, lanes) and words (2, lanes) are scratch.
    """
    packed = plan.packed
    stages, channels, out = packed.counts[i, 0], packed.counts[i, 1], packed.counts[i, 3]
    dim, lanes = U.shape
    for m in range(channels):
        if plan.noise.shape[0] > 0:
            for lane in range(lanes):
                for d in range(dim):
                    xi[m, d, lane] = plan.noise[packed.first_channel[i] + m, row + lane, d]
        else:
            fill_normals(plan.seed, plan.first + row, i, m, words, xi[m])
    for s in range(stages):
        _combine(U, packed.U[i, s], Z, True)
        _combine(U, packed.A[i, s], F, False)
        _combine(U, packed.G[i, s], xi, False)
        everywhere = plan.normaliser.shape[0] == 1
        normaliser = plan.normaliser[0 if everywhere else i, 0 if everywhere else s]
        alpha, sigma = packed.levels[i, s, 0], packed.levels[i, s, 1]
        evaluate(plan.target, normaliser, packed.asks[i, s], alpha, sigma, U, F[s], work)
        if plan.errs:
            perturb_block(plan.wrong.linear[i, s], plan.wrong.fields[i, s], U, F[s])
    for r in range(out):
        _combine(new[r], packed.V[i, r], Z, True)
        _combine(new[r], packed.B[i, r], F, False)
        _combine(new[r], packed.H[i, r], xi, False)


@njit(**COMPILED)
def carry_plainly(begin_: int, end: int, plan: Plan, size: int, x: Any) -> None:
    """Run chunks begin_ .. end - 1 of so many rows of x (n, dim), in place, step by step in loops over samples.

    What `fused` does on vectors, and runs itself where nothing is compiled.
    """
    n, dim = x.shape
    N, S, R = plan.packed.U.shape
    C, K, kind = plan.packed.G.shape[2], plan.target.means.shape[0], x.dtype
    for row in range(begin_ * size, min(end * size, n), size):
        lanes = min(size, n - row)
        Z, new = np.empty((R, dim, lanes), kind), np.zeros((R, dim, lanes), kind)
        F, xi = np.empty((S, dim, lanes), kind), np.empty((C, dim, lanes), kind)
        U, work = np.empty((dim, lanes), kind), np.empty((K + 2 + dim, lanes), kind)
        words = np.empty((2, lanes), np.uint64)
        begin(plan, x, row, Z, words, U)
        for i in range(N):
            advance(plan, i, row, Z, new, F, xi, U, work, words)
            Z, new = new, Z
        for lane in range(lanes):
            for d in range(dim):
                x[row + lane, d] = Z[0, d, lane]


def plan_of(
    packed: Packed,
    target: Target,
    law: Target | None,
    dtype: str,
    seed: np.uint64,
    first: int = 0,
    noise: NDArray[np.float64] | None = None,
) -> Plan:
    """Lay out what trajectories read, in one float type. They start from a law, or with None at given points."""
    kind = np.dtype(dtype)
    return Plan(
        Packed._make(array.astype(kind) if array.dtype == np.float64 else array for array in packed),
        Perturbation._make(array.astype(kind) for array in perturbation(packed, target)),
        components(target, kind),
        normalisers(target, packed, kind),
        components(target if law is None else law, kind),
        np.empty((0, 0, 0), kind) if noise is None else noise.astype(kind),
        seed,
        first,
        law is None,
        isinstance(target, Imperfect),
    )
