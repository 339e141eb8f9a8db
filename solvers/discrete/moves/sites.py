"""All sites moved at once, each from its own law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...numerics.jit import in_parallel
from ..flow import Array, Coefficients, Flow
from ..model import messages_of_one
from ..model.cavities import Model
from ..model.every_state import Tables
from .move import Independent, Stream, Thread, Tokens
from .site import (
    EXITS,
    compound_into,
    draw_sites,
    fill_flow,
    fill_rows,
    impossible,
    longest,
    pick,
    step_row,
    uniforms,
)


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
        in_parallel(fill_rows, tables.size, *self._how, tables.tokens, cavities, rows, evidence)
        return rows

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        cavities = model.cavities(self.flow.t, tokens)
        bad = sum(in_parallel(draw_sites, len(tokens), *self._how, tokens, cavities, *stream, 0))
        if bad:
            raise self.no_law(bad)

    def thread(self, model: Model) -> Thread | None:
        if model.transitions is None:
            return None
        (L, V, S), told = model.sizes, self._how
        seen, scratch = (model.likelihood(self.flow.t),), {"cavities": (float, L, V)}
        if self.exit == "poisson":
            scratch["jumps"] = (float, 3, longest(S) + 1)
            return Thread(_carry_by_poisson, told, model.transitions, seen, scratch)
        return Thread(_carry, told, model.transitions, seen, scratch)

    @property
    def _how(self) -> tuple[Coefficients, int, float]:
        """What `step_row` is told: coefficients, exit and time."""
        return self.flow.coefficients, EXITS[self.exit], self.h


def _carry(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    k, exit_kind, h = plan.told
    states, cavities = plan.states[:, r], plan.scratch.cavities[:, :, r]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, lines[0], lines[1]):
        plan.failed[r, 0] = 1
        return
    sample = plan.first + r
    plan.failed[r, 1] = step_row(k, exit_kind, h, states, cavities, plan.seed, sample, plan.step, 0, rows[0])


def _carry_by_poisson(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    """Poisson numbers of jumps, whose laws need scratch of their own."""
    k, _, h = plan.told
    states, cavities, row = plan.states[:, r], plan.scratch.cavities[:, :, r], rows[0]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, lines[0], lines[1]):
        plan.failed[r, 0] = 1
        return
    jumps = plan.scratch.jumps[:, :, r]
    for i in range(states.shape[0]):
        x = states[i]
        fill_flow(k, x, cavities[i], row)
        compound_into(h, x, row, jumps[0, :-1], jumps[1, :-1], jumps[2])
        plan.failed[r, 1] += impossible(row)
        u = uniforms(plan.seed, plan.first + r, plan.step, 0, i // 2)
        states[i] = pick(row, x, u[i % 2])
