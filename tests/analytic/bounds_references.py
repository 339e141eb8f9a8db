"""A sampler and its noise on short sequences by plain loops, for the tests of the evidence bounds."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from analytic import chains, sequences

Law = tuple[sequences.Enumerated, np.ndarray]
LEAKY = [[-1.0, 0.5, 0.5], [0.25, -1.0, 0.75], [0.0, 0.0, 0.0]]


def law_of(vocabulary: int, length: int, seed: int = 0) -> Law:
    """Return a law without zeros and all its sequences."""
    weights = np.random.default_rng(seed).gamma(0.7, size=(vocabulary,) * length)
    return sequences.Enumerated(weights / weights.sum()), every(vocabulary, length)


def every(states: int, length: int) -> np.ndarray:
    return np.array(list(itertools.product(range(states), repeat=length)))


def mean(data: sequences.SequenceLaw, values: np.ndarray) -> float:
    return float(data.pmf().ravel() @ values)


class Plain:
    """The sampler and the noise on sequences, from transition matrices by plain loops."""

    def __init__(self, noise: chains.SiteProcess, pmf: np.ndarray) -> None:
        self.noise, self.pmf = noise, pmf
        self.vocabulary, self.length = pmf.shape[0], pmf.ndim
        self.x0, self.states = every(self.vocabulary, self.length), every(noise.states, self.length)

    def q(self, t: Any, x: np.ndarray, given: np.ndarray, s: Any = 0) -> float:
        """Probability of x at time t given the sequence at s."""
        step = self.noise.transition(s, t)
        return math.prod(step[a, b] for a, b in zip(given, x, strict=True))

    def marginal(self, t: Any) -> np.ndarray:
        return np.array([sum(self.pmf[tuple(v)] * self.q(t, x, v) for v in self.x0) for x in self.states])

    def posterior(self, t: Any, x: np.ndarray) -> np.ndarray:
        """Law of each token of x_0 given x at t, (L, V)."""
        weights = np.array([self.pmf[tuple(v)] * self.q(t, x, v) for v in self.x0])
        law = np.zeros((self.length, self.vocabulary))
        for v, weight in zip(self.x0, weights, strict=True):
            for site, token in enumerate(v):
                law[site, token] += weight / weights.sum() if weights.sum() > 0 else 0.0
        return law

    def kernel(self, t: Any, s: Any, plug_in: bool) -> np.ndarray:
        """One step of the sampler, (S^L, S^L)."""
        start, back, here = (
            self.noise.transition(0, s),
            self.noise.transition(s, t),
            self.noise.transition(0, t),
        )
        rows = np.zeros((len(self.states), self.length, self.noise.states))
        for k, x in enumerate(self.states):
            for site, law in enumerate(self.posterior(t, x)):
                for y in range(self.noise.states):
                    for v in range(self.vocabulary):
                        scale = 1.0 if plug_in else here[v, x[site]]
                        rows[k, site, y] += law[v] and law[v] * start[v, y] * back[y, x[site]] / scale
        total = rows.sum(axis=2, keepdims=True)
        rows = np.divide(rows, total, out=np.zeros_like(rows), where=total > 0)
        return np.array(
            [[math.prod(r[i, y[i]] for i in range(self.length)) for y in self.states] for r in rows]
        )

    def reconstruct(self, t: Any) -> np.ndarray:
        """Probability of each x_0 when its tokens are drawn one by one from the posterior, (S^L, V^L)."""
        laws = [self.posterior(t, x) for x in self.states]
        return np.array([[math.prod(p[i, v[i]] for i in range(self.length)) for v in self.x0] for p in laws])

    def start(self, t: Any, initial: str) -> np.ndarray:
        prior = self.noise.prior
        product = np.array([math.prod(prior[a] for a in x) for x in self.states])
        return product if initial == "prior" else self.marginal(t)

    def bound(self, times: list[Any], plug_in: bool, initial: str) -> np.ndarray:
        """Return E log(sampler's path density/q(path | x_0)) over all paths, for every x_0."""
        kernels = [self.kernel(t, s, plug_in) for t, s in itertools.pairwise(times)]
        start, last = self.start(times[0], initial), self.reconstruct(times[-1])
        result = np.zeros(len(self.x0))
        for row, v in enumerate(self.x0):
            for path in itertools.product(range(len(self.states)), repeat=len(times)):
                nodes = [self.states[k] for k in path]
                # q(path | x_0) forwards in time
                chance = self.q(times[-1], nodes[-1], v)
                for (t, x), (s, y) in itertools.pairwise(zip(times, nodes, strict=True)):
                    chance *= self.q(t, x, y, s)
                if chance > 0:
                    model = start[path[0]] * last[path[-1], row]
                    model *= math.prod(
                        p[a, b] for p, (a, b) in zip(kernels, itertools.pairwise(path), strict=True)
                    )
                    result[row] += chance * math.log(model / chance)
        return result

    def law(self, times: list[Any], plug_in: bool, initial: str) -> np.ndarray:
        """Return the sampler's law of x_0, (V^L,)."""
        weights = self.start(times[0], initial)
        for t, s in itertools.pairwise(times):
            weights = weights @ self.kernel(t, s, plug_in)
        return weights @ self.reconstruct(times[-1])
