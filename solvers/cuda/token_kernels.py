"""Kernels of token samplers: a thread carries one sequence through its moves, one after the other.

States lie as (L, n), and scratch with the thread's number last, so that neighbouring threads touch neighbouring
numbers. Draws are in float64, by the same addresses and functions as on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import cuda
from numba.extending import overload

from ..discrete import one_chain
from ..discrete.births import births_row
from ..discrete.chain_model import Chain, Likelihood
from ..discrete.guided_site import CLASSIFIER, fill_guided
from ..discrete.jump_chain import walk
from ..discrete.labelled_chains import labelled_cavities, log_ratios, told
from ..discrete.moves import pair_row
from ..discrete.neighbours import Neighbours, by_neighbours
from ..discrete.packed_moves import Packed
from ..discrete.reveal import reveal_row
from ..discrete.site import (
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
from ..methods.corrected_leaping import at_level, jump_row
from .device import simulated


@overload(compound, target="cuda")
def _(h: Any, x: Any, out: Any) -> Any:
    # needs memory of any size: `poisson_sites` has its own
    def none(h: Any, x: Any, out: Any) -> Any:
        for y in range(out.shape[0]):
            out[y] = np.nan

    return none


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
    after, mask) for `reveal`, (rule, p, seen) for `births`, (k, reach, 1 - alpha, prior) for `first_jump`,
    (k, guide, gamma, exit, h, label, log of weights, whether it asks with the label, and without) for `guided`.
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
    parts: Any
    logs: Any


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


def start(arguments: Any) -> None:
    """Noise on tokens: each becomes a draw from its row of a table."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r < plan.states.shape[1]:
        draw_row(plan.table, plan.states[:, r], plan.seed, plan.first + r, START)


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


def guided(arguments: Any) -> None:
    """All sites at once towards a label, as `Guided` says; the model is the chains of all labels."""
    plan = arguments[0]
    r = cuda.grid(1)
    if r >= plan.states.shape[1]:
        return
    k, guide, gamma, exit_kind, h, label, log_weights, with_label, without = plan.told
    states, seen, given, free = (
        plan.states[:, r],
        plan.seen[0],
        plan.parts[0, :, :, r],
        plan.parts[1, :, :, r],
    )
    alone, classifies = not without, guide == CLASSIFIER
    if not labelled_cavities(
        plan.model,
        log_weights,
        label,
        alone,
        seen,
        states,
        given,
        free,
        plan.predicted[:, :, r],
        plan.logs[:, :, r],
        plan.line[0, :, r],
        plan.line[1, :, r],
    ):
        plan.failed[r, 0] = 1
        return
    if alone:
        free = given
    elif not (with_label or classifies):
        given = free
    row, spare, ratios = plan.row[0, :, r], plan.row[1, :, r], plan.row[2, :, r]
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


@lru_cache
def compiled(kernel: Callable[[Any], None]) -> Any:
    from . import extensions  # noqa: F401  # makes them known to the compiler

    return cuda.jit(kernel)
