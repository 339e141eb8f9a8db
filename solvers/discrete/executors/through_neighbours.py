"""Trajectories of tokens that are either masked or known: the nearest known tokens say all about a site."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from analytic import sequences

from ...numerics.jit import COMPILED
from ...numerics.philox import fill_words
from ..flow import Array
from ..model.messages_by_block import LANES, WEAK
from .packed_moves import Packed, coefficients, step_site, unit

MOST_POWER_BYTES = 1 << 25


class Neighbours(NamedTuple):
    """What the nearest revealed tokens say of a site.

    Attributes
    ----------
    alone : (L, V)
        Law of each token by itself.
    after, before : (L, V, V)
        Powers of the transition matrix P by distance: after[k, a, v] = P^k[a, v], before[k, b, v] = P^k[v, b].
    gaps : bool
        True if some power has zeros, so that revealed tokens can contradict each other.
    """

    alone: Array
    after: Array
    before: Array
    gaps: bool


def neighbours(data: sequences.MarkovSequence) -> Neighbours | None:
    """Return the powers of a chain's matrix, or None if there are too many or each step has a matrix of its own."""
    L, V = data.length, data.vocabulary
    if data.transition.ndim == 3 or 2 * 8 * L * V * V > MOST_POWER_BYTES:
        return None
    powers = np.empty((L, V, V))
    powers[0] = np.eye(V)
    for k in range(1, L):
        powers[k] = powers[k - 1] @ data.transition
    gaps = bool((powers[1:] == 0).any() or (data.marginals == 0).any())
    return Neighbours(np.array(data.marginals), powers, np.ascontiguousarray(powers.swapaxes(1, 2)), gaps)


@njit(**COMPILED)
def _between(near: Neighbours, states: Any, lane: int, i: int, cavity: Any) -> float:
    """Fill the cavity (V,) of site i given the known tokens nearest to it on both sides; return its sum before."""
    L, V = states.shape[0], cavity.shape[0]
    left, right = i - 1, i + 1
    while left >= 0 and states[left, lane] >= V:
        left -= 1
    while right < L and states[right, lane] >= V:
        right += 1
    for v in range(V):
        cavity[v] = near.alone[i, v] if left < 0 else near.after[i - left, states[left, lane], v]
    if right < L:
        for v in range(V):
            cavity[v] *= near.before[right - i, states[right, lane], v]
    total = 0.0
    for v in range(V):
        total += cavity[v]
    for v in range(V):
        cavity[v] /= total
    return total


@njit(**COMPILED)
def _contradicts(near: Neighbours, states: Any, lane: int) -> bool:
    """Tell whether two neighbouring revealed tokens, or the first of them, have probability zero."""
    V, last = near.alone.shape[1], -1
    for i in range(states.shape[0]):
        x = states[i, lane]
        if x < V:
            here = near.alone[i, x] if last < 0 else near.after[i - last, states[last, lane], x]
            if here == 0.0:
                return True
            last = i
    return False


@njit(**COMPILED)
def by_neighbours(
    packed: Packed,
    m: int,
    near: Neighbours,
    states: Any,
    live: int,
    seed: Any,
    first: int,
    moved: Any,
    words: Any,
    cavity: Any,
    row: Any,
) -> Any:
    """Carry states (L, LANES) through move m; return the numbers of impossible rows and of laws that are none.

    `moved` (L * LANES, 3) is scratch: the sites that move see the states before the move, all of them.
    """
    L, V = states.shape[0], cavity.shape[0]
    k = coefficients(packed, m)
    impossible, bad, count = 0, 0, 0
    if near.gaps:
        for lane in range(live):
            if _contradicts(near, states, lane):
                impossible += 1
    for pair in range((L + 1) // 2):
        fill_words(seed, first, m, 0, pair, words)
        for i in range(2 * pair, min(2 * pair + 2, L)):
            for lane in range(live):
                x, u = states[i, lane], unit(words[i % 2, lane])
                if x == V and k.add[x] == 0.0:
                    impossible += 1
                if u < packed.stay[m, x]:
                    continue
                if not _between(near, states, lane, i, cavity) > WEAK:
                    impossible += 1
                y, wrong = step_site(k, packed.exit_kind[m], packed.h[m], x, u, cavity, row)
                bad += wrong
                moved[count, 0], moved[count, 1], moved[count, 2] = i, lane, y
                count += 1
    for c in range(count):
        states[moved[c, 0], moved[c, 1]] = moved[c, 2]
    return impossible, bad


@njit(**COMPILED)
def through_neighbours(
    begin: int,
    end: int,
    packed: Packed,
    near: Neighbours,
    tokens: Any,
    parts: int,
    seed: Any,
    first: int,
    failed: Any,
) -> None:
    """Carry parts begin .. end - 1 of tokens (n, L) through all moves.

    `failed` (parts, 3) gets the last move and its two numbers of failures.
    """
    n, L = tokens.shape
    V, S = near.alone.shape[1], packed.add.shape[1]
    for part in range(begin, end):
        states, moved = np.empty((L, LANES), np.int32), np.empty((L * LANES, 3), np.int32)
        words, cavity, row = np.empty((2, LANES), np.uint64), np.empty(V), np.empty(S)
        for block in range(part, (n + LANES - 1) // LANES, parts):
            start = block * LANES
            live = min(LANES, n - start)
            for lane in range(live):
                for i in range(L):
                    states[i, lane] = tokens[start + lane, i]
            for m in range(packed.keep.shape[0]):
                if failed[part, 1] > 0 or failed[part, 2] > 0:
                    break
                failed[part, 0] = m
                failed[part, 1], failed[part, 2] = by_neighbours(
                    packed, m, near, states, live, seed, first + start, moved, words, cavity, row
                )
            for lane in range(live):
                for i in range(L):
                    tokens[start + lane, i] = states[i, lane]
