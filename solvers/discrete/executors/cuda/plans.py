"""What kernels of token samplers are given: moves, the model, states and scratch, laid out on a device."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ....cuda.device import Device
from ...flow import half_noised
from ...model.cavities import Model
from ...model.messages_by_block import Transitions
from ...model.messages_by_label import stacked
from ...moves.births import Births
from ...moves.event_loop import RULES
from ...moves.event_rates import Data
from ...moves.events import Events, data_of, noise_of
from ...moves.first_jump import FirstJump
from ...moves.guided import Guided, labelled, likelihood_of_every_state
from ...moves.move import Move
from ...moves.pair import SIGNED, Pair
from ...moves.reveal import Reveal
from ...moves.site import EXITS, longest
from ...moves.sites import Sites
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
    """What one move at all sites takes: the move, the model with what states tell at its times, states (L, n).

    `told` is the move itself: (k, exit, h) for `sites`, (k and h at both times, how) for `pair`, (order, temperature,
    after, mask) for `reveal`, (rule, p, seen) for `births`, (k, reach, 1 - alpha, prior) for `first_jump`,
    (k, guide, gamma, exit, h, label, log of weights, whether it asks with the label, and without) for `guided`.
    failed (n, 2): impossible rows and laws that are none.
    """

    told: Any
    model: Transitions
    seen: Any
    states: Any
    failed: Any
    seed: Any
    first: int
    step: int
    predicted: Any
    line: Any
    row: Any
    held: Any
    before: Any
    chosen: Any
    jumps: Any
    parts: Any
    logs: Any


class Walk(NamedTuple):
    """What `events` takes: one move's rule, clock and bound, states (L, n) and counts (n,)."""

    rule: int
    model: Data
    noise: Any
    start: float
    stop: float
    bound: float
    states: Any
    counts: Any
    seed: Any
    first: int
    step: int
    line: Any
    row: Any
    table: Any
    due: Any


def poisson(move: Move) -> bool:
    """Return True for a move by Poisson numbers of jumps."""
    return isinstance(move, Sites) and move.exit == "poisson"


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


def times_of(move: Move) -> tuple[float, ...]:
    """Return the times at which a move asks the model."""
    if isinstance(move, Pair):
        return move.first.t, move.second.t
    if isinstance(move, Reveal):
        return (half_noised(move.process),)
    assert isinstance(move, Sites | Births | FirstJump | Guided)
    return (move.flow.t,)


def steps_plan(
    move: Move, model: Model, states: Any, failed: Any, seed: Any, first: int, number: int, device: Device
) -> Steps:
    """Lay out one move and scratch for all columns of states (L, n) on a device."""
    xp, (L, n) = device.xp, states.shape
    V, S = model.process.vocabulary, model.process.states
    told: Any
    if isinstance(move, Pair):
        if not move.clip:
            raise ValueError(SIGNED)
        told = (move.first.coefficients, move.second.coefficients, move.h_first, move.h, move.how)
    elif isinstance(move, Reveal):
        told = (*move.how(L), V)
    elif isinstance(move, Births):
        told = move.how
    elif isinstance(move, FirstJump):
        told = (move.flow.coefficients, move.reach, move.level, np.array(model.process.prior))
    elif isinstance(move, Guided):
        data = labelled(model.data)
        if move.guide == "classifier":
            likelihood_of_every_state(
                model.process, move.flow.t
            )  # refuses a time at which some state has none
        with np.errstate(divide="ignore"):
            told = (*move.how, move.label, np.log(data.weights), *move.needs)
    else:
        assert isinstance(move, Sites)
        told = (move.flow.coefficients, EXITS[move.exit], move.h)
    seen = tuple(model.likelihood(t) for t in times_of(move))
    scratch = (
        xp.empty((L, V, n)),
        *_lines(model, n, xp),
        xp.empty((L, S if isinstance(move, Pair | FirstJump) else 1, n)),
        xp.empty((L, n), np.int64),
        xp.empty((2, L, n), np.int64),
        xp.empty((3, longest(S) + 1, n) if poisson(move) else (1, 1, 1)),
        xp.empty((2, L, V, n) if isinstance(move, Guided) else (1, 1, 1, 1)),
        xp.empty((3, L, n) if isinstance(move, Guided) else (1, 1, 1)),
    )
    there = [device.seen(array) for array in scratch]
    transitions = stacked(labelled(model.data)) if isinstance(move, Guided) else model.transitions
    told, transitions, seen = device.put((told, transitions, seen))
    return Steps(
        told, transitions, seen, device.seen(states), device.seen(failed), seed, first, number, *there
    )


def events_plan(
    move: Events, model: Model, states: Any, counts: Any, seed: Any, first: int, number: int, device: Device
) -> Walk:
    """Lay out one move and scratch for all columns of states (L, n) on a device."""
    xp, (L, n) = device.xp, states.shape
    data = data_of(model.data)
    # two numbers at least: a column of one alone is contiguous, which interpreted code is compiled again for
    scratch = (*_lines(model, n, xp), xp.empty((max(2, data.table.shape[0]), n)), xp.empty((L, n)))
    return Walk(
        RULES[move.rule],
        device.put(data),
        noise_of(model.process),
        *move.ends,
        move.bound,
        device.seen(states),
        device.seen(counts),
        seed,
        first,
        number,
        *(device.seen(array) for array in scratch),
    )
