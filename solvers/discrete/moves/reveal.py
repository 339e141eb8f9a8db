"""Moves under masks that choose which sites to reveal: at random, from the left, or where the model is sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from analytic import chains

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, half_noised
from ..model import messages_of_one
from ..model.cavities import Model
from ..model.every_state import Tables
from .move import PARTS, Move, Stream, Thread, Tokens, defined
from .site import pick, uniforms

RANDOM, LEFT, LARGEST, DRAWN = range(4)
ORDERS = {
    "random": RANDOM,
    "left-to-right": LEFT,
    "top-k": LARGEST,  # the sites whose posterior has the largest maximum
    "maskgit": DRAWN,  # a token is drawn at every masked site; those with the most probable tokens keep theirs
}
_GRADES = 1099511627776.0  # 2^40


@njit(**COMPILED)
def grade(probability: float) -> float:
    """Return a confidence to compare by."""
    # the law and the samples find posteriors by different sums: rounded, equal confidences are ties in both
    return float(math.floor(probability * _GRADES + 0.5))


@njit(**COMPILED)
def _sure(c: Any) -> float:
    """Return the confidence in a site with the posterior c (V,): its largest entry."""
    best = 0.0
    for v in range(c.shape[0]):
        best = max(best, c[v])
    return grade(best)


@njit(**COMPILED)
def select(keys: Any, k: int, chosen: Any) -> None:
    """Mark the k largest of keys (m,) in chosen (m,), the first of equal ones."""
    for j in range(keys.shape[0]):
        chosen[j] = False
    for _ in range(k):
        best = -1
        for j in range(keys.shape[0]):
            if not chosen[j] and (best < 0 or keys[j] > keys[best]):
                best = j
        chosen[best] = True


@njit(**COMPILED)
def _count(subset: int) -> int:
    count = 0
    while subset:
        subset &= subset - 1
        count += 1
    return count


@njit(**COMPILED)
def fill_subsets(order: int, temperature: float, confidence: Any, k: int, out: Any) -> None:
    """Fill out (2^m,) with the probability that k of m masked sites are the ones revealed, by bit set.

    `confidence` (m,) holds grades, or with a temperature probabilities p. Then the sites are those with the k
    largest log p + temperature * Gumbel, that is draws without replacement with weights p^(1/temperature)
    (Plackett-Luce). The probability of a set follows from those of the sets that lack the last draw.
    """
    m = confidence.shape[0]
    if order == RANDOM:
        total = 0
        for subset in range(out.shape[0]):
            out[subset] = 1.0 if _count(subset) == k else 0.0
            total += out[subset]
        for subset in range(out.shape[0]):
            out[subset] /= total
    elif temperature == 0.0:
        chosen = np.zeros(m, np.bool_)
        select(confidence, k, chosen)
        out[:] = 0.0
        subset = 0
        for j in range(m):
            if chosen[j]:
                subset |= 1 << j
        out[subset] = 1.0
    else:
        out[0] = 1.0
        for subset in range(1, out.shape[0]):
            out[subset] = 0.0
            if _count(subset) > k:
                continue
            for j in range(m):
                if subset >> j & 1:
                    before, others = subset ^ (1 << j), 0.0
                    for i in range(m):
                        if not before >> i & 1:
                            # logarithms: powers of both weights may underflow
                            others += math.exp(math.log(confidence[i] / confidence[j]) / temperature)
                    out[subset] += out[before] / others
        for subset in range(out.shape[0]):
            if _count(subset) != k:
                out[subset] = 0.0


@njit(**COMPILED)
def _push(
    begin: int,
    end: int,
    order: int,
    temperature: float,
    after: Any,
    weights: Any,
    tokens: Any,
    posteriors: Any,
    parts: Any,
) -> None:
    """Add to parts begin .. end - 1 of (P, S^L) the laws after one step from the states x = part modulo P."""
    size, L, V = posteriors.shape
    masked, drawn, key = np.empty(L, np.int64), np.empty(L, np.int64), np.empty(L)
    stride, subsets = np.empty(L, np.int64), np.empty(1 << L)
    for part in range(begin, end):
        for x in range(part, size, parts.shape[0]):
            if weights[x] == 0.0:
                continue
            m = 0
            for i in range(L):
                if tokens[x, i] == V:
                    masked[m], stride[m], key[m] = i, (V + 1) ** (L - 1 - i), -i
                    if order == LARGEST:
                        key[m] = _sure(posteriors[x, i])
                    m += 1
            k = m - after[m]
            if order != DRAWN:
                fill_subsets(order, temperature, key[:m], k, subsets[: 1 << m])
            for code in range(V**m):
                p, rest = weights[x], code
                for j in range(m):
                    drawn[j], rest = rest % V, rest // V
                    p *= posteriors[x, masked[j], drawn[j]]
                    key[j] = posteriors[x, masked[j], drawn[j]]
                    if temperature == 0.0:
                        key[j] = grade(key[j])
                if p == 0.0:
                    continue
                if order == DRAWN:
                    fill_subsets(order, temperature, key[:m], k, subsets[: 1 << m])
                for subset in range(1 << m):
                    if subsets[subset] > 0.0:
                        y = x
                        for j in range(m):
                            if subset >> j & 1:
                                y += (drawn[j] - V) * stride[j]
                        parts[part, y] += p * subsets[subset]


@njit(**COMPILED)
def reveal_row(
    order: int,
    temperature: float,
    after: Any,
    tokens: Any,
    posteriors: Any,
    seed: Any,
    sample: int,
    step: int,
    scratch: Any,
) -> None:
    """Reveal sites of tokens (L,), in place, from their posteriors (L, V); scratch: four arrays (L,), see `_draw`."""
    masked, drawn, key, chosen = scratch
    L, V = posteriors.shape
    m = 0
    u = (0.0, 0.0)
    w = (0.0, 0.0)
    for i in range(L):
        if i % 2 == 0:
            u = uniforms(seed, sample, step, 0, i // 2)
            w = uniforms(seed, sample, step, 1, i // 2)
        if tokens[i] != V:
            continue
        c = posteriors[i]
        masked[m], drawn[m], key[m] = i, pick(c, 0, u[i % 2]), -i
        if order == RANDOM:
            key[m] = w[i % 2]
        elif order == LARGEST:
            key[m] = _sure(c)
        elif order == DRAWN and temperature == 0.0:
            key[m] = grade(c[drawn[m]])
        elif order == DRAWN:
            key[m] = math.log(c[drawn[m]]) - temperature * math.log(-math.log(w[i % 2]))
        m += 1
    select(key[:m], m - after[m], chosen[:m])
    for j in range(m):
        if chosen[j]:
            tokens[masked[j]] = drawn[j]


@njit(**COMPILED)
def _draw(
    begin: int,
    end: int,
    order: int,
    temperature: float,
    after: Any,
    tokens: Any,
    rows: Any,
    posteriors: Any,
    seed: Any,
    first: int,
    step: int,
) -> None:
    """Reveal sites in rows[begin:end] of tokens (n, L), in place, from their posteriors (rows, L, V).

    Numbers for tokens are of channel 0, those for sites of channel 1.
    """
    L = posteriors.shape[1]
    scratch = (np.empty(L, np.int64), np.empty(L, np.int64), np.empty(L), np.empty(L, np.bool_))
    for row in range(begin, end):
        r = rows[row]
        reveal_row(order, temperature, after, tokens[r], posteriors[row], seed, first + r, step, scratch)


@dataclass(frozen=True)
class Reveal(Move):
    """Some masked sites are given tokens, each drawn from its own posterior; revealed ones stay.

    Attributes
    ----------
    process : Absorbing
    order : str
        Which sites, a key of `ORDERS`.
    sites : int or None
        How many, all that are left if fewer. None leaves a share of all sites masked.
    share : float
        That share, the chance of a mask at the step's end.
    progress : bool
        MaskGIT's count: floor(share L) sites stay masked, but one fewer than before at least, and one at least.
        Otherwise the nearest whole number to share L stays masked (a half is rounded up), none being masked anew.
    temperature : float
        Of the Gumbel numbers added to log-confidences, for "maskgit".
    """

    process: chains.Absorbing
    order: str
    sites: int | None
    share: float
    progress: bool = False
    temperature: float = 0.0

    @property
    def times(self) -> tuple[float, ...]:
        return (half_noised(self.process),)

    def after(self, length: int) -> NDArray[np.int64]:
        """Return how many of m masked sites stay masked, for m = 0, ..., length."""
        masked = np.arange(length + 1)
        if self.sites is not None:
            return np.maximum(masked - self.sites, 0)
        # a product that is whole but for rounding is whole
        if self.progress and self.share > 0:
            stay = np.maximum(np.minimum(masked - 1, math.floor(self.share * length + 1e-9)), 1)
        else:
            stay = np.full_like(masked, math.floor(self.share * length + 0.5 + 1e-9))
        return np.minimum(stay, masked)

    def stay(self, masked: int, length: int) -> int:
        return int(self.after(length)[masked])

    def push(self, weights: Array, tables: Tables) -> Array:
        order, temperature, after = self.how(tables.length)
        t, parts = half_noised(self.process), np.zeros((PARTS, tables.size))
        # the model is not asked about states in which nothing is revealed, not even if they are impossible
        acts = self._acts(tables.tokens, after)
        moved = np.where(acts, weights, 0.0)
        posteriors = defined(tables.cavities(t), moved, tables, t)
        in_parallel(_push, PARTS, order, temperature, after, moved, tables.tokens, posteriors, parts)
        return np.where(acts, 0.0, weights) + parts.sum(axis=0)

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        order, temperature, after = self.how(tokens.shape[1])
        rows = np.flatnonzero(self._acts(tokens, after))
        if len(rows):
            posteriors = model.cavities(half_noised(self.process), tokens[rows])
            in_parallel(_draw, len(rows), order, temperature, after, tokens, rows, posteriors, *stream)

    def thread(self, model: Model) -> Thread | None:
        if model.transitions is None:
            return None
        L, V, _ = model.sizes
        scratch = {
            "cavities": (float, L, V),
            "masked": (int, L),
            "keys": (float, L),
            "chosen": (int, 2, L),
        }
        seen = tuple(model.likelihood(t) for t in self.times)
        return Thread(_carry, (*self.how(L), V), model.transitions, seen, scratch)

    def _acts(self, tokens: Tokens, after: NDArray[np.int64]) -> NDArray[np.bool_]:
        masked = (tokens == self.process.mask).sum(axis=1)
        return np.asarray(after[masked] < masked)

    def how(self, length: int) -> tuple[int, float, NDArray[np.int64]]:
        """Return what `reveal_row` is told: order, temperature and `after`."""
        return ORDERS[self.order], self.temperature, self.after(length)


def _carry(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    order, temperature, after, mask = plan.told
    states, posteriors = plan.states[:, r], plan.scratch.cavities[:, :, r]
    masked = 0
    for i in range(states.shape[0]):
        if states[i] == mask:
            masked += 1
    if after[masked] >= masked:
        return  # the model is not asked
    if not messages_of_one.cavities(model, plan.seen[0], states, posteriors, lines[0], lines[1]):
        plan.failed[r, 0] = 1
        return
    scratch = (
        plan.scratch.masked[:, r],
        plan.scratch.chosen[0, :, r],
        plan.scratch.keys[:, r],
        plan.scratch.chosen[1, :, r],
    )
    reveal_row(order, temperature, after, states, posteriors, plan.seed, plan.first + r, plan.step, scratch)
