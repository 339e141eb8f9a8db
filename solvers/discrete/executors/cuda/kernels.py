"""Kernels of token samplers: a thread carries one sequence through its moves, one after the other.

States lie as (L, n), and scratch with the thread's number last, so that neighbouring threads touch neighbouring
numbers. Draws are in float64, by the same addresses and functions as on the CPU.

What thread r does in one move is the move's own, `Thread.carry`; here is what it does in whole trajectories. Both are
functions of the plan, the model, the thread's messages (LINES, V), its laws of one site (ROWS, S), its uniform
numbers of two sites (2, 1) and r; `built` makes the kernel of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba import cuda
from numba.extending import overload

from ....cuda.device import simulated
from ....cuda.sizes import of_size
from ...model.cavities import Model
from ...model.messages_by_block import Transitions
from ...moves.event_rates import Data
from ...moves.site import (
    START,
    compound,
    draw_row,
)
from ..packed_moves import fill_units
from ..through_messages_of_one import step
from ..through_neighbours import Neighbours, all_known, any_moves, by_neighbours, multiply
from .plans import in_registers


@overload(fill_units, target="cuda")
def _(seed: Any, first: Any, move: Any, pair: Any, units: Any) -> Any:
    return fill_units


@overload(any_moves, target="cuda")
def _(states: Any, units: Any, lane: int, mask: int, of_mask: float, of_token: float) -> Any:
    return any_moves


@overload(all_known, target="cuda")
def _(states: Any, other: Any, mask: int) -> Any:
    return all_known


@overload(multiply, target="cuda")
def _(a: Any, b: Any, out: Any) -> Any:
    return multiply


@overload(compound, target="cuda")
def _(h: Any, x: Any, out: Any) -> Any:
    # needs memory of any size: `poisson_sites` has its own
    def none(h: Any, x: Any, out: Any) -> Any:
        for y in range(out.shape[0]):
            out[y] = np.nan

    return none


def start(arguments: Any) -> None:
    """Noise on tokens: each becomes a draw from its row of a table."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r < plan.states.shape[1]:
        draw_row(plan.table, plan.states[:, r], plan.seed, plan.first + r, START)


def fused_by_neighbours(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    """Masked or known tokens: the nearest known ones say all about a site."""
    states, moved = plan.states[:, r : r + 1], plan.moved[:, :, r]
    for m in range(plan.packed.keep.shape[0]):
        impossible, bad = by_neighbours(
            plan.packed,
            m,
            model,
            states,
            1,
            plan.seed,
            plan.first + r,
            moved,
            units,
            lines[0],
            rows[0],
        )
        if impossible > 0 or bad > 0:
            plan.failed[r, 0], plan.failed[r, 1], plan.failed[r, 2] = m, impossible, bad
            return


def fused_by_messages(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    """Any mixture noise: forward and backward messages of the whole sequence."""
    states, predicted = plan.states[:, r], plan.predicted[:, :, r]
    for m in range(plan.packed.keep.shape[0]):
        impossible, bad = step(
            plan.packed,
            m,
            model,
            states,
            plan.seed,
            plan.first + r,
            predicted,
            lines[0],
            lines[1],
            units,
            lines[2],
            rows[0],
        )
        if impossible > 0 or bad > 0:
            plan.failed[r, 0], plan.failed[r, 1], plan.failed[r, 2] = m, impossible, bad
            return


def built(carry: Callable[..., None], plan: Any, model: Model) -> Callable[[Any], None]:
    """Return the kernel, uncompiled, in which each thread carries a sequence as a move or a function above does.

    With few tokens the compiler knows their number: it unrolls loops over them, and what a thread works with becomes
    registers. Else that lies in the plan's scratch.
    """
    V, S = (model.process.vocabulary, model.process.states) if in_registers(model) else (0, 0)
    kind: Any = type(plan.model)
    return _build(carry, kind, V, S)


@lru_cache(maxsize=256)
def _build(carry: Callable[..., None], model: type, V: int, S: int) -> Callable[[Any], None]:
    real = np.float64 if simulated() else numba.float64
    known = _sizer(model, V)
    carried = carry if simulated() else cuda.jit(device=True, forceinline=True)(carry)

    def from_memory(arguments: Any) -> None:
        plan, r = arguments[0], cuda.grid(1)
        if r < plan.states.shape[1]:
            units = cuda.local.array((2, 1), real)
            carried(plan, plan.model, plan.line[:, :, r], plan.row[:, :, r], units, r)

    def from_registers(arguments: Any) -> None:
        plan, r = arguments[0], cuda.grid(1)
        if r < plan.states.shape[1]:
            lines = (cuda.local.array(V, real), cuda.local.array(V, real), cuda.local.array(V, real))
            rows = (
                cuda.local.array(S, real),
                cuda.local.array(S, real),
                cuda.local.array(S, real),
                cuda.local.array(S, real),
            )
            units = cuda.local.array((2, 1), real)
            carried(plan, known(plan.model), lines, rows, units, r)

    return from_registers if V else from_memory


def _sizer(model: type, V: int) -> Callable[[Any], Any]:
    """Return a device function that tells the compiler the number of tokens in a model."""
    line, square = of_size(V), of_size(V, V)

    def transitions(model: Transitions) -> Transitions:
        return Transitions(line(model.start, 0), square(model.advance, 0), square(model.retreat, 0))

    def data(model: Data) -> Data:
        return Data(line(model.initial, 0), square(model.transition, 0), model.table)

    def neighbours(model: Neighbours) -> Neighbours:
        return Neighbours(line(model.alone, 0), square(model.after, 0), square(model.before, 0), model.gaps)

    sized: Any = {Transitions: transitions, Data: data, Neighbours: neighbours}[model]
    return sized if simulated() else cuda.jit(device=True)(sized)


@lru_cache(maxsize=256)
def compiled(kernel: Callable[[Any], None]) -> Any:
    from ....cuda import extensions  # noqa: F401  # makes them known to the compiler

    return cuda.jit(kernel)
