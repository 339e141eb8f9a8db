"""Samplers on interpolants between mixtures: the papers' loops, laws of flows and SDEs at every time, networks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

from analytic import GaussianMixture, Interpolated, couplings, distances, paths, targets
from solvers import Tableau, catalogue, denoiser, density, flow_model, grids, law, run, sample, strong
from solvers.continuous.executors.likelihood import flow_log_density
from solvers.continuous.executors.shared_path import shared_noise
from tests.solvers.reference import SAMPLERS as FIRST
from tests.solvers.reference_noisy import NOISY_AND_REVERSIBLE
from tests.solvers.test_methods_against_reference import OPTIONS

METHODS = list(catalogue.on("interpolant"))
LOOPS = FIRST | NOISY_AND_REVERSIBLE
DATA = GaussianMixture(
    [0.3, 0.7], [[-1.0, 0.4], [0.9, 0.0]], [[[0.5, 0.2], [0.2, 0.3]], [[0.3, -0.1], [-0.1, 0.6]]]
)
BASE = GaussianMixture(
    [0.5, 0.5], [[0.0, -1.0], [0.5, 1.2]], [[[0.4, 0.0], [0.0, 0.9]], [[0.3, 0.1], [0.1, 0.2]]]
)
# two Gaussians whose covariances share no axes, and a joint law that is neither independent nor optimal
ONE = GaussianMixture([1.0], [[0.2, -0.4]], [[[0.7, 0.3], [0.3, 0.5]]])
OTHER = GaussianMixture([1.0], [[1.0, 0.5]], [[[0.4, -0.1], [-0.1, 1.2]]])
TURNING = couplings.dependent(ONE, [[0.5, -0.6], [0.3, 0.8]], 0.6)
LINE = couplings.independent(
    targets.load("easy-1d"), GaussianMixture([0.35, 0.65], [[-1.5], [1.0]], [0.3, 0.6])
)
PLANES = {
    "linear": Interpolated(couplings.independent(DATA, BASE), paths.Interpolant(noise=0.7)),
    "trigonometric": Interpolated(couplings.optimal(DATA, BASE), paths.Interpolant("trigonometric", 1.2)),
    "encoding-decoding": Interpolated(
        couplings.dependent(DATA, np.eye(2)[::-1], 0.5), paths.EncodingDecoding()
    ),
    "multimarginal": Interpolated(couplings.independent(DATA, BASE, ONE), paths.Multimarginal(3, noise=0.8)),
}
ORDERS = {
    name: max(c.order for c in catalogue[name].claims if c.sense in ("ode", "weak")) for name in METHODS
}


def options_of(name: str) -> list[dict[str, Any]]:
    """Those of the method that an interpolant has."""
    return [o for o in OPTIONS[name] if o.get("clock", "time") == "time" and o.get("last") != "tweedie"]


def whole(path: Any, steps: int) -> np.ndarray:
    return grids.uniform(path, steps)


def drawn(tableau: Tableau, model: Interpolated) -> tuple[np.ndarray, np.ndarray]:
    x = model.noised(*tableau.start).sample(9, seed=3)
    return x, np.random.default_rng(7).standard_normal((len(tableau.channels), *x.shape))


@pytest.mark.parametrize("name", METHODS)
def test_tableau_is_the_papers_loop_and_no_table_of_it_idles(name: str) -> None:
    for label in ("multimarginal", "encoding-decoding", "trigonometric", "linear"):
        model = PLANES[label]
        for options in options_of(name) if label == "linear" else [{}]:
            tableau = catalogue[name].tableau(model.path, whole(model.path, 6), **options)
            x, z = drawn(tableau, model)
            found = run(tableau, model, x, noise=z)
            expected = LOOPS[name](model.path, tableau.grid, model, x, z, **options)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=f"{label} {options}")
    for index, block in enumerate(tableau.blocks):
        for table in ("U", "A", "G", "V", "B", "H", "asks"):
            if np.any(getattr(block, table)):
                blocks = list(tableau.blocks)
                blocks[index] = replace(block, **{table: getattr(block, table) * 1.001})
                spoiled = run(replace(tableau, blocks=tuple(blocks)), model, x, noise=z)
                assert np.abs(spoiled - found).max() > 1e-6, (index, table)


@pytest.mark.parametrize("name", METHODS)
def test_libraries_agree_and_a_saved_tableau_is_the_same(name: str, tmp_path: Any) -> None:
    torch = pytest.importorskip("torch")
    model = PLANES["trigonometric"]
    tableau = catalogue[name].tableau(model.path, whole(model.path, 5))
    x, z = drawn(tableau, model)
    found = run(tableau, model, x, noise=z)
    for array in (torch.from_numpy, strict.asarray):
        np.testing.assert_allclose(
            np.asarray(run(tableau, model, array(x), noise=array(z))), found, atol=1e-12
        )
    tableau.save(tmp_path / "tableau.npz")
    loaded = Tableau.load(tmp_path / "tableau.npz")
    assert loaded.process == "interpolant"
    np.testing.assert_array_equal(run(loaded, model, x, noise=z), found)
    own = run(tableau, model, "marginal", 3, n=9, full=True)
    np.testing.assert_array_equal(own.x, run(tableau, model, own.trajectory[0], 3))


def probed(tableau: Tableau, model: Interpolated) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the end, from the sampler's own map: run at 0, at unit vectors and at unit noises."""
    d, channels = model.dim, len(tableau.channels)
    inputs = np.concatenate([np.zeros((1, (channels + 1) * d)), np.eye((channels + 1) * d)])
    x, z = inputs[:, :d], inputs[:, d:].reshape(len(inputs), channels, d).transpose(1, 0, 2)
    ends = run(tableau, model, x, noise=z)
    start, offset, map_ = model.noised(*tableau.start), ends[0], (ends[1:] - ends[0]).T
    A, H = map_[:, :d], map_[:, d:]
    return offset + A @ start.mean(), A @ start.covariance() @ A.T + H @ H.T


@pytest.mark.parametrize("name", METHODS)
def test_the_law_between_gaussians_is_that_of_the_map_and_has_the_order_claimed(name: str) -> None:
    model = Interpolated(TURNING, paths.Interpolant("trigonometric", 0.9))
    short = catalogue[name].tableau(model.path, whole(model.path, 7))
    exact, (mean, covariance) = law(short, model), probed(short, model)
    np.testing.assert_allclose(exact.mean, mean, atol=1e-13)
    np.testing.assert_allclose(exact.covariance, covariance, atol=1e-13)
    errors = []
    for steps in (64, 128, 256):
        end = law(catalogue[name].tableau(model.path, whole(model.path, steps)), model)
        errors.append(distances.gaussian_w2(end.mean, end.covariance, ONE.mean(), ONE.covariance()))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    # local slopes approach the order, the rest halving with the step
    assert abs(2 * slopes[1] - slopes[0] - ORDERS[name]) < 0.06, slopes


@pytest.mark.parametrize(
    ("name", "steps"),
    [("euler", 16), ("heun", 16), ("midpoint", 16), ("heun-3", 16), ("rk4", 16), ("euler-maruyama", 8)]
    + [pytest.param(name, 8, marks=pytest.mark.slow) for name in ("stochastic-heun", "sit-sde-heun")],
)
def test_on_a_mixture_the_density_has_the_order_claimed(name: str, steps: int) -> None:
    model = Interpolated(LINE, paths.Interpolant(noise=0.7))
    tableaux = [
        catalogue[name].tableau(model.path, whole(model.path, n)) for n in (steps, 2 * steps, 4 * steps)
    ]
    tv = [density(t, model, estimate_error=False, resolution=0.7).tv(model.end(0)) for t in tableaux]
    slopes = np.log2(np.array(tv[:-1]) / tv[1:])
    assert abs(2 * slopes[1] - slopes[0] - ORDERS[name]) < 0.1, slopes


@pytest.mark.parametrize(
    "path", [paths.Interpolant(noise=0.7), paths.EncodingDecoding()], ids=lambda p: p.name
)
def test_flows_and_sdes_have_the_marginals_of_the_path_at_every_time(path: Any) -> None:
    """The flow to 1e-6 in total variation; the SDE with an error that one Richardson step takes away."""
    model = Interpolated(LINE, path)
    for stop in (0.8, 0.5, 0.2, 0.0):
        truth = model.marginal(stop)
        flow = catalogue["rk4"].tableau(path, grids.uniform(path, 80, stop=stop))
        found = density(flow, model, estimate_error=False)
        assert found.tv(truth) < 1e-6
    for stop in (0.5, 0.0):
        truth, x = model.marginal(stop), np.linspace(-2.5, 2.5, 41)
        sdes = [
            catalogue["euler-maruyama"].tableau(
                path, grids.uniform(path, n, stop=stop), eta=0.6, weight="constant"
            )
            for n in (24, 48)
        ]
        coarse, fine = (density(t, model, estimate_error=False, resolution=0.6).pdf(x) for t in sdes)
        gap, rest = (
            np.abs(f - np.exp(truth.log_density(x[:, None]))).max() for f in (fine, 2 * fine - coarse)
        )
        assert gap > 1e-3
        assert rest < gap / 8


@pytest.mark.parametrize(
    "weight", ["g2", "sigma", "constant", "linear", "decreasing", "increasing-decreasing"]
)
def test_every_amount_of_noise_keeps_the_marginals(weight: str) -> None:
    """Of both kinds of path, at a middle time and at the data: weak order 2 leaves a quarter of the error."""
    transport = Interpolated(TURNING, paths.Interpolant(noise=0.8))
    for path, model, ends in (
        (transport.path, transport, (1.0, 0.0)),
        (paths.Linear(), ONE, (0.95, 0.02)),
    ):
        for stop in (0.4, ends[1]):
            errors = []
            for steps in (100, 200):
                grid = grids.uniform(path, steps, start=ends[0], stop=stop)
                tableau = catalogue["stochastic-heun"].tableau(path, grid, weight=weight)
                end, truth = law(tableau, model), model.noised(*tableau.end)
                errors.append(
                    distances.gaussian_w2(end.mean, end.covariance, truth.mean(), truth.covariance())
                )
            assert errors[1] < 2e-3
            assert errors[0] / errors[1] == pytest.approx(4, rel=0.25), (weight, stop)


@pytest.mark.parametrize("shape", ["linear", "trigonometric"])
def test_from_independent_noise_samplers_are_those_of_the_plain_path(shape: str) -> None:
    plain = paths.Linear() if shape == "linear" else paths.Trigonometric()
    noise = GaussianMixture([1.0], [[0.0, 0.0]], 1.0)
    model = Interpolated(couplings.independent(DATA, noise), paths.Interpolant(shape, 0.0))
    grid = np.linspace(0.95, 0.05, 7)
    for name, options in (("heun", {"clock": "time"}), ("stochastic-heun", {"weight": "constant"})):
        tableaux = [catalogue[name].tableau(path, grid, **options) for path in (plain, model.path)]
        x, z = drawn(tableaux[1], model)
        ends = [run(t, m, x, noise=z) for t, m in zip(tableaux, (DATA, model), strict=True)]
        np.testing.assert_allclose(ends[1], ends[0], atol=1e-12)


def test_one_step_of_euler_is_exact_along_straight_ways_and_not_of_independent_ends() -> None:
    path = paths.Interpolant(noise=0.0)
    one = catalogue["euler"].tableau(path, [1.0, 0.0])
    off = {}
    for how in (couplings.optimal, couplings.independent):
        end = law(one, Interpolated(how(ONE, OTHER), path))
        off[how.__name__] = distances.gaussian_w2(end.mean, end.covariance, ONE.mean(), ONE.covariance())
    assert off["optimal"] < 1e-14
    assert off["independent"] > 0.2


def test_alpha_deblending_between_two_laws_is_eulers_method() -> None:
    """Heitz, Belcour and Chambon 2023, Algorithm 4, with a the share of x_0."""
    model = Interpolated(couplings.optimal(DATA, BASE), paths.Interpolant(noise=0.0))
    grid = whole(model.path, 9)
    x = y = BASE.sample(6, seed=2)
    for a, then in pairwise(1 - grid):
        first, second = (model.expected(y, 1 - a, k) for k in (0, 1))
        y = y + (then - a) * (first - second)
    np.testing.assert_allclose(run(catalogue["euler"].tableau(model.path, grid), model, x), y, atol=1e-12)


def test_several_laws_are_passed_one_after_the_other() -> None:
    first, middle, last = (
        targets.load("easy-1d"),
        GaussianMixture([1.0], [0.3], 0.5),
        GaussianMixture([0.4, 0.6], [-1.2, 0.9], [0.2, 0.4]),
    )
    model = Interpolated(couplings.independent(first, middle, last), paths.Multimarginal(3, noise=0.6))
    for stop, law_there in ((1.0, middle), (0.0, first)):
        errors = []
        for steps in (32, 64):
            grid = np.linspace(2.0, stop, steps * round(2 - stop) + 1)
            errors.append(
                density(catalogue["rk4"].tableau(model.path, grid), model, estimate_error=False).tv(law_there)
            )
        assert errors[-1] < 1e-7
        assert np.log2(errors[0] / errors[1]) > 3.9  # no order is lost where the path turns


def test_coarse_and_fine_grids_share_their_noise_at_the_strong_order() -> None:
    model = Interpolated(LINE, paths.Interpolant(noise=0.7))
    for name, order in (("euler-maruyama", 1.0), ("sra1", 1.5)):
        tableaux = [catalogue[name].tableau(model.path, whole(model.path, n)) for n in (16, 64, 512)]
        x = model.end(1).sample(400, seed=1)
        noises = shared_noise(tableaux, 400, 1, seed=3)
        ends = [run(t, model, x, noise=z) for t, z in zip(tableaux, noises, strict=True)]
        coarse, fine = (float(np.sqrt(np.mean((a - ends[2]) ** 2))) for a in ends[:2])
        assert np.log2(coarse / fine) / 2 == pytest.approx(order, abs=0.2)


def test_networks_of_an_interpolant_are_run_whatever_they_predict() -> None:
    torch = pytest.importorskip("torch")
    model = PLANES["trigonometric"]

    class Module(torch.nn.Module):
        """Answers of a network, with its own time."""

        def __init__(self, predicts: Any) -> None:
            super().__init__()
            self.predicts = predicts

        def forward(self, x: Any, t: float) -> Any:
            gamma = float(model.path.weights(t).variance[0]) ** 0.5
            v, score = model.velocity(x, t), model.score(x, t)
            if self.predicts == "v":
                return v
            if self.predicts == "ends":
                return tuple(model.expected(x, t, k) for k in (0, 1))
            return v, score if self.predicts[1] == "score" else -gamma * score

    for name, options in (("heun", {}), ("stochastic-heun", {"weight": "constant", "eta": 0.5})):
        tableau = catalogue[name].tableau(model.path, np.linspace(0.95, 0.05, 6), **options)
        x, z = drawn(tableau, model)
        expected = run(tableau, model, x, noise=z)
        for predicts in ("v", ("v", "score"), ("v", "z"), "ends"):
            network = flow_model(Module(predicts), model.path, predicts)
            if predicts == "v" and options:
                with pytest.raises(ValueError, match="predicts is 'v', and the method asks for the score"):
                    run(tableau, network, torch.tensor(x), noise=torch.tensor(z))
                continue
            found = run(tableau, network, torch.tensor(x), noise=torch.tensor(z))
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-10)
    everywhere = catalogue["heun"].tableau(model.path, whole(model.path, 4))
    start = torch.tensor(drawn(everywhere, model)[0])
    both = [run(everywhere, m, start) for m in (flow_model(Module("v"), model.path, "v"), model)]
    np.testing.assert_allclose(both[0].numpy(), both[1].numpy(), atol=1e-13)
    with pytest.raises(ValueError, match="holds no score at t = 1, where gamma = 0"):
        run(everywhere, flow_model(Module("ends"), model.path, "ends"), start)


def test_what_cannot_be_is_one_clear_line() -> None:
    model = PLANES["linear"]
    path, grid = model.path, whole(model.path, 4)
    heun, plain = (
        catalogue["heun"].tableau(path, grid),
        catalogue["heun"].tableau(paths.Linear(), [0.9, 0.5, 0.1]),
    )
    x = np.zeros((3, 2))
    points = np.zeros((1, 1))
    cases: list[tuple[Any, type[Exception], str]] = [
        (
            lambda: flow_log_density("heun", path, grid[::-1], targets.load("easy-1d"), points),
            ValueError,
            r"an interpolant process: densities of flows are for Gaussian paths",
        ),
        (
            lambda: catalogue["ddpm"].tableau(path, grid),
            ValueError,
            r"ddpm is for noising ones: give a Gaussian path",
        ),
        (
            lambda: catalogue["heun"].tableau(paths.Langevin(), [1.0, 0.0]),
            ValueError,
            r"heun is for noising and interpolant ones: give a Gaussian path such as paths.VP\(\) or paths.Interpolant",
        ),
        (
            lambda: catalogue["heun"].tableau(path, grid, clock="sigma"),
            ValueError,
            r"clock is 'sigma'.*use 'time'",
        ),
        (
            lambda: catalogue["euler-maruyama"].tableau(path, grid, last="tweedie"),
            ValueError,
            r"last is 'tweedie'",
        ),
        (
            lambda: catalogue["euler-maruyama"].tableau(paths.EDM(), [3.0, 1.0], weight="linear"),
            ValueError,
            r"path is EDM.*no end that weights of its clock refer to",
        ),
        *(
            (
                lambda ask=ask: ask(heun, DATA),
                ValueError,
                r"heun is on an interpolant.*give analytic.Interpolated",
            )
            for ask in (
                lambda t, m: run(t, m, x),
                lambda t, m: sample(t, m, 3),
                lambda t, m: law(t, ONE),
                lambda t, m: density(t, targets.load("easy-1d")),
                lambda t, m: strong(t, ONE),
            )
        ),
        (lambda: run(heun, lambda x, t: x, x), ValueError, r"heun is on an interpolant"),
        (lambda: run(plain, model, x), ValueError, r"heun is on a noising path: build it on model.path"),
        (
            lambda: run(heun, PLANES["trigonometric"], x),
            ValueError,
            r"model is on .*trigonometric.* but heun on .*linear",
        ),
        (lambda: sample(heun, model, 3), TypeError, r"no law that compiled code knows: use `run`"),
        (lambda: density(heun, model), ValueError, r"dim = 2"),
        (lambda: law(heun, model), ValueError, r"spectrum needs a single Gaussian|joint"),
        (lambda: strong(heun, Interpolated(TURNING, path)), ValueError, r"strong errors have no closed form"),
        (lambda: denoiser(lambda x, t: x, path=path), ValueError, r"use solvers.flow_model"),
        (lambda: flow_model(lambda x, t: x, path, "x0"), ValueError, r"predicts is 'x0': use 'v'"),
        (
            lambda: flow_model(lambda x, t: x, paths.VP()),
            TypeError,
            r"use solvers.denoiser for a Gaussian path",
        ),
        (lambda: flow_model(3, path), TypeError, r"model is 3"),
        (lambda: run(heun, flow_model(lambda x, t: x, path), x), TypeError, r"return 2 arrays like x"),
    ]
    for call, kind, said in cases:
        with pytest.raises(kind, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)
