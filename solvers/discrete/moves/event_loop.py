"""The loop over events, compiled: candidate jumps at a bounded rate, accepted by the exact rate at their moment."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from ...numerics.jit import COMPILED
from .event_rates import MASKED, UNIFORM, envelope, fill_rates, moment
from .site import uniforms

DIRECT, SITES, UNIFORMIZED = range(3)
RULES = {"direct": DIRECT, "sites": SITES, "uniformized": UNIFORMIZED}
IMPOSSIBLE, EXCEEDED = -1, -2


@njit(**COMPILED)
def _moment_of(noise: Any, w: float) -> tuple[float, float]:
    """Return s and ds/dw of uniformization's clock w: n under masks, -log alpha, or t of hybrid noise."""
    if noise.kind == MASKED:
        return math.log(w), 1.0 / w
    if noise.kind == UNIFORM:
        n = -math.expm1(-w)
        return w + math.log(n), 1.0 / n
    return math.log(w / (1.0 - w)), 1.0 / (w * (1.0 - w))


@njit(**COMPILED)
def walk(
    rule: int,
    data: Any,
    noise: Any,
    start: float,
    stop: float,
    bound: float,
    tokens: Any,
    seed: Any,
    sample: int,
    step: int,
    scratch: Any,
) -> int:
    """Move tokens (L,) from start to stop of the rule's clock; return the evaluations of the model, or a failure.

    Candidates come at the rate `bound` for each site, in one stream ("direct", "uniformized") or one for each
    site ("sites"), and are accepted with the probability rate/bound at their moment.
    """
    c, work, row, due = scratch
    L, V, S = tokens.shape[0], noise.vocabulary, row.shape[0]
    pair, evaluations, active, clock = 0, 0, 0, start
    now = moment(noise, start)
    if rule == UNIFORMIZED:
        now = moment(noise, _moment_of(noise, start)[0])
    # no literals: everything would be compiled once for each
    everywhere, nearby = np.bool_(True), np.bool_(False)
    if not fill_rates(data, noise, now, tokens, np.int64(0), everywhere, c, work, row) >= 0.0:
        return IMPOSSIBLE
    for i in range(L):
        due[i] = -np.inf
        moves = rule == UNIFORMIZED or noise.kind != MASKED or tokens[i] == V
        if moves:
            active += 1
            if rule == SITES:
                due[i] = start + math.log1p(-uniforms(seed, sample, step, 0, pair)[0])
                pair += 1
    while active > 0:
        i = 0
        if rule == SITES:
            for j in range(1, L):
                if due[j] > due[i]:
                    i = j
            clock = due[i]
        else:
            u, v = uniforms(seed, sample, step, 0, pair)
            pair += 1
            clock += math.log1p(-u) / (active * bound)
            i = int(v * active)
            if active < L:  # under masks, the one that comes after i others
                left = i
                for j in range(L):
                    if tokens[j] == V:
                        if left == 0:
                            i = j
                            break
                        left -= 1
        if not clock > stop:
            break
        s, speed = clock, 1.0
        if rule == UNIFORMIZED:
            s, speed = _moment_of(noise, clock)
        now, x = moment(noise, s), tokens[i]
        u, v = uniforms(seed, sample, step, 0, pair)
        pair += 1
        if rule == SITES:
            due[i] += math.log1p(-uniforms(seed, sample, step, 0, pair)[0])
            pair += 1
        most = speed * envelope(noise, now, x)
        if most > bound * (1.0 + 1e-12):
            return EXCEEDED
        if rule != UNIFORMIZED and u * bound >= most:  # rejected whatever the model says
            continue
        evaluations += 1
        total = fill_rates(data, noise, now, tokens, i, nearby, c, work, row)
        if not total * speed <= most * (1.0 + 1e-12):
            return EXCEEDED if total >= 0.0 else IMPOSSIBLE
        if u * bound >= total * speed:
            continue
        left_over, chosen = v * total, x
        for y in range(S):
            if row[y] > 0.0:
                chosen = y
                left_over -= row[y]
                if left_over < 0.0:
                    break
        tokens[i] = chosen
        if noise.kind == MASKED and rule != UNIFORMIZED:
            due[i] = -np.inf
            active -= 1
    return evaluations


@njit(**COMPILED)
def walk_all(
    begin: int,
    end: int,
    rule: int,
    data: Any,
    noise: Any,
    start: float,
    stop: float,
    bound: float,
    tokens: Any,
    seed: Any,
    first: int,
    step: int,
    counts: Any,
) -> None:
    """Move tokens (n, L) in place; counts (n,) are evaluations of the model, or IMPOSSIBLE or EXCEEDED."""
    V = noise.vocabulary
    S = V if noise.kind == UNIFORM else V + 1
    work = (np.empty(V), np.empty(V), np.empty(data.table.shape[0]))
    scratch = (np.empty(V), work, np.empty(S), np.empty(tokens.shape[1]))
    for r in range(begin, end):
        counts[r] = walk(rule, data, noise, start, stop, bound, tokens[r], seed, first + r, step, scratch)
