"""What tokens are timed beside: their posteriors against `analytic`, their samples against exact laws and ours.

Statistical tests have fixed seeds. 5 standard deviations of a normal number are exceeded at 6e-7: with less than 500
frequencies compared in this file the false-alarm budget is 3e-4.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from analytic import chains, sequences
from solvers import catalogue, grids, law, sample
from studies.bench import libraries, token_peers
from studies.bench.workloads import NOISES, Tokens, chain_of

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tests run beside each other
    yield
    torch.set_num_threads(threads)


def smooth(V: int, L: int) -> sequences.MarkovSequence:
    """A chain that starts out of balance and prefers a neighbour: neither it nor its reverse is symmetric."""
    near = np.exp(-0.5 * (np.arange(V)[None] - np.arange(V)[:, None] - 0.8) ** 2)
    first = np.arange(1, V + 1) ** 2.0
    return sequences.MarkovSequence(first / first.sum(), near / near.sum(axis=1, keepdims=True), L)


@pytest.mark.parametrize("data", [smooth(4, 256), chain_of(32, 64), smooth(3, 1)], ids=repr)
def test_posteriors_of_peers_are_exact(data: sequences.MarkovSequence) -> None:
    V = data.vocabulary
    x = data.sample(6, seed=1)
    some = np.where(np.random.default_rng(2).random(x.shape) < 0.8, V, x)
    some[0], some[1] = V, x[1]  # nothing seen, all seen
    found = token_peers.posterior_of(chains.Absorbing(V), data, torch.float64)(torch.as_tensor(some), 0.3)
    np.testing.assert_allclose(found, data.masked_posterior(some), rtol=0, atol=1e-10)
    for alpha in (0.0, 0.3, 0.999):
        posterior = token_peers.posterior_of(chains.Uniform(V), data, torch.float64)
        seen = (alpha * np.eye(V) + (1 - alpha) / V)[x]
        np.testing.assert_allclose(
            posterior(torch.as_tensor(x), alpha), data.posterior(seen), rtol=0, atol=1e-10
        )
        single = token_peers.posterior_of(chains.Uniform(V), data)(torch.as_tensor(x), alpha)
        assert single.dtype == torch.float32
        np.testing.assert_allclose(single, data.posterior(seen), rtol=0, atol=1e-5)


def test_the_bridge_of_the_loop_is_exact() -> None:
    """Under uniform noise: what is drawn from in a step, by Bayes' rule for each x_0 apart."""
    data, noise = smooth(5, 7), chains.Uniform(5)
    x = data.sample(4, seed=1)
    for t, s in ((0.9, 0.7), (0.4, 0.05)):
        step = token_peers.torch_ancestral(noise, [t, s], data, draw=lambda p: p, dtype=torch.float64)
        after, before = noise.transition(s, t), noise.transition(0.0, s)
        seen = noise.transition(0.0, t).T[x]  # (n, L, V): q(x_t | x_0)
        joint = after.T[x][:, :, None, :] * before  # (n, L, x_0, x_s)
        expected = np.einsum("nlv,nlvy->nly", data.posterior(seen) / seen, joint)
        np.testing.assert_allclose(step(torch.as_tensor(x)), expected, rtol=0, atol=1e-10)


def counted(tokens: Any, states: int) -> np.ndarray:
    """How many times each sequence occurs."""
    L = tokens.shape[1]
    return np.bincount(np.asarray(tokens) @ states ** np.arange(L)[::-1], minlength=states**L)


def deviations(counts: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Standard deviations from what an exact law says, of sequences of which ten and more are expected."""
    n, p = counts.sum(), exact.ravel()
    assert not counts[p == 0].any()
    often = n * p > 10
    rest = np.append(counts[often], counts[~often].sum()), np.append(p[often], p[~often].sum())
    keep = n * rest[1] > 10
    return (rest[0][keep] - n * rest[1][keep]) / np.sqrt(n * rest[1][keep] * (1 - rest[1][keep]))


@pytest.mark.parametrize("way", ["drawn", "drawn_by_categorical", "flow_matching"])
@pytest.mark.parametrize("kind", NOISES)
def test_peers_sample_the_law_of_their_method(kind: str, way: str) -> None:
    """Few sites and few steps, so that the law is known and is far from the data's."""
    data, noise, n = smooth(3, 3), NOISES[kind](3), 100_000
    grid = grids.uniform(noise, 4)
    start = np.random.default_rng(0).choice(noise.states, (n, 3), p=noise.prior)
    if way == "flow_matching":
        pytest.importorskip("flow_matching")
        solve = libraries.flow_matching(noise, grid, data)
        kernel = catalogue["dfm-jump"].kernel(noise, grid[:-1], finalise="posterior")
    else:
        solve = token_peers.torch_ancestral(noise, grid, data, getattr(token_peers, way))
        kernel = catalogue["tweedie-tau-leaping"].kernel(noise, grid)
    torch.manual_seed(0)
    found = solve(torch.as_tensor(start))
    exact = law(kernel, data, initial="prior")
    assert np.abs(deviations(counted(found, noise.states), exact)).max() < 5


@pytest.mark.parametrize("kind", NOISES)
def test_the_loop_of_torch_has_our_pairs_of_neighbours(kind: str) -> None:
    """Where no law is enumerated; the spread of a frequency is that between sequences."""
    work, n = Tokens(kind, 4, 32, 32), 1024
    noise, data = work.process, work.data
    start = np.random.default_rng(0).choice(noise.states, (n, 32), p=noise.prior)
    torch.manual_seed(0)
    theirs = token_peers.torch_ancestral(noise, work.kernel.grid, data)(torch.as_tensor(start)).numpy()
    ours = sample(work.kernel, data, n, initial="prior")

    def frequencies(x: np.ndarray) -> np.ndarray:
        code = x[:, :-1].astype(np.int64) * noise.states + x[:, 1:]
        return np.stack([np.bincount(row, minlength=noise.states**2) for row in code]) / 31

    a, b = frequencies(theirs), frequencies(ours)
    spread = np.sqrt((a.var(axis=0) + b.var(axis=0)) / n)
    common = (a + b).sum(axis=0) * 31 > 100  # with masks left at the end almost none
    assert common.sum() >= 16
    assert np.abs((a.mean(axis=0) - b.mean(axis=0))[common] / spread[common]).max() < 5


def test_what_token_peers_cannot_do_they_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    data, grid = smooth(3, 4), grids.uniform(chains.Uniform(3), 4)
    with pytest.raises(ValueError, match="give Absorbing or Uniform"):
        token_peers.posterior_of(chains.Hybrid(3, 0.2), data)
    changing = sequences.MarkovSequence(data.initial, np.stack([data.transition] * 3), 4)
    for noise in (chains.Absorbing(3), chains.Uniform(3)):
        with pytest.raises(ValueError, match="give one transition matrix"):
            token_peers.torch_ancestral(noise, grid, changing)
    monkeypatch.setitem(sys.modules, "flow_matching.path", None)
    with pytest.raises(ImportError):
        libraries.flow_matching(chains.Uniform(3), grid, data)
    monkeypatch.undo()
    pytest.importorskip("flow_matching")
    with pytest.raises(ValueError, match="give the linear schedule"):
        libraries.flow_matching(chains.Uniform(3, "cosine"), grid, data)
