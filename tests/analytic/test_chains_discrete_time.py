"""D3PM's matrices against the paper's formulas, its products and posteriors against enumeration."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from mpmath import mp, mpf

from analytic import chains
from analytic.chains import D3PM
from solvers import grids


def processes() -> dict[str, D3PM]:
    return {
        "uniform": D3PM.uniform([0.1, 0.3, 0.5], 4),
        "absorbing": D3PM.absorbing(4, 3),
        "gaussian": D3PM.gaussian([0.02, 0.1, 0.3], 5),
        "banded": D3PM.banded([0.2, 0.4, 0.9, 0.3], 5, width=2),
        "any": D3PM(np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 3))),
    }


PROCESSES = processes()
every_process = pytest.mark.parametrize("name", PROCESSES)


@every_process
def test_transitions_are_products_of_the_matrices(name: str) -> None:
    process = PROCESSES[name]
    for s in range(process.steps + 1):
        for t in range(s, process.steps + 1):
            product = np.linalg.multi_dot([np.eye(process.states)] * 2 + list(process.matrices[s:t]))
            np.testing.assert_allclose(process.transition(s, t), product, rtol=0, atol=1e-15)
            assert np.all(np.abs(process.transition(s, t).sum(axis=1) - 1) <= 1e-15)


@every_process
def test_posteriors_are_bayes_on_enumerated_paths(name: str) -> None:
    process = PROCESSES[name]
    size = process.states
    for k in range(1, process.steps + 1):
        # The law of all paths x_0, ..., x_k from each x_0, one axis a time.
        paths = np.eye(size)
        for matrix in process.matrices[:k]:
            paths = paths[..., None] * matrix
        joint = paths.reshape(size, -1, size, size).sum(axis=1) if k > 1 else paths
        for x in range(size):
            for v in range(process.vocabulary):
                row = joint[v, :, x]
                expected = row / row.sum() if row.sum() > 0 else 0 * row
                np.testing.assert_allclose(process.posterior(k)[x, v], expected, rtol=0, atol=1e-14)


@every_process
def test_posteriors_follow_equation_3_of_the_paper(name: str) -> None:
    process = PROCESSES[name]
    step, before = process.matrices[2], process.transition(0, 2)
    for x, v in np.ndindex(process.states, process.vocabulary):
        weights = (np.eye(process.states)[x] @ step.T) * (np.eye(process.states)[v] @ before)
        total = weights.sum()
        expected = weights / total if total > 0 else weights
        np.testing.assert_allclose(process.posterior(3)[x, v], expected, rtol=0, atol=1e-15)


def test_gaussian_matrices_are_those_of_equation_8() -> None:
    size, beta = 6, 0.05
    (found,) = D3PM.gaussian([beta], size).matrices
    with mp.workdps(30):
        weights = [mp.exp(-4 * mpf(n) ** 2 / ((size - 1) ** 2 * mpf(beta))) for n in range(1 - size, size)]
        for i, j in np.ndindex(size, size):
            if i != j:
                expected = float(weights[j - i + size - 1] / mp.fsum(weights))
                assert found[i, j] == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=0, atol=1e-15)


def test_banded_matrices_move_only_within_their_width() -> None:
    (found,) = D3PM.banded([0.3], 5, width=1).matrices
    assert found[2, 3] == found[2, 1] == pytest.approx(0.06, rel=1e-15)
    assert found[2, 4] == found[0, 2] == 0
    assert found[0, 0] == pytest.approx(0.94, rel=1e-15)
    np.testing.assert_allclose(
        D3PM.banded([0.3, 0.1], 5, width=4).matrices, D3PM.uniform([0.3, 0.1], 5).matrices, rtol=1e-15
    )


def test_default_schedules_end_at_the_noise() -> None:
    masked = D3PM.absorbing(10, 3)
    for k in range(11):
        assert masked.transition(0, k)[0, 3] == pytest.approx(k / 10, abs=1e-15)
    assert masked.mask == 3
    for process in (D3PM.uniform(100, 4), D3PM.gaussian(100, 64)):
        assert process.mask is None
        law = process.transition(0, process.steps)[0]
        assert np.abs(law - 1 / process.states).sum() / 2 < 3e-3
        np.testing.assert_allclose(process.prior, 1 / process.states, rtol=0, atol=1e-14)
    assert np.array_equal(masked.prior, [0, 0, 0, 1])


def test_discrete_time_is_continuous_time_seen_at_the_grid() -> None:
    for noise in (chains.Absorbing(3, "cosine"), chains.BirthDeath(4, "constant")):
        grid = np.linspace(0, 1, 6)
        steps = [noise.transition(s, t) for s, t in itertools.pairwise(grid)]
        process = D3PM(steps, vocabulary=noise.vocabulary)
        tokens = np.array([[0, 1, 2]])
        p0 = np.full(noise.vocabulary, 1 / noise.vocabulary)
        assert process.mask == noise.mask
        for k in range(1, 5):
            t = float(grid[k])
            np.testing.assert_allclose(
                process.likelihood(k, tokens), noise.likelihood(t, tokens), rtol=0, atol=1e-14
            )
            np.testing.assert_allclose(process.marginal(k, p0), noise.marginal(t, p0), rtol=0, atol=1e-14)
            bridge = noise.bridge(float(grid[k - 1]), t)
            np.testing.assert_allclose(process.posterior(k), bridge, rtol=0, atol=1e-13)


@every_process
def test_processes_are_values(name: str) -> None:
    process = PROCESSES[name]
    again = processes()[name]
    assert again == process
    assert hash(again) == hash(process)
    assert pickle.loads(pickle.dumps(process)) == process
    assert f"steps={process.steps}" in repr(process)
    assert process != D3PM(process.matrices[:1], process.vocabulary)
    with pytest.raises(AttributeError, match="immutable"):
        process.vocabulary = 2


@every_process
def test_sampling_starts_at_the_last_step_and_stops_at_the_data(name: str) -> None:
    process = PROCESSES[name]
    assert (process.start, process.stop, process.end) == (process.steps, 0, process.steps)
    grid = grids.uniform(process, process.steps)
    assert grid.tolist() == list(range(process.steps, -1, -1))
    with pytest.raises(ValueError, match=f"start is {process.steps + 1}"):
        grids.uniform(process, 2, start=process.steps + 1)
