"""Conjugate integrators: steps of any length, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from analytic import paths, targets
from solvers import catalogue, run
from tests.solvers.reference import SAMPLERS

TARGET = targets.load("rotated-2d")


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
