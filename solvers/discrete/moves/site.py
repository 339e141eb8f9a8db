"""One site, one step: from the cavity and the present state to probabilities over the states.

These few functions are all that the exact law and the samplers know of a factorised step, so that the two
cannot disagree. Flows become probabilities in one of five ways, named by `EXITS`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from ...numerics.jit import COMPILED, INNER
from ...numerics.philox import philox

PROBABILITY, CLIPPED, LEAP, REJECT, POISSON, ARGMAX = range(6)
EXITS = {
    "probability": PROBABILITY,  # flows are probabilities
    "clipped": CLIPPED,  # I + h R, clipped at zero and normalised
    "leap": LEAP,  # first jump at the frozen rate, at most one
    "reject": REJECT,  # Poisson numbers of jumps, moves with more than one thrown away
    "poisson": POISSON,  # Poisson numbers of jumps, all added up as displacements, clamped
    "argmax": ARGMAX,  # the most probable state
}
START = 0xFFFFFFFF  # the move's number under which start states are drawn
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@njit(**COMPILED)
def fill_flow(k: Any, x: int, c: Any, out: Any) -> float:
    """Fill out (S,) with the flows from x, zero at x; return Z, the evidence of x at its site.

    `k` are the flow's Coefficients, `c` (V,) the cavity.
    """
    S, V = out.shape[0], c.shape[0]
    if k.seen.shape[0] == 0:
        at_x = c[x] if x < V else 0.0
        Z = k.keep * at_x + k.add[x]
        own, weight = k.own, Z
        if k.mean:
            # the posterior of every token but x is add_x c/Z: feed it in place of c
            own = own * k.add[x] / Z
            at_x = (k.keep + k.add[x]) * at_x / Z
            weight = k.keep * at_x + k.add[x]
        gain = k.gain[x] / weight if k.gain[x] != 0.0 else 0.0
        here = at_x / weight if weight != 0.0 else 0.0
        for y in range(S):
            at_y = c[y] if y < V else 0.0
            flow = k.here[y] * here + k.direct * at_y + k.free[y]
            if gain != 0.0:
                flow += gain * (own * at_y + k.base[y])
            out[y] = flow
    else:
        Z = 0.0
        for v in range(V):
            Z += c[v] * k.seen[x, v]
        weight, scale = Z, 1.0
        if k.mean:
            weight = 0.0
            for v in range(V):
                weight += c[v] * k.seen[x, v] * k.seen[x, v]
        for y in range(S):
            out[y] = 0.0
        for v in range(V):
            scale = (c[v] * k.seen[x, v] if k.mean else c[v]) / weight
            for y in range(S):
                out[y] += scale * k.to[v, y]
        for y in range(S):
            out[y] = out[y] * k.back[x, y] + k.free_from[x, y] if k.back[x, y] != 0.0 else k.free_from[x, y]
        for v in range(V):
            for y in range(S):
                out[y] += c[v] * k.direct_to[v, y]
    out[x] = 0.0
    return Z


@njit(**INNER)
def leaving(exit_kind: int, h: float, total: float) -> tuple[float, float]:
    """Probability to leave a state by flows of a sum, and the factor that makes each of them a probability."""
    leave, scale = h * total, 1.0
    if exit_kind == PROBABILITY:
        leave = total if total < 1.0 or total > 1.0 + 1e-12 else 1.0  # not a hair above by rounding
    elif exit_kind == CLIPPED:
        scale = h if leave <= 1.0 else 1.0 / total
        leave = min(leave, 1.0)
    elif exit_kind == LEAP:
        leave = -math.expm1(-leave)
        scale = leave / total if total != 0.0 else h
    elif exit_kind == REJECT:
        scale = h * math.exp(-leave)
        leave *= math.exp(-leave)
    return leave, scale


@njit(**COMPILED)
def settle(exit_kind: int, h: float, x: int, out: Any) -> None:
    """Turn flows from x, in place, into probabilities over all states after a time h.

    Negative flows, as of theta methods that are not clipped, give signed weights that sum to one.
    """
    S = out.shape[0]
    if exit_kind == ARGMAX:
        stay = 1.0
        for y in range(S):
            stay -= out[y]
        out[x] = stay
        best = 0
        for y in range(S):
            if out[y] > out[best] * (1.0 + 1e-12):
                best = y
        for y in range(S):
            out[y] = 1.0 if y == best else 0.0
        return
    if exit_kind == POISSON:
        compound(h, x, out)
        return
    total = 0.0
    for y in range(S):
        total += out[y]
    leave, scale = leaving(exit_kind, h, total)
    for y in range(S):
        out[y] *= scale
    out[x] = 1.0 - leave


MOST_JUMPS = 700.0  # mean number of jumps in a step; beyond, exp of its negative underflows


def longest(S: int) -> int:
    """Return the most that `_length` can be for S states and up to `MOST_JUMPS` jumps."""
    return 1 + math.ceil(MOST_JUMPS + 12.0 * math.sqrt(MOST_JUMPS) + 12.0) * (S - 1)


@njit(**INNER)
def _length(rates: Any, h: float, direction: int, x: int) -> int:
    """Return how many jumps, all by 1, 2, ... states in one direction, are told apart.

    Up to 12 deviations and 12 largest jumps above the mean, where less than 1e-16 is left.
    """
    reach, mean, square = 0, 0.0, 0.0
    y = x + direction
    while 0 <= y < rates.shape[0]:
        reach += 1
        mean += h * rates[y] * reach
        square += h * rates[y] * reach * reach
        y += direction
    return 1 + int(mean + 12.0 * math.sqrt(square)) + 12 * reach


@njit(**INNER)
def _one_sided(rates: Any, h: float, direction: int, x: int, length: int, law: Any) -> None:
    """Fill law[:length] with that of the sum of Poisson(h rate) jumps by 1, 2, ... states in one direction.

    The recursion of compound Poisson laws, k p_k = sum_j j h r_j p_{k-j} (Panjer 1981).
    """
    reach, total = 0, 0.0
    y = x + direction
    while 0 <= y < rates.shape[0]:
        reach += 1
        total += h * rates[y]
        y += direction
    law[0] = math.exp(-total)
    for k in range(1, length):
        value = 0.0
        for j in range(1, min(reach, k) + 1):
            value += j * h * rates[x + direction * j] * law[k - j]
        law[k] = value / k


@njit(**COMPILED)
def compound_into(h: float, x: int, out: Any, rising: Any, falling: Any, above: Any) -> None:
    """Replace flows by the law of x plus all displacements, clamped to the states.

    The other arrays are scratch, `above` longer by one: where they are too short, the law is not a number.
    """
    S = out.shape[0]
    top, total = S - 1, 0.0
    for y in range(S):
        total += out[y]
    defined = 0.0 <= h * total < MOST_JUMPS
    most, least = 0, 0
    if defined:
        most, least = _length(out, h, 1, x), _length(out, h, -1, x)
    if not defined or most > rising.shape[0] or least > falling.shape[0]:
        for y in range(S):
            out[y] = np.nan
        return
    _one_sided(out, h, 1, x, most, rising)
    _one_sided(out, h, -1, x, least, falling)
    above[most] = 0.0  # probability that the rise is at least so much
    for a in range(most - 1, -1, -1):
        above[a] = above[a + 1] + rising[a]
    for y in range(S):
        out[y] = 0.0
    for b in range(least):
        for y in range(1, top):
            a = y - x + b
            if 0 <= a < most:
                out[y] += falling[b] * rising[a]
        out[0] += falling[b] * (above[0] - above[min(max(b - x + 1, 0), most)])
        out[top] += falling[b] * above[min(max(top - x + b, 0), most)]


@njit(**COMPILED)
def _compound(h: float, x: int, out: Any) -> None:
    """Replace flows by the law of x plus all displacements, clamped to the states."""
    most, least = 1, 1
    if 0.0 <= h * out.sum() < MOST_JUMPS:
        most, least = _length(out, h, 1, x), _length(out, h, -1, x)
    compound_into(h, x, out, np.empty(most), np.empty(least), np.empty(most + 1))


def compound(h: Any, x: Any, out: Any) -> Any:
    """Replace flows by the law of x plus all displacements, clamped to the states; on a CPU only."""
    _compound(h, x, out)


@overload(compound, target="cpu")
def _(h: Any, x: Any, out: Any) -> Any:
    def call(h: Any, x: Any, out: Any) -> Any:
        _compound(h, x, out)

    return call


@njit(**COMPILED)
def pick(row: Any, x: int, u: float) -> int:
    """Draw a state from probabilities by inverting their sum, the present state x first."""
    left = u - row[x]
    if left < 0.0:
        return x
    last = x
    for y in range(row.shape[0]):
        if y != x and row[y] > 0.0:
            last = y
            left -= row[y]
            if left < 0.0:
                return y
    return last


@njit(inline="always", **COMPILED)
def uniforms(seed: Any, sample: int, step: int, channel: int, pair: int) -> Any:
    """Return two uniform numbers in [0, 1) on the grid of 2^-53, at one address."""
    number, key = np.uint64(sample), np.uint64(seed)
    place = np.uint32(np.uint32(channel) << np.uint32(24)) | np.uint32(pair)
    a, b, c, d = philox(
        np.uint32(number & _LOW),
        np.uint32(number >> _HALF),
        np.uint32(step),
        np.uint32(place),
        np.uint32(key & _LOW),
        np.uint32(key >> _HALF),
    )
    first = (np.uint64(a) << _HALF) | np.uint64(b)
    second = (np.uint64(c) << _HALF) | np.uint64(d)
    unit = 1.0 / 9007199254740992.0
    return (
        np.float64(np.int64(first >> np.uint64(11))) * unit,
        np.float64(np.int64(second >> np.uint64(11))) * unit,
    )


@njit(**COMPILED)
def fill_rows(
    begin: int,
    end: int,
    k: Any,
    exit_kind: int,
    h: float,
    tokens: Any,
    cavities: Any,
    rows: Any,
    evidence: Any,
) -> None:
    """Fill rows (n, L, S) with the probabilities of every site of tokens (n, L), given cavities (n, L, V).

    Those of tokens begin .. end - 1 only, as in all functions that `in_parallel` calls.
    """
    for r in range(begin, end):
        for i in range(tokens.shape[1]):
            evidence[r, i] = fill_flow(k, tokens[r, i], cavities[r, i], rows[r, i])
            settle(exit_kind, h, tokens[r, i], rows[r, i])


@njit(**COMPILED)
def impossible(row: Any) -> int:
    """Return 1 if some entry of a law (S,) is below zero, or not a number, else 0."""
    for y in range(row.shape[0]):
        if not row[y] >= -1e-12:
            return 1
    return 0


@njit(inline="always", **COMPILED)  # a call would cost a twelfth of the time on a CPU
def step_row(
    k: Any,
    exit_kind: int,
    h: float,
    tokens: Any,
    cavities: Any,
    seed: Any,
    sample: int,
    step: int,
    channel: int,
    row: Any,
) -> int:
    """Step tokens (L,) in place, all sites independently, given cavities (L, V).

    Returns the number of laws that are none; `row` (S,) is scratch.
    """
    bad = 0
    u = (0.0, 0.0)
    for i in range(tokens.shape[0]):
        if i % 2 == 0:
            u = uniforms(seed, sample, step, channel, i // 2)
        x = tokens[i]
        fill_flow(k, x, cavities[i], row)
        settle(exit_kind, h, x, row)
        bad += impossible(row)
        tokens[i] = pick(row, x, u[i % 2])
    return bad


@njit(**COMPILED)
def draw_sites(
    begin: int,
    end: int,
    k: Any,
    exit_kind: int,
    h: float,
    tokens: Any,
    cavities: Any,
    seed: Any,
    first: int,
    step: int,
    channel: int,
) -> int:
    """Step tokens (n, L) in place, all sites independently; return the number of sites whose law is not one."""
    row = np.empty(max(k.add.shape[0], k.back.shape[0]))
    bad = 0
    for r in range(begin, end):
        bad += step_row(k, exit_kind, h, tokens[r], cavities[r], seed, first + r, step, channel, row)
    return bad


@njit(inline="always", **COMPILED)
def draw_row(table: Any, tokens: Any, seed: Any, sample: int, step: int) -> None:
    """Replace each token v of (L,) by a draw from table[v], (V, S)."""
    u = (0.0, 0.0)
    for i in range(tokens.shape[0]):
        if i % 2 == 0:
            u = uniforms(seed, sample, step, 0, i // 2)
        v = tokens[i]
        tokens[i] = pick(table[v], v, u[i % 2])


@njit(**COMPILED)
def draw_rows(begin: int, end: int, table: Any, tokens: Any, seed: Any, first: int, step: int) -> None:
    """Replace each token v of (n, L) by a draw from table[v], (V, S)."""
    for r in range(begin, end):
        draw_row(table, tokens[r], seed, first + r, step)
