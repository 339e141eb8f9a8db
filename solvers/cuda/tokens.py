"""Kernels of token samplers: a thread carries one sequence through its moves, one after the other.

States lie as (L, n), and scratch with the thread's number last, so that neighbouring threads touch neighbouring
numbers. Draws are in float64, by the same addresses and functions as on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import cuda
from numba.extending import overload

from analytic import chains, sequences

from .. import grids
from ..catalogue import catalogue
from ..discrete import one_chain
from ..discrete.births import Births, births_row
from ..discrete.chain_model import Chain, Likelihood
from ..discrete.events import EXCEEDED_RATE, Events, data_of, impossible_start, noise_of
from ..discrete.flow import half_noised
from ..discrete.fused import Trajectories, trajectories
from ..discrete.jump_chain import EXCEEDED, IMPOSSIBLE, RULES, walk
from ..discrete.kernel import Kernel
from ..discrete.model import Model, undefined
from ..discrete.moves import SIGNED, Move, Pair, Sites, pair_row
from ..discrete.neighbours import Neighbours, by_neighbours
from ..discrete.packed_moves import Packed
from ..discrete.reveal import Reveal, reveal_row
from ..discrete.site import (
    EXITS,
    LEAP,
    compound,
    compound_into,
    fill_flow,
    impossible,
    longest,
    pick,
    step_row,
    uniforms,
)
from ..methods.corrected_leaping import FirstJump, at_level, jump_row
from .device import Device, simulated

_SHARE = 0.5  # of the free memory that one launch takes at most


@overload(compound, target="cuda")
def _(h: Any, x: Any, out: Any) -> Any:
    # needs memory of any size: `poisson_sites` has its own
    def none(h: Any, x: Any, out: Any) -> Any:
        for y in range(out.shape[0]):
            out[y] = np.nan

    return none


class Fused(NamedTuple):
    """What `fused_by_messages` and `fused_by_neighbours` take: all moves, the model, states (L, n) and failures (n, 3).

    A failure is the move's number with the numbers of impossible rows and of laws that are none.
    """

    packed: Packed
    model: Chain | Neighbours
    states: Any
    failed: Any
    seed: Any
    first: int
    predicted: Any
    line: Any
    row: Any
    moved: Any


class Steps(NamedTuple):
    """What `sites`, `pair` and `reveal` take: one move, the model with what states tell at its times, states (L, n).

    `told` is the move itself: (k, exit, h) for `sites`, (k and h at both times, how) for `pair`, (order, temperature,
    after, mask) for `reveal`, (rule, p, seen) for `births`, (k, reach, 1 - alpha, prior) for `first_jump`.
    failed (n, 2): impossible rows and laws that are none.
    """

    told: Any
    model: Chain
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


class Walk(NamedTuple):
    """What `events` takes: one move's rule, clock and bound, states (L, n) and counts (n,)."""

    rule: int
    data: Any
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
    work: Any
    row: Any
    due: Any


def _words() -> Any:
    return np.uint64 if simulated() else numba.uint64


_WORDS = _words()


def fused_by_neighbours(arguments: Any) -> None:
    """Masked or known tokens: the nearest known ones say all about a site."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    words = cuda.local.array((2, 1), _WORDS)
    states, moved = plan.states[:, r : r + 1], plan.moved[:, :, r]
    for m in range(plan.packed.keep.shape[0]):
        impossible, bad = by_neighbours(
            plan.packed,
            m,
            plan.model,
            states,
            1,
            plan.seed,
            plan.first + r,
            moved,
            words,
            plan.line[0, :, r],
            plan.row[:, r],
        )
        if impossible > 0 or bad > 0:
            plan.failed[r, 0], plan.failed[r, 1], plan.failed[r, 2] = m, impossible, bad
            return


def fused_by_messages(arguments: Any) -> None:
    """Any mixture noise: forward and backward messages of the whole sequence."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    words = cuda.local.array((2, 1), _WORDS)
    states, predicted = plan.states[:, r], plan.predicted[:, :, r]
    for m in range(plan.packed.keep.shape[0]):
        impossible, bad = one_chain.step(
            plan.packed,
            m,
            plan.model,
            states,
            plan.seed,
            plan.first + r,
            predicted,
            plan.line[0, :, r],
            plan.line[1, :, r],
            words,
            plan.line[2, :, r],
            plan.row[:, r],
        )
        if impossible > 0 or bad > 0:
            plan.failed[r, 0], plan.failed[r, 1], plan.failed[r, 2] = m, impossible, bad
            return


def events(arguments: Any) -> None:
    """The reverse process event by event, as `Events` says."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    scratch = (plan.line[:, r], plan.work[:, r], plan.row[:, r], plan.due[:, r])
    plan.counts[r] = walk(
        plan.rule,
        plan.data,
        plan.noise,
        plan.start,
        plan.stop,
        plan.bound,
        plan.states[:, r],
        plan.seed,
        plan.first + r,
        plan.step,
        scratch,
    )


def sites(arguments: Any) -> None:
    """All sites at once, one move."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    k, exit_kind, h = plan.told
    states, cavities = plan.states[:, r], plan.predicted[:, :, r]
    if not one_chain.cavities(
        plan.model, plan.seen[0], states, cavities, plan.line[0, :, r], plan.line[1, :, r]
    ):
        plan.failed[r, 0] = 1
        return
    sample = plan.first + r
    plan.failed[r, 1] = step_row(
        k, exit_kind, h, states, cavities, plan.seed, sample, plan.step, 0, plan.row[0, :, r]
    )


def poisson_sites(arguments: Any) -> None:
    """All sites at once by Poisson numbers of jumps, whose laws need scratch of their own."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    k, _, h = plan.told
    states, cavities, row = plan.states[:, r], plan.predicted[:, :, r], plan.row[0, :, r]
    if not one_chain.cavities(
        plan.model, plan.seen[0], states, cavities, plan.line[0, :, r], plan.line[1, :, r]
    ):
        plan.failed[r, 0] = 1
        return
    jumps = plan.jumps[:, :, r]
    for i in range(states.shape[0]):
        x = states[i]
        fill_flow(k, x, cavities[i], row)
        compound_into(h, x, row, jumps[0, :-1], jumps[1, :-1], jumps[2])
        plan.failed[r, 1] += impossible(row)
        u = uniforms(plan.seed, plan.first + r, plan.step, 0, i // 2)
        states[i] = pick(row, x, u[i % 2])


def pair(arguments: Any) -> None:
    """Two leaps, as `Pair` says."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    k_first, k_second, h_first, h, how = plan.told
    states, cavities, before = plan.states[:, r], plan.predicted[:, :, r], plan.before[:, r]
    held, expected, work = plan.held[:, :, r], plan.line[0, :, r], plan.line[1, :, r]
    row, now, sample = plan.row[0, :, r], plan.row[1, :, r], plan.first + r
    if not one_chain.cavities(plan.model, plan.seen[0], states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    for i in range(states.shape[0]):
        before[i] = states[i]
        fill_flow(k_first, states[i], cavities[i], held[i])
    plan.failed[r, 1] = step_row(
        k_first, LEAP, h_first, states, cavities, plan.seed, sample, plan.step, 0, row
    )
    if not one_chain.cavities(plan.model, plan.seen[1], states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    plan.failed[r, 1] += pair_row(
        k_second, h, states, before, cavities, held, how, plan.seed, sample, plan.step, now, row
    )


def reveal(arguments: Any) -> None:
    """Some masked sites, as `Reveal` says; where it reveals nothing, the model is not asked."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    order, temperature, after, mask = plan.told
    states, posteriors = plan.states[:, r], plan.predicted[:, :, r]
    masked = 0
    for i in range(states.shape[0]):
        if states[i] == mask:
            masked += 1
    if after[masked] >= masked:
        return
    if not one_chain.cavities(
        plan.model, plan.seen[0], states, posteriors, plan.line[0, :, r], plan.line[1, :, r]
    ):
        plan.failed[r, 0] = 1
        return
    scratch = (plan.before[:, r], plan.chosen[0, :, r], plan.held[:, 0, r], plan.chosen[1, :, r])
    reveal_row(order, temperature, after, states, posteriors, plan.seed, plan.first + r, plan.step, scratch)


def births(arguments: Any) -> None:
    """Births at all sites, as `Births` says."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    rule, p, told = plan.told
    states, cavities = plan.states[:, r], plan.predicted[:, :, r]
    if not one_chain.cavities(
        plan.model, plan.seen[0], states, cavities, plan.line[0, :, r], plan.line[1, :, r]
    ):
        plan.failed[r, 0] = 1
        return
    plan.failed[r, 1] = births_row(
        rule, p, told, states, cavities, plan.seed, plan.first + r, plan.step, plan.row[0, :, r]
    )


def first_jump(arguments: Any) -> None:
    """The first jump and a leap from there, as `FirstJump` says."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    k, reach, level, prior = plan.told
    states, cavities, sample = plan.states[:, r], plan.predicted[:, :, r], plan.first + r
    expected, work = plan.line[0, :, r], plan.line[1, :, r]
    if not one_chain.cavities(plan.model, plan.seen[0], states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    wait = jump_row(k, states, cavities, reach, plan.seed, sample, plan.step, plan.held[:, :, r])
    if wait >= reach:
        return
    # 1 - alpha shrinks by exp(-wait); alpha itself is formed without cancellation, since it may start at 0
    alpha, noise = k.keep - math.expm1(-wait) * level, math.exp(-wait) * level
    add, law, flat, peak = plan.row[0, :, r], plan.row[1, :, r], plan.row[2, :, r], plan.row[3, :, r]
    for x in range(add.shape[0]):
        add[x] = noise * prior[x]
        most = add[x] + alpha if x < cavities.shape[1] else add[x]
        flat[x] = add[x] / most if most > 0.0 else 0.0
        peak[x] = 1.0 if most > 0.0 else 0.0
    seen = Likelihood(flat, peak, plan.seen[0].table)
    if not one_chain.cavities(plan.model, seen, states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    step_row(
        at_level(k, alpha, add),
        LEAP,
        reach - wait,
        states,
        cavities,
        plan.seed,
        sample,
        plan.step,
        1,
        law,
    )


@lru_cache
def compiled(kernel: Callable[[Any], None]) -> Any:
    from . import libdevice  # noqa: F401  # makes the primitives known

    return cuda.jit(kernel)


MOVES: dict[type, Callable[[Any], None]] = {
    Sites: sites,
    Pair: pair,
    Reveal: reveal,
    Births: births,
    FirstJump: first_jump,
}


def poisson(move: Move) -> bool:
    """Return True for a move by Poisson numbers of jumps."""
    return isinstance(move, Sites) and move.exit == "poisson"


def kernel_of(move: Move) -> Callable[[Any], None]:
    """Return the kernel of a move that is no Events."""
    return poisson_sites if poisson(move) else MOVES[type(move)]


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
        A kernel that has moves of another kind, or data that they are not fused on.
    """

    def __init__(self, kernel: Kernel, model: Model, device: Device) -> None:
        self.kernel, self.model, self.device = kernel, model, device
        self.fused = None if any(map(poisson, kernel.moves)) else trajectories(kernel.moves, model)
        for move in kernel.moves:
            exit_kind = getattr(move, "exit", "")
            if not (isinstance(move, Events) or (model.chain and type(move) in MOVES)):
                what = f"{type(move).__name__}({exit_kind})" if exit_kind else type(move).__name__
                raise ValueError(
                    f"device is {device.name!r}, where {kernel.name!r} with its move {what} on {model.data!r} does not "
                    "run: on a MarkovSequence all but guided moves do, on other data event-driven ones; "
                    "use device='cpu'"
                )

    @property
    def row_bytes(self) -> int:
        """Device memory that one sequence takes."""
        L, V, S = self.model.data.length, self.model.process.vocabulary, self.model.process.states
        if self.fused is None:
            table = V**L if not self._chain else 0
            steps = 0 if self.model.chain is None else L * (V + S + 4) + 2 * V + 4 * S
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

    def draw(self, tokens: Any, seed: Any, first: int) -> Any:
        """Carry tokens (n, L), a NumPy array, through all moves; return them as an array of the device."""
        xp = self.device.xp
        states = xp.asarray(np.ascontiguousarray(tokens.T))
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
    assert isinstance(move, Sites | Births | FirstJump)
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
    )
    there = [device.seen(array) for array in scratch]
    told, chain, seen = device.put((told, model.chain, seen))
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
    start, stop = move.ends
    return Walk(
        RULES[move.rule],
        device.put(data),
        noise_of(model.process),
        start,
        stop,
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
        plan = fused_plan(fused, states, np.zeros((4, 3), np.int64), seed, 0, here)
        yield (
            f"sites, {name}, by {'messages' if fused.near is None else 'neighbours'}",
            fused_by_messages if fused.near is None else fused_by_neighbours,
            (plan,),
        )
    masked = chains.Absorbing(vocabulary=3)
    grid = grids.uniform(masked, steps=1)
    for method, name in (
        ("theta-trapezoidal", "pair"),
        ("maskgit", "reveal"),
        ("tau-leaping", "sites, one move"),
        ("location-corrected-tau-leaping", "first jump"),
    ):
        first_move, *_ = catalogue[method].kernel(masked, grid).moves
        one_move = steps_plan(
            first_move, Model(masked, data), states, np.zeros((4, 2), np.int64), seed, 0, 0, here
        )
        yield f"{name}, masked", kernel_of(first_move), (one_move,)
    death = chains.PureDeath(vocabulary=3)
    first_move, *_ = catalogue["blackout"].kernel(death, grids.uniform(death, steps=1), births="mean").moves
    one_move = steps_plan(
        first_move, Model(death, data), states, np.zeros((4, 2), np.int64), seed, 0, 0, here
    )
    yield "births, pure death", births, (one_move,)
    noise = chains.Uniform(vocabulary=3)
    first_move, *_ = catalogue["poisson-tau-leaping"].kernel(noise, grids.uniform(noise, steps=1)).moves
    one_move = steps_plan(
        first_move, Model(noise, data), states, np.zeros((4, 2), np.int64), seed, 0, 0, here
    )
    yield "sites by Poisson jumps, uniform", poisson_sites, (one_move,)
    (move,) = catalogue["gillespie"].kernel(noise, grids.uniform(noise, steps=1)).moves
    assert isinstance(move, Events)
    yield "events, uniform", events, (events_plan(move, Model(noise, data), states, one, seed, 0, 0, here),)
