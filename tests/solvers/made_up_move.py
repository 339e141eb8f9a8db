"""A move that the package does not have, all of it: its law, its draws, and what a GPU is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from solvers.discrete import Flow, Move, Sites, Tables
from solvers.discrete.flow import Array
from solvers.discrete.model import messages_of_one
from solvers.discrete.model.cavities import Model
from solvers.discrete.moves.gibbs import put_site
from solvers.discrete.moves.move import Stream, Thread, Tokens
from solvers.discrete.moves.site import PROBABILITY, fill_flow, pick, settle, uniforms


@dataclass(frozen=True)
class OneSite(Move):
    """One site takes a step, the others stay."""

    flow: Flow
    site: int

    @property
    def times(self) -> tuple[float, ...]:
        return (self.flow.t,)

    def push(self, weights: Array, tables: Tables) -> Array:
        rows = Sites(self.flow, "probability").usable(weights, tables)[:, self.site]
        return put_site(weights[:, None] * rows, self.site, tables)

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        row, cavities = np.empty(model.process.states), model.cavities(self.flow.t, tokens)
        for r in range(len(tokens)):
            sample = stream.first + r
            step_one(
                self.flow.coefficients,
                self.site,
                tokens[r],
                cavities[r],
                stream.seed,
                sample,
                stream.step,
                row,
            )

    def thread(self, model: Model) -> Thread | None:
        if model.transitions is None:
            return None
        L, V, _ = model.sizes
        told, seen = (self.flow.coefficients, self.site), (model.likelihood(self.flow.t),)
        return Thread(_carry, told, model.transitions, seen, {"cavities": (float, L, V)})


@njit
def step_one(
    k: Any, site: int, tokens: Any, cavities: Any, seed: Any, sample: int, step: int, row: Any
) -> None:
    x = tokens[site]
    fill_flow(k, x, cavities[site], row)
    settle(PROBABILITY, 1.0, x, row)
    tokens[site] = pick(row, x, uniforms(seed, sample, step, 0, 0)[0])


def _carry(plan: Any, model: Any, lines: Any, rows: Any, words: Any, r: int) -> None:
    k, site = plan.told
    states, cavities = plan.states[:, r], plan.scratch.cavities[:, :, r]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, lines[0], lines[1]):
        plan.failed[r, 0] = 1
        return
    step_one(k, site, states, cavities, plan.seed, plan.first + r, plan.step, rows[0])
