"""Distances of laws given as tables, against loops in fifty digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from analytic import distances

SIZES = st.integers(1, 6)


def laws(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.random.default_rng(seed).dirichlet(np.full(size, 0.5), size=2)
    return p, q


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Sum of p log(p/q) - p + q: what float64 tables, whose sums are one to rounding only, stand for."""
    with mp.workdps(50):
        terms = (
            (mpf(a) * mp.log(mpf(a) / mpf(b)) if a > 0 else mpf(0)) - mpf(a) + mpf(b)
            for a, b in zip(p.ravel().tolist(), q.ravel().tolist(), strict=True)
        )
        return float(mp.fsum(terms))


@given(st.integers(0, 10**6), SIZES)
def test_total_variation_is_the_largest_difference_of_an_event(seed: int, size: int) -> None:
    p, q = laws(seed, size)
    events = (sum(p[i] - q[i] for i in range(size) if event >> i & 1) for event in range(1 << size))
    assert distances.table_tv(p, q) == pytest.approx(max(events), abs=1e-14)
    assert distances.table_tv(q, p) == distances.table_tv(p, q)


@given(st.integers(0, 10**6), SIZES)
def test_divergence_is_its_sum_in_many_digits(seed: int, size: int) -> None:
    p, q = laws(seed, size)
    assert distances.table_kl(p, q) == pytest.approx(divergence(p, q), rel=1e-12, abs=1e-30)


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-6, 1e-9, 1e-12])
def test_small_divergences_keep_their_digits(size: float) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(64)).reshape(4, 4, 4)
    q = p * (1 + size * np.where(np.arange(64).reshape(4, 4, 4) % 2, 1.0, -1.0))
    q /= q.sum()
    exact = divergence(p, q)
    # p and q are rounded, so that their relative difference is known to about 1e-16/size
    assert distances.table_kl(p, q) == pytest.approx(exact, rel=1e-15 + 1e-16 / size, abs=0.0)
    assert exact == pytest.approx(size**2 / 2, rel=0.2, abs=0.0)


@given(st.integers(0, 10**6), SIZES)
def test_pinsker_and_the_sign_hold(seed: int, size: int) -> None:
    p, q = laws(seed, size)
    assert distances.table_kl(p, q) >= 2 * distances.table_tv(p, q) ** 2 - 1e-15


def test_equal_laws_are_at_no_distance() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(9)).reshape(3, 3)
    assert distances.table_tv(p, p) == 0.0
    assert distances.table_kl(p, p) == 0.0


def test_laws_on_other_states_are_as_far_apart_as_can_be() -> None:
    assert distances.table_tv([1.0, 0.0], [0.0, 1.0]) == 1.0
    assert distances.table_kl([1.0, 0.0], [0.0, 1.0]) == math.inf


def test_divergence_is_finite_where_the_first_law_has_a_zero() -> None:
    assert distances.table_kl([1.0, 0.0], [0.25, 0.75]) == pytest.approx(math.log(4), rel=1e-14)


def test_signed_measures_have_a_variation_and_diverge_where_they_are_negative() -> None:
    assert distances.table_tv([0.5, 0.5, 0.0], [0.75, 0.5, -0.25]) == pytest.approx(0.25, rel=1e-14)
    assert distances.table_kl([0.5, 0.4, 0.1], [0.75, 0.5, -0.25]) == math.inf


@pytest.mark.parametrize("distance", [distances.table_tv, distances.table_kl])
@pytest.mark.parametrize(
    ("p", "q", "words"),
    [
        ([0.5, 0.5], [1.0], ["q has shape (1,)", "p (2,)", "on the same set"]),
        ([0.5, 0.4], [0.5, 0.5], ["p sums to", "0.9", "sum to one within 1e-9"]),
        ([0.5, 0.5], [0.5, 0.6], ["q sums to", "1.1", "sum to one within 1e-9"]),
        ([0.5, 0.5], [0.5, math.nan], ["q sums to", "nan", "finite probabilities"]),
        ([1.5, -0.5], [0.5, 0.5], ["p holds", "-0.5", "not negative"]),
    ],
)
def test_tables_that_are_no_laws_are_named(distance: object, p: object, q: object, words: list[str]) -> None:
    with pytest.raises(ValueError, match=words[0][:4]) as caught:
        distance(p, q)  # type: ignore[operator]
    for word in words:
        assert word in str(caught.value)
