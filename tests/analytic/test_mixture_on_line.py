"""Distribution functions and quantiles of one-dimensional mixtures against 60-digit arithmetic."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from analytic.mixtures.gaussian_mixture import GaussianMixture

# Dyadic weights: their sum is one exactly, so that the upper tail is the same for u and for 1 - u.
MIXTURES = {
    "gaussian": GaussianMixture([1.0], [0.3], [0.25]),
    "overlapping": GaussianMixture([0.25, 0.75], [-1.0, 1.2], [0.25, 0.36]),
    "separated": GaussianMixture([0.25, 0.75], [-4.0, 4.0], [0.25, 0.25]),
    "wide and narrow": GaussianMixture([0.5, 0.5], [0.3, 0.0], [0.0025, 1.0]),
    "five": GaussianMixture(
        [0.125, 0.25, 0.25, 0.125, 0.25], [-5, -2, -1.5, 1, 4], [0.01, 0.25, 0.0025, 1, 0.0064]
    ),
    "ten decades": GaussianMixture([0.5, 0.5], [0.0, 0.0], [1e-20, 1.0]),
}
TAILS = [5e-324, 1e-300, 1e-100, 1e-20, 1e-8, 1e-3, 0.1, 0.3, 0.4, 0.45, 0.5]


def tail_probability(mixture: GaussianMixture, x: Any, sign: int) -> Any:
    """Probability below x (sign = 1) or above it (sign = -1), at the working precision of mpmath."""
    columns = zip(mixture.weights, mixture.means[:, 0], mixture.variances[:, 0], strict=True)
    return sum(
        mpmath.mpf(float(w)) * mpmath.ncdf(sign * (x - mpmath.mpf(float(m))) / mpmath.sqrt(float(v)))
        for w, m, v in columns
    )


def density(mixture: GaussianMixture, x: Any) -> Any:
    columns = zip(mixture.weights, mixture.means[:, 0], mixture.variances[:, 0], strict=True)
    return sum(mpmath.mpf(float(w)) * mpmath.npdf(x, float(m), mpmath.sqrt(float(v))) for w, m, v in columns)


@pytest.mark.parametrize("name", MIXTURES)
def test_both_tails_are_accurate_to_the_last_digits(name: str) -> None:
    mixture = MIXTURES[name]
    x = np.array([-20.0, -8.0, -3.0, -1.0, 0.0, 0.31, 1.0, 4.1, 9.0, 25.0])
    with mpmath.workdps(60):
        for sign, found in ((1, mixture.cdf(x)), (-1, mixture.survival(x))):
            for value, point in zip(found, x, strict=True):
                exact = tail_probability(mixture, mpmath.mpf(point), sign)
                # Below 1e-300 neither has anything left to compare.
                assert abs(mpmath.mpf(value) - exact) <= 2e-13 * exact + mpmath.mpf(10) ** -300
    assert mixture.cdf(x.reshape(2, 5)).shape == (2, 5)
    assert np.isnan(mixture.cdf(np.nan))
    assert np.isnan(mixture.survival(np.nan))


@pytest.mark.parametrize("name", MIXTURES)
def test_quantiles_are_within_rounding_of_the_exact_ones_in_both_tails(name: str) -> None:
    mixture = MIXTURES[name]
    found = {1: mixture.quantile(TAILS), -1: mixture.quantile_survival(TAILS)}
    with mpmath.workdps(60):
        for sign, quantiles in found.items():
            for tail, quantile in zip(TAILS, quantiles, strict=True):
                x = mpmath.mpf(quantile)
                for _ in range(3):
                    x -= sign * (tail_probability(mixture, x, sign) - mpmath.mpf(tail)) / density(mixture, x)
                # The last term is what one rounding of the probability is worth on a flat cdf.
                flat = 4e-16 * tail / density(mixture, x)
                assert abs(x - mpmath.mpf(quantile)) <= 4e-16 * abs(x) + 4e-16 + flat


@pytest.mark.parametrize("name", MIXTURES)
def test_quantiles_from_above_and_below_agree(name: str) -> None:
    mixture = MIXTURES[name]
    # Multiples of 1/512 have an exact complement.
    u = np.arange(1, 512) / 512
    np.testing.assert_allclose(
        mixture.quantile(u), mixture.quantile_survival(1.0 - u), rtol=4e-16, atol=4e-16
    )
    assert (np.diff(mixture.quantile(u)) > 0.0).all()
    np.testing.assert_allclose(mixture.cdf(mixture.quantile(u)), u, rtol=0, atol=1e-15)


def test_quantiles_at_zero_and_one_are_infinite() -> None:
    mixture = MIXTURES["overlapping"]
    np.testing.assert_array_equal(mixture.quantile([[0.0, 1.0]]), [[-np.inf, np.inf]])
    np.testing.assert_array_equal(mixture.quantile_survival([0.0, 1.0]), [np.inf, -np.inf])


def test_quantiles_of_atoms_are_steps() -> None:
    mixture = GaussianMixture([0.25] * 4, [3.0, 1.0, 2.0, 0.0], 0.0)
    u = np.array([0.0, 0.1, 0.25, 0.26, 0.5, 0.75, 0.76, 1.0])
    np.testing.assert_array_equal(mixture.quantile(u), [0, 0, 0, 1, 1, 2, 3, 3])
    np.testing.assert_array_equal(mixture.quantile_survival(1.0 - u), [0, 0, 0, 1, 1, 2, 3, 3])
    np.testing.assert_array_equal(mixture.cdf([-1.0, 0.0, 0.5, 3.0]), [0.0, 0.25, 0.25, 1.0])
    np.testing.assert_array_equal(mixture.survival([-1.0, 0.0, 0.5, 3.0]), [1.0, 0.75, 0.75, 0.0])


def test_an_atom_among_continuous_components_holds_its_share_of_quantiles() -> None:
    mixture = GaussianMixture([0.5, 0.25, 0.25], [0.0, 0.5, -0.5], [1.0, 0.0, 0.0])
    u = np.linspace(0.001, 0.999, 999)
    for quantiles in (mixture.quantile(u), mixture.quantile_survival(1.0 - u)):
        for atom in (-0.5, 0.5):
            # Up to the two values of u next to the ends of the step.
            assert abs((quantiles == atom).sum() - 250) <= 1
        smooth = ~np.isin(quantiles, [-0.5, 0.5])
        np.testing.assert_allclose(mixture.cdf(quantiles[smooth]), u[smooth], rtol=0, atol=1e-14)


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_probabilities_outside_the_unit_interval_are_named(bad: float) -> None:
    with pytest.raises(ValueError, match=f"u holds .*{bad}"):
        MIXTURES["five"].quantile([0.5, bad])
    with pytest.raises(ValueError, match=f"s holds .*{bad}"):
        MIXTURES["five"].quantile_survival([0.5, bad])
