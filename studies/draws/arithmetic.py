"""The arithmetic of drawing a token, compiled: from random integers to uniform numbers, keys and categories.

Every operation is rounded to float32 where a draw says so; sampler and exact law share these functions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from solvers.numerics.jit import COMPILED
from solvers.numerics.philox import philox

INVERSE_CDF, GUMBEL, RACE = range(3)
# what a draw does where its uniform number, its sum of probabilities or a logarithm meets an end
PLAIN, FIRST, SCALED, TINY, EPSILON, ROUNDED = range(6)
SMALLEST = float(np.finfo(np.float32).tiny)
ADDED = 1e-10  # the epsilon of draws that add one
_ADDED = float(np.float32(ADDED))
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@njit(**COMPILED)
def rounded(x: float, single: bool) -> float:
    # Sums, products and quotients of float32 numbers, formed in float64, round to what float32 gives.
    return np.float64(np.float32(x)) if single else x


@njit(**COMPILED)
def uniform(end: int, k: int, bits: int) -> float:
    """Return the uniform number k/2^bits; where it is rounded, that of k = 0 is the middle of its half cell."""
    return math.ldexp(0.25, -bits) if end == ROUNDED and k == 0 else math.ldexp(np.float64(k), -bits)


@njit(**COMPILED)
def noise_of(rule: int, end: int, single: bool, k: int, bits: int) -> float:
    """Return the exponential, for GUMBEL the Gumbel number made of integer k."""
    u = uniform(end, k, bits)
    if end == TINY:
        u = max(u, SMALLEST)
    if end == EPSILON:
        u = rounded(u + _ADDED, single)
    e = rounded(-math.log(u), single) if u > 0.0 else math.inf
    if end == EPSILON:
        e = rounded(e + _ADDED, single)
    if end == ROUNDED:
        e = max(e, math.ldexp(1.0, -bits))
    if rule == RACE:
        return e
    return rounded(-math.log(e), single) if e < math.inf else -math.inf


@njit(**COMPILED)
def key_of(rule: int, single: bool, weight: float, noise: float) -> float:
    return rounded(weight + noise if rule == GUMBEL else weight / noise, single)


@njit(**COMPILED)
def reaches(end: int, single: bool, bound: float, total: float, u: float) -> bool:
    """Return whether a uniform number stops at a cumulative sum, `bound`, or before it."""
    if end == SCALED:
        return bound >= rounded(total * rounded(1.0 - u, single), single)
    return u < bound


@njit(**COMPILED)
def inverse(end: int, single: bool, sums: Any, u: float) -> int:
    """Return the category of a uniform number by its cumulative sums (S,)."""
    S = sums.shape[0]
    for y in range(S):
        if reaches(end, single, sums[y], sums[S - 1], u):
            return y
    return 0 if end == FIRST else S - 1


@njit(**COMPILED)
def fill_draws(
    begin: int,
    stop: int,
    rule: int,
    end: int,
    single: bool,
    bits: int,
    weights: Any,
    rows: Any,
    seed: Any,
    first: int,
    at: Any,
    out: Any,
) -> None:
    """Fill out[begin:stop] with one category each from the rows of weights; at is (step, channel)."""
    S = weights.shape[1]
    width = bits + 1 if end == ROUNDED else bits
    per = 4 if width <= 32 else 2  # integers from one counter
    k0, k1 = np.uint32(seed & _LOW), np.uint32(seed >> _HALF)
    for i in range(begin, stop):
        sample = np.uint64(first + i)
        row = weights[rows[i]]
        best, highest = 0, -math.inf
        for start in range(0, 1 if rule == INVERSE_CDF else S, per):
            place = np.uint32(np.uint32(at[1]) << np.uint32(24)) | np.uint32(start // per)
            words = philox(
                np.uint32(sample & _LOW),
                np.uint32(sample >> _HALF),
                np.uint32(at[0]),
                np.uint32(place),
                k0,
                k1,
            )
            for j in range(per):
                y = start + j
                if y >= S or (rule == INVERSE_CDF and j > 0):
                    break
                if per == 4:
                    k = np.int64(words[j] >> np.uint32(32 - width))
                else:
                    long = (np.uint64(words[2 * j]) << _HALF) | np.uint64(words[2 * j + 1])
                    k = np.int64(long >> np.uint64(64 - width))
                if rule == INVERSE_CDF:
                    best = inverse(end, single, row, uniform(end, k, bits))
                else:
                    if end == ROUNDED:
                        k = (k + 1) // 2
                    key = key_of(rule, single, row[y], noise_of(rule, end, single, k, bits))
                    if key > highest:
                        best, highest = y, key
        out[i] = best
