"""Every method's tableau gives the samples of a second, independent derivation of the method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import paths, targets
from solvers import catalogue, grids, run
from tests.solvers import reference

Array = NDArray[np.float64]

N = 6
TARGETS = {name: targets.load(name) for name in ("pair-2d", "rotated-2d")}
PATHS = {
    "vp": paths.VP(),
    "ve": paths.VE(0.02, 20),
    "linear": paths.Linear(),
    "trigonometric": paths.Trigonometric(),
}
GRIDS: dict[str, Any] = {
    "uniform": lambda path, **o: grids.uniform(path, N, **o),
    "log-snr": lambda path, **o: grids.log_snr(path, N, **o),
    "karras": lambda path, **o: grids.karras(path, N, **o),
}
# A start where alpha is not small, so that D varies from the first step on
MIDDLE: dict[str, Any] = {"vp": (0.5, 0.01), "ve": (0.6, 0.05), "linear": (0.7, 0.02), "trigonometric": (0.6, 0.05)}

CLOCKS = [{"clock": clock} for clock in ("sigma", "log-snr", "time")]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "ddim-eta": [{}, {"eta": 0.0}, {"eta": 1.0}, {"eta": 0.3}],
    "ddpm": [{}, {"variance": "posterior"}, {"variance": "forward"}],
    **dict.fromkeys(("heun", "midpoint", "ralston", "kutta-3", "ssprk-3", "rk4"), [{}, *CLOCKS]),
    "edm-churn": [{}, {"s_churn": 2.0, "s_noise": 1.007}, {"gamma": 0.2}, {"s_min": 0.3, "s_max": 2.0}, {"s_churn": 0.0}],
    "dpm-solver-2": [{}, {"r1": 0.3}],
    "dpm-solver-3": [{}, {"r1": 0.25, "r2": 0.6}],
    "dpm-solver++-2s": [{}, {"r1": 0.7}],
    "dpm-solver++-3s": [{}, {"r1": 0.25, "r2": 0.6}],
    "sde-dpm-solver++-2m": [{}, {"variant": "midpoint"}, {"variant": "heun"}],
    "predictor-corrector": [
        {},
        {"correctors": 2, "snr": 0.1},
        {"correctors": 0},
        *({"predictor": name} for name in ("euler", "ddpm", "heun", "dpm-solver++-2m", "dpm-solver++-3m", "sde-dpm-solver++-2m", "stochastic-heun")),
    ],
}
CASES = [(name, options) for name in reference.SAMPLERS for options in OPTIONS.get(name, [{}])]


def _differences(name: str, options: Mapping[str, Any], path_name: str, grid: Array, target_name: str) -> float:
    """Largest difference of tableau and reference, relative to the largest coordinate of the sample."""
    path, target = PATHS[path_name], TARGETS[target_name]
    tableau = catalogue[name].tableau(path, grid, **options)
    generator = np.random.default_rng(7)
    x = target.noised(*tableau.start).sample(9, seed=3)
    z = generator.standard_normal((len(tableau.channels), *x.shape))
    got = run(tableau, target, x, noise=z)
    expected = reference.SAMPLERS[name](path, grid, target.denoise, x, z, **options)
    return float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))
