"""Evaluations needed: against product formulas by hand, brute force, and exponents that theory gives."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import targets
from solvers import density, law
from studies import specifications
from studies.engine import run
from studies.output import figures
from studies.scaling import crossings, figure, needs, tables
from studies.scaling import targets as scaling_targets
from studies.scaling.errors import ByLaw, OnLine, UnmeasurableError
from studies.scaling.needs import Growth, Need, Needs, Plan, exponent_of
from studies.scaling.study import Evaluations
from studies.scaling.targets import gaussian
from studies.setting import Setting
from studies.specifications import job_of
from studies.steps_needed import steps_to_stay
from studies.store import Store
from tests.studies.test_cli import Run, assay  # noqa: F401  (a fixture)
from tests.studies.test_killed import finished

Array = NDArray[np.float64]
PLAN = Plan(targets=("spectrum-16",))
NATURAL = 1 / np.arange(1.0, 21)


def study_of(method: str, plan: Plan = PLAN) -> Needs:
    return Needs(specifications.job_of(method), plan)


def karras(steps: int) -> Array:
    ends = np.array([20.0, 0.02]) ** (1 / 7)
    return np.asarray((ends[0] + np.linspace(0, 1, steps + 1) * (ends[1] - ends[0])) ** 7)


def euler_by_hand(steps: int, variances: Array) -> Array:
    """Variance of Euler's sample on x' = sigma/(v + sigma^2) (x - mean), from the exact marginal."""
    sigma = karras(steps)
    growth = 1 + np.diff(sigma)[:, None] * sigma[:-1, None] / (variances + sigma[:-1, None] ** 2)
    return np.asarray(np.prod(growth, axis=0) ** 2 * (variances + sigma[0] ** 2))


def ddpm_by_hand(steps: int, variances: Array) -> Array:
    """Variance of x' = D + s (x - D) + sqrt(sigma'^2 (1 - s)) z with s = (sigma'/sigma)^2, D - mean = g (x - mean)."""
    sigma = karras(steps)
    after = variances + sigma[0] ** 2
    for now, following in itertools.pairwise(sigma):
        s, g = (following / now) ** 2, variances / (variances + now**2)
        after = (s + (1 - s) * g) ** 2 * after + following**2 * (1 - s)
    return np.asarray(after)


BY_HAND: dict[str, Callable[[int, Array], Array]] = {"euler": euler_by_hand, "ddpm": ddpm_by_hand}


def errors_by_hand(method: str, steps: int, variances: Array) -> dict[str, float]:
    truth = variances + 0.02**2
    found = BY_HAND[method](steps, variances)
    w2 = float(np.sqrt(np.sum((np.sqrt(found) - np.sqrt(truth)) ** 2)))
    kl = float(np.sum(found / truth - 1 - np.log(found / truth)) / 2)
    return {"W2": w2, "W2/scale": w2 / float(np.sqrt(variances.sum())), "KL": kl}


@pytest.mark.parametrize("method", BY_HAND)
@pytest.mark.parametrize("metric", ["W2", "W2/scale", "KL"])
def test_errors_are_those_of_the_product_formula(method: str, metric: str) -> None:
    variances = np.concatenate([NATURAL, NATURAL[:7], np.zeros(3)])  # repeated and zero variances too
    error = ByLaw(study_of(method).gaussians, gaussian(variances), metric)
    for steps in (5, 37, 300):
        assert error(steps) == pytest.approx(errors_by_hand(method, steps, variances)[metric], rel=1e-9)


@pytest.mark.parametrize("method", BY_HAND)
def test_steps_needed_are_between_the_whole_numbers_that_brute_force_finds(method: str) -> None:
    one = study_of(method)
    for metric, target in (("W2/scale", 0.02), ("KL", 0.01)):
        by_hand = [errors_by_hand(method, steps, NATURAL)[metric] for steps in range(1, 400)]
        above = max(steps for steps, error in enumerate(by_hand, 1) if error > target)
        need = one._need(1.0, target, ByLaw(one.gaussians, gaussian(NATURAL), metric), 4096)
        assert above < need.steps <= above + 1
        assert need.nfe == need.steps


@pytest.mark.parametrize("name", ["rotated-16", "spectrum-16", "gaussian-1d"])
def test_coordinates_computed_once_add_up_to_the_law_of_the_whole(name: str) -> None:
    target, one = targets.load(name), study_of("sde-dpm-solver++-2m")
    one.gaussians.of(24, gaussian(NATURAL))  # some variances are known already
    tableau = one.costs.tableau(24)
    whole = law(tableau, target).error_to(target.noised(*tableau.end))
    found = one.gaussians.of(24, target)
    assert found.w2 == pytest.approx(whole.w2, rel=1e-9)
    assert found.kl == pytest.approx(whole.kl, rel=1e-9)
    assert found.relative == pytest.approx(whole.w2 / np.sqrt(np.trace(target.covariance())), rel=1e-9)


@pytest.mark.parametrize(
    ("method", "order"),
    [
        ("euler", 1),
        ("heun", 2),
        ("ralston", 2),
        ("rk4", 4),
        ("dpm-solver++-2m", 2),
        ("ddpm", 1),
        ("ddim-eta", 1),
        ("sde-dpm-solver++-2m", 2),
        ("edm-churn", 2),
        ("stochastic-heun", 2),
    ],
)
def test_evaluations_grow_as_epsilon_to_the_minus_one_over_the_order(method: str, order: int) -> None:
    by_w2, by_kl = study_of(method).against("epsilon")
    assert by_w2.order == order
    assert by_w2.noisy == (
        method in ("ddpm", "ddim-eta", "sde-dpm-solver++-2m", "edm-churn", "stochastic-heun")
    )
    for growth, expected in ((by_w2, 1 / order), (by_kl, 1 / (2 * order))):
        # the divergence between near Gaussians is quadratic in their difference
        assert growth.exponent.value == pytest.approx(expected, rel=0.02)
        assert growth.exponent.low - 1e-3 <= expected <= growth.exponent.high + 1e-3


def test_midpoint_hides_a_term_on_a_gaussian_and_shows_it_on_a_mixture() -> None:
    """With x = c sqrt(v + s^2), x''' and -3 f_x x'' are equal: the leading error of the midpoint rule vanishes."""
    plan = Plan(targets=("spectrum-16", "easy-1d"))
    on_gaussian, _, on_mixture = study_of("midpoint", plan).against("epsilon")
    assert on_gaussian.exponent.value == pytest.approx(1 / 3, rel=0.01)
    assert on_mixture.exponent.value == pytest.approx(1 / 2, rel=0.02)


def against_isotropic(one: Needs) -> dict[str, Growth]:
    isotropic, _ = scaling_targets.families("dimension")
    found = {}
    for metric, target in isotropic.held:
        laws = zip(isotropic.sizes, isotropic.targets, strict=True)
        asked = [(size, target, ByLaw(one.gaussians, law, metric)) for size, law in laws]
        found[metric] = one._growth("dimension", "isotropic", metric, asked, needs.MOST)
    return found


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2), ("rk4", 4), ("ddpm", 1)])
def test_w2_and_kl_of_a_product_cost_as_their_shares_of_one_coordinate(method: str, order: int) -> None:
    one = study_of(method)
    found = against_isotropic(one)
    single = gaussian(np.ones(1))
    for metric, power in (("W2", 0.5), ("KL", 1.0)):
        growth = found[metric]
        for need in growth.needs:
            share = ByLaw(one.gaussians, single, metric)
            alone = steps_to_stay(
                share, need.target / need.size**power, needs.MOST, precision=needs.PRECISION
            )
            assert need.steps == pytest.approx(alone, rel=1e-9)
        assert growth.exponent.low - 1e-3 <= 1 / (2 * order) <= growth.exponent.high + 1e-3
        assert growth.exponent.value == pytest.approx(1 / (2 * order), rel=0.03)
    relative = [need.nfe for need in found["W2/scale"].needs]
    assert relative == pytest.approx([relative[0]] * len(relative), rel=1e-9)


def test_a_natural_spectrum_costs_less_w2_and_more_kl_than_an_isotropic_one() -> None:
    """Its further coordinates are small, so add little to W2; KL does not know small from large."""
    found = {(g.on, g.metric): g for g in study_of("heun").against("dimension")}
    assert len(found) == 6
    for metric, sign in (("W2", -1), ("KL", 1)):
        natural, flat = (found[on, metric].needs for on in ("spectrum 1/k", "isotropic"))
        assert natural[0] == flat[0]
        assert sign * (natural[-1].nfe - flat[-1].nfe) > 0.2 * flat[-1].nfe
        assert len(natural) == len(scaling_targets.DIMENSIONS)


def test_directions_without_data_cost_euler_nothing_and_euler_maruyama_something() -> None:
    """On a point, D = 0 and x'/x = 1/sigma, which Euler's steps in sigma follow exactly."""
    for method, costs_nothing in (("euler", True), ("euler-maruyama", False)):
        one = study_of(method)
        isotropic = against_isotropic(one)
        for growth in one.against("intrinsic"):
            free = [n.steps for n in isotropic[growth.metric].needs]
            held = [n.steps for n in growth.needs]
            assert held[-1] == pytest.approx(free[-1], rel=1e-9)  # no empty direction is left
            assert (held[0] == pytest.approx(free[0], rel=1e-9)) == costs_nothing


def test_the_condition_number_stops_counting_at_the_noise_that_is_left() -> None:
    """Variances below the noise at the grid's end are covered by it: growth is no power and says so."""
    by_w2, by_kl = study_of("heun").against("condition")
    costs = [n.nfe for n in by_kl.needs]
    assert costs[0] < costs[1] < costs[2] < costs[3]
    assert max(costs) < 1.6 * costs[0]
    assert by_kl.exponent.status == "drifting"
    assert abs(by_w2.exponent.value) < 0.01


def test_a_density_at_half_the_resolution_is_exact_enough() -> None:
    target = scaling_targets.modes(2, 4.0)
    for method in ("heun", "ddpm"):
        one = study_of(method)
        tableau = one.costs.tableau(32)
        sharp = density(tableau, target, estimate_error=False).tv(target.noised(*tableau.end))
        assert OnLine(one.costs, target)(32) == pytest.approx(sharp, abs=1e-8)


def test_modes_are_where_they_should_be() -> None:
    target = scaling_targets.modes(3, 8.0)
    assert target.means[:, 0] == pytest.approx([-2.0, 0.0, 2.0])
    assert target.variances[:, 0] == pytest.approx([1 / 16] * 3)
    assert target.weights == pytest.approx([1 / 3] * 3)


def test_separation_and_number_of_modes_are_measured_by_density() -> None:
    one = study_of("dpm-solver++-2m", Plan(most_on_line=64))
    (apart,) = one.against("separation")
    (many,) = one.against("modes")
    # two modes 8 deviations apart are in both ladders
    of_two = {n.size: n.steps for n in many.needs}[2]
    assert {n.size: n.steps for n in apart.needs}[8] == pytest.approx(of_two, rel=1e-12)
    above, below = (OnLine(one.costs, scaling_targets.modes(2, 8.0))(int(of_two) + k) for k in (0, 1))
    assert below <= scaling_targets.TV < above


def test_a_method_without_density_and_a_target_out_of_reach_give_their_reasons() -> None:
    def refuses(steps: int) -> float:
        raise UnmeasurableError("of a kind whose law needs a density of several variables")

    one = study_of("euler")
    need = one._need(1.0, 0.1, refuses, 64)  # type: ignore[arg-type]  # a plain function will do
    assert "several variables" in need.reason
    assert (need.status, np.isnan(need.nfe)) == ("no law", True)

    class Bent:
        failure = "the noise is bent too far"

        def __call__(self, steps: int) -> float:
            return 1.0 / steps**2 if steps >= 11 else float("inf")

    assert one._need(1.0, 0.1, Bent(), 64) == Need(
        1.0, 0.1, 11.0, 11.0, "fewer than 11 steps: the noise is bent too far"
    )
    out_of_reach = one._need(1.0, 0.1, ByLaw(one.gaussians, gaussian(np.ones(1)), "W2"), 4)
    assert out_of_reach.reason.startswith("not reached in 4 steps: the error is ")
    assert out_of_reach.status == "not reached"


def test_a_start_that_needs_two_steps_is_measured_from_two() -> None:
    one = study_of("dpm-solver++-3m(start='exact')")
    assert one.costs.least > 1
    by_w2, _ = one.against("epsilon")
    coarse = one._need(1.0, 1e3, ByLaw(one.gaussians, gaussian(NATURAL), "W2"), 64)
    assert coarse.steps == one.costs.least
    assert coarse.reason.startswith(f"fewer than {one.costs.least} steps: steps is ")
    assert np.isfinite([n.nfe for n in by_w2.needs]).all()
    (found, *_) = crossings.crossings(one, study_of("euler"), "spectrum-16")
    assert found.low == one.costs.nfe(one.costs.least)
    with pytest.raises(ValueError, match="eta"):
        list(study_of("ddim-eta(eta=-1.0)").against("epsilon"))


def test_cost_is_what_the_tableaux_count_and_a_line_between() -> None:
    costs = study_of("rk4").costs
    assert [costs.nfe(N) for N in (1, 2, 7)] == [4, 8, 28]
    assert costs.nfe(2.5) == 10
    assert costs.nfe(0.5) == 2
    corrected = study_of("predictor-corrector").costs
    assert corrected.nfe(10) == corrected.tableau(10).nfe > 10


def test_exponents_of_powers_are_exact_and_other_growth_drifts() -> None:
    sizes = (1, 3, 10, 30, 100, 300, 1000)

    def of(grow: Callable[[float], float]) -> Any:
        return exponent_of([Need(s, 0.1, grow(s), grow(s)) for s in sizes])

    for power in (0.1, 0.25, 0.5, 1.0, 1.5):
        found = of(lambda s, p=power: 7 * s**p)
        assert found.value == pytest.approx(power, rel=1e-6)
        assert found.status == "settled"
        assert found.low <= power <= found.high
        assert found.window == (30, 1000)
    assert of(lambda s: 10 + 10 * np.log(s)).status == "drifting"
    assert abs(of(lambda s: 40.0).value) < 1e-9


def test_slow_steps_leave_their_limit_within_the_interval() -> None:
    """NFE = d^(1/4) (1 + c/NFE): at dimension 1000 the exponent is still on its way."""
    sizes = (1, 3, 10, 30, 100, 300, 1000)
    found = exponent_of([Need(s, 0.1, 0.0, 12 * s**0.25 + 1.5) for s in sizes])
    assert found.low <= 0.25 <= found.high
    assert found.high - found.low < 0.02


def test_sizes_that_are_not_reached_and_too_few_steps_are_left_out_of_the_exponent() -> None:
    good = [Need(10.0**k, 0.1, 10.0**k, 10.0**k) for k in range(2, 7)]
    nothing = float("nan")
    ends = [Need(1.0, 0.1, 1.0, 1.0, needs.FEW), *good, Need(1e9, 0.1, nothing, nothing, "not reached")]
    unstable = Need(1e8, 0.1, 3.0, 3.0, "fewer than 3 steps: the method is unstable")
    assert exponent_of([*ends[:-1], unstable, ends[-1]]).value == pytest.approx(1.0)


def test_methods_slow_on_the_line_are_measured_there_only_when_named() -> None:
    job = specifications.job_of("stochastic-heun")
    assert list(Needs(job, PLAN, everywhere=False).against("modes")) == []
    assert not Needs(job, PLAN, everywhere=False).on_the_line
    assert Needs(job, PLAN).on_the_line


def growths() -> list[Growth]:
    small = Plan(targets=("spectrum-16",), most=2048)
    return [
        g
        for method in ("euler", "ddpm")
        for what in ("epsilon", "intrinsic")
        for g in study_of(method, small).against(what)
    ]


def test_tables_hold_every_size_and_say_what_was_missed(tmp_path: Path) -> None:
    found = growths()
    frame = tables.long(found)
    assert len(frame) == sum(len(g.needs) for g in found)
    assert set(frame["kind"]) == {"ODE", "SDE"}
    by_size, intrinsic = tables.reports(found, [])
    assert list(by_size.frame["method"]) == ["euler", "ddpm"]
    assert "1.000" in by_size.frame["spectrum-16, W2/scale"][0]
    assert intrinsic.frame.loc[0, "1/(2 order)"] == "0.5"
    short = Needs(specifications.job_of("euler"), Plan(targets=("spectrum-16",), most=64))
    (report,) = tables.reports(list(short.against("intrinsic")), [])
    assert any("not reached in 64 steps" in note and "euler" in note for note in report.notes)
    assert "*" in report.frame.iloc[0, -1]
    figures.save(figure.figure(found), tmp_path / "s.json")
    spec = json.loads((tmp_path / "s.json").read_text())
    assert len(spec["concat"]) == 5  # W2 and KL against epsilon and intrinsic dimension, exponents


def test_nothing_reached_is_nothing_to_draw() -> None:
    nothing = float("nan")
    need = Need(1.0, 0.1, nothing, nothing, "not reached")
    empty = Growth("modes", "modes", "euler", False, 1.0, "TV", (need,), exponent_of([need]))
    with pytest.raises(ValueError, match="nothing to draw"):
        figure.figure([empty])


def test_the_verb_keeps_what_it_finished(
    assay: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    arguments = ["scaling", "euler", "heun", "--against", "epsilon", "--against", "condition"]
    arguments += ["--target", "spectrum-16", "--limit", "512", "--out", str(tmp_path), "--json"]
    code, first, err = assay(*arguments)
    assert code == 0, err
    found = json.loads(first)
    assert {row["against"] for row in found["scaling"]} == {"epsilon", "condition"}
    assert found["crossings"][0]["nfe"] == pytest.approx(16.4, abs=0.1)
    assert (tmp_path / "scaling.csv").exists()
    assert (tmp_path / "crossings.csv").exists()
    assert (tmp_path / "scaling.png").stat().st_size > 10_000

    before = finished(tmp_path)
    code, second, _ = assay(*arguments)
    assert code == 0
    assert finished(tmp_path) == before
    assert json.loads(second) == found


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    one = Evaluations([specifications.job_of("euler")], PLAN, ["condition"])
    assert (
        run(one, Store(tmp_path)) == run(one, Store(tmp_path)) == list(study_of("euler").against("condition"))
    )


BAD = {
    "against": (["scaling", "--against", "dimensions"], "dimensions", "dimension"),
    "method of tokens": (["scaling", "tau-leaping"], "tau-leaping", "continuous"),
    "tokens with a method": (["scaling", "heun", "--against", "tokens"], "heun", "name none"),
    "grid": (["scaling", "heun", "--grid", "karas"], "karas", "karras"),
    "limit": (["scaling", "heun", "--limit", "2"], "2", "at least 4"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_value_and_remedy(assay: Run, case: str) -> None:  # noqa: F811
    arguments, value, remedy = BAD[case]
    code, out, err = assay(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert value in line
    assert remedy in line


def test_the_command_shows_both_halves(assay: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from studies.scaling import on_tokens

    few = on_tokens.Ladder(
        "length", "masks", "even", "path KL", 0.1, (8, 16, 32, 64), partial(on_tokens.by_profile, "even")
    )
    monkeypatch.setattr(on_tokens, "ladders", lambda: [few])
    monkeypatch.setattr(needs, "METHODS", ("euler",))
    code, out, err = assay("scaling", "--jobs", "1", "--against", "condition", "--against", "tokens")
    assert code == 0, err
    assert "condition number" in out
    assert "ancestral sampling of tokens" in out


def test_evaluations_are_counted_by_samples_where_no_law_reaches_down_to_their_floor() -> None:
    needs = Needs(job_of("ddpm"), Plan(Setting(), ("pair-2d",), most_on_line=64))
    (growth,) = needs.against("epsilon")
    assert growth.metric == "sliced W2/scale"
    measured = [need for need in growth.needs if need.status == "measured"]
    unseen = [need for need in growth.needs if need.status == "not seen"]
    assert measured
    assert len(measured) + len(unseen) == len(growth.needs)
    assert "samples of the truth itself have" in unseen[0].reason
    _, error, _ = needs.error_on("pair-2d")
    for need in measured:
        assert error(int(np.ceil(need.steps))) <= need.target < error(int(np.ceil(need.steps)) - 1)
        assert need.target >= 2 * error.floor  # type: ignore[attr-defined]


def test_a_model_of_one_s_own_is_asked_by_samples(
    assay: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is the exact one needs as many evaluations, by other samples."""
    monkeypatch.setattr(needs, "EPSILONS", (1e-3,))
    (tmp_path / "own.py").write_text(
        "from analytic import targets\nlaw = targets.load('pair-2d')\ntakes = 'level'\n"
        "def model(x, alpha, sigma):\n    return law.denoise(x, float(alpha), float(sigma))\n"
    )
    own = f"{tmp_path / 'own.py'}:model"
    words = ("scaling", "unipc", "--target", "pair-2d", "--jobs", "1", "--json")
    found = []
    for more in ((), ("--score", own)):
        code, out, err = assay(*words, *more, "--against", "epsilon")
        assert code == 0, err
        found += json.loads(out)["scaling"]
    assert [row["metric"] for row in found] == ["distance to the flow/scale"] * 2
    exact, asked = (row["nfe"] for row in found)
    assert asked == pytest.approx(exact, rel=0.05)
    assert asked != exact
    assert "name epsilon alone" in assay(*words, "--score", own, "--against", "modes")[2]
    assert "give FILE.py:NAME" in assay(*words, "--score", "widths(1.1)")[2]
