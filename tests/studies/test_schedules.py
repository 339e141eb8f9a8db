"""The schedule studies: grids, optimised grids, the diffusion time, and the singularity next to sigma = 0."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from analytic import GaussianMixture, paths, targets
from solvers import catalogue, grids, law, run
from studies import engine, laws, specifications
from studies.along_the_flow import Flow
from studies.runs.declared import Ask, built_by
from studies.schedules import figure, fitted, search, times
from studies.schedules import grids as study
from studies.schedules import tables as frames
from studies.schedules.study import Grids
from studies.schedules.verb import schedules
from studies.specifications import job_of
from studies.wrong_scores import own_model

VP = paths.VP()
CLOSED = paths.VE(0.02, 20.0)  # in whose own time no geometric grid ends
POINT, WIDTH = 1.0, 0.25  # mean and variance of gaussian-1d


def w2(method: str, path: paths.Gaussian, nodes: np.ndarray, target: GaussianMixture) -> float:
    """Return W2 of a sampler's law to the marginal, from means and variances of a Gaussian along the axes."""
    found = law(job_of(method).method.tableau(path, nodes), target)
    a, s = float(path.alpha(nodes[-1])), float(path.sigma(nodes[-1]))
    deviations = np.sqrt(np.diag(found.covariance)) - np.sqrt(a**2 * np.diag(target.covariance()) + s**2)
    return float(np.sqrt(np.sum((found.mean - a * target.mean()) ** 2) + np.sum(deviations**2)))


def test_every_grid_of_the_catalogue_is_tried_once():
    made = {name: build(VP, 7) for name, build in study.named_grids().items()}
    assert {name.split()[0] for name in made} == set(grids.catalogue) - {"exponential"}
    nodes = np.array(list(made.values()))
    gaps = np.abs(nodes[:, None] - nodes[None]).max(axis=2)
    assert gaps[~np.eye(len(nodes), dtype=bool)].min() > 1e-4


def test_the_best_grid_is_the_least_and_the_others_are_multiples_of_it():
    target = targets.load("spectrum-16")
    found = list(study.by_grid(job_of("dpm-solver++-2m"), "spectrum-16", target, VP, budgets=(16,)))
    job = job_of("dpm-solver++-2m")
    nodes = {g: build(VP, 16) for g, build in study.named_grids().items()} | fitted.fitted(
        job, VP, target, 16
    )
    errors = {g: w2("dpm-solver++-2m", VP, at, target) for g, at in nodes.items()}
    assert {g.grid: g.error for g in found} == pytest.approx(errors, rel=1e-9)
    (row,) = frames.by_grid(found).to_dict("records")
    best = min(errors, key=lambda g: errors[g])
    assert row["best"] == best == "polyexponential 2"
    assert float(row["W2"]) == pytest.approx(errors[best], rel=5e-3)
    assert {g: float(row[g]) for g in errors} == pytest.approx(
        {g: e / errors[best] for g, e in errors.items()}, rel=6e-3
    )


def test_logits_give_their_grid_back():
    nodes = grids.karras(VP, 6)
    assert study.nodes_of(VP, study.logits_of(VP, nodes)) == pytest.approx(nodes, rel=1e-10)


def test_an_optimised_grid_is_stationary_and_no_worse_than_any_made_by_hand():
    target = targets.load("spectrum-16")
    found = list(study.by_optimum(job_of("euler"), "spectrum-16", target, VP, {}, 4))
    by_name = {g.grid: g.error for g in found}
    assert by_name["optimised"] < 0.95 * min(e for g, e in by_name.items() if g != "optimised")
    nodes, error = study.optimise(job_of("euler"), VP, target, 4, [grids.power(VP, 4)])
    assert w2("euler", VP, nodes, target) == pytest.approx(error, rel=1e-9)
    assert error == pytest.approx(by_name["optimised"], rel=1e-4)
    # in time, which the optimiser does not see, every inner node sits at a minimum
    for i in (1, 2, 3):
        for factor in (0.97, 1.03):
            moved = nodes.copy()
            moved[i] *= factor
            assert w2("euler", VP, moved, target) > error


def test_truncation_falls_as_the_closed_form_of_the_ornstein_uhlenbeck_process():
    """From N(0, 1) instead of N(m e^-T, V): the flow keeps the deviation, the posterior of x_0 all but forgets it."""
    target = targets.load("gaussian-1d")
    T = 3.0
    V = WIDTH * np.exp(-2 * T) + 1 - np.exp(-2 * T)
    flow = np.hypot(np.sqrt(WIDTH / V) * POINT * np.exp(-T), np.sqrt(WIDTH / V) * (1 - np.sqrt(V)))
    gain = WIDTH * np.exp(-T) / V  # E[x_0 | x_T] per x_T
    after = np.sqrt(WIDTH * (1 - np.exp(-2 * T)) / V + gain**2)
    reverse = np.hypot(gain * POINT * np.exp(-T), np.sqrt(WIDTH) - after)
    (ode,) = times.by_time(job_of("rk4"), "g", target, "log-snr", 256, [T])
    (sde,) = times.by_time(job_of("ddpm"), "g", target, "log-snr", 4096, [T])
    # stopped at s = 1e-3, where the data is blurred by about that much
    assert ode.truncation == pytest.approx(flow, rel=5e-3)
    assert sde.truncation == pytest.approx(reverse, rel=1e-2)
    assert ode.discretisation < 1e-6 < sde.discretisation


@pytest.mark.parametrize(("method", "rate"), [("heun", 1), ("ddpm", 2)])
def test_truncation_rates_and_the_best_time(method, rate):
    target = targets.load("gaussian-1d")
    best = []
    for steps in (16, 64, 256):
        found = list(times.by_time(job_of(method), "g", target, "log-snr", steps))
        best.append(times.best_time(found))
        assert best[-1].error == min(e.error for e in found)
        by_T = [e.discretisation for e in found[2:]]
        assert by_T == sorted(by_T)
    assert times.truncation_rate(found).value == pytest.approx(rate, abs=0.02)
    assert best[0].time < best[1].time < best[2].time


def test_the_path_is_the_process_it_is_called_after():
    path = times.ornstein_uhlenbeck(2.5)
    s = np.linspace(0.1, 2.5, 7)
    assert path.alpha(s / 2.5) == pytest.approx(np.exp(-s), rel=1e-12)
    assert path.sigma(s / 2.5) ** 2 == pytest.approx(-np.expm1(-2 * s), rel=1e-12)


@pytest.mark.parametrize("variance", [0.25, 0.0])
@pytest.mark.parametrize("path", [VP, times.SINGULAR_PATH], ids=str)
@pytest.mark.parametrize("form", times.FORMS)
def test_time_derivatives_are_those_of_the_denoiser(form, path, variance):
    target = GaussianMixture([1.0], [[0.7]], [variance])

    def prediction(x: np.ndarray, t: float) -> np.ndarray:
        a, s = float(path.alpha(t)), float(path.sigma(t))
        x0 = target.denoise(x[:, None], a, s)[:, 0]
        eps = (x - a * x0) / s
        # the velocity of the path alpha x_0 + sigma eps, given x_t, is that of the flow
        velocity = float(path.d_alpha(t)) * x0 + float(path.d_sigma(t)) * eps
        return {"x0": x0, "eps": eps, "score": -eps / s, "v": a * eps - s * x0, "velocity": velocity}[form]

    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    for t in (0.5, 1e-2):
        a, s = float(path.alpha(t)), float(path.sigma(t))
        x, h = a * 0.7 + np.sqrt(a**2 * variance + s**2) * nodes, 1e-4 * t
        slope = (
            8 * (prediction(x, t + h) - prediction(x, t - h))
            - prediction(x, t + 2 * h)
            + prediction(x, t - 2 * h)
        ) / (12 * h)
        measured = np.sqrt(np.sum(weights * slope**2) / weights.sum())
        exact = times.time_derivative(form, t, 0.7, variance, path)
        assert float(exact) == pytest.approx(measured, rel=1e-7, abs=1e-9)


def test_growth_exponents():
    # by hand, sigma ~ sqrt(t): eps = (x - alpha x0)/sigma over data of width above 0, and over a point
    found = {(form, w): times.growth(form, 1.0, w) for form in times.FORMS for w in (0.25, 0.0)}
    smooth = {"eps": 0.5, "v": 0.5, "x0": 0, "score": 0, "velocity": 0}
    point = {"eps": 1, "v": 1, "x0": 0, "score": 1.5, "velocity": 1.5}
    assert {form: found[form, 0.25] for form in times.FORMS} == pytest.approx(smooth, abs=2e-3)
    assert {form: found[form, 0.0] for form in times.FORMS} == pytest.approx(point, abs=2e-3)


@pytest.mark.parametrize(
    ("method", "options", "grid", "order"),
    [
        ("kutta-3", {}, "uniform", 2),
        ("rk4", {}, "uniform", 3),
        ("dpm-solver++-2m", {}, "uniform", 1),
        ("kutta-3", {"clock": "time"}, "uniform", 3),
        ("kutta-3", {}, "power", 3),
        ("dpm-solver++-2m", {}, "log-snr", 2),
    ],
)
@pytest.mark.parametrize("name", ["spectrum-16", "easy-1d"])
def test_singular_orders_are_those_predicted(name, method, options, grid, order):
    target = targets.load(name)
    if name == "easy-1d" and options:
        assert not list(times.singular_orders(name, target, cases=[(method, options, grid)]))
        return
    (found,) = times.singular_orders(name, target, cases=[(method, options, grid)])
    assert found.predicted == order
    assert found.slope.low - 0.1 <= order <= found.slope.high + 0.1


def test_equal_orders_of_end_and_interior_leave_a_logarithm():
    target = targets.load("spectrum-16")
    found = list(
        times.singular_orders("s", target, cases=[("euler", {}, "uniform"), ("heun", {}, "uniform")])
    )
    for order, p in zip(found, (1, 2), strict=True):
        assert order.predicted == p
        # e N^p is a + b log N, so its second difference on doublings is small beside its first, which is not
        scaled = np.array(order.errors) * np.array(order.steps) ** float(p)
        first = np.diff(scaled[2:])
        assert np.all(first > 0.05 * scaled[2:-1])
        assert np.all(np.abs(np.diff(first)) < 0.35 * first[:-1])
        assert frames.verdict(order) != "refuted"


def test_refusals_name_the_way_out():
    with pytest.raises(ValueError, match="on the line"):
        laws.sharpest(targets.load("pair-2d"))
    with pytest.raises(ValueError, match="inner nodes"):
        study.optimise(job_of("euler"), VP, targets.load("gaussian-1d"), 1, [])
    with pytest.raises(ValueError, match="starts has no grid"):
        study.optimise(job_of("euler"), VP, targets.load("gaussian-1d"), 3, [])
    with pytest.raises(ValueError, match="form is"):
        times.time_derivative("noise", 0.1, 1.0, 1.0)
    with pytest.raises(ValueError, match="T is"):
        times.ornstein_uhlenbeck(0.0)
    with pytest.raises(ValueError, match="no Gaussian"):
        list(times.by_time(job_of("heun"), "easy-1d", targets.load("easy-1d"), "uniform", 8))
    with pytest.raises(ValueError, match="nothing to draw"):
        figure.figure()


def test_what_is_not_measured_is_a_row_that_says_why():
    found = list(study.by_grid(job_of("rk4"), "gaussian-1d", targets.load("gaussian-1d"), CLOSED, (16,)))
    none = [g for g in found if g.status == "no grid"]
    assert "geometric" in {g.grid for g in none}
    assert len(none) < len(found) == len(study.named_grids()) + 3  # the fitted ones
    assert all(np.isnan(g.error) and g.reason and not g.nfe for g in none)
    (row,) = frames.by_grid(found).to_dict("records")
    assert row["geometric"] == "no grid"
    nothing = [replace(g, status="unstable", error=np.nan) for g in found]
    (row,) = frames.by_grid(nothing).to_dict("records")
    assert (row["best"], row["W2"], row["uniform"]) == ("–", "–", "unstable")


def test_the_verb_prints_json_writes_a_table_draws_and_goes_on(tmp_path, monkeypatch):
    app = typer.Typer()
    app.command()(schedules)
    arguments = ["euler", "--study", "grids", "--study", "time", "--target", "gaussian-1d", "--jobs", "1"]
    files = ["--table", str(tmp_path / "s.csv"), "--plot", str(tmp_path / "s.json")]
    files += ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, *files, "--json"])
    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)
    chosen = next(r for r in found["grids"] if r["grid"] == "cosine" and r["steps"] == 20)
    nodes = grids.cosine(VP, 20)
    assert chosen["error"] == pytest.approx(w2("euler", VP, nodes, targets.load("gaussian-1d")), rel=1e-9)
    assert {file.name for file in tmp_path.iterdir()} == {
        "s.csv",
        "s-time.csv",
        "s.json",
        "s-time.json",
        "out",
    }
    monkeypatch.setattr(study, "error", None)  # whatever is asked for again must come from the folder
    monkeypatch.setattr(times, "law_or_none", None)
    assert CliRunner().invoke(app, [*arguments, *files, "--json"]).stdout == result.stdout
    refused = CliRunner().invoke(app, ["--study", "time", "--target", "easy-1d"])
    assert isinstance(refused.exception, ValueError)


def test_a_grid_of_equal_local_errors_beats_those_made_by_hand() -> None:
    path, target = paths.VE(0.02, 20), targets.load("easy-1d")
    for name in ("euler", "heun"):
        job = job_of(name)
        by_hand = [
            study.law_error(job, path, at, target).value
            for at in study.made(path, 10).values()
            if not isinstance(at, ValueError)
        ]
        equal = fitted.equal_error(job, path, target, 10)
        assert (equal[0], equal[-1], len(equal)) == (path.start, path.stop, 11)
        assert study.law_error(job, path, equal, target).value < min(by_hand)


def test_equal_errors_are_equal() -> None:
    path, target = paths.VE(0.02, 20), targets.load("spectrum-16")
    job = job_of("euler")

    def spread(nodes: np.ndarray) -> float:
        local = [study.law_error(job, path, nodes[i : i + 2], target).value for i in range(len(nodes) - 1)]
        return max(local) / min(local)

    assert spread(fitted.equal_error(job, path, target, 40)) < 1.5
    assert spread(study.made(path, 40)["log-snr"]) > 5


def test_gits_is_the_best_of_all_grids_on_its_nodes() -> None:
    path, target = paths.VE(0.02, 20), targets.load("easy-1d")
    best = fitted.gits(path, target, 3, fine=9, samples=64, discount=1.0)
    fine = grids.log_snr(path, 8)
    assert set(best) <= set(fine)
    x = target.noised(1.0, float(path.sigma(fine[0]))).sample(64, 0)
    along = run(catalogue["dpm-solver-3"].tableau(path, fine), target, x, full=True).trajectory

    def deviation(nodes: list[int]) -> float:
        total = 0.0
        for i, j in itertools.pairwise(nodes):
            step = run(catalogue["euler"].tableau(path, fine[[i, j]]), target, along[i])
            total += float(np.abs(step - along[j]).mean())
        return total

    every = {(0, i, j, 8): deviation([0, i, j, 8]) for i, j in itertools.combinations(range(1, 8), 2)}
    least = min(every, key=lambda nodes: every[nodes])
    np.testing.assert_allclose(best, fine[list(least)])
    with pytest.raises(ValueError, match="steps is 9: give 1 to 8"):
        fitted.gits(path, target, 9, fine=9)


@pytest.mark.parametrize("name", ["easy-1d", "rotated-16", "spectrum-16"])
def test_the_error_of_denoising_is_what_samples_have_and_what_d_gains(name: str) -> None:
    """E|x_0 - D|^2, and along the reverse process E|D_s - D_t|^2 = m(t) - m(s), since D is a martingale."""
    target = targets.load(name)
    if not target.is_gaussian and target.dim > 1:
        with pytest.raises(ValueError, match="exact"):
            fitted.denoising_error(target, np.array([1.0]))
        return
    n, low, high = 200_000 // target.dim, 0.4, 0.9
    clean, rng = target.sample(n, 1), np.random.default_rng(2)
    near = clean + low * rng.standard_normal(clean.shape)
    far = near + np.sqrt(high**2 - low**2) * rng.standard_normal(clean.shape)
    Ds, Dt = target.denoise(near, 1.0, low), target.denoise(far, 1.0, high)
    m = fitted.denoising_error(target, np.array([low, high]))
    for samples, exact in (
        (np.sum((clean - Ds) ** 2, axis=1), m[0]),
        (np.sum((clean - Dt) ** 2, axis=1), m[1]),
        (np.sum((Ds - Dt) ** 2, axis=1), m[1] - m[0]),
    ):
        assert abs(samples.mean() - exact) < 4.5 * samples.std() / np.sqrt(n)


@pytest.mark.parametrize(("name", "steps"), [("easy-1d", 5), ("spectrum-16", 20), ("separated-1d", 9)])
def test_the_aligned_grid_is_stationary_and_has_the_least_bound(name: str, steps: int) -> None:
    target = targets.load(name)

    def riemann(nodes: np.ndarray) -> float:
        gamma = np.exp(2 * VP.log_snr(nodes))
        return float(fitted.denoising_error(target, gamma**-0.5)[:-1] @ np.diff(gamma))

    nodes = fitted.aligned(VP, target, steps)
    by_hand = [riemann(at) for at in study.made(VP, steps).values() if not isinstance(at, ValueError)]
    assert riemann(nodes) < min(by_hand)
    gamma, small = np.exp(2 * VP.log_snr(nodes)), 1e-4
    m, up, down = (
        fitted.denoising_error(target, (gamma * factor) ** -0.5) for factor in (1, 1 + small, 1 - small)
    )
    slope = (up - down) / (2 * small * gamma)
    np.testing.assert_allclose(slope[1:-1] * np.diff(gamma)[1:], np.diff(m)[:-1], rtol=1e-4)
    with pytest.raises(ValueError, match="steps is 1"):
        fitted.aligned(VP, target, 1)


def test_the_objective_bounds_the_divergence_of_ddpm() -> None:
    target = targets.load("gaussian-1d")
    nodes = fitted.aligned(VP, target, 12)
    gamma = np.exp(2 * VP.log_snr(nodes))
    fine = np.exp(np.linspace(*np.log(gamma[[0, -1]]), 4001))
    whole = np.trapezoid(fitted.denoising_error(target, fine**-0.5) * fine, np.log(fine))
    bound = (fitted.denoising_error(target, gamma**-0.5)[:-1] @ np.diff(gamma) - whole) / 2
    tableau = catalogue["ddpm"].tableau(VP, nodes)
    divergence = law(tableau, target).error_to(target.noised(*tableau.end)).kl
    assert 0 < divergence < bound < 100 * divergence


def test_few_steps_are_searched_whole_and_more_until_no_single_change_helps() -> None:
    target, nodes = targets.load("gaussian-1d"), grids.log_snr(VP, 4)
    whole = search.Search(VP, nodes, target)
    found = whole.best()
    assert len(whole.known) == 1 * 3 * 5 * 5
    every = itertools.product(*[search.CHOICES] * 4)
    assert whole.error(found) == min(whole.error(choices) for choices in every)
    assert len(whole.known) == 75
    assert whole.error(found) < 0.7 * whole.error(whole.uniform())
    longer = search.Search(VP, grids.log_snr(VP, 7), target)
    ahead = longer.best()
    for place, choice in itertools.product(range(7), search.CHOICES):
        assert longer.error((*ahead[:place], choice, *ahead[place + 1 :])) >= longer.error(ahead)
    assert search.written(((1, "noise"), (2, "data"), (3, "noise"))) == "1 d2 n3"
    own, other = itertools.islice(search.by_search("a", target, VP, {}, 3), 2)
    assert (own.which, other.which, other.error <= own.error) == ("uniform", "found", True)


def test_named_grids_are_compared_by_samples_where_no_law_reaches() -> None:
    plane = targets.load("pair-2d")
    found = list(study.by_grid(job_of("heun"), "pair-2d", plane, VP, (20,)))
    by = {one.grid: one for one in found}
    assert {one.metric for one in found} == {"sliced W2"}
    assert by["geometric"].error > 3 * by["shifted"].error  # far beyond their intervals
    assert 0 < by["shifted"].uncertainty < by["shifted"].error
    assert not {name for name in by if "fitted" in name or name == "optimised"}
    asked = Grids([job_of("heun")], {"pair-2d": plane}, VP)
    (report,) = asked.reports(found)
    assert "samples of the truth itself have" in " ".join(report.notes)


def test_the_distance_from_the_flow_falls_by_the_order_and_is_nothing_of_the_flow_itself() -> None:
    flow = Flow(targets.load("pair-2d"), VP)
    fine = flow.distance(job_of("dpm-solver-3"), grids.log_snr(VP, 256))
    assert fine.value < 1e-12
    heun, steps = job_of("heun"), (64, 128)
    coarse, finer = (flow.distance(heun, grids.log_snr(VP, n)).value for n in steps)
    assert math.log2(coarse / finer) == pytest.approx(2, abs=0.1)
    edm, near = paths.EDM(0.02, 20.0), grids.log_snr(paths.EDM(0.02, 20.0), 64)
    to_data = Flow(targets.load("pair-2d"), edm)  # one more step leads there, of which D - x is a small part
    assert to_data.distance(heun, np.append(near, 0.0)).value == pytest.approx(
        to_data.distance(heun, near).value, rel=0.2
    )
    with pytest.raises(ValueError, match="draws noise"):
        flow.distance(job_of("ddpm"), grids.log_snr(VP, 8))


OWN = """
from analytic import targets
predicts, takes = "x0", "level"
law = targets.load("pair-2d")
def model(x, alpha, sigma):
    return law.denoise(x, float(alpha), float(sigma))
"""


@pytest.mark.slow
def test_a_grid_is_optimised_where_no_law_reaches_and_read_again_from_its_levels(tmp_path) -> None:
    plane, job = targets.load("pair-2d"), job_of("unipc")
    found = {g.grid: g for g in study.by_optimum(job, "pair-2d", plane, VP, {}, 4)}
    best = found.pop("optimised")
    assert {g.metric for g in found.values()} == {"distance to the flow"}
    assert best.error < 0.8 * min(
        g.error for g in found.values() if g.status == "measured"
    )  # on other starts
    (tmp_path / "own.py").write_text(OWN)
    own = Flow(plane, VP, own_model(f"{tmp_path / 'own.py'}:model", VP))
    nodes = VP.time_of_log_snr(-np.log(best.levels))
    assert own.distance(job, nodes).value == pytest.approx(
        best.error, rel=0.1
    )  # by the exact model, other starts
    (tmp_path / "levels.txt").write_text("\n".join(map(repr, best.levels)))
    again = study.Asked({"mine": specifications.grid_of(str(tmp_path / "levels.txt"))}, samples=1000)
    (mine,) = (g for g in study.by_grid(job, "pair-2d", plane, VP, (4,), again) if g.grid == "mine")
    direct = study.on_grid(job, "pair-2d", plane, VP, ("x", nodes), 4, asked=again)
    assert mine.error == pytest.approx(direct.error, rel=1e-6)


def asked(**options: object) -> list:
    return built_by(Ask("schedules", options))


def test_own_grids_and_models_are_asked_for_by_the_verb(tmp_path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "s.txt").write_text("10\n3\n1\n0.3\n0.02\n")
    own = f"{tmp_path / 'own.py'}:model"
    (grids_of, _) = asked(
        methods=["heun"], targets=["pair-2d"], grids=[str(tmp_path / "s.txt")], score=own, samples=500
    )
    found = {g.grid: g for g in engine.run(grids_of)}
    mine = found[str(tmp_path / "s.txt")]
    assert (mine.metric, mine.status) == ("sliced W2", "measured")
    assert "GITS" not in found  # which asks the exact model
    for wrong, said in (
        ({"score": "widths(1.1)"}, "give FILE.py:NAME"),
        ({"score": own, "studies": ["time"]}, "asks the exact model"),
        ({"grids": ["karras"]}, "compared in any case"),
        ({"samples": 3}, "at least 100"),
    ):
        with pytest.raises(ValueError, match=said):
            asked(**wrong)
