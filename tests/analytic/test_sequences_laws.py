"""Probabilities, entropies and n-grams of the sequence laws, held against their tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import entr

from analytic import sequences
from analytic.sequences import law as law_module
from tests.analytic.sequence_examples import EXAMPLES, Example, simplex

examples = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.__name__)


@examples
@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_pmf_is_the_table_of_the_definition(example: Example, zeros: float) -> None:
    law, pmf = example(np.random.default_rng(10), zeros)
    np.testing.assert_allclose(law.pmf(), pmf, rtol=1e-13, atol=0.0)
    copy = sequences.Enumerated(law.pmf())
    np.testing.assert_array_equal(copy.pmf(), law.pmf())
    assert (copy.vocabulary, copy.length) == (law.vocabulary, law.length)
    assert law.vocabulary == pmf.shape[0]
    assert law.length == pmf.ndim


@examples
def test_log_probability_is_minus_infinity_where_the_table_is_zero(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    law, pmf = example(np.random.default_rng(11), 0.4)
    tokens = np.argwhere(pmf >= 0.0)
    monkeypatch.setattr(law_module, "CHUNK_BYTES", 5000)
    with np.errstate(divide="ignore"):
        expected = np.log(pmf.ravel())
    np.testing.assert_allclose(law.log_probability(tokens), expected, rtol=1e-13)


@examples
@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_marginals_and_ngrams_are_those_of_the_table(example: Example, zeros: float) -> None:
    law, pmf = example(np.random.default_rng(12), zeros)
    for site in range(-law.length, law.length):
        others = tuple(other for other in range(law.length) if other != site % law.length)
        np.testing.assert_allclose(law.marginal(site), pmf.sum(axis=others), rtol=1e-13, atol=1e-15)
    for order in range(1, law.length + 1):
        windows = [
            pmf.sum(axis=tuple(i for i in range(law.length) if not start <= i < start + order))
            for start in range(law.length - order + 1)
        ]
        expected = np.mean(windows, axis=0)
        np.testing.assert_allclose(law.ngram(order), expected, rtol=1e-12, atol=1e-15)
        given = entr(expected).sum() - entr(expected.sum(axis=-1)).sum()
        assert law.conditional_entropy(order) == pytest.approx(given, rel=1e-12, abs=1e-13)


@examples
def test_generic_ngram_agrees_with_each_law_s_own(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    law, _ = example(np.random.default_rng(13), 0.0)
    for limit in (1, 2**27):
        monkeypatch.setattr(law_module, "CHUNK_BYTES", limit)
        for order in (1, 2, 3):
            own = sequences.SequenceLaw._ngram(law, order)
            np.testing.assert_allclose(own, law.ngram(order), rtol=1e-12)


@examples
@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_entropy_is_that_of_the_table(example: Example, zeros: float) -> None:
    law, pmf = example(np.random.default_rng(14), zeros)
    assert law.entropy() == pytest.approx(entr(pmf).sum(), rel=1e-12)
    assert law.entropy_rate() == law.entropy() / law.length


def test_short_sequences_of_one_token_work() -> None:
    laws = [
        sequences.Enumerated([0.25, 0.75]),
        sequences.Product([[0.25, 0.75]]),
        sequences.MarkovSequence([0.25, 0.75], [[0.5, 0.5], [0.1, 0.9]], 1),
        sequences.HiddenMarkov([1.0], [[1.0]], [[0.25, 0.75]], 1),
        sequences.Tree([-1], [0.25, 0.75], np.eye(2)),
        sequences.PottsStrip(1, 1, 2, 3.0, [0.0, math.log(3.0)]),
    ]
    for law in laws:
        np.testing.assert_allclose(law.pmf(), [0.25, 0.75], rtol=1e-14)
        posterior, cavity, log_evidence = law.both([[[0.3, 0.1]]])
        np.testing.assert_allclose(posterior, [[[0.5, 0.5]]], rtol=1e-14)
        np.testing.assert_allclose(cavity, [[[0.25, 0.75]]], rtol=1e-14)
        np.testing.assert_allclose(log_evidence, [math.log(0.15)], rtol=1e-14)


def test_vocabulary_of_one_token_has_one_sequence() -> None:
    for law in (sequences.MarkovSequence([1.0], [[1.0]], 4), sequences.PottsStrip(2, 2, 1, 1.0)):
        assert law.log_probability(np.zeros((1, 4), dtype=int))[0] == pytest.approx(0.0, abs=1e-14)
        assert law.entropy() == pytest.approx(0.0, abs=1e-13)


def test_chain_as_tree_and_as_hidden_chain_is_the_same_law() -> None:
    rng = np.random.default_rng(15)
    first, step = simplex(rng, 4), simplex(rng, 4, 4)
    likelihood = rng.random((3, 30, 4))
    chain = sequences.MarkovSequence(first, step, 30)
    for other in (
        sequences.Tree(list(range(-1, 29)), first, step),
        sequences.HiddenMarkov(first, step, np.eye(4), 30),
        sequences.SecondOrderMarkov(first, step, np.broadcast_to(step, (4, 4, 4)), 30),
    ):
        for mine, theirs in zip(chain.both(likelihood), other.both(likelihood), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-11)


def test_arrays_of_a_law_cannot_be_changed() -> None:
    law = sequences.MarkovSequence([0.5, 0.5], np.eye(2), 3)
    for array in (law.initial, law.transition, law.marginals):
        assert not array.flags.writeable


def test_potts_partition_function_of_a_line_has_its_closed_form() -> None:
    law = sequences.PottsStrip(1, 3000, 5, 0.8)
    assert law.log_partition == pytest.approx(math.log(5) + 2999 * math.log(math.exp(0.8) + 4), rel=1e-13)
    equal = 2999 * math.exp(0.8) / (math.exp(0.8) + 4)
    assert law.equal_pairs() == pytest.approx(equal, rel=1e-11)


@pytest.mark.parametrize("coupling", [-1.3, 0.9, 40.0])
def test_potts_strip_is_the_same_law_on_its_side(coupling: float) -> None:
    wide = sequences.PottsStrip(3, 7, 2, coupling, [0.2, -0.1])
    tall = sequences.PottsStrip(7, 3, 2, coupling, [0.2, -0.1])
    assert wide.log_partition == pytest.approx(tall.log_partition, rel=1e-13)
    assert wide.entropy() == pytest.approx(tall.entropy(), rel=1e-9, abs=1e-10)
    likelihood = np.random.default_rng(16).random((2, 7, 3, 2))
    turned = likelihood.swapaxes(1, 2)
    a, b = wide.both(likelihood.reshape(2, 21, 2)), tall.both(turned.reshape(2, 21, 2))
    for mine, theirs in zip(a[:2], b[:2], strict=True):
        theirs = theirs.reshape(2, 3, 7, 2).swapaxes(1, 2).reshape(2, 21, 2)
        np.testing.assert_allclose(mine, theirs, rtol=1e-10)
    np.testing.assert_allclose(a[2], b[2], rtol=1e-12)


def test_strongly_coupled_potts_strip_has_one_token_per_sequence() -> None:
    law = sequences.PottsStrip(2, 50, 3, 150.0)
    tokens = law.sample(300, seed=1)
    assert (tokens == tokens[:, :1]).all()
    assert law.entropy() == pytest.approx(math.log(3), rel=1e-9)
