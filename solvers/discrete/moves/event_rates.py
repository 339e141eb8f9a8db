"""Rates of the reverse process at any moment, compiled: the noise, the cavity of one site, its jumps.

Samplers run down a clock s in which rates need no schedule and are bounded, whatever the data and the other sites:

    masks    s = log n, n = 1 - alpha: a masked site jumps at rate 1 exactly
    uniform  s = log(n/alpha)
    hybrid   s = log(t/(1 - t))

With c the cavity, b the noise's part of q_t(. | x_0) and g_x the rate at which noise leads to x, both in that clock,

    r_y = g_x (own c_y + b_y)/(keep c_x + b_x),    sum_y r_y <= (g_x/b_x) (1 - b_x) <= 1,

since keep c_x >= 0, own = keep and all c_y, b_y sum to own + sum b = 1; g = b but for the tokens of hybrid noise, where
g/b = (gamma + (2 - 2 gamma) t)/2 <= 1. Under masks own = 1: keep c_x is zero, and alpha is in the clock.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...numerics.jit import COMPILED

Array = NDArray[np.float64]
MASKED, UNIFORM, HYBRID = range(3)


class Noise(NamedTuple):
    """What compiled code knows of the noise: which of the three it is, V, and hybrid noise's scale B and gamma."""

    kind: int
    vocabulary: int
    scale: float
    gamma: float


class Data(NamedTuple):
    """A law of sequences for compiled code: a Markov chain, or a table where `table` is not empty.

    Attributes
    ----------
    initial, transition : (V,), (1 or L - 1, V, V)
    table : (V^L,)
    """

    initial: Array
    transition: Array
    table: Array


class Moment(NamedTuple):
    """The noise at one moment: q(x | v) = keep [x = v] + b_x, and g_x; b and g of any token and of the mask."""

    keep: float
    own: float
    b_token: float
    b_mask: float
    g_token: float
    g_mask: float


@njit(**COMPILED)
def moment(noise: Any, s: float) -> Any:
    """Return the noise's Moment at s."""
    V = noise.vocabulary
    if noise.kind == MASKED:
        n = math.exp(s)
        # posteriors under masks are the same at all times: keep may be 1 even where alpha is 0
        return Moment(1.0, 1.0, 0.0, n, 0.0, n)
    a, n = 1.0 / (1.0 + math.exp(s)), 1.0 / (1.0 + math.exp(-s))
    if noise.kind == UNIFORM:
        return Moment(a, a, n / V, 0.0, n / V, 0.0)
    c = noise.scale * (a * n) ** (noise.gamma / 2.0)
    keep, token, mask = a / (1.0 + c), c / (1.0 + c) / V, n / (1.0 + c)
    return Moment(keep, keep, token, mask, token * (noise.gamma + (2.0 - 2.0 * noise.gamma) * n) / 2.0, mask)


@njit(**COMPILED)
def envelope(noise: Any, now: Any, x: int) -> float:
    """Return a bound, at most 1, on the rate at which a site leaves x; zero where it never does."""
    if noise.kind == MASKED:
        return 1.0 if x == noise.vocabulary else 0.0
    b, g = (now.b_mask, now.g_mask) if x == noise.vocabulary else (now.b_token, now.g_token)
    return g / b * (1.0 - b) if b > 0.0 else 0.0


# loops, since code on a device assigns no array to another
@njit(**COMPILED)
def _copy(source: Any, out: Any) -> None:
    for v in range(out.shape[0]):
        out[v] = source[v]


@njit(**COMPILED)
def _ones(out: Any) -> None:
    for v in range(out.shape[0]):
        out[v] = 1.0


@njit(**COMPILED)
def _weigh(now: Any, x: int, message: Any) -> None:
    """Multiply a message (V,) by the likelihood of x."""
    V = message.shape[0]
    b = now.b_mask if x == V else now.b_token
    for v in range(V):
        message[v] *= now.keep + b if v == x else b


@njit(**COMPILED)
def _normalise(message: Any) -> bool:
    total = 0.0
    for v in range(message.shape[0]):
        total += message[v]
    if not total > 0.0:
        return False
    for v in range(message.shape[0]):
        message[v] /= total
    return True


@njit(**COMPILED)
def _chain_cavity(
    data: Any, now: Any, tokens: Any, i: int, far: bool, c: Any, message: Any, other: Any
) -> bool:
    L, V, K = tokens.shape[0], c.shape[0], data.transition.shape[0]
    at = 0
    if not far and now.b_token == 0.0:
        # a token that is certain screens off what is beyond it
        for j in range(i - 1, -1, -1):
            if tokens[j] < V:
                at = j
                break
    _copy(data.initial, c)
    for j in range(at, i):
        if j == at and at > 0:
            _ones(c)
        _weigh(now, tokens[j], c)
        if not _normalise(c):
            return False
        _copy(c, message)
        for v in range(V):
            c[v] = 0.0
            for w in range(V):
                c[v] += message[w] * data.transition[j % K, w, v]
    at = L - 1
    if not far and now.b_token == 0.0:
        for j in range(i + 1, L):
            if tokens[j] < V:
                at = j
                break
    _ones(message)
    for j in range(at, i, -1):
        _weigh(now, tokens[j], message)
        if not _normalise(message):
            return False
        _copy(message, other)
        for v in range(V):
            message[v] = 0.0
            for w in range(V):
                message[v] += data.transition[(j - 1) % K, v, w] * other[w]
    for v in range(V):
        c[v] *= message[v]
    return _normalise(c)


@njit(**COMPILED)
def _table_cavity(data: Any, now: Any, tokens: Any, i: int, c: Any, work: Any) -> bool:
    L, V = tokens.shape[0], c.shape[0]
    size = data.table.shape[0]
    _copy(data.table, work[:size])
    for j in range(L - 1, i, -1):  # sum out the last site
        _ones(c)
        _weigh(now, tokens[j], c)
        size //= V
        for k in range(size):
            value = 0.0
            for v in range(V):
                value += work[k * V + v] * c[v]
            work[k] = value
    for j in range(i):  # sum out the first site
        _ones(c)
        _weigh(now, tokens[j], c)
        size //= V
        for k in range(size):
            value = 0.0
            for v in range(V):
                value += work[v * size + k] * c[v]
            work[k] = value
    _copy(work[:V], c)
    return _normalise(c)


@njit(**COMPILED)
def cavity(data: Any, now: Any, tokens: Any, i: int, far: bool, c: Any, scratch: Any) -> bool:
    """Fill c (V,) with the law of the token at site i given the other sites; False if those are impossible.

    With `far` all sites are looked at, also those that certain tokens screen off. `scratch` are two arrays (V,), for
    chains, and one as long as the table.
    """
    if data.table.shape[0] > 0:
        return _table_cavity(data, now, tokens, i, c, scratch[2])
    return _chain_cavity(data, now, tokens, i, far, c, scratch[0], scratch[1])


@njit(**COMPILED)
def fill_rates(
    data: Any, noise: Any, now: Any, tokens: Any, i: int, far: bool, c: Any, scratch: Any, out: Any
) -> float:
    """Fill out (S,) with the rates of jumps of site i, zero at its state; return their sum, nan if impossible."""
    V, x = noise.vocabulary, tokens[i]
    if not cavity(data, now, tokens, i, far, c, scratch):
        return np.nan
    g, Z = (now.g_mask, now.b_mask) if x == V else (now.g_token, now.keep * c[x] + now.b_token)
    if not Z > 0.0:
        return np.nan
    total = 0.0
    for y in range(out.shape[0]):
        flow = now.b_mask if y == V else now.own * c[y] + now.b_token
        out[y] = g * flow / Z if y != x else 0.0
        total += out[y]
    return total


@njit(**COMPILED)
def fill_all_rates(data: Any, noise: Any, s: float, tokens: Any, rates: Any) -> None:
    """Fill rates (n, L, S) for tokens (n, L), nan in impossible rows."""
    n, L = tokens.shape
    now = moment(noise, s)
    V = noise.vocabulary
    c, scratch = np.empty(V), (np.empty(V), np.empty(V), np.empty(data.table.shape[0]))
    for r in range(n):
        for i in range(L):
            total = fill_rates(data, noise, now, tokens[r], i, np.bool_(True), c, scratch, rates[r, i])
            if not total >= 0.0:
                rates[r, i] = np.nan
