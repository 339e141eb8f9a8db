"""The parts that a mixture's transitions and rates are made of, against 120-digit matrices of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

from analytic import chains
from tests.analytic.chain_references import DIGITS, references, to_numpy

MIXTURES = {
    name: (chain, exact) for name, (chain, exact) in references().items() if isinstance(chain, chains.Mixture)
}
every_mixture = pytest.mark.parametrize("name", MIXTURES)


def others(matrix: np.ndarray) -> np.ndarray:
    """Entry of each column in a token's row other than its own, which all are alike in a mixture."""
    return np.array([matrix[1 if y == 0 else 0, y] for y in range(len(matrix))])


@every_mixture
def test_noise_odds_and_inflow_are_those_of_the_transition_and_its_derivative(name: str) -> None:
    chain, exact = MIXTURES[name]
    with mp.workdps(DIGITS):
        for t in (1e-6, 0.05, 0.5, 0.999):
            middle, h = mpf(t), mpf(10) ** -40
            here = exact(middle)
            alpha = here[0, 0] - here[1, 0]
            rates = here**-1 * (exact(middle + h) - exact(middle - h)) / (2 * h)
            np.testing.assert_allclose(chain.noise_law(t), others(to_numpy(here)), rtol=1e-13, atol=1e-80)
            np.testing.assert_allclose(chain.odds(t), others(to_numpy(here / alpha)), rtol=2e-13, atol=1e-80)
            np.testing.assert_allclose(
                chain.inflow(t), others(to_numpy(alpha * rates)), rtol=1e-12, atol=1e-30
            )


@every_mixture
def test_split_transitions_make_up_the_matrices(name: str) -> None:
    chain, exact = MIXTURES[name]
    with mp.workdps(DIGITS):
        for s, t in ((0.0, 0.3), (0.3, 0.3 + 1e-7), (0.3, 0.75), (0.75, 0.999)):
            step = exact(mpf(s)) ** -1 * exact(mpf(t))
            stay, moved = chain.split(s, t)
            # alpha(s) and alpha(t) are rounded, which a short step feels
            slack = 1e-14 + 1e-15 * s / (t - s)
            np.testing.assert_allclose(moved, others(to_numpy(step)), rtol=slack, atol=1e-80)
            assert stay == pytest.approx(float(step[0, 0] - step[1, 0]), rel=2e-14)
    stay, moved = chain.split(0.4, 0.4)
    assert stay == 1.0
    assert not moved.any()


def test_odds_and_inflows_have_their_limits_where_nothing_is_left_of_the_data() -> None:
    masks, uniform, hybrid = chains.Absorbing(3), chains.Uniform(2), chains.Hybrid(3, 0.2)
    assert masks.odds(1.0).tolist() == [0.0, 0.0, 0.0, np.inf]
    assert masks.inflow(1.0).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert uniform.odds(1.0).tolist() == [np.inf, np.inf]
    assert uniform.inflow(1.0).tolist() == [0.5, 0.5]
    assert np.isinf(hybrid.odds(1.0)).all()
    assert hybrid.inflow(1.0).tolist() == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("part", ["odds", "inflow", "noise_law"])
def test_times_outside_the_range_are_named(part: str) -> None:
    with pytest.raises(ValueError, match=r"t is 1\.5; pass a time in"):
        getattr(chains.Uniform(3), part)(1.5)
    with pytest.raises(TypeError, match="t is 'late'; pass one number"):
        getattr(chains.Uniform(3), part)("late")


def test_split_runs_forward() -> None:
    with pytest.raises(ValueError, match=r"s is 0\.5 and t is 0\.2; .* swap"):
        chains.Uniform(3).split(0.5, 0.2)
