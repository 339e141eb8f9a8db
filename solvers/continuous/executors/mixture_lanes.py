"""A Gaussian mixture's denoiser and score for lanes of samples: what `sample` spends its time in on the CPU.

`mixture_block.evaluate` is the same in plain loops. Here everything that samples share is computed once for a chunk of
them (`prepare`), and each vector of samples goes through three short passes over the components, since one long one
would wait for its own results: logits, their exponentials with the total, and weighted sums. Logits are in base 2 and
are not reduced by their largest: of a sample that is so far from all components that nothing is left, they are computed
again, reduced. With `MANY_REGISTERS` the long pass does not wait; it is taken where it is written out.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ...numerics.jit import INLINED, INNER
from ...numerics.lanes import (
    BYTES,
    MANY_REGISTERS,
    any_of,
    at,
    beyond,
    fma,
    itemsize_of,
    larger,
    load,
    select,
    spread,
    start_of,
    store,
)
from ...numerics.primitives import exp2
from .mixture_block import Components

_LOG2E = 1.4426950408889634
# Totals of weights below it are computed again: some weights were too small to be told apart.
_LEAST = 2.0**-60

# what a gain depends on: the dimension, where components share their variances, the component, where they are isotropic
DIMENSION, COMPONENT, EACH = 0, 1, 2


class Level(NamedTuple):
    """What one evaluation needs of the components, in the float type of the samples.

    offsets (K,): logits at the mean, the largest 0. maps (K, dim, 2): factor and shift that make x - alpha mean, whose
    square is subtracted, of x. bases, gains (K, dim): an answer is base + gain x. Rotated components have whitening
    matrices and gains that are matrices, (K, dim, dim), instead, and shifts in maps[:, :, 1]. gain_of: what gains
    depend on.
    """

    offsets: Any
    maps: Any
    bases: Any
    gains: Any
    whitening: Any
    turning: Any
    gain_of: int


@njit(**INLINED)
def level_of(target: Components) -> Level:
    """Return arrays for a level, not yet filled."""
    K, dim = target.means.shape
    kind = target.means.dtype
    side = dim if target.rotations.shape[0] > 0 else 0
    gain_of = DIMENSION if target.variances.shape[0] < K or K == 1 else COMPONENT
    for k in range(K if gain_of == COMPONENT else 0):
        for d in range(dim):
            if target.variances[k, d] != target.variances[k, 0]:
                gain_of = EACH
    return Level(
        np.empty(K, kind),
        np.empty((K, dim, 2), kind),
        np.empty((K, dim), kind),
        np.empty((K, dim), kind),
        np.empty((K, side, side), kind),
        np.empty((K, side, side), kind),
        gain_of,
    )


@njit(**INLINED)
def largest_of(numbers: Any) -> Any:
    """Return the largest number, as `max` does, which counts references."""
    largest = numbers[0]
    for k in range(1, len(numbers)):
        largest = max(largest, numbers[k])
    return largest


@njit(**INNER)
def prepare(target: Components, normaliser: Any, asked: Any, alpha: Any, sigma: Any, level: Level) -> None:
    """Fill a level for asked[0] times the denoiser plus asked[1] times the score; sigma > 0 where a score is asked.

    `normaliser` (K,) is that of `mixture_block.normalisers`.
    """
    means, variances, rotations = target.means, target.variances, target.rotations
    K, dim = means.shape
    kind = means.dtype.type
    of_data, of_score = asked[0], asked[1]
    a2, s2 = alpha * alpha, sigma * sigma
    largest = largest_of(normaliser)
    rotated = rotations.shape[0] > 0
    for k in range(K):
        row = 0 if variances.shape[0] < K else k
        level.offsets[k] = (normaliser[k] - largest) * kind(_LOG2E)
        for d in range(dim):
            variance = a2 * variances[row, d] + s2
            precision = kind(1.0) / variance
            factor = kind(sqrt(kind(0.5 * _LOG2E) * precision))
            gain = (of_data * alpha * variances[row, d] - of_score) * precision
            level.maps[k, d, 0] = factor
            level.gains[k, d] = gain
            if not rotated:
                shift = alpha * means[k, d]
                level.maps[k, d, 1] = -factor * shift
                # of_data mean - gain shift, without its cancellation
                level.bases[k, d] = (of_data * means[k, d] * s2 + of_score * shift) * precision
        if rotated:
            _turn(rotations[k], of_data, alpha, means[k], level, k)


@njit(**INNER)
def _turn(rotation: Any, of_data: Any, alpha: Any, mean: Any, level: Level, k: int) -> None:
    """Fill the matrices of one component from its factors and gains along its axes."""
    dim = len(mean)
    zero = mean.dtype.type(0.0)
    for e in range(dim):
        shift = zero
        for d in range(dim):
            level.whitening[k, e, d] = level.maps[k, e, 0] * rotation[d, e]
            shift -= level.whitening[k, e, d] * (alpha * mean[d])
        level.maps[k, e, 1] = shift
    for d in range(dim):
        base = of_data * mean[d]
        for c in range(dim):
            entry = zero
            for e in range(dim):
                entry += rotation[d, e] * level.gains[k, e] * rotation[c, e]
            level.turning[k, d, c] = entry
            base -= entry * (alpha * mean[c])
        level.bases[k, d] = base


@njit(**INLINED)
def _logit(offsets: Any, maps: Any, k: int, a: Any, b: Any) -> Any:
    """Component k's logit in two dimensions, at samples (a, b)."""
    y = fma(a, at(maps, 4 * k), at(maps, 4 * k + 1))
    z = fma(b, at(maps, 4 * k + 2), at(maps, 4 * k + 3))
    return at(offsets, k) - fma(z, z, y * y)


@njit(**INLINED)
def _fill_logits(
    offsets: Any, maps: Any, whitening: Any, rotated: bool, K: int, dim: int, x: Any, m: int, logits: Any
) -> None:
    """Fill logits (K, lanes) for the samples at x, of which dimensions are m apart; all are pointers."""
    width = BYTES // itemsize_of(x)
    if rotated:
        for k in range(K):
            q = spread(at(offsets, k))
            for row in range(k * dim, (k + 1) * dim):
                z = spread(at(maps, 2 * row + 1))
                for d in range(dim):
                    z = fma(load(x, d * m), at(whitening, row * dim + d), z)
                q = fma(-z, z, q)
            store(logits, k * width, q)
        return
    if dim == 2:
        a, b = load(x, 0), load(x, m)
        for k in range(K):
            store(logits, k * width, _logit(offsets, maps, k, a, b))
        return
    whole = K - K % 4  # four at a time, for which samples are loaded once
    for k in range(0, whole, 4):
        q, r = spread(at(offsets, k)), spread(at(offsets, k + 1))
        s, t = spread(at(offsets, k + 2)), spread(at(offsets, k + 3))
        row, apart = 2 * k * dim, 2 * dim
        for d in range(dim):
            a, place = load(x, d * m), row + 2 * d
            z = fma(a, at(maps, place), at(maps, place + 1))
            q, place = fma(-z, z, q), place + apart
            z = fma(a, at(maps, place), at(maps, place + 1))
            r, place = fma(-z, z, r), place + apart
            z = fma(a, at(maps, place), at(maps, place + 1))
            s, place = fma(-z, z, s), place + apart
            z = fma(a, at(maps, place), at(maps, place + 1))
            t = fma(-z, z, t)
        store(logits, k * width, q)
        store(logits, (k + 1) * width, r)
        store(logits, (k + 2) * width, s)
        store(logits, (k + 3) * width, t)
    for k in range(whole, K):
        q = spread(at(offsets, k))
        for d in range(dim):
            z = fma(load(x, d * m), at(maps, 2 * (k * dim + d)), at(maps, 2 * (k * dim + d) + 1))
            q = fma(-z, z, q)
        store(logits, k * width, q)


@njit(**INLINED)
def _weigh(logits: Any, K: int) -> Any:
    """Turn logits into weights, in place, and return their sum."""
    width = BYTES // itemsize_of(logits)
    total = load(logits, 0) - load(logits, 0)
    for k in range(K):
        weight = exp2(load(logits, k * width))
        store(logits, k * width, weight)
        total = total + weight
    return total


@njit(**INNER)
def _reduce(logits: Any, K: int, total: Any, least: Any) -> None:
    """Subtract the largest logit of each sample whose weights were lost, as their total says."""
    width = BYTES // itemsize_of(logits)
    largest = load(logits, 0)
    for k in range(1, K):
        largest = larger(largest, load(logits, k * width))
    for k in range(K):
        logit = load(logits, k * width)
        store(logits, k * width, select(total < least, logit - largest, logit))


@njit(**INLINED)
def _sum_up(
    bases: Any,
    gains: Any,
    gain_of: int,
    K: int,
    dim: int,
    weights: Any,
    inverse: Any,
    x: Any,
    m: int,
    out: Any,
) -> None:
    """Fill out with sum_k weight_k (base_k + gain_k x) times `inverse`; all are pointers."""
    width = BYTES // itemsize_of(x)
    zero = inverse - inverse
    if gain_of == EACH:
        for d in range(dim):
            u = v = zero
            for k in range(K):
                w = load(weights, k * width)
                u, v = fma(w, at(bases, k * dim + d), u), fma(w, at(gains, k * dim + d), v)
            store(out, d * m, fma(v, load(x, d * m), u) * inverse)
        return
    common = gain_of == DIMENSION
    gain = zero
    even = dim - dim % 2
    for d in range(0, even, 2):
        if common or d > 0:
            u, v = _two_sums(weights, bases, K, dim, d)
        else:
            u, v, gain = _three_sums(weights, bases, gains, K, dim)
            gain = gain * inverse
        g, h = (zero + at(gains, d), zero + at(gains, d + 1)) if common else (gain, gain)
        store(out, d * m, fma(u, inverse, g * load(x, d * m)))
        store(out, (d + 1) * m, fma(v, inverse, h * load(x, (d + 1) * m)))
    if even < dim:
        u = zero
        if dim == 1 and not common:
            u, _, gain = _three_sums(weights, bases, gains, K, dim)
            gain = gain * inverse
        else:
            for k in range(K):
                u = fma(load(weights, k * width), at(bases, k * dim + even), u)
        g = zero + at(gains, even) if common else gain
        store(out, even * m, fma(u, inverse, g * load(x, even * m)))


@njit(**INLINED)
def _two_sums(weights: Any, bases: Any, K: int, dim: int, d: int) -> Any:
    """Sums of weight_k base_k at dimensions d and d + 1, in two halves each, since one would wait for itself."""
    width = BYTES // itemsize_of(weights)
    t = u = v = w = load(weights, 0) - load(weights, 0)
    for k in range(0, K - 1, 2):
        one, other, place = load(weights, k * width), load(weights, (k + 1) * width), k * dim + d
        t, u = fma(one, at(bases, place), t), fma(one, at(bases, place + 1), u)
        v, w = fma(other, at(bases, place + dim), v), fma(other, at(bases, place + dim + 1), w)
    if K % 2:
        one, place = load(weights, (K - 1) * width), (K - 1) * dim + d
        t, u = fma(one, at(bases, place), t), fma(one, at(bases, place + 1), u)
    return t + v, u + w


@njit(**INLINED)
def _three_sums(weights: Any, bases: Any, gains: Any, K: int, dim: int) -> Any:
    """The same at the first two dimensions (or the first, twice), and the sum of weight_k gain_k beside them."""
    width, second = BYTES // itemsize_of(weights), 1 if dim > 1 else 0
    t = u = v = p = q = r = load(weights, 0) - load(weights, 0)
    for k in range(0, K - 1, 2):
        one, other, place = load(weights, k * width), load(weights, (k + 1) * width), k * dim
        t, u, v = (
            fma(one, at(bases, place), t),
            fma(one, at(bases, place + second), u),
            fma(one, at(gains, place), v),
        )
        place += dim
        p, q, r = (
            fma(other, at(bases, place), p),
            fma(other, at(bases, place + second), q),
            fma(other, at(gains, place), r),
        )
    if K % 2:
        one, place = load(weights, (K - 1) * width), (K - 1) * dim
        t, u, v = (
            fma(one, at(bases, place), t),
            fma(one, at(bases, place + second), u),
            fma(one, at(gains, place), v),
        )
    return t + p, u + q, v + r


@njit(**INLINED)
def _total_and_sums(
    offsets: Any, maps: Any, bases: Any, gains: Any, K: int, x: Any, m: int
) -> tuple[Any, Any, Any, Any]:
    """The three passes in one, in the plane: the sum of the weights and what `_three_sums` returns, to the bit."""
    a, b = load(x, 0), load(x, m)
    total = t = u = v = p = q = r = a - a
    for k in range(0, K - 1, 2):
        one, other = exp2(_logit(offsets, maps, k, a, b)), exp2(_logit(offsets, maps, k + 1, a, b))
        total, place = (total + one) + other, 2 * k
        t, u, v = (
            fma(one, at(bases, place), t),
            fma(one, at(bases, place + 1), u),
            fma(one, at(gains, place), v),
        )
        p, q, r = (
            fma(other, at(bases, place + 2), p),
            fma(other, at(bases, place + 3), q),
            fma(other, at(gains, place + 2), r),
        )
    if K % 2:
        one, place = exp2(_logit(offsets, maps, K - 1, a, b)), 2 * (K - 1)
        total = total + one
        t, u, v = (
            fma(one, at(bases, place), t),
            fma(one, at(bases, place + 1), u),
            fma(one, at(gains, place), v),
        )
    return total, t + p, u + q, v + r


@njit(**INLINED)
def _sum_up_rotated(
    bases: Any, turning: Any, K: int, dim: int, weights: Any, inverse: Any, x: Any, m: int, out: Any
) -> None:
    """The same with gains that are matrices."""
    width = BYTES // itemsize_of(x)
    for d in range(dim):
        u = inverse - inverse
        for k in range(K):
            row = k * dim + d
            z = spread(at(bases, row))
            for c in range(dim):
                z = fma(load(x, c * m), at(turning, row * dim + c), z)
            u = fma(load(weights, k * width), z, u)
        store(out, d * m, u * inverse)


@njit(**INNER)
def _evaluate_at_once(level: Level, x: Any, out: Any) -> bool:
    """Do what `evaluate_lanes` does, to the bit, for isotropic components in the plane; return if none was lost."""
    kind, (_, m) = x.dtype.type, x.shape
    K, width = len(level.offsets), BYTES // x.itemsize
    offsets, maps = start_of(level.offsets), start_of(level.maps)
    bases, gains = start_of(level.bases), start_of(level.gains)
    here, there = start_of(x), start_of(out)
    one = spread(kind(1.0))
    least = one
    for first in range(0, m, width):
        at_x, at_out = beyond(here, first), beyond(there, first)
        total, u, v, gain = _total_and_sums(offsets, maps, bases, gains, K, at_x, m)
        least = select(total < least, total, least)
        inverse = one / total
        gain = gain * inverse
        store(at_out, 0, fma(u, inverse, gain * load(at_x, 0)))
        store(at_out, m, fma(v, inverse, gain * load(at_x, m)))
    return not any_of(least < kind(_LEAST))


@njit(**INNER)
def evaluate_lanes(level: Level, x: Any, out: Any, logits: Any) -> None:
    """Fill out (dim, m) with what a level was prepared for at the samples x (dim, m), m a whole number of lanes.

    `logits` (K, lanes) is scratch.
    """
    kind = x.dtype.type
    (K, width), (dim, m) = logits.shape, x.shape
    rotated, gain_of = level.whitening.shape[1] > 0, level.gain_of
    offsets, maps, whitening = start_of(level.offsets), start_of(level.maps), start_of(level.whitening)
    bases, gains, turning = start_of(level.bases), start_of(level.gains), start_of(level.turning)
    here, there, weights = start_of(x), start_of(out), start_of(logits)
    one, least = spread(kind(1.0)), kind(_LEAST)
    if (
        MANY_REGISTERS
        and K > 1
        and dim == 2
        and gain_of == COMPONENT
        and not rotated
        and _evaluate_at_once(level, x, out)
    ):
        return
    for first in range(0, m, width):
        at_x, at_out = beyond(here, first), beyond(there, first)
        total = one
        if K == 1:
            store(weights, 0, one)
        else:
            _fill_logits(offsets, maps, whitening, rotated, K, dim, at_x, m, weights)
            total = _weigh(weights, K)
            if any_of(total < least):
                _fill_logits(offsets, maps, whitening, rotated, K, dim, at_x, m, weights)
                _reduce(weights, K, total, least)
                total = _weigh(weights, K)
        inverse = one / total
        if rotated:
            _sum_up_rotated(bases, turning, K, dim, weights, inverse, at_x, m, at_out)
        else:
            _sum_up(bases, gains, gain_of, K, dim, weights, inverse, at_x, m, at_out)
