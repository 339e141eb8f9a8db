"""Predictor and corrector for tokens: steps that leave p_t alone, after those of any other method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike

from analytic import chains

from ..catalogue import Claim, catalogue
from ..discrete import Kernel, Move, Sites, Tables, forward_rates, resample, reverse_rates
from ..discrete.flow import Array, Flow, velocity
from ..discrete.model import Model
from ..discrete.moves import Stream, Tokens, defined
from ..discrete.site import PROBABILITY, fill_flow, pick, settle, uniforms
from ..jit import PARALLEL

CORRECTORS = ("forward-backward", "dfm", "gibbs", "gibbs-random", "gibbs-parallel")


@catalogue.method(
    "ctmc-predictor-corrector",
    half="discrete",
    claims=[
        Claim(1, "tv", "that of first-order predictors: correctors leave p_t alone up to O(h^2)", "deduced"),
        Claim(2, "kl", "twice the order in TV of a smooth law", "deduced"),
    ],
    source="Campbell et al. 2022 (tauLDR), section 4.4; Gat et al. 2024; Liang et al. 2026 (GADD)",
    aliases=("forward-backward-corrector",),
)
def ctmc_predictor_corrector(
    noise: chains.Chain,
    grid: ArrayLike,
    predictor: str = "tau-leaping",
    corrector: str = "forward-backward",
    corrector_steps: int = 1,
    corrector_size: float = 1.0,
    entry: float = 1.0,
) -> Kernel:
    """Follow each step of a predictor by steps of a corrector at the time reached, which leave p_t alone.

    TV order as the predictor, with a smaller constant. Per interval, the predictor's evaluations and one for each
    site or leap corrected.

    Parameters
    ----------
    noise : Chain
    grid : (steps + 1,) array_like
    predictor : str
        Any discrete method, with its default options.
    corrector : str
        "forward-backward", a leap by reverse plus forward rates; "dfm", by the flow-matching velocity plus forward
        rates, for Absorbing and Uniform noise; "gibbs", all sites in order, each redrawn from its law given all
        others, one evaluation a site and p_t exactly invariant; "gibbs-random", one site drawn uniformly, invariant
        too; "gibbs-parallel", all sites redrawn at once, which is not. ValueError for others.
    corrector_steps : int
        How often per interval, at least 1.
    corrector_size : float
        Time a leap of the first two correctors lasts, in units of the interval just stepped over; above 0.
    entry : float
        Only times up to this are corrected at, and never t = 0.

    References
    ----------
    Campbell et al. 2022, section 4.4, whose code has `num_corrector_steps`, `corrector_step_size_multiplier` and
    `corrector_entry_time`; Gat et al. 2024, corrector steps; Liang et al. 2026 for Gibbs steps under uniform noise.
    """
    if corrector not in CORRECTORS:
        raise ValueError(f"corrector is {corrector!r}: use one of {', '.join(CORRECTORS)}")
    if isinstance(corrector_steps, bool) or not isinstance(corrector_steps, int) or corrector_steps < 1:
        raise ValueError(f"corrector_steps is {corrector_steps!r}: use a whole number, at least 1")
    if not 0 < corrector_size < float("inf"):
        raise ValueError(f"corrector_size is {corrector_size!r}: use a finite number above 0")
    if not entry >= 0:
        raise ValueError(f"entry is {entry!r}: use a time, 0 or above")
    kernel = catalogue[predictor].kernel(noise, grid)
    times = kernel.grid.tolist()
    corrected = tuple(
        (*moves, *([correction(noise, s, corrector, corrector_size * (t - s))] * corrector_steps))
        if 0 < s <= entry
        else moves
        for moves, t, s in zip(kernel.steps, times[:-1], times[1:], strict=True)
    )
    return replace(kernel, name="ctmc-predictor-corrector", steps=corrected)


def correction(noise: chains.Chain, t: float, corrector: str, h: float) -> Move:
    """Return one step of a corrector at time t, lasting h where it is a leap."""
    if corrector == "gibbs-parallel":
        return Sites(resample(noise, t), "probability")
    if corrector.startswith("gibbs"):
        return Gibbs(resample(noise, t), None if corrector == "gibbs" else 1)
    rates: Callable[[chains.Chain, float], Flow] = (
        reverse_rates if corrector == "forward-backward" else velocity
    )
    return Sites(rates(noise, t) + forward_rates(noise, t), "leap", h)


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
        for visit in range(tokens.shape[1] if self.sites is None else self.sites):
            cavities = model.cavities(self.flow.t, tokens)
            _redraw(self.flow.coefficients, tokens, cavities, self.sites is not None, visit, *stream)


def put_site(values: Array, site: int, tables: Tables) -> Array:
    """Sum values (S^L, S), by state and new state of one site, into weights (S^L,) of the states reached."""
    before, after = tables.states**site, tables.states ** (tables.length - site - 1)
    by_site = values.reshape(before, tables.states, after, tables.states).sum(axis=1)
    return np.ascontiguousarray(np.swapaxes(by_site, 1, 2)).ravel()


@njit(**PARALLEL)
def _redraw(
    k: Any, tokens: Any, cavities: Any, anywhere: bool, visit: int, seed: Any, first: int, step: int
) -> None:
    """Redraw one site of tokens (n, L): the visit's, or one drawn uniformly."""
    n, L = tokens.shape
    S = max(k.add.shape[0], k.back.shape[0])
    for r in prange(n):
        u = uniforms(seed, first + r, step, 0, visit)
        i = min(int(u[1] * L), L - 1) if anywhere else visit
        row = np.empty(S)
        x = tokens[r, i]
        fill_flow(k, x, cavities[r, i], row)
        settle(PROBABILITY, 1.0, x, row)
        tokens[r, i] = pick(row, x, u[0])
