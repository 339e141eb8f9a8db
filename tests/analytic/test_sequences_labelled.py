"""Mixtures of sequence laws with labels, held against their tables and against sums over all sequences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import entr

from analytic import chains, sequences
from tests.analytic.normal_laws import ALARM
from tests.analytic.sequence_examples import brute_posterior, simplex

WEIGHTS = np.array([0.5, 0.3, 0.2])


def labelled(rng: np.random.Generator, zeros: float) -> tuple[sequences.Labelled, np.ndarray]:
    """A chain, a table and independent tokens, with the table (labels, 3, 3, 3, 3) of their joint law."""
    first, step = simplex(rng, 3, zeros=zeros), simplex(rng, 3, 3, zeros=zeros)
    table = simplex(rng, 81, zeros=zeros).reshape((3,) * 4)
    rows = simplex(rng, 4, 3, zeros=zeros)
    laws = [
        sequences.MarkovSequence(first, step, 4),
        sequences.Enumerated(table),
        sequences.Product(rows),
    ]
    joint = np.zeros((3, 3, 3, 3, 3))
    for x in itertools.product(range(3), repeat=4):
        joint[(0, *x)] = WEIGHTS[0] * first[x[0]] * math.prod(step[a, b] for a, b in itertools.pairwise(x))
        joint[(1, *x)] = WEIGHTS[1] * table[x]
        joint[(2, *x)] = WEIGHTS[2] * math.prod(rows[i, v] for i, v in enumerate(x))
    return sequences.Labelled(laws, WEIGHTS), joint


@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_pmf_ngrams_and_entropy_are_those_of_the_mixture(zeros: float) -> None:
    law, joint = labelled(np.random.default_rng(1), zeros)
    pmf = joint.sum(axis=0)
    np.testing.assert_allclose(law.pmf(), pmf, rtol=1e-13, atol=0.0)
    assert law.entropy() == pytest.approx(entr(pmf).sum(), rel=1e-12)
    np.testing.assert_allclose(law.ngram(2), sequences.SequenceLaw._ngram(law, 2), rtol=1e-12)
    for site in range(4):
        others = tuple(other for other in range(4) if other != site)
        np.testing.assert_allclose(law.marginal(site), pmf.sum(axis=others), rtol=1e-12)
    for label in range(3):
        np.testing.assert_allclose(law.condition(label).pmf(), joint[label] / WEIGHTS[label], rtol=1e-13)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    zeros=st.sampled_from([0.0, 0.5]),
    hidden=st.sampled_from([0.0, 0.4]),
    decades=st.sampled_from([0.5, 20.0]),
)
def test_posterior_cavity_and_classifier_are_those_of_enumeration(
    seed: int, zeros: float, hidden: float, decades: float
) -> None:
    rng = np.random.default_rng(seed)
    law, joint = labelled(rng, zeros)
    likelihood = 10.0 ** (-decades * rng.random((6, 4, 3))) * (rng.random((6, 4, 3)) >= hidden)
    likelihood[rng.random((6, 4)) < 0.2] = 1.0
    likelihood[~likelihood.any(axis=2)] = 1.0
    rows = [r for r in range(6) if np.einsum("kabcd,a,b,c,d->", joint, *likelihood[r]) > 0.0]
    if len(rows) < 6:
        with pytest.raises(ValueError, match="is impossible"):
            law.both(likelihood)
    posterior, cavity, log_evidence = law.both(likelihood[rows])
    classified, log_joint = law.label_posterior(likelihood[rows]), law.log_joint(likelihood[rows])
    for k, r in enumerate(rows):
        expected = brute_posterior(joint.sum(axis=0), likelihood[r])
        np.testing.assert_allclose(posterior[k], expected[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(cavity[k], expected[1], rtol=1e-12, atol=1e-13)
        assert log_evidence[k] == pytest.approx(math.log(expected[2]), rel=1e-12, abs=1e-12)
        shares = np.einsum("kabcd,a,b,c,d->k", joint, *likelihood[r])
        np.testing.assert_allclose(classified[k], shares / shares.sum(), rtol=1e-12, atol=1e-14)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(log_joint[k], np.log(shares), rtol=1e-12, atol=1e-12)


def test_cavity_counts_a_label_that_only_the_site_itself_rules_out() -> None:
    """Label 1 cannot show what site 0 shows, and yet has its share in the cavity of site 0."""
    laws = [sequences.Product([[1.0, 0.0], [0.5, 0.5]]), sequences.MarkovSequence([0.0, 1.0], np.eye(2), 2)]
    law = sequences.Labelled(laws, [0.5, 0.5])
    likelihood = sequences.reveal([[0, 1]], 2)
    # Site 1 shows 1: the labels weigh 1/4 and 1/2, and say 0 and 1 of site 0.
    np.testing.assert_allclose(law.cavity(likelihood)[0], [[1 / 3, 2 / 3], [0.5, 0.5]], rtol=1e-14)
    np.testing.assert_allclose(law.posterior(likelihood)[0], [[1.0, 0.0], [0.0, 1.0]], atol=1e-15)
    np.testing.assert_allclose(law.label_posterior(likelihood)[0], [1.0, 0.0], atol=1e-15)


@pytest.mark.parametrize(
    "noise", [chains.Absorbing(3, "cosine"), chains.Uniform(3, "cosine"), chains.BirthDeath(3, "cosine")]
)
def test_classifier_is_bayes_under_noise(noise: chains.Chain) -> None:
    law, joint = labelled(np.random.default_rng(3), 0.0)
    tokens = np.stack([np.arange(4) % noise.states, np.full(4, noise.states - 1)])
    q = noise.transition(0, 0.4)[:3]
    for row, label in zip(tokens, law.label_posterior(noise.likelihood(0.4, tokens)), strict=True):
        shares = np.zeros(3)
        for k, x in itertools.product(range(3), itertools.product(range(3), repeat=4)):
            shares[k] += joint[(k, *x)] * math.prod(q[v, y] for v, y in zip(x, row, strict=True))
        np.testing.assert_allclose(label, shares / shares.sum(), rtol=1e-12)


def test_tilted_law_is_its_definition_and_has_its_two_ends() -> None:
    law, joint = labelled(np.random.default_rng(4), 0.0)
    pmf = joint.sum(axis=0)
    weights = pmf * (joint[1] / pmf) ** 2.5
    np.testing.assert_allclose(law.tilted(1, 2.5).pmf(), weights / weights.sum(), rtol=1e-12)
    np.testing.assert_allclose(law.tilted(1, 0).pmf(), pmf, rtol=1e-13)
    np.testing.assert_allclose(law.tilted(1, 1).pmf(), law.condition(1).pmf(), rtol=1e-13)
    sparse, joint = labelled(np.random.default_rng(5), 0.5)
    assert (sparse.tilted(0, 2.0).pmf()[joint[0] == 0.0] == 0.0).all()
    np.testing.assert_allclose(sparse.tilted(0, 0).pmf(), joint.sum(axis=0), rtol=1e-13)


def test_draws_follow_the_mixture_and_the_posterior() -> None:
    law, joint = labelled(np.random.default_rng(6), 0.0)
    pmf = joint.sum(axis=0)
    n = 40_000
    x = law.sample(n, seed=8)
    np.testing.assert_array_equal(law.sample(50, seed=8, first=37), x[37:87])
    likelihood = np.random.default_rng(7).random((4, 3))
    seen = pmf * np.einsum("a,b,c,d->abcd", *likelihood)
    y = law.posterior_sample(np.broadcast_to(likelihood, (n, 4, 3)), seed=9)
    # Pearson's statistic of 81 cells, each of both alarms below ALARM.
    for tokens, table in ((x, pmf), (y, seen / seen.sum())):
        counts = np.bincount(np.ravel_multi_index(tuple(tokens.T), table.shape), minlength=81)
        assert stats.chisquare(counts, n * table.ravel()).pvalue > ALARM


def test_draws_from_posteriors_come_from_possible_labels_alone() -> None:
    laws = [sequences.Product([[1.0, 0.0]] * 3), sequences.Product([[0.0, 1.0]] * 3)]
    law = sequences.Labelled(laws, [0.5, 0.5])
    masked = np.array([[0, 2, 2], [2, 2, 1]] * 20)
    tokens = law.posterior_sample(sequences.reveal(masked, 2), seed=1)
    np.testing.assert_array_equal(tokens, np.array([[0, 0, 0], [1, 1, 1]] * 20))


def test_one_label_is_the_law_itself_and_a_weight_of_zero_counts_for_nothing() -> None:
    law, _ = labelled(np.random.default_rng(9), 0.3)
    chain = law.condition(0)
    likelihood = np.random.default_rng(10).random((5, 4, 3))
    for mixed in (
        sequences.Labelled([chain], [1.0]),
        sequences.Labelled([chain, law.condition(2)], [1.0, 0.0]),
    ):
        for mine, theirs in zip(mixed.both(likelihood), chain.both(likelihood), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-13)


def test_long_mixtures_do_not_underflow() -> None:
    step = np.array([[0.9, 0.1], [0.3, 0.7]])
    chain = sequences.MarkovSequence([0.5, 0.5], step, 4000)
    turned = sequences.MarkovSequence([0.5, 0.5], step[::-1, ::-1], 4000)
    law = sequences.Labelled([chain, turned], [0.25, 0.75])
    likelihood = chains.Uniform(2).likelihood(0.5, chain.sample(2, seed=1))
    assert np.isfinite(law.log_evidence(likelihood)).all()
    np.testing.assert_allclose(law.label_posterior(likelihood)[:, 0], 1.0, rtol=1e-10)
    np.testing.assert_allclose(law.cavity(likelihood), chain.cavity(likelihood), rtol=1e-10)


def test_bad_input_is_one_clear_error() -> None:
    law, _ = labelled(np.random.default_rng(11), 0.0)
    other = sequences.Product([[0.5, 0.5]])
    with pytest.raises(ValueError, match=r"laws\[1\] is Product\(vocabulary=2, length=1\).*one vocabulary"):
        sequences.Labelled([law.condition(0), other], [0.5, 0.5])
    with pytest.raises(ValueError, match="laws is empty"):
        sequences.Labelled([], [])
    with pytest.raises(TypeError, match=r"laws\[0\] is 3"):
        sequences.Labelled([3], [1.0])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"weights has shape \(3,\); give shape \(1,\)"):
        sequences.Labelled([other], WEIGHTS)
    with pytest.raises(ValueError, match="label is 3; labels run from 0 to 2"):
        law.condition(3)
    with pytest.raises(TypeError, match="label is 'a'"):
        law.tilted("a", 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"gamma is -1\.0; give a finite number, at least 0"):
        law.tilted(0, -1.0)
    chain = sequences.MarkovSequence([0.5, 0.5], np.full((2, 2), 0.5), 40)
    with pytest.raises(ValueError, match="average -log_probability"):
        sequences.Labelled([chain], [1.0]).entropy()
