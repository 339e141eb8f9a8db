"""Kernels of token samplers: a thread carries one sequence through its moves, one after the other.

States lie as (L, n), and scratch with the thread's number last, so that neighbouring threads touch neighbouring
numbers. Draws are in float64, by the same addresses and functions as on the CPU.

What thread r does is a function of the plan, the model, its messages (LINES, V), its laws of one site (ROWS, S), its
words of the random stream (2, 1) and r; `built` makes the kernel of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba import cuda
from numba.extending import overload

from ....cuda.device import simulated
from ....cuda.sizes import of_size
from ...model import messages_of_one
from ...model.cavities import Model
from ...model.messages_by_block import Likelihood, Transitions
from ...model.messages_by_label import labelled_cavities, log_ratios, told
from ...moves.births import births_row
from ...moves.event_loop import walk
from ...moves.event_rates import Data
from ...moves.first_jump import at_level, jump_row
from ...moves.guided_site import CLASSIFIER, fill_guided
from ...moves.pair import pair_row
from ...moves.reveal import reveal_row
from ...moves.site import (
    LEAP,
    START,
    compound,
    compound_into,
    draw_row,
    fill_flow,
    impossible,
    pick,
    step_row,
    uniforms,
)
from ..through_messages_of_one import step
from ..through_neighbours import Neighbours, by_neighbours
from .plans import in_registers


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


def fused_by_neighbours(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
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
            words,
            lines[0],
            rows[0],
        )
        if impossible > 0 or bad > 0:
            plan.failed[r, 0], plan.failed[r, 1], plan.failed[r, 2] = m, impossible, bad
            return


def fused_by_messages(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
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
            words,
            lines[2],
            rows[0],
        )
        if impossible > 0 or bad > 0:
            plan.failed[r, 0], plan.failed[r, 1], plan.failed[r, 2] = m, impossible, bad
            return


def events(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    """The reverse process event by event, as `Events` says."""
    scratch = (lines[0], (lines[1], lines[2], plan.table[:, r]), rows[0], plan.due[:, r])
    plan.counts[r] = walk(
        plan.rule,
        model,
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


def sites(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    """All sites at once, one move."""
    k, exit_kind, h = plan.told
    states, cavities = plan.states[:, r], plan.predicted[:, :, r]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, lines[0], lines[1]):
        plan.failed[r, 0] = 1
        return
    sample = plan.first + r
    plan.failed[r, 1] = step_row(k, exit_kind, h, states, cavities, plan.seed, sample, plan.step, 0, rows[0])


def poisson_sites(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    """All sites at once by Poisson numbers of jumps, whose laws need scratch of their own."""
    k, _, h = plan.told
    states, cavities, row = plan.states[:, r], plan.predicted[:, :, r], rows[0]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, lines[0], lines[1]):
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


def pair(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    """Two leaps, as `Pair` says."""
    k_first, k_second, h_first, h, how = plan.told
    states, cavities, before = plan.states[:, r], plan.predicted[:, :, r], plan.before[:, r]
    held, expected, work = plan.held[:, :, r], lines[0], lines[1]
    row, now, sample = rows[0], rows[1], plan.first + r
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    for i in range(states.shape[0]):
        before[i] = states[i]
        fill_flow(k_first, states[i], cavities[i], held[i])
    plan.failed[r, 1] = step_row(
        k_first, LEAP, h_first, states, cavities, plan.seed, sample, plan.step, 0, row
    )
    if not messages_of_one.cavities(model, plan.seen[1], states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    plan.failed[r, 1] += pair_row(
        k_second, h, states, before, cavities, held, how, plan.seed, sample, plan.step, now, row
    )


def reveal(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    """Some masked sites, as `Reveal` says; where it reveals nothing, the model is not asked."""
    order, temperature, after, mask = plan.told
    states, posteriors = plan.states[:, r], plan.predicted[:, :, r]
    masked = 0
    for i in range(states.shape[0]):
        if states[i] == mask:
            masked += 1
    if after[masked] >= masked:
        return
    if not messages_of_one.cavities(model, plan.seen[0], states, posteriors, lines[0], lines[1]):
        plan.failed[r, 0] = 1
        return
    scratch = (plan.before[:, r], plan.chosen[0, :, r], plan.held[:, 0, r], plan.chosen[1, :, r])
    reveal_row(order, temperature, after, states, posteriors, plan.seed, plan.first + r, plan.step, scratch)


def births(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    """Births at all sites, as `Births` says."""
    rule, p, told = plan.told
    states, cavities = plan.states[:, r], plan.predicted[:, :, r]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, lines[0], lines[1]):
        plan.failed[r, 0] = 1
        return
    plan.failed[r, 1] = births_row(
        rule, p, told, states, cavities, plan.seed, plan.first + r, plan.step, rows[0]
    )


def first_jump(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    """The first jump and a leap from there, as `FirstJump` says."""
    k, reach, level, prior = plan.told
    states, cavities, sample = plan.states[:, r], plan.predicted[:, :, r], plan.first + r
    expected, work = lines[0], lines[1]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    wait = jump_row(k, states, cavities, reach, plan.seed, sample, plan.step, plan.held[:, :, r])
    if wait >= reach:
        return
    # 1 - alpha shrinks by exp(-wait); alpha itself is formed without cancellation, since it may start at 0
    alpha, noise = k.keep - math.expm1(-wait) * level, math.exp(-wait) * level
    add, law, flat, peak = rows[0], rows[1], rows[2], rows[3]
    for x in range(add.shape[0]):
        add[x] = noise * prior[x]
        most = add[x] + alpha if x < cavities.shape[1] else add[x]
        flat[x] = add[x] / most if most > 0.0 else 0.0
        peak[x] = 1.0 if most > 0.0 else 0.0
    seen = Likelihood(flat, peak, plan.seen[0].table)
    if not messages_of_one.cavities(model, seen, states, cavities, expected, work):
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


def guided(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    """All sites at once towards a label, as `Guided` says; the model is the chains of all labels."""
    k, guide, gamma, exit_kind, h, label, log_weights, with_label, without = plan.told
    states, seen, given, free = (
        plan.states[:, r],
        plan.seen[0],
        plan.parts[0, :, :, r],
        plan.parts[1, :, :, r],
    )
    alone, classifies = not without, guide == CLASSIFIER
    if not labelled_cavities(
        model,
        log_weights,
        label,
        alone,
        seen,
        states,
        given,
        free,
        plan.predicted[:, :, r],
        plan.logs[:, :, r],
        lines[0],
        lines[1],
    ):
        plan.failed[r, 0] = 1
        return
    if alone:
        free = given
    elif not (with_label or classifies):
        given = free
    row, spare, ratios = rows[0], rows[1], rows[2]
    for i in range(states.shape[0]):
        if not (
            told(seen, states[i], free[i]) > 0.0 and (not with_label or told(seen, states[i], given[i]) > 0.0)
        ):
            plan.failed[r, 0] = 1
            return
    u = (0.0, 0.0)
    for i in range(states.shape[0]):
        if i % 2 == 0:
            u = uniforms(plan.seed, plan.first + r, plan.step, 0, i // 2)
        x = states[i]
        if classifies:
            log_ratios(seen, x, given[i], free[i], ratios)
        fill_guided(k, guide, gamma, exit_kind, h, x, given[i], free[i], ratios, spare, row)
        plan.failed[r, 1] += impossible(row)
        states[i] = pick(row, x, u[i % 2])


def built(carry: Callable[..., None], plan: Any, model: Model) -> Callable[[Any], None]:
    """Return the kernel, uncompiled, in which each thread carries a sequence as one of the functions above does.

    With few tokens the compiler knows their number: it unrolls loops over them, and what a thread works with becomes
    registers. Else that lies in the plan's scratch.
    """
    V, S = (model.process.vocabulary, model.process.states) if in_registers(model) else (0, 0)
    kind: Any = type(plan.model)
    return _build(carry, kind, V, S)


@lru_cache(maxsize=256)
def _build(carry: Callable[..., None], model: type, V: int, S: int) -> Callable[[Any], None]:
    word, real = (np.uint64, np.float64) if simulated() else (numba.uint64, numba.float64)
    known = _sizer(model, V)
    carried = carry if simulated() else cuda.jit(device=True, forceinline=True)(carry)

    def from_memory(arguments: Any) -> None:
        plan, r = arguments[0], cuda.grid(1)
        if r < plan.states.shape[1]:
            words = cuda.local.array((2, 1), word)
            carried(plan, plan.model, plan.line[:, :, r], plan.row[:, :, r], words, r)

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
            words = cuda.local.array((2, 1), word)
            carried(plan, known(plan.model), lines, rows, words, r)

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
