"""Mixtures folded into a box: two sums of one kernel, its score over the walls, and what it says is the truth."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest
import torch
from numpy.polynomial import legendre
from scipy import stats

from analytic import Folded, GaussianMixture, fold, folded

PLANE = Folded(
    GaussianMixture([0.3, 0.7], [[0.2, 1.4], [0.9, -0.3]], [[0.01, 0.02], [0.03, 0.0]])
)  # outside the box in part
LINE = Folded(GaussianMixture([0.5, 0.3, 0.2], [0.15, 0.6, 0.95], [0.01, 0.005, 0.02]))
POINTS, WEIGHTS = legendre.leggauss(200)
X, W = (POINTS + 1) / 2, WEIGHTS / 2


def test_folding_is_reflection_at_the_walls_until_within() -> None:
    x = np.random.default_rng(0).uniform(-7, 7, 1000)
    once = x.copy()
    while ((once < 0) | (once > 1)).any():
        once = np.where(once < 0, -once, once)
        once = np.where(once > 1, 2 - once, once)
    np.testing.assert_allclose(fold(x), once, atol=1e-14)


@pytest.mark.parametrize("sigma", [0.45, 0.6, 0.64, 0.8])
def test_images_and_cosines_are_one_kernel(sigma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).random((200, 2))
    found = []
    monkeypatch.setattr(folded, "COSINES", 60)
    for threshold in (0.0, np.inf):
        monkeypatch.setattr(folded, "BY_COSINES", threshold)
        found.append((PLANE.noised(1.0, sigma).log_density(x), PLANE.denoise(x, 1.0, sigma)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 0.62, 0.64, 1.5, 4.0])
def test_terms_kept_are_all_that_count(sigma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(2).random((50, 2))
    few = PLANE.noised(1.0, sigma).log_density(x), PLANE.denoise(x, 1.0, sigma)
    monkeypatch.setattr(folded, "COSINES", 40)
    monkeypatch.setattr(folded, "NEGLIGIBLE", 2000.0)
    many = PLANE.noised(1.0, sigma).log_density(x), PLANE.denoise(x, 1.0, sigma)
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-14)


def test_a_law_is_whole_and_walks_on_by_its_kernel_to_the_uniform() -> None:
    first, second = 0.1, 0.25
    p, q = (
        np.exp(LINE.noised(1.0, s).log_density(X[:, None])) for s in (first, float(np.hypot(first, second)))
    )
    assert W @ p == pytest.approx(1, abs=1e-13)
    kernel = np.array(
        [
            np.exp(Folded(GaussianMixture([1.0], [y], 0.0)).noised(1.0, second).log_density(X[:, None]))
            for y in X
        ]
    )
    np.testing.assert_allclose((W * p) @ kernel, q, rtol=1e-12)
    np.testing.assert_allclose(LINE.noised(1.0, 4.0).log_density(X[:, None]), 0.0, atol=1e-12)


def test_the_score_is_that_of_autograd_and_odd_about_walls() -> None:
    x = np.random.default_rng(3).random((40, 2))
    for sigma in (0.15, 1.1):
        at = torch.tensor(x, requires_grad=True)
        total = torch.zeros(40, dtype=torch.float64)
        for w, m, v in zip(PLANE.mixture.weights, PLANE.mixture.means, PLANE.mixture.variances, strict=True):
            part = torch.ones(40, dtype=torch.float64)
            for i in range(2):
                s2 = float(v[i]) + sigma**2
                part = part * sum(
                    torch.exp(-((at[:, i] - sign * float(m[i]) + 2 * k) ** 2) / (2 * s2))
                    / (2 * np.pi * s2) ** 0.5
                    for k in range(-12, 13)
                    for sign in (1, -1)
                )
            total = total + float(w) * part
        (slope,) = torch.autograd.grad(torch.log(total).sum(), at)
        score = (PLANE.denoise(x, 1.0, sigma) - x) / sigma**2
        np.testing.assert_allclose(score, slope.numpy(), rtol=0, atol=1e-11)
        law = PLANE.noised(1.0, sigma)
        np.testing.assert_allclose(law.score(x), score, rtol=0, atol=1e-11)
        for mirrored in (-x, 2 - x):
            np.testing.assert_allclose(law.score(mirrored), -law.score(x), rtol=0, atol=1e-12)
        np.testing.assert_allclose(law.score(x + 2), law.score(x), rtol=0, atol=1e-12)
        corners = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]])
        np.testing.assert_allclose(law.score(corners), 0.0, atol=1e-12)


def test_images_are_the_continued_law_as_a_mixture() -> None:
    x = np.random.default_rng(4).uniform(-1.5, 2.5, (100, 2))
    images = PLANE.images(14.0)
    assert images.components == 2 * (2 * 15) ** 2
    for sigma in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(
            PLANE.denoise(x, 1.0, sigma), images.denoise(x, 1.0, sigma), rtol=0, atol=1e-13
        )


def test_samples_have_the_law_and_the_prior_is_uniform() -> None:
    # two Kolmogorov-Smirnov tests with a false alarm of 1e-6 each
    law = LINE.noised(1.0, 0.2)
    fine = np.linspace(0, 1, 4001)
    density = np.exp(law.log_density(fine[:, None]))
    cdf = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2) / 4000])
    x = law.sample(20_000, seed=5)[:, 0]
    assert stats.kstest(x, lambda t: np.interp(t, fine, cdf)).pvalue > 1e-6
    assert stats.kstest(LINE.prior_sample(20_000, seed=5)[:, 0], "uniform").pvalue > 1e-6
    np.testing.assert_array_equal(PLANE.sample(7, 3), PLANE.sample(9, 3)[:7])


def test_any_array_is_answered_as_it_came() -> None:
    x = np.random.default_rng(6).uniform(-1, 2, (5, 2))
    expected = PLANE.denoise(x, 1.0, 0.3)
    np.testing.assert_allclose(np.asarray(PLANE.denoise(strict.asarray(x), 1.0, 0.3)), expected, rtol=1e-14)
    single = PLANE.denoise(torch.tensor(x, dtype=torch.float32), 1.0, 0.3)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, atol=1e-5)
    np.testing.assert_array_equal(PLANE.denoise(x, 1.0, 0.0), x)


def test_what_is_no_law_in_a_box_is_refused() -> None:
    turned = GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.5, 1.0]]])
    for call, words in (
        (lambda: Folded(turned), "mixture is .* correlated"),
        (lambda: LINE.noised(0.9, 0.1), "alpha is 0.9; a box does not shrink"),
        (lambda: LINE.denoise(X[:, None], 0.9, 0.1), "alpha is 0.9; a box does not shrink"),
        (lambda: LINE.log_density(np.array([[1.2]])), r"x holds .*1\.2.*, outside the box"),
        (lambda: PLANE.log_density(np.array([[0.2, 0.2]])), "atoms have no density"),
        (lambda: LINE.images(0.5), "reach is 0.5"),
        (lambda: LINE.denoise(np.zeros((3, 2)), 1.0, 0.1), r"x has shape \(3, 2\)"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="mixture is 3"):
        Folded(3)  # type: ignore[arg-type]
