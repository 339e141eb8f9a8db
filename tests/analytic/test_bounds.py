"""The evidence bound on a grid, held against sums over all paths, and infilling against the whole table."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.special import rel_entr
from scipy.stats import chi2

from analytic import chains, sequences
from analytic.bounds import conditional, continuous_time, discrete_time
from tests.analytic.bounds_references import LEAKY, Plain, every, law_of, mean
from tests.analytic.sequence_examples import simplex

CASES: list[tuple[chains.SiteProcess, list[Any]]] = [
    (chains.Absorbing(2), [1.0, 0.6, 0.2]),
    (chains.Absorbing(2, "cosine"), [1.0, 0.4, 0.0]),
    (chains.Uniform(2), [0.9, 0.5, 0.1]),
    (chains.Uniform(2), [1.0, 0.3, 0.0]),
    (chains.BirthDeath(3), [0.95, 0.3]),
    (chains.PureDeath(3), [1.0, 0.2]),
    (chains.Hybrid(2, 0.3), [0.9, 0.4]),
    (chains.General(LEAKY, "constant", vocabulary=2), [0.9, 0.1]),
    (chains.D3PM.uniform(4, 2), [4, 2, 1]),
    (chains.D3PM.absorbing(4, 2), [4, 3, 0]),
]


@pytest.mark.parametrize("parametrisation", ["average", "plug-in"])
@pytest.mark.parametrize(("noise", "times"), CASES, ids=lambda case: getattr(case, "name", str(case)))
def test_discrete_bound_is_its_definition_summed_over_all_paths(
    noise: chains.SiteProcess, times: list[Any], parametrisation: str
) -> None:
    data, x0 = law_of(noise.vocabulary, 2)
    plain = Plain(noise, data.pmf())
    # A prior without some of the states that x_t may still have makes the bound infinite.
    for initial in ["marginal", *["prior"] * bool(noise.prior.all() or times[0] == noise.end)]:
        found = discrete_time(noise, times, data, x0, parametrisation=parametrisation, initial=initial)
        expected = plain.bound(times, parametrisation == "plug-in", initial)
        np.testing.assert_allclose(found.bound, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(found.log_likelihood, np.log(data.pmf().ravel()), rtol=1e-14)
        assert (found.error == 0).all()
        # What is bounded is the log-likelihood under the sampler, which may be above the exact one.
        assert (found.bound <= np.log(plain.law(times, parametrisation == "plug-in", initial)) + 1e-12).all()


def test_one_sequence_may_be_likelier_under_the_sampler_but_not_their_mean() -> None:
    data, x0 = law_of(3, 3)
    for parametrisation in ("average", "plug-in"):
        gap = discrete_time(chains.Uniform(3), [1.0, 0.5, 0.0], data, x0, parametrisation=parametrisation).gap
        assert gap.min() < -0.1
        assert mean(data, gap) > 0.1


@pytest.mark.parametrize("noise", [chains.Uniform(3), chains.Hybrid(3, 0.2), chains.GaussianOrdinal(3, 0.8)])
def test_mean_gap_is_the_expected_total_correlation_of_the_steps(noise: chains.Chain) -> None:
    data, x0 = law_of(3, 3)
    plain, times = Plain(noise, data.pmf()), [0.8, 0.35, 0.0]
    # Laws of x_s given x_t, and what independent sites with the same marginals are away from them.
    shape = (noise.states,) * 3
    expected = []
    for t, s in itertools.pairwise(times):
        here, there, cost = plain.marginal(t), plain.marginal(s), 0.0
        for k, x in enumerate(plain.states):
            if here[k] > 0:
                chances = [plain.q(t, x, y, s) for y in plain.states]
                joint = (there * chances / here[k]).reshape(shape)
                sums = [joint.sum(axis=tuple(j for j in range(3) if j != i)) for i in range(3)]
                cost += here[k] * rel_entr(joint, np.einsum("a,b,c->abc", *sums)).sum()
        expected.append(cost)
    found = discrete_time(noise, times, data, x0, initial="marginal")
    assert mean(data, found.gap) == pytest.approx(sum(expected), rel=1e-11)
    # Step by step, the costs are the path terms less the information that the step brings.
    brought = [mean(data, found.path[:, k]) - cost for k, cost in enumerate(expected)]
    assert sum(brought) + mean(data, found.initial) == pytest.approx(data.entropy(), rel=1e-11)
    if noise.prior.all():
        prior = discrete_time(noise, times, data, x0)
        start = rel_entr(plain.marginal(0.8), plain.start(0.8, "prior")).sum()
        assert mean(data, prior.gap) == pytest.approx(sum(expected) + start, rel=1e-11)


def test_masked_gap_of_a_markov_law_is_its_profile_of_information() -> None:
    rng = np.random.default_rng(3)
    data = sequences.MarkovSequence(simplex(rng, 2), simplex(rng, 2, 2), 6)
    noise = chains.Absorbing(2, "cosine")
    times = np.array([1.0, 0.8, 0.5, 0.2, 0.0])
    costs = sequences.InformationProfile(data).step_costs(noise.alpha(times))
    found = discrete_time(noise, times, data, every(2, 6))
    assert mean(data, found.gap) == pytest.approx(costs.sum(), rel=1e-12)


def test_bits_per_token_and_a_start_that_the_prior_excludes() -> None:
    data, x0 = law_of(2, 2)
    found = discrete_time(chains.Absorbing(2, "log-linear"), [1.0, 0.0], data, x0)
    assert np.isposinf(found.initial).all()
    assert np.isneginf(found.bound).all()
    found = discrete_time(chains.Absorbing(2), [1.0, 0.0], data, x0)
    np.testing.assert_allclose(found.exact_bits, -np.log2(data.pmf().ravel()) / 2, rtol=1e-14)
    np.testing.assert_allclose(found.bound_bits - found.exact_bits, found.gap / 2 / math.log(2), atol=1e-14)
    empty = continuous_time(chains.Absorbing(2), data, np.zeros((0, 2), dtype=int))
    assert empty.bound.shape == (0,)


def test_conditional_is_the_slice_of_the_table_that_infilling_draws_from() -> None:
    data, _ = law_of(3, 4)
    tokens = np.array([3, 1, 3, 0])
    law = conditional(data, tokens)
    np.testing.assert_allclose(law, data.pmf()[:, 1, :, 0] / data.pmf()[:, 1, :, 0].sum(), rtol=1e-13)
    likelihood = np.repeat(sequences.reveal(tokens[None], 3), 20_000, axis=0)
    drawn = data.posterior_sample(likelihood, seed=5)
    assert (drawn[:, [1, 3]] == [1, 0]).all()
    counts = np.bincount(3 * drawn[:, 0] + drawn[:, 2], minlength=9)
    statistic = ((counts - 20_000 * law.ravel()) ** 2 / (20_000 * law.ravel())).sum()
    assert chi2.sf(statistic, 8) > 1e-6  # false alarms: one in a million
    assert conditional(data, [0, 1, 2, 0]) == pytest.approx(1.0)
    rng = np.random.default_rng(6)
    chain = sequences.MarkovSequence(simplex(rng, 3), simplex(rng, 3, 3), 300)
    tokens = chain.sample(1)[0]
    tokens[[7, 200]] = 3
    apart = conditional(chain, tokens)  # far from each other, so independent given their neighbours
    posterior = chain.masked_posterior(tokens[None])[0]
    np.testing.assert_allclose(apart, np.outer(posterior[7], posterior[200]), rtol=1e-10)
