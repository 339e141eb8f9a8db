"""What is written for blocks of sequences twice, plainly and for vectors of lanes, is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from analytic import chains, sequences
from solvers.discrete import Sites, bridge, reverse_rates
from solvers.discrete.executors.draw_block import draw_block
from solvers.discrete.executors.packed_moves import fill_units, pack
from solvers.discrete.executors.through_neighbours import all_known, any_moves, multiply
from solvers.discrete.model.cavities import Model
from solvers.discrete.model.messages_by_block import LANES, WEAK, Likelihood, absorb, overlap, transmit
from solvers.discrete.moves.site import EXITS


@njit
def _transmit(*arguments: Any) -> Any:
    return transmit(*arguments)


@njit
def _absorb(*arguments: Any) -> Any:
    return absorb(*arguments)


@njit
def _overlap(*arguments: Any) -> Any:
    return overlap(*arguments)


@njit
def _fill_units(*arguments: Any) -> Any:
    return fill_units(*arguments)


@njit
def _any_moves(*arguments: Any) -> Any:
    return any_moves(*arguments)


@njit
def _all_known(*arguments: Any) -> Any:
    return all_known(*arguments)


@njit
def _multiply(*arguments: Any) -> Any:
    return multiply(*arguments)


@njit
def _draw_block(*arguments: Any) -> Any:
    return draw_block(*arguments)


@pytest.mark.parametrize("V", [2, 8, 19])
def test_weights_between_neighbours(V: int) -> None:
    a, b = np.random.default_rng(V).random((2, V))
    found, plain = np.empty(V), np.empty(V)
    total = multiply(a, b, plain)
    np.testing.assert_allclose(_multiply(a, b, found), total, rtol=1e-14)
    np.testing.assert_array_equal(found, plain)
    np.testing.assert_array_equal(plain, a * b)
    assert np.isclose(total, a @ b, rtol=1e-14)


@pytest.mark.parametrize("V", [2, 4, 7])
def test_messages(V: int) -> None:
    rng = np.random.default_rng(V)
    matrix, message = rng.random((V, V)), rng.random(V * LANES)
    found, expected = np.empty((2, V * LANES))
    transmit(matrix, message, expected)
    _transmit(matrix, message, found)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    total, plain = np.empty((2, LANES))
    overlap(message, expected, plain)
    _overlap(message, expected, total)
    np.testing.assert_allclose(total, plain, rtol=1e-14)
    states = rng.integers(0, V + 1, LANES)  # the mask among them
    flat, peak = rng.random((2, V + 1))
    peak[V] = flat[V]
    for table in (np.zeros((0, V + 1)), rng.random((V + 1, V))):
        seen, scale = Likelihood(flat, peak, table), rng.random(LANES)
        scale[3] = 0.0  # of a sequence that is impossible
        renewed = scale.copy()
        absorb(seen, states, message, scale, expected)
        _absorb(seen, states, message, renewed, found)
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        np.testing.assert_allclose(renewed, scale, rtol=1e-13)
        assert renewed[3] == 0.0
        assert (renewed[:3] > 0).all()


def test_uniform_numbers_and_who_moves() -> None:
    found, expected = np.empty((2, 2, LANES))
    fill_units(np.uint64(5), (1 << 32) - 3, 7, 2, expected)  # the sample's number passes 32 bits
    _fill_units(np.uint64(5), (1 << 32) - 3, 7, 2, found)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) == 2 * LANES
    mask, begin = 4, LANES // 2
    states, units = np.full(LANES, mask), np.full(LANES, 0.5)
    for change in ((), (0, 0.9, mask), (begin, 0.9, mask), (begin + 1, 0.7, 2), (begin + 1, 0.3, 2)):
        if change:
            units[change[0]], states[change[0]] = change[1:]
        for limits in ((0.8, 0.6), (0.95, 1.0), (0.5, 1.0)):
            plain = any_moves(states, units, begin, mask, *limits)
            assert _any_moves(states, units, begin, mask, *limits) == plain
    assert any_moves(np.full(LANES, 1), units, begin, mask, 0.0, 1.0) is False
    known = np.full(LANES, 1)
    for first, second, answer in ((known, known, True), (states, known, False), (known, states, False)):
        assert all_known(first, second, mask) == _all_known(first, second, mask) == answer


@pytest.mark.parametrize("exit_kind", ["probability", "clipped", "leap", "reject"])
@pytest.mark.parametrize("noise", [chains.Absorbing(5), chains.Uniform(5), chains.Hybrid(5, 0.3)], ids=str)
def test_draws(noise: Any, exit_kind: str) -> None:
    assert EXITS[exit_kind] <= EXITS["reject"]
    rng = np.random.default_rng(1)
    V, S = 5, noise.states
    data = sequences.MarkovSequence(np.full(V, 0.2), rng.dirichlet(np.ones(V), V), 3)
    flows = {"probability": [bridge(noise, 0.6, 0.4), bridge(noise, 0.6, 0.4, mean=True)]}
    model = Model(noise, data)
    for flow in flows.get(exit_kind, [reverse_rates(noise, 0.6)]):
        for h in (0.1, 1.5):
            packed = pack((Sites(flow, exit_kind, h),), model)
            moved = 0
            for _ in range(40):
                predicted, expected = rng.random((2, V * LANES))
                states, units = rng.integers(0, S, LANES), rng.random(LANES)
                found, plain = np.empty((2, LANES), np.int64)
                scratch = np.empty(S + V)
                arguments = (packed, 0, predicted, expected, states, units)
                assert draw_block(*arguments, plain, scratch) == (0, 0)
                assert _draw_block(*arguments, found, scratch) == (0, 0)
                np.testing.assert_array_equal(found, plain)
                moved += int((found != states).sum())
            assert moved > 10


def test_messages_that_hardly_overlap_and_laws_that_are_none_are_seen() -> None:
    noise, rng = chains.Uniform(3), np.random.default_rng(2)
    data = sequences.MarkovSequence(np.full(3, 1 / 3), rng.dirichlet(np.ones(3), 3), 3)
    packed = pack((Sites(reverse_rates(noise, 0.6), "leap", 0.1),), Model(noise, data))
    states, units, out = np.zeros(LANES, np.int64), np.full(LANES, 0.5), np.empty(LANES, np.int64)
    predicted, expected, scratch = rng.random(3 * LANES), rng.random(3 * LANES), np.empty(6)
    predicted[2::LANES] *= 0.1 * WEAK
    weak, _ = _draw_block(packed, 0, predicted, expected, states, units, out, scratch)
    assert weak > 0
    # flows that sum to more than one are no probabilities, and are not rates either
    steep = pack((Sites(4.0 * bridge(noise, 0.6, 0.1), "probability"),), Model(noise, data))
    for draw in (draw_block, _draw_block):
        _, bad = draw(steep, 0, rng.random(3 * LANES), expected, states, units, out, scratch)
        assert bad > 0
