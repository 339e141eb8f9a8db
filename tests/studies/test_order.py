"""The order study finds what exact laws say, and sees defects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analytic import GaussianMixture, paths, targets
from solvers import Claim, Trace, catalogue, scheduler_config
from solvers.catalogue import Catalogue, Method
from studies.engine import run
from studies.ladder import Ladder, long
from studies.order import tables
from studies.order.claims import Judgement, judgements, reasons, uncovered
from studies.order.on_data import DataErrors
from studies.order.on_mixtures import on_gaussian, on_samples
from studies.order.request import on_mixtures, place
from studies.order.study import Orders, order
from studies.setting import Job, Setting, distinct_starts, jobs
from studies.store import Store

BOTH = {name: targets.load(name) for name in ("gaussian-1d", "easy-1d")}


def study(job: Job, targets_: dict[str, GaussianMixture], setting: Setting) -> list[Judgement]:
    """Verdicts on one method."""
    return judgements(run(Orders([job], targets_, setting)), [job])


def by_claim(method: str, start: str = "practical") -> dict[str, str]:
    (job,) = [j for j in jobs([method]) if j.start == start]
    return {j.claim.sense: j.verdict for j in study(job, BOTH, Setting())}


@pytest.mark.parametrize(
    ("method", "start", "expected"),
    [
        ("euler", "practical", {"ode": "confirmed"}),
        ("heun", "practical", {"ode": "confirmed"}),
        ("midpoint", "practical", {"ode": "confirmed"}),
        ("rk4", "practical", {"ode": "confirmed"}),
        ("dpm-solver++-3m", "exact", {"ode": "confirmed"}),
        ("dpm-solver++-3m", "practical", {"ode": "limited by its start"}),
        ("dpm-solver++-3m-as-published", "practical", {"ode": "limited by its start"}),
        ("dpm-solver++-3m-as-published", "exact", {"ode": "refuted"}),
        ("ddpm", "practical", {"weak": "confirmed", "strong": "confirmed", "tv": "confirmed"}),
        ("edm-churn", "practical", {"weak": "confirmed"}),
    ],
)
def test_verdicts_are_what_the_exact_laws_say(method: str, start: str, expected: dict[str, str]) -> None:
    assert by_claim(method, start) == expected


def test_a_formula_is_told_from_its_start() -> None:
    """Practical starts of first order leave order 2, which is no fault of a formula that has its order without."""
    work = [j for name in ("dpm-solver++-3m", "dpm-solver++-3m-as-published") for j in jobs([name])]
    found = run(Orders(work, BOTH, Setting()))
    said = {(j.method, j.start): j for j in judgements(found, work)}
    right, published = (
        said[name, "practical"] for name in ("dpm-solver++-3m", "dpm-solver++-3m-as-published")
    )
    assert right.verdict == "limited by its start"
    assert right.words == "confirmed from an exact start; order 2 with the practical one"
    assert published.verdict == said[published.method, "exact"].verdict == "refuted"
    alone = [m for m in found if (m.method, m.start) == ("dpm-solver++-3m", "practical")]
    (unseen,) = judgements(alone, work)
    assert unseen.words == "limited by its start: order 2 with the practical one"
    table = tables.summary(found, list(said.values()))
    assert right.words in list(table["verdict"])
    assert any(
        line.startswith("limited by its start: dpm-solver++-3m, ") for line in reasons(list(said.values()))
    )


def test_a_claim_is_made_for_its_own_options() -> None:
    job = Job(catalogue["edm-churn"], "practical", {"gamma": 0.1})
    found = run(Orders([job], {"gaussian-1d": BOTH["gaussian-1d"]}, Setting(limit=64)))
    assert judgements(found, [job]) == []
    assert uncovered(found, [job]) == [
        "no claim: edm-churn(gamma=0.1): 2 weak is claimed for gamma = None, s_noise = 1.0 alone"
    ]
    assert list(tables.summary(found, [])["verdict"]) == ["no claim"]
    claim = Claim(1, "weak", "us", options={"eta": (0.0, 1.0)}, starts=("exact",), noises=("Absorbing",))
    assert claim.conditions == "eta = 0.0 or 1.0, exact start, Absorbing noise"
    assert claim.covers({"eta": 1.0}, "exact", "Absorbing")
    assert not claim.covers({"eta": 0.5}, "exact", "Absorbing")
    assert not claim.covers({"eta": 1.0}, "practical")
    assert not claim.covers({"eta": 1.0}, None, "Uniform")
    with pytest.raises(ValueError, match="'etta', which nobodys does not have"):
        Catalogue().method("nobodys", claims=[Claim(1, "ode", "us", options={"etta": (1,)})], source="us")(
            lambda path, grid, eta=1.0: None
        )


def test_a_method_that_ignores_its_start_has_one_row() -> None:
    def ignores(path, grid, start="practical"):  # type: ignore[no-untyped-def]
        return catalogue["midpoint"].build(path, grid)

    job = Job(Method("ignores", ignores, (Claim(2, "ode", "me"),), "me"), "practical")
    assert [j.start for j in distinct_starts(job, ("practical", "exact"))] == ["practical"]
    minds = Job(catalogue["deis-tab-2"], "practical")
    assert [j.start for j in distinct_starts(minds, ("practical", "exact"))] == ["practical", "exact"]


def single(name: str) -> Method:
    """The method with coefficients rounded to float32."""

    def build(path, grid):  # type: ignore[no-untyped-def]
        tableau = catalogue[name].tableau(path, grid)
        blocks = [
            replace(b, **{part: getattr(b, part).astype(np.float32).astype(np.float64) for part in "AB"})
            for b in tableau.blocks
        ]
        return replace(tableau, blocks=tuple(blocks))

    return Method(name, build, catalogue[name].claims, "me")


def test_the_precision_that_coefficients_are_computed_in_is_no_error() -> None:
    """Undeclared it is a wrong coefficient; declared it is a floor, above which order 2 is seen and order 4 is not."""
    for name, precision, verdict in (
        ("rk4", "float64", "refuted"),
        ("rk4", "float32", "unresolved"),
        ("midpoint", "float32", "confirmed"),
    ):
        (judged,) = study(Job(single(name), "practical"), BOTH, Setting(precision=precision))
        assert judged.verdict == verdict, (name, precision)
    with pytest.raises(ValueError, match="precision is 'half'"):
        Setting(precision="half")


def test_a_gaussian_alone_does_not_confirm() -> None:
    judged = study(Job(catalogue["midpoint"], "practical"), {"g": BOTH["gaussian-1d"]}, Setting())
    assert [j.verdict for j in judged] == ["unresolved"]
    assert "linear score" in judged[0].reason


def test_the_mixture_takes_back_an_order_the_gaussian_gives() -> None:
    # The midpoint rule reads order 3 on a Gaussian, where a term vanishes, and its true 2 on a mixture.
    found = {(m.target, m.metric): m.slope for m in order(["midpoint"])[0]}
    assert found["gaussian-1d", "w2"].value == pytest.approx(3, abs=0.01)
    assert found["easy-1d", "w2"].value == pytest.approx(2, abs=0.01)


def spoiled(name: str, factor: float) -> Method:
    """The method with one coefficient of its tableaux wrong."""

    def build(path, grid, **options):  # type: ignore[no-untyped-def]
        tableau = catalogue[name].tableau(path, grid, **options)
        blocks = [replace(block, B=block.B * factor) for block in tableau.blocks]
        return replace(tableau, blocks=tuple(blocks))

    return replace(catalogue[name], build=build)


@pytest.mark.parametrize("name", ["euler", "heun", "ddpm", "dpm-solver++-2s", "edm-churn"])
def test_a_wrong_coefficient_is_refuted(name: str) -> None:
    judged = study(Job(spoiled(name, 1 + 1e-3), "practical"), BOTH, Setting(limit=512))
    assert all(j.verdict != "confirmed" for j in judged if j.claim.sense != "strong")


@pytest.mark.parametrize("size", [1e-6, 1e-7])
@pytest.mark.parametrize("name", ["heun", "rk4"])
def test_a_coefficient_that_is_almost_right_is_refuted(name: str, size: float) -> None:
    """Its error comes to stay where float32 would round, which nobody has declared."""
    (judged,) = study(Job(spoiled(name, 1 + size), "practical"), BOTH, Setting())
    assert judged.verdict == "refuted"


def test_a_users_method_gets_its_verdict() -> None:
    def lazy(path, grid):  # type: ignore[no-untyped-def]
        trace = Trace("lazy", path, grid)
        for step in trace.steps():
            (x,) = step.registers
            D = step.denoise(x, step.now)
            ratio = step.next.sigma / step.now.sigma
            step.close(ratio * x + (step.next.alpha - step.now.alpha * ratio) * D)
        return trace.tableau()

    method = Method("lazy", lazy, (Claim(2, "ode", "me"),), "me")
    judged = study(Job(method, "practical"), BOTH, Setting(limit=512))
    assert [j.verdict for j in judged] == ["refuted"]


@pytest.mark.parametrize(("name", "weak"), [("euler", 1), ("heun", 2), ("ddpm", 1)])
def test_coupled_samples_agree_with_the_known_order(name: str, weak: int) -> None:
    ladder = Ladder(catalogue[name], "practical", Setting(samples=64_000), {})
    found = {m.metric: m.slope for m in on_samples(ladder, "easy", targets.load("easy-1d"))}
    assert found["weak"].low <= weak <= found["weak"].high


def test_a_zero_crossing_extends_the_ladder() -> None:
    ladder = Ladder(catalogue["dpm-solver-3"], "practical", Setting(), {})
    found = {m.metric: m for m in on_gaussian(ladder, "g", BOTH["gaussian-1d"])}
    assert found["w2"].slope.crossing == (128, 256)
    assert found["w2"].steps[-1] > 512


def test_results_restored_from_the_store_are_the_results(tmp_path) -> None:  # type: ignore[no-untyped-def]
    job, store = Job(catalogue["euler"], "practical"), Store(tmp_path)
    one = Orders([job], BOTH, Setting())
    fresh = run(one, store)
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert repr(run(one, store)) == repr(fresh)  # nan is not equal to itself


def test_frames_hold_one_row_a_rung_and_one_a_claim() -> None:
    measurements, judgements = order(["ddpm", "predictor-corrector"])
    frame = long(measurements)
    assert len(frame) == sum(len(m.steps) for m in measurements)
    assert np.isfinite(frame["error"]).all()
    summary = tables.summary(measurements, judgements)
    assert list(summary["verdict"]) == ["confirmed", "confirmed", "confirmed", "no claim"]
    assert list(summary["claim"][:3]) == ["1 weak", "1 strong", "1 tv"]


def test_too_few_samples_are_refused() -> None:
    ladder = Ladder(catalogue["euler"], "practical", Setting(samples=100), {})
    with pytest.raises(ValueError, match="samples is 100"):
        list(on_samples(ladder, "pair", GaussianMixture([0.5, 0.5], [[-1, 0], [1, 0]], 0.2)))


def test_on_a_grid_whose_last_step_stays_nothing_is_said_of_claims() -> None:
    scheduler = scheduler_config.of(
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    )
    setting = Setting(scheduler.path, scheduler, limit=64)
    study = Orders(jobs(["heun"]), {"gaussian-1d": BOTH["gaussian-1d"]}, setting)
    found = run(study)
    (report,) = study.reports(found)
    assert "No verdicts: the last step, from sigma/alpha = 0.029 to the data" in " ".join(report.notes)
    assert list(study.verdicts(found)) == []
    assert Setting().stays == ""
    short = scheduler_config.of({"num_train_timesteps": 100})
    assert "is the same for any number of steps" in Setting(short.path, short).stays


def test_where_methods_of_another_process_are_measured_is_said() -> None:
    setting = Setting()
    where, elsewhere = setting.places([catalogue["heun"], catalogue["ddpm"], catalogue["ula"]])
    assert where == setting.where
    assert elsewhere == ["Langevin(time=4.0) path, uniform grid: ula"]
    study = Orders([Job(catalogue["ula"], "practical")], {})
    assert study._places == ("Langevin(time=4.0) path, uniform grid", [])
    assert not replace(setting, path=paths.Langevin(2.0), grid="uniform").stays


def test_a_path_is_for_the_methods_of_its_process() -> None:
    dynamics, plain = jobs(["ula", "baoab"]), jobs(["heun"])
    # without a path: the plain one of the process, on its own grid, or of noising where there are several
    assert place(None, None, dynamics, True) == (dynamics, paths.Langevin(), "uniform")
    assert place(None, "log-snr", plain, True) == (plain, paths.VE(0.02, 20.0), "log-snr")
    assert place(None, None, [*dynamics, *plain], True)[1:] == (paths.VE(0.02, 20.0), "karras")
    # with one: others are an error where they were named, and left out of the whole catalogue
    assert place("Langevin(8)", None, dynamics, True) == (dynamics, paths.Langevin(8), "uniform")
    assert place("VP", None, [*dynamics, *plain], False)[0] == plain
    with pytest.raises(ValueError, match=r"path is 'VP', a noising process, and ula is for langevin ones"):
        place("VP", None, [*plain, *dynamics], True)
    # data take samplers from noise alone
    points = {
        "points": GaussianMixture(np.full(300, 1 / 300), np.random.default_rng(0).normal(size=(300, 2)), 0.0)
    }
    studied = on_mixtures([*dynamics, *plain], points, Setting(), 128)
    assert isinstance(studied, DataErrors)
    assert [job.method.name for job in studied.work] == ["heun"]


def test_a_method_of_two_processes_is_measured_on_the_path_that_is_named() -> None:
    setting = Setting(paths.Interpolant(), "uniform", limit=1024)
    assert setting.of(catalogue["heun"]) is setting
    assert setting.of(catalogue["ddpm"]).path == Setting().path
    model = setting.on(targets.load("easy-1d"))
    x = np.linspace(-2, 2, 9)[:, None]
    image = np.exp(targets.load("easy-1d").log_density(-x / 0.6)) / 0.6  # of -0.6 x
    np.testing.assert_allclose(np.exp(model.end(1).log_density(x)), image, rtol=1e-12)
    found, judged = order(["heun", "stochastic-heun"], ["gaussian-1d"], setting)
    slopes = {(m.method, m.metric): m.slope for m in found}
    assert ("stochastic-heun", "strong") not in slopes
    for name in ("heun", "stochastic-heun"):
        assert slopes[name, "w2"].value == pytest.approx(2, abs=0.03)
    assert not any(j.verdict == "refuted" for j in judged)
    with pytest.raises(ValueError, match=r"an interpolant process, and ddpm is for noising ones"):
        place("Interpolant", None, jobs(["ddpm"]), named=True)
    points = {"points": GaussianMixture(np.full(300, 1 / 300), np.arange(300.0), 0.0)}
    with pytest.raises(ValueError, match=r"target is 'points', which is data: give a Gaussian path"):
        on_mixtures(jobs(["heun"]), points, setting, None)
