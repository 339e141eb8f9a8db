"""States of a block of sites drawn at once: `packed_moves.step_site`, one lane after the other or vectors of them."""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.extending import overload

from ...numerics.jit import COMPILED, INLINED
from ...numerics.lanes import any_of, at, fma, gather, load, select, spread, start_of, store
from ...numerics.primitives import exp
from ..model.messages_by_block import LANES, WEAK, WIDTH, take_cavity
from ..moves.site import CLIPPED, LEAP, PROBABILITY
from .packed_moves import Packed, coefficients, step_site


@njit(**COMPILED)
def one_by_one(
    packed: Packed, m: int, predicted: Any, expected: Any, states: Any, units: Any, out: Any, scratch: Any
) -> tuple[int, int]:
    """Fill out (LANES,) with where move m takes the states (LANES,) of a site, by its two messages (V * LANES,).

    `units` (LANES,) are uniform numbers, `scratch` (S + V,). Returns how many lanes have messages that hardly overlap,
    and how many a law that is none.
    """
    k = coefficients(packed, m)
    S = packed.add.shape[1]
    row, cavity = scratch[:S], scratch[S:]
    weak, bad = 0, 0
    for lane in range(LANES):
        total = 0.0
        for v in range(cavity.shape[0]):
            total += predicted[v * LANES + lane] * expected[v * LANES + lane]
        if not total > WEAK:
            weak += 1
        take_cavity(predicted, expected, lane, total, cavity)
        out[lane], wrong = step_site(
            k, packed.rest[m], packed.exit_kind[m], packed.h[m], states[lane], units[lane], cavity, row
        )
        bad += wrong
    return weak, bad


def draw_block(
    packed: Packed, m: int, predicted: Any, expected: Any, states: Any, units: Any, out: Any, scratch: Any
) -> tuple[int, int]:
    """As `one_by_one`, for exits up to REJECT."""
    found: tuple[int, int] = one_by_one(packed, m, predicted, expected, states, units, out, scratch)
    return found


@overload(draw_block, target="cpu", jit_options=INLINED)
def _(
    packed: Packed, m: int, predicted: Any, expected: Any, states: Any, units: Any, out: Any, scratch: Any
) -> Any:
    return _draw_lanes


def _draw_lanes(
    packed: Packed, m: int, predicted: Any, expected: Any, states: Any, units: Any, out: Any, scratch: Any
) -> Any:
    exit_kind, h, mean, keep = packed.exit_kind[m], packed.h[m], packed.mean[m], packed.keep[m]
    own, direct, zero = packed.own[m], packed.direct[m], spread(0.0)
    add, gain, rest = start_of(packed.add[m]), start_of(packed.gain[m]), start_of(packed.rest[m])
    base, here, free = start_of(packed.base[m]), start_of(packed.here[m]), start_of(packed.free[m])
    p, e, s, n, o = (
        start_of(predicted),
        start_of(expected),
        start_of(states),
        start_of(units),
        start_of(out),
    )
    S, V = packed.add.shape[1], predicted.shape[0] // LANES
    weak, bad = 0, 0
    for lane in range(0, LANES, WIDTH):
        x, total, at_x = load(s, lane), zero, zero
        for v in range(V):
            product = load(p, v * LANES + lane) * load(e, v * LANES + lane)
            total = total + product
            at_x = select(x == v, product, at_x)
        scale = 1.0 / total
        at_x = at_x * scale
        # as `weighed` and `outflow`
        added, gained = gather(add, x), gather(gain, x)
        weight, present, mine = fma(keep, at_x, added), at_x, zero + own
        if mean:
            mine = own * added / weight
            present = (keep + added) * at_x / weight
            weight = fma(keep, present, added)
        present = select(weight > 0.0, present / weight, zero)
        gained = select(gained > 0.0, gained / weight, zero)
        others, place = 1.0 - at_x, x * 3
        flows = gather(rest, place + 1) * present + direct * others + gather(rest, place + 2)
        flows = flows + gained * fma(mine, others, gather(rest, place))
        # as `leaving`
        leave = h * flows
        if exit_kind == PROBABILITY:
            factor = zero + 1.0
            leave = select(flows > 1.0 + 1e-12, flows, select(flows < 1.0, flows, factor))
        elif exit_kind == CLIPPED:
            factor = select(leave > 1.0, 1.0 / flows, zero + h)
            leave = select(leave > 1.0, zero + 1.0, leave)
        elif exit_kind == LEAP:
            leave = 1.0 - exp(-leave)
            factor = select(flows > 0.0, leave / flows, zero + h)
        else:
            factor = h * exp(-leave)
            leave = factor * flows
        if any_of(select(total > WEAK, zero, zero + 1.0) > 0.0):
            weak += 1
        if any_of(select(leave <= 1.0 + 1e-12, zero, zero + 1.0) > 0.0):
            bad += 1
        left, found = load(n, lane) - (1.0 - leave), x
        if any_of(left >= 0.0):
            for y in range(S):
                flow = fma(at(here, y), present, zero + at(free, y)) + gained * at(base, y)
                if y < V:
                    at_y = load(p, y * LANES + lane) * load(e, y * LANES + lane) * scale
                    flow = flow + (direct + gained * mine) * at_y
                flow = select(x == y, zero, flow)
                found = select(left >= 0.0, select(flow > 0.0, spread(y), found), found)
                left = left - flow * factor
        store(o, lane, found)
    return weak, bad
