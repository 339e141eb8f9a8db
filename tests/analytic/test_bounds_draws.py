"""Evidence bounds by Monte Carlo, held against exact averages and, for long sequences, against exact laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analytic import chains, sequences
from analytic.bounds import Evidence, continuous_time, discrete_time
from analytic.bounds.averages import OverDraws
from tests.analytic.bounds_references import law_of
from tests.analytic.sequence_examples import simplex


def test_long_masked_gap_is_its_profile_of_information() -> None:
    rng = np.random.default_rng(4)
    data = sequences.MarkovSequence(simplex(rng, 4), simplex(rng, 4, 4), 1000)
    times = np.linspace(1.0, 0.0, 9)
    gap = discrete_time(chains.Absorbing(4), times, data, data.sample(48, seed=1), draws=2, seed=2).gap
    expected = sequences.InformationProfile(data).step_costs(np.linspace(0.0, 1.0, 9)).sum()
    # About 5 in a million by the t distribution with 47 degrees of freedom, over data and draws.
    assert abs(gap.mean() - expected) < 5.2 * gap.std(ddof=1) / math.sqrt(48)
    assert gap.std(ddof=1) / math.sqrt(48) < 0.15 * expected  # power: a fifth of the gap would be seen


def held_together(exact: Evidence, drawn: Evidence) -> None:
    # By t with 299 degrees of freedom or more, 36 comparisons in all: 1 false alarm in about 30 000 runs.
    assert (np.abs(drawn.bound - exact.bound) < 5.0 * drawn.error).all()
    assert (drawn.error < 0.03 * np.abs(exact.bound)).all()
    for name in ("initial", "reconstruction"):
        np.testing.assert_allclose(getattr(drawn, name), getattr(exact, name), atol=0.25)


@pytest.mark.parametrize("parametrisation", ["average", "plug-in"])
@pytest.mark.parametrize(
    "noise", [chains.Absorbing(3), chains.Uniform(3), chains.D3PM.gaussian([0.1, 0.3, 0.9], 3)]
)
def test_draws_agree_with_the_exact_averages_on_a_grid(
    noise: chains.SiteProcess, parametrisation: str
) -> None:
    data, x0 = law_of(3, 3)
    rows, times = x0[[0, 5, 13, 21, 26]], [0.95, 0.5, 0.2] if noise.end == 1.0 else [3, 2, 1]
    how: dict[str, Any] = {"parametrisation": parametrisation, "initial": "marginal"}
    drawn = discrete_time(noise, times, data, rows, draws=1500, seed=6, **how)
    held_together(discrete_time(noise, times, data, rows, **how), drawn)


@pytest.mark.parametrize(
    ("noise", "parametrisation"),
    [
        (chains.Absorbing(3, "cosine"), "average"),
        (chains.Uniform(3), "average"),
        (chains.Hybrid(3, 0.2), "plug-in"),
    ],
)
def test_draws_agree_with_the_exact_averages_in_continuous_time(
    noise: chains.Chain, parametrisation: str
) -> None:
    data, x0 = law_of(3, 3)
    how: dict[str, Any] = {
        "start": 0.95,
        "stop": 0.02,
        "initial": "marginal",
        "parametrisation": parametrisation,
    }
    drawn = continuous_time(noise, data, x0[[5, 13]], draws=300, seed=6, **how)
    held_together(continuous_time(noise, data, x0[[5, 13]], **how), drawn)


def test_long_continuous_bounds_agree_with_the_log_likelihood() -> None:
    rng = np.random.default_rng(5)
    data = sequences.MarkovSequence(simplex(rng, 3), simplex(rng, 3, 3), 200)
    x0 = data.sample(4, seed=9)
    for noise in (chains.Absorbing(3), chains.Uniform(3, "cosine")):
        found = continuous_time(noise, data, x0, draws=64, seed=1)
        # 8 comparisons by t with 63 degrees of freedom: 1 false alarm in about 10 000.
        assert (np.abs(found.gap) < 4.6 * found.error).all()
        assert (found.error < 0.03 * np.abs(found.log_likelihood)).all()


def test_draws_depend_on_seed_row_and_stream_alone() -> None:
    data, x0 = law_of(2, 3)
    noise = chains.Uniform(2)

    def bound(rows: np.ndarray, seed: int, draws: int = 8) -> np.ndarray:
        return continuous_time(noise, data, rows, draws=draws, seed=seed).bound

    np.testing.assert_allclose(bound(x0[:3], 1), bound(x0, 1)[:3], rtol=1e-13)
    assert (bound(x0, 1) != bound(x0, 2)).all()
    few, more = (OverDraws(noise, data, x0, draws, 1) for draws in (2, 5))
    np.testing.assert_array_equal(few.uniforms(3, 4), more.uniforms(3, 4)[:, :2])
    streams = [more.uniforms(k, 4) for k in (0, 1)]
    assert len(np.unique(streams)) == np.size(streams)
