"""One-step laws of token samplers as plain loops over clean and noisy sequences, and what tests of them share."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from analytic import chains, sequences

State = tuple[int, ...]
FIRST = [0.5, 0.3, 0.2]
SMOOTH = np.array([[0.15, 0.7, 0.15], [0.25, 0.3, 0.45], [0.6, 0.2, 0.2]])
MILD = np.array([[0.3, 0.4, 0.3], [0.33, 0.27, 0.4], [0.4, 0.3, 0.3]])
SHARP = np.array([[0.01, 0.98, 0.01], [0.01, 0.01, 0.98], [0.98, 0.01, 0.01]])
MASK, UNIFORM = chains.Absorbing(3, "cosine"), chains.Uniform(3, "cosine")
NOISES = [MASK, UNIFORM, chains.Hybrid(3, 0.2), chains.BirthDeath(3, "cosine")]


def markov(transition: np.ndarray, length: int) -> sequences.MarkovSequence:
    return sequences.MarkovSequence(FIRST, transition, length)


class Loops:
    """Marginals, posteriors and rates of a short sequence, each by its definition."""

    def __init__(self, noise: Any, data: sequences.SequenceLaw) -> None:
        self.noise, self.length, self.S, self.V = noise, data.length, noise.states, noise.vocabulary
        self.pmf = np.asarray(data.pmf())
        self.clean = list(itertools.product(range(self.V), repeat=self.length))
        self.states: list[State] = list(itertools.product(range(self.S), repeat=self.length))
        self.index = {x: k for k, x in enumerate(self.states)}
        self.noising = functools.cache(lambda t: self.noise.transition(0, t))
        self.marginal = functools.cache(self._marginal)

    def joint(self, t: float, x: State, clean: State) -> float:
        q = self.noising(t)
        return float(self.pmf[clean]) * math.prod(q[v, y] for v, y in zip(clean, x, strict=True))

    def _marginal(self, t: float) -> np.ndarray:
        return np.array([sum(self.joint(t, x, clean) for clean in self.clean) for x in self.states])

    def endpoint(self, t: float, x: State, site: int) -> list[float]:
        """p(x_0 at the site | x_t), with zeros for states that are no tokens."""
        out = [0.0] * self.S
        for clean in self.clean:
            out[clean[site]] += self.joint(t, x, clean)
        return [v / sum(out) for v in out]

    def reverse(self, t: float, x: State, site: int) -> list[float]:
        """R(y, x) p_t(x with y)/p_t(x) for y other than the present state, by ratios of marginals."""
        R, p = self.noise.rates(t), self.marginal(t)
        out = [0.0] * self.S
        for y in range(self.S):
            if y != x[site] and R[y, x[site]] > 0:
                there = (*x[:site], y, *x[site + 1 :])
                out[y] = R[y, x[site]] * p[self.index[there]] / p[self.index[x]]
        return out

    def forward(self, t: float, x: State, site: int) -> list[float]:
        R = self.noise.rates(t)
        return [0.0 if y == x[site] else float(R[x[site], y]) for y in range(self.S)]

    def velocity(self, t: float, x: State, site: int) -> list[float]:
        """-alpha'/(1 - alpha) p(x_0 = y | x_t)."""
        rate = -float(self.noise.d_alpha(t)) / (1 - float(self.noise.alpha(t)))
        return [0.0 if y == x[site] else rate * p for y, p in enumerate(self.endpoint(t, x, site))]

    def product(self, laws: list[list[float]]) -> dict[State, float]:
        return {y: math.prod(law[v] for law, v in zip(laws, y, strict=True)) for y in self.states}

    def push(self, weights: np.ndarray, step: Callable[[State], dict[State, float]]) -> np.ndarray:
        out = np.zeros(len(self.states))
        for k, x in enumerate(self.states):
            if weights[k] != 0:
                for y, p in step(x).items():
                    out[self.index[y]] += weights[k] * p
        return out

    def generator(self, t: float, *rates: Callable[[float, State, int], list[float]]) -> np.ndarray:
        """The generator of all sites moving by the sum of some rates, (S^L, S^L)."""
        G = np.zeros((len(self.states),) * 2)
        for k, x in enumerate(self.states):
            for site in range(self.length):
                for rate in rates:
                    for y, r in enumerate(rate(t, x, site)):
                        if r != 0:
                            G[k, self.index[(*x[:site], y, *x[site + 1 :])]] += r
                            G[k, k] -= r
        return G


def leap(flows: list[float], x: int, h: float) -> list[float]:
    """First jump at frozen rates within h: exit 1 - exp(-h sum), target in proportion."""
    total = sum(flows)
    share = -math.expm1(-h * total) / total if total != 0 else h
    out = [f * share for f in flows]
    out[x] = math.exp(-h * total)
    return out


def clipped(flows: list[float], x: int, h: float) -> list[float]:
    """I + h R, the row clipped at zero and normalised."""
    out = [h * f for f in flows]
    out[x] = max(0.0, 1 - sum(out))
    return [p / sum(out) for p in out]


def distance(p: np.ndarray, q: np.ndarray) -> float:
    return float(np.abs(p.ravel() - q.ravel()).sum() / 2)


def slopes(errors: list[float]) -> np.ndarray:
    return -np.diff(np.log2(errors))


def chi_square(law: np.ndarray, tokens: np.ndarray) -> float:
    """p-value of tokens (n, L) against a law (S, ...); states expected less than ten times are put together."""
    places = np.ravel_multi_index(tuple(tokens.T), law.shape)
    counts = np.bincount(places, minlength=law.size)
    expected = law.ravel() * len(tokens)
    assert counts[expected == 0].sum() == 0
    few = expected < 10
    found, hoped = counts[~few], expected[~few]
    if few.any() and expected[few].sum() > 0:
        found, hoped = np.append(found, counts[few].sum()), np.append(hoped, expected[few].sum())
    return float(stats.chi2.sf(((found - hoped) ** 2 / hoped).sum(), len(found) - 1))
