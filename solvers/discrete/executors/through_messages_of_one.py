"""Samples of sites that move independently, through the messages of one sequence at a time."""

from __future__ import annotations

from typing import Any

from numba import njit

from ...numerics.jit import COMPILED
from ..model.messages_by_block import WEAK, Likelihood, Transitions
from ..model.messages_of_one import absorb, predict, transmit
from ..moves.site import ARGMAX, PROBABILITY
from .packed_moves import SLACK, Packed, coefficients, fill_units, outflow, step_site


@njit(**COMPILED)
def step(
    packed: Packed,
    m: int,
    model: Transitions,
    states: Any,
    seed: Any,
    sample: Any,
    predicted: Any,
    expected: Any,
    work: Any,
    units: Any,
    cavity: Any,
    row: Any,
) -> tuple[int, int]:
    """Carry the states (L,) of one sample through move m.

    Returns (1, 0) if the sample is impossible, else 0 and the number of laws that are none. Random numbers are those
    of `fused.through_messages`. predicted (L, V), expected, work, cavity (V,), row (S,), units (2, 1): scratch.
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
            fill_units(seed, sample, m, i // 2, units)
        total = 0.0
        for v in range(V):
            total += predicted[i, v] * expected[v]
        if not total > WEAK:
            return 1, 0
        x, u = states[i], units[i % 2, 0]
        at_x = predicted[i, x] * expected[x] / total if x < V else 0.0
        leave = factor * outflow(k, rest, x, at_x, 1.0 - at_x)
        if exit_kind == ARGMAX or not u < 1.0 - leave - SLACK:
            for v in range(V):
                cavity[v] = predicted[i, v] * expected[v] / total
            states[i], wrong = step_site(k, packed.rest[m], exit_kind, h, x, u, cavity, row)
            bad += wrong
        if i > 0:
            together = absorb(seen, x, expected, scale, work)
            scale = 1.0 / together if together > 0.0 else 0.0
            transmit(model.retreat[i - 1 if model.retreat.shape[0] > 1 else 0], work, expected)
    return 0, bad
