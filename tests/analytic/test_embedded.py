"""Embedded sequences: posteriors against the mixture of all sequences, rounding, and one site against atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analytic import Embedded, GaussianMixture, paths, sequences
from solvers import catalogue, density, grids, law, run, sample

CHAIN = sequences.load("smooth")
VECTORS = np.array([[-1.0, 0.2], [0.4, 0.9], [1.1, -0.7]])
LEVELS = [(1.0, 0.4), (0.6, 1.1), (0.0, 1.0), (1.0, 0.03)]
PATH = paths.VE(0.05, 20.0)


@pytest.mark.parametrize("deviation", [0.0, 0.3, [0.0, 0.2, 0.5]], ids=["atoms", "alike", "each its own"])
def test_posteriors_are_those_of_the_mixture_of_all_sequences(deviation: Any) -> None:
    embedded = Embedded(CHAIN, VECTORS, deviation)
    mixture, x = embedded.mixture(), 1.5 * np.random.default_rng(0).standard_normal((40, 6))
    tokens = np.argwhere(CHAIN.pmf() > 0)
    for level in LEVELS:
        np.testing.assert_allclose(embedded.denoise(x, *level), mixture.denoise(x, *level), atol=1e-12)
        weights = mixture.posterior(x, *level).weights
        one_hot = np.eye(3)[tokens]
        np.testing.assert_allclose(
            embedded.tokens_given(x, *level), np.einsum("nk,klv->nlv", weights, one_hot), atol=1e-12
        )
    noised = embedded.noised(0.6, 1.1).mixture()
    np.testing.assert_allclose(noised.log_density(x), mixture.noised(0.6, 1.1).log_density(x), atol=1e-12)
    np.testing.assert_array_equal(embedded.denoise(x, 0.5, 0.0), x / 0.5)


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm-solver++-2m"])
def test_one_site_is_an_atomic_mixture_for_every_method(name: str) -> None:
    pmf, vectors = [0.2, 0.5, 0.3], np.array([[-1.0], [0.1], [1.3]])
    embedded, atoms = Embedded(sequences.Product([pmf]), vectors), GaussianMixture(pmf, vectors, 0.0)
    tableau = catalogue[name].tableau(PATH, grids.log_snr(PATH, 8))
    z = 20 * np.random.default_rng(1).standard_normal((50, 1))
    np.testing.assert_allclose(run(tableau, embedded, z, seed=3), run(tableau, atoms, z, seed=3), atol=1e-11)


def test_a_long_chain_is_denoised_as_its_sites_near_by_say() -> None:
    chain = sequences.MarkovSequence([0.6, 0.4], [[0.9, 0.1], [0.2, 0.8]], 400)
    embedded = Embedded(chain, [[-1.0], [1.0]], 0.1)
    x0, eps = embedded.sample(20, seed=1), np.random.default_rng(2).standard_normal((20, 400))
    x = x0 + 0.8 * eps
    near = Embedded(
        sequences.MarkovSequence(chain.marginal(100), [[0.9, 0.1], [0.2, 0.8]], 101), [[-1.0], [1.0]], 0.1
    )
    there = near.denoise(x[:, 100:201], 1.0, 0.8)[:, 50]
    np.testing.assert_allclose(embedded.denoise(x, 1.0, 0.8)[:, 150], there, atol=1e-8)
    assert ((embedded.denoise(x, 1.0, 0.8) - x0) ** 2).mean() < 0.6 * 0.64


def test_samples_have_the_tokens_of_the_law_and_the_deviations_of_tokens() -> None:
    embedded = Embedded(CHAIN, VECTORS, [0.0, 0.2, 0.5])
    x, tokens = embedded.sample(20_000, seed=5), CHAIN.sample(20_000, seed=5)
    gap = x - embedded.place(tokens)
    for token, deviation in enumerate((0.0, 0.2, 0.5)):
        own = gap.reshape(-1, 3, 2)[tokens == token]
        np.testing.assert_allclose(own.std(), deviation, rtol=5 / np.sqrt(2 * own.size), atol=1e-15)


def test_rounding_reads_tokens_off_places() -> None:
    embedded = Embedded(CHAIN, VECTORS)
    tokens = CHAIN.sample(200, seed=0)
    for how in ("nearest", "likeliest", "posterior"):
        np.testing.assert_array_equal(embedded.round(0.5 * embedded.place(tokens), 0.5, 0.01, how), tokens)
    # halfway between two tokens the nearest is a coin's, the chain's posterior is not: draws have its law
    x = np.repeat(embedded.place([[0, 1, 2]]) + 0.3, 20_000, axis=0)
    drawn = embedded.round(x, 1.0, 0.7, "posterior", seed=2)
    given = embedded.tokens_given(x[:1], 1.0, 0.7)[0]
    share = (drawn[:, :, None] == np.arange(3)).mean(axis=0)
    np.testing.assert_array_less(np.abs(share - given), 5 * np.sqrt(given * (1 - given) / 20_000) + 1e-12)
    np.testing.assert_array_equal(embedded.round(x[:1], 1.0, 0.7, "likeliest")[0], given.argmax(axis=1))


def test_tensors_come_back_as_tensors() -> None:
    torch = pytest.importorskip("torch")
    embedded, x = Embedded(CHAIN), np.random.default_rng(0).standard_normal((5, 9))
    found = embedded.denoise(torch.asarray(x), 1.0, 0.5)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), embedded.denoise(x, 1.0, 0.5), atol=1e-14)


TABLEAU = catalogue["ddim"].tableau(PATH, grids.log_snr(PATH, 4))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Embedded([0.5, 0.5]), "law is"),  # type: ignore[arg-type]
        (lambda: Embedded(CHAIN, "words"), "'one-hot'"),
        (lambda: Embedded(CHAIN, np.zeros((2, 2))), r"give \(3, m\)"),
        (lambda: Embedded(CHAIN, VECTORS, [0.1, -0.1, 0.0]), "at least 0"),
        (lambda: Embedded(CHAIN, VECTORS).denoise(np.zeros((2, 3)), 1.0, 0.1), r"give \(n, 6\)"),
        (lambda: Embedded(CHAIN, VECTORS).likelihood(np.zeros((2, 6)), 1.0, 0.0), "sigma > 0"),
        (lambda: Embedded(CHAIN, VECTORS).denoise(np.zeros((2, 6)), 0.0, 0.0), "both 0"),
        (lambda: Embedded(CHAIN, VECTORS).round(np.zeros((2, 6)), how="largest"), "how"),  # type: ignore[arg-type]
        (lambda: Embedded(sequences.load("text")).mixture(), "shorter one"),
        (lambda: sample(TABLEAU, Embedded(CHAIN), 10), "use `run`"),
        (lambda: law(TABLEAU, Embedded(CHAIN)), "use `run`"),
        (lambda: density(TABLEAU, Embedded(CHAIN)), "use `run`"),
    ],
)
def test_what_cannot_be_is_one_clear_line(call: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
