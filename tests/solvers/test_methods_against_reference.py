"""Every method's tableau gives the samples of a second, independent derivation of the method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import paths, targets
from solvers import catalogue, grids, run
from tests.solvers.reference import BUTCHER
from tests.solvers.reference import SAMPLERS as FIRST
from tests.solvers.reference_multistep import MORE
from tests.solvers.reference_noisy import NOISY_AND_REVERSIBLE

Array = NDArray[np.float64]

SAMPLERS = FIRST | MORE | NOISY_AND_REVERSIBLE
N = 6
TARGETS = {name: targets.load(name) for name in ("pair-2d", "rotated-2d")}
PATHS: dict[str, Any] = {"vp": paths.VP(), "ve": paths.VE(0.02, 20), "linear": paths.Linear()}
# Target and grid. On Linear the sampler starts where alpha = 0.05: from its default, alpha = 0.001, explicit
# Runge-Kutta steps and extrapolations in time amplify rounding a thousandfold and more.
ZERO = {"append_zero": True}
PLACES: dict[str, list[tuple[str, Array]]] = {
    "vp": [
        ("rotated-2d", grids.uniform(PATHS["vp"], N)),
        ("pair-2d", grids.log_snr(PATHS["vp"], N, **ZERO)),
        ("rotated-2d", grids.karras(PATHS["vp"], N, start=0.5, stop=0.01)),
    ],
    "ve": [
        ("rotated-2d", grids.karras(PATHS["ve"], N)),
        ("pair-2d", grids.uniform(PATHS["ve"], N, start=0.6, stop=0.05)),
    ],
    "linear": [
        ("rotated-2d", grids.uniform(PATHS["linear"], N, start=0.95, **ZERO)),
        ("pair-2d", grids.shifted(PATHS["linear"], N, start=0.7, stop=0.02)),
        ("rotated-2d", grids.log_snr(PATHS["linear"], N, start=0.9, stop=0.02)),
    ],
}

ENDS: list[dict[str, Any]] = [{}, {"end": "lower"}, {"end": "as-published"}]
NOISES = [{"noise": noise} for noise in ("ode", "sde", "er-sde-2", "er-sde-3", "er-sde-4", "er-sde-5")]
WEIGHTS = [{"eta": 0.2, "weight": w} for w in ("linear", "decreasing", "increasing-decreasing")]
CLOCKS = [{"clock": clock} for clock in ("sigma", "log-snr", "time")]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "ddim-eta": [{}, {"eta": 0.0}, {"eta": 1.0}, {"eta": 0.3}],
    "ddpm": [{}, {"variance": "posterior"}, {"variance": "forward"}],
    **{name: [{}, *CLOCKS] for name in BUTCHER},
    **{
        name: [
            {},
            {"eta": 0.0},
            {"eta": 1.5},
            {"eta": 0.6, "weight": "sigma"},
            {"eta": 0.1, "weight": "constant"},
            *WEIGHTS,
        ]
        for name in ("stochastic-heun", "sit-sde-heun", "sra1", "sra3", "spark")
    },
    "euler-maruyama": [
        {},
        {"eta": 0.0},
        {"eta": 1.5},
        {"eta": 0.6, "weight": "sigma"},
        {"eta": 0.1, "weight": "constant"},
        *WEIGHTS,
        {"last": "mean"},
        {"last": "euler"},
    ],
    "edm-churn": [
        {},
        {"s_churn": 2.0, "s_noise": 1.007},
        {"gamma": 0.2},
        {"s_min": 0.3, "s_max": 2.0},
        {"s_churn": 0.0},
    ],
    "dpm-solver-2": [{}, {"r1": 0.3}],
    "dpm-solver-3": [{}, {"r1": 0.25, "r2": 0.6}],
    "dpm-solver++-2s": [{}, {"r1": 0.7}],
    "dpm-solver-fast": [
        {},
        {"order": 2},
        {"prediction": "data"},
        {"end": "full"},
        {"order": 2, "prediction": "data", "end": "full"},
    ],
    "dpm-solver++-3s": [{}, {"r1": 0.25, "r2": 0.6}],
    **dict.fromkeys(("dpm-solver++-2m", "dpm-solver++-3m", "dpm-solver++-3m-as-published"), ENDS),
    **{f"deis-tab-{q}": ENDS for q in (1, 2, 3)},
    "lambda-ddim": [{}, {"lam": 0.7}],
    "sde-dpm-solver++-2m": [
        *ENDS,
        {"variant": "midpoint"},
        {"variant": "heun"},
        {"eta": 0.0},
        {"eta": 1.4, "variant": "heun"},
    ],
    **{name: [*ENDS, {"eta": 0.0}, {"eta": 0.7}] for name in ("dpmpp-3m-sde", "dpmpp-3m-sde-as-published")},
    **{
        name: [*ENDS, *({"order": order} for order in (1, 2, 3))]
        for name in ("lms", "ipndm", "ipndm-v-as-published")
    },
    "pndm": [*ENDS, {"warm_up": "heun"}],
    "unipc": [
        *ENDS,
        *(
            {"order": order, "variant": variant}
            for order in (1, 2, 3)
            for variant in ("bh1", "bh2", "vary", "vary-as-published")
        ),
    ],
    "sa-solver": [
        *ENDS,
        {"predictor": 2, "corrector": 0},
        {"predictor": 2, "corrector": 1, "tau": 0.6},
        {"predictor": 1, "corrector": 3},
        {"predictor": 4, "corrector": 4, "tau": 0.0},
    ],
    "scheduled-adams": [
        {},
        *({"nodes": nodes, "predict": predict} for nodes in (1, 3) for predict in ("data", "noise")),
        {"nodes": (1, 2, 3, 1, 3, 2), "predict": ("data", "noise", "data", "data", "noise", "noise")},
    ],
    "er-sde-1": [{}, *NOISES],
    **{
        name: [*ENDS, *NOISES]
        for name in ("er-sde-2", "er-sde-3", "er-sde-2-as-published", "er-sde-3-as-published")
    },
    **{name: [{}, {"eta": 0.0}, {"eta": 0.5}] for name in ("dpmpp-2s-ancestral", "dpm-2-ancestral")},
    "shark": [{}, {"eta": 0.0}, {"eta": 0.7}],
    "restart": [{}, {"intervals": ((2, 1, 0.3, 1.0), (4, 3, 0.05, 0.2))}],
    "annealed-langevin": [{}, {"steps_each": 2, "ratio": 0.05}],
    "edict": [{}, {"p": 1.0}],
    "rex": [{}, {"base": "euler", "zeta": 0.999}, {"base": "rk4"}, {"zeta": 1.0}],
    "rex-rk4-as-published": [{}, {"zeta": 0.999}],
    "accelerated-ddim": ENDS,
    "bdia": [{}, {"gamma": 0.0}, {"gamma": 0.6}],
    "dpmpp-sde": [{}, {"eta": 0.0}, {"eta": 0.5}, {"r": 0.3}, {"r": 1.0}],
    "predictor-corrector": [
        {},
        {"correctors": 2, "snr": 0.1},
        {"correctors": 0},
        *(
            {"predictor": name}
            for name in (
                "euler",
                "ddpm",
                "heun",
                "dpm-solver++-2m",
                "dpm-solver++-3m",
                "sde-dpm-solver++-2m",
                "stochastic-heun",
            )
        ),
    ],
}
CASES = [
    pytest.param(name, options, id=f"{name}{options or ''}")
    for name in SAMPLERS
    for options in OPTIONS.get(name, [{}])
]


def _differences(name: str, options: dict[str, Any], path: Any, grid: Array, target: Any) -> float:
    """Largest difference of tableau and reference, relative to the largest coordinate of the sample."""
    tableau = catalogue[name].tableau(path, grid, **options)
    x = target.noised(*tableau.start).sample(9, seed=3)
    z = np.random.default_rng(7).standard_normal((len(tableau.channels), *x.shape))
    got = run(tableau, target, x, noise=z)
    expected = SAMPLERS[name](path, grid, target.denoise, x, z, **options)
    return float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))


def test_every_method_has_a_second_derivation_and_every_option_a_case() -> None:
    assert set(SAMPLERS) == set(catalogue.continuous)
    for name, method in catalogue.continuous.items():
        tried = {option for options in OPTIONS.get(name, []) for option in options}
        assert tried == set(method.options) - {"start"}, name


@pytest.mark.parametrize(("name", "options"), CASES)
def test_tableau_equals_the_papers_loop(name: str, options: dict[str, Any]) -> None:
    for label, path in PATHS.items():
        for place, (target, grid) in enumerate(PLACES[label]):
            difference = _differences(name, options, path, grid, TARGETS[target])
            assert difference < 1e-12, (label, place, difference)


@pytest.mark.parametrize("name", [name for name, method in catalogue.continuous.items() if method.multistep])
def test_a_multistep_method_takes_grids_shorter_than_its_history(name: str) -> None:
    path = PATHS["vp"]
    for steps in (1, 2, 3, 4):
        for zero in (False, True):
            grid = grids.log_snr(path, steps, start=0.6, stop=0.05, append_zero=zero)
            assert _differences(name, {}, path, grid, TARGETS["pair-2d"]) < 1e-12, (steps, zero)


FROM_ALPHA_ZERO = {
    *BUTCHER,
    "ddim-eta",
    "ddpm",
    "reverse-diffusion",
    "sde-dpm-solver++-1",
    "predictor-corrector",
    "bdia",
    "dpm-solver++-2m",
    "dpm-solver++-3m-as-published",
    "sde-dpm-solver++-2m",
}
# polynomials over an infinite first step are beyond the loop's quadrature
BEYOND_THE_LOOP = {
    "accelerated-ddim",
    "scheduled-adams",
    "dpm-solver++-3m",
    "dpmpp-3m-sde",
    "dpmpp-3m-sde-as-published",
    "lms",
    "ipndm",
    "ipndm-v-as-published",
    "unipc",
    "sa-solver",
}


def test_from_alpha_zero_a_method_equals_its_loop_or_says_where_to_start() -> None:
    path, target = PATHS["linear"], TARGETS["rotated-2d"]
    grid = grids.uniform(path, N, start=1.0)
    x = target.noised(0.0, 1.0).sample(9, seed=3)
    for name, method in catalogue.continuous.items():
        if name in FROM_ALPHA_ZERO:
            with np.errstate(divide="ignore"):
                assert _differences(name, {}, path, grid, target) < 1e-12, name
        elif name in BEYOND_THE_LOOP:
            assert np.all(np.isfinite(run(method.tableau(path, grid), target, x))), name
        else:
            with pytest.raises(ValueError, match=r"start (it|the grid) (where|at a time with) alpha > 0"):
                method.tableau(path, grid)


def test_ddpm_equals_ddim_with_eta_one_and_sde_dpm_solver_pp_1() -> None:
    path, target = PATHS["vp"], TARGETS["rotated-2d"]
    grid = grids.uniform(path, N, append_zero=True)
    x = target.noised(float(path.alpha(grid[0])), float(path.sigma(grid[0]))).sample(9, seed=3)
    z = np.random.default_rng(7).standard_normal((N + 1, *x.shape))
    ends = [
        run(catalogue[name].tableau(path, grid, **options), target, x, noise=z)
        for name, options in (("ddpm", {}), ("ddim-eta", {"eta": 1.0}), ("sde-dpm-solver++-1", {}))
    ]
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(ends[2], ends[0], rtol=1e-13, atol=1e-13)
