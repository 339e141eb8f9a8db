"""Diffusion with momentum is its base's, times alpha, for samplers in sigma/alpha or log-SNR, and not for others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from analytic import paths, targets
from solvers import catalogue, grids, run

PATH, BASE = paths.FDM(), paths.EDM()
MIXTURE = targets.load("easy-1d")


def ends(name: str, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where a sampler ends on either path, over alpha, from the same x/alpha and noise."""
    rng = np.random.default_rng(3)
    grid = grids.karras(BASE, 12)
    np.testing.assert_allclose(grids.karras(PATH, 12), grid, rtol=1e-12)
    x, found = 80 * rng.standard_normal((6, 1)), []
    noise = rng.standard_normal((64, 6, 1))
    for path in (BASE, PATH):
        tableau = catalogue[name].tableau(path, grid, **options)
        drawn = noise[: len(tableau.channels)] if tableau.channels else None
        end = run(tableau, MIXTURE, float(path.alpha(grid[0])) * x, noise=drawn)
        found.append(end / float(path.alpha(grid[-1])))
    return found[0], found[1]


@pytest.mark.parametrize(
    "name",
    ["heun", "edm-churn", "dpm-solver++-3s", "dpm-solver++-2m", "unipc", "ddpm", "sde-dpm-solver++-2m"],
)
def test_published_samplers_draw_what_they_draw_on_edm(name: str) -> None:
    there, here = ends(name)
    np.testing.assert_allclose(here, there, rtol=1e-9, atol=1e-10)


def test_steps_in_time_are_others() -> None:
    there, here = ends("euler-maruyama")
    assert np.abs(here - there).max() > 1e-4  # far beyond the rounding above


def test_alpha_solves_the_equation_of_critical_damping() -> None:
    """y'' + 2 y' + y = 0 in B, at rest at first."""
    B = np.linspace(0.0, 10.05, 5)
    flow = solve_ivp(
        lambda _, y: [y[1], -2 * y[1] - y[0]], (0.0, B[-1]), [1.0, 0.0], t_eval=B, rtol=1e-11, atol=1e-14
    )
    u = (-0.1 + np.sqrt(0.01 + 2 * 19.9 * B)) / 19.9
    t = PATH.sigma_min + (PATH.sigma_max - PATH.sigma_min) * u
    np.testing.assert_allclose(PATH.alpha(t), flow.y[0], rtol=1e-7)
