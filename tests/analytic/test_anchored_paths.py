"""Bridges and mean-reverting diffusions against conditioning, their moments' equations, differences and quadrature."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.differentiate import derivative
from scipy.integrate import quad, solve_ivp

from analytic import GaussianMixture, paths, targets

BASES: dict[str, Any] = {
    "vp": paths.VP(0.1, 2.1),
    "steep": paths.VP(),
    "sub-vp": paths.SubVP(),
    "ve": paths.VE(0.02, 20.0),
    "edm": paths.EDM(0.002, 10.0),
    "cosine": paths.CosineVP(),
    "own": paths.Gaussian(lambda t: 1 / (1 + t), lambda t: t / (1 + t), start=3.0),
}
REVERTING: dict[str, Any] = {
    "default": paths.MeanReverting(),
    "published": paths.MeanReverting(paths.VP(0.1, 20.0), deviation=50 / 255, spread=0.3),
    "cosine": paths.MeanReverting(paths.CosineVP(), 2.0, 0.7),
}
ANCHORED: dict[str, Any] = {name: paths.Bridge(base, 1.3) for name, base in BASES.items()} | REVERTING
MIXTURE = targets.load("easy-1d")


def inside(path: Any, count: int = 7) -> np.ndarray:
    return path.stop + (path.start - path.stop) * np.linspace(0.02, 0.98, count)


@pytest.mark.parametrize("name", BASES)
def test_a_bridge_is_the_diffusion_given_its_end(name: str) -> None:
    base = BASES[name]
    path = paths.Bridge(base)
    t, T = inside(path), path.start
    alpha, sigma, alpha_T, sigma_T = base.alpha(t), base.sigma(t), base.alpha(T), base.sigma(T)
    # x_T = (alpha_T/alpha_t) x_t + fresh noise: given x_0 both are Gaussian, with this covariance
    shared = alpha_T / alpha * sigma**2
    a = shared / sigma_T**2
    np.testing.assert_allclose(path.anchor(t), a, rtol=1e-12)
    np.testing.assert_allclose(path.plain.alpha(t), alpha - a * alpha_T, rtol=1e-9)
    np.testing.assert_allclose(path.plain.sigma(t) ** 2, sigma**2 - shared**2 / sigma_T**2, rtol=1e-9)
    # in terms of SNRs, as a plain path
    snr, snr_T = np.exp(2 * base.log_snr(t)), np.exp(2 * base.log_snr(T))
    np.testing.assert_allclose(np.exp(2 * path.plain.log_snr(t)), snr - snr_T, rtol=1e-9)
    np.testing.assert_allclose(path.plain.g2(t), base.g2(t), rtol=1e-13)


@pytest.mark.parametrize("name", ANCHORED)
def test_slopes_and_inverses_are_those_of_the_functions(name: str) -> None:
    path = ANCHORED[name]
    t = inside(path)
    step = np.minimum(t - 0.0, path.start - t) / 4
    for where in (path, path.plain):
        for what in ("alpha", "sigma", "log_snr"):
            found = derivative(getattr(where, what), t, initial_step=step)
            np.testing.assert_allclose(
                getattr(where, f"d_{what}")(t), found.df, rtol=1e-7, atol=1e-9, err_msg=what
            )
        np.testing.assert_allclose(
            where.log_snr(t), np.log(where.alpha(t) / where.sigma(t)), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(where.time_of_log_snr(where.log_snr(t)), t, rtol=1e-10)
        square = where.g2(t) / where.sigma(t) ** 2
        np.testing.assert_allclose(square, -2 * where.d_log_snr(t), rtol=1e-9)
        np.testing.assert_allclose(where.f(t), where.d_alpha(t) / where.alpha(t), rtol=1e-12)
    slope = derivative(path.anchor, t, initial_step=step).df
    np.testing.assert_allclose(path.d_anchor(t), slope, rtol=1e-7, atol=1e-9)
    spread = np.sqrt(path.plain.sigma(t) ** 2 + (path.spread * path.anchor(t)) ** 2)
    np.testing.assert_allclose(path.sigma(t), spread, rtol=1e-14)
    np.testing.assert_allclose(path.alpha(t), path.plain.alpha(t), rtol=0)


def test_at_its_end_a_bridge_is_its_endpoint_and_at_the_data_it_is_the_data() -> None:
    for name in ("vp", "edm"):
        path = paths.Bridge(BASES[name], 1.3)
        T, base = path.start, BASES[name]
        assert (path.anchor(T), path.alpha(T), path.sigma(T), path.prior_deviation(T)) == (1.0, 0.0, 1.3, 1.3)
        assert (path.plain.alpha(T), path.plain.sigma(T), path.plain.log_snr(T)) == (0.0, 0.0, -np.inf)
        assert (path.anchor(0.0), path.alpha(0.0), path.sigma(0.0)) == (0.0, 1.0, 0.0)
        # slopes at T: of the mean, and of c^2, which is -g^2
        g2, ratio = base.g2(T), base.g2(T) / base.sigma(T) ** 2
        np.testing.assert_allclose(path.d_anchor(T), base.f(T) + ratio, rtol=1e-13)
        np.testing.assert_allclose(path.d_alpha(T), -base.alpha(T) * ratio, rtol=1e-13)
        np.testing.assert_allclose(2 * path.plain._half_d_variance(np.array([T])), -g2, rtol=1e-13)
        assert abs(path.time_of_log_snr(-np.inf) - T) < 1e-14 * T


@pytest.mark.parametrize("name", REVERTING)
def test_moments_of_a_mean_reverting_diffusion_solve_their_equations(name: str) -> None:
    path = REVERTING[name]
    x0, mu = 0.7, -1.9

    def slope(t: float, state: np.ndarray) -> list[float]:
        theta = -float(path.base.f(t))
        m, v = state
        return [theta * (mu - m), -2 * theta * v + 2 * path.deviation**2 * theta]

    t = np.linspace(path.stop, 0.9 * path.start, 5)
    begin = path.anchor(t[0]) * mu + path.alpha(t[0]) * x0, path.plain.sigma(t[0]) ** 2
    flow = solve_ivp(slope, (t[0], t[-1]), begin, t_eval=t, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(path.anchor(t) * mu + path.alpha(t) * x0, flow.y[0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(path.plain.sigma(t) ** 2, flow.y[1], rtol=1e-8)
    np.testing.assert_allclose(path.plain.g2(t), -2 * path.deviation**2 * path.base.f(t), rtol=1e-9)
    assert path.anchor(0.0) == 0.0


def test_nothing_of_the_data_is_left_where_the_default_mean_reverting_path_begins() -> None:
    path = paths.MeanReverting()
    assert path.alpha(path.start) < 2e-11
    assert abs(path.plain.sigma(path.start) - 1) < 1e-15


@pytest.mark.parametrize("name", ["vp", "edm", "published"])
def test_the_plain_denoiser_is_the_posterior_mean(name: str) -> None:
    """By quadrature over x_0: y independent of the data, and y of a mixture with them."""
    path = ANCHORED[name]
    joint = GaussianMixture(
        [0.4, 0.6], [[-1.0, 0.8], [1.2, -0.5]], [[[0.3, 0.2], [0.2, 0.5]], [[0.2, -0.1], [-0.1, 0.4]]]
    )
    y, x = 0.6, 0.35
    for t in inside(path, 3):
        k, (alpha, sigma) = path.anchor(t), (float(path.plain.alpha(t)), float(path.plain.sigma(t)))

        def seen(z: float, k: float = k, alpha: float = alpha, sigma: float = sigma) -> float:
            return float(np.exp(-(((x - k * y - alpha * z) / sigma) ** 2) / 2))

        def independent(z: float) -> float:
            return float(np.exp(MIXTURE.log_density(np.array([[z]]))[0]))

        def dependent(z: float) -> float:
            return float(np.exp(joint.log_density(np.array([[z, y]]))[0]))

        given = joint.given([[0.0, 1.0]], [y], 0.0).observed([[1.0, 0.0]], 0.0)
        for density, law in ((independent, MIXTURE), (dependent, given)):
            peak = (x - k * y) / alpha
            ends = sorted(
                {-6.0, 6.0, *np.clip([peak - 9 * sigma / alpha, peak, peak + 9 * sigma / alpha], -6, 6)}
            )
            whole = [
                sum(
                    quad(lambda z, p=p, f=density: z**p * f(z) * seen(z), *pair, epsabs=0)[0]
                    for pair in pairwise(ends)
                )
                for p in (0, 1)
            ]
            D = law.denoise(np.array([[x - k * y]]), alpha, sigma)[0, 0]
            np.testing.assert_allclose(D, whole[1] / whole[0], rtol=1e-7)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: paths.Bridge(paths.Gaussian(lambda t: 1 - t, lambda t: t)),
            ValueError,
            "all noise at its start, t = 1",
        ),
        (lambda: paths.Bridge(paths.CLD()), TypeError, "pass a Gaussian path such as paths.VP()"),
        (lambda: paths.Bridge("VP"), TypeError, "base is 'VP'"),
        (lambda: paths.Bridge(spread=0.0), ValueError, "spread is 0.0"),
        (lambda: paths.MeanReverting(paths.VE()), ValueError, "does not preserve variance: give paths.VP"),
        (lambda: paths.MeanReverting(deviation=-1.0), ValueError, "deviation is -1.0"),
        (lambda: paths.MeanReverting(spread=0), ValueError, "spread is 0"),
        (lambda: paths.Bridge().anchor(1.5), ValueError, "t is 1.5, outside [0, 1]"),
    ],
)
def test_what_is_no_such_path_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        make()
