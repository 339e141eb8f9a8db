"""Whole trajectories in one loop: the same tokens as move by move, the exact law, no dependence on layout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Kernel, Sites, bridge, forward_rates, law, resample, reverse_rates, sample, walk
from solvers.discrete.executors import through_neighbours as neighbours_module
from solvers.discrete.executors.fused import through_messages, trajectories
from solvers.discrete.executors.law_and_sample import stream
from solvers.discrete.executors.packed_moves import outflow, pack
from solvers.discrete.executors.through_neighbours import neighbours, through_neighbours
from solvers.discrete.model.cavities import Model
from solvers.discrete.model.messages_by_block import LANES
from solvers.discrete.moves.site import fill_flow

V = 3
FALSE_ALARM = 1e-6  # of all statistical tests here together
# Both routes compute a cavity to about 1e-15, so a token differs with probability 1e-15 a site and step: none here.
NOISES = {
    "absorbing": chains.Absorbing(V, "cosine"),
    "uniform": chains.Uniform(V, "cosine"),
    "hybrid": chains.Hybrid(V, 0.2),
}
START = np.array([0.5, 0.3, 0.2])
SMOOTH = np.array([[0.15, 0.7, 0.15], [0.2, 0.3, 0.5], [0.6, 0.15, 0.25]])
SHARP = np.array([[0.01, 0.98, 0.01], [0.01, 0.01, 0.98], [0.98, 0.01, 0.01]])


class Alone(Sites):
    """A factorised move that is not fused."""


def alone(kernel: Kernel) -> Kernel:
    def apart(step: Any) -> Any:
        return tuple(Alone(m.flow, m.exit, m.h) for m in step)

    return replace(kernel, steps=tuple(map(apart, kernel.steps)), final=apart(kernel.final))


def kernel_of(name: str, noise: Any, steps: int = 8) -> Kernel:
    """Methods of the catalogue and steps made here of the other flows and exits."""
    made = {
        "corrector": lambda t, s: [
            Sites(bridge(noise, t, s), "probability"),
            Sites(0.5 * (reverse_rates(noise, s) + forward_rates(noise, s)), "leap", t - s),
        ],
        "gibbs": lambda t, s: [
            Sites(bridge(noise, t, s), "probability"),
            Sites(0.3 * resample(noise, s), "probability"),
        ],
        "mean": lambda t, s: [Sites(bridge(noise, t, s, mean=True), "probability")],
    }
    grid = grids.uniform(noise, steps)
    return walk(name, noise, grid, made[name]) if name in made else catalogue[name].kernel(noise, grid)


METHODS = (
    "tweedie-tau-leaping",
    "discrete-euler",
    "tau-leaping",
    "poisson-tau-leaping-reject",
    "corrector",
    "gibbs",
    "mean",
)


def runs(kernel: Kernel, data: Any) -> Any:
    found = trajectories(kernel.moves, Model(kernel.process, data))
    assert found is not None
    return found


@pytest.mark.parametrize("P", [SMOOTH, SHARP], ids=["smooth", "sharp"])
@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
@pytest.mark.parametrize("method", METHODS)
def test_tokens_are_those_of_the_moves_one_by_one(method: str, noise: Any, P: Any) -> None:
    data = sequences.MarkovSequence(START, P, 16)
    kernel = kernel_of(method, noise)
    assert (runs(kernel, data).near is not None) == (noise.name == "absorbing")
    n = 10_000 if method == METHODS[0] else 2000
    np.testing.assert_array_equal(sample(kernel, data, n, 7), sample(alone(kernel), data, n, 7))


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
@pytest.mark.parametrize("finalise", ["posterior", "argmax"])
def test_finalisers_are_fused_too(finalise: str, noise: Any) -> None:
    data = sequences.MarkovSequence(START, SMOOTH, 16)
    kernel = kernel_of("tweedie-tau-leaping", noise).finalised(finalise)
    assert kernel.final
    runs(kernel, data)
    np.testing.assert_array_equal(sample(kernel, data, 2000, 7), sample(alone(kernel), data, 2000, 7))


@pytest.mark.parametrize("noise", [NOISES["uniform"]], ids=["uniform"])
def test_poisson_numbers_of_jumps_are_fused_too(noise: Any) -> None:
    data = sequences.MarkovSequence(START, SMOOTH, 16)
    kernel = kernel_of("poisson-tau-leaping", noise)
    runs(kernel, data)
    np.testing.assert_array_equal(sample(kernel, data, 2000, 7), sample(alone(kernel), data, 2000, 7))


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
def test_long_sequences_of_many_tokens_and_several_matrices(noise: Any) -> None:
    big, rng = 11, np.random.default_rng(0)
    noise = replace(noise, vocabulary=big)
    one, start = rng.dirichlet(np.ones(big), big), rng.dirichlet(np.ones(big))
    several = np.stack([rng.dirichlet(np.ones(big), big) for _ in range(50)])
    kernel = kernel_of("tweedie-tau-leaping", noise, 12)
    for transition, known in ((one, noise.name == "absorbing"), (several, False)):
        data = sequences.MarkovSequence(start, transition, 51)
        assert (runs(kernel, data).near is not None) == known
        np.testing.assert_array_equal(sample(kernel, data, 1000, 1), sample(alone(kernel), data, 1000, 1))


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
@pytest.mark.parametrize("method", ["tweedie-tau-leaping", "corrector"])
@pytest.mark.parametrize("n", [100_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_samples_follow_the_exact_law(method: str, noise: Any, n: int) -> None:
    data = sequences.MarkovSequence(START, SMOOTH, 4)
    kernel = kernel_of(method, noise)
    runs(kernel, data)
    exact = law(kernel, data).ravel()
    tokens = sample(kernel, data, n, 11)
    states = np.ravel_multi_index(tuple(tokens.T.astype(np.int64)), (noise.states,) * 4)
    counts = np.bincount(states, minlength=len(exact))
    common = n * exact > 10
    expected = np.append(n * exact[common], n * exact[~common].sum())
    observed = np.append(counts[common], counts[~common].sum())
    if expected[-1] < 10:
        expected, observed = expected[:-1] * (observed[:-1].sum() / expected[:-1].sum()), observed[:-1]
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, len(expected) - 1) > FALSE_ALARM / 12


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
def test_no_token_depends_on_threads_or_cuts(noise: Any) -> None:
    data = sequences.MarkovSequence(START, SMOOTH, 21)
    kernel = kernel_of("tweedie-tau-leaping", noise)
    n = 5 * LANES + 3
    whole = sample(kernel, data, n, 3)
    np.testing.assert_array_equal(sample(kernel, data, n, 3, threads=1), whole)
    np.testing.assert_array_equal(sample(kernel, data, n - 50, 3, first=50), whole[50:])
    parts = list(stream(kernel, data, n - 10, 3, first=10, rows=37))
    assert [first for first, _ in parts] == list(range(10, n, 37))
    assert max(len(tokens) for _, tokens in parts) == 37
    np.testing.assert_array_equal(np.concatenate([tokens for _, tokens in parts]), whole[10:])
    moves = runs(kernel, data)
    three = np.zeros((5, 3), np.int64)
    tokens = np.full((n, 21), noise.states - 1)
    again = tokens.copy()
    moves.draw(tokens, np.uint64(9), 0)
    if moves.near is not None:
        through_neighbours(0, 5, moves.packed, moves.near, again, 5, np.uint64(9), 0, three)
    else:
        through_messages(0, 5, moves.packed, moves.model.transitions, again, 5, np.uint64(9), 0, three)
    np.testing.assert_array_equal(tokens, again)


def test_stream_refuses_at_once_and_gives_threads_back() -> None:
    data, noise = sequences.MarkovSequence(START, SMOOTH, 5), NOISES["uniform"]
    kernel = kernel_of("tweedie-tau-leaping", noise)
    for wrong in ({"n": 0}, {"first": -1}, {"rows": 0}, {"rows": 1.5}, {"n": True}, {"threads": 0}):
        name, value = next(iter(wrong.items()))
        with pytest.raises(ValueError, match=f"{name} is {value!r}: give a whole number"):
            stream(kernel, data, **{"n": 4, **wrong})  # type: ignore[arg-type]
    before = numba.get_num_threads()
    parts = stream(kernel, data, 100, rows=40, threads=1)
    next(parts)
    assert numba.get_num_threads() == before


def flows(noise: Any) -> Any:
    t, s = 0.7, 0.6
    yield bridge(noise, t, s)
    yield bridge(noise, t, s, mean=True)
    yield reverse_rates(noise, t)
    yield 0.5 * (reverse_rates(noise, t) + forward_rates(noise, t))
    yield reverse_rates(noise, t) + 0.2 * resample(noise, t)
    plain = bridge(noise, t, s)
    k = plain.coefficients
    yield replace(plain, coefficients=k._replace(here=np.linspace(0.1, 0.4, len(k.add))))


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
def test_outflow_is_the_sum_of_the_flows(noise: Any) -> None:
    rng = np.random.default_rng(0)
    data = sequences.MarkovSequence(START, SMOOTH, 4)
    for flow in flows(noise):
        move = Sites(flow, "leap", 0.1)
        packed = pack((move,), Model(noise, data))
        k = flow.coefficients
        for _ in range(20):
            cavity = rng.dirichlet(np.ones(V))
            for x in range(noise.states):
                row: NDArray[np.float64] = np.empty(noise.states)
                fill_flow(k, x, cavity, row)
                at_x = cavity[x] if x < V else 0.0
                found = outflow(k, packed.rest[0], x, at_x, 1 - at_x)
                np.testing.assert_allclose(found, row.sum(), rtol=1e-14)
                # what stays for sure when masks alone are uncertain: exact at a mask, a bound at a token
                if noise.name == "absorbing":
                    leave = 0.1 * row.sum()
                    assert packed.stay[0, x] <= 1 - leave
                    if x == noise.mask:
                        assert packed.stay[0, x] == pytest.approx(1 - leave, abs=1e-11)


def test_what_cannot_be_fused_is_drawn_move_by_move() -> None:
    data, uniform = sequences.MarkovSequence(START, SMOOTH, 5), NOISES["uniform"]
    birth_death = chains.BirthDeath(V, "cosine")
    kernel = kernel_of("tweedie-tau-leaping", uniform)
    (move,) = kernel.steps[0]
    assert isinstance(move, Sites)
    for moves, process, target in (
        (kernel_of("tweedie-tau-leaping", birth_death).moves, birth_death, data),
        (kernel.moves, uniform, sequences.Product(np.tile(START, (5, 1)))),
        (alone(kernel).moves, uniform, data),
        ((replace(move, flow=-0.1 * move.flow),), uniform, data),
        ((Sites(bridge(chains.Uniform(V), 0.5, 0.4), "probability"),), uniform, data),
    ):
        assert trajectories(moves, Model(process, target)) is None


def test_powers_that_take_too_much_memory_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sequences.MarkovSequence(START, SMOOTH, 16)
    kernel = kernel_of("tweedie-tau-leaping", NOISES["absorbing"])
    by_neighbours = sample(kernel, data, 500, 2)
    assert neighbours(data) is not None
    monkeypatch.setattr(neighbours_module, "MOST_POWER_BYTES", 100)
    assert runs(kernel, data).near is None
    np.testing.assert_array_equal(sample(kernel, data, 500, 2), by_neighbours)


def test_revealed_tokens_stay_and_steer_the_others() -> None:
    data, noise = sequences.MarkovSequence(START, SHARP, 12), NOISES["absorbing"]
    grid = grids.uniform(noise, 64, start=0.98)  # at t = 1 a revealed token has probability zero
    kernel = catalogue["tweedie-tau-leaping"].kernel(noise, grid, finalise="posterior")
    given = np.full((4000, 12), V)
    given[:, 4], given[:, 9] = 1, 0
    found = sample(kernel, data, 4000, 0, initial=given)
    assert (found[:, 4] == 1).all()
    assert (found[:, 9] == 0).all()
    assert (found < V).all()
    exact = data.masked_posterior(given[:1])[0]
    # Six standard errors and four counts: exceeded less than once in 10^8. The bias of a site's law is below 0.001.
    errors = np.sqrt(exact * (1 - exact) / 4000)
    shares = np.stack([np.bincount(found[:, site], minlength=V) / 4000 for site in range(12)])
    assert (np.abs(shares - exact) <= 6 * errors + 0.001).all()


@pytest.mark.parametrize("several", [False, True], ids=["neighbours", "messages"])
@pytest.mark.parametrize("given", [[0, 2, 3], [3, 0, 2], [0, 3, 3], [2, 3, 3]])
def test_impossible_rows_are_an_error_on_every_route(several: bool, given: list[int]) -> None:
    P = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    data = sequences.MarkovSequence([0.5, 0.5, 0.0], np.stack([P, P]) if several else P, 3)
    kernel = kernel_of("tweedie-tau-leaping", NOISES["absorbing"])
    assert (runs(kernel, data).near is None) == several
    rows = np.tile([[0, 1, 3]], (200, 1))
    rows[-1] = given
    possible = given == [0, 3, 3]
    for one in (kernel, alone(kernel)):
        one = replace(one, steps=one.steps[1:2])  # one move, so that no other impossible row comes up
        if possible:
            sample(one, data, 200, initial=rows)
        else:
            with pytest.raises(FloatingPointError, match="a sample has probability 0 at t ="):
                sample(one, data, 200, initial=rows)


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
def test_laws_that_are_none_are_an_error(noise: Any) -> None:
    data = sequences.MarkovSequence(START, SMOOTH, 6)
    kernel = walk(
        "wrong",
        noise,
        grids.uniform(noise, 4),
        lambda t, s: [Sites(9.0 * bridge(noise, t, s), "probability")],
    )
    for one in (kernel, alone(kernel)):
        with pytest.raises(FloatingPointError, match="a negative or undefined probability: take more steps"):
            sample(one, data, 100)
