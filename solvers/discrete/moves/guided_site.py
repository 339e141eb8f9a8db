"""One site, one guided step: from cavities with and without the label to probabilities over the states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from ...numerics.jit import COMPILED
from .site import ARGMAX, PROBABILITY, fill_flow, pick, settle, uniforms

POSTERIOR, FLOW, CLASSIFIER = range(3)
GUIDES = {
    "posterior": POSTERIOR,  # p(x_0 | x_t, label)^gamma p(x_0 | x_t)^(1 - gamma), normalised, before it is stepped with
    "flow": FLOW,  # flows^gamma under the label times flows^(1 - gamma) without
    "classifier": CLASSIFIER,  # flows times (p_t(label | x with y at the site)/p_t(label | x))^gamma
}


@njit(**COMPILED)
def _tempered(given: float, free: float, gamma: float) -> float:
    """Return given^gamma free^(1 - gamma), zero where both are."""
    return free * (given / free) ** gamma if free > 0.0 else 0.0


@njit(**COMPILED)
def fill_guided(
    k: Any,
    guide: int,
    gamma: float,
    exit_kind: int,
    h: float,
    x: int,
    given: Any,
    free: Any,
    log_ratio: Any,
    spare: Any,
    out: Any,
) -> None:
    """Fill out (S,) with the guided law of a site.

    `given` and `free` are its cavities (V,) with and without the label, `log_ratio` (S,) is
    log p_t(label | x with y at the site) - log p_t(label | x), read for CLASSIFIER alone; `spare` (S,) is overwritten.
    Probabilities are normalised over all states, the present one included; rates are not.
    """
    S, V = out.shape[0], free.shape[0]
    if guide == POSTERIOR:
        # q_t(x | x_0) has the powers gamma and 1 - gamma in the two posteriors: tempered cavities give it once.
        total = 0.0
        for v in range(V):
            spare[v] = _tempered(given[v], free[v], gamma)
            total += spare[v]
        for v in range(V):
            spare[v] /= total
        fill_flow(k, x, spare[:V], out)
        settle(exit_kind, h, x, out)
        return
    whole = exit_kind in (PROBABILITY, ARGMAX)
    fill_flow(k, x, free, spare)
    if guide == FLOW:
        fill_flow(k, x, given, out)
    stay, stay_given = 1.0, 1.0
    for y in range(S):
        if y != x:
            stay -= spare[y]
            if guide == FLOW:
                stay_given -= out[y]
                out[y] = _tempered(out[y], spare[y], gamma)
            else:
                out[y] = spare[y] * math.exp(gamma * log_ratio[y]) if spare[y] > 0.0 else 0.0
    out[x] = 0.0
    if whole:
        # What is left of one may be below zero by rounding.
        stay = max(stay, 0.0)
        total = _tempered(max(stay_given, 0.0), stay, gamma) if guide == FLOW else stay
        for y in range(S):
            total += out[y]
        for y in range(S):
            out[y] /= total
    settle(exit_kind, h, x, out)


@njit(**COMPILED)
def fill_rows(
    begin: int,
    end: int,
    k: Any,
    guide: int,
    gamma: float,
    exit_kind: int,
    h: float,
    tokens: Any,
    given: Any,
    free: Any,
    log_ratio: Any,
    rows: Any,
) -> None:
    L, S = rows.shape[1:]
    spare = np.empty(S)
    for r in range(begin, end):
        for i in range(L):
            fill_guided(
                k,
                guide,
                gamma,
                exit_kind,
                h,
                tokens[r, i],
                given[r, i],
                free[r, i],
                log_ratio[r, i],
                spare,
                rows[r, i],
            )


@njit(**COMPILED)
def draw_sites(
    begin: int,
    end: int,
    k: Any,
    guide: int,
    gamma: float,
    exit_kind: int,
    h: float,
    tokens: Any,
    given: Any,
    free: Any,
    log_ratio: Any,
    S: int,
    seed: Any,
    first: int,
    step: int,
) -> int:
    row, spare = np.empty(S), np.empty(S)
    bad = 0
    for r in range(begin, end):
        u = (0.0, 0.0)
        for i in range(tokens.shape[1]):
            if i % 2 == 0:
                u = uniforms(seed, first + r, step, 0, i // 2)
            x = tokens[r, i]
            fill_guided(
                k, guide, gamma, exit_kind, h, x, given[r, i], free[r, i], log_ratio[r, i], spare, row
            )
            for y in range(S):
                if not row[y] >= -1e-12:
                    bad += 1
                    break
            tokens[r, i] = pick(row, x, u[i % 2])
    return bad
