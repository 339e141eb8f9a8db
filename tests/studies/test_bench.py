"""What `assay bench` counts and shows; how long anything takes is not asserted."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import typer
from numba import njit
from typer.testing import CliRunner

from analytic import GaussianMixture
from solvers import catalogue, grids
from solvers.numerics import philox, primitives
from solvers.numerics.lanes import load, start_of, store
from studies.bench import limits, study
from studies.bench.study import PATH, Workload
from studies.bench.timing import Way, times_in_turn
from studies.bench.verb import bench

APP = typer.Typer()
APP.command()(bench)
SLOTS = (r"fmul <", r"fdiv <", r"call .*@llvm\.fma", r"call .*@llvm\.sqrt")


def multiplications_in(function: Any, *arguments: Any) -> int:
    """Count multiplications of vectors in what the compiler made of a function without loops."""
    function(*arguments)
    lines = next(iter(function.inspect_llvm().values())).splitlines()
    return sum(bool(re.search(slot, l)) for slot in SLOTS for l in lines if not l.startswith("declare"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bound_counts_what_is_compiled(dtype: str) -> None:
    pair = philox.pair_of_32 if dtype == "float32" else philox.pair_of_64

    @njit
    def normals(out: Any, first: int) -> None:
        x, y = pair(np.uint64(3), first, np.uint64(4), np.uint64(5))
        store(start_of(out), 0, x)
        store(start_of(out), 16, y)

    @njit
    def power(out: Any) -> None:
        store(start_of(out), 0, primitives.exp2(load(start_of(out), 0)))

    of_philox = 20 * (2 if dtype == "float32" else 1)  # products of integers, in a loop of ten rounds
    assert multiplications_in(normals, np.empty(64, dtype), 0) == limits.OF_PAIR[dtype] - of_philox
    assert multiplications_in(power, np.empty(16, dtype)) == limits.OF_POWER[dtype]


def test_the_bound_of_some_samplers_is_what_one_counts_by_hand() -> None:
    def of(method: str, target: GaussianMixture, dtype: str = "float32") -> float:
        return limits.multiplications(catalogue[method].tableau(PATH, grids.uniform(PATH, 10)), target, dtype)

    one, isotropic = GaussianMixture([1.0], [[0.0, 0.0]], [1.0]), Workload("ddpm", 25, 2, "float32").target
    # a stage's input and three terms of a step, in two dimensions; an evaluation; a pair of normals
    assert of("ddpm", one) == 4 * 2 + (2 * 2 + 1) + 69
    assert of("ddpm", isotropic) - of("ddpm", one) == 25 * (4 + 6 + 2 + 1)
    assert of("ddpm", isotropic, "float64") - of("ddpm", one, "float64") == 25 * (4 + 11 + 2 + 1)
    shared = GaussianMixture(isotropic.weights, isotropic.means, np.full((25, 2), 0.1))
    assert of("ddpm", isotropic) - of("ddpm", shared) == 25
    assert of("heun", shared) < 2 * of("ddpm", shared)  # two evaluations, no noise
    with pytest.raises(ValueError, match="rotated components"):
        of("ddpm", GaussianMixture([1.0], [[0.0, 0.0]], [[[2.0, 1.0], [1.0, 2.0]]]))


def test_ways_take_turns_and_those_that_fail_are_named() -> None:
    order: list[str] = []

    def way(name: str) -> Way:
        return Way(name, 10, lambda: lambda: order.append(name))

    def broken() -> Any:
        raise ImportError("no such library")

    missing: dict[str, str] = {}
    times = times_in_turn([way("a"), Way("c", 1, broken), way("b")], 3, missing, ("a",))
    assert order == ["a", "b"] + 3 * ["a", "b"]
    assert missing == {"c": "ImportError: no such library"}
    assert {name: len(taken) for name, taken in times.items()} == {"a": 3, "b": 3}
    with pytest.raises(ImportError):
        times_in_turn([Way("c", 1, broken)], 3, {}, ("c",))


def test_the_verb_shows_speeds_peaks_and_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "SIZES", {"n": (64, 128), "steps": (2, 4)})
    monkeypatch.setattr(study, "GROWTHS", [("ddpm", "n"), ("masked tokens", "steps")])
    monkeypatch.setattr(study, "WAYS", {"torch": study.WAYS["torch"], "broken": lambda *_: _broken})
    monkeypatch.setattr(Workload, "samples", 64)
    monkeypatch.setattr(study, "BATCH", 64)
    arguments = ["ddpm", "--size", "2x1", "--dtype", "float32", "--rounds", "2"]
    shown = CliRunner().invoke(APP, arguments)
    assert shown.exit_code == 0, shown.output
    assert "ddpm, K = 2, d = 1, float32" in shown.stdout
    assert "not timed: broken: RuntimeError: it is" in shown.stdout
    assert "fused multiplications" in shown.stdout
    assert "n^" in shown.stdout
    found = json.loads(CliRunner().invoke(APP, [*arguments, "--json", "--no-growth"]).stdout)
    own, torch = found["speed"][:2]
    assert (own["way"], own["ratio"]) == ("assay", 1.0)
    assert torch["ratio"] > 0
    assert own["nanoseconds"] > own["bound"] > 0
    assert "growth" not in found


def _broken() -> Any:
    raise RuntimeError("it is")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dpm"], "method"),
        (["ddpm", "--size", "25"], "size is '25': give components x dimensions"),
        (["ddpm", "--dtype", "float16"], "float16"),
        (["ddpm", "--against", "jax"], "against"),
        (["ddpm", "--rounds", "1"], "rounds is 1: give at least 2"),
    ],
)
def test_bad_words_are_named(arguments: list[str], says: str) -> None:
    failed = CliRunner().invoke(APP, arguments)
    assert isinstance(failed.exception, ValueError)
    assert says in str(failed.exception)
