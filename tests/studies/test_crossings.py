"""Where two methods' errors cross: against algebra, and as a change of rank."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import targets
from solvers import catalogue
from studies import specifications
from studies.scaling import crossings, needs
from studies.scaling.errors import AtEvaluations, ByLaw, UnmeasurableError
from studies.scaling.needs import Needs, Plan
from tests.studies.test_cli import Run, assay  # noqa: F401  (a fixture)

Array = NDArray[np.float64]

PLAN = Plan(targets=("spectrum-16",))


def study_of(method: str, plan: Plan = PLAN) -> Needs:
    return Needs(specifications.job_of(method), plan)


def stub(label: str, error: Callable[[int], float], nfe: int) -> Any:
    costs: Any = SimpleNamespace(nfe=lambda steps: nfe * steps, least=1)
    return SimpleNamespace(
        label=label, costs=costs, error_on=lambda name: ("W2/scale", error, 4096), on_the_line=True
    )


def test_crossings_of_powers_are_where_algebra_puts_them() -> None:
    first = stub("first", lambda N: 1 / N, 1)
    second = stub("second", lambda N: 10 / N**2, 2)
    (found,) = crossings.crossings(first, second, "any")
    assert found.nfe == pytest.approx(40, rel=1e-3)  # 1/F = 10/(F/2)^2
    assert found.error == pytest.approx(1 / 40, rel=1e-3)
    assert (found.below, found.above) == ("first", "second")
    (never,) = crossings.crossings(first, stub("third", lambda N: 3 / N, 1), "any")
    assert (never.status, np.isnan(never.nfe)) == ("none", True)

    def refuses(steps: int) -> float:
        raise UnmeasurableError("no density")

    (none,) = crossings.crossings(first, stub("fourth", refuses, 1), "any")
    assert (none.status, none.reason, np.isnan(none.nfe)) == ("no law", "no density", True)
    assert never.above == "first"


def test_a_crossing_on_a_target_is_a_change_of_rank_there() -> None:
    euler, heun = study_of("euler"), study_of("heun")
    (found,) = crossings.crossings(euler, heun, "spectrum-16")
    at = [ByLaw(s.gaussians, targets.load("spectrum-16"), "W2/scale") for s in (euler, heun)]
    low = int(found.nfe) // 2
    assert at[0](2 * low) < at[1](low)
    assert at[0](2 * low + 2) > at[1](low + 1)
    assert (found.below, found.above) == ("euler", "heun")


def test_errors_at_evaluations_go_through_the_whole_numbers() -> None:
    costs = study_of("heun").costs
    at = AtEvaluations(costs, lambda N: 5.0 / N**3, 64)
    assert at.steps(20.9) == 10
    assert np.exp(at(20.0)) == pytest.approx(5e-3)
    assert np.exp(at(21.0)) == pytest.approx(5 / 10.5**3, rel=1e-9)


def test_the_defaults_are_methods_of_the_catalogue() -> None:
    assert len(needs.METHODS) >= 10
    for name in {*needs.METHODS, *needs.SLOW, *(n for pair in crossings.PAIRS for n in pair)}:
        assert name in needs.METHODS
        assert catalogue[name].half == "continuous"
    assert crossings.pairs_of(["a", "b", "c"], everything=True) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert crossings.pairs_of(["heun", "euler"], everything=False) == [("euler", "heun")]
