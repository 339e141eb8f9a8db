"""Forward-backward messages of a Markov chain of tokens, compiled for blocks of sequences.

A message is a flat array of V * LANES numbers: states outside, one lane per sequence innermost, so that the
product with a transition matrix is vector code. Blocks are always full, the last one padded, so that a sequence
meets the same instructions in whatever lane it lies. What works on a message is written twice: for arrays, as the
interpreter runs it, and for vectors of lanes, which is what is compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload
from numpy.typing import NDArray

from analytic import sequences

from ...numerics.jit import COMPILED, INLINED
from ...numerics.lanes import (
    BYTES,
    at,
    beyond,
    convert,
    fma,
    gather,
    load,
    ordinals,
    scatter,
    select,
    spread,
    start_of,
    store,
)

Array = NDArray[np.float64]
LANES = 16
WIDTH = BYTES // 8
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


def transmit(matrix: Any, message: Any, out: Any) -> None:
    """Fill out with matrix (V, V) times a message."""
    V = matrix.shape[0]
    out[:] = (matrix @ message.reshape(V, LANES)).ravel()


@overload(transmit, target="cpu", jit_options=INLINED)
def _(matrix: Any, message: Any, out: Any) -> Any:
    return _transmit


def _transmit(matrix: Any, message: Any, out: Any) -> Any:
    V = matrix.shape[0]
    m, x, y = start_of(matrix), start_of(message), start_of(out)
    for v in range(0, V - 3, 4):  # four rows at once: each load of the message feeds four multiply-adds
        row = beyond(m, v * V)
        for lane in range(0, LANES, WIDTH):
            a = b = c = d = spread(0.0)
            for u in range(V):
                p = load(x, u * LANES + lane)
                a, b = fma(at(row, u), p, a), fma(at(row, V + u), p, b)
                c, d = fma(at(row, 2 * V + u), p, c), fma(at(row, 3 * V + u), p, d)
            to = beyond(y, v * LANES + lane)
            store(to, 0, a)
            store(to, LANES, b)
            store(to, 2 * LANES, c)
            store(to, 3 * LANES, d)
    for v in range(V - V % 4, V):
        for lane in range(0, LANES, WIDTH):
            a = spread(0.0)
            for u in range(V):
                a = fma(at(m, v * V + u), load(x, u * LANES + lane), a)
            store(y, v * LANES + lane, a)


def absorb(seen: Likelihood, states: Any, message: Any, scale: Any, out: Any) -> None:
    """Fill out with scale times a message times the likelihood of the states (LANES,) seen; then renew scale (LANES,).

    The scale becomes the reciprocal of the sum of out, or zero where that sum is zero.
    """
    V = out.shape[0] // LANES
    likely = (
        seen.table[states].T if len(seen.table) else np.broadcast_to(seen.flat[states], (V, LANES)).copy()
    )
    if not len(seen.table):
        known = states < V
        likely[states[known], np.flatnonzero(known)] = seen.peak[states[known]]
    product = message.reshape(V, LANES) * likely * scale
    total = product.sum(axis=0)
    out[:] = product.ravel()
    scale[:] = np.where(total > 0.0, 1.0 / np.where(total > 0.0, total, 1.0), 0.0)


@overload(absorb, target="cpu", jit_options=INLINED)
def _(seen: Likelihood, states: Any, message: Any, scale: Any, out: Any) -> Any:
    return _absorb


def _absorb(seen: Likelihood, states: Any, message: Any, scale: Any, out: Any) -> Any:
    V = out.shape[0] // LANES
    f, o, s, z = start_of(message), start_of(out), start_of(states), start_of(scale)
    flat, peak = start_of(seen.flat), start_of(seen.peak)
    table, tabled, row = start_of(seen.table), seen.table.shape[0] > 0, seen.table.shape[1]
    for lane in range(0, LANES, WIDTH):
        x, factor, total = load(s, lane), load(z, lane), spread(0.0)
        if tabled:
            for v in range(V):
                value = load(f, v * LANES + lane) * gather(table, x * row + v) * factor
                store(o, v * LANES + lane, value)
                total = total + value
        else:
            others = gather(flat, x) * factor
            for v in range(V):
                value = load(f, v * LANES + lane) * others
                store(o, v * LANES + lane, value)
                total = total + value
            # a state that is a token weighs itself by its peak; any other changes nothing at the first token
            known = x < V
            own = select(known, x, x ^ x) * LANES + lane + convert(ordinals(0), np.int64)
            here = gather(f, own)
            weight = select(known, here * gather(peak, x) * factor, here * others)
            scatter(o, own, weight)
            total = total + (weight - here * others)
        store(z, lane, select(total > 0.0, 1.0 / total, spread(0.0)))


@njit(**COMPILED)
def predict(model: Transitions, seen: Likelihood, tokens: Any, predicted: Any, work: Any, scale: Any) -> None:
    """Fill predicted (L, V * LANES) with the law of each site's token given the states (L, LANES) before it.

    Up to a factor per lane. Where the sequence is impossible, the scale is zero at the end.
    """
    L, V = tokens.shape[0], model.start.shape[0]
    for v in range(V):
        for lane in range(LANES):
            predicted[0, v * LANES + lane] = model.start[v]
    scale[:] = 1.0
    for i in range(L):
        absorb(seen, tokens[i], predicted[i], scale, work)
        if i + 1 < L:
            transmit(model.advance[i if model.advance.shape[0] > 1 else 0], work, predicted[i + 1])


def overlap(predicted: Any, expected: Any, total: Any) -> None:
    """Fill total (LANES,) with the sum over tokens of the product of two messages."""
    total[:] = (predicted * expected).reshape(-1, LANES).sum(axis=0)


@overload(overlap, target="cpu", jit_options=INLINED)
def _(predicted: Any, expected: Any, total: Any) -> Any:
    return _overlap


def _overlap(predicted: Any, expected: Any, total: Any) -> Any:
    p, e, t = start_of(predicted), start_of(expected), start_of(total)
    for lane in range(0, LANES, WIDTH):
        found = spread(0.0)
        for place in range(lane, predicted.shape[0], LANES):
            found = fma(load(p, place), load(e, place), found)
        store(t, lane, found)


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
        scale, total, states = np.empty(LANES), np.empty(LANES), np.empty((L, LANES), np.int64)
        for block in range(part, (n + LANES - 1) // LANES, parts):
            row = block * LANES
            live = min(LANES, n - row)
            for lane in range(LANES):
                for i in range(L):
                    states[i, lane] = tokens[row + min(lane, live - 1), i]
            predict(model, seen, states, predicted, work, scale)
            for lane in range(live):
                if not scale[lane] > 0.0:
                    weak += 1
            expected[:] = 1.0
            scale[:] = 1.0
            for i in range(L - 1, -1, -1):
                overlap(predicted[i], expected, total)
                for lane in range(live):
                    if not total[lane] > WEAK:
                        weak += 1
                    take_cavity(predicted[i], expected, lane, total[lane], out[row + lane, i])
                if i > 0:
                    absorb(seen, states[i], expected, scale, work)
                    transmit(model.retreat[i - 1 if model.retreat.shape[0] > 1 else 0], work, expected)
    return weak
