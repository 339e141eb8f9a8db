"""Posterior, cavity, evidence and joint draws under any per-site noise, held against sums over all sequences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analytic import sequences
from analytic.sequences import posterior as posterior_module
from analytic.sequences.weights import draw
from tests.analytic.normal_laws import ALARM
from tests.analytic.sequence_examples import EXAMPLES, Example, brute_posterior, simplex

examples = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.__name__)


def noisy(
    rng: np.random.Generator, n: int, law: sequences.SequenceLaw, zeros: float, decades: float
) -> np.ndarray:
    """Likelihoods over many decades, some zero, some sites masked, none without a possible token."""
    shape = (n, law.length, law.vocabulary)
    likelihood = 10.0 ** (-decades * rng.random(shape)) * (rng.random(shape) >= zeros)
    likelihood[rng.random(shape[:2]) < 0.2] = 1.0
    likelihood[~likelihood.any(axis=2)] = 1.0
    return likelihood


@examples
@settings(derandomize=True, deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 2**32),
    zeros=st.sampled_from([0.0, 0.3]),
    hidden=st.sampled_from([0.0, 0.4]),
    decades=st.sampled_from([0.5, 20.0]),
)
def test_posterior_cavity_and_evidence_are_those_of_enumeration(
    example: Example, seed: int, zeros: float, hidden: float, decades: float
) -> None:
    rng = np.random.default_rng(seed)
    law, pmf = example(rng, zeros)
    for likelihood in noisy(rng, 3, law, hidden, decades):
        joint = pmf.copy()
        for axis, site in enumerate(likelihood):
            joint *= site.reshape([-1 if a == axis else 1 for a in range(law.length)])
        if joint.sum() == 0.0:
            with pytest.raises(ValueError, match="row 0 is impossible"):
                law.both(likelihood[None])
            continue
        expected = brute_posterior(pmf, likelihood)
        posterior, cavity, log_evidence = law.both(likelihood[None])
        np.testing.assert_allclose(posterior[0], expected[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(cavity[0], expected[1], rtol=1e-12, atol=1e-13)
        assert log_evidence[0] == pytest.approx(math.log(expected[2]), rel=1e-12, abs=1e-12)


@examples
def test_single_answers_and_chunks_of_one_row_are_those_of_both(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    law, _ = example(rng, 0.0)
    likelihood = noisy(rng, 7, law, 0.2, 2.0)
    posterior, cavity, log_evidence = law.both(likelihood)
    drawn = law.posterior_sample(likelihood, seed=4)
    monkeypatch.setattr(posterior_module, "CHUNK_BYTES", 1)
    np.testing.assert_allclose(law.posterior(likelihood), posterior, rtol=1e-13)
    np.testing.assert_allclose(law.cavity(likelihood), cavity, rtol=1e-13)
    np.testing.assert_allclose(law.log_evidence(likelihood), log_evidence, rtol=1e-13)
    np.testing.assert_array_equal(law.posterior_sample(likelihood, seed=4), drawn)
    np.testing.assert_array_equal(law.posterior_sample(likelihood[:3], seed=4), drawn[:3])
    assert law.posterior(likelihood[:0]).shape == (0, law.length, law.vocabulary)


@examples
def test_scale_of_a_site_moves_the_evidence_alone(example: Example) -> None:
    rng = np.random.default_rng(2)
    law, _ = example(rng, 0.0)
    likelihood = noisy(rng, 4, law, 0.0, 1.0)
    scales = 10.0 ** rng.uniform(-250, 250, size=(4, law.length, 1))
    plain, scaled = law.both(likelihood), law.both(likelihood * scales)
    np.testing.assert_allclose(scaled[0], plain[0], rtol=1e-12)
    np.testing.assert_allclose(scaled[1], plain[1], rtol=1e-12)
    np.testing.assert_allclose(scaled[2], plain[2] + np.log(scales).sum(axis=(1, 2)), rtol=1e-12)


def check_frequencies(tokens: np.ndarray, pmf: np.ndarray) -> None:
    """Pearson's chi-square over whole sequences; those expected fewer than five times share a cell."""
    counts = np.bincount(np.ravel_multi_index(tuple(tokens.T), pmf.shape), minlength=pmf.size)
    expected = len(tokens) * pmf.ravel()
    assert counts[expected == 0.0].sum() == 0
    order = np.argsort(-expected)
    own = np.count_nonzero(expected >= 5.0)
    if expected[order[own:]].sum() < 5.0:  # too few for a cell: the least of the others takes them in
        own -= 1
    starts = np.arange(own + 1)
    seen, wanted = np.add.reduceat(counts[order], starts), np.add.reduceat(expected[order], starts)
    statistic = ((seen - wanted) ** 2 / wanted).sum()
    assert statistic < stats.chi2.isf(ALARM, own)


@examples
def test_posterior_draws_follow_the_joint_posterior(example: Example) -> None:
    rng = np.random.default_rng(3)
    law, pmf = example(rng, 0.1)
    likelihood = noisy(rng, 1, law, 0.0, 1.0)[0]
    joint = pmf.copy()
    for axis, site in enumerate(likelihood):
        joint *= site.reshape([-1 if a == axis else 1 for a in range(law.length)])
    tokens = law.posterior_sample(np.tile(likelihood, (20_000, 1, 1)), seed=5)
    check_frequencies(tokens, joint / joint.sum())


@examples
def test_infilling_keeps_what_is_revealed_and_follows_the_conditional_law(example: Example) -> None:
    rng = np.random.default_rng(4)
    law, pmf = example(rng, 0.0)
    sites = [1, law.length - 2]
    given = law.sample(1, seed=9)[0]
    shown = np.full(law.length, law.vocabulary)
    shown[sites] = given[sites]
    likelihood = sequences.reveal(np.tile(shown, (20_000, 1)), law.vocabulary)
    conditional = np.zeros_like(pmf)
    window = tuple(slice(None) if v == law.vocabulary else v for v in shown)
    conditional[window] = pmf[window]
    check_frequencies(law.posterior_sample(likelihood), conditional / conditional.sum())


@examples
def test_draws_follow_the_law_and_longer_draws_begin_with_shorter_ones(example: Example) -> None:
    law, pmf = example(np.random.default_rng(5), 0.2)
    tokens = law.sample(20_000, seed=6)
    check_frequencies(tokens, pmf)
    np.testing.assert_array_equal(law.sample(9_001, seed=6), tokens[:9_001])
    assert (law.sample(1_000, seed=7) != tokens[:1_000]).any()
    assert law.sample(0).shape == (0, law.length)


def test_score_ratios_are_ratios_of_the_noised_table() -> None:
    rng = np.random.default_rng(6)
    for example in EXAMPLES:
        law, pmf = example(rng, 0.0)
        kernel = simplex(rng, law.vocabulary, law.vocabulary + 1)
        noised = pmf
        for _ in range(law.length):  # the first axis goes in, its noised form comes out last
            noised = np.tensordot(noised, kernel, axes=(0, 0))
        tokens = rng.integers(0, law.vocabulary + 1, size=(4, law.length))
        ratios = law.score_ratios(tokens, kernel)
        for k, site, y in itertools.product(range(4), range(law.length), range(law.vocabulary + 1)):
            moved = tokens[k].copy()
            moved[site] = y
            expected = noised[tuple(moved)] / noised[tuple(tokens[k])]
            assert ratios[k, site, y] == pytest.approx(expected, rel=1e-11)


def test_evidence_survives_a_product_that_underflows() -> None:
    law = sequences.Product([[1.0, 1e-200, 0.0], [0.5, 0.5, 0.0]])
    posterior, _, log_evidence = law.both([[[0.0, 1e-200, 1.0], [1.0, 1.0, 1.0]]])
    np.testing.assert_array_equal(posterior[0, 0], [0.0, 1.0, 0.0])
    assert log_evidence[0] == pytest.approx(-400 * math.log(10), rel=1e-14)


def test_impossible_row_is_named_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    law = sequences.MarkovSequence([0.5, 0.5], [[1.0, 0.0], [0.0, 1.0]], 3)
    tokens = np.array([[0, 0, 0], [1, 2, 2], [2, 2, 2], [0, 2, 1]])
    likelihood = sequences.reveal(tokens, 2)
    for limit in (1, 2**27):
        monkeypatch.setattr(posterior_module, "CHUNK_BYTES", limit)
        for ask in (law.both, law.posterior, law.cavity, law.log_evidence, law.posterior_sample):
            with pytest.raises(ValueError, match="row 3 is impossible"):
                ask(likelihood)
        with pytest.raises(ValueError, match="row 3 is impossible"):
            law.masked_posterior(tokens)


def test_draw_never_takes_an_index_of_weight_zero_at_either_end_of_the_uniforms() -> None:
    uniforms = np.array([0.0, 0.25, np.nextafter(1.0, 0.0)])
    for total in (1.0, 3.0, 1e-200, np.nextafter(1.0, 2.0)):
        weights = np.tile(np.array([0.0, 0.25, 0.0, 0.75, 0.0]) * total, (3, 1))
        np.testing.assert_array_equal(draw(weights, uniforms), [1, 3, 3])


def test_enumerated_draw_never_takes_a_sequence_of_probability_zero() -> None:
    law = sequences.Enumerated([0.0, 0.25, 0.0, 0.75, 0.0])
    tokens = law._draw(np.array([[0.0], [0.25], [np.nextafter(1.0, 0.0)]]))
    np.testing.assert_array_equal(tokens[:, 0], [1, 3, 3])


def test_posterior_draws_are_independent_of_plain_draws_of_the_same_seed() -> None:
    law = sequences.Product(np.full((40, 2), 0.5))
    equal = law.sample(100, seed=3) == law.posterior_sample(np.ones((100, 40, 2)), seed=3)
    assert abs(equal.mean() - 0.5) < 5.0 * 0.5 / math.sqrt(4000)
