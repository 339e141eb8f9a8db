"""What kernels of token samplers are given: moves, the model, states and scratch, laid out on a device."""

from __future__ import annotations

from collections import namedtuple
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ....cuda.device import Device
from ...model.cavities import Model
from ...model.messages_by_block import Transitions
from ...moves.move import Thread
from ..fused import Trajectories
from ..packed_moves import Packed
from ..through_neighbours import Neighbours

MOST_UNROLLED = 8  # tokens up to which messages and laws of one site may become registers
LINES, ROWS = 3, 4  # most messages (V,) and laws (S,) that a thread works with at once


class Start(NamedTuple):
    """What `start` takes: laws (V, S) by token, and tokens (L, n)."""

    table: Any
    states: Any
    seed: Any
    first: int


class Fused(NamedTuple):
    """What `fused_by_messages` and `fused_by_neighbours` take: all moves, the model, states (L, n) and failures (n, 3).

    A failure is the move's number with the numbers of impossible rows and of laws that are none.
    """

    packed: Packed
    model: Transitions | Neighbours
    states: Any
    failed: Any
    seed: Any
    first: int
    predicted: Any
    line: Any
    row: Any
    moved: Any


class Steps(NamedTuple):
    """What one move takes: what it is told, the model with what states tell at its times, states (L, n), scratch.

    failed (n, 2): impossible rows and laws that are none. The move's own scratch is under the names that it gave.
    """

    told: Any
    model: Any
    seen: Any
    states: Any
    failed: Any
    seed: Any
    first: int
    step: int
    line: Any
    row: Any
    scratch: Any


def in_registers(model: Model) -> bool:
    """Return True if a thread has messages and laws of one site for itself, with loops over tokens unrolled."""
    return bool(model.process.vocabulary <= MOST_UNROLLED)


def _lines(model: Model, n: int, xp: Any) -> tuple[Any, Any]:
    """Return scratch of n threads, messages (LINES, V, n) and laws (ROWS, S, n); next to none if in registers."""
    if in_registers(model):
        return xp.empty((1, 1, 1)), xp.empty((1, 1, 1))
    return xp.empty((LINES, model.process.vocabulary, n)), xp.empty((ROWS, model.process.states, n))


def start_plan(table: Any, states: Any, seed: Any, first: int, device: Device) -> Start:
    """Lay out a table of laws (V, S) for all columns of states (L, n) on a device."""
    return Start(device.put(table), device.seen(states), seed, first)


def fused_plan(fused: Trajectories, states: Any, failed: Any, seed: Any, first: int, device: Device) -> Fused:
    """Lay out moves, model and scratch for all columns of states (L, n) on a device."""
    xp, (L, n) = device.xp, states.shape
    known = fused.near is not None
    scratch = (
        xp.empty((1, 1, 1) if known else (L, fused.model.process.vocabulary, n)),
        *_lines(fused.model, n, xp),
        xp.empty((L, 3, n) if known else (1, 1, 1), np.int64),
    )
    model = device.put(fused.near if known else fused.model.transitions)
    states, failed = device.seen(states), device.seen(failed)
    predicted, line, row, moved = (device.seen(array) for array in scratch)
    return Fused(device.put(fused.packed), model, states, failed, seed, first, predicted, line, row, moved)


@lru_cache(maxsize=256)
def _named(names: tuple[str, ...]) -> Any:
    """Return a type of tuples with these names, always the same one, as compiled code knows tuples by their type."""
    return namedtuple("Scratch", names)  # names are not known before


def steps_plan(
    thread: Thread, model: Model, states: Any, failed: Any, seed: Any, first: int, number: int, device: Device
) -> Steps:
    """Lay out what a move gave, the kernel's move of that number, and scratch for all columns of states (L, n)."""
    xp, n = device.xp, states.shape[1]
    own = _named(tuple(thread.scratch))(
        *(device.seen(xp.empty((*sizes, n), kind)) for kind, *sizes in thread.scratch.values())
    )
    line, row = (device.seen(array) for array in _lines(model, n, xp))
    told, data, seen = device.put((thread.told, thread.model, thread.seen))
    return Steps(
        told, data, seen, device.seen(states), device.seen(failed), seed, first, number, line, row, own
    )
