"""Moves laid out for the loops over whole trajectories, and what those loops share at one site."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload
from numpy.typing import NDArray

from ...numerics.jit import COMPILED, INLINED, INNER
from ...numerics.lanes import ordinals, start_of, store
from ...numerics.philox import place_of, unit_of, words_of
from ..flow import Array, Coefficients
from ..model.cavities import Model
from ..model.messages_by_block import LANES, WIDTH
from ..moves.site import ARGMAX, EXITS, PROBABILITY, REJECT, fill_flow, leaving, pick, settle, uniforms
from ..moves.sites import Sites

# Far above the rounding of a probability: what is nearer than this is decided by the site's own law.
SLACK = 1e-12

ROWS = ("add", "gain", "base", "here", "free")


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


@njit(**INNER)
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
def weighed(k: Any, x: int, at_x: float) -> tuple[float, float, float]:
    """Parts of the flows from x that are the same for all states, by the cavity at x, as `site.fill_flow` has them.

    Factors of here, of own times the cavity plus base, and own.
    """
    Z = k.keep * at_x + k.add[x]
    own, weight, here = k.own, Z, at_x
    if k.mean:
        own = own * k.add[x] / Z
        here = (k.keep + k.add[x]) * at_x / Z
        weight = k.keep * here + k.add[x]
    return here / weight if weight != 0.0 else 0.0, k.gain[x] / weight if k.gain[x] != 0.0 else 0.0, own


@njit(inline="always", **COMPILED)
def outflow(k: Any, rest: Any, x: int, at_x: float, others: float) -> float:
    """Sum of the flows that `site.fill_flow` gives from x, by the cavity at x and at all other tokens together.

    `rest` (S, 3) are the sums of base, here and free over the states other than x.
    """
    here, gain, own = weighed(k, x, at_x)
    total = rest[x, 1] * here + k.direct * others + rest[x, 2]
    return total + gain * (own * others + rest[x, 0]) if gain != 0.0 else total


@njit(**INLINED)
def step_site(
    k: Coefficients, rest: Any, exit_kind: int, h: float, x: int, u: float, cavity: Any, row: Any
) -> tuple[int, int]:
    """Return the state that a site moves to and the number, 0 or 1, of laws that are none."""
    S, V = row.shape[0], cavity.shape[0]
    if exit_kind > REJECT:
        fill_flow(k, x, cavity, row)
        settle(exit_kind, h, x, row)
        for y in range(S):
            if not row[y] >= -1e-12:
                return x, 1
        return pick(row, x, u), 0
    # flows are not negative, so that a law is none only where their sum says so: they are gone through once
    at_x = cavity[x] if x < V else 0.0
    leave, scale = leaving(exit_kind, h, outflow(k, rest, x, at_x, 1.0 - at_x))
    if not leave <= 1.0 + 1e-12:
        return x, 1
    left, last = u - (1.0 - leave), x
    if left < 0.0:
        return x, 0
    here, gain, own = weighed(k, x, at_x)
    for y in range(S):
        at_y = cavity[y] if y < V else 0.0
        flow = k.here[y] * here + k.direct * at_y + k.free[y] + gain * (own * at_y + k.base[y])
        if y != x and flow > 0.0:
            last = y
            left -= flow * scale
            if left < 0.0:
                break
    return last, 0


def fill_units(seed: Any, first: Any, move: Any, pair: Any, units: Any) -> None:
    """Fill units (2, lanes) with the uniform numbers of sites 2 pair and 2 pair + 1 of samples first, first + 1, ..."""
    for lane in range(units.shape[1]):
        units[0, lane], units[1, lane] = uniforms(seed, first + lane, move, 0, pair)


@overload(fill_units, target="cpu", jit_options=INLINED)
def _(seed: Any, first: Any, move: Any, pair: Any, units: Any) -> Any:
    return _fill_units


def _fill_units(seed: Any, first: Any, move: Any, pair: Any, units: Any) -> Any:
    out, lanes = start_of(units), units.shape[1]
    if lanes == LANES:  # so many that the compiler counts on it, and does two vectors side by side
        for lane in range(0, LANES, WIDTH):
            a, b, c, d = words_of(seed, ordinals(first + lane), np.uint64(move), place_of(0, pair))
            store(out, lane, unit_of(a, b))
            store(out, LANES + lane, unit_of(c, d))
    else:
        for lane in range(lanes):
            units[0, lane], units[1, lane] = uniforms(seed, first + lane, move, 0, pair)


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
            # a mask where there is none yet is left to `step_site`, which finds no law
            gone = packed.gain[m, x] != 0.0 if x < V else packed.add[m, x] == 0.0
            if packed.exit_kind[m] == ARGMAX or gone:
                continue
            # a token that is known has here/weight = 1/keep; the cavity of the others is at most one
            k = move.flow.coefficients
            leave = outflow(k, packed.rest[m], x, 1.0 if x < V else 0.0, 1.0)
            leave *= 1.0 if packed.exit_kind[m] == PROBABILITY else move.h
            if np.isfinite(leave):
                packed.stay[m, x] = 1.0 - leave - SLACK if leave > 0.0 else 1.0
    return packed
