"""A calibrated score has mean 0, errs by so much less, and is the same model for every executor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate

from analytic import GaussianMixture, paths, targets
from solvers import Calibrated, Imperfect, ScoreError, catalogue, denoiser, density, grids, law, run, sample
from studies.laws import apart, law_of
from studies.wrong_scores import score_of

LINE, PLANE = targets.load("easy-1d"), targets.load("pair-2d")
PATH = paths.VP()
NODES = grids.log_snr(PATH, 12)
NAMES = (
    "weights(0.7, 0.3)",
    "widths(1.3)",
    "wave(0.2, of='eps', frequency=2.0, phase=0.5)",
    "kernel(40, 0.1)",
)


def _mean(f: Any, alpha: float, sigma: float) -> float:
    p = LINE.noised(alpha, sigma)
    value, _ = integrate.quad(
        lambda x: float(np.exp(p.log_density(np.array([[x]]))[0]) * f(np.array([[x]]))[0, 0]),
        -9,
        9,
        points=[-1, 0, 1],
        limit=400,
        epsabs=1e-12,
    )
    return value


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_is_quadratures_and_the_error_falls_by_its_square(name: str) -> None:
    wrong, found = score_of(name, LINE), score_of(f"calibrated({name})", LINE)
    for alpha, sigma in ((1.0, 0.3), (0.8, 0.6)):

        def score(model: Any, x: Any, alpha: float = alpha, sigma: float = sigma) -> Any:
            return (alpha * model.denoise(x, alpha, sigma) - x) / sigma**2

        eta = _mean(lambda x: score(wrong, x), alpha, sigma)
        np.testing.assert_allclose(found.eta(alpha, sigma), [eta], rtol=1e-8, atol=1e-10)
        assert abs(_mean(lambda x: score(found, x), alpha, sigma)) < 1e-10
        before, after = (
            _mean(lambda x, m=m: (score(m, x) - score(LINE, x)) ** 2, alpha, sigma) for m in (wrong, found)
        )
        assert before - after == pytest.approx(eta**2, rel=1e-6, abs=1e-10)


def test_a_constant_error_is_taken_away_whole_and_a_relative_one_not_at_all() -> None:
    tableau = catalogue["ddpm"].tableau(PATH, NODES)
    exact = density(tableau, LINE)
    cured = density(
        tableau, score_of("calibrated(constant(0.2, of='eps'))", LINE), LINE.noised(*tableau.start)
    )
    assert apart(cured, exact, ("TV",))["TV"].value < 1e-11
    relative = score_of("calibrated(relative(0.1))", LINE)
    assert all(abs(relative.eta(*level)[0]) < 1e-12 for level in ((1.0, 0.3), (0.5, 0.8)))


@pytest.mark.parametrize("method", ["heun", "euler-maruyama", "ddim"])
def test_density_is_the_law_of_what_run_draws(method: str) -> None:
    tableau = catalogue[method].tableau(PATH, NODES)
    model = score_of("calibrated(weights(0.8, 0.2))", LINE)
    found = density(tableau, model, LINE.noised(*tableau.start))
    x = run(tableau, model, LINE.noised(*tableau.start).sample(40_000, seed=3), seed=3)
    # the largest of 9 deviations of shares, beyond 5 standard errors: a false alarm of 5e-6
    for u in np.linspace(0.1, 0.9, 9):
        place = float(found.quantile(np.array([u]))[0])
        assert abs((x[:, 0] <= place).mean() - u) < 5 * np.sqrt(u * (1 - u) / 40_000)
    assert apart(found, density(tableau, LINE), ("TV",))["TV"].value > 0.05


def test_a_wrong_gaussian_has_the_mean_of_its_formula_and_samples_do_in_the_plane() -> None:
    data, wrong = GaussianMixture([1.0], [1.0], 0.25), GaussianMixture([1.0], [1.4], 0.36)
    found = Calibrated(wrong, data)
    for alpha, sigma in ((1.0, 0.5), (0.7, 0.7)):
        expected = -alpha * (1.0 - 1.4) / (alpha**2 * 0.36 + sigma**2)
        np.testing.assert_allclose(found.eta(alpha, sigma), [expected], rtol=1e-12)
    np.testing.assert_array_equal(found.eta(0.0, 1.0), [0.0])
    plane = Calibrated(Imperfect(PLANE, ScoreError(0.3, "constant")), PLANE)
    # the samples' own mean of the exact score, 5 standard errors of it at sigma = 0.5
    assert np.abs(plane.eta(1.0, 0.5) - 0.3).max() < 5 * 2 / np.sqrt(16_384)


def test_it_runs_on_any_array_and_takes_a_denoiser() -> None:
    tableau = catalogue["heun"].tableau(PATH, NODES)
    wrong = score_of("weights(0.7, 0.3)", LINE)
    asked = denoiser(lambda x, a, s: wrong.denoise(x, a, s), takes="level")
    start = LINE.noised(*tableau.start).sample(20, seed=1)
    one = run(tableau, Calibrated(wrong, LINE), start)
    np.testing.assert_allclose(run(tableau, Calibrated(asked, LINE), start), one, rtol=1e-12)
    np.testing.assert_allclose(
        run(tableau, Calibrated(wrong, LINE), torch.tensor(start)).numpy(), one, rtol=1e-12
    )
    drawn = law_of(tableau, LINE, Calibrated(asked, LINE), samples=50)
    assert drawn.shape == (50, 1)
    flat = law_of(tableau, PLANE, score_of("calibrated(weights(0.7, 0.3))", PLANE), samples=50)
    assert flat.shape == (50, 2)


def test_what_cannot_be_calibrated_is_refused() -> None:
    tableau = catalogue["heun"].tableau(PATH, NODES)
    found = score_of("calibrated(widths(1.1))", LINE)
    for call, kind, words in (
        (lambda: score_of("calibrated(exact)", LINE), ValueError, "the exact score has mean 0"),
        (lambda: Calibrated(3, LINE), TypeError, "model is 3"),
        (lambda: Calibrated(LINE, 3), TypeError, "law is 3"),  # type: ignore[arg-type]
        (lambda: sample(tableau, found, 5), TypeError, "use `run`"),
        (lambda: law(tableau, found), ValueError, "use `run`, or `density`"),
    ):
        with pytest.raises(kind, match=words):
            call()
