"""Messages of one sequence of a Markov chain, for executors that give each sequence a thread of its own.

`messages_by_block` does the same for blocks of sequences at once. Arrays may be strided views, so that neighbouring
threads touch neighbouring numbers. Loops over tokens take their number from scratch, whose size a compiler may know.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ...numerics.jit import COMPILED
from .messages_by_block import WEAK, Likelihood, Transitions


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
def predict(model: Transitions, seen: Likelihood, states: Any, predicted: Any, work: Any) -> bool:
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
def cavities(
    model: Transitions, seen: Likelihood, states: Any, predicted: Any, expected: Any, work: Any
) -> bool:
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
