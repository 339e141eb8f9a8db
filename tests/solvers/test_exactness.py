"""What methods do exactly: a frozen or a linear denoiser, zero noise, and methods that are one method twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import paths, targets
from solvers import catalogue, denoiser, grids, run

Array = NDArray[np.float64]
PATH, TARGET = paths.VP(), targets.load("rotated-2d")
GRID = grids.log_snr(PATH, 8)
START = TARGET.noised(float(PATH.alpha(GRID[0])), float(PATH.sigma(GRID[0]))).sample(7, seed=2)
CONSTANT = np.array([0.7, -0.4])


def _ended(name: str, model: Any = TARGET, grid: Array = GRID, share: float = 1.0, **options: Any) -> Array:
    """Where a method takes START, with a share of one set of deviates for all methods."""
    tableau = catalogue[name].tableau(PATH, grid, **options)
    z = np.random.default_rng(4).standard_normal((4 * len(grid), *START.shape))[: len(tableau.channels)]
    return np.asarray(run(tableau, model, START, noise=share * z))


def _frozen(eta: float) -> Array:
    """Mean of the reverse SDE with noise eta for D = CONSTANT, over the whole grid."""
    alpha, sigma = (np.array([float(f(t)) for t in GRID[[0, -1]]]) for f in (PATH.alpha, PATH.sigma))
    h = float(PATH.log_snr(GRID[-1]) - PATH.log_snr(GRID[0]))
    kept = sigma[1] / sigma[0] * np.exp(-(eta**2) * h)
    return kept * START - alpha[1] * np.expm1(-(1 + eta**2) * h) * CONSTANT


# methods whose steps are not exact where D is constant, and why
INEXACT = {
    "euler-maruyama": "in time",
    "stochastic-heun": "in time",
    "sit-sde-heun": "in time",
    "sra1": "in time",
    "sra3": "in time",
    "spark": "in time",
    "reverse-diffusion": "the forward chain's own drift",
    "exponential-integrator": "freezes the score",
    "seeds-1": "freezes eps on an SDE",
    "seeds-2": "freezes eps on an SDE",
    "seeds-3": "freezes eps on an SDE",
    "edm-churn": "goes up before it goes down",
    "edict": "asks for eps at a step's start with a sample of its end",
    "restart": "goes up before it goes down",
    "predictor-corrector": "Langevin steps use the score",
    "annealed-langevin": "Langevin steps use the score",
    "ddim-eta": "splits the noise's variance, not the SDE's",
    "lambda-ddim": "has a part by Euler's method",
}


@pytest.mark.parametrize("name", [name for name in catalogue.continuous if name not in INEXACT])
def test_a_frozen_denoiser_is_exact(name: str) -> None:
    model = denoiser(lambda x, a, s: np.broadcast_to(CONSTANT, x.shape) + 0 * x, takes="level")
    if name.startswith("er-sde"):
        options, eta = {"noise": "sde"}, 1.0
    else:
        options, eta = {}, catalogue[name].tableau(PATH, GRID).stochasticity
    assert eta is not None
    np.testing.assert_allclose(_ended(name, model, share=0.0, **options), _frozen(eta), rtol=1e-9, atol=1e-9)


def test_the_exceptions_are_exceptions() -> None:
    model = denoiser(lambda x, a, s: np.broadcast_to(CONSTANT, x.shape) + 0 * x, takes="level")
    for name in INEXACT:
        eta = catalogue[name].tableau(PATH, GRID).stochasticity
        if eta is not None:
            away = np.max(np.abs(_ended(name, model, share=0.0) - _frozen(eta)))
            assert away > 1e-6, name


LINEAR_IN_LOG_SNR = [
    ("dpm-solver++-3m", {}),
    ("unipc", {"variant": "vary"}),
    ("unipc", {"variant": "bh2"}),
    ("sa-solver", {"tau": 0.0}),
    ("sa-solver", {"predictor": 2, "corrector": 0, "tau": 0.0}),
    ("sde-dpm-solver++-2m", {"variant": "heun", "eta": 0.0}),
    ("dpmpp-3m-sde", {"eta": 0.0}),
]


@pytest.mark.parametrize(("name", "options"), LINEAR_IN_LOG_SNR, ids=str)
def test_a_denoiser_linear_in_log_snr_is_exact(name: str, options: dict[str, Any]) -> None:
    # two short steps first, which an exact start walks without an error that is felt
    low, high = (float(PATH.log_snr(t)) for t in GRID[[0, -1]])
    log_snr = np.concatenate([[low, low + 0.01, low + 0.02], np.linspace(low, high, 9)[1:]])
    grid = PATH.time_of_log_snr(log_snr)
    grid[0] = GRID[0]
    slope = np.array([0.3, -0.2])
    model = denoiser(lambda x, a, s: CONSTANT + slope * np.log(a / s) + 0 * x, takes="level")
    alpha, sigma = float(PATH.alpha(grid[-1])), float(PATH.sigma(grid[-1]))
    h, end = high - low, high
    # int_0^h e^-(h - u) (low + u) du = (1 - e^-h) end - (1 - e^-h) h + ... by parts
    linear = (end - 1) - np.exp(-h) * (low - 1)
    expected = (
        sigma / float(PATH.sigma(grid[0])) * START - alpha * np.expm1(-h) * CONSTANT + alpha * linear * slope
    )
    np.testing.assert_allclose(
        _ended(name, model, grid, start="exact", **options), expected, rtol=1e-9, atol=1e-9
    )


def test_a_method_that_is_not_of_the_class_misses_it() -> None:
    low, high = (float(PATH.log_snr(t)) for t in GRID[[0, -1]])
    model = denoiser(lambda x, a, s: 0 * x + np.log(a / s), takes="level")
    alpha, sigma = float(PATH.alpha(GRID[-1])), float(PATH.sigma(GRID[-1]))
    h = high - low
    expected = sigma / float(PATH.sigma(GRID[0])) * START + alpha * ((high - 1) - np.exp(-h) * (low - 1))
    assert np.max(np.abs(_ended("dpm-solver++-2s", model) - expected)) > 1e-3


SAME = [
    # without noise an SDE's method is its ODE's
    (("ddim-eta", {"eta": 0.0}), ("euler", {})),
    (("lambda-ddim", {"lam": 0.0}), ("euler", {})),
    (("dpmpp-2s-ancestral", {"eta": 0.0}), ("dpm-solver++-2s", {})),
    (("dpmpp-sde", {"eta": 0.0}), ("dpm-solver++-2s", {})),
    (("dpmpp-3m-sde", {"eta": 0.0, "start": "exact"}), ("dpm-solver++-3m", {"start": "exact"})),
    (
        ("dpmpp-3m-sde-as-published", {"eta": 0.0, "start": "exact"}),
        ("dpm-solver++-3m-as-published", {"start": "exact"}),
    ),
    (("sde-dpm-solver++-2m", {"eta": 0.0}), ("dpm-solver++-2m", {})),
    (("er-sde-1", {"noise": "ode"}), ("euler", {})),
    (("euler-maruyama", {"eta": 0.0}), ("euler", {"clock": "time"})),
    (("stochastic-heun", {"eta": 0.0}), ("heun", {"clock": "time"})),
    (("sit-sde-heun", {"eta": 0.0}), ("heun", {"clock": "time"})),
    (("edm-churn", {"s_churn": 0.0}), ("heun", {})),
    (("restart", {"intervals": ()}), ("heun", {})),
    (("predictor-corrector", {"predictor": "heun", "correctors": 0}), ("heun", {})),
    (("bdia", {"gamma": 0.0}), ("euler", {})),
    # two methods that are one
    (("ddpm", {}), ("ddim-eta", {"eta": 1.0})),
    (("ddpm", {}), ("sde-dpm-solver++-1", {})),
    (("er-sde-1", {"noise": "sde"}), ("ddpm", {})),
    (("lms", {"order": 1}), ("euler", {})),
    (("ipndm", {"order": 1}), ("euler", {})),
    (("lms", {"order": 2}), ("ipndm-v-as-published", {"order": 2})),
    (("sa-solver", {"predictor": 1, "corrector": 0}), ("ddpm", {})),
    (("sa-solver", {"predictor": 2, "corrector": 0}), ("sde-dpm-solver++-2m", {"variant": "heun"})),
    (("sa-solver", {"tau": 0.0}), ("unipc", {"variant": "vary"})),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=lambda pair: f"{pair[0]}{pair[1] or ''}")
def test_two_methods_that_are_one_agree(
    one: tuple[str, dict[str, Any]], other: tuple[str, dict[str, Any]]
) -> None:
    np.testing.assert_allclose(_ended(one[0], **one[1]), _ended(other[0], **other[1]), rtol=1e-12, atol=1e-12)


def test_leapfrogs_are_one_on_equal_steps() -> None:
    # BDIA in x, O-BELM in x/alpha: both the leapfrog rule where alpha is 1 and steps in sigma are equal
    path = paths.EDM()
    grid = np.linspace(4.0, 1.0, 9)
    x = TARGET.noised(1.0, 4.0).sample(5, seed=1)
    ends = [run(catalogue[name].tableau(path, grid), TARGET, x) for name in ("bdia", "belm")]
    np.testing.assert_allclose(*ends, rtol=1e-12)


def _moved_and_not(name: str, shift: Array) -> tuple[Array, Array]:
    """Samples of a rotated and shifted target, and the target's own samples moved the same way."""
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    tableau = catalogue[name].tableau(PATH, GRID)
    z = np.random.default_rng(4).standard_normal((len(tableau.channels), *START.shape))

    def moved(x: Array, alpha: float, sigma: float) -> Array:
        return np.asarray(TARGET.denoise((x - alpha * shift) @ turn, alpha, sigma) @ turn.T + shift)

    begin, end = float(PATH.alpha(GRID[0])), float(PATH.alpha(GRID[-1]))
    got = run(tableau, denoiser(moved, takes="level"), START @ turn.T + begin * shift, noise=z @ turn.T)
    return got, run(tableau, TARGET, START, noise=z) @ turn.T + end * shift


@pytest.mark.parametrize("name", list(catalogue.continuous))
def test_a_rotated_target_gives_rotated_samples(name: str) -> None:
    got, expected = _moved_and_not(name, np.zeros(2))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


# exact for a frozen D, and yet at another level than its sample: its last stage has gone half the step
AT_ANOTHER_LEVEL = {"rex-rk4-as-published"}


@pytest.mark.parametrize(
    "name", [name for name in catalogue.continuous if name not in {*INEXACT, *AT_ANOTHER_LEVEL}]
)
def test_a_shifted_target_gives_shifted_samples_where_a_frozen_denoiser_is_exact(name: str) -> None:
    got, expected = _moved_and_not(name, np.array([0.5, -1.5]))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_what_moves_alpha_x_by_another_rule_or_asks_at_another_level_is_tied_to_the_origin() -> None:
    for name in ("euler-maruyama", "edict", "reverse-diffusion", "lambda-ddim", *AT_ANOTHER_LEVEL):
        got, expected = _moved_and_not(name, np.array([0.5, -1.5]))
        assert np.max(np.abs(got - expected)) > 1e-3, name
