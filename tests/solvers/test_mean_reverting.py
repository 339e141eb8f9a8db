"""Samplers of mean-reverting diffusions: the code's loops, plain samplers around the mean, orders, exactness."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from analytic import GaussianMixture, paths, targets
from solvers import GaussianLaw, catalogue, denoiser, density, grids, law, run
from solvers.methods.continuous.anchored import at_the_origin
from tests.solvers.anchored_loops import mr_loop

PATH = paths.MeanReverting()
PUBLISHED = paths.MeanReverting(paths.VP(0.1, 20.0), deviation=0.7)
METHODS = catalogue.on("mean-reverting")
CASES = [
    (name, predicts)
    for name, method in METHODS.items()
    for predicts in (("data", "noise") if "predicts" in method.options else ("data",))
]
FLOW = [(name, predicts) for name, predicts in CASES if name.startswith("mr-ode")]
MIXTURE, GAUSSIAN = targets.load("easy-1d"), targets.load("gaussian-1d")
each_case = pytest.mark.parametrize(("name", "predicts"), CASES)


def built(name: str, predicts: str, path: Any, grid: Any) -> Any:
    options = {"predicts": predicts} if "predicts" in METHODS[name].options else {}
    return METHODS[name].tableau(path, grid, **options)


@each_case
def test_tableau_is_the_loop_of_the_papers_code(name: str, predicts: str) -> None:
    rng = np.random.default_rng(1)
    grid = grids.power(PUBLISHED, 7)
    tableau = built(name, predicts, PUBLISHED, grid)
    mu, noise = rng.standard_normal(5), rng.standard_normal((len(tableau.channels), 5))
    found = run(tableau, MIXTURE, mu[:, None], noise=noise[..., None], full=True)
    np.testing.assert_array_equal(found.registers[1][:, 0], mu)
    expected = mr_loop(name, PUBLISHED, grid, MIXTURE, mu, noise, predicts)
    np.testing.assert_allclose(found.x[:, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "predicts", "plain", "same"),
    [
        ("mr-ode-1", "data", "ddim", {}),
        ("mr-ode-2", "data", "scheduled-adams", {"nodes": 2}),
        ("mr-ode-2", "noise", "scheduled-adams", {"nodes": 2, "predict": "noise"}),
        ("mr-ode-3", "data", "scheduled-adams", {"nodes": 3}),
        ("mr-ode-3", "noise", "scheduled-adams", {"nodes": 3, "predict": "noise"}),
        ("mr-sde-1", "data", "ddpm", {}),
        ("mr-sde-2", "data", "sde-dpm-solver++-2m", {"variant": "heun"}),
    ],
)
def test_around_the_mean_it_is_a_plain_sampler(
    name: str, predicts: str, plain: str, same: dict[str, Any]
) -> None:
    target, rng = targets.load("rotated-2d"), np.random.default_rng(2)
    grid = grids.power(PUBLISHED, 9)
    tableau = built(name, predicts, PUBLISHED, grid)
    there = catalogue[plain].tableau(PUBLISHED.plain, grid, **same)
    noise = rng.standard_normal((len(tableau.channels), 4, 2))
    for mu in (np.zeros((4, 2)), rng.standard_normal((4, 2))):
        found = run(tableau, target, mu, noise=noise)
        # a plain sampler of the data less the mean, each with its own
        for i in range(4):
            moved = GaussianMixture(target.weights, target.means - mu[i], target.matrices)
            start = PUBLISHED.deviation * noise[0, i : i + 1]
            z = run(there, moved, start, noise=noise[1:, i : i + 1] if there.channels else None)
            np.testing.assert_allclose(found[i] - mu[i], z[0], rtol=0, atol=1e-11)


@cache
def off_the_flow(name: str, predicts: str, steps: int, mu: float = 0.8) -> float:
    """Root mean square error from one mean: the flow takes x_T = mu + xi to the quantile of Phi(xi)."""
    xi = np.linspace(-3.5, 3.5, 41)
    tableau = built(name, predicts, PATH, grids.power(PATH, steps))
    x = run(tableau, MIXTURE, np.full((len(xi), 1), mu), noise=xi[None, :, None])[:, 0]
    end = tableau.grid[-1]
    truth = MIXTURE.noised(float(PATH.plain.alpha(end)), float(PATH.plain.sigma(end))).quantile(norm.cdf(xi))
    return float(np.sqrt(np.mean((x - PATH.anchor(end) * mu - truth) ** 2)))


@pytest.mark.parametrize(("name", "predicts"), FLOW)
def test_orders_of_the_flow_on_a_mixture(name: str, predicts: str) -> None:
    (claim,) = METHODS[name].claims
    order = 2 if name.endswith("as-published") else int(name[7])
    assert claim.order == int(name[7])
    # of the published one another term, of order 3, fades late
    steps = (1024, 2048) if name.endswith("as-published") else (256, 512)
    e = [off_the_flow(name, predicts, N) for N in steps]
    assert abs(np.log2(e[0] / e[1]) - order) < 0.15, e


@pytest.mark.parametrize(
    ("name", "predicts", "order"),
    [
        ("mr-sde-1", "data", 1),
        ("ir-sde-em", "data", 1),
        pytest.param("mr-sde-2", "data", 2, marks=pytest.mark.slow),
        ("mr-sde-1", "noise", 1),
    ],
)
def test_weak_orders_on_a_mixture(name: str, predicts: str, order: int) -> None:
    """In total variation, by the density given mu = 0; `mr-sde-2` on noise is too wide at first to be followed."""
    e = []
    for N in (64 * order, 128 * order):
        tableau, initial, truth = at_the_origin(built(name, predicts, PATH, grids.power(PATH, N)), MIXTURE)
        e.append(density(tableau, MIXTURE, initial, estimate_error=False).tv(truth))
    assert abs(np.log2(e[0] / e[1]) - order) < 0.15, e


@each_case
def test_orders_on_a_gaussian_by_exact_law(name: str, predicts: str) -> None:
    order = 2 if name.endswith("as-published") else METHODS[name].claims[0].order
    for mu in (None, -1.7):  # mu of N(0, 1), and one mean
        e = []
        for N in (512, 1024):
            tableau = built(name, predicts, PATH, grids.power(PATH, N))
            end = tableau.grid[-1]
            if mu is None:
                found, true = law(tableau, GAUSSIAN), GAUSSIAN.noised(*tableau.end)
            else:
                found = law(tableau, GAUSSIAN, GaussianLaw(np.array([mu]), np.zeros(1), None))
                plain = GAUSSIAN.noised(float(PATH.plain.alpha(end)), float(PATH.plain.sigma(end)))
                true = GaussianLaw(plain.means[0] + PATH.anchor(end) * mu, plain.variances[0], None)
            e.append(found.error_to(true).w2)
        slope = np.log2(e[0] / e[1])
        assert abs(slope - order) < 0.11, (slope, e)


def test_samplers_with_the_data_frozen_are_exact_on_one_datum_from_any_mean() -> None:
    datum = GaussianMixture([1.0], [[0.7]], 0.0)
    for stop in (0.4, 0.01, 0.0):
        for name, predicts in CASES:
            tableau = built(name, predicts, PATH, grids.power(PATH, 4, stop=stop))
            off = law(tableau, datum).error_to(datum.noised(*tableau.end)).w2
            if name.startswith("mr-ode") or (predicts == "data" and name != "ir-sde-em"):
                # in terms of the noise x/alpha is large where alpha is e^-25, and so is its rounding
                assert off < (1e-10 if predicts == "data" else 1e-6), (name, predicts, off)
            else:
                assert off > 1e-3 or stop == 0, (name, predicts, off)


def test_posterior_sampling_of_ir_sde_is_the_first_order_sampler() -> None:
    """Mean and deviation of their code's reverse_optimum_step and reverse_optimum_std."""
    grid = grids.power(PUBLISHED, 5)
    base = PUBLISHED.base
    bar = base.beta_min / 2 * grid + (base.beta_max - base.beta_min) / 4 * grid**2
    for n, step in enumerate(list(METHODS["mr-sde-1"].tableau(PUBLISHED, grid).steps)[1:]):
        A, B, C = np.exp(-(bar[n] - bar[n + 1])), np.exp(-bar[n]), np.exp(-bar[n + 1])
        of_x, of_data = A * (1 - C**2) / (1 - B**2), C * (1 - A**2) / (1 - B**2)
        np.testing.assert_allclose(step.V[0, 0], [of_x, 1 - of_x - of_data], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(step.B[0, 0, 0], of_data, rtol=1e-11)
        deviation = PUBLISHED.deviation * np.sqrt((1 - A**2) * (1 - C**2) / (1 - B**2))
        np.testing.assert_allclose(step.H[0, 0, 0], deviation, rtol=1e-11)


def test_what_is_left_of_the_data_where_it_begins_is_an_error_that_stays() -> None:
    """With eps = alpha_T = 6.6e-3, near the published 5e-3, against none with the default."""
    off = []
    for path in (paths.MeanReverting(paths.VP(0.1, 20.0)), PATH):
        tableau = METHODS["mr-ode-3"].tableau(path, grids.power(path, 2048))
        off.append(law(tableau, GAUSSIAN).error_to(GAUSSIAN.noised(*tableau.end)).w2)
    assert off[0] > 1e-3 > 1e-6 > off[1]


def test_a_torch_module_samples_around_a_mean() -> None:
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        """The denoiser of N(m, v) at x = alpha x_0 + sigma eps."""

        def forward(self, x: Any, alpha: float, sigma: float) -> Any:
            return 1.0 + alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * (x - alpha)

    gaussian = GaussianMixture([1.0], [[1.0] * 3], 0.25)
    start = np.random.default_rng(0).standard_normal((50, 3))
    for name in METHODS:
        tableau = METHODS[name].tableau(PUBLISHED, grids.power(PUBLISHED, 8))
        found = run(tableau, denoiser(Module(), predicts="x0", takes="level"), torch.tensor(start), seed=5)
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), run(tableau, gaussian, start, seed=5), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: METHODS["mr-ode-1"].tableau(paths.VP(), [1.0, 0.1]),
            "mr-ode-1 is for mean-reverting ones: give paths.MeanReverting()",
        ),
        (
            lambda: METHODS["mr-sde-2"].tableau(PATH, [1.0, 0.1], predicts="v"),
            "predicts is 'v': use one of data, noise",
        ),
        (
            lambda: density(METHODS["mr-sde-1"].tableau(PATH, [1.0, 0.5, 0.2, 0.1]), MIXTURE),
            "two variables that keep each other",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
