"""Sites redrawn one after the other from their law given all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, Flow
from ..model.cavities import Model
from ..model.every_state import Tables
from .move import Move, Stream, Tokens, defined
from .site import PROBABILITY, fill_flow, pick, settle, uniforms
from .sites import Sites


@dataclass(frozen=True)
class Gibbs(Move):
    """Sites redrawn one after the other, each from its law given all others: p_t is invariant, exactly.

    Attributes
    ----------
    flow : Flow
        The conditional laws, from `resample`.
    sites : int or None
        So many sites, each drawn uniformly; None for all sites in order.
    """

    flow: Flow
    sites: int | None = None

    @property
    def times(self) -> tuple[float, ...]:
        return (self.flow.t,)

    def evaluations(self, length: int) -> float:
        return length if self.sites is None else self.sites

    def push(self, weights: Array, tables: Tables) -> Array:
        rows = Sites(self.flow, "probability").rows(tables)

        def redraw(site: int) -> Array:
            given = defined(rows[:, site : site + 1], weights, tables, self.flow.t)[:, 0]
            return put_site(weights[:, None] * given, site, tables)

        if self.sites is None:
            for site in range(tables.length):
                weights = redraw(site)
        else:
            for _ in range(self.sites):
                weights = np.mean([redraw(site) for site in range(tables.length)], axis=0)
        return weights

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        k, anywhere = self.flow.coefficients, self.sites is not None
        for visit in range(tokens.shape[1] if self.sites is None else self.sites):
            cavities = model.cavities(self.flow.t, tokens)
            in_parallel(_redraw, len(tokens), k, tokens, cavities, anywhere, visit, *stream)


def put_site(values: Array, site: int, tables: Tables) -> Array:
    """Sum values (S^L, S), by state and new state of one site, into weights (S^L,) of the states reached."""
    before, after = tables.states**site, tables.states ** (tables.length - site - 1)
    by_site = values.reshape(before, tables.states, after, tables.states).sum(axis=1)
    return np.ascontiguousarray(np.swapaxes(by_site, 1, 2)).ravel()


@njit(**COMPILED)
def _redraw(
    begin: int,
    end: int,
    k: Any,
    tokens: Any,
    cavities: Any,
    anywhere: bool,
    visit: int,
    seed: Any,
    first: int,
    step: int,
) -> None:
    """Redraw one site of each of tokens (n, L): the visit's, or one drawn uniformly."""
    L = tokens.shape[1]
    row = np.empty(max(k.add.shape[0], k.back.shape[0]))
    for r in range(begin, end):
        u = uniforms(seed, first + r, step, 0, visit)
        i = min(int(u[1] * L), L - 1) if anywhere else visit
        x = tokens[r, i]
        fill_flow(k, x, cavities[r, i], row)
        settle(PROBABILITY, 1.0, x, row)
        tokens[r, i] = pick(row, x, u[0])
