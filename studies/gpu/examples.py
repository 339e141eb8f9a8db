"""Kernels with arguments of real sizes, to compile and to count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from analytic import GaussianMixture, chains, paths, sequences
from solvers import grids
from solvers.catalogue import catalogue
from solvers.continuous.executors.on_cuda import build, shape_of, with_a_channel
from solvers.continuous.executors.packed import pack
from solvers.continuous.executors.trajectory import plan_of
from solvers.continuous.imperfect import Imperfect, ScoreError
from solvers.discrete.executors.cuda.kernels import built, start
from solvers.discrete.executors.cuda.plans import (
    MOST_UNROLLED,
    fused_plan,
    start_plan,
    steps_plan,
)
from solvers.discrete.executors.cuda.runner import carry_of
from solvers.discrete.executors.fused import trajectories
from solvers.discrete.model.cavities import Model


class _Host:
    """Stands in for a device where only the types of arrays matter."""

    xp = np

    @staticmethod
    def put(value: Any) -> Any:
        return value

    seen = put


def of_tokens() -> Iterator[tuple[str, Callable[[Any], None], Any]]:
    """Yield (name, uncompiled kernel, its argument): what is checked without a GPU."""
    here: Any = _Host()
    seed, L, n = np.uint64(0), 6, 4
    states = np.zeros((L, n), np.int64)
    for V in (MOST_UNROLLED, 12):
        transition = np.full((V, V), 0.4 / V) + 0.6 * np.eye(V)
        data = sequences.MarkovSequence(np.full(V, 1 / V), transition, L)
        masked, uniform, death = (
            noise(vocabulary=V) for noise in (chains.Absorbing, chains.Uniform, chains.PureDeath)
        )
        for name, noise in (("masked, by neighbours", masked), ("uniform, by messages", uniform)):
            model, grid = Model(noise, data), grids.uniform(noise, steps=4)
            fused = trajectories(catalogue["tweedie-tau-leaping"].kernel(noise, grid).moves, model)
            assert fused is not None
            plan: Any = fused_plan(fused, states, np.zeros((n, 3), np.int64), seed, 0, here)
            yield f"sites, {name}, {V} tokens", built(carry_of(fused), plan, model), (plan,)
        two_labels, options = (
            sequences.Labelled([data, data], [0.5, 0.5]),
            {"blackout": {"births": "mean"}},
        )
        for name, method, process, law in (
            ("pair, masked", "theta-trapezoidal", masked, data),
            ("reveal, masked", "maskgit", masked, data),
            ("sites, one move, masked", "tau-leaping", masked, data),
            ("first jump, masked", "location-corrected-tau-leaping", masked, data),
            ("births, pure death", "blackout", death, data),
            ("sites by Poisson jumps, uniform", "poisson-tau-leaping", uniform, data),
            ("guided, uniform", "guided-ancestral", uniform, two_labels),
            ("events, uniform", "gillespie", uniform, data),
        ):
            kernel = catalogue[method].kernel(
                process, grids.uniform(process, steps=1), **options.get(method, {})
            )
            move, model = kernel.moves[0], Model(process, law)
            thread = move.thread(model)
            assert thread is not None
            plan = steps_plan(thread, model, states, np.zeros((n, 2), np.int64), seed, 0, 0, here)
            yield f"{name}, {V} tokens", built(thread.carry, plan, model), (plan,)
    yield "start states", start, (start_plan(transition, states, seed, 0, here),)


def of_trajectories() -> Iterator[tuple[str, Callable[[Any], None], Any]]:
    """Yield (name, uncompiled kernel, its argument) for the shapes in use: what is checked without a GPU."""
    generator = np.random.default_rng(0)
    line = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3])
    turned = GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 1.0]], [[[0.5, 0.2], [0.2, 0.3]]] * 2)
    targets: dict[str, Any] = {
        "line": line,
        "line, wrong score": Imperfect(line, ScoreError(0.2, "wave")),
        "plane, 9 components": GaussianMixture(np.ones(9) / 9, generator.normal(size=(9, 2)), 0.05),
        "plane, rotated": turned,
        "8 dimensions": GaussianMixture(np.ones(2) / 2, generator.normal(size=(2, 8)), 0.25),
        "8 dimensions, 20 components": GaussianMixture(
            np.ones(20) / 20, generator.normal(size=(20, 8)), 0.25
        ),
        "64 dimensions": GaussianMixture([1.0], generator.normal(size=(1, 64)), 0.25),
    }
    path = paths.VP()
    few = ("line", "plane, 9 components")
    most = "8 dimensions, 20 components"  # takes the most registers
    for method, wanted in {
        "ddpm": tuple(name for name in targets if name != most),
        "heun": few,
        "dpm-solver++-3m": (*few, most),
        "predictor-corrector": few,
    }.items():
        tableau = catalogue[method].tableau(path, grids.log_snr(path, steps=8))
        for name, target in targets.items():
            if name not in wanted:
                continue
            law = target.noised(*tableau.start)
            for dtype in ("float32", "float64"):
                plan = with_a_channel(plan_of(pack(tableau), target, law, dtype, np.uint64(0)))
                x = np.empty((1, target.means.shape[1]), dtype)
                yield f"{method}, {name}, {dtype}", build(shape_of(plan)), (plan, x)


def examples() -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, uncompiled kernel, its argument) for every kernel, in the shapes in use."""
    yield from of_trajectories()
    yield from of_tokens()
