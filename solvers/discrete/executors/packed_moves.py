"""Moves laid out for the loops over whole trajectories, and what those loops share at one site."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...numerics.jit import COMPILED
from ..flow import Array, Coefficients
from ..model.cavities import Model
from ..moves.site import ARGMAX, EXITS, PROBABILITY, fill_flow, pick, settle
from ..moves.sites import Sites

# Far above the rounding of a probability: what is nearer than this is decided by the site's own law.
SLACK = 1e-12
ROWS = ("add", "gain", "base", "here", "free")
_UNIT = 1.0 / 9007199254740992.0


class Packed(NamedTuple):
    """Coefficients and settings of all moves, move by move.

    Attributes
    ----------
    keep, own, direct, h : (moves,)
    add, gain, base, here, free : (moves, S)
    rest : (moves, S, 3)
        Sums of base, here and free over the states other than the present one.
    stay : (moves, S)
        Where tokens are masked or known: a uniform number below it keeps the state, whatever the model says.
    mean, exit_kind : (moves,)
    flat, peak : (moves, S)
        Likelihood of the states, as in `Likelihood`.
    """

    keep: Array
    own: Array
    direct: Array
    h: Array
    add: Array
    gain: Array
    base: Array
    here: Array
    free: Array
    rest: Array
    stay: Array
    mean: NDArray[np.bool_]
    exit_kind: NDArray[np.int64]
    flat: Array
    peak: Array


@njit(**COMPILED)
def coefficients(packed: Packed, m: int) -> Coefficients:
    """Coefficients of a move, as `site` takes them."""
    none = packed.add[:0]
    return Coefficients(
        packed.keep[m],
        packed.add[m],
        packed.gain[m],
        packed.own[m],
        packed.base[m],
        packed.here[m],
        packed.direct[m],
        packed.free[m],
        packed.mean[m],
        none,
        none,
        none,
        none,
        none,
    )


@njit(inline="always", **COMPILED)
def outflow(k: Any, rest: Any, x: int, at_x: float, others: float) -> float:
    """Sum of the flows that `site.fill_flow` gives from x, by the cavity at x and at all other tokens together.

    `rest` (S, 3) are the sums of base, here and free over the states other than x.
    """
    Z = k.keep * at_x + k.add[x]
    own, weight, here = k.own, Z, at_x
    if k.mean:
        own = own * k.add[x] / Z
        here = (k.keep + k.add[x]) * at_x / Z
        weight = k.keep * here + k.add[x]
    total = rest[x, 1] * (here / weight) + k.direct * others + rest[x, 2]
    if k.gain[x] != 0.0:
        total += k.gain[x] / weight * (own * others + rest[x, 0])
    return total


@njit(**COMPILED)
def step_site(
    k: Coefficients, exit_kind: int, h: float, x: int, u: float, cavity: Any, row: Any
) -> tuple[int, int]:
    """Return the state that a site moves to and the number, 0 or 1, of laws that are none."""
    fill_flow(k, x, cavity, row)
    settle(exit_kind, h, x, row)
    for y in range(row.shape[0]):
        if not row[y] >= -1e-12:
            return x, 1
    return pick(row, x, u), 0


@njit(**COMPILED)
def unit(word: Any) -> float:
    """Return a word of the stream as a number in [0, 1), as `site.uniforms` does."""
    return np.float64(np.int64(word >> np.uint64(11))) * _UNIT


def pack(moves: tuple[Sites, ...], model: Model) -> Packed:
    """Lay out the moves for compiled code."""
    ks = [move.flow.coefficients for move in moves]
    rows = {name: np.stack([getattr(k, name) for k in ks]) for name in ROWS}
    S, V = model.process.states, model.process.vocabulary
    others = ~np.eye(S, dtype=bool)
    rest = [np.where(others, rows[name][:, None], 0.0).sum(axis=2) for name in ("base", "here", "free")]
    seen = [model.likelihood(move.flow.t) for move in moves]
    packed = Packed(
        keep=np.array([k.keep for k in ks]),
        own=np.array([k.own for k in ks]),
        direct=np.array([k.direct for k in ks]),
        h=np.array([move.h for move in moves]),
        add=rows["add"],
        gain=rows["gain"],
        base=rows["base"],
        here=rows["here"],
        free=rows["free"],
        rest=np.stack(rest, axis=2),
        stay=np.full((len(moves), S), -1.0),
        mean=np.array([k.mean for k in ks]),
        exit_kind=np.array([EXITS[move.exit] for move in moves]),
        flat=np.stack([one.flat for one in seen]),
        peak=np.stack([one.peak for one in seen]),
    )
    for m, move in enumerate(moves):
        for x in range(S):
            if packed.exit_kind[m] == ARGMAX or (x < V and packed.gain[m, x] != 0.0):
                continue
            # a token that is known has here/weight = 1/keep; the cavity of the others is at most one
            k = move.flow.coefficients
            leave = outflow(k, packed.rest[m], x, 1.0 if x < V else 0.0, 1.0)
            leave *= 1.0 if packed.exit_kind[m] == PROBABILITY else move.h
            if np.isfinite(leave):
                packed.stay[m, x] = 1.0 - leave - SLACK
    return packed
