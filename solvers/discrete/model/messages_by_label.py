"""A mixture of Markov chains, one for each label: cavities of one sequence with and without the label.

For executors that give each sequence a thread of its own, as `messages_of_one` for a single chain. No pass is made for
a site that is left out: messages from both sides say how probable all the other sites are under each label.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from analytic import sequences

from ...numerics.jit import COMPILED
from .messages_by_block import WEAK, Likelihood, Transitions, transitions
from .messages_of_one import absorb, transmit


def stacked(data: sequences.Labelled) -> Transitions | None:
    """Return the chains of all labels, every array with the label in front; None if some law is no MarkovSequence."""
    parts = [transitions(law) for law in data.laws if isinstance(law, sequences.MarkovSequence)]
    if len(parts) < data.labels:
        return None
    steps = max(len(part.advance) for part in parts)
    advance, retreat = (
        np.ascontiguousarray(np.stack([np.broadcast_to(m, (steps, *m.shape[1:])) for m in matrices]))
        for matrices in ([part.advance for part in parts], [part.retreat for part in parts])
    )
    return Transitions(np.stack([part.start for part in parts]), advance, retreat)


@njit(**COMPILED)
def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -np.inf


@njit(**COMPILED)
def leave_one_out(
    model: Transitions, seen: Likelihood, states: Any, cavities: Any, logs: Any, expected: Any, work: Any
) -> bool:
    """Fill cavities (L, V) and logs (L,), how probable the states at all other sites are, in logarithm.

    An impossible rest has cavities of zero and a log of -inf. `expected` and `work` (V,) are scratch. False where
    messages hardly overlap, see `WEAK`.
    """
    L, V = states.shape[0], work.shape[0]
    for v in range(V):
        cavities[0, v] = model.start[v]
        expected[v] = 1.0
    scale, log_scale = 1.0, 0.0
    for i in range(L):
        logs[i] = log_scale
        if i + 1 < L:
            total = absorb(seen, states[i], cavities[i], scale, work)
            log_scale -= _log(
                scale
            )  # where the scale is zero, so are all messages to come, and no log is read
            scale = 1.0 / total if total > 0.0 else 0.0
            transmit(model.advance[i if model.advance.shape[0] > 1 else 0], work, cavities[i + 1])
    scale, log_scale = 1.0, 0.0
    for i in range(L - 1, -1, -1):
        total = 0.0
        for v in range(V):
            cavities[i, v] *= expected[v]
            total += cavities[i, v]
        if 0.0 < total <= WEAK:
            return False
        logs[i] = logs[i] + log_scale + math.log(total) if total > 0.0 else -np.inf
        for v in range(V):
            cavities[i, v] = cavities[i, v] / total if total > 0.0 else 0.0
        if i > 0:
            together = absorb(seen, states[i], expected, scale, work)
            log_scale -= _log(scale)
            scale = 1.0 / together if together > 0.0 else 0.0
            transmit(model.retreat[i - 1 if model.retreat.shape[0] > 1 else 0], work, expected)
    return True


@njit(**COMPILED)
def labelled_cavities(
    parts: Transitions,
    log_weights: Any,
    label: int,
    alone: bool,
    seen: Likelihood,
    states: Any,
    given: Any,
    free: Any,
    own: Any,
    logs: Any,
    expected: Any,
    work: Any,
) -> bool:
    """Fill given (L, V) with the cavities under a label and, unless it is asked for alone, free (L, V) without.

    own (L, V), logs (3, L), expected and work (V,) are scratch. False where messages hardly overlap.
    """
    L, V = states.shape[0], work.shape[0]
    top, share = logs[1], logs[2]
    for i in range(L):
        top[i], share[i] = -np.inf, 0.0
        for v in range(V):
            free[i, v] = 0.0
    for l in range(parts.start.shape[0]):
        if (alone and l != label) or (l != label and log_weights[l] == -np.inf):
            continue
        model = Transitions(parts.start[l], parts.advance[l], parts.retreat[l])
        if not leave_one_out(model, seen, states, own, logs[0], expected, work):
            return False
        for i in range(L):
            weight = log_weights[l] + logs[0, i]
            if l == label:
                for v in range(V):
                    given[i, v] = own[i, v]
            if weight == -np.inf:
                continue
            if weight > top[i]:
                kept = math.exp(top[i] - weight)
                share[i] *= kept
                for v in range(V):
                    free[i, v] *= kept
                top[i] = weight
            fresh = math.exp(weight - top[i])
            share[i] += fresh
            for v in range(V):
                free[i, v] += fresh * own[i, v]
    for i in range(L):
        for v in range(V):
            free[i, v] = free[i, v] / share[i] if share[i] > 0.0 else 0.0
    return True


@njit(**COMPILED)
def told(seen: Likelihood, x: int, cavity: Any) -> float:
    """Probability of the state x at a site whose token has the law cavity (V,), up to a factor of the state's own."""
    total = 0.0
    for v in range(cavity.shape[0]):
        total += cavity[v] * (
            seen.table[x, v] if seen.table.shape[0] > 0 else (seen.peak[x] if v == x else seen.flat[x])
        )
    return total


@njit(**COMPILED)
def log_ratios(seen: Likelihood, x: int, given: Any, free: Any, out: Any) -> None:
    """Fill out (S,) with log p(label | y at the site) - log p(label | x at the site), the other sites as they are.

    By Bayes' rule it is the ratio of the two laws of the site, with and without the label.
    """
    here = _log(told(seen, x, given)) - _log(told(seen, x, free))
    for y in range(out.shape[0]):
        out[y] = _log(told(seen, y, given)) - _log(told(seen, y, free)) - here
