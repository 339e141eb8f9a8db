"""Messages of one sequence of a Markov chain, for executors that give each sequence a thread of its own.

`chain_model` does the same for blocks of sequences at once. Arrays may be strided views, so that neighbouring threads
touch neighbouring numbers. Loops over tokens take their number from scratch, whose size a compiler may know.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ..jit import COMPILED
from ..noise import fill_words
from .chain_model import WEAK, Chain, Likelihood
from .packed_moves import SLACK, Packed, coefficients, outflow, step_site, unit
from .site import ARGMAX, PROBABILITY


@njit(**COMPILED)
def absorb(seen: Likelihood, x: int, message: Any, scale: float, out: Any) -> float:
    """Fill out (V,) with scale times a message times the likelihood of the state x; return its sum."""
    total, table = 0.0, seen.table.shape[0] > 0
    for v in range(out.shape[0]):
        told = seen.peak[x] if v == x else seen.flat[x]
        if table:
            told = seen.table[x, v]
        out[v] = message[v] * told * scale
        total += out[v]
    return total


@njit(**COMPILED)
def transmit(matrix: Any, message: Any, out: Any) -> None:
    """Fill out (V,) with matrix (V, V) times a message."""
    V = message.shape[0]
    for v in range(V):
        value = 0.0
        for u in range(V):
            value += matrix[v, u] * message[u]
        out[v] = value


@njit(**COMPILED)
def predict(model: Chain, seen: Likelihood, states: Any, predicted: Any, work: Any) -> bool:
    """Fill predicted (L, V) with the law of each token given the states (L,) before it, up to factors.

    False where the sequence is impossible.
    """
    L, V = states.shape[0], work.shape[0]
    for v in range(V):
        predicted[0, v] = model.start[v]
    scale = 1.0
    for i in range(L):
        total = absorb(seen, states[i], predicted[i], scale, work)
        if not total > 0.0:
            return False
        scale = 1.0 / total
        if i + 1 < L:
            transmit(model.advance[i if model.advance.shape[0] > 1 else 0], work, predicted[i + 1])
    return True


@njit(**COMPILED)
def cavities(model: Chain, seen: Likelihood, states: Any, predicted: Any, expected: Any, work: Any) -> bool:
    """Fill predicted (L, V) with the law of each token given the states (L,) at all other sites.

    `expected` and `work` (V,) are scratch. False where the sequence is impossible.
    """
    L, V = states.shape[0], work.shape[0]
    if not predict(model, seen, states, predicted, work):
        return False
    for v in range(V):
        expected[v] = 1.0
    scale = 1.0
    for i in range(L - 1, -1, -1):
        total = 0.0
        for v in range(V):
            predicted[i, v] *= expected[v]
            total += predicted[i, v]
        if not total > WEAK:
            return False
        for v in range(V):
            predicted[i, v] /= total
        if i > 0:
            together = absorb(seen, states[i], expected, scale, work)
            scale = 1.0 / together if together > 0.0 else 0.0
            transmit(model.retreat[i - 1 if model.retreat.shape[0] > 1 else 0], work, expected)
    return True


@njit(**COMPILED)
def step(
    packed: Packed,
    m: int,
    model: Chain,
    states: Any,
    seed: Any,
    sample: Any,
    predicted: Any,
    expected: Any,
    work: Any,
    words: Any,
    cavity: Any,
    row: Any,
) -> tuple[int, int]:
    """Carry the states (L,) of one sample through move m.

    Returns (1, 0) if the sample is impossible, else 0 and the number of laws that are none. Random numbers are those
    of `fused.through_messages`. predicted (L, V), expected, work, cavity (V,), row (S,), words (2, 1) uint64: scratch.
    """
    L, V = states.shape[0], work.shape[0]
    k = coefficients(packed, m)
    seen = Likelihood(packed.flat[m], packed.peak[m], packed.add[:0])
    rest, exit_kind, h = packed.rest[m], packed.exit_kind[m], packed.h[m]
    factor = 1.0 if exit_kind == PROBABILITY else h
    if not predict(model, seen, states, predicted, work):
        return 1, 0
    for v in range(V):
        expected[v] = 1.0
    scale, bad = 1.0, 0
    for i in range(L - 1, -1, -1):
        if i % 2 == 1 or i == L - 1:
            fill_words(seed, sample, m, 0, i // 2, words)
        total = 0.0
        for v in range(V):
            total += predicted[i, v] * expected[v]
        if not total > WEAK:
            return 1, 0
        x, u = states[i], unit(words[i % 2, 0])
        at_x = predicted[i, x] * expected[x] / total if x < V else 0.0
        leave = factor * outflow(k, rest, x, at_x, 1.0 - at_x)
        if exit_kind == ARGMAX or not u < 1.0 - leave - SLACK:
            for v in range(V):
                cavity[v] = predicted[i, v] * expected[v] / total
            states[i], wrong = step_site(k, exit_kind, h, x, u, cavity, row)
            bad += wrong
        if i > 0:
            together = absorb(seen, x, expected, scale, work)
            scale = 1.0 / together if together > 0.0 else 0.0
            transmit(model.retreat[i - 1 if model.retreat.shape[0] > 1 else 0], work, expected)
    return 0, bad
