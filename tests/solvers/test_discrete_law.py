"""Exact laws of token samplers, one step and several, against loops over all states."""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Kernel, Sites, Tables, bridge, law
from tests.analytic.sequence_examples import brute_posterior
from tests.solvers.token_loops import MASK, NOISES, SHARP, SMOOTH, UNIFORM, Loops, clipped, leap, markov

T, S, H = 0.7, 0.55, 0.15
ORDINAL = [
    chains.BirthDeath(3, "cosine"),
    chains.GaussianOrdinal(3, 0.8, "cosine"),
    chains.PureDeath(3, "cosine"),
]
CHAINS = [*NOISES, *ORDINAL[1:]]
D3PMS = [chains.D3PM.uniform([0.1, 0.3, 0.5], 3), chains.D3PM.absorbing(4, 3), chains.D3PM.banded(3, 3, 1)]
FACTORISED = (
    "discrete-euler",
    "tau-leaping",
    "poisson-tau-leaping-reject",
    "tweedie-tau-leaping",
    "plug-in-posterior",
)
named = pytest.mark.parametrize("noise", CHAINS, ids=lambda noise: noise.name)


class Remembered:
    """The transitions and rates of a process, each computed once."""

    def __init__(self, noise: chains.SiteProcess) -> None:
        self.states, self.vocabulary = noise.states, noise.vocabulary
        self.transition = cache(noise.transition)
        self.rates = cache(getattr(noise, "rates", lambda t: None))


def loops_of(noise: chains.SiteProcess, data: sequences.SequenceLaw) -> Loops:
    return Loops(Remembered(noise), data)


def bridged(
    loops: Loops, t: float, s: float, x: tuple[int, ...], site: int, mean: bool = False
) -> list[float]:
    """Average q(x_s | x_t, x_0) over p(x_0 | x_t), or put that posterior in the place of x_0."""
    early, step, late = (
        loops.noise.transition(0, s),
        loops.noise.transition(s, t),
        loops.noise.transition(0, t),
    )
    posterior, here, out = loops.endpoint(t, x, site)[: loops.V], x[site], [0.0] * loops.S
    whole = sum(p * late[v, here] for v, p in enumerate(posterior))
    for y, (v, p) in itertools.product(range(loops.S), enumerate(posterior)):
        if p > 0:
            out[y] += p * early[v, y] * step[y, here] / (whole if mean else late[v, here])
    return out


def rejected(flows: list[float], x: int, h: float) -> list[float]:
    """Exactly one Poisson jump in all, or none that counts."""
    out = [math.exp(-h * sum(flows)) * h * f for f in flows]
    out[x] = 1 - sum(out)
    return out


def compound(flows: list[float], x: int, h: float) -> list[float]:
    """Sum over Poisson numbers of all jumps, displacements added up and clamped."""
    out = [0.0] * len(flows)
    laws = [
        [math.exp(-h * f) * (h * f) ** k / math.factorial(k) for k in range(31 if f else 1)] for f in flows
    ]
    for numbers in itertools.product(*(range(len(p)) for p in laws)):
        end = x + sum(n * (y - x) for y, n in enumerate(numbers))
        out[min(max(end, 0), len(flows) - 1)] += math.prod(p[n] for p, n in zip(laws, numbers, strict=True))
    return out


def one_step(loops: Loops, name: str, t: float, s: float, x: tuple[int, ...], site: int) -> list[float]:
    if name == "tweedie-tau-leaping":
        return bridged(loops, t, s, x, site)
    if name == "plug-in-posterior":
        return bridged(loops, t, s, x, site, mean=True)
    ends = {
        "discrete-euler": clipped,
        "tau-leaping": leap,
        "poisson-tau-leaping-reject": rejected,
        "poisson-tau-leaping": compound,
    }
    return ends[name](loops.reverse(t, x, site), x[site], t - s)


def pushed(loops: Loops, name: str, t: float, s: float, weights: np.ndarray) -> np.ndarray:
    def step(x: tuple[int, ...]) -> dict[tuple[int, ...], float]:
        return loops.product([one_step(loops, name, t, s, x, site) for site in range(loops.length)])

    return loops.push(weights, step)


@named
def test_evidence_and_cavities_of_all_states_are_sums_over_clean_sequences(noise: chains.Chain) -> None:
    data = markov(SMOOTH, 3)
    tables, loops = Tables(noise, data), loops_of(noise, data)
    np.testing.assert_allclose(tables.evidence(T), loops.marginal(T), rtol=1e-12)
    seen = noise.transition(0, T)[: noise.vocabulary].T[tables.tokens]
    _, cavity, log_evidence = data.both(seen)
    np.testing.assert_allclose(tables.cavities(T), cavity, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(tables.evidence(T), np.exp(log_evidence), rtol=1e-12)
    for k in (0, len(seen) // 2, len(seen) - 1):
        _, brute, _ = brute_posterior(np.array(data.pmf()), seen[k])
        np.testing.assert_allclose(tables.cavities(T)[k], brute, rtol=1e-12, atol=1e-15)


def test_cavities_are_zero_beside_impossible_neighbours() -> None:
    data = sequences.MarkovSequence([1.0, 0.0], [[0.5, 0.5], [0.0, 1.0]], 2)
    tables = Tables(chains.Absorbing(2, "cosine"), data)
    at = {tuple(x): k for k, x in enumerate(tables.tokens.tolist())}
    assert tables.evidence(T)[at[1, 0]] == 0.0
    assert tables.cavities(T)[at[1, 0]].tolist() == [[1.0, 0.0], [0.0, 0.0]]


@named
def test_the_exact_reverse_kernel_is_bayes(noise: chains.Chain) -> None:
    data = markov(SMOOTH, 2)
    tables, loops = Tables(noise, data), loops_of(noise, data)
    early, late, step = loops.marginal(S), loops.marginal(T), noise.transition(S, T)
    weights = np.random.default_rng(1).dirichlet(np.ones(tables.size))
    expected = [
        sum(
            weights[k] * early[j] * math.prod(step[a, b] for a, b in zip(y, x, strict=True)) / late[k]
            for k, x in enumerate(loops.states)
        )
        for j, y in enumerate(loops.states)
    ]
    np.testing.assert_allclose(tables.reverse(T, S, weights), expected, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(tables.reverse(T, S, late), early, rtol=1e-12)


@named
@pytest.mark.parametrize("name", FACTORISED)
def test_one_step_is_a_product_of_site_laws_by_loops(name: str, noise: chains.Chain) -> None:
    data = markov(SMOOTH, 3)
    loops = loops_of(noise, data)
    kernel = catalogue[name].kernel(noise, [T, S])
    expected = pushed(loops, name, T, S, loops.marginal(T))
    np.testing.assert_allclose(law(kernel, data).ravel(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("noise", [UNIFORM, *ORDINAL], ids=lambda noise: noise.name)
def test_one_step_of_added_poisson_jumps_by_loops(noise: chains.Chain) -> None:
    data = markov(SMOOTH, 2)
    loops = loops_of(noise, data)
    kernel = catalogue["poisson-tau-leaping"].kernel(noise, [T, S])
    expected = pushed(loops, "poisson-tau-leaping", T, S, loops.marginal(T))
    np.testing.assert_allclose(law(kernel, data).ravel(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("noise", D3PMS, ids=lambda noise: f"{noise.steps} steps of {noise.states}")
@pytest.mark.parametrize("name", ["tweedie-tau-leaping", "plug-in-posterior"])
def test_steps_of_chains_in_discrete_time_by_loops(name: str, noise: chains.D3PM) -> None:
    data = markov(SMOOTH, 2)
    loops = loops_of(noise, data)
    weights = loops.marginal(3)
    for t, s in ((3, 1), (1, 0)):
        weights = pushed(loops, name, t, s, weights)
    kernel = catalogue[name].kernel(noise, grids.explicit(noise, [3, 1, 0]))
    np.testing.assert_allclose(law(kernel, data).ravel(), weights, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=lambda noise: noise.name)
def test_all_nodes_are_the_ends_of_shorter_grids(noise: chains.Chain) -> None:
    data, grid = markov(SMOOTH, 2), grids.uniform(noise, 5)
    method = catalogue["tau-leaping"]
    nodes = law(method.kernel(noise, grid, finalise="posterior"), data, at="all")
    assert nodes.shape == (7, *(noise.states,) * 2)
    np.testing.assert_array_equal(nodes[0].ravel(), Tables(noise, data).evidence(grid[0]))
    for k in range(1, 6):
        np.testing.assert_array_equal(nodes[k], law(method.kernel(noise, grid[: k + 1]), data))
    np.testing.assert_array_equal(nodes[6], law(method.kernel(noise, grid, finalise="posterior"), data))


def test_start_laws_are_the_noised_data_the_prior_or_a_pmf() -> None:
    noise, data = chains.Uniform(3, "constant"), markov(SHARP, 2)
    kernel = catalogue["tau-leaping"].kernel(noise, [0.5, 0.2])
    loops = loops_of(noise, data)
    flat = np.full((3, 3), 1 / 9)
    marginal, prior = law(kernel, data, at="all"), law(kernel, data, "prior", at="all")
    np.testing.assert_allclose(marginal[0].ravel(), loops.marginal(0.5), rtol=1e-13)
    np.testing.assert_allclose(prior[0], flat, rtol=1e-15)
    np.testing.assert_allclose(law(kernel, data, flat), prior[1], rtol=1e-14)
    np.testing.assert_allclose(
        law(kernel, data, Tables(noise, data).evidence(0.5).reshape(3, 3)), marginal[1]
    )
    expected = pushed(loops, "tau-leaping", 0.5, 0.2, flat.ravel())
    np.testing.assert_allclose(prior[1].ravel(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["discrete-euler", "tweedie-tau-leaping"])
def test_a_hundred_thousand_states_of_independent_tokens_are_products(name: str) -> None:
    noise = chains.Absorbing(9, "cosine")
    laws = np.random.default_rng(2).dirichlet(np.ones(9), size=5)
    grid = [0.9, 0.5, 0.1]
    found = law(catalogue[name].kernel(noise, grid), sequences.Product(laws))
    expected = np.ones(1)
    for one in laws:
        loops = loops_of(noise, sequences.Product(one[None]))
        weights = loops.marginal(grid[0])
        for t, s in itertools.pairwise(grid):
            weights = pushed(loops, name, t, s, weights)
        expected = np.multiply.outer(expected, weights)
    np.testing.assert_allclose(found, expected[0], rtol=1e-11, atol=1e-18)


def kernel_of(
    name: str = "tau-leaping", noise: Any = UNIFORM, times: Any = (0.5, 0.2), **options: Any
) -> Kernel:
    return catalogue[name].kernel(noise, times, **options)


LONG = markov(SMOOTH, 9)
WRONG: dict[str, tuple[Any, list[str]]] = {
    "states": (
        lambda: law(kernel_of(noise=MASK), LONG),
        ["data has 4^9 = 262144 states", "more than 131072", "shorten", "draw samples"],
    ),
    "vocabulary": (
        lambda: law(kernel_of(noise=chains.Uniform(4)), markov(SMOOTH, 2)),
        ["data has a vocabulary of 3", "one of 4", "build both for the same tokens"],
    ),
    "at": (lambda: law(kernel_of(), markov(SMOOTH, 2), at="middle"), ["at is 'middle'", "'end' or 'all'"]),
    "initial": (
        lambda: law(kernel_of(), markov(SMOOTH, 2), "noise"),
        ["initial is 'noise'", "'marginal', 'prior' or a pmf"],
    ),
    "shape": (
        lambda: law(kernel_of(), markov(SMOOTH, 2), np.ones(9) / 9),
        ["initial has shape (9,)", "give (3, 3)"],
    ),
    "sum": (
        lambda: law(kernel_of(), markov(SMOOTH, 2), np.full((3, 3), 0.1)),
        ["initial sums to", "0.9", "probabilities that sum to one"],
    ),
    "finalise": (
        lambda: kernel_of(finalise="round"),
        ["finalise is 'round'", "None, 'posterior' or 'argmax'"],
    ),
    "fed": (lambda: kernel_of("plug-in-posterior", fed="logits"), ["fed is 'logits'", "'mean' or 'cavity'"]),
    "rates": (lambda: kernel_of(rates="score"), ["rates is 'score'", "'time-reversal' or 'flow-matching'"]),
    "order": (
        lambda: kernel_of("poisson-tau-leaping", MASK),
        ["noise is Absorbing", "no place in an order", "use poisson-tau-leaping-reject"],
    ),
    "start": (
        lambda: kernel_of(noise=chains.Uniform(3), times=(1.0, 0.5)),
        ["grid has the time 1.0", "start at 0.999"],
    ),
    "grid": (lambda: kernel_of(times=(0.2, 0.5)), ["grid[0] is 0.2", "strictly decrease"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_requests_are_named_with_their_remedy(case: str) -> None:
    ask, words = WRONG[case]
    with pytest.raises(ValueError, match=r"\w is |has |sums to|grid\[") as caught:
        ask()
    for word in words:
        assert word in str(caught.value)


def test_data_that_are_no_law_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="give a law of sequences"):
        law(kernel_of(), np.ones((3, 3)) / 9)  # type: ignore[arg-type]


def test_mass_where_the_model_is_undefined_is_an_error_and_no_number() -> None:
    data = sequences.MarkovSequence([0.5, 0.5, 0.0], np.roll(np.eye(3), 1, axis=1), 2)
    with pytest.raises(
        FloatingPointError, match=r"mass .* on states of probability 0 at t = 0.5.*without zeros"
    ):
        law(kernel_of("tweedie-tau-leaping", MASK, (1.0, 0.5, 0.1)), data)


def test_a_step_that_is_no_law_is_an_error_and_no_number() -> None:
    backwards = Kernel(
        "backwards", MASK, np.array([1.0, 0.5]), ((Sites(-0.5 * bridge(MASK, 1.0, 0.5), "leap"),),)
    )
    with pytest.raises(FloatingPointError, match=r"a probability is -.* at t = 1: take more steps"):
        law(backwards, markov(SMOOTH, 2))
    far = chains.BirthDeath(40, "constant")  # whose neighbours are visited often
    with pytest.raises(FloatingPointError, match="overflow at t = 1: take more steps"):
        law(kernel_of("poisson-tau-leaping", far, (1.0, 0.01)), sequences.Product([far.prior]))
