"""The density executor against exact Gaussian laws, dense-grid quadrature and root finding."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from analytic import paths
from analytic.distances import gaussian_kl, gaussian_tv, gaussian_w2
from analytic.mixtures.gaussian_mixture import GaussianMixture
from solvers import catalogue, density, grids, law
from solvers.continuous.executors.density import DensityLaw
from solvers.continuous.executors.density.panels import WEIGHTS
from tests.shapes import PARASITIC

Array = NDArray[np.float64]

GAUSSIAN = GaussianMixture([1.0], [1.0], [0.25])
EASY = GaussianMixture([0.4, 0.6], [-1.0, 1.2], [0.25, 0.36])
NARROW = GaussianMixture([0.3, 0.7], [-1.2, 1.3], [0.01, 0.04])
WIDE_AND_NARROW = GaussianMixture([0.5, 0.5], [0.0, 0.3], [4.0, 0.0025])
FAR = GaussianMixture([0.25, 0.75], [-8.0, 6.0], [0.09, 0.25])
MIXTURES = {"easy": EASY, "narrow": NARROW, "wide and narrow": WIDE_AND_NARROW, "far apart": FAR}
VE = paths.VE(0.02, 20.0)
# One of each kind of noise, and the deterministic methods with the most stages and registers.
KINDS = ["euler", "heun", "dpm-solver-3", "dpm-solver++-3m", "ddpm", "edm-churn", "predictor-corrector"]
# Tested on their own, where a joint density of two iterates is computed.
TWO_VARIABLES = ["sde-dpm-solver++-2m", "er-sde-2", "er-sde-2-as-published"]
# Noisy methods that remember two evaluations, keep one made after their noise, or see two noises in two ways each.
REFUSED = [
    "dpmpp-3m-sde",
    "dpmpp-3m-sde-as-published",
    "er-sde-3",
    "er-sde-3-as-published",
    "sa-solver",
    "seeds-3",
    "shark",
    "spark",
    "sra1",
    "sra3",
]
NOISE_SEEN_TWICE = ["stochastic-heun", "dpmpp-sde", "seeds-2"]


def karras(
    name: str, steps: int, target: GaussianMixture, path: paths.Gaussian = VE, **options: object
) -> DensityLaw:
    return density(catalogue[name].tableau(path, grids.karras(path, steps)), target, **options)  # type: ignore[arg-type]


def supported() -> list[str]:
    return [name for name in catalogue.continuous if name not in (*TWO_VARIABLES, *REFUSED)]


@pytest.mark.parametrize("name", REFUSED)
def test_a_density_of_three_variables_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(ValueError, match="measure it by coupled samples"):
        density(catalogue[name].tableau(VE, grids.karras(VE, 8)), GAUSSIAN)


PLACES = [(VE, 9, False), (paths.VP(), 24, False), (paths.VP(), 7, True)]
CASES = [
    pytest.param(name, *place, marks=() if name in KINDS or place is PLACES[0] else pytest.mark.slow)
    for place in PLACES
    for name in supported()
]


@pytest.mark.parametrize(("name", "path", "steps", "zero"), CASES)
def test_on_one_gaussian_the_density_is_the_exact_law(
    name: str, path: paths.Gaussian, steps: int, zero: bool
) -> None:
    # A step that sees its noise in two ways is computed where the step is short.
    steps = 64 if name in NOISE_SEEN_TWICE else steps
    tableau = catalogue[name].tableau(path, grids.log_snr(path, steps, append_zero=zero))
    f, exact = density(tableau, GAUSSIAN), law(tableau, GAUSSIAN)
    truth = GAUSSIAN.noised(*tableau.end)
    scale = float(np.sqrt(exact.variances[0]))
    tolerance = 1e-8 if name in PARASITIC else 1e-11
    assert abs(f.mean - exact.mean[0]) < tolerance * (1 + scale)
    assert abs(f.variance / exact.variances[0] - 1) < tolerance
    assert abs(f.w2(truth) - exact.error_to(truth).w2) < tolerance * (1 + scale)
    assert f.error < 1e-11


@pytest.mark.parametrize("steps", [8, 64])
def test_distances_on_one_gaussian_are_their_closed_forms(steps: int) -> None:
    tableau = catalogue["ddpm"].tableau(VE, grids.karras(VE, steps))
    f, exact, truth = density(tableau, GAUSSIAN), law(tableau, GAUSSIAN), GAUSSIAN.noised(*tableau.end)
    a = (exact.mean[0], exact.variances[0])
    b = (truth.means[0, 0], truth.variances[0, 0])
    assert f.tv(truth) == pytest.approx(gaussian_tv(*a, *b), rel=1e-11)
    assert f.kl(truth) == pytest.approx(gaussian_kl([a[0]], [a[1]], [b[0]], [b[1]]), rel=1e-9)
    assert f.w2(truth) == pytest.approx(gaussian_w2([a[0]], [a[1]], [b[0]], [b[1]]), rel=1e-11)


def grid_levels(steps: int) -> Array:
    return np.asarray(VE.sigma(grids.karras(VE, steps)))


def denoise(target: GaussianMixture, x: Array, sigma: float) -> Array:
    return np.asarray(target.denoise(np.atleast_1d(x)[:, None], 1.0, sigma))[:, 0]


def test_noise_seen_twice_agrees_with_quadrature_over_the_noise() -> None:
    path = paths.VE(1.0, 2.0)
    sigma = np.array([2.0, 1.4, 1.0])
    times = sigma_times(path, sigma)
    f = density(catalogue["stochastic-heun"].tableau(path, times), EASY)
    z, w = np.polynomial.hermite_e.hermegauss(48)
    w = w / w.sum()
    x, mass = np.polynomial.legendre.leggauss(300)
    x, mass = 18 * x, 18 * mass * np.exp(EASY.noised(1.0, 2.0).log_density(18 * x[:, None]))
    # Moments through the steps written out, by product rules over the start and three noises.
    for now, then, t, s in zip(sigma[:-1], sigma[1:], times[:-1], times[1:], strict=True):
        h, g, g_then = t - s, np.sqrt(path.g2(t)), np.sqrt(path.g2(s))
        first = g**2 * (denoise(EASY, x, now) - x) / now**2
        x_all = np.add.outer(x + h * first, g * np.sqrt(h) * z)
        second = g_then**2 * (denoise(EASY, x_all.ravel(), then).reshape(x_all.shape) - x_all) / then**2
        x = (x[:, None] + h / 2 * (first[:, None] + second) + (g + g_then) / 2 * np.sqrt(h) * z).ravel()
        mass = (mass[:, None] * w).ravel()
        keep = mass > 1e-18
        x, mass = x[keep], mass[keep]
    mean = np.sum(mass * x)
    assert f.mean == pytest.approx(mean, rel=1e-9)
    assert f.variance == pytest.approx(np.sum(mass * (x - mean) ** 2), rel=1e-9)
    cosine = np.sum(
        (f.curve.right - f.curve.left) / 2 * ((f.curve.density * np.cos(2 * f.curve.place)) @ WEIGHTS)
    )
    assert cosine == pytest.approx(np.sum(mass * np.cos(2 * x)), rel=1e-8)


def normal(u: Array, deviation: float) -> Array:
    return np.exp(-((u / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))


@pytest.mark.parametrize("target", [EASY, NARROW], ids=["easy", "narrow"])
def test_ddpm_agrees_with_quadrature_of_its_transition_kernel(target: GaussianMixture) -> None:
    sigma = grid_levels(4)
    x = np.linspace(-9.5 * 20, 9.5 * 20, 12001)
    f = np.exp(target.noised(1.0, sigma[0]).log_density(x[:, None]))
    for now, then in itertools.pairwise(sigma):
        kept = (then / now) ** 2
        place, deviation = kept * x + (1 - kept) * denoise(target, x, now), then * np.sqrt(1 - kept)
        # The trapezoidal rule on a kernel narrower than its grid would see nothing: the grid follows the kernel.
        y = (
            np.linspace(place.min() - 9 * deviation, place.max() + 9 * deviation, 6001)
            if then > sigma[-1]
            else (np.linspace(-2.5, 2.5, 41))
        )
        mass = f * (x[1] - x[0])
        f = np.array([np.sum(mass * normal(v - place, deviation)) for v in y])
        x = y
    result = karras("ddpm", 4, target)
    assert np.abs(result.pdf(x) - f).max() < 1e-9 * f.max()


def heun_map(target: GaussianMixture, x: Array, now: float, then: float) -> Array:
    slope = (x - denoise(target, x, now)) / now
    predicted = x + (then - now) * slope
    return x + (then - now) / 2 * (slope + (predicted - denoise(target, predicted, then)) / then)


def test_noise_before_the_map_agrees_with_quadrature_and_root_finding() -> None:
    gamma = 0.4
    path = paths.VE(0.5, 5.0)
    sigma = np.array([5.0, 1.5, 0.5])
    f = density(catalogue["edm-churn"].tableau(path, sigma_times(path, sigma), gamma=gamma), EASY)
    x = np.linspace(-60, 60, 8001)
    p = np.exp(EASY.noised(1.0, 5.0 * (1 + gamma)).log_density(x[:, None]))
    image = heun_map(EASY, x, 5.0 * (1 + gamma), 1.5)
    spread = 1.5 * np.sqrt((1 + gamma) ** 2 - 1)
    for y in (-2.0, -0.3, 0.4, 1.9):
        x_hat = brentq(
            lambda u, y=y: heun_map(EASY, np.array([u]), 1.5 * (1 + gamma), 0.5)[0] - y, -30, 30, xtol=1e-14
        )
        h = 1e-4
        points = np.array([x_hat - 2 * h, x_hat - h, x_hat + h, x_hat + 2 * h])
        values = heun_map(EASY, points, 1.5 * (1 + gamma), 0.5)
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
        exact = np.sum(p * normal(x_hat - image, spread)) * (x[1] - x[0]) / slope
        assert f.pdf(y) == pytest.approx(exact, rel=1e-9)


def sigma_times(path: paths.Gaussian, sigma: Array) -> Array:
    times = np.asarray(path.time_of_log_snr(-np.log(sigma)))
    return np.asarray(grids.explicit(path, times))


def two_step_map(target: GaussianMixture, x: Array, sigma: Array) -> Array:
    """DPM-Solver++(2M) on the path alpha = 1, written out."""
    previous, h_before = None, 0.0
    for now, then in itertools.pairwise(sigma):
        D, h = denoise(target, x, now), np.log(now / then)
        used = D if previous is None else D + (D - previous) * h / (2 * h_before)
        x = then / now * x + (1 - np.exp(-h)) * used
        previous, h_before = D, h
    return x


@functools.cache
def folded() -> tuple[DensityLaw, Array]:
    """A coarse two-step method whose map folds, and the places where its map turns."""
    return karras("dpm-solver++-2m", 4, NARROW), grid_levels(4)


def reference_cdf(y: float, sigma: Array) -> float:
    """P(map(x) <= y) by all roots of map(x) = y, the probabilities between them from the start's own cdf."""
    start = NARROW.noised(1.0, sigma[0])
    x = np.linspace(-200, 200, 40001)
    above = two_step_map(NARROW, x, sigma) > y
    turns = np.flatnonzero(above[1:] != above[:-1])
    roots = [
        brentq(lambda u: two_step_map(NARROW, np.array([u]), sigma)[0] - y, x[i], x[i + 1], xtol=1e-14)
        for i in turns
    ]
    edges = start.cdf(np.array([-np.inf, *roots, np.inf]))
    below = [not above[0]]
    for _ in turns:
        below.append(not below[-1])
    return float(np.diff(edges) @ np.array(below, dtype=float))


def test_where_the_map_folds_the_distribution_function_is_right() -> None:
    f, sigma = folded()
    x = np.linspace(-60, 60, 4001)
    assert np.any(np.diff(two_step_map(NARROW, x, sigma)) < 0), "this case must fold"
    for y in (-2.3, -1.2, -0.4, 0.3, 1.1, 1.6):
        assert float(f.cdf(y)) == pytest.approx(reference_cdf(y, sigma), abs=1e-10)


def test_where_the_map_folds_total_variation_is_right() -> None:
    f, sigma = folded()
    truth = NARROW.noised(1.0, sigma[-1])
    intervals = f.witness(truth)
    gained = sum(
        reference_cdf(b, sigma) - reference_cdf(a, sigma) - (truth.cdf(b) - truth.cdf(a))
        for a, b in intervals.tolist()
    )
    assert f.tv(truth) == pytest.approx(float(gained), abs=1e-8)
    assert f.error < 1e-8


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("label", list(MIXTURES))
def test_the_error_estimate_is_small_everywhere(name: str, label: str) -> None:
    for path in (VE, paths.VP(), paths.Linear()):
        tableau = catalogue[name].tableau(path, grids.log_snr(path, 16))
        assert density(tableau, MIXTURES[label]).error < (1e-9 if label == "easy" else 1e-6)


def test_the_widest_range_of_levels_and_the_fewest_and_most_steps() -> None:
    path = paths.VE(0.01, 100.0)
    for name, steps in (("ddpm", 1), ("euler", 1), ("heun", 1024), ("ddpm", 600)):
        assert karras(name, steps, EASY, path).error < 1e-9


@pytest.mark.parametrize(
    ("name", "target", "order"),
    [
        ("ddpm", EASY, 1.0),
        ("ddpm", NARROW, 1.0),
        ("heun", EASY, 2.0),
        ("dpm-solver++-2m", EASY, 2.0),
        ("dpm-solver-3", EASY, 3.0),
    ],
)
def test_total_variation_falls_with_the_methods_order(
    name: str, target: GaussianMixture, order: float
) -> None:
    truth = target.noised(1.0, 0.02)
    coarse, fine = (karras(name, steps, target, estimate_error=False).tv(truth) for steps in (512, 1024))
    assert np.log2(coarse / fine) == pytest.approx(order, abs=0.01)


def test_the_witness_set_has_the_probability_that_total_variation_says() -> None:
    f, truth = karras("ddpm", 16, NARROW), NARROW.noised(1.0, 0.02)
    a, b = f.witness(truth).T
    gained = np.sum(f.cdf(b) - f.cdf(a)) - np.sum(truth.cdf(b) - truth.cdf(a))
    assert gained == pytest.approx(f.tv(truth), abs=1e-12)


def test_pdf_cdf_and_survival_belong_together() -> None:
    for name in ("euler", "ddpm"):
        f = karras(name, 12, EASY)
        x = np.linspace(-3, 3, 13)
        h = 1e-3
        slope = (f.cdf(x - 2 * h) - 8 * f.cdf(x - h) + 8 * f.cdf(x + h) - f.cdf(x + 2 * h)) / (12 * h)
        np.testing.assert_allclose(f.pdf(x), slope, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(f.cdf(x) + f.survival(x), 1.0, rtol=1e-12)
        assert f.pdf(np.array([-1e9, 1e9])).tolist() == [0.0, 0.0]
        assert f.cdf(1e9) == pytest.approx(1.0, abs=1e-12)


def test_the_quantile_inverts_the_distribution_function() -> None:
    f = karras("ddpm", 32, EASY)
    u = np.concatenate([np.logspace(-9, -1, 9), [0.3, 0.5, 0.77], 1 - np.logspace(-1, -6, 6)])
    x = f.quantile(u)
    np.testing.assert_allclose(np.minimum(f.cdf(x), f.survival(x)), np.minimum(u, 1 - u), rtol=1e-9)
    with pytest.raises(ValueError, match="outside"):
        f.quantile([0.0, 0.5])


def test_a_start_from_the_prior_or_a_given_law_is_used() -> None:
    tableau = catalogue["euler"].tableau(VE, grids.karras(VE, 8))
    prior, given = (
        density(tableau, EASY, "prior"),
        density(tableau, EASY, GaussianMixture([1.0], [0.0], [400.0])),
    )
    assert prior.mean == pytest.approx(given.mean, rel=1e-12)
    assert abs(prior.mean - density(tableau, EASY).mean) > 1e-3


def test_bad_arguments_are_named() -> None:
    tableau = catalogue["euler"].tableau(VE, grids.karras(VE, 8))
    plane = GaussianMixture([1.0], [[0.0, 0.0]], [1.0])
    with pytest.raises(ValueError, match="target has dim = 2"):
        density(tableau, plane)
    with pytest.raises(ValueError, match="initial is 'noise'"):
        density(tableau, EASY, "noise")
    with pytest.raises(ValueError, match="variance 0"):
        density(tableau, EASY, GaussianMixture([1.0], [0.0], [0.0]))
    with pytest.raises(ValueError, match=r"resolution is 0\.1"):
        density(tableau, EASY, resolution=0.1)
    with pytest.raises(ValueError, match="truth has a component of variance 0"):
        density(tableau, EASY).tv(GaussianMixture([1.0], [0.0], [0.0]))


@pytest.mark.slow
def test_a_map_too_rough_to_resolve_is_refused_in_the_end() -> None:
    path = paths.VP()
    # its copies, never mixed, swing apart until rounding is all there is
    tableau = catalogue["edict"].tableau(path, grids.log_snr(path, 8), p=1.0)
    with pytest.raises(FloatingPointError, match=r"rough on every scale.*stop earlier, or use grids.log_snr"):
        density(tableau, GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3]), estimate_error=False)
