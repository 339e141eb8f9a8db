"""The exact strong error, against closed forms and coupled samples; noise shared by coarse and fine grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from analytic import GaussianMixture, paths
from solvers import Tableau, catalogue, grids, run, sample, strong
from solvers.continuous.executors.shared_path import shared_noise
from solvers.numerics.philox import normals

Array = NDArray[np.float64]
VP, VE = paths.VP(), paths.VE(0.02, 20)
LINE = GaussianMixture([1.0], [[1.0]], 0.25)
PLANE = GaussianMixture([1.0], [[0.8, -0.5]], [[[0.6, 0.35], [0.35, 0.3]]])
FALSE_ALARM = 1e-6  # of each statistical test here, shared by its comparisons
KERNEL_OF = {"euler-maruyama": "time", "reverse-diffusion": "variance", "ddpm": "reciprocal-variance"}


def _flow_error(tableau: Tableau, target: GaussianMixture) -> float:
    """Root mean square distance of a deterministic sampler, probed as an affine map, from the exact flow."""
    (a0, s0), (a1, s1), dim = tableau.start, tableau.end, target.dim
    probes = np.vstack([np.zeros(dim), np.eye(dim)])
    y = run(tableau, target, probes)
    covariance, eye = target.covariance(), np.eye(dim)
    before, axes = np.linalg.eigh(a0**2 * covariance + s0**2 * eye)
    after = np.sum(axes * ((a1**2 * covariance + s1**2 * eye) @ axes), axis=0)
    flow = (axes * np.sqrt(after / before)) @ axes.T
    gap = (y[1:] - y[0]).T - flow
    offset = y[0] - a1 * target.mean() + flow @ (a0 * target.mean()) + gap @ (a0 * target.mean())
    return float(np.sqrt(np.trace(gap @ ((axes * before) @ axes.T) @ gap.T) + offset @ offset))


def test_of_a_deterministic_method_it_is_the_distance_to_the_exact_flow() -> None:
    tried = 0
    for name, method in catalogue.continuous.items():
        for path in (VP, VE):
            for start in ("practical", "exact") if method.multistep else ("practical",):
                tableau = method.tableau(path, grids.log_snr(path, 6), start=start)
                if tableau.deterministic:
                    expected = _flow_error(tableau, PLANE)
                    assert strong(tableau, PLANE) == pytest.approx(expected, rel=1e-9, abs=1e-12), (
                        name,
                        start,
                    )
                    tried += 1
    assert tried >= 30


def test_it_equals_the_distance_of_coupled_samples() -> None:
    # The truth is a much finer sampler on the same Brownian path: by the triangle inequality its own strong
    # error bounds what it adds. 8192 samples resolve five percent of the error.
    n, path = 8192, VE
    grid, fine_grid = grids.log_snr(path, 8), grids.log_snr(path, 1024)
    tableaux = [
        tableau
        for method in catalogue.continuous.values()
        for start in (("practical", "exact") if method.multistep else ("practical",))
        if (tableau := method.tableau(path, grid, start=start)).stochasticity == 1
        and all(channel.functional for channel in tableau.channels)
    ]
    eta: dict[str, Any] = {"eta": 0.3}
    for truth, several in (
        (catalogue["stochastic-heun"].tableau(path, fine_grid), tableaux),
        (
            catalogue["ddim-eta"].tableau(path, fine_grid, **eta),
            [catalogue["ddim-eta"].tableau(path, grid, **eta)],
        ),
    ):
        noise = shared_noise([truth, *several], n, 2, seed=11)
        start_points = PLANE.noised(*truth.start).sample(n, seed=5)
        exact = sample(truth, PLANE, n, initial=start_points, noise=noise[0])
        quantile = stats.norm.isf(FALSE_ALARM / 2 / (len(tableaux) + 1))
        for tableau, z in zip(several, noise[1:], strict=True):
            square = np.sum((sample(tableau, PLANE, n, initial=start_points, noise=z) - exact) ** 2, axis=1)
            found = np.sqrt(square.mean())
            error = quantile * square.std() / np.sqrt(n) / (2 * found)
            claimed = strong(tableau, PLANE)
            assert error < 0.05 * claimed
            assert abs(found - claimed) < error + strong(truth, PLANE), (tableau.name, found, claimed, error)


@pytest.mark.parametrize("name", ["euler-maruyama", "ddpm", "stochastic-heun"])
def test_one_noise_a_step_gives_strong_order_1(name: str) -> None:
    for path in (VP, VE):
        errors = [strong(catalogue[name].tableau(path, grids.log_snr(path, n)), LINE) for n in (512, 1024)]
        assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.01)


def test_methods_without_one_sde_or_one_brownian_path_are_refused() -> None:
    grid = grids.log_snr(VP, 4)
    with pytest.raises(ValueError, match="'edm-churn', which approximates no single SDE"):
        strong(catalogue["edm-churn"].tableau(VP, grid), LINE)
    with pytest.raises(ValueError, match="'predictor-corrector', which approximates no single SDE"):
        strong(catalogue["predictor-corrector"].tableau(VP, grid), LINE)
    with pytest.raises(ValueError, match="different paths"):
        shared_noise(
            [catalogue["ddpm"].tableau(VP, grid), catalogue["ddpm"].tableau(VE, grids.log_snr(VE, 4))], 2, 1
        )


# ---------------------------------------------------------------- shared noise


def _square_norms(functional: str, path: paths.Gaussian, grid: Array) -> Array:
    """Integral of the squared functional over each step, in closed form."""
    q = (path.sigma(grid) / path.alpha(grid)) ** 2
    values = {"time": grid, "variance": q, "reciprocal-variance": -1 / q}[functional]
    return -np.diff(values)


@pytest.mark.parametrize("together", [False, True], ids=["one functional", "all functionals in one call"])
def test_a_coarse_deviate_is_the_weighted_sum_of_the_fine_ones(together: bool) -> None:
    path = VP
    fine_grid = grids.log_snr(path, 12, start=0.9, stop=0.05)
    grid = fine_grid[::3]
    pairs = {name: [catalogue[name].tableau(path, g) for g in (grid, fine_grid)] for name in KERNEL_OF}
    everything = shared_noise([tableau for pair in pairs.values() for tableau in pair], 50, 2, seed=3)
    for index, (name, pair) in enumerate(pairs.items()):
        coarse, fine = (
            everything[2 * index : 2 * index + 2] if together else shared_noise(pair, 50, 2, seed=3)
        )
        weights = np.sqrt(_square_norms(KERNEL_OF[name], path, fine_grid)).reshape(4, 3)
        total = np.einsum("ij,ijnd->ind", weights, fine.reshape(4, 3, 50, 2))
        expected = total / np.sqrt(_square_norms(KERNEL_OF[name], path, grid))[:, None, None]
        np.testing.assert_allclose(coarse, expected, rtol=0, atol=1e-11)


def test_different_functionals_of_one_step_are_correlated_as_their_inner_product() -> None:
    n, grid = 100_000, np.array([0.9, 0.5, 0.1])
    names = list(KERNEL_OF)
    noise = shared_noise([catalogue[name].tableau(VP, grid) for name in names], n, 1, seed=8)
    bound = stats.norm.isf(FALSE_ALARM / 2 / 6) / np.sqrt(n)
    for step in range(2):
        t = np.linspace(grid[step + 1], grid[step], 200_001)
        q = (VP.sigma(t) / VP.alpha(t)) ** 2
        rate = np.gradient(q, t)
        shapes = {
            "time": np.ones_like(t),
            "variance": np.sqrt(rate),
            "reciprocal-variance": np.sqrt(rate) / q,
        }
        for i, one in enumerate(names):
            for j, two in enumerate(names[:i]):
                f, g = shapes[KERNEL_OF[one]], shapes[KERNEL_OF[two]]
                expected = np.trapezoid(f * g, t) / np.sqrt(np.trapezoid(f * f, t) * np.trapezoid(g * g, t))
                found = float(np.mean(noise[i][step, :, 0] * noise[j][step, :, 0]))
                assert abs(found - expected) < 1.5 * bound, (one, two)


def test_shared_noise_is_standard_normal_and_independent_over_channels_samples_and_dimensions() -> None:
    n = 40_000
    tableaux = [catalogue["ddpm"].tableau(VP, grids.log_snr(VP, steps)) for steps in (3, 5)]
    tableaux.append(catalogue["edm-churn"].tableau(VP, grids.log_snr(VP, 3)))
    for noise in shared_noise(tableaux, n, 2, seed=21):
        columns = np.concatenate([noise[:, :, 0], noise[:, :, 1]])
        count = len(columns)
        quantile = stats.norm.isf(FALSE_ALARM / 2 / (3 * count * count))
        correlation = columns @ columns.T / n
        np.testing.assert_allclose(correlation, np.eye(count), atol=1.5 * quantile / np.sqrt(n))
        assert np.abs(columns.mean(axis=1)).max() < quantile / np.sqrt(n)
        lagged = np.sum(columns[:, 1:] * columns[:, :-1], axis=1) / n
        assert np.abs(lagged).max() < quantile / np.sqrt(n)
        assert all(stats.kstest(column, "norm").pvalue > FALSE_ALARM / 100 for column in columns)


def test_noise_of_no_brownian_path_is_drawn_afresh_for_each_tableau() -> None:
    churn = catalogue["edm-churn"].tableau(VP, grids.log_snr(VP, 3))
    one, two = shared_noise([churn, churn], 100, 2)
    assert not np.any(one == two)
    ancestral = catalogue["ddpm"].tableau(VP, grids.log_snr(VP, 3))
    one, two = shared_noise([ancestral, ancestral], 100, 2)
    np.testing.assert_array_equal(one, two)
    # a predictor's noise is the path's, its corrector's is not
    corrected = catalogue["predictor-corrector"].tableau(VP, grids.log_snr(VP, 3))
    one, two = shared_noise([corrected, corrected], 100, 2)
    np.testing.assert_array_equal(one[::2], two[::2])
    assert not np.any(one[1::2] == two[1::2])


def test_shared_noise_does_not_depend_on_the_cut_into_ranges() -> None:
    ancestral = catalogue["ddpm"].tableau(VP, grids.log_snr(VP, 3))
    (whole,) = shared_noise([ancestral], 200, 2, seed=4)
    (part,) = shared_noise([ancestral], 70, 2, seed=4, first=130)
    np.testing.assert_array_equal(part, whole[:, 130:])


def test_a_grid_on_its_own_gets_the_addressed_deviates_of_its_steps() -> None:
    for name in KERNEL_OF:
        (noise,) = shared_noise([catalogue[name].tableau(VP, grids.log_snr(VP, 3))], 50, 2, seed=4)
        np.testing.assert_allclose(noise, [normals(4, 50, 2, step, 0) for step in range(3)], rtol=1e-14)
