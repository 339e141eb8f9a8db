"""Methods at equal evaluations: errors are those of the laws, the best is named, and a tie is said to be one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from analytic import Interpolated, couplings, paths, sequences, targets
from solvers import GaussianLaw, density, grids, law
from studies import laws
from studies.cli import app
from studies.compare.errors import Compared, alike, front, pooled
from studies.compare.figure import figure
from studies.compare.places import OnMixture
from studies.compare.study import Comparison, _best_at, cheapest, recommended
from studies.compare.timing import Timed
from studies.engine import run
from studies.made import made
from studies.setting import Setting, steps_for
from studies.specifications import job_of

VP = paths.VP()
LINE = Setting(VP, "log-snr")


def measured(method: str, error: float, target: str = "t", budget: int = 10, wide: float = 0.0) -> Compared:
    return Compared(method, target, "VP", "log-snr", "W2", budget, budget, budget, error, wide)


def places(chosen: dict[str, Any], setting: Setting) -> list[OnMixture]:
    return [OnMixture(name, law, "VP", "log-snr", setting) for name, law in chosen.items()]


@pytest.mark.parametrize(("method", "budget", "steps"), [("euler", 16, 16), ("heun", 16, 8), ("rk4", 18, 4)])
def test_a_budget_buys_as_many_steps_as_it_pays_for(method: str, budget: int, steps: int) -> None:
    assert steps_for(job_of(method), LINE, budget) == steps


def test_errors_are_those_of_the_laws_and_the_best_is_named() -> None:
    chosen = {"easy-1d": targets.load("easy-1d"), "spectrum-16": targets.load("spectrum-16")}
    study = Comparison([job_of("euler"), job_of("heun")], places(chosen, LINE), (10, 20))
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
    assert [note[:6] for note in first.notes] == ["NFE 10", "NFE 20"]
    by = {one.method: one.error for one in found if (one.target, one.budget) == ("easy-1d", 20)}
    best, other = sorted(by, key=lambda name: by[name])
    assert f"NFE 20: {best} in" in first.notes[1]
    assert f"{other} has {by[other] / by[best]:.3g} times its error" in first.notes[1]
    assert [note for note in second.notes if note.startswith("Recommended: ")]
    assert len(figure(found).concat) == 2


def test_samples_have_intervals_and_a_floor() -> None:
    at = places({"pair-2d": targets.load("pair-2d")}, LINE)
    found = run(Comparison([job_of("euler"), job_of("heun")], at, (6, 60), samples=40_000))
    coarse, fine = found[0], found[-1]
    assert coarse.metric == "sliced W2"
    assert coarse.uncertainty > 0
    assert coarse.error > 3 * coarse.floor
    assert fine.error < 2 * fine.floor
    note = next(iter(Comparison([], at, (60,)).reports(found[2:]))).notes[0]
    assert "near the floor" in note


def test_ties_and_recommendations_are_what_the_numbers_say() -> None:
    assert alike(measured("a", 1.0), measured("b", 1.01))
    assert not alike(measured("a", 1.0), measured("b", 1.1))
    assert alike(measured("a", 1.0, wide=0.1), measured("b", 1.1, wide=0.1))
    low = replace(measured("a", 0.02, wide=0.001), metric="sliced W2", floor=0.06)
    assert alike(low, replace(low, method="b", error=0.05))
    assert "b has 2 times its error" in _best_at([low, replace(low, method="b", error=0.12)])
    clear = [measured("a", 1.0), measured("b", 2.0), measured("a", 1.0, "u"), measured("b", 8.0, "u")]
    assert (
        "a, on the mean 4 times better than b, the next, over 2 places, and the best at each"
        in recommended(clear)
    )
    split = [measured("a", 1.0), measured("b", 2.0), measured("a", 2.0, "u"), measured("b", 1.0, "u")]
    assert "a tie between a and b" in recommended(split)
    absent = [measured("a", 1.0), replace(measured("b", np.nan), status="too few")]
    assert "a, the one method that was measured everywhere" in recommended(absent)


def test_the_verb_prints_a_recommendation_and_refuses_what_it_cannot_compare(tmp_path: Path) -> None:
    runner = CliRunner()
    asked = ["compare", "euler", "rk4", "--target", "gaussian-1d", "--nfe", "3", "--nfe", "12", "--jobs", "1"]
    done = runner.invoke(app, [*asked, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "too few" in done.output
    assert "rk4: 1 step takes 4 evaluations" in done.output
    assert "Recommended: euler" in done.output
    assert (tmp_path / "compare.png").stat().st_size > 1000
    found = json.loads(runner.invoke(app, [*asked, "--json"]).stdout)["compare"]
    assert [row["budget"] for row in found] == [3, 3, 12, 12]
    for wrong, complaint in (
        (["compare", "euler", "--nfe", "0"], "nfe is 0"),
        (["compare", "tau-leaping", "--target", "easy-1d"], "is for continuous methods"),
        (["compare", "heun", "--metric", "KLL"], "metric is 'KLL', which is not known: did you mean KL"),
        (["compare", "heun", "--metric", "bigram TV"], "metric is 'bigram TV'"),
        (["compare", "heun", "--samples", "1"], "samples is 1"),
        (["compare", "euler", "--initial", "x"], "initial is 'x'"),
    ):
        assert complaint in str(runner.invoke(app, wrong).exception)


def test_more_blocks_are_more_precision_and_pool_into_one_number() -> None:
    at = places({"pair-2d": targets.load("pair-2d")}, LINE)
    work = [job_of("euler")]
    study = Comparison(work, at, (8,), samples=4000, seeds=(0, 1, 2, 3))
    found = run(study)
    assert [c.seed for c in found] == [0, 1, 2, 3]
    assert found[:1] == run(replace(study, seeds=(0,)))
    (whole,) = pooled(found)
    squares = [part for c in found for part in c.parts]
    assert len(squares) == 40
    assert whole.error == pytest.approx(np.sqrt(np.mean(squares)))
    assert 0 < whole.uncertainty < 0.8 * found[0].uncertainty
    (report,) = study.reports(found)
    assert "By 16000 samples in 4 blocks" in " ".join(report.notes)
    assert len(report.everything["compare"]) == 1


def test_steps_and_metrics_paths_and_grids_are_what_was_asked(tmp_path: Path) -> None:
    asked = ["compare", "heun", "--target", "gaussian-1d", "--steps", "4", "--path", "VP", "--path", "Linear"]
    asked += [
        "--grid",
        "uniform",
        "--grid",
        "log-snr",
        "--metric",
        "KL",
        "--metric",
        "W2",
        "--jobs",
        "1",
        "--json",
    ]
    done = CliRunner().invoke(app, asked)
    rows = json.loads(done.stdout)["compare"]
    assert {(r["path"], r["grid"], r["metric"]) for r in rows} == {
        (p, g, m) for p in ("VP", "Linear") for g in ("uniform", "log-snr") for m in ("KL", "W2")
    }
    assert {(r["steps"], r["nfe"]) for r in rows} == {(4, 8)}
    assert len({r["error"] for r in rows}) == 8


def test_on_an_interpolant_errors_are_those_of_the_way_from_one_law_to_another() -> None:
    words = ["compare", "heun", "euler-maruyama", "unipc", "--path", "Interpolant(noise=0.7)", "--nfe", "8"]
    wanted = ["easy-1d", "gaussian-1d", "pair-2d"]
    asked = [
        *words,
        *(w for name in wanted for w in ("--target", name)),
        "--samples",
        "4000",
        "--json",
        "--time",
    ]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    rows = {(r["target"], r["method"]): r for r in json.loads(result.stdout)["compare"]}
    path = paths.Interpolant(noise=0.7)
    for name, steps in (("heun", 4), ("euler-maruyama", 8)):
        tableau = job_of(name).method.tableau(path, grids.uniform(path, steps))
        line = targets.load("easy-1d")
        way = Interpolated(couplings.independent(line, line.observed([[-0.6]])), path)
        assert rows["easy-1d", name]["error"] == pytest.approx(density(tableau, way).tv(line), rel=1e-6)
        one = targets.load("gaussian-1d")
        way = Interpolated(couplings.independent(one, one.observed([[-0.6]])), path)
        goal = GaussianLaw(one.mean(), np.diag(one.covariance()), None)
        assert rows["gaussian-1d", name]["error"] == pytest.approx(
            law(tableau, way).error_to(goal).w2, rel=1e-6
        )
        assert rows["pair-2d", name]["error"] > 0
        assert rows["easy-1d", name]["grid"] == "uniform"
    assert rows["easy-1d", "unipc"]["status"] == "refused"
    for more in (["--score", "scaled(0.1)"], ["--initial", "prior"]):
        refused = CliRunner().invoke(app, [*words, "--target", "easy-1d", *more])
        assert isinstance(refused.exception, ValueError)
        assert "leave out --score and --initial" in str(refused.exception)


def test_tokens_are_compared_by_law_and_by_bigrams(tmp_path: Path) -> None:
    run_ = CliRunner().invoke
    words = ["compare", "tweedie-tau-leaping", "theta-trapezoidal", "--nfe", "17", "--jobs", "1", "--json"]
    rows = json.loads(run_(app, [*words, "--target", "smooth", "--nfe", "65"]).stdout)["compare"]
    assert {r["path"] for r in rows} == {"masks", "uniform"}
    by = {(r["method"], r["path"], r["budget"]): r["error"] for r in rows}
    # of first and second order in the law, where tokens still noisy at the end are drawn
    assert by["tweedie-tau-leaping", "uniform", 17] / by["tweedie-tau-leaping", "uniform", 65] > 1.6
    assert by["theta-trapezoidal", "uniform", 17] / by["theta-trapezoidal", "uniform", 65] > 6
    done = run_(app, [*words[:2], "--target", "text", *words[3:], "--samples", "100", "--noise", "Absorbing"])
    (row,) = json.loads(done.stdout)["compare"]
    assert (row["metric"], row["nfe"]) == ("bigram TV", 17)
    assert 0.5 * row["floor"] < row["error"] < 3 * row["floor"]


def test_an_axis_says_its_error_with_intervals_too() -> None:
    chart = figure([replace(measured("a", 0.5, wide=0.1), parts=(0.2, 0.3))], samples=100)
    (panel,) = chart.to_dict(validate=False)["concat"]
    said = {layer["encoding"]["y"].get("title") for layer in panel["layer"] if "y" in layer["encoding"]}
    assert said == {f"{measured('a', 0.5).metric} to the exact marginal"}
    assert "by 100 samples" in chart.description


def test_the_front_is_what_no_method_undercuts() -> None:
    found = [
        replace(measured(name, error), nfe=nfe)
        for name, error, nfe in (("a", 1.0, 4), ("b", 2.0, 8), ("c", 0.5, 8), ("d", 0.5, 9), ("e", np.nan, 1))
    ]
    assert [c.method for c in front(found)] == ["a", "c"]


def test_the_setting_for_a_target_is_the_cheapest_of_those_that_are_a_tie_with_the_best() -> None:
    found = [
        replace(measured("a", 0.02, budget=50, wide=0.01), grid="karras"),
        measured("b", 0.021, budget=10, wide=0.01),
        measured("a", 0.5, budget=5, wide=0.01),
    ]
    (told,) = cheapest(found)
    assert "b on VP with the log-snr grid in 10 steps, 10 evaluations" in told
    assert "a tie with the least, 0.02 by a in 50" in told
    (told,) = cheapest([replace(c, uncertainty=0.0) for c in found])
    assert "a on VP with the karras grid in 50 steps" in told
    assert cheapest([replace(found[0], status="too few")]) == []


def test_ones_own_points_and_sigmas_lead_to_a_setting(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "points.npy", rng.standard_normal((300, 8)) + rng.choice([-2, 2], (300, 1)))
    (tmp_path / "sigmas.txt").write_text("\n".join(map(str, np.geomspace(20, 0.02, 25))))
    asked = ["compare", "heun", "unipc", "--target", str(tmp_path / "points.npy"), "--path", "EDM(0.02, 20)"]
    asked += ["--grid", str(tmp_path / "sigmas.txt"), "--grid", "karras", "--nfe", "4", "--nfe", "24"]
    done = CliRunner().invoke(app, [*asked, "--samples", "2000", "--jobs", "1"])
    assert done.exit_code == 0, done.output
    (told,) = re.findall(r"Setting for .*points.npy: (.*)", done.stdout)
    assert re.match(
        r"(heun|unipc) on EDM\(0.02, 20\) with the .* grid in \d+ steps, \d+ evaluations, sliced W2 of", told
    )


MODEL = """
from analytic import paths, sequences, targets
predicts = "eps"
path, target = paths.VP(), targets.load("pair-2d")

def model(x, t, times=1.0):
    a, s = float(path.alpha(t)), float(path.sigma(t))
    return times * (x - a * target.denoise(x, a, s)) / s
"""
MODULE = """
import torch
predicts, takes = "x0", "level"

class Shrinks(torch.nn.Module):
    def __init__(self, by=1.0):
        super().__init__()
        self.by = torch.nn.Parameter(torch.tensor(by, dtype=torch.float64))

    def forward(self, x, alpha, sigma):
        return self.by * alpha / (alpha**2 + sigma**2) * x
"""


def errors_with(score: str, *more: str) -> list[tuple[float, float]]:
    asked = [
        "compare",
        "heun",
        "--target",
        "pair-2d",
        "--nfe",
        "20",
        "--samples",
        "20000",
        "--jobs",
        "1",
        "--json",
    ]
    done = CliRunner().invoke(app, [*asked, "--score", score, *more])
    assert done.exit_code == 0, done.exception
    return [(row["error"], row["uncertainty"]) for row in json.loads(done.stdout)["compare"]]


def test_ones_own_model_is_asked_in_place_of_the_exact_one(tmp_path: Path) -> None:
    """A function that is the exact model has its errors; one that errs by a factor those of that score."""
    (tmp_path / "mine.py").write_text(MODEL)
    for own, known in (("model", "exact"), ("model(times=1.5)", "relative(0.5)")):
        ((a, da),) = errors_with(f"{tmp_path / 'mine.py'}:{own}")
        ((b, db),) = errors_with(known)
        assert abs(a - b) < 2 * (da + db)
    (apart, spread), (exact, _) = (
        errors_with(f"{tmp_path / 'mine.py'}:model(times=1.5)")[0],
        errors_with("exact")[0],
    )
    assert apart > exact + 3 * spread


def test_a_torch_module_is_kept_by_its_parameters_and_travels_to_other_processes(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODULE)
    out = tmp_path / "r"
    texts = [f"{tmp_path / 'net.py'}:Shrinks(by={by})" for by in (1.0, 0.9, 1.0)]
    first, other, again = (errors_with(text, "--out", str(out)) for text in texts)
    assert first == again != other
    assert len(list((out / "finished").glob("*.json"))) == 2
    two = [
        "compare",
        "heun",
        "euler",
        "--target",
        "pair-2d",
        "--nfe",
        "20",
        "--samples",
        "200",
        "--score",
        texts[0],
    ]
    done = CliRunner().invoke(app, [*two, "--jobs", "2", "--json"])
    assert done.exit_code == 0, done.stderr
    assert len(json.loads(done.stdout)["compare"]) == 2
    for wrong, said in (
        ("net.py:Nothing", "no file"),
        (f"{tmp_path / 'net.py'}:Nothing", "no function 'Nothing'"),
    ):
        assert said in str(CliRunner().invoke(app, ["compare", "heun", "--score", wrong]).exception)


def test_times_are_of_this_machine_and_in_no_comparison_of_runs() -> None:
    at = places({"gaussian-1d": targets.load("gaussian-1d")}, LINE)
    study = Comparison([job_of("heun"), job_of("rk4")], at, (3, 40), timed=True)
    every = run(study)
    found = [t for t in every if isinstance(t, Timed)]
    assert [(t.method, t.budget, t.nfe) for t in found] == [("heun", 3, 2), ("heun", 40, 40), ("rk4", 40, 40)]
    few, many = found[0], found[1]
    assert 0 < few.seconds < many.seconds
    assert {t.machine for t in found} == {made()["machine"]}
    assert {n.value for n in study.numbers(every)}.isdisjoint(t.seconds for t in found)
    *_, report = study.reports(every)
    assert list(report.frame.columns) == ["method", "target", "path", "grid", "NFE 3", "NFE 40"]
    chart = study.figures(every)["compare-time"]
    drawn = set(map(float, re.findall(r'"cost": ([\d.e-]+)', json.dumps(chart.to_dict(validate=False)))))
    assert drawn == {1e6 * t.seconds for t in found}
    with pytest.raises(ValueError, match="measure them on one"):
        study.figures([*every, replace(found[0], machine="another")])


def test_times_of_tokens_and_the_verb(tmp_path: Path) -> None:
    asked = [
        "compare",
        "tau-leaping",
        "--target",
        "smooth",
        "--noise",
        "Uniform",
        "--nfe",
        "9",
        "--time",
        "--jobs",
        "1",
    ]
    found = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert found["time"][0]["seconds"] > 0
    assert found["time"][0]["steps"] == found["compare"][0]["steps"]


def test_a_method_of_tokens_that_asks_more_than_there_is_has_too_few() -> None:
    asked = [
        "compare",
        "gillespie",
        "--target",
        "smooth",
        "--noise",
        "Uniform",
        "--nfe",
        "3",
        "--jobs",
        "1",
        "--json",
    ]
    (row,) = json.loads(CliRunner().invoke(app, asked).stdout)["compare"]
    assert (row["status"], row["error"]) == ("too few", None)
    assert re.match(r"1 step takes \d+\.\d+ evaluations", row["reason"])


@pytest.mark.parametrize(
    ("value", "half", "said"),
    [
        (0.05621, 0.0163, "0.056±0.016"),
        (26.42, 0.12, "26.42±0.12"),
        (1234.5, 31.0, "1234±31"),
        (0.9996, 0.00996, "0.9996±0.0100"),
        (0.0123, 0.0, "0.0123"),
        (3.21e-7, 4.5e-8, "3.21e-07±4.5e-08"),
    ],
)
def test_a_number_has_the_decimals_of_its_interval(value: float, half: float, said: str) -> None:
    assert laws.with_half(value, half) == said


OWN_TOKENS = """
import numpy as np
def model(tokens, t):  # of independent tokens, whatever is seen
    seen = tokens < 3
    even = np.full((*tokens.shape, 3), 1 / 3)
    return np.where(seen[..., None], np.eye(3)[np.minimum(tokens, 2)], even)
"""


def test_a_model_of_tokens_is_compared_by_exact_law(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_TOKENS)
    words = [
        "compare",
        "tweedie-tau-leaping",
        "gillespie",
        "--target",
        "smooth",
        "--noise",
        "Absorbing",
        "--nfe",
        "8",
    ]
    own = ["--score", f"{tmp_path / 'own.py'}:model", "--json", "--jobs", "1"]
    done = CliRunner().invoke(app, [*words, *own])
    assert done.exit_code == 0, done.stderr
    found = {row["method"]: row for row in json.loads(done.stdout)["compare"]}
    assert found["tweedie-tau-leaping"]["error"] == pytest.approx(smooth_apart_from_even(), abs=1e-3)
    assert found["gillespie"]["status"] == "no law"
    for more, said in ((["--target", "text"], "too long"), (["--target", "pair-2d"], "targets of one kind")):
        asked = CliRunner().invoke(app, ["compare", *more, "--target", "smooth", "--score", own[1]])
        assert said in str(asked.exception)


def smooth_apart_from_even() -> float:
    """TV of the chain `smooth` from the uniform law on its sequences."""
    pmf = np.asarray(sequences.load("smooth").pmf())
    return float(np.abs(pmf - 1 / pmf.size).sum() / 2)
