"""Two stages of all sites at once, the second from where the first would have gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, Flow
from ..model import messages_of_one
from ..model.cavities import Model
from ..model.every_state import Tables
from .move import PARTS, Move, Stream, Thread, Tokens, outcomes, scatter
from .site import LEAP, draw_sites, fill_flow, impossible, pick, settle, step_row, uniforms
from .sites import Sites

MOST_PAIR_STATES = 2048
SIGNED = "clip is False: such a step is a signed measure, which law carries but no sample follows"


@njit(**COMPILED)
def _blend(
    held: Any,
    now: Any,
    start: int,
    held_token: int,
    now_token: int,
    by_jump: bool,
    clip: bool,
    w_held: float,
    w_now: float,
    out: Any,
) -> None:
    """Fill out (S,) with w_held held + w_now now, flows by target or by displacement, from the state start."""
    S = out.shape[0]
    for y in range(S):
        a, b = y, y
        if by_jump:
            a, b = y - start + held_token, y - start + now_token
        flow = 0.0
        if 0 <= a < S and a != held_token:
            flow += w_held * held[a]
        if 0 <= b < S and b != now_token:
            flow += w_now * now[b]
        out[y] = max(flow, 0.0) if clip else flow
    out[start] = 0.0


@njit(**COMPILED)
def _spread_pair(
    begin: int,
    end: int,
    weights: Any,
    tokens: Any,
    first: Any,
    held: Any,
    now: Any,
    how: Any,
    h: float,
    parts: Any,
) -> None:
    """Add to parts begin .. end - 1 of (P, S^L) where the weights of the states x = part modulo P go."""
    size, L, S = first.shape
    from_held, by_jump, clip, w_held, w_now = how
    places, values = np.empty((2, size), np.int64), np.empty((2, size))
    inner, inner_values = np.empty((2, size), np.int64), np.empty((2, size))
    rows = np.empty((L, S))
    for part in range(begin, end):
        for x in range(part, size, parts.shape[0]):
            if weights[x] == 0.0:
                continue
            count = outcomes(weights[x], first[x], places, values)
            for k in range(count):
                z, weight = places[L % 2, k], values[L % 2, k]
                for i in range(L):
                    start = tokens[x, i] if from_held else tokens[z, i]
                    _blend(
                        held[x, i],
                        now[z, i],
                        start,
                        tokens[x, i],
                        tokens[z, i],
                        by_jump,
                        clip,
                        w_held,
                        w_now,
                        rows[i],
                    )
                    settle(LEAP, h, start, rows[i])
                scatter(weight, rows, inner, inner_values, parts[part])


@njit(**COMPILED)
def pair_row(
    k: Any,
    h: float,
    tokens: Any,
    held_tokens: Any,
    cavities: Any,
    held: Any,
    how: Any,
    seed: Any,
    sample: int,
    step: int,
    now: Any,
    row: Any,
) -> int:
    """Take the second leap with tokens (L,), in place; return the number of laws that are none.

    `held_tokens` (L,) and flows `held` (L, S) are those at the start, `cavities` (L, V) those of the tokens; `now` and
    `row` (S,) are scratch.
    """
    from_held, by_jump, clip, w_held, w_now = how
    bad = 0
    u = (0.0, 0.0)
    for i in range(tokens.shape[0]):
        if i % 2 == 0:
            u = uniforms(seed, sample, step, 1, i // 2)
        z, x = tokens[i], held_tokens[i]
        fill_flow(k, z, cavities[i], now)
        start = x if from_held else z
        _blend(held[i], now, start, x, z, by_jump, clip, w_held, w_now, row)
        settle(LEAP, h, start, row)
        bad += impossible(row)
        tokens[i] = pick(row, start, u[i % 2])
    return bad


@njit(**COMPILED)
def _draw_pair(
    begin: int,
    end: int,
    k: Any,
    h: float,
    tokens: Any,
    held_tokens: Any,
    cavities: Any,
    held: Any,
    how: Any,
    seed: Any,
    first: int,
    step: int,
) -> int:
    S = held.shape[2]
    now, row = np.empty(S), np.empty(S)
    bad = 0
    for r in range(begin, end):
        bad += pair_row(
            k, h, tokens[r], held_tokens[r], cavities[r], held[r], how, seed, first + r, step, now, row
        )
    return bad


@njit(**COMPILED)
def fill_flows(begin: int, end: int, k: Any, tokens: Any, cavities: Any, flows: Any) -> None:
    """Fill flows (n, L, S) at every site of tokens (n, L), given cavities (n, L, V)."""
    for r in range(begin, end):
        for i in range(tokens.shape[1]):
            fill_flow(k, tokens[r, i], cavities[r, i], flows[r, i])


@dataclass(frozen=True)
class Pair(Move):
    """Two leaps, the second with a combination of the rates at the start and at the intermediate state.

    Attributes
    ----------
    first, second : Flow
        Rates at the start and at the intermediate time.
    h_first, h : float
        Times that the two leaps act for.
    w_first, w_second : float
        Weights of the two rates in the second leap.
    from_start : bool
        The second leap starts where the first did, else where it ended.
    by_jump : bool
        Rates are added jump by jump (displacements of the token's number), else target by target.
    clip : bool
        Keep the positive part of the combined rates. Without, the step is a signed measure, which `law` carries
        and nothing can draw from.
    """

    first: Flow
    second: Flow
    h_first: float
    h: float
    w_first: float
    w_second: float
    from_start: bool
    by_jump: bool = False
    clip: bool = True
    nfe: float = 2.0

    @property
    def times(self) -> tuple[float, ...]:
        return self.first.t, self.second.t

    @property
    def how(self) -> tuple[bool, bool, bool, float, float]:
        """What `pair_row` is told: from_start, by_jump, clip, w_first, w_second."""
        return self.from_start, self.by_jump, self.clip, self.w_first, self.w_second

    def push(self, weights: Array, tables: Tables) -> Array:
        return self._carry(weights, tables, np.zeros((PARTS, tables.size))).sum(axis=0)

    def matrix(self, tables: Tables, possible: NDArray[np.bool_]) -> Array:
        # with as many parts as states, part x is what came from state x
        return self._carry(possible.astype(np.float64), tables, np.zeros((tables.size, tables.size)))

    def _carry(self, weights: Array, tables: Tables, parts: Array) -> Array:
        """Fill (parts, S^L): state x is carried into part x modulo their number."""
        if tables.size > MOST_PAIR_STATES:
            raise ValueError(
                f"data has {tables.size} states; two-stage methods go through all pairs of them and take at most "
                f"{MOST_PAIR_STATES}: shorten the sequences, or draw samples"
            )
        leap = Sites(self.first, "leap", self.h_first).usable(weights, tables)
        shape = (tables.size, tables.length, tables.states)
        held, now = np.empty(shape), np.empty(shape)
        for flow, flows in ((self.first, held), (self.second, now)):
            cavities = tables.cavities(flow.t)
            in_parallel(fill_flows, tables.size, flow.coefficients, tables.tokens, cavities, flows)
        in_parallel(
            _spread_pair, len(parts), weights, tables.tokens, leap, held, now, self.how, self.h, parts
        )
        if not np.isfinite(parts).all():
            raise FloatingPointError(
                f"the leap from t = {self.first.t:g} reaches states of probability 0: give a target without zeros"
            )
        return parts

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        if not self.clip:
            raise ValueError(SIGNED)
        n, start = len(tokens), tokens.copy()
        k, cavities = self.first.coefficients, model.cavities(self.first.t, tokens)
        held = np.empty((*tokens.shape, model.process.states))
        in_parallel(fill_flows, n, k, tokens, cavities, held)
        bad = sum(in_parallel(draw_sites, n, k, LEAP, self.h_first, tokens, cavities, *stream, 0))
        k, cavities = self.second.coefficients, model.cavities(self.second.t, tokens)
        told = (k, self.h, tokens, start, cavities, held, self.how, *stream)
        bad += sum(in_parallel(_draw_pair, n, *told))
        if bad:
            raise self.no_law(bad)

    def thread(self, model: Model) -> Thread | None:
        if not self.clip:
            raise ValueError(SIGNED)
        if model.transitions is None:
            return None
        L, V, S = model.sizes
        told = (self.first.coefficients, self.second.coefficients, self.h_first, self.h, self.how)
        seen = tuple(model.likelihood(t) for t in self.times)
        scratch = {"cavities": (float, L, V), "held": (float, L, S), "before": (int, L)}
        return Thread(_carry, told, model.transitions, seen, scratch)


def _carry(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    k_first, k_second, h_first, h, how = plan.told
    states, cavities, before = plan.states[:, r], plan.scratch.cavities[:, :, r], plan.scratch.before[:, r]
    held, expected, work = plan.scratch.held[:, :, r], lines[0], lines[1]
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
