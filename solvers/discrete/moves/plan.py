"""The move of path planning: the sites that are least sure are masked, were they masked before or not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from analytic import chains

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, half_noised
from ..model.cavities import Model
from ..model.every_state import Tables
from .move import PARTS, Move, Stream, Tokens, defined
from .reveal import grade, select
from .site import pick, uniforms


@njit(**COMPILED)
def _plan(kept: int, eta: float, posteriors: Any, tokens: Any, proposed: Any, keys: Any, chosen: Any) -> None:
    """Set tokens (L,): the `kept` surest of them and of the tokens proposed under masks, masks at all other sites."""
    L, mask = posteriors.shape
    for i in range(L):
        if tokens[i] == mask:
            keys[i] = grade(posteriors[i, proposed[i]])
        else:
            # eta times the logarithm
            keys[i] = grade(posteriors[i, tokens[i]] ** eta)
            proposed[i] = tokens[i]
    select(keys, kept, chosen)
    for i in range(L):
        tokens[i] = proposed[i] if chosen[i] else mask


@njit(**COMPILED)
def _push(
    begin: int, end: int, kept: int, eta: float, weights: Any, tokens: Any, posteriors: Any, parts: Any
) -> None:
    """Add to parts begin .. end - 1 of (P, S^L) the laws after one step from the states x = part modulo P."""
    size, L, V = posteriors.shape
    proposed, keys, chosen = np.empty(L, np.int64), np.empty(L), np.empty(L, np.bool_)
    after = np.empty(L, np.int64)
    for part in range(begin, end):
        for x in range(part, size, parts.shape[0]):
            if weights[x] == 0.0:
                continue
            masked = 0
            for i in range(L):
                masked += tokens[x, i] == V
            for code in range(V**masked):
                p, rest = weights[x], code
                for i in range(L):
                    after[i] = tokens[x, i]
                    if after[i] == V:
                        proposed[i], rest = rest % V, rest // V
                        p *= posteriors[x, i, proposed[i]]
                if p == 0.0:
                    continue
                _plan(kept, eta, posteriors[x], after, proposed, keys, chosen)
                y = 0
                for i in range(L):
                    y = y * (V + 1) + after[i]
                parts[part, y] += p


@njit(**COMPILED)
def _draw(
    begin: int,
    end: int,
    kept: int,
    eta: float,
    tokens: Any,
    posteriors: Any,
    seed: Any,
    first: int,
    step: int,
) -> None:
    """Move tokens (n, L) in place; numbers for proposals are of channel 0."""
    L, V = posteriors.shape[1:]
    proposed, keys, chosen = np.empty(L, np.int64), np.empty(L), np.empty(L, np.bool_)
    for r in range(begin, end):
        u = (0.0, 0.0)
        for i in range(L):
            if i % 2 == 0:
                u = uniforms(seed, first + r, step, 0, i // 2)
            if tokens[r, i] == V:
                proposed[i] = pick(posteriors[r, i], 0, u[i % 2])
        _plan(kept, eta, posteriors[r], tokens[r], proposed, keys, chosen)


@dataclass(frozen=True)
class Plan(Move):
    """A token is proposed at every masked site; of these and the revealed tokens the least sure sites are masked.

    The planner is the exact law of a site given all others: how probable it makes the token there.

    Attributes
    ----------
    process : Absorbing
    share : float
        floor(share L) sites are masked afterwards.
    eta : float
        Power of a revealed token's probability: 0 keeps them all, above 1 they are masked the sooner.
    """

    process: chains.Absorbing
    share: float
    eta: float

    @property
    def times(self) -> tuple[float, ...]:
        return (half_noised(self.process),)

    def kept(self, length: int) -> int:
        """Return how many sites show a token afterwards."""
        return length - math.floor(self.share * length + 1e-9)

    def push(self, weights: Array, tables: Tables) -> Array:
        t, parts = half_noised(self.process), np.zeros((PARTS, tables.size))
        posteriors = defined(tables.cavities(t), weights, tables, t)
        kept = self.kept(tables.length)
        in_parallel(_push, PARTS, kept, self.eta, weights, tables.tokens, posteriors, parts)
        return np.asarray(parts.sum(axis=0))

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        posteriors = model.cavities(half_noised(self.process), tokens)
        in_parallel(_draw, len(tokens), self.kept(tokens.shape[1]), self.eta, tokens, posteriors, *stream)
