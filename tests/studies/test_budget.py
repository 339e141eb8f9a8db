"""The error budget: parts against closed forms, and what must add up."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from scipy.special import ndtr
from typer.testing import CliRunner

from analytic import GaussianMixture, distances, paths, targets
from solvers import Imperfect, ScoreError, catalogue, density, law, sample
from solvers.continuous.executors.law import gaussian_law, marginal
from studies import wrong_scores
from studies.budget import figure, parts, published_initial_law
from studies.budget.coordinates import GaussianCoordinates, LineCoordinates
from studies.budget.parts import Bench, Budget, Causes, budget
from studies.budget.verb import METHODS, TARGETS
from studies.budget.verb import budget as verb
from studies.setting import Setting
from studies.specifications import job_of

Array = NDArray[np.float64]
VP = paths.VP()
SETTING = Setting(path=VP, grid="log-snr")
LEVELS = [(float(VP.alpha(t)), float(VP.sigma(t))) for t in (VP.start, VP.stop)]
EASY, NARROW = targets.load("easy-1d"), targets.load("narrow-1d")
GAUSSIAN = targets.load("gaussian-1d")
SPECTRUM = targets.load("spectrum-16")
WIDER = GaussianMixture(EASY.weights, EASY.means, 1.2 * EASY.variances)


FINE: dict[str, dict[Any, Any]] = {}  # fine laws without a wrong model are the same in every test


def bench_of(name: str, **causes: Any) -> Bench:
    fine = FINE.setdefault(name, {}) if "model" not in causes else {}
    return Bench(name, targets.load(name), SETTING, Causes(**{"samples": 2000} | causes), fine)


@cache
def wrong_bench(name: str) -> Bench:
    return bench_of(name, model=Imperfect(targets.load(name), ScoreError(0.01, "relative")))


def w2_of_quantiles(a: Any, b: Any) -> float:
    """W2 on the line by a midpoint rule in z, u = Phi(z): nothing shared with the study."""
    z = np.linspace(-7.5, 7.5, 60_001)
    z = (z[1:] + z[:-1]) / 2
    u = ndtr(z)
    weights = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    return float(np.sqrt(np.sum(weights * (a(u) - b(u)) ** 2)))


# ---------------------------------------------------------------- coordinates


@pytest.mark.parametrize("target", [EASY, NARROW], ids=["easy", "narrow"])
@pytest.mark.parametrize("method", ["euler", "ddpm"])
def test_the_norm_on_the_line_is_w2(target: GaussianMixture, method: str) -> None:
    tableau = catalogue[method].tableau(VP, SETTING.nodes(24))
    end = target.noised(*tableau.end)
    f = density(tableau, target, "prior", estimate_error=False)
    space = LineCoordinates([f, end])
    assert space.norm(space.of(f) - space.of(end)) == pytest.approx(f.w2(end), rel=1e-6)


def test_upper_quantiles_of_a_density_invert_its_survival() -> None:
    f = density(catalogue["ddpm"].tableau(VP, SETTING.nodes(16)), NARROW, estimate_error=False)
    s = np.concatenate([np.logspace(-12, -1, 12), [0.3, 0.44, 0.5, 0.9]])
    np.testing.assert_allclose(f.survival(f.quantile_survival(s)), s, rtol=1e-11)
    with pytest.raises(ValueError, match="s has a value outside"):
        f.quantile_survival([1.0])


def test_small_moves_of_samples_move_coordinates_by_what_is_said() -> None:
    """x to x + 1e-3 (x - 2) moves quantiles and means by 1e-3 (Q - 2), deviations by 1e-3 of themselves."""
    n, size = 200_000, 1e-3
    tableau = catalogue["ddpm"].tableau(VP, SETTING.nodes(12))
    f = density(tableau, EASY, estimate_error=False)
    line = LineCoordinates([f])
    x = sample(tableau, EASY, n, 1)
    direction = np.sin(line.of(f))
    moves = line.moved(f, x, size * (x - 2), direction)
    wanted = line.inner(size * (line.of(f) - 2), direction)
    assert abs(moves.mean() - wanted) < 4.5 * moves.std() / np.sqrt(n)
    assert abs(wanted) > 20 * moves.std() / np.sqrt(n)

    rotated = targets.load("rotated-16")
    g = law(tableau, rotated)
    space = GaussianCoordinates(rotated)
    y = sample(tableau, rotated, n, 1)
    along = np.random.default_rng(0).standard_normal(32)
    moves = space.moved(g, y, size * (y - 2), along)
    assert g.basis is not None
    wanted = size * float(
        np.concatenate([g.centre - 2 * g.basis.T @ np.ones(16), np.sqrt(g.variances)]) @ along
    )
    assert abs(moves.mean() - wanted) < 4.5 * moves.std() / np.sqrt(n)
    assert abs(wanted) > 20 * moves.std() / np.sqrt(n)


# ---------------------------------------------------------------- parts against closed forms


@pytest.mark.parametrize("method", ["euler", "ddpm", "ddim-eta(eta=0.5)"])
def test_initial_part_of_a_gaussian_is_the_closed_form(method: str) -> None:
    found = budget(job_of(method), bench_of("spectrum-16", on=("initial",)), 8)
    eta = catalogue[method.split("(")[0]].tableau(VP, SETTING.nodes(2)).stochasticity
    ends = [
        published_initial_law.reached(SPECTRUM, VP.stop, float(eta or 0), i) for i in ("prior", "marginal")
    ]
    assert found["initial"].size == pytest.approx(ends[0].error_to(ends[1]).w2, rel=1e-4)


def test_initial_part_of_the_flow_on_the_line_is_the_quantile_coupling() -> None:
    found = budget(job_of("heun"), bench_of("easy-1d", on=("initial",)), 8)
    first, last = (EASY.noised(*level) for level in LEVELS)
    prior = GaussianMixture([1.0], [0.0], [1.0])
    wanted = w2_of_quantiles(lambda u: last.quantile(first.cdf(prior.quantile(u))), last.quantile)
    assert found["initial"].size == pytest.approx(wanted, rel=1e-5)


def test_initial_part_of_the_sde_on_the_line_is_the_exact_reverse_kernel() -> None:
    found = budget(job_of("ddpm"), bench_of("easy-1d", on=("initial",)), 8)
    (a, s), (b, r) = LEVELS
    first, last = (EASY.noised(*level) for level in LEVELS)
    y, weight = np.polynomial.hermite_e.hermegauss(80)
    variances, joint = EASY.variances[:, 0], a * b * EASY.variances[:, 0] + (a / b) * r**2
    at_first, at_last = a**2 * variances + s**2, b**2 * variances + r**2
    gain = joint / at_first
    evidence = EASY.weights[:, None] * np.exp(-((y - a * EASY.means) ** 2) / at_first[:, None] / 2)
    evidence /= np.sqrt(at_first)[:, None]
    evidence /= evidence.sum(axis=0)
    centres = b * EASY.means + gain[:, None] * (y - a * EASY.means)
    spread = np.repeat((at_last - gain * joint)[:, None], len(y), axis=1)
    mixing = evidence * weight / weight.sum()
    kept = mixing.ravel() > 1e-18
    out = GaussianMixture(
        mixing.ravel()[kept] / mixing.ravel()[kept].sum(), centres.ravel()[kept], spread.ravel()[kept]
    )
    wanted = w2_of_quantiles(out.quantile, last.quantile)
    assert abs(found["initial"].size - wanted) < found["initial"].uncertainty < 0.1 * wanted
    assert (
        found["initial"].size
        < 0.02 * budget(job_of("heun"), bench_of("easy-1d", on=("initial",)), 8)["initial"].size
    )
    assert first.dim == 1


def test_score_part_of_the_flow_is_the_wrong_models_own_coupling() -> None:
    found = budget(job_of("heun"), bench_of("easy-1d", on=("score",), model=WIDER), 8)
    (first, last), (wrong_first, wrong_last) = ([m.noised(*level) for level in LEVELS] for m in (EASY, WIDER))
    wanted = w2_of_quantiles(lambda u: wrong_last.quantile(wrong_first.cdf(first.quantile(u))), last.quantile)
    assert found["score"].size == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("method", ["euler", "ddpm"])
def test_score_part_of_a_gaussian_is_the_wrong_models_own_kernel(method: str) -> None:
    wrong = GaussianMixture([1.0], SPECTRUM.means, 1.3 * SPECTRUM.variances)
    found = budget(job_of(method), bench_of("spectrum-16", on=("score",), model=wrong), 8)
    (first, last), (wrong_first, wrong_last) = (
        [marginal(m, *level) for level in LEVELS] for m in (SPECTRUM, wrong)
    )
    kept = wrong_last.variances / wrong_first.variances
    kept = np.sqrt(kept) if method == "euler" else kept * LEVELS[0][0] / LEVELS[1][0]
    reached = wrong_last.variances + kept**2 * (first.variances - wrong_first.variances)
    wanted = np.linalg.norm(np.sqrt(reached) - np.sqrt(last.variances))
    assert found["score"].size == pytest.approx(wanted, rel=1e-5)


def test_truncation_and_discretisation_parts_are_what_other_modules_measure() -> None:
    found = budget(job_of("dpm-solver++-2m"), bench_of("easy-1d"), 16)
    end = EASY.noised(*LEVELS[1])
    assert found["truncation"].size == pytest.approx(w2_of_quantiles(EASY.quantile, end.quantile), rel=1e-6)
    tableau = catalogue["dpm-solver++-2m"].tableau(VP, SETTING.nodes(16))
    assert found["discretisation"].size == pytest.approx(density(tableau, EASY).w2(end), rel=1e-6)
    gaussian = budget(job_of("ddpm"), bench_of("spectrum-16"), 16)
    wanted = distances.gaussian_w2(
        SPECTRUM.mean(),
        SPECTRUM.covariance(),
        *(f() for f in (end_of(SPECTRUM).mean, end_of(SPECTRUM).covariance)),
    )
    assert gaussian["truncation"].size == pytest.approx(wanted, rel=1e-6)


def end_of(target: GaussianMixture) -> GaussianMixture:
    return target.noised(*LEVELS[1])


# ---------------------------------------------------------------- what must add up


SLOW = {("sde-dpm-solver++-2m", "easy-1d"), ("sde-dpm-solver++-2m", "narrow-1d"), ("heun", "narrow-1d")}


@pytest.mark.parametrize(
    ("method", "name"),
    [
        pytest.param(m, t, marks=[pytest.mark.slow] if (m, t) in SLOW else [])
        for t in TARGETS
        for m in METHODS
    ],
)
def test_shares_and_remainder_add_up_to_the_error_of_what_is_run(method: str, name: str) -> None:
    bench = wrong_bench(name)
    model = bench.model
    found = budget(job_of(method), bench, 16)
    tableau = catalogue[method].tableau(VP, SETTING.nodes(16))
    if bench.means == "law":
        begin: Any = "prior"
        whole = law(tableau, model, begin).error_to(gaussian_law(bench.target)).w2
    else:
        whole = density(tableau, model, "prior", estimate_error=False).w2(bench.target)
    assert found.whole == pytest.approx(whole, rel=3e-5)  # but for float32 and quadrature
    assert sum(p.share for p in found.parts) + found.remainder == pytest.approx(found.whole, rel=1e-12)
    assert abs(found.remainder) <= found.interaction * (1 + 1e-9)
    for p in found.parts:
        assert abs(p.share) <= p.size * (1 + 1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_what_parts_do_to_each_other_is_a_fiftieth_of_them_in_128_steps(method: str) -> None:
    found = budget(job_of(method), wrong_bench("spectrum-16"), 128)
    assert found.interaction < sum(p.size for p in found.parts) / 50


def test_the_remainder_is_second_order_in_the_errors() -> None:
    remainders = []
    for steps, size in ((32, 0.02), (64, 0.01), (128, 0.005)):
        model = Imperfect(EASY, ScoreError(size, "relative"))
        bench = bench_of("easy-1d", model=model, on=("truncation", "discretisation", "score"))
        remainders.append(budget(job_of("euler"), bench, steps).remainder)
    assert remainders[0] / remainders[1] == pytest.approx(4, rel=0.15)
    assert remainders[1] / remainders[2] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("name", ["gaussian-1d", "easy-1d"])
def test_a_part_switched_off_is_exactly_zero_and_the_rest_is_as_it_was(name: str) -> None:
    target = targets.load(name)
    model = Imperfect(target, ScoreError(0.03, "constant"))
    everything = bench_of(name, model=model)
    full = budget(job_of("heun"), everything, 12)
    for off in parts.PARTS:
        on = tuple(p for p in parts.PARTS if p != off)
        found = budget(job_of("heun"), replace(everything, causes=replace(everything.causes, on=on)), 12)
        assert (found[off].size, found[off].share, found[off].uncertainty) == (0.0, 0.0, 0.0)
        for p in on:
            if p != "precision":
                assert found[p].size == pytest.approx(full[p].size, rel=1e-6), p
                assert found[p].size > 0
    nothing = budget(job_of("heun"), replace(everything, causes=replace(everything.causes, on=())), 12)
    assert nothing.whole == nothing.interaction == 0.0
    exact = budget(job_of("heun"), bench_of(name, model=target), 12)
    assert exact["score"].size == 0.0


@pytest.mark.parametrize("part", ["initial", "truncation", "discretisation", "score"])
def test_one_part_alone_is_the_whole(part: str) -> None:
    model = Imperfect(EASY, ScoreError(0.03, "constant"))
    found = budget(job_of("euler"), bench_of("easy-1d", model=model, on=(part,)), 12)
    assert found[part].share == pytest.approx(found.whole, rel=1e-9)
    assert found[part].size == pytest.approx(found.whole, rel=1e-9)
    assert abs(found.remainder) < 1e-9 * found.whole


def test_float32_is_measured_on_the_same_noise_and_bounded() -> None:
    bench = bench_of("spectrum-16", on=("precision",), samples=4000)
    found = budget(job_of("ddpm"), bench, 64)
    tableau = catalogue["ddpm"].tableau(VP, SETTING.nodes(64))
    start = SPECTRUM.noised(*tableau.start)
    x, y = (
        sample(tableau, SPECTRUM, 4000, 0, start, dtype=kind).astype(float) for kind in ("float64", "float32")
    )
    assert found["precision"].size == pytest.approx(np.sqrt(np.mean(np.sum((x - y) ** 2, axis=1))), rel=1e-12)
    assert found.whole == found["precision"].size  # the bound is all there is
    assert 1e-8 < found.whole < 1e-5
    beside = budget(job_of("ddpm"), bench_of("spectrum-16", samples=4000), 64)
    assert 0 < abs(beside["precision"].share) <= beside["precision"].size
    # moments of the two samples say the same, since the moves are small
    moved = np.concatenate([(y - x).mean(axis=0), y.std(axis=0) - x.std(axis=0)])
    space = GaussianCoordinates(SPECTRUM)
    g = law(tableau, SPECTRUM)
    direction = np.random.default_rng(3).standard_normal(32)
    assert float(np.mean(space.moved(g, x, y - x, direction))) == pytest.approx(moved @ direction, rel=0.1)


def test_a_method_that_follows_no_equation_is_its_own_reference() -> None:
    model = Imperfect(GAUSSIAN, ScoreError(0.02, "relative"))
    found = budget(job_of("edm-churn(s_churn=4.0)"), bench_of("gaussian-1d", model=model), 32)
    assert 0 < found["score"].uncertainty < 0.05 * found["score"].size
    assert found["initial"].size > 0


def test_a_model_that_bends_a_gaussian_is_measured_by_density() -> None:
    """The flow with the mixture's own score, from the Gaussian's marginal, is again a quantile coupling."""
    found = budget(job_of("heun"), bench_of("gaussian-1d", on=("score",), model=EASY), 8)
    assert found.means == "density"
    (first, last), (wrong_first, wrong_last) = (
        [m.noised(*level) for level in LEVELS] for m in (GAUSSIAN, EASY)
    )
    wanted = w2_of_quantiles(lambda u: wrong_last.quantile(wrong_first.cdf(first.quantile(u))), last.quantile)
    assert found["score"].size == pytest.approx(wanted, rel=1e-5)
    assert bench_of("spectrum-16", model=Imperfect(SPECTRUM, ScoreError(0.1, "bump"))).means == "samples"


def test_bad_words_are_named() -> None:
    with pytest.raises(ValueError, match="parts has 'luck'"):
        Causes(on=("luck",))
    with pytest.raises(ValueError, match="samples is 3"):
        Causes(samples=3)
    for text, said in (
        ("widths(-1)", "positive factor"),
        ("pair-2d", "2 dimensions"),
        ("bent(1)", "not known"),
        ("weights(1.0)", "2 positive weights"),
        ("weights(1.0, -1.0)", "2 positive weights"),
        ("missing(2)", "component that is missing"),
        ("kernel(0, 0.1)", "number of samples"),
        ("kernel(10, 0.0)", "bandwidth"),
        ("widths(factor=2.0)", "without names"),
    ):
        with pytest.raises(ValueError, match=said):
            wrong_scores.score_of(text, EASY)
    with pytest.raises(ValueError, match="rotated"):
        wrong_scores.score_of("widths(2)", targets.load("rotated-16"))
    assert wrong_scores.score_of("exact", EASY) is None
    np.testing.assert_allclose(wrong_scores.score_of("widths(1.2)", EASY).variances, WIDER.variances)
    assert wrong_scores.score_of("narrow-1d", EASY) is NARROW
    assert wrong_scores.score_of("relative(0.02)", EASY).errors == (ScoreError(0.02, "relative"),)
    np.testing.assert_allclose(wrong_scores.score_of("weights(1.0, 3.0)", EASY).weights, [0.25, 0.75])
    assert wrong_scores.score_of("missing(0)", EASY).means.tolist() == EASY.means[1:].tolist()


def test_a_kernel_score_brings_its_samples_and_its_bandwidth_to_the_law() -> None:
    kernel = wrong_scores.score_of("kernel(50, 0.3)", EASY)
    x = EASY.sample(50, seed=0)
    np.testing.assert_allclose(kernel.mean(), x.mean(axis=0))
    np.testing.assert_allclose(kernel.covariance(), np.cov(x.T, ddof=0).reshape(1, 1) + 0.09)
    found = budget(job_of("heun"), Bench("easy-1d", EASY, SETTING, Causes(model=kernel, on=("score",))), 32)
    # a sampler with the kernel's score ends near the kernel's own law, so the score's part is that law's distance
    wanted = distances.w2_1d(kernel.quantile, EASY.quantile).value
    assert found.whole == pytest.approx(wanted, rel=0.1)


# ---------------------------------------------------------------- the verb

APP = typer.Typer()
APP.command()(verb)


def test_the_verb_prints_shares_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "heun",
        "euler",
        "--target",
        "gaussian-1d",
        "--steps",
        "8",
        "--steps",
        "16",
        "--samples",
        "500",
    ]
    arguments += ["--out", str(tmp_path)]
    first = CliRunner().invoke(APP, [*arguments, "--json"])
    assert first.exit_code == 0, first.output
    rows = json.loads(first.stdout)["budget"]
    assert [(r["method"], r["nfe"]) for r in rows] == [
        ("heun", 16),
        ("heun", 32),
        ("euler", 8),
        ("euler", 16),
    ]
    for row in rows:
        total = sum(row[f"{p} share"] for p in parts.PARTS) + row["remainder"]
        assert total == pytest.approx(row["whole"], rel=1e-12)
    assert (tmp_path / "budget.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(parts, "budget", None)  # whatever is asked for again must come from the folder
    again = CliRunner().invoke(APP, [*arguments, "--json"])
    assert again.stdout == first.stdout
    read = CliRunner().invoke(APP, [*arguments, "--format", "markdown"])
    assert read.exit_code == 0
    assert "| remainder" in read.stdout


def test_the_figure_stacks_to_one() -> None:
    found = [
        budget(job_of("euler"), bench_of("gaussian-1d", on=("truncation", "discretisation")), N)
        for N in (4, 8)
    ]
    chart = figure.figure(found).to_dict()
    (values,) = [rows for rows in chart["datasets"].values() if "part" in rows[0]]
    for nfe in (4, 8):
        assert sum(v["to"] - v["from"] for v in values if v["nfe"] == nfe) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="found is empty"):
        figure.figure([])


def test_the_verb_says_which_grids_are_unstable(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(job: Any, bench: Bench, steps: int) -> Budget:
        if steps < 20:
            raise FloatingPointError("overflowed")
        return budget(job, bench, steps)

    monkeypatch.setattr(parts, "budget", explode)
    arguments = ["euler", "--target", "gaussian-1d", "--samples", "500", "--jobs", "1", "--steps", "8"]
    shown = CliRunner().invoke(APP, [*arguments, "--steps", "24"])
    assert "unstable: euler on gaussian-1d in 8 steps: overflowed" in shown.stdout
    rows = json.loads(CliRunner().invoke(APP, [*arguments, "--json"]).stdout)["budget"]
    assert [(r["steps"], r["nfe"], r["status"], r["whole"], r["score share"]) for r in rows] == [
        (8, 8, "unstable", None, None)
    ]
    with pytest.raises(ValueError, match="nothing measured can be drawn"):
        CliRunner().invoke(APP, [*arguments, "--plot", "a.png"], catch_exceptions=False)


def test_the_verb_names_bad_input() -> None:
    for arguments, said in (
        (["--grid", "spiral"], "grid"),
        (["--steps", "1"], "steps is 1"),
        (["--part", "luck"], "parts has 'luck'"),
        (["--published", "heun"], "methods is .*a table of its own"),
        (["--published", "--part", "score"], "part is .*a table of its own"),
    ):
        with pytest.raises(ValueError, match=said):
            CliRunner().invoke(APP, arguments, catch_exceptions=False)
