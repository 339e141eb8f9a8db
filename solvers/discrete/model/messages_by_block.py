"""Forward-backward messages of a Markov chain of tokens, compiled for blocks of sequences.

A message is a flat array of V * LANES numbers: states outside, one lane per sequence innermost, so that the
product with a transition matrix is vector code. Blocks are always full, the last one padded, so that a sequence
meets the same instructions in whatever lane it lies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from analytic import sequences

from ...numerics.jit import COMPILED

Array = NDArray[np.float64]
LANES = 32
# Fused multiply-adds double the speed; lanes of full blocks contract alike, so that no bit depends on the layout.
CONTRACTED: dict[str, Any] = {**COMPILED, "fastmath": {"contract"}}
# Messages that overlap by less may have lost what counts to underflow: the row is left to the law itself.
WEAK = 1e-150


class Transitions(NamedTuple):
    """Initial law and transition matrices of a MarkovSequence, as compiled code takes them.

    Attributes
    ----------
    start : (V,)
    advance : (1 or L - 1, V, V)
        Transposed transition matrices, [to, from].
    retreat : (1 or L - 1, V, V)
        Transition matrices, [from, to].
    """

    start: Array
    advance: Array
    retreat: Array


class Likelihood(NamedTuple):
    """Likelihood of each state for every token, each row scaled to a largest entry of one.

    Attributes
    ----------
    flat, peak : (S,)
        Entry of all tokens but the state's own, and of its own; read where `table` is empty.
    table : (S, V), or (0, 0)
    """

    flat: Array
    peak: Array
    table: Array


def transitions(data: sequences.MarkovSequence) -> Transitions:
    """Lay out a Markov chain for compiled code."""
    V = data.vocabulary
    matrices = np.array(data.transition, dtype=np.float64, order="C").reshape(-1, V, V)
    if data.length == 1:
        matrices = np.zeros((1, V, V))
    return Transitions(np.array(data.initial), np.ascontiguousarray(matrices.swapaxes(1, 2)), matrices)


def likelihood(noising: Array) -> Likelihood:
    """Lay out the law of a site's state given its token (V, S); the compact form where the noise is a mixture."""
    V, S = noising.shape
    table = np.array(noising.T, order="C")
    largest = table.max(axis=1, keepdims=True)
    np.divide(table, largest, out=table, where=largest > 0)
    own = np.arange(S)[:, None] == np.arange(V)
    others = np.where(own, np.nan, table)
    flat = np.nanmax(others, axis=1) if V > 1 else np.where(own.any(axis=1), 0.0, table[:, 0])
    peak = np.where(own.any(axis=1), np.where(own, table, 0.0).max(axis=1), flat)
    equal = np.where(own, flat[:, None], table) >= flat[:, None] * (1 - 4 * np.finfo(np.float64).eps)
    if equal.all() and (peak >= flat).all():
        return Likelihood(flat, peak, np.zeros((0, 0)))
    return Likelihood(flat, peak, table)


@njit(**CONTRACTED)
def transmit(matrix: Any, message: Any, out: Any) -> None:
    """Fill out with matrix (V, V) times a message."""
    V = matrix.shape[0]
    out[:] = 0.0
    # two rows of the result at once and eight terms a sweep: each load feeds two multiply-adds
    for half in range(V // 2):
        v, a = 2 * half, 2 * half * LANES
        for block in range(V // 8):
            u, s = block * 8, block * 8 * LANES
            m0, m1, m2, m3 = matrix[v, u], matrix[v, u + 1], matrix[v, u + 2], matrix[v, u + 3]
            m4, m5, m6, m7 = matrix[v, u + 4], matrix[v, u + 5], matrix[v, u + 6], matrix[v, u + 7]
            n0, n1, n2, n3 = (
                matrix[v + 1, u],
                matrix[v + 1, u + 1],
                matrix[v + 1, u + 2],
                matrix[v + 1, u + 3],
            )
            n4, n5 = matrix[v + 1, u + 4], matrix[v + 1, u + 5]
            n6, n7 = matrix[v + 1, u + 6], matrix[v + 1, u + 7]
            for lane in range(LANES):
                k = s + lane
                x0, x1, x2 = message[k], message[k + LANES], message[k + 2 * LANES]
                x3, x4, x5 = message[k + 3 * LANES], message[k + 4 * LANES], message[k + 5 * LANES]
                x6, x7 = message[k + 6 * LANES], message[k + 7 * LANES]
                p, q = out[a + lane], out[a + LANES + lane]
                p, q = p + m0 * x0, q + n0 * x0
                p, q = p + m1 * x1, q + n1 * x1
                p, q = p + m2 * x2, q + n2 * x2
                p, q = p + m3 * x3, q + n3 * x3
                p, q = p + m4 * x4, q + n4 * x4
                p, q = p + m5 * x5, q + n5 * x5
                p, q = p + m6 * x6, q + n6 * x6
                p, q = p + m7 * x7, q + n7 * x7
                out[a + lane] = p
                out[a + LANES + lane] = q
        for u in range(V // 8 * 8, V):
            m0, n0, s = matrix[v, u], matrix[v + 1, u], u * LANES
            for lane in range(LANES):
                out[a + lane] += m0 * message[s + lane]
                out[a + LANES + lane] += n0 * message[s + lane]
    if V % 2 == 1:
        a = (V - 1) * LANES
        for u in range(V):
            m0, s = matrix[V - 1, u], u * LANES
            for lane in range(LANES):
                out[a + lane] += m0 * message[s + lane]


@njit(**CONTRACTED)
def _weigh(message: Any, factor: Any, total: Any, out: Any) -> None:
    """Fill out with a message times a factor (LANES,), adding its sum to total (LANES,)."""
    V = out.shape[0] // LANES
    for block in range(V // 4):
        for lane in range(LANES):
            k = 4 * block * LANES + lane
            a, b = message[k] * factor[lane], message[k + LANES] * factor[lane]
            c, d = message[k + 2 * LANES] * factor[lane], message[k + 3 * LANES] * factor[lane]
            out[k] = a
            out[k + LANES] = b
            out[k + 2 * LANES] = c
            out[k + 3 * LANES] = d
            total[lane] += (a + b) + (c + d)
    for v in range(V // 4 * 4, V):
        for lane in range(LANES):
            value = message[v * LANES + lane] * factor[lane]
            out[v * LANES + lane] = value
            total[lane] += value


@njit(**CONTRACTED)
def absorb(seen: Likelihood, states: Any, message: Any, side: Any, out: Any) -> None:
    """Fill out with scale times a message times the likelihood of the states (LANES,) seen; then renew scale.

    `side` (3, LANES) holds the scale, the total and scratch: the total becomes the sum of out, the scale its
    reciprocal, or zero where that sum is zero.
    """
    V = out.shape[0] // LANES
    scale, total, factor = side[0], side[1], side[2]
    total[:] = 0.0
    if seen.table.shape[0] > 0:
        for v in range(V):
            for lane in range(LANES):
                value = message[v * LANES + lane] * seen.table[states[lane], v] * scale[lane]
                out[v * LANES + lane] = value
                total[lane] += value
    else:
        for lane in range(LANES):
            factor[lane] = seen.flat[states[lane]] * scale[lane]
        _weigh(message, factor, total, out)
        for lane in range(LANES):
            x = states[lane]
            if x < V:
                weight = message[x * LANES + lane] * scale[lane]
                out[x * LANES + lane] = weight * seen.peak[x]
                total[lane] += weight * (seen.peak[x] - seen.flat[x])
    for lane in range(LANES):
        scale[lane] = 1.0 / total[lane] if total[lane] > 0.0 else 0.0


@njit(**COMPILED)
def predict(model: Transitions, seen: Likelihood, tokens: Any, predicted: Any, work: Any, side: Any) -> None:
    """Fill predicted (L, V * LANES) with the law of each site's token given the states (L, LANES) before it.

    Up to a factor per lane. Where the sequence is impossible, the total side[1] is zero at the end.
    """
    L, V = tokens.shape[0], model.start.shape[0]
    for v in range(V):
        for lane in range(LANES):
            predicted[0, v * LANES + lane] = model.start[v]
    side[0] = 1.0
    for i in range(L):
        absorb(seen, tokens[i], predicted[i], side, work)
        if i + 1 < L:
            transmit(model.advance[i if model.advance.shape[0] > 1 else 0], work, predicted[i + 1])


@njit(**CONTRACTED)
def overlap(predicted: Any, expected: Any, total: Any) -> None:
    """Fill total (LANES,) with the sum over states of the product of two messages."""
    total[:] = 0.0
    V = predicted.shape[0] // LANES
    for block in range(V // 4):
        for lane in range(LANES):
            k = 4 * block * LANES + lane
            a = predicted[k] * expected[k] + predicted[k + LANES] * expected[k + LANES]
            k += 2 * LANES
            total[lane] += a + (predicted[k] * expected[k] + predicted[k + LANES] * expected[k + LANES])
    for v in range(V // 4 * 4, V):
        for lane in range(LANES):
            total[lane] += predicted[v * LANES + lane] * expected[v * LANES + lane]


@njit(**COMPILED)
def take_cavity(predicted: Any, expected: Any, lane: int, total: float, out: Any) -> None:
    """Fill out (V,) with one lane's normalised product of two messages, whose sum is total."""
    for v in range(out.shape[0]):
        out[v] = predicted[v * LANES + lane] * expected[v * LANES + lane] / total


@njit(**COMPILED)
def cavities_by_messages(
    begin: int, end: int, model: Transitions, seen: Likelihood, tokens: Any, parts: int, out: Any
) -> int:
    """Fill parts begin .. end - 1 of out (n, L, V) with cavities given tokens (n, L); return how many are weak.

    A cavity is weak where the row is impossible or close to it, see `WEAK`.

    Parameters
    ----------
    parts : int
        Among how many buffers the blocks are dealt out; of no effect on the numbers.
    """
    n, L = tokens.shape
    V = model.start.shape[0]
    weak = 0
    for part in range(begin, end):
        predicted, work, expected = np.empty((L, V * LANES)), np.empty(V * LANES), np.empty(V * LANES)
        side, states = np.empty((3, LANES)), np.empty((L, LANES), np.int64)
        total = side[1]
        for block in range(part, (n + LANES - 1) // LANES, parts):
            row = block * LANES
            live = min(LANES, n - row)
            for lane in range(LANES):
                for i in range(L):
                    states[i, lane] = tokens[row + min(lane, live - 1), i]
            predict(model, seen, states, predicted, work, side)
            for lane in range(live):
                if not total[lane] > 0.0:
                    weak += 1
            expected[:] = 1.0
            side[0] = 1.0
            for i in range(L - 1, -1, -1):
                overlap(predicted[i], expected, total)
                for lane in range(live):
                    if not total[lane] > WEAK:
                        weak += 1
                    take_cavity(predicted[i], expected, lane, total[lane], out[row + lane, i])
                if i > 0:
                    absorb(seen, states[i], expected, side, work)
                    transmit(model.retreat[i - 1 if model.retreat.shape[0] > 1 else 0], work, expected)
    return weak
