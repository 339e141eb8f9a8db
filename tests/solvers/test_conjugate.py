"""Conjugate integrators: their variables, steps of any length, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from analytic import paths, targets
from solvers import catalogue, grids, run
from tests.solvers.phase_space_loops import Process
from tests.solvers.reference import SAMPLERS, Node

Array = NDArray[np.float64]
TARGET, LINE = targets.load("rotated-2d"), targets.load("easy-1d")
START, END = 1.0, 0.2
X = np.array([-1.3, -0.2, 0.4, 1.1])


def solved(slope: Any, A: Any, z: Array) -> Array:
    """The first row of z at END from z at START, by SciPy on z_hat = A z."""
    result = solve_ivp(
        lambda t, flat: slope(t, flat.reshape(z.shape)).ravel(),
        (START, END),
        (A(START) @ z).ravel(),
        "DOP853",
        rtol=1e-7,
        atol=1e-7,
    )
    return np.asarray(np.linalg.solve(A(END), result.y[:, -1].reshape(z.shape))[0])


def falls(name: str, path: Any, exact: Array, noise: Any = None, **options: Any) -> float:
    """Order at which the largest distance from exact ends falls, from slopes over two halvings of equal steps."""
    gaps = []
    for N in (200, 400, 800):
        tableau = catalogue[name].tableau(path, grids.uniform(path, N, stop=END), **options)
        gaps.append(np.abs(run(tableau, LINE, X[:, None], noise=noise)[:, 0] - exact).max())
    slopes = np.log2(np.divide(gaps[:-1], gaps[1:]))
    return float(2 * slopes[1] - slopes[0])  # what is left of an order halves with the step


def test_the_flow_solved_in_the_conjugate_variable_is_what_samples_tend_to() -> None:
    path, lam = paths.VP(), -0.5

    def A(t: float) -> Array:
        return np.array([[np.exp(lam * t) / Node(path, t).a]])

    def slope(t: float, z_hat: Array) -> Array:
        node = Node(path, t)
        eps = node.eps(LINE.denoise, (z_hat / A(t))[0][:, None])[:, 0]
        return lam * z_hat + A(t) * node.g2 / (2 * node.s) * eps

    assert abs(falls("lambda-ddim", path, solved(slope, A, X[None]), lam=lam) - 1) < 0.02


@pytest.mark.slow
def test_the_flow_of_phase_space_solved_in_them_is_too() -> None:
    path, lam = paths.PSLD(), 2.0
    p = Process(path)
    score = p.score(LINE)
    B = lam * np.ones((2, 2))

    def A(t: float) -> Array:
        return np.asarray(expm((B - p.F) * t))

    def slope(t: float, z_hat: Array) -> Array:
        z = np.linalg.solve(A(t), z_hat)
        return np.asarray(A(t) @ B @ z - A(t) @ p.N @ score(z.T, t).T / 2)

    noise = np.linspace(-1, 1, len(X))
    exact = solved(slope, A, np.stack([X, np.sqrt(p.S[1, 1]) * noise]))
    found = falls(
        "phase-space-lambda-ddim", path, exact, noise[None, :, None], lam=lam, matrix="ones", begin="noise"
    )
    assert abs(found - 1) < 0.02


@pytest.mark.parametrize("lam", [-3.0, 1.0])
def test_the_noise_is_exact_in_one_step_from_the_prior_to_the_data(lam: float) -> None:
    x = np.random.default_rng(0).standard_normal((9, 2))
    for path in (paths.VP(), paths.Linear()):
        grid = np.array([path.start, 0.0])
        found = run(catalogue["lambda-ddim"].tableau(path, grid, lam=lam), TARGET, x)
        expected = SAMPLERS["lambda-ddim"](path, grid, TARGET.denoise, x, None, lam=lam)
        assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max()


def test_a_lambda_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="lam is nan: give a finite number, 0 is DDIM"):
        catalogue["lambda-ddim"].tableau(paths.VP(), [1.0, 0.5], lam=np.nan)
