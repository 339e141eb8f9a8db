"""What a one-step kernel is made of: moves, each of which carries a law and draws samples by one function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ..jit import COMPILED, PARALLEL
from .flow import Array, Flow
from .model import Model
from .site import EXITS, LEAP, draw_sites, fill_flow, fill_rows, impossible, pick, settle, uniforms
from .tables import Tables

Tokens = NDArray[Any]
LOST = 1e-13  # mass on states that the target forbids beyond which a law is refused
MOST_PAIR_STATES = 2048
SIGNED = "clip is False: such a step is a signed measure, which law carries but no sample follows"
PARTS = 8


class Stream(NamedTuple):
    """Addresses of random numbers: the seed, the first sample's number and the move's number."""

    seed: Any
    first: int
    step: int


class Move(ABC):
    """A random change of the tokens that looks at the model.

    Attributes
    ----------
    nfe : float
        Evaluations of the model.
    by_events : bool
        True where the move goes from event to event inside its step, so that what it does between two nodes
        is not compared with the exact process.
    """

    nfe: float = 1.0
    by_events: ClassVar[bool] = False

    def evaluations(self, length: int) -> float:
        """Evaluations of the model on sequences of that length, expected where they are random."""
        return self.nfe

    @abstractmethod
    def push(self, weights: Array, tables: Tables) -> Array:
        """Carry weights (S^L,) through the move. Raises FloatingPointError where the model is undefined."""

    @abstractmethod
    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        """Move tokens (n, L) in place. Raises FloatingPointError for laws that are none."""

    def matrix(self, tables: Tables, possible: NDArray[np.bool_]) -> Array:
        """Return the laws from the possible states, (S^L, S^L), zero in the rows of others."""
        out = np.zeros((tables.size, tables.size))
        for x in np.flatnonzero(possible):
            out[x] = self.push(np.eye(1, tables.size, int(x))[0], tables)
        return out

    def rows(self, tables: Tables) -> Array | None:
        """Return the law of every site from every state, (S^L, L, S), or None if sites do not move independently."""
        return None


class Independent(Move):
    """All sites move at once, independently given the tokens, so that the law of each site is enough.

    Attributes
    ----------
    flow : Flow
        Holds the time at which the model is asked.
    """

    flow: Flow

    @abstractmethod
    def fill(self, tables: Tables) -> Array:
        """Return the law of every site from every state, (S^L, L, S), anything where the target forbids the state."""

    def rows(self, tables: Tables) -> Array:
        rows = self.fill(tables)
        rows[~tables.possible(self.flow.t)] = np.nan
        return rows

    def push(self, weights: Array, tables: Tables) -> Array:
        return spread(weights, self.usable(weights, tables))

    def matrix(self, tables: Tables, possible: NDArray[np.bool_]) -> Array:
        weights = possible.astype(np.float64)
        # with as many parts as states, part x is what came from state x
        parts = np.zeros((tables.size, tables.size))
        _spread(weights, self.usable(weights, tables), parts)
        return parts

    def usable(self, weights: Array, tables: Tables) -> Array:
        """Return `rows` that can be spread from these weights; raises as `defined`."""
        return defined(self.rows(tables), weights, tables, self.flow.t)


@dataclass(frozen=True)
class Sites(Independent):
    """All sites move at once by one flow, independently given the tokens.

    Attributes
    ----------
    flow : Flow
    exit : str
        How flows become probabilities, a key of `site.EXITS`.
    h : float
        Time the rates act for; of no meaning where flows are probabilities.
    """

    flow: Flow
    exit: str
    h: float = 1.0

    def fill(self, tables: Tables) -> Array:
        shape = (tables.size, tables.length, tables.states)
        rows, evidence = np.empty(shape), np.empty(shape[:2])
        cavities = tables.cavities(self.flow.t)
        fill_rows(self.flow.coefficients, EXITS[self.exit], self.h, tables.tokens, cavities, rows, evidence)
        return rows

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        cavities = model.cavities(self.flow.t, tokens)
        bad = draw_sites(self.flow.coefficients, EXITS[self.exit], self.h, tokens, cavities, *stream, 0)
        if bad:
            raise FloatingPointError(f"{bad} sites had a probability that is none: take more steps")


def check_possible(weights: Array, possible: NDArray[np.bool_], t: float, remedy: str) -> None:
    """Raise FloatingPointError if weight lies on states that the target forbids."""
    mass = float(np.abs(weights[~possible]).sum())
    if mass > LOST:
        raise FloatingPointError(
            f"mass {mass:.3g} is on states of probability 0 at t = {t:g}, where the model is undefined: {remedy}"
        )


def defined(rows: Array, weights: Array, tables: Tables, t: float) -> Array:
    """Return rows that can be spread, zero where no weight is.

    Raises FloatingPointError if weight lies on states that the target forbids, or a probability is none.
    """
    possible = tables.possible(t)
    check_possible(weights, possible, t, "give a target without zeros, or take more steps")
    used = np.logical_and(possible, weights != 0)
    if not np.isfinite(rows[used]).all():
        raise FloatingPointError(
            f"rates times the step overflow at t = {t:g}: take more steps, or start at a smaller t"
        )
    low = float(np.min(rows[used], initial=0.0))
    if low < -1e-12:
        raise FloatingPointError(f"a probability is {low:.3g} at t = {t:g}: take more steps")
    return np.where(used[:, None, None], rows, 0.0)


@njit(**COMPILED)
def _outcomes(weight: float, rows: Any, places: Any, values: Any) -> int:
    """List the states that a product of rows (L, S) leads to and their weights; return how many there are."""
    L, S = rows.shape
    count = 1
    places[0, 0], values[0, 0] = 0, weight
    for i in range(L):
        now, then, new = i % 2, (i + 1) % 2, 0
        for k in range(count):
            for y in range(S):
                if rows[i, y] != 0.0:
                    places[then, new] = places[now, k] * S + y
                    values[then, new] = values[now, k] * rows[i, y]
                    new += 1
        count = new
    return count


@njit(**COMPILED)
def _scatter(weight: float, rows: Any, places: Any, values: Any, out: Any) -> None:
    """Add weight times the product of rows (L, S) to out (S^L,); the last site in one sweep."""
    L, S = rows.shape
    count = _outcomes(weight, rows[: L - 1], places, values)
    now = (L - 1) % 2
    for k in range(count):
        at, value = places[now, k] * S, values[now, k]
        for y in range(S):
            out[at + y] += value * rows[L - 1, y]


@njit(**PARALLEL)
def _spread(weights: Any, rows: Any, parts: Any) -> None:
    size = rows.shape[0]
    for part in prange(parts.shape[0]):
        places, values = np.empty((2, size), np.int64), np.empty((2, size))
        for x in range(part, size, parts.shape[0]):
            if weights[x] != 0.0:
                _scatter(weights[x], rows[x], places, values, parts[part])


def spread(weights: Array, rows: Array) -> Array:
    """Carry weights (S^L,) through the independent laws (S^L, L, S) of the sites."""
    parts = np.zeros((PARTS, len(weights)))
    _spread(np.asarray(weights), rows, parts)
    return parts.sum(axis=0)


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


@njit(**PARALLEL)
def _spread_pair(
    weights: Any, tokens: Any, first: Any, held: Any, now: Any, how: Any, h: float, parts: Any
) -> None:
    size, L, S = first.shape
    from_held, by_jump, clip, w_held, w_now = how
    for part in prange(parts.shape[0]):
        places, values = np.empty((2, size), np.int64), np.empty((2, size))
        inner, inner_values = np.empty((2, size), np.int64), np.empty((2, size))
        rows = np.empty((L, S))
        for x in range(part, size, parts.shape[0]):
            if weights[x] == 0.0:
                continue
            count = _outcomes(weights[x], first[x], places, values)
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
                _scatter(weight, rows, inner, inner_values, parts[part])


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


@njit(**PARALLEL)
def _draw_pair(
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
    bad = 0
    for r in prange(tokens.shape[0]):
        now, row = np.empty(S), np.empty(S)
        bad += pair_row(
            k, h, tokens[r], held_tokens[r], cavities[r], held[r], how, seed, first + r, step, now, row
        )
    return bad


@njit(**PARALLEL)
def fill_flows(k: Any, tokens: Any, cavities: Any, flows: Any) -> None:
    """Fill flows (n, L, S) at every site of tokens (n, L), given cavities (n, L, V)."""
    for r in prange(tokens.shape[0]):
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
        fill_flows(self.first.coefficients, tables.tokens, tables.cavities(self.first.t), held)
        fill_flows(self.second.coefficients, tables.tokens, tables.cavities(self.second.t), now)
        _spread_pair(weights, tables.tokens, leap, held, now, self.how, self.h, parts)
        if not np.isfinite(parts).all():
            raise FloatingPointError(
                f"the leap from t = {self.first.t:g} reaches states of probability 0: give a target without zeros"
            )
        return parts

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        if not self.clip:
            raise ValueError(SIGNED)
        start = tokens.copy()
        cavities = model.cavities(self.first.t, tokens)
        held = np.empty((*tokens.shape, model.process.states))
        fill_flows(self.first.coefficients, tokens, cavities, held)
        bad = draw_sites(self.first.coefficients, LEAP, self.h_first, tokens, cavities, *stream, 0)
        cavities = model.cavities(self.second.t, tokens)
        bad += _draw_pair(self.second.coefficients, self.h, tokens, start, cavities, held, self.how, *stream)
        if bad:
            raise FloatingPointError(f"{bad} sites had a probability that is none: take more steps")
