"""All sites moved at once, each from its own law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..flow import Array, Flow
from ..model.cavities import Model
from ..model.every_state import Tables
from .move import Independent, Stream, Tokens
from .site import EXITS, draw_sites, fill_rows


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
