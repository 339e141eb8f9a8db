"""The information profile of a Markov chain, held against sums over all sets of revealed sites."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial
from scipy.integrate import quad
from scipy.optimize import minimize
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


@pytest.mark.parametrize("zeros", [0.0, 0.3])
def test_curvature_is_that_of_the_polynomial_over_all_sets(zeros: float) -> None:
    law, pmf = markov(np.random.default_rng(43), zeros)
    r = Polynomial([0.0, 1.0])
    whole = sum(
        (h * r ** len(s) * (1 - r) ** (LENGTH - len(s)) for s, h in entropies(pmf).items()), Polynomial([0.0])
    )
    shares = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    found = sequences.InformationProfile(law).curvature(shares)
    np.testing.assert_allclose(found, whole.deriv(2)(shares), rtol=1e-11, atol=1e-13)
    assert (found <= 1e-14).all()


def chain(keep: float, length: int) -> sequences.MarkovSequence:
    """Chain whose next token is the next in the cycle with probability `keep`."""
    rest = (1 - keep) / 2
    transition = np.full((3, 3), rest) + (keep - rest) * np.roll(np.eye(3), 1, axis=1)
    return sequences.MarkovSequence(
        [0.5, 0.3, 0.2], transition / transition.sum(axis=1, keepdims=True), length
    )


@pytest.mark.parametrize(
    ("keep", "length", "steps"), [(0.9, 6, 2), (0.98, 6, 4), (0.7, 12, 6), (0.98, 40, 5)]
)
def test_best_shares_are_the_minimum_that_a_simplex_search_finds(
    keep: float, length: int, steps: int
) -> None:
    profile = sequences.InformationProfile(chain(keep, length))

    def cost(weights: np.ndarray) -> float:
        """Sum of the costs of a schedule with widths in proportion to exp(weights), the last weight 0."""
        widths = np.exp(np.append(weights, 0.0))
        shares = np.concatenate([[0.0], np.cumsum(widths)[:-1] / widths.sum(), [1.0]])
        return float(profile.step_costs(shares).sum())

    search = {"xatol": 1e-10, "fatol": 1e-15, "maxiter": 20_000, "maxfev": 20_000}
    found = minimize(cost, np.zeros(steps - 1), method="Nelder-Mead", options=search)
    shares = profile.best_shares(steps)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert (np.diff(shares) > 0).all()
    best = float(profile.step_costs(shares).sum())
    assert best <= found.fun + 1e-12
    assert best == pytest.approx(found.fun, rel=1e-8)


def test_best_costs_tend_to_the_squared_integral_of_the_root_of_the_curvature() -> None:
    profile = sequences.InformationProfile(chain(0.9, 20))
    root = quad(lambda r: float(np.sqrt(-profile.curvature([r])[0])), 0.0, 1.0, epsabs=1e-10)[0]
    off = [
        steps * float(profile.step_costs(profile.best_shares(steps)).sum()) / (root**2 / 2) - 1
        for steps in (64, 128, 256)
    ]
    assert abs(off[2]) < 2e-2
    assert off[0] / off[1] == pytest.approx(2.0, abs=0.2)
    assert off[1] / off[2] == pytest.approx(2.0, abs=0.2)


@settings(max_examples=40, deadline=None)
@given(
    keep=st.floats(0.02, 0.995),
    length=st.integers(2, 60),
    steps=st.integers(1, 40),
)
def test_best_shares_never_cost_more_than_even_ones(keep: float, length: int, steps: int) -> None:
    profile = sequences.InformationProfile(chain(keep, length))
    shares = profile.best_shares(steps)
    assert shares.shape == (steps + 1,)
    assert (np.diff(shares) > 0).all()
    even = profile.step_costs(np.linspace(0.0, 1.0, steps + 1)).sum()
    assert profile.step_costs(shares).sum() <= even + 1e-12


def test_independent_tokens_are_revealed_evenly() -> None:
    law = sequences.MarkovSequence([0.2, 0.8], [[0.2, 0.8], [0.2, 0.8]], 30)
    assert sequences.InformationProfile(law).best_shares(4).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("steps", "kind"), [(0, ValueError), (2.5, TypeError), (-3, ValueError)])
def test_numbers_of_steps_are_checked(steps: object, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"steps is {steps!r}"):
        sequences.InformationProfile(chain(0.9, 4)).best_shares(steps)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["entropy", "slope", "curvature"])
def test_shares_outside_their_range_are_named(name: str) -> None:
    profile = sequences.InformationProfile(chain(0.9, 4))
    with pytest.raises(ValueError, match=r"revealed\[1\] is 1.5; give shares from 0 to 1"):
        getattr(profile, name)([0.5, 1.5])


def test_jump_your_steps_splits_where_most_is_saved_and_the_best_schedule_is_below_it() -> None:
    profile = sequences.InformationProfile(
        sequences.MarkovSequence([0.5, 0.3, 0.2], np.full((3, 3), 0.1) + 0.7 * np.eye(3), 40)
    )

    def cost(shares: Any) -> float:
        return float(profile.step_costs(shares).sum())

    fine = np.linspace(0.0, 1.0, 4001)
    (_, middle, _) = profile.jump_shares(2)
    assert cost([0.0, middle, 1.0]) == pytest.approx(min(cost([0.0, m, 1.0]) for m in fine[1:-1]), rel=1e-6)
    for steps in (2, 3, 8, 13, 32):
        jumps = profile.jump_shares(steps)
        assert len(jumps) == steps + 1
        assert np.all(np.diff(jumps) > 0)
        assert set(profile.jump_shares(2)) <= set(jumps)
        assert cost(profile.best_shares(steps)) <= cost(jumps) * (1 + 1e-12)
        # a last round that splits some intervals and not others costs more than even steps
        power = steps & (steps - 1) == 0
        assert (cost(jumps) < cost(np.linspace(0.0, 1.0, steps + 1))) == power
        assert (cost(jumps) < 1.001 * cost(profile.best_shares(steps))) == power
    with pytest.raises(ValueError, match="steps is 0"):
        profile.jump_shares(0)
