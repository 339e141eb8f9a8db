"""Methods at equal evaluations: errors are those of the laws, the best is named, and a tie is said to be one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from analytic import paths, targets
from solvers import grids
from studies import laws
from studies.cli import app
from studies.compare.errors import Compared, alike
from studies.compare.figure import figure
from studies.compare.study import Comparison, _best_at, recommended
from studies.engine import run
from studies.setting import Setting, steps_for
from studies.specifications import job_of

VP = paths.VP()
LINE = Setting(VP, "log-snr")


def measured(method: str, error: float, target: str = "t", budget: int = 10, wide: float = 0.0) -> Compared:
    return Compared(method, target, budget, budget, budget, "W2", error, wide)


@pytest.mark.parametrize(("method", "budget", "steps"), [("euler", 16, 16), ("heun", 16, 8), ("rk4", 18, 4)])
def test_a_budget_buys_as_many_steps_as_it_pays_for(method: str, budget: int, steps: int) -> None:
    assert steps_for(job_of(method), LINE, budget) == steps


def test_errors_are_those_of_the_laws_and_the_best_is_named() -> None:
    chosen = {"easy-1d": targets.load("easy-1d"), "spectrum-16": targets.load("spectrum-16")}
    study = Comparison([job_of("euler"), job_of("heun")], chosen, LINE, (10, 20))
    found = run(study)
    for one in found:
        assert one.nfe <= one.budget
        nodes = grids.log_snr(VP, one.steps)
        tableau = job_of(one.method).method.tableau(VP, nodes)
        known = laws.error(tableau, chosen[one.target])
        assert one.error == pytest.approx(known.value, rel=1e-9)
    first, second = study.reports(found)
    assert "TV on easy-1d" in first.title
    assert "W2 on spectrum-16" in second.title
    by = {one.method: one.error for one in found if (one.target, one.budget) == ("easy-1d", 20)}
    best, other = sorted(by, key=lambda name: by[name])
    assert f"NFE 20: {best} in" in first.notes[1]
    assert f"{other} has {by[other] / by[best]:.3g} times its error" in first.notes[1]
    assert second.notes[-1].startswith("Recommended: ")
    assert len(figure(found).concat) == 2


def test_samples_have_intervals_and_a_floor() -> None:
    setting = Setting(VP, "log-snr", samples=40_000)
    target = {"pair-2d": targets.load("pair-2d")}
    found = run(Comparison([job_of("euler"), job_of("heun")], target, setting, (6, 60)))
    coarse, fine = found[0], found[-1]
    assert coarse.metric == "sliced W2"
    assert coarse.uncertainty > 0
    assert coarse.error > 3 * coarse.floor
    assert fine.error < 2 * fine.floor
    note = next(iter(Comparison([], target, setting, (60,)).reports(found[2:]))).notes[0]
    assert "near the floor" in note


def test_ties_and_recommendations_are_what_the_numbers_say() -> None:
    assert alike(measured("a", 1.0), measured("b", 1.01))
    assert not alike(measured("a", 1.0), measured("b", 1.1))
    assert alike(measured("a", 1.0, wide=0.1), measured("b", 1.1, wide=0.1))
    low = Compared("a", "t", 10, 10, 10, "sliced W2", 0.02, 0.001, floor=0.06)
    assert alike(low, replace(low, method="b", error=0.05))
    assert "b has 2 times its error" in _best_at(10, [low, replace(low, method="b", error=0.12)])
    clear = [measured("a", 1.0), measured("b", 2.0), measured("a", 1.0, "u"), measured("b", 8.0, "u")]
    assert (
        "a, on the mean 4 times better than b, the next, over 2 places, and the best at each"
        in recommended(clear)
    )
    split = [measured("a", 1.0), measured("b", 2.0), measured("a", 2.0, "u"), measured("b", 1.0, "u")]
    assert "a tie between a and b" in recommended(split)
    absent = [measured("a", 1.0), Compared("b", "t", 10, 0, 0, "W2", np.nan, status="too few")]
    assert "a, the one method that was measured everywhere" in recommended(absent)


def test_the_verb_prints_a_recommendation_and_refuses_what_it_cannot_compare(tmp_path: Path) -> None:
    runner = CliRunner()
    asked = ["compare", "euler", "rk4", "--target", "gaussian-1d", "--nfe", "3", "--nfe", "12", "--jobs", "1"]
    done = runner.invoke(app, [*asked, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "too few" in done.output
    assert "rk4: one step takes 4 evaluations" in done.output
    assert "Recommended: euler" in done.output
    assert (tmp_path / "compare.png").stat().st_size > 1000
    found = json.loads(runner.invoke(app, [*asked, "--json"]).stdout)["compare"]
    assert [row["budget"] for row in found] == [3, 3, 12, 12]
    for wrong, complaint in (
        (["compare", "euler", "--nfe", "0"], "nfe is 0"),
        (["compare", "tau-leaping"], "of tokens"),
        (["compare", "euler", "--initial", "x"], "initial is 'x'"),
    ):
        assert complaint in str(runner.invoke(app, wrong).exception)
