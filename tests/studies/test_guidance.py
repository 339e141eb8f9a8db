"""The guidance study: what is measured, its verdicts, its tables, and the verb."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from analytic import GaussianMixture, Tilted, paths, targets
from solvers import Composed, catalogue, density
from studies.guidance import measured, study
from studies.guidance.verb import guidance
from studies.setting import Setting

EASY, PLANE, SPACE = (targets.load(name) for name in ("easy-1d", "pair-2d", "pair-16"))
SETTING = Setting(paths.VE(0.05, 20.0), "log-snr")
WHERE = ("easy-1d", EASY, (1,), SETTING)
Y = (np.array([[1.0, 0.0]]), np.array([0.2]))


def asked(**given: object) -> study.Guidance:
    whole = study.Guidance(
        ("scales",),
        ("easy-1d", EASY),
        ("pair-2d", PLANE),
        ("pair-16", SPACE),
        setting=SETTING,
        methods=("heun", "ddpm"),
    )
    return replace(whole, **given)  # type: ignore[arg-type]


def test_the_exact_score_of_the_tilted_law_reaches_it_and_guidance_does_not() -> None:
    """The control: the same method, steps and start, so that what differs is the score alone."""
    (exact,) = measured.towards(*WHERE, measured.EXACT, "heun", 64, 4.0, 1000)
    (guided,) = measured.towards(*WHERE, measured.GUIDED, "heun", 64, 4.0, 1000)
    assert exact.w2 < 1e-3
    assert exact.tv < 1e-3
    assert guided.w2 > 0.5
    law = Tilted.towards(EASY, 1, 4.0)
    assert guided.aimed_mean == pytest.approx(law.mean, abs=1e-12)
    assert guided.aimed_deviation**2 == pytest.approx(law.variance + 0.05**2, abs=1e-12)
    # at scale 1 they are one model
    ((one,), (same,)) = (
        measured.towards(*WHERE, m, "ddpm", 8, 1.0, 1000) for m in (measured.GUIDED, measured.EXACT)
    )
    assert one.w2 == pytest.approx(same.w2, abs=1e-8)


@pytest.mark.parametrize("defect", ["sign", "swapped", "power"])
def test_a_planted_defect_of_guidance_is_far_from_what_guidance_draws(
    defect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = EASY.condition(1)
    wrong = {
        "sign": Composed((EASY, part), (1 + 2.0, -2.0)),
        "swapped": Composed((part, EASY), (1 - 2.0, 2.0)),
        "power": Composed((EASY, part), (1.0, 2.0)),
    }[defect]
    (right,) = measured.towards(*WHERE, measured.GUIDED, "heun", 16, 2.0, 1000)
    monkeypatch.setattr(measured, "guided", lambda *_, **__: wrong)
    (found,) = measured.towards(*WHERE, measured.GUIDED, "heun", 16, 2.0, 1000)
    assert found.w2 > 1.5 * right.w2 or found.status != "measured"


def test_a_sum_of_scores_of_gaussians_at_one_level_is_not_the_product_noised() -> None:
    """N(0, 1) and N(0, 1): the flow of the sum ends with variance 1/S^2 of the start's, far below the product's 1/2."""
    normal = GaussianMixture([1.0], [0.0], [1.0])
    path = paths.VE(1e-3, 1e3)
    tableau = catalogue["rk4"].tableau(path, Setting(path, "log-snr").nodes(256))
    found = density(
        tableau, Composed((normal, normal), (1.0, 1.0)), "prior", estimate_error=False, resolution=0.6
    )
    # dx/ds = x/(1 + s) for s = sigma^2: x falls by 1 + s
    assert found.variance == pytest.approx(1e6 / (1 + 1e6) ** 2, rel=1e-3)
    assert Tilted((normal, normal), (1.0, 1.0)).variance == pytest.approx(0.5, abs=1e-12)


def test_posteriors_and_compositions_are_measured_with_intervals() -> None:
    (exact,) = measured.observed("pair-2d", PLANE, *Y, SETTING, measured.EXACT, "heun", 32, 0.5, 2000)
    (particles,) = measured.observed("pair-2d", PLANE, *Y, SETTING, "twisted particles", "ddpm", 8, 0.5, 2000)
    (replaced,) = measured.observed("pair-2d", PLANE, *Y, SETTING, "replacement", "ddpm", 8, 0.5, 2000)
    for row in (exact, particles):
        assert row.w2 < row.floor + 4 * row.uncertainty
        assert row.weight == pytest.approx(row.aimed_weight, abs=0.06)
    assert replaced.w2 > 3 * exact.w2
    assert (exact.nfe, particles.nfe, replaced.nfe) == (64, 9, 8)
    long = "annealed-mcmc(chain=40)"
    (chain,) = measured.composed("easy-1d", EASY, SETTING, "sum of scores", long, 16, 1.0, 10_000)
    (plain,) = measured.composed("easy-1d", EASY, SETTING, "sum of scores", "ddpm", 16, 1.0, 2000)
    assert chain.w2 < chain.floor + 4 * chain.uncertainty < plain.w2
    assert chain.deviation == pytest.approx(chain.aimed_deviation, abs=0.03)
    assert chain.nfe == 16 * 41


def test_weights_take_guidance_and_sums_of_scores_to_their_laws() -> None:
    """By the law of many particles to first order in the steps; by few, with energies, as near as samples tell."""
    (coarse,), (many,) = (
        measured.towards(*WHERE, measured.WEIGHED, measured.MANY, n, 2.0, 1000) for n in (16, 32)
    )
    assert 0.4 < many.w2 / coarse.w2 < 0.6
    assert many.w2 < measured.towards(*WHERE, measured.GUIDED, "ddpm", 32, 2.0, 1000)[0].w2 / 2
    assert many.aimed_deviation == pytest.approx(coarse.aimed_deviation, abs=1e-12)
    energies = "feynman-kac(particles=100, weights='energies')"
    (few,) = measured.composed("easy-1d", EASY, SETTING, "sum of scores", energies, 8, 1.0, 10_000)
    (plain,) = measured.composed("easy-1d", EASY, SETTING, "sum of scores", "ddpm", 8, 1.0, 2000)
    assert few.w2 < few.floor + 2 * few.uncertainty < plain.w2 - 2 * few.uncertainty
    (short,) = measured.composed("easy-1d", EASY, SETTING, "sum of scores", measured.MANY, 8, 2.0, 1000)
    assert (short.status, "far from the composed law" in short.reason) == ("unstable", True)


def test_rescaling_over_many_coordinates_helps_guidance_and_does_not_reach_the_tilted_law() -> None:
    where = ("pair-16", SPACE, SETTING)
    plain, rescaled, of_eps, weighed = (
        measured.rescaled(*where, model, method, 16, 10.0, 4000)[0]
        for model, method in (
            (measured.GUIDED, "heun"),
            (measured.RESCALED, "heun"),
            (measured.OF_EPS, "heun"),
            (measured.WEIGHED, "feynman-kac(particles=100, weights='energies')"),
        )
    )
    assert rescaled.w2 < plain.w2 - 2 * plain.uncertainty
    assert of_eps.w2 > plain.w2 - 2 * plain.uncertainty
    assert weighed.w2 < rescaled.w2 - 2 * rescaled.uncertainty
    assert plain.deviation < rescaled.deviation < rescaled.aimed_deviation
    assert plain.aimed_deviation == rescaled.aimed_deviation  # of the same samples
    (one,), (same,) = (
        measured.rescaled(*where, m, "ddpm", 8, 1.0, 1000) for m in (measured.GUIDED, measured.RESCALED)
    )
    assert one.w2 == pytest.approx(same.w2, abs=1e-9)  # without guidance there is nothing to rescale


def test_verdicts_confirm_that_guidance_is_not_the_tilted_law_and_would_refute_it() -> None:
    row = measured.Drawn("scales", "easy-1d", measured.GUIDED, "heun", "scale", 4.0, 64, 128, w2=0.5)
    exact = replace(row, model=measured.EXACT, w2=0.001)
    assert list(asked().verdicts([row, exact])) == ["confirmed"]
    assert list(asked().verdicts([replace(row, w2=0.002), exact])) == ["refuted"]
    assert list(asked().verdicts([replace(row, value=1.0), replace(exact, value=1.0)])) == []
    assert list(asked().verdicts([replace(row, steps=16), exact])) == []


def test_the_verb_prints_tables_and_json_and_draws(tmp_path: pytest.TempPathFactory) -> None:
    app = typer.Typer()
    app.command()(guidance)
    short = ["heun", "--study", "scales", "--scale", "1", "--scale", "3", "--steps", "8", "--jobs", "1"]
    plot = f"{tmp_path}/guidance.svg"
    result = CliRunner().invoke(app, [*short, "--json", "--plot", plot])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)["guidance"]
    assert {(r["model"], r["value"]) for r in rows} >= {(measured.GUIDED, 3.0), (measured.EXACT, 1.0)}
    with open(plot) as file:
        assert "W2 to the tilted law" in file.read()
    for words, said in (
        (["--target", "gaussian-1d"], "two or more components"),
        (["--label", "0", "--label", "1"], "leave a component out"),
        (["--study", "scale"], "did you mean scales"),
        (["--study", "rescaled", "--space", "easy-1d"], "in several dimensions"),
        (["--study", "rescaled", "--scale", "0.5"], "at least 1 where predictions"),
        (["--samples", "50"], "multiple of 100"),
        (["--steps", "0"], "steps is 0"),
        (["nonsense"], "method is 'nonsense'"),
    ):
        refused = CliRunner().invoke(app, words)
        assert isinstance(refused.exception, ValueError)
        assert said in str(refused.exception)
