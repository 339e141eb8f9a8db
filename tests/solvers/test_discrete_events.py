"""Event-driven samplers of tokens: exact laws, exact draws, and what they cost.

Each statistical check fails by chance with a probability of at most 1e-8; there are fewer than 100, the slow ones
included: 1e-6 in all.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import fixed_quad
from scipy.stats import chi2

from analytic import chains, sequences
from solvers import catalogue, grids, law, sample
from solvers.discrete import Kernel, Tables
from solvers.discrete.executors.evaluations import evaluations
from solvers.discrete.model.cavities import Model
from solvers.discrete.moves.event_loop import RULES, walk_all
from solvers.discrete.moves.event_rates import envelope, fill_all_rates, fill_rates, moment
from solvers.discrete.moves.events import Events, data_of, log_clock, noise_of

Array = NDArray[np.float64]
NOISES: dict[str, Any] = {
    "masks": chains.Absorbing(3, "cosine"),
    "uniform": chains.Uniform(3, "cosine"),
    "hybrid": chains.Hybrid(3, 0.2),
    "hybrid-2": chains.Hybrid(3, 0.4, 1.7),
}
DATA = {
    name: sequences.MarkovSequence(short.initial, short.transition, 4)
    for name in ("smooth", "sharp")
    if isinstance(short := sequences.load(name), sequences.MarkovSequence)
}
METHODS = ("gillespie", "next-reaction", "uniformization", "first-hitting")
PAIRS = [(m, n) for m, n in itertools.product(METHODS, NOISES) if m != "first-hitting" or n == "masks"]
CHANCE = 1e-8


def _kernel(method: str, noise: Any, start: float = 0.9, stop: float = 0.05, steps: int = 2) -> Kernel:
    return catalogue[method].kernel(noise, grids.geometric(noise, steps, start=start, stop=stop))


def _point(shape: tuple[int, ...], state: tuple[int, ...]) -> Array:
    out = np.zeros(shape)
    out[state] = 1.0
    return out


def _assert_drawn_from(tokens: NDArray[Any], pmf: Array) -> None:
    """Chi-square, states of fewer than 10 expected samples taken together."""
    n = len(tokens)
    counts = np.bincount(np.ravel_multi_index(tuple(tokens.T.astype(int)), pmf.shape), minlength=pmf.size)
    expected = n * pmf.ravel()
    assert counts[expected < 1e-10].sum() == 0
    rare = expected < 10
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], max(expected[rare].sum(), 1e-300))
    if expected[-1] < 10:
        # too few for the normal law: not more than a Poisson number passes
        assert counts[-1] < 60
        counts, expected = counts[:-1], expected[:-1]
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < chi2.isf(CHANCE, len(counts) - 1), statistic


# --- the law ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("method", "noise"), PAIRS)
def test_the_law_is_the_marginal_at_every_node_of_the_grid(method: str, noise: str, data: str) -> None:
    tables = Tables(NOISES[noise], DATA[data])
    kernel = catalogue[method].kernel(NOISES[noise], grids.geometric(NOISES[noise], 3))
    laws = law(kernel, DATA[data], at="all", tables=tables)
    for t, found in zip(kernel.grid.tolist(), laws, strict=True):
        assert np.abs(found.ravel() - tables.evidence(t)).sum() / 2 < 1e-13


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("method", "noise"), [p for p in PAIRS if p[0] in ("gillespie", "first-hitting")])
def test_from_one_state_the_law_is_the_exact_reverse_kernel(method: str, noise: str, data: str) -> None:
    tables = Tables(NOISES[noise], DATA[data])
    kernel = _kernel(method, NOISES[noise])
    for state in ((0, 2, 1, 1), (2, 2, 0, 1), (tables.states - 1, 1, tables.states - 1, 0)):
        start = _point((tables.states,) * 4, state)
        exact = tables.reverse(0.9, 0.05, start.ravel())
        found = law(kernel, DATA[data], initial=start, tables=tables).ravel()
        assert np.abs(found - exact).sum() / 2 < 1e-12


def test_masks_are_followed_from_all_noise_to_the_data_themselves() -> None:
    noise, data = NOISES["masks"], DATA["sharp"]
    for method in ("gillespie", "next-reaction", "first-hitting"):
        kernel = catalogue[method].kernel(noise, grids.explicit(noise, [1.0, 0.5, 0.0]))
        assert np.abs(law(kernel, data)[(slice(0, 3),) * 4] - data.pmf()).sum() < 1e-13
        tokens = sample(kernel, data, 20_000, seed=4)
        assert tokens.max() == 2
        _assert_drawn_from(tokens, data.pmf())


# --- rates and bounds ------------------------------------------------------------------------------------------


def _rates_by_loops(noise: Any, data: Any, t: float) -> dict[tuple[int, ...], Array]:
    """R_t(y, x) p_t(y)/p_t(x) for all neighbours y of x, from sums over x_0, in the clock of the samplers."""
    V, S, L = noise.vocabulary, noise.states, data.length
    q, rates, pmf = noise.transition(0, t), noise.rates(t), data.pmf()
    a = float(noise.alpha(t))
    pace = 1 / (t * (1 - t))
    if not isinstance(noise, chains.Hybrid):
        pace = -float(noise.d_alpha(t)) / (1 - a) / (1 if noise.mask else a)
    p = {}
    for x in itertools.product(range(S), repeat=L):
        p[x] = 0.0
        for x0 in itertools.product(range(V), repeat=L):
            p[x] += pmf[x0] * math.prod(q[v, y] for v, y in zip(x0, x, strict=True))
    found = {}
    for x in p:
        found[x] = np.zeros((L, S))
        for i, y in itertools.product(range(L), range(S)):
            if y != x[i]:
                found[x][i, y] = rates[y, x[i]] * p[(*x[:i], y, *x[i + 1 :])] / p[x] / pace
    return found


@pytest.mark.parametrize("noise", NOISES)
def test_rates_are_those_of_the_time_reversed_process(noise: str) -> None:
    process = NOISES[noise]
    transition = np.array([[[0.7, 0.2, 0.1], [0.05, 0.25, 0.7], [0.5, 0.4, 0.1]], np.eye(3) * 0.94 + 0.02])
    sharp = np.full((3, 3), 0.01) + 0.97 * np.roll(np.eye(3), 1, axis=1)
    for short in (sequences.MarkovSequence([0.5, 0.3, 0.2], p, 3) for p in (transition, sharp)):
        tokens = np.array(list(itertools.product(range(process.states), repeat=3)))
        for t in (0.97, 0.4, 0.003):
            rates = np.empty((*tokens.shape, process.states))
            s = log_clock(process, t)
            exact = np.array(list(_rates_by_loops(process, short, t).values()))
            for law_of_x0 in (short, sequences.Enumerated(short.pmf())):
                fill_all_rates(data_of(law_of_x0), noise_of(process), s, tokens, rates)
                np.testing.assert_allclose(rates, exact, rtol=2e-12, atol=1e-14)
            now = moment(noise_of(process), s)
            most = np.array([envelope(noise_of(process), now, x) for x in range(process.states)])
            assert (exact.sum(axis=2) <= most[tokens] * (1 + 1e-12)).all()
            assert most.max() <= 1


def test_a_bound_on_rates_is_reached_where_the_data_forbid_the_state() -> None:
    # Product of points: a token that data never hold leaves at the bound itself
    data = sequences.Product([[1.0, 0.0, 0.0]] * 2)
    for noise in NOISES.values():
        for t in (0.9, 0.2, 1e-3):
            s, out = log_clock(noise, t), np.empty((1, 2, noise.states))
            token = noise.states - 1
            fill_all_rates(data_of(data), noise_of(noise), s, np.array([[token, token]]), out)
            most = envelope(noise_of(noise), moment(noise_of(noise), s), token)
            assert out[0, 0].sum() == pytest.approx(most, rel=1e-12)


@pytest.mark.parametrize("noise", ["masks", "uniform", "hybrid"])
def test_cavities_of_long_chains_are_those_of_the_model_also_where_far_sites_are_left_out(noise: str) -> None:
    process = {"masks": chains.Absorbing, "uniform": chains.Uniform, "hybrid": chains.Hybrid}[noise]
    V, L, t = 5, 40, 0.6
    process = process(V, 0.3) if noise == "hybrid" else process(V, "cosine")
    random = np.random.default_rng(3)
    data = sequences.MarkovSequence(random.dirichlet(np.ones(V)), random.dirichlet(np.ones(V), (L - 1, V)), L)
    tokens = random.integers(0, process.states, (4, L))
    cavities = Model(process, data).cavities(t, tokens)
    setup, now = noise_of(process), moment(noise_of(process), log_clock(process, t))
    for row, exact in zip(tokens, cavities, strict=True):
        for i, far in itertools.product(range(L), (True, False)):
            c, scratch, out = np.empty(V), (np.empty(V), np.empty(V), np.empty(0)), np.empty(process.states)
            assert fill_rates(data_of(data), setup, now, row, i, far, c, scratch, out) >= 0
            np.testing.assert_allclose(c, exact[i], rtol=1e-11, atol=1e-15)


# --- samples ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("method", "noise"), PAIRS)
def test_samples_follow_the_law(method: str, noise: str, data: str) -> None:
    kernel, tables = _kernel(method, NOISES[noise]), Tables(NOISES[noise], DATA[data])
    exact = tables.evidence(0.05).reshape((tables.states,) * 4)
    _assert_drawn_from(sample(kernel, DATA[data], 100_000, seed=1), exact)


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("method", "noise"), PAIRS)
def test_many_samples_follow_the_law(method: str, noise: str, data: str) -> None:
    kernel, tables = _kernel(method, NOISES[noise], steps=3), Tables(NOISES[noise], DATA[data])
    exact = tables.evidence(0.05).reshape((tables.states,) * 4)
    _assert_drawn_from(sample(kernel, DATA[data], 200_000, seed=2), exact)


@pytest.mark.parametrize(("method", "noise"), PAIRS)
def test_samples_from_one_state_follow_the_exact_reverse_kernel(method: str, noise: str) -> None:
    kernel, tables = _kernel(method, NOISES[noise]), Tables(NOISES[noise], DATA["sharp"])
    state = (0, tables.states - 1, tables.states - 1, 1)  # under masks, infilling
    exact = tables.reverse(0.9, 0.05, _point((tables.states,) * 4, state).ravel())
    tokens = sample(kernel, DATA["sharp"], 50_000, seed=3, initial=np.tile(state, (50_000, 1)))
    _assert_drawn_from(tokens, exact.reshape((tables.states,) * 4))


@pytest.mark.parametrize(("method", "noise"), PAIRS)
def test_samples_depend_neither_on_threads_nor_on_how_they_are_cut(method: str, noise: str) -> None:
    kernel, data = _kernel(method, NOISES[noise]), DATA["smooth"]
    whole = sample(kernel, data, 150, seed=8, threads=1)
    assert np.array_equal(whole, sample(kernel, data, 150, seed=8))
    assert np.array_equal(whole[37:], sample(kernel, data, 113, seed=8, first=37))
    counts = evaluations(kernel, data, 150, seed=8)
    assert np.array_equal(counts[37:], evaluations(kernel, data, 113, seed=8, first=37))


@pytest.mark.parametrize("noise", NOISES)
def test_chains_products_and_tables_give_the_same_samples(noise: str) -> None:
    kernel = _kernel("gillespie", NOISES[noise])
    product = sequences.load("independent")
    for data in (DATA["sharp"], product):
        tokens = np.random.default_rng(0).integers(0, 3, (2000, 4))
        drawn = sample(kernel, data, 2000, seed=6, initial=tokens)
        assert np.array_equal(
            drawn, sample(kernel, sequences.Enumerated(data.pmf()), 2000, seed=6, initial=tokens)
        )


# --- waiting times and cost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("noise", ["masks", "uniform", "hybrid"])
def test_the_first_jump_comes_at_the_exact_hazard(rule: str, noise: str) -> None:
    # Kolmogorov-Smirnov on the first time the state is found changed. Walks that stop later share their beginning
    # with those that stop earlier, so 30 stops show when. A jump undone before the next stop is lost:
    # a site jumps back at a rate below 1 in the clock s, so for fewer than range/60 of the walks, 0.3 deviations.
    process, data, n, t = NOISES[noise], DATA["sharp"], 5_000, 0.7
    top = process.states - 1
    state, end = np.array([top, 0, top, top]), {"masks": 0.5, "uniform": 0.62, "hybrid": 0.6}[noise]
    move = Events(process, t, end, rule)
    first, last = move.ends
    stops = np.linspace(first, last, 31)[1:]
    changed = np.empty(len(stops))
    for k, stop in enumerate(stops):
        tokens, counts = np.tile(state, (n, 1)), np.empty(n, np.int64)
        arguments = (noise_of(process), first, stop, move.bound, tokens, np.uint64(5), 0, 0, counts)
        walk_all(0, n, RULES[rule], data_of(data), *arguments)
        changed[k] = (tokens != state).any(axis=1).mean()

    def hazard(nodes: Array) -> Array:
        cavities = [(t, Model(process, data).cavities(t, state[None])) for t in nodes.tolist()]
        rates = [process.reverse_rates_from_cavity(t, c, state[None])[0] for t, c in cavities]
        return np.array([-rate[range(4), state].sum() for rate in rates])

    times = _times(process, rule, stops)
    total = np.cumsum([fixed_quad(hazard, b, a, n=3)[0] for a, b in itertools.pairwise([t, *times])])
    assert 0.25 < total[-1] < 2
    distance = np.abs(changed + np.expm1(-total)).max()
    assert distance * math.sqrt(n) < 3.4  # 2 exp(-2 3.1^2) = 9e-9, once 0.3 is set aside


def _times(process: Any, rule: str, clock: Array) -> list[float]:
    if isinstance(process, chains.Hybrid):
        return list(clock if rule == "uniformized" else 1 / (1 + np.exp(-clock)))
    if isinstance(process, chains.Absorbing):
        noise = clock if rule == "uniformized" else np.exp(clock)
    else:
        noise = -np.expm1(-clock) if rule == "uniformized" else 1 / (1 + np.exp(-clock))
    return list(process.schedule.time_of_noise(noise))


@pytest.mark.parametrize(("method", "noise"), PAIRS)
def test_evaluations_are_those_expected(method: str, noise: str) -> None:
    process, n = NOISES[noise], 20_000
    kernel = _kernel(method, process, steps=3)
    counts = evaluations(kernel, DATA["smooth"], n, seed=11)
    deviation = (counts.mean() - kernel.evaluations(4)) / (counts.std() / math.sqrt(n))
    assert abs(deviation) < 5.8
    if method == "uniformization":  # the number of candidates is Poisson
        assert abs(counts.var() / counts.mean() - 1) < 5.8 * math.sqrt(2 / n + 1 / n / counts.mean())


def test_expected_evaluations_in_closed_form() -> None:
    schedule = chains.schedules.Cosine()
    t, s = 0.9, 0.05
    n, m = float(schedule.noise(t)), float(schedule.noise(s))
    lost = math.log((1 - m) / (1 - n))
    odds = math.log(n / (1 - n)) - math.log(m / (1 - m))
    masks, uniform = (
        {name: _kernel(name, NOISES[noise], steps=1).evaluations(7) for name in METHODS[:3]}
        for noise in ("masks", "uniform")
    )
    assert masks["gillespie"] == pytest.approx(7 * (n - m), rel=1e-9)
    assert masks["uniformization"] == pytest.approx(7 * (n - m) / m, rel=1e-12)
    assert uniform["next-reaction"] == pytest.approx(7 * (odds - lost / 3), rel=1e-9)
    assert uniform["uniformization"] == pytest.approx(7 * lost * (1 / m - 1 / 3), rel=1e-12)
    fine = _kernel("uniformization", NOISES["uniform"], steps=2000).evaluations(7)
    assert uniform["next-reaction"] < fine < 1.002 * uniform["next-reaction"]


def test_masks_take_one_evaluation_a_token() -> None:
    noise = NOISES["masks"]
    kernel = catalogue["first-hitting"].kernel(noise, grids.explicit(noise, [1.0, 0.3, 0.0]))
    assert set(evaluations(kernel, DATA["smooth"], 500)) == {4}
    settled = catalogue["gillespie"].kernel(noise, grids.explicit(noise, [1.0, 0.3]), finalise="posterior")
    assert sample(settled, DATA["smooth"], 500).max() == 2
    counts = evaluations(settled, DATA["smooth"], 500)
    assert counts.min() >= 1  # the finaliser's
    assert counts.max() <= 5


# --- what is refused -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Unbounded(Events):
    """A bound that does not hold."""

    @property
    def bound(self) -> float:
        return 0.6 * super().bound


@pytest.mark.parametrize("rule", RULES)
def test_a_rate_above_its_bound_is_an_error_not_a_biased_sample(rule: str) -> None:
    noise = NOISES["uniform"]
    kernel = _kernel("gillespie", noise, steps=1)
    wrong = Kernel("wrong", noise, kernel.grid, ((_Unbounded(noise, 0.9, 0.05, rule),),))
    with pytest.raises(FloatingPointError, match="exceeds its bound"):
        sample(wrong, DATA["sharp"], 2000)


def test_impossible_tokens_are_an_error() -> None:
    data = sequences.MarkovSequence([0.5, 0.5, 0.0], np.eye(3), 4)
    tokens = np.tile([3, 0, 1, 3], (3, 1))
    for method in METHODS:
        kernel = _kernel(method, NOISES["masks"])
        with pytest.raises(FloatingPointError, match="probability 0"):
            sample(kernel, data, 3, initial=tokens)
        with pytest.raises(FloatingPointError, match="probability 0"):
            law(kernel, data, initial=_point((4,) * 4, (3, 0, 1, 3)))


@pytest.mark.parametrize("method", METHODS)
def test_bad_requests_are_told_what_to_do(method: str) -> None:
    entry, grid = catalogue[method], np.array([0.9, 0.1])
    for other in (chains.BirthDeath(3), chains.PureDeath(3), chains.General([[-1.0, 1.0], [1.0, -1.0]])):
        with pytest.raises(ValueError, match=r"noise is .*use chains\.Absorbing|take chains\.Absorbing"):
            entry.kernel(other, grid)
    with pytest.raises(ValueError, match="option 'rate' is not one of"):
        entry.kernel(NOISES["masks"], grid, rate=2)
    kernel = entry.kernel(NOISES["masks"], grid)
    long = sequences.HiddenMarkov([0.5, 0.5], np.full((2, 2), 0.5), np.full((2, 3), 1 / 3), 9)
    with pytest.raises(ValueError, match=r"data is .*3\^9 sequences"):
        sample(kernel, long, 2)
    with pytest.raises(ValueError, match=r"2.* states|16384 states"):
        law(kernel, sequences.MarkovSequence([0.5, 0.3, 0.2], np.full((3, 3), 1 / 3), 9))


def test_ends_where_rates_are_infinite_are_refused() -> None:
    for noise in (NOISES["uniform"], NOISES["hybrid"]):
        with pytest.raises(ValueError, match=r"1\.0.*infinite.*start at 0\.999"):
            catalogue["gillespie"].kernel(noise, [1.0, 0.5])
        with pytest.raises(ValueError, match=r"0\.0.*stop at a later time"):
            catalogue["next-reaction"].kernel(noise, [0.5, 0.0])
    with pytest.raises(ValueError, match="stop at a later time"):
        catalogue["uniformization"].kernel(NOISES["masks"], [1.0, 0.0])
