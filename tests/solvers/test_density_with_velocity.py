"""Densities of samplers with a velocity, against exact laws and three routes that share nothing with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analytic import paths, targets
from solvers import Tableau, catalogue, density, grids, law
from solvers.continuous.executors.density.lattice import spread
from studies.setting import Setting
from tests.solvers import test_langevin_on_a_mixture as fourier
from tests.solvers.phase_space_loops import Backward
from tests.solvers.test_phase_space import expected_of_flow

NAMES = [*catalogue.on("phase-space"), *(name for name in catalogue.on("langevin") if name != "ula")]
GAUSSIAN, EASY = targets.load("gaussian-1d"), targets.load("easy-1d")


def built(name: str, steps: int, **options: Any) -> Tableau:
    method = catalogue[name]
    setting = Setting().of(method)
    return method.tableau(setting.path, setting.nodes(steps), **options)


@pytest.mark.parametrize("name", NAMES)
def test_on_one_gaussian_the_density_is_the_exact_law(name: str) -> None:
    tableau = built(name, 12)
    f, exact = density(tableau, GAUSSIAN, estimate_error=False), law(tableau, GAUSSIAN)
    assert abs(f.mean - exact.mean[0]) < 1e-9
    assert abs(f.variance / exact.variances[0] - 1) < 1e-7


@pytest.mark.parametrize("name", sorted(fourier.PARTS))
def test_on_a_mixture_it_is_that_of_the_fourier_series(name: str) -> None:
    grid = np.linspace(fourier.TIME, 0, 4)
    tableau = catalogue[name].tableau(paths.Langevin(fourier.TIME), grid)
    f = density(tableau, fourier.MIXTURE, estimate_error=False)
    found = fourier.marginal(name, fourier.MIXTURE, 3)
    # the series on 72 x 48 points is off by 3e-6 of UBU; on 108 x 72 points the two agree to 4e-9
    assert np.abs(f.pdf(fourier.X) - found).max() < 1e-5


@pytest.mark.parametrize(
    "name",
    [
        "sscs",
        "sscs-midpoint",
        "gddim",
        "phase-space-verlet",
        pytest.param("phase-space-splitting", marks=pytest.mark.slow),
    ],
)
def test_in_phase_space_moments_are_those_of_the_backward_equation_and_of_a_lattice(name: str) -> None:
    path = paths.CLD()
    grid = grids.uniform(path, 24, stop=0.05)
    tableau = catalogue[name].tableau(path, grid)
    f = density(tableau, EASY, estimate_error=False)
    flow = {channel.functional for channel in tableau.channels} == {"initial"}
    # noise that moves v alone leaves what is carried back rougher in x
    degree = 56 if name == "phase-space-splitting" else 32
    other = expected_of_flow(tableau, path) if flow else Backward(path, EASY, degree).expected(name, grid)
    x = np.linspace(-8.0, 8.0, 4001)
    wave = float(np.sum(f.pdf(x) * np.cos(2 * x)) * (x[1] - x[0]))
    # the backward equation, in polynomials on a box, is known to 2e-5
    np.testing.assert_allclose([f.mean, f.variance + f.mean**2, wave], other, atol=3e-5)


def test_the_error_is_what_a_finer_lattice_changes_and_a_coefficient_changes_more() -> None:
    tableau = built("sscs-midpoint", 8)
    f = density(tableau, EASY)
    assert f.error < 1e-6
    block = tableau.blocks[1]
    wrong = replace(tableau, blocks=(tableau.blocks[0], replace(block, B=block.B * 1.001)))
    truth = EASY.noised(*tableau.end)
    moved = density(wrong, EASY, estimate_error=False)
    assert abs(moved.tv(truth) - f.tv(truth)) > 1e-5


def test_scattered_points_have_the_transform_of_their_sum() -> None:
    rng = np.random.default_rng(0)
    points, weights = rng.standard_normal((300, 2)), rng.random(300)
    weights /= weights.sum()
    covariance = np.array([[0.5, 0.2], [0.2, 0.4]])
    found = spread(points, weights, covariance, 1e-11, (), 400)
    places, mass = found.nodes(2.0)
    k = rng.standard_normal((40, 2))
    exact = (np.exp(1j * k @ points.T) @ weights) * np.exp(-np.einsum("ni,ij,nj->n", k, covariance, k) / 2)
    np.testing.assert_allclose(np.exp(1j * k @ places.T) @ mass, exact, atol=1e-9)


def test_steps_that_are_no_composition_are_refused() -> None:
    tableau = built("ubu", 6)
    block = tableau.blocks[1]
    G = block.G.copy()
    G[:, 0, -1] = 0.3  # what a stage sees of a noise that comes after it
    wrong = replace(tableau, blocks=(tableau.blocks[0], replace(block, G=G), *tableau.blocks[2:]))
    with pytest.raises(ValueError, match="measure it by coupled samples"):
        density(wrong, EASY)
