"""Path KL against divergences of laws over whole paths, and against the information of a masked chain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import entr, rel_entr

from analytic import chains, distances, sequences
from solvers import catalogue, grids
from solvers.discrete import (
    Flow,
    Kernel,
    Move,
    Sites,
    Tables,
    bridge,
    forward_rates,
    law,
    path_kl,
    reverse_rates,
    walk,
)
from tests.solvers.token_loops import (
    MASK,
    NOISES,
    SHARP,
    SMOOTH,
    UNIFORM,
    Loops,
    State,
    clipped,
    leap,
    markov,
)

TIMES = (0.8, 0.5, 0.3)
SiteLaw = Callable[[State, int], list[float]]
named = pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)


def matrix(loops: Loops, law_of: SiteLaw, possible: np.ndarray) -> np.ndarray:
    """Transition probabilities of independent sites from the possible states, (S^L, S^L)."""
    out = np.zeros((len(loops.states),) * 2)
    for k in np.flatnonzero(possible):
        x = loops.states[k]
        laws = [law_of(x, site) for site in range(loops.length)]
        for y, p in loops.product(laws).items():
            out[k, loops.index[y]] += p
    return out


def exact_matrix(loops: Loops, t: float, s: float) -> np.ndarray:
    """p_s(y) q(x | y)/p_t(x), by [x, y]."""
    step, late, early = loops.noise.transition(s, t), loops.marginal(t), loops.marginal(s)
    out = np.zeros((len(late),) * 2)
    for (k, x), (j, y) in itertools.product(enumerate(loops.states), repeat=2):
        if late[k] > 0:
            out[k, j] = early[j] * math.prod(step[a, b] for a, b in zip(y, x, strict=True)) / late[k]
    return out


def divergence_of_paths(start: np.ndarray, exact: list[np.ndarray], sampled: list[np.ndarray]) -> float:
    """KL of the laws of all three-node paths, one array entry a path."""
    p = start[:, None, None] * exact[0][:, :, None] * exact[1][None]
    q = start[:, None, None] * sampled[0][:, :, None] * sampled[1][None]
    return float(rel_entr(p, q).sum())


def bridged(loops: Loops, t: float, s: float) -> SiteLaw:
    early, step, late = (
        loops.noise.transition(0, s),
        loops.noise.transition(s, t),
        loops.noise.transition(0, t),
    )

    def row(x: State, site: int) -> list[float]:
        out = [0.0] * loops.S
        for v, p in enumerate(loops.endpoint(t, x, site)):
            for y in range(loops.S):
                if p > 0:
                    out[y] += p * early[v, y] * step[y, x[site]] / late[v, x[site]]
        return out

    return row


def frozen(
    loops: Loops, t: float, s: float, end: Callable[[list[float], int, float], list[float]]
) -> SiteLaw:
    return lambda x, site: end(loops.reverse(t, x, site), x[site], t - s)


SAMPLERS: dict[str, Callable[[Loops, float, float], SiteLaw]] = {
    "tweedie-tau-leaping": bridged,
    "discrete-euler": lambda loops, t, s: frozen(loops, t, s, clipped),
    "tau-leaping": lambda loops, t, s: frozen(loops, t, s, leap),
}


@named
@pytest.mark.parametrize("name", SAMPLERS)
def test_divergence_of_independent_sites_is_that_of_whole_paths(name: str, noise: chains.Chain) -> None:
    data = markov(SHARP, 2)
    loops, steps = Loops(noise, data), list(itertools.pairwise(TIMES))
    exact = [exact_matrix(loops, t, s) for t, s in steps]
    sampled = [matrix(loops, SAMPLERS[name](loops, t, s), loops.marginal(t) > 0) for t, s in steps]
    found = path_kl(catalogue[name].kernel(noise, TIMES), data)
    assert found.shape == (2,)
    assert found.sum() == pytest.approx(divergence_of_paths(loops.marginal(0.8), exact, sampled), rel=1e-12)


@named
def test_divergence_of_two_moves_a_step_is_that_of_whole_paths(noise: chains.Chain) -> None:
    data, last = markov(SHARP, 2), 0.2
    loops, steps = Loops(noise, data), list(itertools.pairwise(TIMES))

    def corrected(t: float, s: float) -> list[Move]:
        rates = reverse_rates(noise, s) + forward_rates(noise, s)
        return [Sites(reverse_rates(noise, t), "leap", t - s), Sites(rates, "leap", last)]

    def corrector(s: float) -> SiteLaw:
        def row(x: State, site: int) -> list[float]:
            both = zip(loops.reverse(s, x, site), loops.forward(s, x, site), strict=True)
            return leap([a + b for a, b in both], x[site], last)

        return row

    exact = [exact_matrix(loops, t, s) for t, s in steps]
    sampled = [
        matrix(loops, frozen(loops, t, s, leap), loops.marginal(t) > 0)
        @ matrix(loops, corrector(s), loops.marginal(s) > 0)
        for t, s in steps
    ]
    found = path_kl(walk("corrected", noise, TIMES, corrected), data).sum()
    assert found == pytest.approx(divergence_of_paths(loops.marginal(0.8), exact, sampled), rel=1e-12)


@named
@pytest.mark.parametrize("begin", [0.8, 1.0])
def test_one_move_has_one_divergence_by_sites_and_by_matrices(noise: chains.Chain, begin: float) -> None:
    data = markov(SMOOTH, 3)
    stay = Sites(0.0 * forward_rates(noise, 0.5), "leap", 1.0)
    once = Sites(bridge(noise, begin, 0.5), "probability")
    kernels = [Kernel("k", noise, np.array([begin, 0.5]), (moves,)) for moves in ((once,), (once, stay))]
    by_sites, by_matrices = (path_kl(kernel, data)[0] for kernel in kernels)
    assert by_sites == pytest.approx(by_matrices, rel=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "polynomial"])
@pytest.mark.parametrize(("transition", "length"), [(SMOOTH, 4), (SHARP, 4), (SHARP, 1)])
def test_masked_ancestral_steps_cost_what_they_reveal_together(
    schedule: str, transition: np.ndarray, length: int
) -> None:
    data, noise = markov(transition, length), chains.Absorbing(3, schedule)
    for grid in (grids.uniform(noise, 5, append_zero=True), [0.9, 0.4, 0.35]):
        costs = sequences.InformationProfile(data).step_costs(noise.alpha(grid))
        found = path_kl(catalogue["tweedie-tau-leaping"].kernel(noise, grid), data)
        np.testing.assert_allclose(found, costs, rtol=1e-12, atol=1e-13)


@named
def test_total_correlation_is_a_difference_of_entropies(noise: chains.Chain) -> None:
    data = markov(SHARP, 3)
    loops, tables = Loops(noise, data), Tables(noise, data)
    late, rows = loops.marginal(0.8), exact_matrix(loops, 0.8, 0.5)
    expected = 0.0
    for k, weight in enumerate(late):
        table = rows[k].reshape((noise.states,) * 3)
        singles = [table.sum(axis=tuple({0, 1, 2} - {i})) for i in range(3)]
        expected += weight * (sum(entr(p).sum() for p in singles) - entr(table).sum())
    assert tables.total_correlation(0.8, 0.5) == pytest.approx(expected, rel=1e-11)


def test_independent_tokens_correlate_in_no_step() -> None:
    data = sequences.Product(np.random.default_rng(3).dirichlet(np.ones(3), size=3))
    for noise in (MASK, UNIFORM):
        assert abs(Tables(noise, data).total_correlation(0.8, 0.2)) < 1e-14


@pytest.mark.parametrize("noise", [MASK, UNIFORM, NOISES[3]], ids=lambda noise: noise.name)
@pytest.mark.parametrize("name", [*SAMPLERS, "plug-in-posterior"])
def test_paths_diverge_at_least_as_much_as_their_ends(name: str, noise: chains.Chain) -> None:
    data = markov(SHARP, 3)
    for steps in (1, 3, 10):
        kernel = catalogue[name].kernel(noise, grids.uniform(noise, steps, start=0.9, stop=0.1))
        ends = distances.table_kl(Tables(noise, data).evidence(0.1), law(kernel, data).ravel())
        costs = path_kl(kernel, data)
        assert costs.min() >= -1e-13
        assert costs.sum() >= ends - 1e-13
        assert ends > 1e-6


def test_the_finaliser_is_left_out_and_tables_may_be_shared() -> None:
    data, method = markov(SHARP, 3), catalogue["tau-leaping"]
    plain = path_kl(method.kernel(MASK, TIMES), data)
    assert (
        path_kl(method.kernel(MASK, TIMES, finalise="argmax"), data, Tables(MASK, data)).tolist()
        == plain.tolist()
    )


def only(flow: Flow, end: str = "probability", h: float = 1.0, *more: Move) -> Kernel:
    return Kernel("one step", flow.process, np.array([0.8, 0.5]), ((Sites(flow, end, h), *more),))


def test_a_sampler_that_cannot_follow_diverges_infinitely() -> None:
    data = markov(SMOOTH, 2)
    chosen, stay = bridge(UNIFORM, 0.8, 0.5), Sites(0.0 * forward_rates(UNIFORM, 0.5), "leap")
    assert path_kl(only(chosen, "argmax"), data).tolist() == [math.inf]
    assert path_kl(only(chosen, "argmax", 1.0, stay), data).tolist() == [math.inf]
    # Euler's rows are clipped: a masked site of a long step cannot stay where it is
    assert path_kl(only(reverse_rates(MASK, 0.8), "clipped", 5.0), data).tolist() == [math.inf]


def test_signed_steps_have_no_divergence() -> None:
    data, back = markov(SMOOTH, 2), -0.5 * forward_rates(UNIFORM, 0.8)
    assert np.isnan(path_kl(only(back, "leap", 0.3), data)).all()


class Backwards(Move):
    """The exact reverse process from t to s."""

    by_events = True

    def push(self, weights: np.ndarray, tables: Tables) -> np.ndarray:
        return tables.reverse(0.8, 0.5, weights)

    def draw(self, tokens: Any, model: Any, stream: Any) -> None:
        raise NotImplementedError


def test_moves_through_many_states_have_no_comparable_path() -> None:
    kernel = Kernel("exact", MASK, np.array([0.8, 0.5]), ((Backwards(),),))
    assert np.isnan(path_kl(kernel, markov(SMOOTH, 2))).all()


def test_zeros_of_the_target_cost_nothing_by_themselves() -> None:
    data = sequences.Product([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    found = path_kl(catalogue["tweedie-tau-leaping"].kernel(MASK, [1.0, 0.6, 0.0]), data)
    np.testing.assert_allclose(found, 0.0, atol=1e-14)


def test_too_many_states_for_a_matrix_are_refused() -> None:
    stay = Sites(0.0 * forward_rates(UNIFORM, 0.5), "leap")
    kernel = only(bridge(UNIFORM, 0.8, 0.5), "probability", 1.0, stay)
    with pytest.raises(ValueError, match=r"data has 2187 states: .* at most 1024; shorten the sequences"):
        path_kl(kernel, markov(SMOOTH, 7))
    assert np.isfinite(path_kl(only(bridge(UNIFORM, 0.8, 0.5)), markov(SMOOTH, 7))).all()
