"""Posteriors of linear observations and products of mixtures are mixtures: held against quadrature and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from analytic import GaussianMixture, targets

Array = NDArray[np.float64]
AXIS = np.linspace(-7.0, 7.0, 351)
GRID = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), axis=-1).reshape(-1, 2)
CELL = (AXIS[1] - AXIS[0]) ** 2
TARGETS = {name: targets.load(name) for name in ("pair-2d", "rotated-2d")}
SEEN: dict[str, tuple[Any, Any, Any]] = {
    "one number": ([[1.0, 0.5]], [0.4], 0.3),
    "two of unequal noise": ([[1.0, 0.0], [0.3, 1.0]], [0.5, -0.2], [0.4, 0.9]),
    "three of two": ([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.5, -0.2, 0.1], 0.7),
}


def on_grid(log_density: Array) -> tuple[Array, float]:
    """Values on the grid normalised by the trapezoidal sum, and the log of that sum."""
    top = log_density.max()
    values = np.exp(log_density - top)
    whole = values.sum() * CELL
    return values / whole, float(top + np.log(whole))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seen", SEEN)
def test_the_posterior_is_bayes_rule_on_a_grid(name: str, seen: str) -> None:
    target, (A, y, deviation) = TARGETS[name], SEEN[seen]
    residual = (y - GRID @ np.transpose(A)) / deviation
    log_likelihood = stats.norm.logpdf(residual) - np.log(np.broadcast_to(deviation, len(y)))
    expected, log_evidence = on_grid(target.log_density(GRID) + log_likelihood.sum(axis=1))
    posterior = target.given(A, y, deviation)
    np.testing.assert_allclose(np.exp(posterior.log_density(GRID)), expected, atol=1e-9 * expected.max())
    evidence = float(target.observed(A, deviation).log_density(np.array([y]))[0])
    assert evidence == pytest.approx(log_evidence, abs=1e-9)
    assert posterior.components == target.components


def test_what_is_observed_is_the_law_of_samples() -> None:
    target, (A, _, deviation) = TARGETS["rotated-2d"], SEEN["two of unequal noise"]
    seen = target.observed(A, deviation)
    exact = np.array(A) @ target.covariance() @ np.transpose(A) + np.diag(np.square(deviation))
    np.testing.assert_allclose(seen.mean(), np.array(A) @ target.mean(), atol=1e-14)
    np.testing.assert_allclose(seen.covariance(), exact, atol=1e-14)


def test_without_noise_the_posterior_lies_on_what_was_seen() -> None:
    target = TARGETS["rotated-2d"]
    posterior = target.given([[1.0, 2.0]], [0.3], 0.0)
    np.testing.assert_allclose(posterior.sample(100, 0) @ [1.0, 2.0], 0.3, atol=1e-7)
    near = target.given([[1.0, 2.0]], [0.3], 1e-5)
    np.testing.assert_allclose(posterior.weights, near.weights, atol=1e-8)
    np.testing.assert_allclose(posterior.covariance(), near.covariance(), atol=1e-8)


def test_atoms_are_weighed_by_their_likelihood_and_keep_their_numbers() -> None:
    atoms = GaussianMixture([0.2, 0.3, 0.5], [[0.0, 0.0], [1.0, 0.0], [50.0, 0.0]], 0.0)
    posterior = atoms.given([[1.0, 0.0]], [0.8], 0.5)
    weights = np.array([0.2, 0.3, 0.5]) * stats.norm.pdf(0.8, [0.0, 1.0, 50.0], 0.5)
    np.testing.assert_allclose(posterior.weights, weights / weights.sum(), atol=1e-14)
    assert posterior.components == 3
    np.testing.assert_allclose(posterior.means, atoms.means)


@pytest.mark.parametrize("one", TARGETS)
@pytest.mark.parametrize("other", TARGETS)
def test_a_product_is_the_product_of_densities_on_a_grid(one: str, other: str) -> None:
    p, q = TARGETS[one], TARGETS[other]
    expected, _ = on_grid(p.log_density(GRID) + q.log_density(GRID))
    product = p.times(q)
    np.testing.assert_allclose(np.exp(product.log_density(GRID)), expected, atol=1e-9 * expected.max())
    assert product.components == p.components * q.components


def test_a_posterior_is_a_product_with_a_gaussian() -> None:
    target, y = TARGETS["pair-2d"], np.array([0.4, -0.3])
    posterior, product = target.given(np.eye(2), y, 0.5), target.times(GaussianMixture([1.0], [y], 0.25))
    np.testing.assert_allclose(posterior.weights, product.weights, atol=1e-14)
    np.testing.assert_allclose(posterior.means, product.means, atol=1e-14)
    np.testing.assert_allclose(posterior.variances, product.variances, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([[1.0]], [0.0], 1.0), r"A has shape \(1, 1\)"),
        (([[1.0, 0.0]], [0.0, 1.0], 1.0), r"y has shape \(2,\)"),
        (([[1.0, 0.0]], [0.0], -1.0), "deviation is -1.0"),
        (([[1.0, 0.0]], [0.0], [1.0, 1.0]), r"deviation has shape \(2,\)"),
        (([[1.0, 0.0], [2.0, 0.0]], [0.0, 0.0], 0.0), "deviation leaves a direction"),
    ],
)
def test_bad_observations_are_named(arguments: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TARGETS["pair-2d"].given(*arguments)


def test_bad_products_are_named() -> None:
    with pytest.raises(ValueError, match="other has dim = 1"):
        TARGETS["pair-2d"].times(targets.load("easy-1d"))
    with pytest.raises(ValueError, match="other leaves a direction"):
        GaussianMixture([1.0], [[0.0]], 0.0).times(GaussianMixture([1.0], [[1.0]], 0.0))
