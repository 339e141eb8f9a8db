"""Samplers on bridges: the papers' loops, plain samplers in other coordinates, orders, exactness, endpoints."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from analytic import GaussianMixture, paths, targets
from solvers import GaussianLaw, catalogue, denoiser, density, grids, law, run
from solvers.methods.continuous.anchored import at_the_origin
from tests.solvers.anchored_loops import BridgeSchedule, bridge_loop

PATHS: dict[str, Any] = {"vp": paths.Bridge(), "ve": paths.Bridge(paths.EDM(0.002, 10.0), spread=0.5)}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("dbim", {}),
    ("dbim", {"eta": 0.6}),
    ("dbim", {"eta": 1.0}),
    ("dbim-2", {}),
    ("dbim-2", {"last": "first-order"}),
    ("dbim-3", {}),
    ("dbim-3", {"last": "first-order"}),
    ("ddbm-em", {}),
    ("ddbm-heun", {}),
    ("ddbm-heun", {"churn": 0.7}),
]
FLOW = [case for case in CASES if case[0].startswith("dbim") and "eta" not in case[1]]
MIXTURE, GAUSSIAN = targets.load("easy-1d"), targets.load("gaussian-1d")
JOINT = GaussianMixture(
    [0.4, 0.6], [[-1.0, 0.8], [1.2, -0.5]], [[[0.3, 0.2], [0.2, 0.5]], [[0.2, -0.1], [-0.1, 0.4]]]
)
each_case = pytest.mark.parametrize(("name", "options"), CASES)


@each_case
def test_tableau_is_the_loop_of_the_papers_code(name: str, options: dict[str, Any]) -> None:
    assert {name for name, _ in CASES} == set(catalogue.on("bridge"))
    rng = np.random.default_rng(1)
    for path in PATHS.values():
        for stop in (0.0, 0.01):
            if stop == 0 and name in ("dbim-2", "dbim-3"):
                continue  # their code has no limit there, at log(b/c) = inf
            grid = grids.two_sided(path, 7, stop=stop, exponent=2.0)
            tableau = catalogue[name].tableau(path, grid, **options)
            y, noise = rng.standard_normal(5), rng.standard_normal((len(tableau.channels), 5))
            found = run(tableau, MIXTURE, y[:, None], noise=noise[..., None], full=True)
            np.testing.assert_array_equal(found.registers[1][:, 0] if len(found.registers) > 1 else y, y)
            expected = bridge_loop(name, path, grid, MIXTURE, y, noise, **options)
            np.testing.assert_allclose(found.x[:, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "plain", "same"),
    [
        ("dbim", {}, "ddim", {}),
        ("dbim", {"eta": 0.4}, "ddim-eta", {"eta": 0.4}),
        ("dbim", {"eta": 1.0}, "ddpm", {}),
        ("dbim-2", {}, "scheduled-adams", {"nodes": 2}),
        ("dbim-3", {}, "scheduled-adams", {"nodes": 3}),
    ],
)
def test_dbim_is_a_plain_sampler_seen_from_the_endpoint(
    name: str, options: dict[str, Any], plain: str, same: dict[str, Any]
) -> None:
    target, rng = targets.load("rotated-2d"), np.random.default_rng(2)
    for path in PATHS.values():
        grid = grids.two_sided(path, 9)
        tableau = catalogue[name].tableau(path, grid, **options)
        y, noise = rng.standard_normal((4, 2)), rng.standard_normal((len(tableau.channels), 4, 2))
        found = run(tableau, target, y, noise=noise, full=True)
        there = catalogue[plain].tableau(path.plain, grid[1:], **same)
        u = found.trajectory[1] - path.anchor(grid[1]) * y
        moved = run(there, target, u, noise=noise[1:] if there.channels else None)
        np.testing.assert_allclose(found.x, moved + path.anchor(grid[-1]) * y, rtol=0, atol=1e-12)


@cache
def off_the_flow(
    name: str,
    path: str,
    steps: int,
    grid: str = "two-sided",
    y: float = 0.8,
    target: GaussianMixture = MIXTURE,
) -> float:
    """Root mean square error from one endpoint: the flow takes the booting noise z to the quantile of Phi(z)."""
    p, xi = PATHS[path], np.linspace(-3.5, 3.5, 41)
    tableau = catalogue[name].tableau(p, grids.catalogue[grid](p, steps))
    noise = np.zeros((len(tableau.channels), len(xi), 1))
    noise[0, :, 0] = xi
    x = run(tableau, target, np.full((len(xi), 1), y), noise=noise)[:, 0]
    end = tableau.grid[-1]
    truth = target.noised(float(p.plain.alpha(end)), float(p.plain.sigma(end))).quantile(norm.cdf(xi))
    return float(np.sqrt(np.mean((x - p.anchor(end) * y - truth) ** 2)))


@pytest.mark.parametrize(
    ("name", "order", "steps"), [("dbim", 1, 256), ("dbim-2", 2, 256), ("dbim-3", 3, 256)]
)
def test_orders_of_the_flow_on_a_mixture(name: str, order: int, steps: int) -> None:
    assert {claim.order for claim in catalogue[name].claims} == {order}
    for path in PATHS:
        e = [off_the_flow(name, path, N) for N in (steps, 2 * steps)]
        assert abs(np.log2(e[0] / e[1]) - order) < 0.1, e


def test_on_equal_steps_the_booting_step_leaves_order_one() -> None:
    """Its D is that of the endpoint, over a step of b/c that falls as the square root of the time step."""
    for name in ("dbim-2", "dbim-3"):
        e = [off_the_flow(name, "vp", N, "uniform") for N in (512, 1024)]
        assert abs(np.log2(e[0] / e[1]) - 1) < 0.05, e


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dbim", {"eta": 1.0}),
        ("ddbm-em", {}),
        pytest.param("dbim", {"eta": 0.5}, marks=pytest.mark.slow),
        pytest.param("ddbm-heun", {}, marks=pytest.mark.slow),
    ],
)
def test_noisy_samplers_have_weak_order_one_on_a_mixture(name: str, options: dict[str, Any]) -> None:
    """In total variation, by the density given y = 0, where the sampler is one of x alone."""
    path = PATHS["vp"]
    e = []
    for N in (16, 32):
        built = catalogue[name].tableau(path, grids.two_sided(path, N), **options)
        tableau, initial, truth = at_the_origin(built, MIXTURE)
        e.append(density(tableau, MIXTURE, initial, estimate_error=False).tv(truth))
    assert abs(np.log2(e[0] / e[1]) - 1) < 0.15, e


@each_case
def test_at_the_origin_is_the_sampler_from_there(name: str, options: dict[str, Any]) -> None:
    """By samples with the same noise: the first of it is where the sampler without its first step starts."""
    path = PATHS["vp"]
    whole = catalogue[name].tableau(path, grids.two_sided(path, 6), **options)
    rest, initial, truth = at_the_origin(whole, MIXTURE)
    noise = np.random.default_rng(4).standard_normal((len(whole.channels), 9, 1))
    start, left = initial.means[0] + np.sqrt(initial.variances[0]) * noise[0], noise[1:]
    if name == "ddbm-heun":  # whose first step a model sees the noise of
        start, left = 3.0 + 0 * start, noise
    expected = run(whole, MIXTURE, np.zeros((9, 1)), noise=noise)
    np.testing.assert_allclose(run(rest, MIXTURE, start, noise=left), expected, rtol=1e-12, atol=1e-13)
    known = path.plain.alpha(whole.grid[-1])
    np.testing.assert_allclose(truth.mean(), known * MIXTURE.mean(), rtol=1e-14)
    with pytest.raises(ValueError, match="of one step"):
        at_the_origin(catalogue[name].tableau(path, [path.start, 0.1], **options), MIXTURE)


def given(path: Any, tableau: Any, y: float) -> tuple[GaussianLaw, GaussianLaw]:
    """Law of a sampler from one endpoint on a Gaussian, and of the bridge at the grid's end."""
    end = tableau.grid[-1]
    true = GAUSSIAN.noised(float(path.plain.alpha(end)), float(path.plain.sigma(end)))
    at = GaussianLaw(np.array([y]), np.zeros(1), None)
    return law(tableau, GAUSSIAN, at), GaussianLaw(
        true.means[0] + path.anchor(end) * y, true.variances[0], None
    )


@each_case
def test_orders_on_a_gaussian_by_exact_law(name: str, options: dict[str, Any]) -> None:
    order = {"dbim-2": 2, "dbim-3": 3}.get(name, 1)
    for path in PATHS.values():
        for y in (None, -1.7):  # y of N(0, spread^2), and one endpoint
            e = []
            for N in (128, 256):
                tableau = catalogue[name].tableau(path, grids.two_sided(path, N), **options)
                found, true = (
                    (law(tableau, GAUSSIAN), GAUSSIAN.noised(*tableau.end))
                    if y is None
                    else given(path, tableau, y)
                )
                e.append(found.error_to(true).w2)
            slope = np.log2(e[0] / e[1])
            assert abs(slope - order) < 0.12 * order, (slope, e)


@pytest.mark.parametrize("churn", [0.15, 0.2])
def test_the_hybrid_sampler_forgets_its_first_steps_as_slowly_as_it_is_noisy(churn: float) -> None:
    """On equal steps its weak order is its churn: Heun's method meets c' / c = 1 / (2 tau) from tau = 0 on."""
    path = PATHS["vp"]
    e = []
    for N in (1024, 2048, 4096):
        tableau = catalogue["ddbm-heun"].tableau(path, grids.uniform(path, N), churn=churn)
        e.append(law(tableau, GAUSSIAN).error_to(GAUSSIAN.noised(*tableau.end)).variance[0])
    slopes = np.log2(np.array(e[:-1]) / e[1:])
    assert abs(slopes[-1] - churn) < 0.005, slopes


def test_dbim_is_exact_on_one_datum_from_any_endpoint_on_any_grid_and_ddbm_is_not() -> None:
    datum = GaussianMixture([1.0], [[0.7]], 0.0)
    for path in PATHS.values():
        for stop in (0.4, 0.01, 0.0):
            grid = grids.two_sided(path, 3, stop=stop)
            for name, options in CASES:
                tableau = catalogue[name].tableau(path, grid, **options)
                off = law(tableau, datum).error_to(datum.noised(*tableau.end)).w2
                assert off < 1e-12 if name.startswith("dbim") else off > 1e-4, (name, off)


def test_dbim_of_eta_one_draws_from_the_bridge_back_from_where_it_is() -> None:
    """q(x_s | x_t, x_0, x_T) of the diffusion, by conditioning the Gaussian (x_s, x_t) given both ends."""
    for path in PATHS.values():
        base, T = path.base, path.start
        grid = np.array([T, 0.6 * T, 0.25 * T])
        step = list(catalogue["dbim"].tableau(path, grid, eta=1.0).steps)[1]
        alpha, sigma = base.alpha(grid), base.sigma(grid)
        # covariances of (x_T, x_t, x_s) given x_0: the later from the earlier by a factor of alphas
        C = np.array(
            [
                [alpha[min(i, j)] / alpha[max(i, j)] * sigma[max(i, j)] ** 2 for j in range(3)]
                for i in range(3)
            ]
        )
        gain = np.linalg.solve(C[:2, :2], C[:2, 2])
        np.testing.assert_allclose(step.V[0, 0], gain[::-1], rtol=1e-10, atol=1e-15)  # of x_t, of x_T
        np.testing.assert_allclose(step.B[0, 0, 0], alpha[2] - gain @ alpha[:2], rtol=1e-10)
        np.testing.assert_allclose(step.H[0, 0, 0] ** 2, C[2, 2] - gain @ C[:2, 2], rtol=1e-9)


@pytest.mark.parametrize("name", PATHS)
def test_the_flow_of_ddbm_keeps_the_law_of_the_bridge_and_is_what_dbim_follows(name: str) -> None:
    """Zhou et al.'s probability flow, as it stands, by SciPy: it takes quantiles to quantiles."""
    path, y = PATHS[name], 0.8
    ns = BridgeSchedule(path.base)
    model = ns.model(MIXTURE)
    t, end = 0.7 * path.start, 0.05 * path.start
    levels = np.array([0.05, 0.3, 0.5, 0.9])

    def law_at(t: float) -> np.ndarray:
        a, b, c = ns.abc(t)
        return a * y + MIXTURE.noised(float(b), float(c)).quantile(levels)

    def slope(t: float, x: np.ndarray) -> np.ndarray:
        a, b, c = ns.abc(t)
        score = (a * y + b * model(x, np.full(4, y), t) - x) / c**2
        pull = (ns.alpha(t) / ns.alpha_T * y - x) / (ns.alpha(t) ** 2 * (ns.rho_T**2 - ns.rho(t) ** 2))
        return np.asarray(ns.f(t) * x - ns.g2(t) * (score / 2 - pull))

    flow = solve_ivp(slope, (t, end), law_at(t), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(flow.y[:, -1], law_at(end), rtol=0, atol=1e-8)


def test_data_that_depend_on_the_endpoint_are_sampled_given_it() -> None:
    """A joint mixture of (x_0, y): from each y the flow ends in the law of x_0 given it, which is another."""
    means = []
    for y in (-1.0, 1.4):
        target = JOINT.given([[0.0, 1.0]], [y], 0.0).observed([[1.0, 0.0]], 0.0)
        assert off_the_flow("dbim-3", "vp", 128, y=y, target=target) < 2e-4
        means.append(target.mean()[0])
    assert abs(means[0] - means[1]) > 1


def test_a_torch_module_samples_on_a_bridge() -> None:
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        """The denoiser of N(m, v) at x = alpha x_0 + sigma eps."""

        def forward(self, x: Any, alpha: float, sigma: float) -> Any:
            return 1.0 + alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * (x - alpha)

    gaussian = GaussianMixture([1.0], [[1.0] * 3], 0.25)
    start = np.random.default_rng(0).standard_normal((50, 3))
    for name in catalogue.on("bridge"):
        tableau = catalogue[name].tableau(PATHS["vp"], grids.two_sided(PATHS["vp"], 8))
        model = denoiser(Module(), predicts="x0", takes="level")
        found = run(tableau, model, torch.tensor(start), seed=5)
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), run(tableau, gaussian, start, seed=5), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: catalogue["dbim"].tableau(paths.VP(), [1.0, 0.1]),
            "a noising process, and dbim is for bridge ones: give paths.Bridge()",
        ),
        (
            lambda: catalogue["heun"].tableau(paths.Bridge(), [1.0, 0.1]),
            "a bridge process, and heun is for noising",
        ),
        (
            lambda: catalogue["dbim-2"].tableau(paths.Bridge(), [0.9, 0.1]),
            "grid starts at 0.9, where a bridge has left its endpoint: start it at T = 1",
        ),
        (lambda: catalogue["ddbm-em"].tableau(paths.Bridge(), [0.9, 0.1]), "start it at T = 1"),
        (
            lambda: catalogue["dbim"].tableau(paths.Bridge(), [1.0, 0.1], eta=1.2),
            "eta is 1.2: give a value between",
        ),
        (
            lambda: catalogue["dbim-2"].tableau(paths.Bridge(), [1.0, 0.1], last="x"),
            "last is 'x': use one of full",
        ),
        (
            lambda: catalogue["ddbm-heun"].tableau(paths.Bridge(), [1.0, 0.1], churn=0.0),
            "churn is 0.0: give a part",
        ),
        (
            lambda: density(catalogue["ddbm-em"].tableau(paths.Bridge(), [1.0, 0.5, 0.3, 0.1]), MIXTURE),
            "two variables that keep each other",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
