"""The order study for tokens: slopes from exact laws, verdicts, equal-cost tables, finished work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytic import chains, distances, sequences
from solvers import Kernel, catalogue, grids, law
from solvers.discrete import Tables
from studies.engine import run
from studies.ladder import Measurement
from studies.order import on_tokens as token_order
from studies.order import tables
from studies.order.claims import Judgement
from studies.order.on_tokens import RUNGS, TokenOrders, TokenSetting, measure
from studies.setting import Job
from studies.store import Store

MASKS = TokenSetting("masks", chains.Absorbing(3, "polynomial"), limit=256)
UNIFORM = TokenSetting("uniform", chains.Uniform(3, "constant"), limit=256)
Found = tuple[list[Measurement], list[Judgement]]


@pytest.fixture(scope="module")
def found() -> Found:
    return token_order.token_order(
        ["tweedie-tau-leaping", "plug-in-posterior"], ("smooth",), [MASKS, UNIFORM]
    )


def test_a_rung_is_the_distance_of_the_exact_law_from_the_marginal_at_the_grids_end(found: Found) -> None:
    data = sequences.load("smooth")
    ladder = next(
        m for m in found[0] if (m.method, m.start, m.metric) == ("tweedie-tau-leaping", "masks", "tv")
    )
    assert ladder.steps[: len(RUNGS)] == RUNGS
    for steps in (4, 64):
        grid = grids.geometric(MASKS.process, steps)
        p = law(catalogue["tweedie-tau-leaping"].kernel(MASKS.process, grid), data)
        # the truth by another route: noise every token of every sequence
        noising = MASKS.process.transition(0, grid[-1])[:3]
        truth = np.einsum("abc,aA,bB,cC->ABC", data.pmf(), *[noising] * 3)
        error = dict(zip(ladder.steps, ladder.errors, strict=True))[steps]
        assert error == pytest.approx(distances.table_tv(truth, p), abs=1e-14)


def test_ancestral_sampling_is_confirmed_and_the_mean_fed_plug_in_keeps_its_bias(found: Found) -> None:
    verdicts = {(j.method, j.start, j.claim.sense): j.verdict for j in found[1]}
    for noise in ("masks", "uniform"):
        for sense in ("tv", "path-kl"):
            assert verdicts["tweedie-tau-leaping", noise, sense] == "confirmed"
    assert verdicts["plug-in-posterior", "masks", "tv"] == "confirmed"
    assert ("plug-in-posterior", "uniform", "tv") not in verdicts  # which nobody claims
    floor = next(
        m for m in found[0] if (m.method, m.start, m.metric) == ("plug-in-posterior", "uniform", "tv")
    )
    assert abs(floor.slope.value) < 0.05
    assert floor.errors[-1] > 0.1


def test_the_summary_has_a_row_a_noise_and_a_column_a_target_and_metric(found: Found) -> None:
    table = tables.token_summary(*found)
    assert list(table["noise"]) == ["masks", "uniform", "masks", "uniform"]
    assert {"smooth TV", "smooth KL", "smooth path KL", "claim", "verdict"} <= set(table.columns)
    assert table.loc[3, "verdict"] == "no claim"
    cost = tables.equal_cost(found[0], "tv", "smooth")
    assert list(cost["noise"]) == ["masks", "masks", "uniform", "uniform"]
    exact = {m.start: dict(zip(m.nfe, m.errors, strict=True)) for m in found[0] if m.metric == "tv"}
    assert cost.loc[3, "NFE 64"] == f"{exact['uniform'][64]:.3g}"


def test_a_spoiled_step_loses_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bridge between the wrong times: its law does not converge, and what was deduced is not met."""
    from solvers.methods.discrete import ancestral

    true_bridge = ancestral.bridge
    monkeypatch.setattr(
        ancestral, "bridge", lambda noise, t, s, **k: true_bridge(noise, t, s + 0.5 * (t - s), **k)
    )
    _, judgements = token_order.token_order(["tweedie-tau-leaping"], ("smooth",), [UNIFORM])
    assert {j.verdict for j in judgements if j.claim.sense == "tv"} == {"not met"}


def test_second_order_in_kl_is_what_first_order_leaping_has_too_and_tv_tells_them_apart() -> None:
    """Ren et al. 2025 claim KL O(h^2) of the law at the end: both pass it, with and without the positive part."""
    methods = [Job(catalogue["theta-trapezoidal"], "practical", {"clip": clip}) for clip in (True, False)]
    methods.append(Job(catalogue["tau-leaping"], "practical"))
    long = replace(UNIFORM, limit=1024)
    work = TokenOrders([(job, long) for job in methods], {"smooth": sequences.load("smooth")})
    judged = work.judged(run(work))
    found = {(j.method, j.claim.sense): j.words for j in judged}
    with_part, without = (f"theta-trapezoidal(clip={clip})" for clip in (True, False))
    assert found[with_part, "kl"] == found["tau-leaping", "kl"] == "confirmed"
    assert (without, "kl") not in found  # a signed measure has none
    assert (found[with_part, "tv"], found[without, "tv"]) == ("not met", "confirmed")
    assert {j.claim.basis for j in judged if j.claim.sense == "tv"} == {"deduced"}
    assert (with_part, "path-kl") not in found


def test_a_law_that_blows_up_is_nan_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(kernel: Kernel, *given: Any, **options: Any) -> Any:
        if len(kernel.grid) < 10:
            raise FloatingPointError("overflowed")
        return law(kernel, *given, **options)

    monkeypatch.setattr(token_order, "law", explode)
    method = catalogue["tau-leaping"]
    for m in measure(method, {}, "smooth", sequences.load("smooth"), UNIFORM):
        assert [bool(np.isnan(e)) for e in m.errors] == [N < 9 for N in m.steps]
        assert m.reason == "unstable in 4 steps: overflowed"


def test_methods_are_left_out_under_noises_they_refuse() -> None:
    jobs = token_order.token_jobs(["poisson-tau-leaping"])
    assert [s.noise for _, s in token_order.pairs(jobs, [MASKS, UNIFORM])] == ["uniform"]
    with pytest.raises(ValueError, match="mask"):
        list(token_order.pairs(jobs, [MASKS], strict=True))


def test_every_discrete_method_is_studied_and_every_variant_builds() -> None:
    jobs = token_order.token_jobs()
    unguided = {name for name, method in catalogue.discrete.items() if "label" not in method.options}
    assert {job.method.name for job in jobs} == unguided
    counts = TokenSetting("counts", chains.PureDeath(3), limit=256)
    for job in jobs:
        assert not all(token_order.refuses(job, s) for s in (MASKS, UNIFORM, counts)), job.method.name


def test_a_guided_method_is_held_against_the_tilted_law() -> None:
    """At gamma = 1 the law under the label, to which it converges; at 2 a floor that no step count removes."""
    data = sequences.load("two-classes")
    guided = catalogue["guided-ancestral"]
    for gamma, order, floor in ((1.0, 1.0, 0.0), (2.0, 0.0, 0.01)):
        found = {m.metric: m for m in measure(guided, {"gamma": gamma}, "two-classes", data, UNIFORM)}
        assert set(found) == {"tv", "kl"}
        assert found["tv"].slope.local[-1] == pytest.approx(order, abs=0.1)
        assert found["tv"].errors[-1] > floor


def test_finished_ladders_are_read_back_equal(tmp_path: Path) -> None:
    (job,) = token_order.token_jobs(["discrete-euler"])
    laws = {"smooth": sequences.load("smooth")}
    setting = TokenSetting("uniform", chains.Uniform(3, "constant"), limit=128)
    first = run(TokenOrders([(job, setting)], laws), Store(tmp_path))
    stamps = {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()}
    again = run(TokenOrders([(job, setting)], laws), Store(tmp_path))
    assert {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()} == stamps
    assert repr(again) == repr(first)
    other = {"smooth": sequences.load("sharp")}  # another law under the same name is not mistaken for it
    run(TokenOrders([(job, setting)], other), Store(tmp_path))
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_ladder_that_drifts_goes_on_to_the_limit() -> None:
    setting = TokenSetting("masks", chains.Absorbing(3, "polynomial"), limit=512)
    (job,) = token_order.token_jobs(["tweedie-tau-leaping"])
    ladder = next(measure(job.method, {}, "sharp", sequences.load("sharp"), setting))
    assert ladder.steps[-1] == 512


def test_methods_share_what_they_ask_at_the_same_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """No posterior is formed twice, whichever methods ask, and no exact law integrated for another rule."""
    asked: list[tuple[object, ...]] = []

    def counted(name: str, form: Callable[..., object]) -> Callable[..., object]:
        def forming(tables: Tables, *what: object) -> object:
            asked.append((name, tables.process, *what))
            return form(tables, *what)

        return forming

    for name in ("_cavities", "_evidence", "_reverse_rows", "_carried"):
        monkeypatch.setattr(Tables, name, counted(name, getattr(Tables, name)))
    methods = ("tweedie-tau-leaping", "tau-leaping", "theta-rk-2", "gillespie", "next-reaction")
    short = [replace(setting, limit=16) for setting in (MASKS, UNIFORM)]
    token_order.token_order(methods, ("smooth",), short)
    assert {name for name, *_ in asked} == {"_cavities", "_evidence", "_reverse_rows", "_carried"}
    assert len(asked) == len(set(asked))


def test_targets_of_different_vocabularies_are_refused() -> None:
    with pytest.raises(ValueError, match="smooth of 3, text of 27"):
        token_order.common_vocabulary({"smooth": sequences.load("smooth"), "text": sequences.load("text")})
