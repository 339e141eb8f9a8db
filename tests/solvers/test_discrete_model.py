"""Compiled cavities against those of the laws themselves, and against sums over all sequences."""

from __future__ import annotations

import itertools
from typing import Any

import numba
import numpy as np
import pytest

from analytic import chains, sequences
from solvers import catalogue
from solvers.discrete import sample
from solvers.discrete.model.cavities import Model
from solvers.discrete.model.messages_by_block import LANES, cavities_by_messages, likelihood, transitions

NOISES = ("absorbing", "uniform", "hybrid", "birth-death")
CAVITY_TOLERANCE = 1e-13  # relative


def noise_of(name: str, V: int) -> Any:
    return {
        "absorbing": chains.Absorbing(V, "cosine"),
        "uniform": chains.Uniform(V, "cosine"),
        "hybrid": chains.Hybrid(V, 0.2),
        "birth-death": chains.BirthDeath(V, "cosine"),
    }[name]


def matrix(V: int, sharp: bool, seed: int = 0) -> Any:
    if sharp:
        return np.full((V, V), 0.02 / (V - 1)) * (1 - np.roll(np.eye(V), 1, 1)) + 0.98 * np.roll(
            np.eye(V), 1, 1
        )
    P = np.random.default_rng(seed).uniform(0.15, 0.7, (V, V))
    return P / P.sum(axis=1, keepdims=True)


def law_of(kind: str, V: int, L: int, sharp: bool = False) -> Any:
    rng = np.random.default_rng(3)
    start = rng.dirichlet(np.ones(V))
    if kind == "chain":
        return sequences.MarkovSequence(start, matrix(V, sharp), L)
    if kind == "chain of several matrices":
        return sequences.MarkovSequence(start, np.stack([matrix(V, sharp, k) for k in range(L - 1)]), L)
    if kind == "product":
        return sequences.Product(rng.dirichlet(np.ones(V), L))
    return sequences.Enumerated(rng.dirichlet(np.ones(V**L)).reshape((V,) * L))


def noisy(data: Any, noise: Any, t: float, n: int) -> Any:
    """Sequences of the data, each token replaced at random; every state occurs."""
    tokens = data.sample(n, 5)
    rng = np.random.default_rng(4)
    replaced = rng.integers(0, noise.states, tokens.shape)
    if noise.name == "absorbing":
        replaced[:] = noise.states - 1
    return np.where(rng.random(tokens.shape) < 0.5, tokens, replaced)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize(
    ("kind", "V", "L", "sharp"),
    [
        ("chain", 3, 4, False),
        ("chain", 3, 4, True),
        ("chain", 17, 9, False),  # a tail after blocks of eight, and an odd row
        ("chain", 12, 256, True),  # hundreds of messages: none may underflow
        ("chain", 2, 1, False),
        ("chain of several matrices", 4, 7, True),
        ("product", 5, 6, False),
        ("enumerated", 3, 5, False),
        ("enumerated", 2, 1, False),
    ],
)
def test_compiled_cavities_are_those_of_the_law(name: str, kind: str, V: int, L: int, sharp: bool) -> None:
    data, noise = law_of(kind, V, L, sharp), noise_of(name, V)
    for t in (0.02, 0.5, 0.97):
        tokens = noisy(data, noise, t, 2 * LANES + 5)
        expected = data.cavity(np.asarray(noise.transition(0, t))[:V].T[tokens])
        np.testing.assert_allclose(
            Model(noise, data).cavities(t, tokens), expected, rtol=CAVITY_TOLERANCE, atol=0
        )


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("kind", ["chain", "product", "enumerated"])
def test_cavities_are_sums_over_all_sequences(name: str, kind: str) -> None:
    V, L, t = 3, 4, 0.6
    data, noise = law_of(kind, V, L), noise_of(name, V)
    q, pmf = np.asarray(noise.transition(0, t)), data.pmf()
    tokens = noisy(data, noise, t, 20)
    found = Model(noise, data).cavities(t, tokens)
    for row, x in enumerate(tokens):
        sums = np.zeros((L, V))
        for x0 in itertools.product(range(V), repeat=L):
            for i in range(L):
                weight = pmf[x0]
                for j in range(L):
                    if j != i:
                        weight = weight * q[x0[j], x[j]]
                sums[i, x0[i]] += weight
        np.testing.assert_allclose(found[row], sums / sums.sum(axis=1, keepdims=True), rtol=1e-12)


def test_messages_that_contradict_each_other_by_300_orders_keep_their_digits() -> None:
    data = sequences.MarkovSequence([0.5, 0.5], [[1 - 1e-300, 1e-300], [3e-300, 1 - 3e-300]], 3)
    tokens = np.array([[0, 2, 1], [1, 2, 0]])
    found = Model(chains.Absorbing(2), data).cavities(0.5, tokens)
    np.testing.assert_allclose(found[:, 1], [[0.5, 0.5], [0.5, 0.5]], rtol=1e-13)
    a = 1e-154  # the way from 0 to 1 is through 2 or 3 and has 10^-308
    P = np.array([[1, 0, a, 3 * a], [0, 1, 0, 0], [0, a, 1, 0], [0, a, 0, 1]])
    data, noise = sequences.MarkovSequence([1, 0, 0, 0], P, 60), chains.Uniform(4)
    tokens = np.array([[0] * 20 + [1] * 40])
    expected = data.cavity(np.asarray(noise.transition(0, 1e-12)).T[tokens])
    np.testing.assert_allclose(Model(noise, data).cavities(1e-12, tokens), expected, rtol=1e-13)
    kernel = catalogue["tau-leaping"].kernel(noise, [1e-12, 1e-13])
    with pytest.raises(FloatingPointError, match="a sample has probability 0 at t = 1e-12"):
        sample(kernel, data, 1, initial=tokens)


@pytest.mark.parametrize("kind", ["chain", "product", "enumerated", "other"])
def test_rows_of_probability_zero_are_an_error(kind: str) -> None:
    P = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    table = np.array([[0.5, 0.5, 0.0]] * 3)
    chain_law = sequences.MarkovSequence([0.5, 0.25, 0.25], P, 3)
    data, impossible = {
        "chain": (chain_law, [0, 2, 3]),
        "product": (sequences.Product(table), [3, 3, 2]),
        "enumerated": (sequences.Enumerated(chain_law.pmf()), [0, 2, 3]),
        "other": (sequences.HiddenMarkov([0.5, 0.25, 0.25], P, np.eye(3), 3), [0, 2, 3]),
    }[kind]
    model = Model(chains.Absorbing(3), data)
    model.cavities(0.5, np.array([[0, 1, 3], [3, 3, 3]]))
    with pytest.raises(FloatingPointError, match=r"probability 0 at t = 0\.5"):
        model.cavities(0.5, np.array([[0, 1, 3], impossible]))


def test_no_bit_depends_on_the_lane_or_the_number_of_threads() -> None:
    data, noise = law_of("chain", 11, 20), chains.Uniform(11, "cosine")
    tokens = noisy(data, noise, 0.4, 3 * LANES + 7)
    model = Model(noise, data)
    whole = model.cavities(0.4, tokens).copy()
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        parts = [model.cavities(0.4, tokens[a:b]).copy() for a, b in ((0, 5), (5, 50), (50, len(tokens)))]
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    out = np.empty_like(whole)
    seen = likelihood(np.asarray(noise.transition(0, 0.4)))
    assert cavities_by_messages(0, 3, transitions(data), seen, tokens, 3, out) == 0
    np.testing.assert_array_equal(out, whole)


def test_memory_is_reused_only_when_nobody_holds_it() -> None:
    data, noise = law_of("chain", 3, 4), chains.Uniform(3, "cosine")
    model = Model(noise, data)
    first, second = noisy(data, noise, 0.5, 50), noisy(data, noise, 0.5, 50)[::-1].copy()
    held = model.cavities(0.5, first)
    kept = held.copy()
    other = model.cavities(0.5, second)
    assert not np.shares_memory(held, other)
    np.testing.assert_array_equal(held, kept)
    address = other.ctypes.data
    del other
    assert model.cavities(0.5, second).ctypes.data == address


@pytest.mark.parametrize("name", NOISES)
def test_compact_likelihood_is_taken_for_mixtures_alone(name: str) -> None:
    noising = np.asarray(noise_of(name, 4).transition(0, 0.3))[:4]
    seen = likelihood(noising)
    assert (seen.table.size == 0) == (name != "birth-death")
    if seen.table.size == 0:
        rebuilt = np.where(
            np.arange(len(seen.flat))[:, None] == np.arange(4), seen.peak[:, None], seen.flat[:, None]
        )
        np.testing.assert_allclose(rebuilt, (noising / noising.max(axis=0)).T, rtol=1e-15)
