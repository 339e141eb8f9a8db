"""Cavities with and without a label by messages alone, against the law of labelled data, which makes passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

from analytic import chains, sequences
from solvers.discrete.flow import shown
from solvers.discrete.model.messages_by_block import likelihood
from solvers.discrete.model.messages_by_label import labelled_cavities, log_ratios, stacked

V, L, T = 3, 6, 0.4
RNG = np.random.default_rng(1)
EVERYWHERE = sequences.MarkovSequence([0.2, 0.3, 0.5], RNG.dirichlet(np.ones(V), size=V), L)
CHANGING = sequences.MarkovSequence([0.6, 0.3, 0.1], RNG.dirichlet(np.ones(V), size=(L - 1, V)), L)
CIRCLE = sequences.MarkovSequence([0.5, 0.25, 0.25], np.roll(np.eye(V), 1, axis=1), L)
DATA = sequences.Labelled([EVERYWHERE, CHANGING, CIRCLE], [0.5, 0.3, 0.2])
NOISES = {
    "masked": chains.Absorbing(V),
    "uniform": chains.Uniform(V),
    "dense": chains.BirthDeath(V),
}


def rows(noise: Any, data: sequences.Labelled = DATA, n: int = 40) -> Any:
    """Noisy sequences of all labels, and one that breaks the circle at a single site."""
    u = RNG.random((n, L, 1))
    told = shown(noise, T)
    states = np.minimum((u > told[data.sample(n, 3)].cumsum(axis=2)).sum(axis=2), noise.states - 1)
    broken = (np.arange(L) + 1) % V
    broken[2] = (broken[2] + 1) % V
    return np.vstack([states, broken])


def found(
    data: sequences.Labelled, seen: Any, states: Any, label: int, alone: bool = False
) -> tuple[Any, Any, bool]:
    parts = stacked(data)
    assert parts is not None
    given, free, own = np.full((3, L, V), np.nan)
    logs, lines = np.full((3, L), np.nan), np.full((2, V), np.nan)
    with np.errstate(divide="ignore"):
        weights = np.log(data.weights)
    fine = labelled_cavities(parts, weights, label, alone, seen, states, given, free, own, logs, *lines)
    return given, free, fine


@pytest.mark.parametrize("label", range(3))
@pytest.mark.parametrize("noise", NOISES)
def test_cavities_are_those_of_the_law(noise: str, label: int) -> None:
    told = shown(NOISES[noise], T)
    for states in rows(NOISES[noise]):
        evidence = told.T[states][None]
        given, free, fine = found(DATA, likelihood(told), states, label)
        assert fine
        np.testing.assert_allclose(free, DATA.cavity(evidence)[0], rtol=1e-12, atol=1e-300)
        for site in range(L):
            elsewhere = evidence.copy()
            elsewhere[:, site] = 1.0
            joint = DATA.log_joint(elsewhere)[0, label]
            if np.isneginf(joint):
                assert not given[site].any()
            else:
                expected = DATA.condition(label).posterior(elsewhere)[0, site]
                np.testing.assert_allclose(given[site], expected, rtol=1e-12, atol=1e-300)
        np.testing.assert_array_equal(found(DATA, likelihood(told), states, label, alone=True)[0], given)


@pytest.mark.parametrize("noise", NOISES)
def test_the_classifier_s_ratios_follow_by_bayes_rule(noise: str) -> None:
    told = shown(NOISES[noise], T)
    seen, S = likelihood(told), told.shape[1]

    def log_label(states: Any) -> float:
        joint = DATA.log_joint(told.T[states][None])[0]
        return float(joint[1] - logsumexp(joint))

    for states in rows(NOISES[noise], n=8):
        given, free, _ = found(DATA, seen, states, 1)
        for site in range(L):
            ratios = np.full(S, np.nan)
            log_ratios(seen, states[site], given[site], free[site], ratios)
            for y in range(S):
                neighbour = states.copy()
                neighbour[site] = y
                assert ratios[y] == pytest.approx(log_label(neighbour) - log_label(states), abs=1e-12)


def test_a_label_without_weight_counts_for_nothing_but_itself() -> None:
    told = shown(NOISES["uniform"], T)
    data = sequences.Labelled([EVERYWHERE, CIRCLE], [1.0, 0.0])
    for states in rows(NOISES["uniform"], n=4):
        given, free, _ = found(data, likelihood(told), states, 1)
        np.testing.assert_allclose(free, EVERYWHERE.cavity(told.T[states][None])[0], rtol=1e-12)
        elsewhere = found(DATA, likelihood(told), states, 2, alone=True)[0]
        np.testing.assert_array_equal(given, elsewhere)


def test_messages_that_hardly_overlap_are_reported() -> None:
    sharp = sequences.MarkovSequence([0.5, 0.5], [[1 - 1e-160, 1e-160], [1e-160, 1 - 1e-160]], L)
    data = sequences.Labelled([sharp, sharp], [0.5, 0.5])
    told = np.eye(2)
    parts = stacked(data)
    given, free, own = np.zeros((3, L, 2))
    states = np.array([0, 0, 0, 1, 1, 1])
    arguments = (parts, np.log(data.weights), 0, False, likelihood(told))
    assert not labelled_cavities(*arguments, states, given, free, own, np.zeros((3, L)), *np.zeros((2, 2)))
    assert labelled_cavities(*arguments, 0 * states, given, free, own, np.zeros((3, L)), *np.zeros((2, 2)))


def test_only_chains_are_stacked() -> None:
    table = sequences.Enumerated(np.full((V,) * 3, 1 / V**3))
    assert stacked(sequences.Labelled([table, table], [0.5, 0.5])) is None
