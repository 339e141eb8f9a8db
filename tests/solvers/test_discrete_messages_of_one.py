"""Messages of one sequence, which threads of a GPU follow, against those of blocks, which cores of a CPU follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete.executors.fused import trajectories
from solvers.discrete.executors.through_messages_of_one import step
from solvers.discrete.model import messages_of_one
from solvers.discrete.model.cavities import Model
from solvers.discrete.model.messages_by_block import likelihood, transitions

NOISES = {
    "masked": chains.Absorbing,
    "uniform": chains.Uniform,
    "hybrid": lambda V: chains.Hybrid(V, 0.2),
    "dense": chains.BirthDeath,
}


def law_of(V: int, L: int, changing: bool = False) -> sequences.MarkovSequence:
    rng = np.random.default_rng(7)
    steps = rng.dirichlet(np.ones(V), size=(L - 1, V) if changing else V)
    return sequences.MarkovSequence(rng.dirichlet(np.ones(V)), steps, L)


def noisy(data: sequences.MarkovSequence, told: Any, n: int) -> Any:
    u = np.random.default_rng(8).random((n, data.length, 1))
    rows = told[data.sample(n, 3)].cumsum(axis=2)
    return np.minimum((u > rows).sum(axis=2), told.shape[1] - 1)


@njit
def each(model: Any, seen: Any, states: Any, predicted: Any, line: Any, possible: Any) -> None:
    """Find the cavities of all columns of states (L, n), with the column last everywhere, as threads do."""
    for r in range(states.shape[1]):
        possible[r] = messages_of_one.cavities(
            model, seen, states[:, r], predicted[:, :, r], line[0, :, r], line[1, :, r]
        )


def found(data: sequences.MarkovSequence, told: Any, tokens: Any) -> tuple[Any, Any]:
    n, L = tokens.shape
    V = data.vocabulary
    predicted, line, possible = np.full((L, V, n), np.nan), np.full((2, V, n), np.nan), np.zeros(n, np.bool_)
    each(transitions(data), likelihood(told), np.ascontiguousarray(tokens.T), predicted, line, possible)
    return predicted.transpose(2, 0, 1), possible


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    ("V", "L", "changing"), [(2, 1, False), (5, 7, True), (11, 20, False), (11, 20, True)]
)
def test_cavities_are_those_of_blocks_and_of_the_law(noise: str, V: int, L: int, changing: bool) -> None:
    data, process = law_of(V, L, changing), NOISES[noise](V)
    told = np.asarray(process.transition(0, 0.4 * process.start + 0.6 * process.stop))[:V]
    tokens = noisy(data, told, 40)
    cavities, possible = found(data, told, tokens)
    assert possible.all()
    model = Model(process, data)
    t = 0.4 * process.start + 0.6 * process.stop
    np.testing.assert_allclose(cavities, model.cavities(t, tokens), rtol=1e-12)
    np.testing.assert_allclose(cavities, data.cavity(told.T[tokens]), rtol=1e-11)


def test_impossible_rows_are_told_apart() -> None:
    P = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    data = sequences.MarkovSequence([0.5, 0.5, 0.0], P, 3)
    told = np.asarray(chains.Absorbing(3).transition(0, 0.5))[:3]
    tokens = np.array([[0, 1, 3], [0, 2, 3], [2, 3, 3], [3, 3, 3], [3, 0, 2]])
    _, possible = found(data, told, tokens)
    assert possible.tolist() == [True, False, False, True, False]


@njit
def carry(packed: Any, model: Any, states: Any, seed: Any, first: int, scratch: Any, failed: Any) -> None:
    """Carry all columns of states (L, n) through all moves, as threads do."""
    predicted, line, row, units = scratch
    for r in range(states.shape[1]):
        for m in range(packed.keep.shape[0]):
            impossible, bad = step(
                packed,
                m,
                model,
                states[:, r],
                seed,
                first + r,
                predicted[:, :, r],
                line[0, :, r],
                line[1, :, r],
                units,
                line[2, :, r],
                row[:, r],
            )
            failed[r] += impossible + bad


@pytest.mark.parametrize("noise", ["masked", "uniform", "hybrid"])
@pytest.mark.parametrize(("V", "L", "changing"), [(3, 1, False), (5, 9, True), (16, 33, False)])
@pytest.mark.parametrize("method", ["tweedie-tau-leaping", "discrete-euler", "ctmc-predictor-corrector"])
def test_trajectories_are_those_of_blocks(method: str, noise: str, V: int, L: int, changing: bool) -> None:
    data, process, n = law_of(V, L, changing), NOISES[noise](V), 300
    kernel = catalogue[method].kernel(process, grids.uniform(process, steps=8), finalise="argmax")
    fused = trajectories(kernel.moves, Model(process, data))
    assert fused is not None
    first = (1 << 32) - 100
    tokens = noisy(data, np.asarray(process.transition(0, float(kernel.grid[0])))[:V], n)
    expected, states = tokens.copy(), tokens.T.copy()
    fused.draw(expected, np.uint64(5), first)
    scratch = (
        np.full((L, V, n), np.nan),
        np.full((3, V, n), np.nan),
        np.full((process.states, n), np.nan),
        np.zeros((2, 1)),
    )
    failed = np.zeros(n, np.int64)
    carry(fused.packed, fused.model.transitions, states, np.uint64(5), first, scratch, failed)
    assert not failed.any()
    assert (expected != tokens).any()
    np.testing.assert_array_equal(states.T, expected)
