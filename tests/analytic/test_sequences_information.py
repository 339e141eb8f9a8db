"""The information profile of a Markov chain, held against sums over all sets of revealed sites."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import entr

from analytic import sequences
from tests.analytic.sequence_examples import markov, simplex

LENGTH = 5


def entropies(pmf: np.ndarray) -> dict[frozenset[int], float]:
    """Entropy of the tokens at every set of sites."""
    sets = [frozenset(s) for k in range(LENGTH + 1) for s in itertools.combinations(range(LENGTH), k)]
    return {s: float(entr(pmf.sum(axis=tuple(set(range(LENGTH)) - s))).sum()) for s in sets}


@pytest.mark.parametrize("zeros", [0.0, 0.3])
def test_profile_and_slope_are_sums_over_all_sets(zeros: float) -> None:
    law, pmf = markov(np.random.default_rng(40), zeros)
    of = entropies(pmf)
    profile = sequences.InformationProfile(law)
    for r in (0.0, 0.2, 0.7, 1.0):
        whole = sum(r ** len(s) * (1 - r) ** (LENGTH - len(s)) * h for s, h in of.items())
        given = sum(
            r ** len(s) * (1 - r) ** (LENGTH - 1 - len(s)) * (of[s | {i}] - h)
            for s, h in of.items()
            for i in set(range(LENGTH)) - s
        )
        assert profile.entropy([r])[0] == pytest.approx(whole, rel=1e-13, abs=1e-14)
        assert profile.slope([r])[0] == pytest.approx(given, rel=1e-13)


def test_step_costs_are_expected_total_correlations_of_what_is_revealed_together() -> None:
    law, pmf = markov(np.random.default_rng(41), 0.0)
    of = entropies(pmf)
    schedule = [0.0, 0.15, 0.5, 0.5, 1.0]
    expected = []
    for r, s in itertools.pairwise(schedule):
        chances = [r, s - r, 1 - s]  # seen before, revealed now, still masked
        cost = 0.0
        for fates in itertools.product(range(3), repeat=LENGTH):
            seen = frozenset(i for i, fate in enumerate(fates) if fate == 0)
            now = frozenset(i for i, fate in enumerate(fates) if fate == 1)
            correlation = sum(of[seen | {i}] - of[seen] for i in now) - (of[seen | now] - of[seen])
            cost += float(np.prod([chances[fate] for fate in fates])) * correlation
        expected.append(cost)
    costs = sequences.InformationProfile(law).step_costs(schedule)
    np.testing.assert_allclose(costs, expected, rtol=1e-12, atol=1e-14)


def test_long_profile_ends_at_the_entropy_and_halves_its_cost_with_the_step() -> None:
    rng = np.random.default_rng(42)
    law = sequences.MarkovSequence(simplex(rng, 4), simplex(rng, 4, 4), 1000)
    profile = sequences.InformationProfile(law)
    assert profile.entropy([0.0, 1.0]) == pytest.approx([0.0, law.entropy()], rel=1e-12)
    assert profile.slope([0.0])[0] == pytest.approx(entr(law.marginals).sum(), rel=1e-12)
    kl = [profile.step_costs(np.linspace(0.0, 1.0, steps + 1)).sum() for steps in (256, 512)]
    assert kl[0] / kl[1] == pytest.approx(2.0, abs=0.02)


def test_independent_tokens_cost_nothing() -> None:
    law = sequences.MarkovSequence([0.2, 0.8], [[0.2, 0.8], [0.2, 0.8]], 30)
    costs = sequences.InformationProfile(law).step_costs([0.0, 0.3, 1.0])
    np.testing.assert_allclose(costs, 0.0, atol=1e-13)
