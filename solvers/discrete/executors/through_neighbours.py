"""Trajectories of tokens that are either masked or known: the nearest known tokens say all about a site."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from analytic import sequences

from ...numerics.jit import COMPILED, INLINED, INNER
from ...numerics.lanes import any_of, load, select, spread, start_of, store, sum_of
from ..flow import Array
from ..model.messages_by_block import LANES, WEAK, WIDTH
from ..moves.site import REJECT, leaving
from .packed_moves import Packed, coefficients, fill_units, outflow, step_site, weighed

MOST_POWER_BYTES = 1 << 25


class Neighbours(NamedTuple):
    """What the nearest revealed tokens say of a site.

    Attributes
    ----------
    alone : (L, V)
        Law of each token by itself.
    after, before : (L, V, V)
        Powers of the transition matrix P by distance: after[k, a, v] = P^k[a, v], before[k, b, v] = P^k[v, b]; but
        before[0] is 1, as good as no token on that side.
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
    before = np.ascontiguousarray(powers.swapaxes(1, 2))
    before[0] = 1.0
    return Neighbours(np.array(data.marginals), powers, before, gaps)


def multiply(a: Any, b: Any, out: Any) -> float:
    """Fill out (V,) with the products of a and b and return their sum."""
    total = 0.0
    for v in range(out.shape[0]):
        out[v] = a[v] * b[v]
        total += out[v]
    return total


@overload(multiply, target="cpu", jit_options=INLINED)
def _(a: Any, b: Any, out: Any) -> Any:
    return _multiply if a.layout == b.layout == out.layout == "C" else multiply


def _multiply(a: Any, b: Any, out: Any) -> Any:
    p, q, o, V = start_of(a), start_of(b), start_of(out), out.shape[0]
    whole, total = V - V % WIDTH, 0.0
    if whole > 0:
        sums = spread(0.0)
        for v in range(0, whole, WIDTH):
            product = load(p, v) * load(q, v)
            store(o, v, product)
            sums = sums + product
        total = sum_of(sums)
    for v in range(whole, V):
        out[v] = a[v] * b[v]
        total += out[v]
    return total


@njit(**INLINED)
def _between(near: Neighbours, states: Any, lane: int, i: int, weights: Any) -> float:
    """Fill weights (V,) of the tokens at site i given the known ones nearest to it on both sides; return their sum."""
    L, V = states.shape[0], weights.shape[0]
    left, right = i - 1, i + 1
    while left >= 0 and states[left, lane] >= V:
        left -= 1
    while right < L and states[right, lane] >= V:
        right += 1
    before = near.alone[i] if left < 0 else near.after[i - left, states[left, lane]]
    after = near.before[0, 0] if right >= L else near.before[right - i, states[right, lane]]
    return multiply(before, after, weights)


@njit(**INLINED)
def _pick(weights: Any, left: float) -> int:
    """Return the first index at which the weights' running sum is above `left`, or else the last weight's."""
    last = -1
    for v in range(weights.shape[0]):
        if weights[v] > 0.0:
            last = v
            left -= weights[v]
            if left < 0.0:
                break
    return last


@njit(**INNER)
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


def any_moves(states: Any, units: Any, lane: int, mask: int, of_mask: float, of_token: float) -> bool:
    """Tell whether some unit of WIDTH lanes is not below what it must be for a mask, or else for a token, to stay."""
    for i in range(lane, min(lane + WIDTH, states.shape[0])):
        if units[i] >= (of_mask if states[i] == mask else of_token):
            return True
    return False


@overload(any_moves, target="cpu", jit_options=INLINED)
def _(states: Any, units: Any, lane: int, mask: int, of_mask: float, of_token: float) -> Any:
    # of one sequence among others, as a GPU has it, a site's states are no vector
    return _any_moves if states.layout == units.layout == "C" else any_moves


def _any_moves(states: Any, units: Any, lane: int, mask: int, of_mask: float, of_token: float) -> Any:
    stay = select(load(start_of(states), lane) == mask, spread(of_mask), spread(of_token))
    return any_of(load(start_of(units), lane) >= stay)


def all_known(states: Any, other: Any, mask: int) -> bool:
    """Tell whether no state at two sites, (LANES,) each, is the mask."""
    found = False
    for i in range(states.shape[0]):
        found = found or states[i] == mask or other[i] == mask
    return not found


@overload(all_known, target="cpu", jit_options=INLINED)
def _(states: Any, other: Any, mask: int) -> Any:
    return _all_known if states.layout == other.layout == "C" else all_known


def _all_known(states: Any, other: Any, mask: int) -> Any:
    s, o, found = start_of(states), start_of(other), spread(0.0)
    for lane in range(0, LANES, WIDTH):
        found = select(load(s, lane) == mask, spread(1.0), found)
        found = select(load(o, lane) == mask, spread(1.0), found)
    return not any_of(found > 0.0)


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
    units: Any,
    cavity: Any,
    row: Any,
) -> Any:
    """Carry states (L, LANES) through move m; return the numbers of impossible rows and of laws that are none.

    `moved` (L * LANES, 3) is scratch: the sites that move see the states before the move, all of them.
    """
    L, V = states.shape[0], cavity.shape[0]
    k, stay = coefficients(packed, m), packed.stay[m]
    exit_kind, h = packed.exit_kind[m], packed.h[m]
    impossible, bad, count = 0, 0, 0
    if near.gaps:
        for lane in range(live):
            if _contradicts(near, states, lane):
                impossible += 1
    # whether a mask is revealed with flows that are all the same share of a token's weight, as where nothing remasks
    _, gain, own = weighed(k, V, 0.0)
    leave, slope = leaving(exit_kind, h, outflow(k, packed.rest[m], V, 0.0, 1.0))
    slope *= k.direct + gain * own
    plain = exit_kind <= REJECT and k.add[V] != 0.0 and slope > 0.0 and leave <= 1.0 + 1e-12
    for v in range(V):
        plain = plain and k.free[v] == 0.0 and gain * k.base[v] == 0.0
    of_token = stay[0]
    for v in range(1, V):
        of_token = min(of_token, stay[v])
    for pair in range((L + 1) // 2):
        last = min(2 * pair + 1, L - 1)
        if of_token >= 1.0 and all_known(states[2 * pair], states[last], V):
            continue
        fill_units(seed, first, m, pair, units)
        for i in range(2 * pair, last + 1):
            for begin in range(0, live, WIDTH):
                if not any_moves(states[i], units[i % 2], begin, V, stay[V], of_token):
                    continue
                for lane in range(begin, min(begin + WIDTH, live)):
                    x, u = states[i, lane], units[i % 2, lane]
                    if u < stay[x]:
                        continue
                    if x == V and k.add[x] == 0.0:
                        impossible += 1
                    total = _between(near, states, lane, i, cavity)
                    if not total > WEAK:
                        impossible += 1
                    left = u - (1.0 - leave)
                    if plain and x == V and left >= 0.0:
                        y = _pick(cavity, left / slope * total)
                    else:
                        for v in range(V):
                            cavity[v] /= total
                        y, wrong = step_site(k, packed.rest[m], exit_kind, h, x, u, cavity, row)
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
        states, moved = np.full((L, LANES), V), np.empty((L * LANES, 3), np.int32)
        units, cavity, row = np.empty((2, LANES)), np.empty(V), np.empty(S)
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
                    packed, m, near, states, live, seed, first + start, moved, units, cavity, row
                )
            for lane in range(live):
                for i in range(L):
                    tokens[start + lane, i] = states[i, lane]
