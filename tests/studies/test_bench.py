"""What `assay bench` counts and shows; how long anything takes is not asserted."""

from __future__ import annotations

import json
import re
from typing import Any

import numba
import numpy as np
import pytest
import typer
from numba import njit
from typer.testing import CliRunner

from analytic import GaussianMixture
from solvers import catalogue, grids
from solvers.numerics import philox, primitives
from solvers.numerics.lanes import load, start_of, store
from studies.bench import growth, limits, study, ways
from studies.bench.timing import Way, times_in_turn
from studies.bench.verb import bench
from studies.bench.workloads import PATH, Tokens, Workload

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

    one, isotropic = (
        GaussianMixture([1.0], [[0.0, 0.0]], [1.0]),
        Workload("ddpm", 25, 2, "float32", 10).target,
    )
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


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples, and of others' ways one and one that fails."""
    monkeypatch.setattr(growth, "SIZES", {"n": (64, 128), "steps": (2, 4), "threads": (1, 2)})
    made = [("ddpm", "n"), ("masked tokens", "steps"), ("masked tokens", "threads")]
    threads = numba.config.NUMBA_NUM_THREADS
    monkeypatch.setattr(study, "GROWTHS", made[: 3 if threads > 1 else 2])
    broken = {"broken": lambda _: Way("broken", 1, _broken)}
    own = {kind: {"torch": of["torch"]} | broken for kind, of in ways.WAYS.items()}
    monkeypatch.setattr(ways, "WAYS", own)
    for kind in (Workload, Tokens):
        monkeypatch.setattr(kind, "samples", 64)
    monkeypatch.setattr(ways, "BATCH", 64)
    monkeypatch.setattr(ways, "TOKEN_BATCH", 64)


def shown(*arguments: str) -> Any:
    """What --json prints."""
    result = CliRunner().invoke(APP, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("tiny")
def test_the_verb_shows_speeds_peaks_and_growth() -> None:
    arguments = ["ddpm", "masked", "--size", "2x1", "--tokens", "3x4", "--dtype", "float32", "--rounds", "2"]
    printed = CliRunner().invoke(APP, arguments)
    assert printed.exit_code == 0, printed.output
    assert "ddpm, K = 2, d = 1, float32" in printed.stdout
    assert "masked, V = 3, L = 4, 64 steps" in printed.stdout
    assert printed.stdout.count("not timed: broken: RuntimeError: it is") == 2  # of mixtures and of tokens
    assert "fused multiplications" in printed.stdout
    assert "n^" in printed.stdout
    assert ("threads^" in printed.stdout) == (numba.config.NUMBA_NUM_THREADS > 1)
    found = shown(*arguments, "--no-growth")
    for part in ("speed", "tokens"):
        own, torch = found[part][:2]
        assert (own["way"], own["ratio"]) == ("assay", 1.0)
        assert torch["ratio"] > 0
        assert own["nanoseconds"] > 0
    assert found["speed"][0]["nanoseconds"] > found["speed"][0]["bound"] > 0
    assert not {"growth", "streamed"} & set(found)


@pytest.mark.usefixtures("tiny")
def test_samples_that_are_not_kept_are_drawn_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth, a tenth and all, in that order and before other libraries take memory."""
    kept: list[Any] = []

    def recorded(sampler: Any) -> Any:
        def of(work: Any) -> Any:
            def draw(n: int, **keywords: Any) -> Any:
                found = sampler(work)(n, **keywords)
                if "reduce" in keywords:
                    kept.append(found)
                return found

            return draw

        return of

    monkeypatch.setattr(limits, "peaks", lambda dtype: {})
    monkeypatch.setattr(limits, "fused_multiplications", lambda dtype: 1e9)
    for kind in (Workload, Tokens):
        monkeypatch.setattr(kind, "sampler", recorded(kind.sampler))
    words = "ddpm uniform --size 2x1 --tokens 3x4 --rounds 2 --no-growth --samples 2e4 --against none"
    found = shown(*words.split())
    assert [one["samples"] for one in found["streamed"]] == 2 * [200, 2_000, 20_000]
    moments, pairs = kept[1:6:2], kept[7::2]  # each after a short call that compiles
    assert [one.count for one in moments] == [200, 2_000, 20_000]
    assert [one.counts.sum() for one in pairs] == [3 * 200, 3 * 2_000, 3 * 20_000]
    for one in found["streamed"]:
        units = 100 if one["workload"].startswith("ddpm") else 4 * 64
        assert one["nanoseconds"] == pytest.approx(1e9 * one["seconds"] / one["samples"] / units)
        assert 10 < one["memory"] < 1e5


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
        (["masked", "--tokens", "32"], "tokens is '32': give vocabulary x length"),
        (["masked", "--samples", "99"], "samples is 99.0: give a whole number, at least 100"),
        (["masked", "--samples", "1000.5"], "samples is 1000.5: give a whole number"),
    ],
)
def test_bad_words_are_named(arguments: list[str], says: str) -> None:
    failed = CliRunner().invoke(APP, arguments)
    assert isinstance(failed.exception, ValueError)
    assert says in str(failed.exception)
