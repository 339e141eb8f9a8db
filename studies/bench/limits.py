"""What this machine's arithmetic allows: measured peaks, and the multiplications that a step cannot do without."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import njit

from analytic import GaussianMixture
from solvers.continuous.executors.packed import pack
from solvers.continuous.tableau import Tableau
from solvers.numerics.jit import COMPILED, in_parallel
from solvers.numerics.lanes import BYTES, fma, load, start_of, store
from solvers.numerics.philox import fill_normals
from solvers.numerics.primitives import exp2

# Multiplications, fused or not, divisions and roots among them, per number of the float type. In `primitives` and
# `philox`: 2^x; two normals by Box and Muller; and of Philox 20 products of 32 bits, for which a register has room
# of 64 each: two float32 numbers' worth.
OF_POWER = {"float32": 6, "float64": 11}
OF_PAIR = {"float32": 29 + 40, "float64": 44 + 20}


@njit(**COMPILED)
def _fma(begin: int, end: int, numbers: Any) -> None:
    p, lanes = start_of(numbers), BYTES // numbers.itemsize
    factor, added = load(p, 0), load(p, lanes)
    a = b = c = d = e = f = added
    for _ in range(begin, end):
        a, b, c = fma(a, factor, added), fma(b, factor, added), fma(c, factor, added)
        d, e, f = fma(d, factor, added), fma(e, factor, added), fma(f, factor, added)
    if begin >= 0:  # else the compiler would see that nobody asks
        store(p, lanes, ((a + b) + (c + d)) + (e + f))


@njit(**COMPILED)
def _exp2(begin: int, end: int, x: Any) -> None:
    p, lanes = start_of(x), BYTES // x.itemsize
    for _ in range(begin, end):
        for i in range(0, x.shape[0], lanes):
            store(p, i, exp2(load(p, i)))
            store(p, i, load(p, i) * x.dtype.type(-1.0))


@njit(**COMPILED)
def _normals(begin: int, end: int, words: Any, out: Any) -> None:
    for i in range(begin, end):
        fill_normals(np.uint64(1), 0, i, 0, words, out)


@njit(**COMPILED)
def _copy(begin: int, end: int, x: Any, y: Any) -> None:
    for i in range(begin, end):
        y[i] = x[i]


def _rate(call: Callable[[int], Any], each: float, seconds: float = 0.05) -> float:
    """Return how many of `each` a repetition are done a second: the best of seven."""
    count = 1
    call(1)
    while True:
        start = time.perf_counter()
        call(count)
        took = time.perf_counter() - start
        if took > seconds:
            break
        count = max(2 * count, int(1.2 * count * seconds / max(took, 1e-6)))
    best = took
    for _ in range(6):
        start = time.perf_counter()
        call(count)
        best = min(best, time.perf_counter() - start)
    return each * count / best


def _on_all(work: Callable[..., Any], *arrays: Any) -> Callable[[int], Any]:
    """Return what repeats work on all threads, each with copies of the arrays of its own."""
    own = [[array.copy() for array in arrays] for _ in range(numba.get_num_threads())]

    def one(begin: int, end: int, count: int) -> None:
        for thread in range(begin, end):
            work(0, count, *own[thread])

    return lambda count: in_parallel(one, len(own), count)


def fused_multiplications(dtype: str) -> float:
    """Measure how many fused multiplications and additions all threads do in a second."""
    lanes = BYTES // np.dtype(dtype).itemsize
    return _rate(_on_all(_fma, np.full(2 * lanes, 0.5, dtype)), 6 * lanes * numba.get_num_threads())


def peaks(dtype: str) -> dict[str, float]:
    """Measure what all threads do in a second: fused multiplications and additions, 2^x, normals, bytes copied."""
    x, out, words = np.full(1024, -0.5, dtype), np.empty((2, 512), dtype), np.empty((2, 512), np.uint64)
    here, there = np.zeros(1 << 24, dtype), np.zeros(1 << 24, dtype)
    each = 1024 * numba.get_num_threads()
    return {
        "fused multiplications": fused_multiplications(dtype),
        "powers of two": _rate(_on_all(_exp2, x), each),
        "normals": _rate(_on_all(_normals, words, out), each),
        "bytes copied": _rate(
            lambda count: [in_parallel(_copy, len(here), here, there) for _ in range(count)],
            2.0 * here.nbytes,
            0.1,
        ),
    }


def multiplications(tableau: Tableau, target: GaussianMixture, dtype: str) -> float:
    """Return the multiplications that a sample takes in a step at least, on average over the steps of a tableau.

    A component takes 2 dim for its logit, those of 2^x, dim for the sum of means, and for gains 1 if components are
    isotropic, dim if they are not, none if they share their variances; an evaluation 2 dim and a division; noise half
    of a pair a number; a sum one a term and dimension. A single component needs no logit, power or sum.

    Raises ValueError for a target with rotated components.
    """
    if target.rotations is not None:
        raise ValueError(f"target is {target!r} with rotated components: give diagonal covariances")
    K, dim, packed = target.components, target.dim, pack(tableau)
    variances = np.asarray(target.variances)
    shared, isotropic = bool(np.all(variances == variances[:1])), bool(np.all(variances == variances[:, :1]))
    component = 2 * dim + OF_POWER[dtype] + dim + (0 if shared else 1 if isotropic else dim)
    evaluation = 2 * dim + 1 + (K * component if K > 1 else 0)
    stages, channels = packed.counts[:, 0].sum(), packed.counts[:, 1].sum()
    terms = sum(int(np.count_nonzero(getattr(packed, name))) for name in ("U", "A", "G", "V", "B", "H"))
    noise = channels * ((dim + 1) // 2) * OF_PAIR[dtype]
    return float((stages * evaluation + noise + terms * dim) / len(tableau))
