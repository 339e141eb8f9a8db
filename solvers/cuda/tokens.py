"""Token samplers on a device: which kernels carry out their moves, what they are given, and in what memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from analytic import chains, sequences

from .. import grids
from ..catalogue import catalogue
from ..discrete.births import Births
from ..discrete.events import EXCEEDED_RATE, Events, data_of, impossible_start, noise_of
from ..discrete.flow import half_noised
from ..discrete.fused import Trajectories, trajectories
from ..discrete.guided import Guided, labelled, likelihood_of_every_state
from ..discrete.jump_chain import EXCEEDED, IMPOSSIBLE, RULES
from ..discrete.kernel import Kernel
from ..discrete.labelled_chains import stacked
from ..discrete.model import Model, undefined
from ..discrete.moves import SIGNED, Move, Pair, Sites
from ..discrete.reveal import Reveal
from ..discrete.site import EXITS, longest
from ..methods.corrected_leaping import FirstJump
from . import token_kernels
from .device import Device
from .token_kernels import (
    Fused,
    Start,
    Steps,
    Walk,
    compiled,
    events,
    fused_by_messages,
    fused_by_neighbours,
    start,
)

_SHARE = 0.5  # of the free memory that one launch takes at most

MOVES: dict[type, Callable[[Any], None]] = {
    Sites: token_kernels.sites,
    Pair: token_kernels.pair,
    Reveal: token_kernels.reveal,
    Births: token_kernels.births,
    FirstJump: token_kernels.first_jump,
    Guided: token_kernels.guided,
}


def poisson(move: Move) -> bool:
    """Return True for a move by Poisson numbers of jumps."""
    return isinstance(move, Sites) and move.exit == "poisson"


def kernel_of(move: Move) -> Callable[[Any], None]:
    """Return the kernel of a move that is no Events."""
    return token_kernels.poisson_sites if poisson(move) else MOVES[type(move)]


class Runner:
    """A token sampler on a device.

    Parameters
    ----------
    kernel : Kernel
    model : Model
    device : Device

    Raises
    ------
    ValueError
        A move that has no kernel for such data.
    TypeError
        A guided kernel on data without labels.
    """

    def __init__(self, kernel: Kernel, model: Model, device: Device) -> None:
        self.kernel, self.model, self.device = kernel, model, device
        self.fused = None if any(map(poisson, kernel.moves)) else trajectories(kernel.moves, model)
        for move in kernel.moves:
            if not self._runs(move):
                exit_kind = getattr(move, "exit", "")
                what = f"{type(move).__name__}({exit_kind})" if exit_kind else type(move).__name__
                raise ValueError(
                    f"device is {device.name!r}, where {kernel.name!r} with its move {what} on {model.data!r} does not "
                    "run: on a MarkovSequence all moves do, guided ones on Labelled ones, on other data event-driven "
                    "ones; use device='cpu'"
                )

    def _runs(self, move: Move) -> bool:
        """Return True if a move has a kernel for the data."""
        if isinstance(move, Guided):
            data = labelled(self.model.data)
            data.condition(move.label)  # refuses a label that is none
            return stacked(data) is not None
        return isinstance(move, Events) or (self.model.chain is not None and type(move) in MOVES)

    @property
    def row_bytes(self) -> int:
        """Device memory that one sequence takes."""
        L, V, S = self.model.data.length, self.model.process.vocabulary, self.model.process.states
        if self.fused is None:
            by_events, guided = (
                any(isinstance(move, kind) for move in self.kernel.moves) for kind in (Events, Guided)
            )
            table = V**L if by_events and not self._chain else 0
            steps = L * (V + S + 4) + 2 * V + 4 * S if self.model.chain or guided else 0
            steps += L * (2 * V + 3) if guided else 0
            jumps = 3 * (longest(S) + 1) if any(map(poisson, self.kernel.moves)) else 0
            return 8 * (3 * L + jumps + max(V + S + max(2 * V, table), steps))
        return 8 * (2 * L + 3 * V + S + (3 * L if self.fused.near else L * V))

    @property
    def _chain(self) -> bool:
        return isinstance(self.model.data, sequences.MarkovSequence | sequences.Product)

    def rows(self) -> int:
        """Sequences that one launch takes at most. Raises MemoryError if there is no room for one."""
        self.device.check_room(self.row_bytes, "free memory on the device, or take shorter sequences")
        return max(1, int(_SHARE * self.device.free() / self.row_bytes))

    def sent(self, tokens: Any) -> Any:
        """Return tokens (n, L), a NumPy array, as states (L, n) on the device."""
        return self.device.xp.asarray(np.ascontiguousarray(tokens.T))

    def start(self, tokens: Any, table: Any, seed: Any, first: int) -> Any:
        """Return states (L, n) on the device, drawn from the rows of a table (V, S) that tokens (n, L) name."""
        states = self.sent(tokens) if tokens.any() else self.device.xp.zeros(tokens.T.shape, np.int64)
        self.device.launch(
            compiled(start), len(tokens), (start_plan(table, states, seed, first, self.device),)
        )
        return states

    def draw(self, states: Any, seed: Any, first: int) -> Any:
        """Carry states (L, n) through all moves, in place; return them as tokens (n, L)."""
        xp = self.device.xp
        if self.fused is not None:
            self._draw_fused(self.fused, states, seed, first)
        else:
            for number, move in enumerate(self.kernel.moves):
                if isinstance(move, Events):
                    self._draw_events(move, states, seed, first, number)
                else:
                    self._draw_steps(move, states, seed, first, number)
        return xp.ascontiguousarray(states.T)

    def _draw_fused(self, fused: Trajectories, states: Any, seed: Any, first: int) -> None:
        failed = self.device.xp.zeros((states.shape[1], 3), np.int64)
        plan = fused_plan(fused, states, failed, seed, first, self.device)
        kernel = fused_by_messages if fused.near is None else fused_by_neighbours
        self.device.launch(compiled(kernel), states.shape[1], (plan,))
        wrong = failed[:, 1:].any(axis=1)
        if bool(wrong.any()):
            move, impossible, bad = (int(v) for v in failed[wrong][0])
            if impossible:
                raise undefined(fused.moves[move].flow.t, f"{int(wrong.sum())} such samples")
            raise FloatingPointError(f"{bad} sites had a probability that is none: take more steps")

    def _draw_steps(self, move: Move, states: Any, seed: Any, first: int, number: int) -> None:
        failed = self.device.xp.zeros((states.shape[1], 2), np.int64)
        plan = steps_plan(move, self.model, states, failed, seed, first, number, self.device)
        self.device.launch(compiled(kernel_of(move)), states.shape[1], (plan,))
        impossible, bad = (int(v) for v in failed.sum(axis=0))
        if impossible:
            raise undefined(times_of(move)[0], f"{impossible} such samples")
        if bad and isinstance(move, Guided):
            raise move.undefined(bad)
        if bad:
            raise FloatingPointError(f"{bad} sites had a probability that is none: take more steps")

    def _draw_events(self, move: Events, states: Any, seed: Any, first: int, number: int) -> None:
        counts = self.device.xp.zeros(states.shape[1], np.int64)
        plan = events_plan(move, self.model, states, counts, seed, first, number, self.device)
        self.device.launch(compiled(events), states.shape[1], (plan,))
        if bool((counts == IMPOSSIBLE).any()):
            raise impossible_start(move)
        if bool((counts == EXCEEDED).any()):
            raise FloatingPointError(EXCEEDED_RATE.format(move=move))


def start_plan(table: Any, states: Any, seed: Any, first: int, device: Device) -> Start:
    """Lay out a table of laws (V, S) for all columns of states (L, n) on a device."""
    return Start(device.put(table), device.seen(states), seed, first)


def fused_plan(fused: Trajectories, states: Any, failed: Any, seed: Any, first: int, device: Device) -> Fused:
    """Lay out moves, model and scratch for all columns of states (L, n) on a device."""
    xp, (L, n) = device.xp, states.shape
    V, S = fused.model.process.vocabulary, fused.model.process.states
    known = fused.near is not None
    scratch = (
        xp.empty((1, 1, 1) if known else (L, V, n)),
        xp.empty((1 if known else 3, V, n)),
        xp.empty((S, n)),
        xp.empty((L, 3, n) if known else (1, 1, 1), np.int64),
    )
    model = device.put(fused.near if known else fused.model.chain)
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
        xp.empty((2, V, n)),
        xp.empty((4, S, n)),
        xp.empty((L, S if isinstance(move, Pair | FirstJump) else 1, n)),
        xp.empty((L, n), np.int64),
        xp.empty((2, L, n), np.int64),
        xp.empty((3, longest(S) + 1, n) if poisson(move) else (1, 1, 1)),
        xp.empty((2, L, V, n) if isinstance(move, Guided) else (1, 1, 1, 1)),
        xp.empty((3, L, n) if isinstance(move, Guided) else (1, 1, 1)),
    )
    there = [device.seen(array) for array in scratch]
    chain = stacked(labelled(model.data)) if isinstance(move, Guided) else model.chain
    told, chain, seen = device.put((told, chain, seen))
    return Steps(told, chain, seen, device.seen(states), device.seen(failed), seed, first, number, *there)


def events_plan(
    move: Events, model: Model, states: Any, counts: Any, seed: Any, first: int, number: int, device: Device
) -> Walk:
    """Lay out one move and scratch for all columns of states (L, n) on a device."""
    xp, (L, n) = device.xp, states.shape
    V, S = model.process.vocabulary, model.process.states
    data = data_of(model.data)
    scratch = (
        xp.empty((V, n)),
        xp.empty((max(2 * V, data.table.shape[0]), n)),
        xp.empty((S, n)),
        xp.empty((L, n)),
    )
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


class _Host:
    """Stands in for a device where only the types of arrays matter."""

    xp = np

    @staticmethod
    def put(value: Any) -> Any:
        return value

    seen = put


def examples() -> Iterator[tuple[str, Callable[[Any], None], Any]]:
    """Yield (name, uncompiled kernel, its argument): what is checked without a GPU."""
    here: Any = _Host()
    transition = np.full((3, 3), 0.2) + 0.4 * np.eye(3)
    data = sequences.MarkovSequence(np.full(3, 1 / 3), transition, 6)
    seed, states, one = np.uint64(0), np.zeros((6, 4), np.int64), np.zeros(4, np.int64)
    for name, noise in (
        ("masked", chains.Absorbing(vocabulary=3)),
        ("uniform", chains.Uniform(vocabulary=3)),
    ):
        grid = grids.uniform(noise, steps=4)
        fused = trajectories(catalogue["tweedie-tau-leaping"].kernel(noise, grid).moves, Model(noise, data))
        assert fused is not None
        plan: Any = fused_plan(fused, states, np.zeros((4, 3), np.int64), seed, 0, here)
        yield (
            f"sites, {name}, by {'messages' if fused.near is None else 'neighbours'}",
            fused_by_messages if fused.near is None else fused_by_neighbours,
            (plan,),
        )
    masked, uniform, death = (
        noise(vocabulary=3) for noise in (chains.Absorbing, chains.Uniform, chains.PureDeath)
    )
    two_labels, options = sequences.Labelled([data, data], [0.5, 0.5]), {"blackout": {"births": "mean"}}
    for name, method, process, law in (
        ("pair, masked", "theta-trapezoidal", masked, data),
        ("reveal, masked", "maskgit", masked, data),
        ("sites, one move, masked", "tau-leaping", masked, data),
        ("first jump, masked", "location-corrected-tau-leaping", masked, data),
        ("births, pure death", "blackout", death, data),
        ("sites by Poisson jumps, uniform", "poisson-tau-leaping", uniform, data),
        ("guided, uniform", "guided-ancestral", uniform, two_labels),
    ):
        kernel = catalogue[method].kernel(process, grids.uniform(process, steps=1), **options.get(method, {}))
        failed = np.zeros((4, 2), np.int64)
        plan = steps_plan(kernel.moves[0], Model(process, law), states, failed, seed, 0, 0, here)
        yield name, kernel_of(kernel.moves[0]), (plan,)
    (move,) = catalogue["gillespie"].kernel(uniform, grids.uniform(uniform, steps=1)).moves
    assert isinstance(move, Events)
    plan = events_plan(move, Model(uniform, data), states, one, seed, 0, 0, here)
    yield "events, uniform", events, (plan,)
    yield "start states", start, (start_plan(transition, states, seed, 0, here),)
