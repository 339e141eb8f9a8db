"""Small sequence laws beside their tables, each table made by its definition and by no message passing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from analytic import sequences

Example = tuple[sequences.SequenceLaw, np.ndarray]


def simplex(rng: np.random.Generator, *shape: int, zeros: float = 0.0) -> np.ndarray:
    """Random laws over the last axis, a share of their entries zero."""
    weights = rng.gamma(0.7, size=shape) * (rng.random(shape) >= zeros)
    weights[..., 0] += 1e-3
    return weights / weights.sum(axis=-1, keepdims=True)


def table(vocabulary: int, length: int, probability: Callable[[tuple[int, ...]], float]) -> np.ndarray:
    """Ask for the probability of every sequence in turn."""
    result = np.empty((vocabulary,) * length)
    for x in itertools.product(range(vocabulary), repeat=length):
        result[x] = probability(x)
    return result


def enumerated(rng: np.random.Generator, zeros: float) -> Example:
    pmf = simplex(rng, 243, zeros=zeros).reshape((3,) * 5)
    return sequences.Enumerated(pmf), pmf


def product(rng: np.random.Generator, zeros: float) -> Example:
    laws = simplex(rng, 5, 3, zeros=zeros)
    return sequences.Product(laws), table(3, 5, lambda x: math.prod(laws[i, v] for i, v in enumerate(x)))


def markov(rng: np.random.Generator, zeros: float) -> Example:
    first, step = simplex(rng, 3, zeros=zeros), simplex(rng, 3, 3, zeros=zeros)
    pmf = table(3, 5, lambda x: first[x[0]] * math.prod(step[a, b] for a, b in itertools.pairwise(x)))
    return sequences.MarkovSequence(first, step, 5), pmf


def markov_in_time(rng: np.random.Generator, zeros: float) -> Example:
    first, steps = simplex(rng, 3, zeros=zeros), simplex(rng, 4, 3, 3, zeros=zeros)
    pmf = table(3, 5, lambda x: first[x[0]] * math.prod(steps[i, x[i], x[i + 1]] for i in range(4)))
    return sequences.MarkovSequence(first, steps, 5), pmf


def second_order(rng: np.random.Generator, zeros: float) -> Example:
    first, second = simplex(rng, 3, zeros=zeros), simplex(rng, 3, 3, zeros=zeros)
    later = simplex(rng, 3, 3, 3, zeros=zeros)

    def probability(x: tuple[int, ...]) -> float:
        return first[x[0]] * second[x[0], x[1]] * math.prod(later[x[i : i + 3]] for i in range(3))

    return sequences.SecondOrderMarkov(first, second, later, 5), table(3, 5, probability)


def _hidden_paths(first: np.ndarray, steps: np.ndarray, emission: np.ndarray) -> np.ndarray:
    def probability(x: tuple[int, ...]) -> float:
        return sum(
            first[z[0]]
            * math.prod(steps[i, z[i], z[i + 1]] for i in range(3))
            * math.prod(emission[z[i], x[i]] for i in range(4))
            for z in itertools.product(range(2), repeat=4)
        )

    return table(3, 4, probability)


def hidden_markov(rng: np.random.Generator, zeros: float) -> Example:
    first, step, emission = (simplex(rng, *shape, zeros=zeros) for shape in ((2,), (2, 2), (2, 3)))
    law = sequences.HiddenMarkov(first, step, emission, 4)
    return law, _hidden_paths(first, np.broadcast_to(step, (3, 2, 2)), emission)


def hidden_markov_in_time(rng: np.random.Generator, zeros: float) -> Example:
    first, steps, emission = (simplex(rng, *shape, zeros=zeros) for shape in ((2,), (3, 2, 2), (2, 3)))
    return sequences.HiddenMarkov(first, steps, emission, 4), _hidden_paths(first, steps, emission)


def tree(rng: np.random.Generator, zeros: float) -> Example:
    # Site 3 is the root, with three children of which one has children; numbers do not follow the depth.
    parents = [3, 0, 3, -1, 3, 0]
    root, steps = simplex(rng, 3, zeros=zeros), simplex(rng, 6, 3, 3, zeros=zeros)

    def probability(x: tuple[int, ...]) -> float:
        return root[x[3]] * math.prod(steps[i, x[p], x[i]] for i, p in enumerate(parents) if p >= 0)

    return sequences.Tree(parents, root, steps), table(3, 6, probability)


def star(rng: np.random.Generator, zeros: float) -> Example:
    root, step = simplex(rng, 3, zeros=zeros), simplex(rng, 3, 3, zeros=zeros)
    pmf = table(3, 5, lambda x: root[x[0]] * math.prod(step[x[0], v] for v in x[1:]))
    return sequences.Tree([-1, 0, 0, 0, 0], root, step), pmf


def potts(rng: np.random.Generator, zeros: float) -> Example:
    coupling, field = rng.normal(0.0, 1.0), rng.normal(size=3)

    def weight(x: tuple[int, ...]) -> float:
        site = np.reshape(x, (3, 2))  # column by column
        equal = np.count_nonzero(site[1:] == site[:-1]) + np.count_nonzero(site[:, 0] == site[:, 1])
        return math.exp(coupling * equal + sum(field[v] for v in x))

    weights = table(3, 6, weight)
    return sequences.PottsStrip(2, 3, 3, coupling, field), weights / weights.sum()


EXAMPLES = [
    enumerated,
    product,
    markov,
    markov_in_time,
    second_order,
    hidden_markov,
    hidden_markov_in_time,
    tree,
    star,
    potts,
]


def brute_posterior(pmf: np.ndarray, likelihood: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Posterior (L, V), cavity (L, V) and evidence of one row, by sums over the whole table."""
    length, vocabulary = likelihood.shape

    def joint(without: int | None) -> np.ndarray:
        result = pmf.copy()
        for site in range(length):
            if site != without:
                shape = [1] * length
                shape[site] = vocabulary
                result *= likelihood[site].reshape(shape)
        return result

    def marginal(weights: np.ndarray, site: int) -> np.ndarray:
        sums = weights.sum(axis=tuple(other for other in range(length) if other != site))
        return sums / sums.sum()

    whole = joint(None)
    posterior = np.stack([marginal(whole, site) for site in range(length)])
    cavity = np.stack([marginal(joint(site), site) for site in range(length)])
    return posterior, cavity, float(whole.sum())
