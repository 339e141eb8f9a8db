"""Masks put back where the model is least sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, Flow
from ..model.cavities import Model
from ..model.every_state import Tables
from .move import Independent, Stream, Tokens
from .site import pick, uniforms


@njit(**COMPILED)
def _fill_sites(x: Any, c: Any, reveal: float, sigma: float, rows: Any) -> None:
    """Fill rows (L, S) with the probabilities of every site of tokens x (L,), given cavities c (L, V)."""
    L, V = c.shape
    total = 0.0
    for i in range(L):
        if x[i] < V:
            total += math.exp(-c[i, x[i]])
    for i in range(L):
        if x[i] < V:
            rows[i] = 0.0
            rows[i, V] = sigma * math.exp(-c[i, x[i]]) / total
            rows[i, x[i]] = 1.0 - rows[i, V]
        else:
            for v in range(V):
                rows[i, v] = reveal * c[i, v]
            rows[i, V] = 1.0 - reveal


@njit(**COMPILED)
def _fill_all(
    begin: int, end: int, tokens: Any, cavities: Any, reveal: float, sigma: float, rows: Any
) -> None:
    for r in range(begin, end):
        _fill_sites(tokens[r], cavities[r], reveal, sigma, rows[r])


@njit(**COMPILED)
def _draw(
    begin: int,
    end: int,
    tokens: Any,
    cavities: Any,
    reveal: float,
    sigma: float,
    seed: Any,
    first: int,
    step: int,
) -> None:
    L, V = cavities.shape[1:]
    rows = np.empty((L, V + 1))
    for r in range(begin, end):
        _fill_sites(tokens[r], cavities[r], reveal, sigma, rows)
        u = (0.0, 0.0)
        for i in range(L):
            if i % 2 == 0:
                u = uniforms(seed, first + r, step, 0, i // 2)
            tokens[r, i] = pick(rows[i], tokens[r, i], u[i % 2])


@dataclass(frozen=True)
class ConfidentRemask(Independent):
    """Ancestral step in which revealed tokens are masked again, the less sure ones more often.

    Attributes
    ----------
    flow : Flow
        The bridge that masked sites follow.
    sigma : float
        Expected number of tokens masked again, if any are revealed.
    """

    flow: Flow
    sigma: float

    @property
    def _reveal(self) -> float:
        c = self.flow.coefficients
        return float(c.gain[-1] * c.own / c.add[-1])

    def fill(self, tables: Tables) -> Array:
        cavities = tables.cavities(self.flow.t)
        rows = np.empty((tables.size, tables.length, tables.states))
        in_parallel(_fill_all, tables.size, tables.tokens, cavities, self._reveal, self.sigma, rows)
        return rows

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        cavities = model.cavities(self.flow.t, tokens)
        in_parallel(_draw, len(tokens), tokens, cavities, self._reveal, self.sigma, *stream)
