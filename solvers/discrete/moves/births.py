"""Counts that only grow: births whose number follows the predicted mean of what is still to come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, Flow
from ..model import messages_of_one
from ..model.cavities import Model
from ..model.every_state import Tables
from .move import Independent, Stream, Thread, Tokens
from .site import impossible, pick, uniforms

NEAREST, RANDOM, POISSON = range(3)
RULES = {
    "nearest": NEAREST,  # binomial, of the mean rounded to the nearest whole number, halves to the even one
    "random": RANDOM,  # binomial, of one of its two neighbours, at random so that the mean is kept
    "poisson": POISSON,  # Poisson, of the mean as it is, no count above the largest
}
_GRID = (
    2.0**40
)  # means are compared with halves on this grid, so that the last bits of a model decide nothing


@njit(**COMPILED)
def _nearest(x: float) -> float:
    """Nearest whole number to x >= 0, halves to the even one."""
    whole = float(math.floor(x + 0.5))
    return whole - 1.0 if whole - x == 0.5 and whole % 2.0 == 1.0 else whole


@njit(**COMPILED)
def _add_binomial(weight: float, n: int, p: float, x: int, out: Any) -> None:
    """Add weight times the law of x plus binomial(n, p), counted from the end where the recursion starts high."""
    if p >= 1.0:
        out[x + n] += weight
        return
    if p <= 0.5:
        value = weight * (1.0 - p) ** n
        for k in range(n + 1):
            out[x + k] += value
            value *= (n - k) / (k + 1) * (p / (1.0 - p))
    else:
        value = weight * p**n
        for k in range(n, -1, -1):
            out[x + k] += value
            value *= k / (n - k + 1) * ((1.0 - p) / p)


@njit(**COMPILED)
def fill_births(rule: int, p: float, seen: Any, x: int, c: Any, out: Any) -> None:
    """Fill out (S,) with the law of the next count, from the present one x and the cavity c (V,).

    `seen` (S, V) is q_t(x | v) by [x, v], p the probability that what died since time 0 died after the step's end.
    """
    S, V = out.shape[0], c.shape[0]
    total, mean = 0.0, 0.0
    for v in range(V):
        total += c[v] * seen[x, v]
        mean += c[v] * seen[x, v] * v
    mean = max(mean / total - x, 0.0)
    nothing = 0.0 if mean <= S else np.nan
    for y in range(S):
        out[y] = nothing
    if not mean <= S:
        pass
    elif rule == NEAREST:
        whole = _nearest(_nearest(mean * _GRID) / _GRID)
        _add_binomial(1.0, min(int(whole), S - 1 - x), p, x, out)
    elif rule == RANDOM:
        low = min(int(mean), S - 1 - x)
        share = mean - low
        _add_binomial(1.0 - share, low, p, x, out)
        if low < S - 1 - x:
            _add_binomial(share, low + 1, p, x, out)
        else:
            out[x + low] += share
    elif mean * p == 0.0:
        out[x] = 1.0
    else:
        rest = 1.0
        for k in range(S - 1 - x):
            out[x + k] = math.exp(k * math.log(mean * p) - mean * p - math.lgamma(k + 1.0))
            rest -= out[x + k]
        out[S - 1] += max(rest, 0.0)


@njit(**COMPILED)
def _fill_rows(
    begin: int, end: int, rule: int, p: float, seen: Any, tokens: Any, cavities: Any, rows: Any
) -> None:
    for r in range(begin, end):
        for i in range(rows.shape[1]):
            fill_births(rule, p, seen, tokens[r, i], cavities[r, i], rows[r, i])


@njit(inline="always", **COMPILED)  # a call would cost a twelfth of the time on a CPU
def births_row(
    rule: int, p: float, seen: Any, tokens: Any, cavities: Any, seed: Any, sample: int, step: int, row: Any
) -> int:
    """Give births at all sites of tokens (L,), in place; return the number of laws that are none. Row (S,): scratch."""
    bad = 0
    u = (0.0, 0.0)
    for i in range(tokens.shape[0]):
        if i % 2 == 0:
            u = uniforms(seed, sample, step, 0, i // 2)
        x = tokens[i]
        fill_births(rule, p, seen, x, cavities[i], row)
        bad += impossible(row)
        tokens[i] = pick(row, x, u[i % 2])
    return bad


@njit(**COMPILED)
def _draw(
    begin: int,
    end: int,
    rule: int,
    p: float,
    seen: Any,
    tokens: Any,
    cavities: Any,
    seed: Any,
    first: int,
    step: int,
) -> int:
    row = np.empty(seen.shape[0])
    bad = 0
    for r in range(begin, end):
        bad += births_row(rule, p, seen, tokens[r], cavities[r], seed, first + r, step, row)
    return bad


@dataclass(frozen=True)
class Births(Independent):
    """All sites give births at once, independently given the tokens, as many as their predicted means ask for.

    Attributes
    ----------
    flow : Flow
        Any of the step's start: it holds the noise there.
    p : float
        Probability that a unit which died since time 0 was alive at the step's end.
    rule : str
        A key of `RULES`.
    """

    flow: Flow
    p: float
    rule: str

    def fill(self, tables: Tables) -> Array:
        rows = np.empty((tables.size, tables.length, tables.states))
        in_parallel(_fill_rows, tables.size, *self.how, tables.tokens, tables.cavities(self.flow.t), rows)
        return rows

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        cavities = model.cavities(self.flow.t, tokens)
        bad = sum(in_parallel(_draw, len(tokens), *self.how, tokens, cavities, *stream))
        if bad:
            raise self.no_law(bad)

    def no_law(self, sites: int) -> FloatingPointError:
        return FloatingPointError(
            f"{sites} sites had a negative or undefined probability at t = {self.flow.t:g}"
        )

    def thread(self, model: Model) -> Thread | None:
        if model.transitions is None:
            return None
        L, V, _ = model.sizes
        seen = (model.likelihood(self.flow.t),)
        return Thread(_carry, self.how, model.transitions, seen, {"cavities": (float, L, V)})

    @property
    def how(self) -> tuple[int, float, Array]:
        """What `births_row` is told: rule, p and q_t(x | v) by [x, v]."""
        return RULES[self.rule], self.p, self.flow.coefficients.seen


def _carry(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    rule, p, told = plan.told
    states, cavities = plan.states[:, r], plan.scratch.cavities[:, :, r]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, lines[0], lines[1]):
        plan.failed[r, 0] = 1
        return
    plan.failed[r, 1] = births_row(
        rule, p, told, states, cavities, plan.seed, plan.first + r, plan.step, rows[0]
    )
