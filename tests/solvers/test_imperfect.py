"""Models that err by a known amount: every executor carries the same error, and the laws are the right ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from analytic import GaussianMixture, paths
from solvers import Imperfect, ScoreError, catalogue, density, grids, law, run, sample, strong
from solvers.continuous.imperfect import field

EASY = GaussianMixture([0.4, 0.6], [-1.0, 1.2], [0.25, 0.36])
NORMAL = GaussianMixture([1.0], [[1.0]], 0.25)
ERRORS = [
    ScoreError(0.1),
    ScoreError(-0.2, "constant", "eps"),
    ScoreError(0.05, "constant", "x0"),
    ScoreError(0.1, "relative"),
    ScoreError(0.1, "relative", "x0"),
    ScoreError(0.1, "wave", "eps", frequency=2.0, phase=0.3),
    ScoreError(0.2, "bump", "eps", centre=0.5, width=0.4),
    ScoreError(0.3, "constant", "eps", window=(-1.0, 1.0)),
]
PATH = paths.VE(0.05, 10.0)


def tableau(name: str, steps: int = 24, path: Any = PATH, **options: Any) -> Any:
    return catalogue[name].tableau(path, grids.log_snr(path, steps), **options)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e.shape}-{e.of}")
def test_the_error_is_what_it_says_in_each_prediction(error: ScoreError) -> None:
    alpha, sigma = 0.8, 0.6
    x = np.linspace(-3, 3, 13)[:, None]
    z = x / np.hypot(alpha, sigma)
    D, wrong = EASY.denoise(x, alpha, sigma), Imperfect(EASY, error).denoise(x, alpha, sigma)
    predictions = {
        "x0": lambda D: D,
        "eps": lambda D: (x - alpha * D) / sigma,
        "score": lambda D: (alpha * D - x) / sigma**2,
    }
    right, found = (predictions[error.of](d) for d in (D, wrong))
    expected = {
        "constant": error.size + 0 * x,
        "relative": error.size * right,
        "wave": error.size * np.sin(error.frequency * z + error.phase),
        "bump": error.size * np.exp(-(((z - error.centre) / error.width) ** 2) / 2),
    }[error.shape]
    np.testing.assert_allclose(found - right, expected, atol=1e-12)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e.shape}-{e.of}")
@pytest.mark.parametrize("name", ["heun", "ddpm", "sde-dpm-solver++-2m", "predictor-corrector"])
def test_sample_and_run_carry_the_same_error(name: str, error: ScoreError) -> None:
    target = Imperfect(EASY, [error, ScoreError(0.02, "relative")])
    t = tableau(name, 12)
    x = sample(t, target, 50, seed=3)
    np.testing.assert_allclose(x, run(t, target, "marginal", seed=3, n=50), atol=1e-11)
    assert np.abs(x - sample(t, EASY, 50, seed=3)).max() > 1e-4


@pytest.mark.parametrize("error", [e for e in ERRORS if e.affine], ids=lambda e: f"{e.shape}-{e.of}")
@pytest.mark.parametrize("name", ["heun", "ddpm"])
def test_density_and_law_agree_on_a_gaussian(name: str, error: ScoreError) -> None:
    target = Imperfect(NORMAL, error)
    exact, pushed = law(tableau(name), target), density(tableau(name), target)
    assert pushed.mean == pytest.approx(exact.mean[0], abs=1e-10)
    assert pushed.variance == pytest.approx(exact.covariance[0, 0], abs=1e-10)
    assert (
        abs(exact.mean[0] - law(tableau(name), NORMAL).mean[0])
        + abs(exact.covariance[0, 0] - law(tableau(name), NORMAL).covariance[0, 0])
        > 1e-4
    )


@pytest.mark.parametrize("error", ERRORS[5:], ids=lambda e: f"{e.shape}-{e.of}")
def test_density_of_a_deterministic_method_is_its_map_pushed_through(error: ScoreError) -> None:
    target, t = Imperfect(EASY, error), tableau("heun")
    pushed = density(t, target)
    start = EASY.noised(*t.start)
    for u in (0.05, 0.3, 0.5, 0.8, 0.99):
        x = run(t, target, start.quantile(np.array([[u]])))
        assert float(pushed.cdf(x)[0, 0]) == pytest.approx(u, abs=1e-9)
        rise = float((pushed.cdf(x + 1e-5) - pushed.cdf(x - 1e-5))[0, 0]) / 2e-5
        assert float(pushed.pdf(x)[0, 0]) == pytest.approx(rise, rel=1e-6)


@pytest.mark.parametrize("error", ERRORS[4:], ids=lambda e: f"{e.shape}-{e.of}")
def test_density_of_a_noisy_method_is_one_step_by_quadrature(error: ScoreError) -> None:
    path = paths.VE(0.4, 1.0)
    t = catalogue["ddpm"].tableau(path, grids.log_snr(path, 1))
    target, pushed = Imperfect(EASY, error), density(t, Imperfect(EASY, error))
    start = EASY.noised(1.0, 1.0)
    ratio = 0.4**2

    def joint(x: float, y: float) -> float:
        D = float(target.denoise(np.array([[x]]), 1.0, 1.0)[0, 0])
        mean = ratio * x + (1 - ratio) * D
        return float(
            np.exp(start.log_density(np.array([[x]])))[0] * stats.norm.pdf(y, mean, 0.4 * np.sqrt(1 - ratio))
        )

    for y in (-1.0, 0.2, 1.4):
        expected = integrate.quad(lambda x, y=y: joint(x, y), -8, 8, epsabs=1e-12, limit=200)[0]
        assert float(pushed.pdf(y)) == pytest.approx(expected, abs=1e-9)


def test_a_constant_error_is_along_the_vector_of_ones_in_any_basis() -> None:
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    covariance = turn @ np.diag([1.5, 0.2]) @ turn.T
    gaussian = GaussianMixture([1.0], [[0.5, -1.0]], covariance[None])
    target = Imperfect(gaussian, ScoreError(0.3, "constant", "eps"))
    t = tableau("heun")
    exact = law(t, target)
    n = 4
    x = np.random.default_rng(0).standard_normal((n, 2))
    ends = run(t, target, x)
    # the sampler is affine: its map of the start's mean is the law's mean
    start = gaussian.noised(*t.start).mean()
    design = np.column_stack([x, np.ones(n)])
    slope = np.linalg.lstsq(design, ends, rcond=None)[0]
    np.testing.assert_allclose(np.append(start, 1.0) @ slope, exact.mean, atol=1e-9)
    assert strong(t, target) > strong(t, gaussian)


def test_strong_error_of_a_deterministic_method_is_the_root_mean_square_of_its_map() -> None:
    target, t = Imperfect(NORMAL, ScoreError(0.1, "constant", "eps")), tableau("heun", 200)
    exact = catalogue["rk4"].tableau(PATH, grids.log_snr(PATH, 400))
    x = NORMAL.noised(*t.start).sample(2000, seed=1)
    difference = run(t, target, x) - run(exact, NORMAL, x)
    assert strong(t, target) == pytest.approx(np.sqrt(np.mean(difference**2)), rel=0.02)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_fields_slope_is_its_derivative(kind: int) -> None:
    term = np.array([kind, 0.7, 1.3, 0.4])
    for x in (-1.0, 0.1, 2.0):
        slope = (field(term, x + 1e-6)[0] - field(term, x - 1e-6)[0]) / 2e-6
        assert field(term, x)[1] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": np.nan}, "size is nan"),
        ({"size": 1.0, "shape": "sine"}, "shape is 'sine'"),
        ({"size": 1.0, "of": "v"}, "of is 'v'"),
        ({"size": 1.0, "width": 0.0}, "width is 0.0"),
        ({"size": 1.0, "window": (1.0, -1.0)}, "window is"),
    ],
)
def test_bad_errors_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ScoreError(**arguments)


def test_law_refuses_a_field_and_a_start_without_signal_is_named() -> None:
    with pytest.raises(ValueError, match="no law stays Gaussian"):
        law(tableau("heun"), Imperfect(NORMAL, ScoreError(0.1, "wave")))
    with pytest.raises(TypeError, match="errors has"):
        Imperfect(NORMAL, "wave")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alpha = 0"):
        ScoreError(0.1).terms(0.0, 1.0, np.array([1.0, 0.0]))
