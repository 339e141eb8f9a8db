"""The gap study against equations for moments, closed forms, and theorems on what contracts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from analytic import GaussianMixture, distances, paths, targets
from solvers import Imperfect, ScoreError, catalogue, density, grids
from studies import laws, specifications
from studies.engine import run
from studies.gap import figure, tables
from studies.gap import gaps as gap
from studies.gap.gaps import TRUTH, Gap, Plan
from studies.gap.study import Gaps
from studies.laws import Estimate
from studies.learned import measure
from studies.learned import study as learned
from studies.learned.training import RECIPES
from studies.setting import Setting
from tests.studies.test_cli import Run, assay  # noqa: F401  (a fixture)

EASY = targets.load("easy-1d")
NORMAL = GaussianMixture([1.0], [[1.0]], 0.25)
CONSTANT = ScoreError(0.2, "constant", "eps")
ON_LINE = Plan("easy-1d", EASY, steps=48)
ON_GAUSSIAN = Plan("normal", NORMAL, CONSTANT, steps=400)


def of(found: list[Gap], method: str, metric: str, to: str = TRUTH) -> list[Gap]:
    return [g for g in found if g.of == method and g.to == to and g.metric == metric]


@pytest.mark.parametrize(
    ("eta", "method"), [(0.0, "rk4"), (1.0, "stochastic-heun"), (2.0, "stochastic-heun(eta=2.0)")]
)
def test_a_constant_error_moves_the_mean_as_its_differential_equation_says(eta: float, method: str) -> None:
    plan = ON_GAUSSIAN
    found = plan.to_truth(method, Imperfect(NORMAL, CONSTANT))

    def slope(sigma: float, mean: Any) -> Any:
        # in sigma, dx = (1 + eta^2) eps dsigma with eps = (x - D)/sigma + size on the mean
        denoised = 1.0 + 0.25 / (0.25 + sigma**2) * (mean - 1.0)
        return (1 + eta**2) * ((mean - denoised) / sigma + CONSTANT.size)

    solution = solve_ivp(slope, (20.0, 0.02), [1.0], rtol=1e-11, atol=1e-13)
    expected = abs(float(solution.y[0, -1]) - 1.0)
    # the variance is right, so W2 is the shift of the mean, up to the method's own error
    assert found["W2"].value == pytest.approx(expected, rel=2e-3)


def test_gaps_grow_as_the_error_does_and_kl_as_its_square() -> None:
    slopes = gap.growth(list(gap.by_size(ON_GAUSSIAN)))
    assert len(slopes) == 6
    for (_, _, metric), slope in slopes.items():
        assert slope.value == pytest.approx(2 if metric == "KL" else 1, abs=0.02), metric


def test_on_a_mixture_the_ode_pays_more_for_an_error_at_all_times() -> None:
    found = list(gap.by_size(ON_LINE, halvings=2))
    for metric in ("TV", "KL", "W2"):
        for ode, sde in zip(of(found, gap.ODE, metric), of(found, gap.SDE, metric), strict=True):
            assert ode.gap > 2 * sde.gap > 20 * sde.exact


@pytest.mark.parametrize("pair", [(gap.ODE, TRUTH), (gap.SDE, TRUTH), (gap.ODE, gap.SDE)])
@pytest.mark.parametrize("metric", ["TV", "W2"])
def test_with_the_exact_score_every_gap_vanishes_and_a_wrong_sign_is_seen(
    pair: tuple[str, str], metric: str
) -> None:
    def ladder(model: Any) -> list[float]:
        return [_pairs(model, N)[pair][metric].value for N in (32, 64, 128)]

    right = ladder(EASY)
    # a gap that is all discretisation is no larger than what halving the step takes off it
    assert right[-1] < right[-2] - right[-1] + 1e-9 < right[-3]
    # the sign of the score is wrong for a while
    wrong = ladder(Imperfect(EASY, ScoreError(-2.0, "relative", window=(0.5, 1.0))))
    assert wrong[-1] > 10 * abs(wrong[-2] - wrong[-1]) + 100 * right[-1]


_SEEN: dict[Any, Any] = {}


def _pairs(model: Any, steps: int) -> Any:
    key = (model is EASY, steps)
    if key not in _SEEN:
        _SEEN[key] = gap.three_pairs(ON_LINE, model, steps)
    return _SEEN[key]


def test_ode_and_sdes_change_rank_with_the_time_of_the_error() -> None:
    found = list(gap.by_pulse(ON_LINE, windows=[(-2.5, -1.5), (2.5, 3.5)]))
    early = {g.of: g.gap for g in found if g.metric == "TV" and g.value < 0}
    late = {g.of: g.gap for g in found if g.metric == "TV" and g.value > 0}
    assert list(early) == list(late) == [gap.ODE, "stochastic-heun(eta=1.0)", "stochastic-heun(eta=2.0)"]
    assert early[gap.ODE] > 10 * early["stochastic-heun(eta=1.0)"]
    assert early["stochastic-heun(eta=1.0)"] > early["stochastic-heun(eta=2.0)"]
    assert late[gap.ODE] < late["stochastic-heun(eta=1.0)"] < late["stochastic-heun(eta=2.0)"]


def test_kl_contracts_between_laws_of_an_sde_and_stays_between_those_of_an_ode() -> None:
    found = list(gap.along_the_way(replace(ON_LINE, steps=64), cuts=4))
    start = [g for g in found if g.study.endswith("start")]
    ode, sde = ([g.gap for g in start if g.of == m] for m in (gap.ODE, gap.SDE))
    # what it was: KL of the moved mixture at the start, by quadrature
    path = paths.VE(0.02, 20.0)
    begin = EASY.noised(1.0, float(path.sigma(path.start)))
    shift = np.sqrt(begin.covariance()[0, 0])
    moved = GaussianMixture(begin.weights, begin.means + shift, begin.variances)

    def log_density(law: GaussianMixture) -> Callable[[Any], Any]:
        return lambda x: law.log_density(np.ravel(x)[:, None]).reshape(np.shape(x))

    expected = distances.kl_1d(log_density(moved), log_density(begin), np.linspace(-160.0, 180.0, 30)).value
    np.testing.assert_allclose(ode, expected, rtol=1e-4)
    assert np.all(np.diff(sde) < 0)
    assert sde[-1] < ode[-1] / 100
    after = [g for g in found if g.study.endswith("pulse") and g.value > 0]
    ode, sde = ([g.gap for g in after if g.of == m] for m in (gap.ODE, gap.SDE))
    np.testing.assert_allclose(ode, ode[0], rtol=1e-3)
    assert sde[-1] < sde[0] < ode[0] / 10


def test_distances_between_two_density_laws_are_their_closed_forms() -> None:
    path = paths.VE(0.3, 5.0)
    tableau = catalogue["ddpm"].tableau(path, grids.karras(path, 12))
    a = density(tableau, Imperfect(NORMAL, CONSTANT), estimate_error=False)
    b = density(tableau, NORMAL, estimate_error=False)
    found = laws.apart(a, b)
    moments = (a.mean, a.variance, b.mean, b.variance)
    assert found["TV"].value == pytest.approx(distances.gaussian_tv(*moments), rel=1e-7)
    assert found["KL"].value == pytest.approx(distances.gaussian_kl(*([m] for m in moments)), rel=1e-6)
    assert found["W2"].value == pytest.approx(distances.gaussian_w2(*([m] for m in moments)), rel=1e-6)


def test_more_noise_forgets_an_early_error_and_the_table_says_so() -> None:
    plan = replace(ON_LINE, error=replace(gap.ERROR, window=(-2.0, -1.0)))
    # with more churn than this, so few steps cost more than the error
    knob, method, values = "churn", gap.KNOBS["churn"][0], (0.0, 2.0, 5.0)
    found = list(gap.by_noise(plan, {knob: (method, values)}))
    gaps = [g.gap for g in found if g.metric == "TV"]
    assert np.all(np.diff(gaps) < 0)
    ((name, _, frame, _),) = tables.tables_of(found)
    assert name == "noise"
    assert list(frame["value"]) == [f"{v:g}" for v in values]


def test_in_two_dimensions_gaps_come_from_samples() -> None:
    target = targets.load("pair-2d")
    setting = Setting(samples=20_000)
    plan = Plan(
        "pair-2d",
        target,
        ScoreError(0.4, "constant", "eps"),
        ode="heun",
        sde="ddpm",
        steps=32,
        setting=setting,
    )
    found = list(gap.by_size(plan, halvings=2))
    assert {g.metric for g in found} == {"sliced W2"}
    large, small = of(found, "heun", "sliced W2")
    assert large.gap > 1.5 * small.gap > 3 * small.exact
    assert 0 < small.uncertainty < 0.1 * small.gap
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 200_000, 2))
    # a shift c of a Gaussian has W2^2 = (c.v)^2 along each line; its mean over all lines is |c|^2/2
    found = laws.apart(x + np.array([0.3, 0.0]), y)["sliced W2"]
    lines = np.random.default_rng(0).standard_normal((laws.DIRECTIONS, 2))
    share = np.mean(lines[:, 0] ** 2 / np.sum(lines**2, axis=1))
    assert abs(found.value - 0.3 * np.sqrt(share)) < found.uncertainty + 1e-4


def test_the_figure_and_tables_take_every_study() -> None:
    found = [
        Gap(
            study,
            "easy-1d",
            "knob",
            value,
            "a",
            TRUTH,
            "KL" if "contraction" in study else "TV",
            0.1 / value,
            1e-3,
        )
        for study in figure.TITLES
        for value in (1.0, 2.0, 4.0)
    ]
    assert len(figure.figure(found).to_dict()["concat"]) == len(figure.TITLES)
    assert [name for name, *_ in tables.tables_of(found)] == list(figure.TITLES)
    with pytest.raises(ValueError, match="empty"):
        figure.figure([])


def test_the_command_prints_writes_and_goes_on(assay: Run, tmp_path: Path) -> None:  # noqa: F811
    arguments = ("gap", "--target", "gaussian-1d", "--study", "size", "--steps", "32", "--out", str(tmp_path))
    code, out, _ = assay(*arguments)
    assert code == 0
    assert "rk4" in out
    assert (tmp_path / "gap.png").stat().st_size > 0
    (kept,) = (tmp_path / "finished").glob("*.json")
    kept.write_text(kept.read_text().replace("rk4", "kept"))
    assert "kept" in assay(*arguments)[1]


def test_learned_cells_are_kept_shown_and_drawn(
    assay: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[str] = []

    def quick(name: str, *_: Any) -> measure.LearnedGap:
        measured.append(name)
        numbers = {f.name: 0.001 for f in fields(measure.LearnedGap)}
        words_and_lists = {
            "network": name,
            "objective": "score matching",
            "times": (0.1,),
            "score_errors": (0.2,),
        }
        return measure.LearnedGap(**(numbers | words_and_lists))  # type: ignore[arg-type]

    monkeypatch.setattr(learned, "measure", quick)
    arguments = ("gap", "--target", "nine-2d", "--jobs", "1", "--out", str(tmp_path))
    code, first, _ = assay(*arguments)
    assert code == 0
    assert measured == [measure.EXACT, *RECIPES]
    assert (tmp_path / "gap-learned.png").stat().st_size > 0
    assert assay(*arguments)[1] == first
    assert len(measured) == 1 + len(RECIPES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--study", "noises"], "study is 'noises'"),
        (["--error", "waves(0.1)"], "error is 'waves'"),
        (["--error", "wave()"], "give its size first"),
        (["--error", "wave(0.1, speed=2)"], "speed"),
        (["--error", "bump(0.1, width=-1.0)"], "width is -1.0"),
        (["--steps", "1"], "steps is 1"),
        (["--target", "pair-2d", "--study", "contraction"], "needs a target on the line"),
        (["--plot", "gap.jpg"], "gap.jpg"),
        (["--study", "learned", "--target", "easy-1d"], "ask for it alone"),
        (["--study", "learned", "--study", "size"], "ask for it alone"),
        (["--study", "size", "--train"], "nothing is learned"),
    ],
)
def test_bad_words_are_one_line(assay: Run, arguments: list[str], said: str) -> None:  # noqa: F811
    code, _, err = assay("gap", *arguments)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_sampler_that_folds_on_a_coarse_grid_is_a_row_that_says_so() -> None:
    plan = replace(ON_LINE, steps=8)
    found = list(gap.by_evaluations(plan, methods=[gap.SDE], budgets=(8, 32)))
    (name, _, frame, _), *_ = tables.tables_of(found)
    assert [(g.value, g.status) for g in found if g.metric == "TV"] == [(8, "unstable"), (32, "measured")]
    assert all(np.isnan(g.gap) and g.reason for g in found if g.status == "unstable")
    assert (name, frame["8"][0]) == ("evaluations", "unstable")
    assert len(figure.figure(found).to_dict()["concat"]) == 1


def test_a_gaussian_bent_by_its_model_is_measured_in_one_way() -> None:
    """With the exact score it would have a law in closed form, which a density cannot be compared with."""
    bent = ScoreError(0.2, "wave", "eps", frequency=2.0)
    on_line = replace(ON_GAUSSIAN, error=bent, steps=16)
    sampled = Plan("rotated-16", targets.load("rotated-16"), bent, steps=8, setting=Setting(samples=2000))
    for plan, metrics in ((on_line, {"TV", "KL", "W2"}), (sampled, {"sliced W2"})):
        found = run(Gaps(plan, ["size"]))
        assert {g.metric for g in found} == metrics
        assert all(g.exact < g.gap for g in found if g.value == 0.2 and g.of == gap.ODE and g.to == TRUTH)


def test_a_sampled_truth_shares_no_noise_with_the_sampler() -> None:
    """Drawn by the seed of the start points it would be too near; false alarms 1 in 10^5."""
    target, n = targets.load("pair-2d"), 4000
    drawn = laws.truth(target, (1.0, 2.0), "samples", n, seed=3)
    start = target.noised(1.0, 2.0).sample(n, seed=3)
    assert abs(np.corrcoef(drawn[:, 0], start[:, 0])[0, 1]) < 4.5 / np.sqrt(n)


def test_what_has_no_law_is_apart_from_everything_by_nan() -> None:
    failed = laws.NoLaw("density", laws.UNSTABLE, "overflowed")
    for pair in ((failed, EASY), (EASY, failed)):
        found = laws.apart(*pair)
        assert list(found) == ["TV", "KL", "W2"]
        assert {(e.status, e.reason) for e in found.values()} == {("unstable", "overflowed")}
        assert all(np.isnan(e.value) for e in found.values())
    assert laws.apart(failed, EASY, ("KL",)).keys() == {"KL"}
    assert Estimate(1.0).status == "measured"


def test_an_error_is_read_from_words() -> None:
    assert specifications.error_of("bump(0.3, of='x0', width=0.5)") == ScoreError(
        0.3, "bump", "x0", width=0.5
    )


def test_a_gap_no_larger_than_that_with_the_exact_score_shows_no_growth() -> None:
    def ladder(exact: float) -> list[Gap]:
        return [
            Gap("size", "easy-1d", "size", size, "heun", TRUTH, "W2", size, exact, 0.0)
            for size in (0.2, 0.1, 0.05, 0.025, 0.0125)
        ]

    words = [
        next(tables.tables_of(found))[2]["growth"][0] for found in (ladder(1e-9), ladder(0.1), ladder(0.0))
    ]
    assert [word.split("±")[0] for word in words] == ["1.000", "hidden", "1.000"]
