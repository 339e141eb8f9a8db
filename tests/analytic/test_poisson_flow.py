"""PFGM++ on atoms: its marginals, its flow, its samples, and the diffusion and the PFGM that it ends in."""

from __future__ import annotations

import math
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
import torch
from numpy.polynomial import legendre
from scipy import stats
from scipy.integrate import solve_ivp

from analytic import GaussianMixture, PoissonFlow, paths
from solvers import catalogue, density, grids, law, loops, run, sample
from studies.inference import fit, judge

PLANE = GaussianMixture([0.2, 0.5, 0.3], [[0.0, 1.0], [2.0, 0.5], [-1.0, -1.0]], 0.0)
LINE = GaussianMixture([0.3, 0.2, 0.5], [-1.0, 0.4, 1.5], 0.0)
PATH = paths.EDM()
START, STOP = 40.0, 0.05


@pytest.mark.parametrize("D", [1.0, 3.0, 50.0])
def test_the_marginal_is_a_mixture_of_students(D: float) -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    flow = PoissonFlow(PLANE, D)
    expected = sum(
        w * stats.multivariate_t(loc=y, shape=0.49 * np.eye(2), df=D).pdf(x)
        for w, y in zip(PLANE.weights, PLANE.means, strict=True)
    )
    np.testing.assert_allclose(np.exp(flow.log_density(x, 0.7)), expected, rtol=1e-13)
    on_line = PoissonFlow(LINE, D).cdf(x[:, 0], 0.7)
    np.testing.assert_allclose(
        on_line, stats.t(D).cdf((x[:, :1] - LINE.means[:, 0]) / 0.7) @ LINE.weights, rtol=1e-13
    )


@pytest.mark.parametrize("D", [1, 4])
def test_the_denoiser_is_the_papers_sum_and_pfgms_at_one(D: int) -> None:
    x, sigma = np.random.default_rng(1).normal(size=(9, 2)), 0.6
    r, N = sigma * math.sqrt(D), 2
    for row, found in zip(x, PoissonFlow(PLANE, D).denoise(x, 1.0, sigma), strict=True):
        # E(x~) ~ sum (x~ - y~) / |x~ - y~|^(N + D), x~ = (x, r), y~ = (y, 0); dx/dr = E_x / E_r
        E_x, E_r = np.zeros(2), 0.0
        for w, y in zip(PLANE.weights, PLANE.means, strict=True):
            away = math.sqrt(((row - y) ** 2).sum() + r**2) ** (N + D)
            E_x, E_r = E_x + w * (row - y) / away, E_r + w * r / away
        np.testing.assert_allclose((row - found) / sigma, E_x / E_r * math.sqrt(D), rtol=1e-12)


def test_the_flow_keeps_the_marginals_by_the_continuity_equation() -> None:
    D, N = 3.0, 2
    flow = PoissonFlow(PLANE, D)
    for sigma in (0.3, 2.0):
        at = torch.tensor(np.random.default_rng(2).normal(size=(30, 2)), requires_grad=True)
        s = torch.tensor(sigma, dtype=torch.float64, requires_grad=True)
        squares = ((at[:, None, :] - torch.tensor(PLANE.means)) ** 2).sum(2)
        kernel = s**D / (squares + D * s**2) ** ((N + D) / 2) * torch.tensor(PLANE.weights)
        p = kernel.sum(1)
        velocity = (at - (kernel / p[:, None]) @ torch.tensor(PLANE.means)) / s
        np.testing.assert_allclose(
            velocity.detach().numpy(),
            (at.detach().numpy() - flow.denoise(at.detach().numpy(), 1.0, sigma)) / sigma,
            rtol=1e-12,
        )
        change = torch.stack([torch.autograd.grad(one, s, retain_graph=True)[0] for one in p])
        flux = p[:, None] * velocity
        divergence = sum(
            torch.autograd.grad(flux[:, i].sum(), at, retain_graph=True)[0][:, i] for i in range(2)
        )
        np.testing.assert_allclose((change + divergence).detach() / p.detach(), 0.0, atol=1e-12)


@pytest.mark.parametrize("D", [1.0, 8.0])
def test_methods_follow_the_flow_with_their_orders_and_it_keeps_probabilities(D: float) -> None:
    flow, x = PoissonFlow(LINE, D), START * np.linspace(-3, 3, 21)

    def velocity(sigma: float, y: Any) -> Any:
        return ((y[:, None] - flow.denoise(y[:, None], 1.0, sigma)) / sigma)[:, 0]

    truth = solve_ivp(velocity, (START, STOP), x, rtol=1e-12, atol=1e-13, method="DOP853").y[:, -1]
    np.testing.assert_allclose(flow.cdf(truth, STOP), flow.cdf(x, START), atol=1e-12)
    ladder = (32, 64, 128, 256)
    for name, order in (("euler", 1), ("heun", 2), ("rk4", 4), ("dpm-solver++-2m", 2)):
        errors = []
        for steps in ladder:
            tableau = catalogue[name].tableau(PATH, grids.karras(PATH, steps, start=START, stop=STOP))
            errors.append(float(np.sqrt(np.mean((run(tableau, flow, x[:, None])[:, 0] - truth) ** 2))))
        slope = fit(ladder, errors, 1e-12)
        assert abs(np.log2(errors[-2] / errors[-1]) - order) < 0.12, (name, errors)
        assert judge(order, slope) != "refuted"


def test_many_dimensions_are_a_diffusion_at_a_rate_of_one_over_their_number() -> None:
    x = np.random.default_rng(3).normal(size=(30, 2))
    limit = PoissonFlow(PLANE, math.inf)
    np.testing.assert_allclose(limit.denoise(x, 0.8, 0.5), PLANE.denoise(x, 0.8, 0.5), rtol=1e-12)
    np.testing.assert_allclose(limit.log_density(x, 0.5), PLANE.noised(1.0, 0.5).log_density(x), rtol=1e-12)
    u, w = legendre.leggauss(400)
    points, weights = 12 * u, 12 * w
    many = (256, 512, 1024, 2048, 4096, 8192)
    p = np.exp(PoissonFlow(LINE, math.inf).log_density(points[:, None], 1.0))
    tv, moved = [], []
    for D in many:
        q = np.exp(PoissonFlow(LINE, D).log_density(points[:, None], 1.0))
        tv.append(float(weights @ np.abs(p - q)) / 2)
        moved.append(
            float(np.abs(PoissonFlow(PLANE, D).denoise(x, 1.0, 1.0) - PLANE.denoise(x, 1.0, 1.0)).max())
        )
    for errors in (tv, moved):
        assert judge(1, fit(many, errors, [1e-4 * e for e in errors])) == "confirmed"
        assert np.log2(errors[-2] / errors[-1]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("D", [1.0, 6.0, math.inf])
def test_samples_have_the_papers_radii(D: float) -> None:
    # Kolmogorov-Smirnov, a false alarm of 1e-6 each
    flow, sigma = PoissonFlow(PLANE, D), 0.7
    prior = flow.prior_sample(20_000, sigma, seed=4)
    square = (prior**2).sum(1) / sigma**2
    radii = stats.chi2(2) if math.isinf(D) else stats.betaprime(1.0, D / 2, scale=D)
    assert stats.kstest(square, radii.cdf).pvalue > 1e-6
    assert stats.kstest(np.arctan2(prior[:, 1], prior[:, 0]) / (2 * np.pi) % 1, "uniform").pvalue > 1e-6
    line = PoissonFlow(LINE, D)
    drawn = line.noised_sample(20_000, sigma, seed=4)[:, 0]
    assert stats.kstest(drawn, lambda t: line.cdf(t, sigma)).pvalue > 1e-6


def test_any_array_is_answered_as_it_came() -> None:
    x = np.random.default_rng(5).normal(size=(5, 2))
    flow = PoissonFlow(PLANE, 4.0)
    expected = flow.denoise(x, 0.8, 0.3)
    np.testing.assert_allclose(np.asarray(flow.denoise(strict.asarray(x), 0.8, 0.3)), expected, rtol=1e-14)
    single = flow.denoise(torch.tensor(x, dtype=torch.float32), 0.8, 0.3)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(flow.denoise(x, 0.8, 0.0), x / 0.8)
    np.testing.assert_allclose(flow.denoise(x, 0.0, 1.0), np.tile(PLANE.mean(), (5, 1)))
    np.testing.assert_allclose(flow.denoise(0.8 * x, 0.8, 0.4), flow.denoise(x, 1.0, 0.5), rtol=1e-13)


def test_adaptive_steps_follow_the_flow_to_their_tolerance() -> None:
    flow, x = PoissonFlow(LINE, 4.0), START * np.linspace(-2, 2, 9)[:, None]
    found = loops.catalogue["dormand-prince"].solve(PATH, (START, STOP), flow, x, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(flow.cdf(found.x[:, 0], STOP), flow.cdf(x[:, 0], START), atol=1e-6)


def test_what_has_no_meaning_on_a_flow_is_refused() -> None:
    flow, nodes = PoissonFlow(LINE, 4.0), grids.karras(PATH, 4)
    heun, ddpm = (catalogue[name].tableau(PATH, nodes) for name in ("heun", "ddpm"))
    for call, kind, words in (
        (lambda: PoissonFlow(LINE.noised(1.0, 0.1), 4.0), ValueError, "has a variance; give atoms"),
        (lambda: PoissonFlow(LINE, 0.0), ValueError, "augmented is 0.0"),
        (lambda: PoissonFlow([1.0], 2.0), TypeError, "data is"),  # type: ignore[arg-type]
        (lambda: flow.log_density(np.zeros((1, 1)), 0.0), ValueError, "sigma is 0.0"),
        (lambda: PoissonFlow(PLANE, 4.0).cdf(np.zeros(1), 1.0), ValueError, "dim = 2"),
        (lambda: run(ddpm, flow, np.zeros((2, 1))), ValueError, "draws noise, but .* has a flow and no SDE"),
        (
            lambda: loops.catalogue["gotta-go-fast"].solve(PATH, nodes, flow, np.zeros((2, 1))),
            ValueError,
            "loop draws noise",
        ),
        (lambda: sample(heun, flow, 3), TypeError, "use `run`"),  # type: ignore[call-overload]
        (lambda: law(heun, flow), TypeError, "use `run`"),  # type: ignore[call-overload]
        (lambda: density(heun, flow, "prior"), TypeError, "use `run`"),  # type: ignore[arg-type]
    ):
        with pytest.raises(kind, match=words):
            call()
