"""Samples of token methods: by chi-square against exact laws, and the same whatever the threads and cuts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Kernel, Sites, bridge, forward_rates, law, sample
from solvers.discrete.executors.law_and_sample import stream
from tests.solvers.token_loops import FIRST, MASK, NOISES, SHARP, SMOOTH, UNIFORM, chi_square, markov

ALARM = 1e-8  # false-alarm rate of each check by samples, of which there are fewer than fifty: 5e-7 in all
HYBRID, WALK = NOISES[2:]
D3PM = chains.D3PM([[[0.8, 0.2, 0.0], [0.1, 0.7, 0.2], [0.3, 0.0, 0.7]]] * 3)
CHAIN = markov(SMOOTH, 3)
LAWS: dict[str, sequences.SequenceLaw] = {
    "chain": CHAIN,
    "matrices": sequences.MarkovSequence(FIRST, np.stack([SMOOTH, SHARP]), 3),
    "table": sequences.Enumerated(markov(SHARP, 3).pmf()),
    "product": sequences.Product([FIRST, [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]),
    "hidden": sequences.HiddenMarkov([0.4, 0.6], [[0.9, 0.1], [0.2, 0.8]], [FIRST, [0.1, 0.1, 0.8]], 3),
}
METHODS: dict[str, tuple[str, Any, str | None]] = {
    "masked leaps": ("tau-leaping", MASK, None),
    "masked ancestral, settled": ("tweedie-tau-leaping", MASK, "posterior"),
    "masked ancestral, largest": ("tweedie-tau-leaping", MASK, "argmax"),
    "uniform Euler": ("discrete-euler", UNIFORM, None),
    "uniform plug-in": ("plug-in-posterior", UNIFORM, "posterior"),
    "hybrid leaps": ("tau-leaping", HYBRID, "posterior"),
    "hybrid ancestral": ("tweedie-tau-leaping", HYBRID, None),
    "walk with rejection": ("poisson-tau-leaping-reject", WALK, None),
    "walk with all jumps": ("poisson-tau-leaping", WALK, "argmax"),
    "discrete time": ("tweedie-tau-leaping", D3PM, None),
}


def kernel_of(case: str) -> Kernel:
    name, noise, finalise = METHODS[case]
    times = [3, 2, 1] if noise is D3PM else [0.9, 0.6, 0.35, 0.1]
    return catalogue[name].kernel(noise, times, finalise=finalise)


def check(case: str, data: sequences.SequenceLaw, n: int, seed: int, initial: str = "marginal") -> None:
    kernel = kernel_of(case)
    tokens = sample(kernel, data, n, seed, initial)
    assert tokens.shape == (n, data.length)
    assert tokens.dtype == np.int16
    assert chi_square(law(kernel, data, initial), tokens) > ALARM


@pytest.mark.parametrize("case", METHODS)
def test_samples_follow_the_exact_law(case: str) -> None:
    check(case, CHAIN, 100_000, 1)


@pytest.mark.slow
@pytest.mark.parametrize("data", LAWS)
@pytest.mark.parametrize("case", ["masked leaps", "uniform Euler", "hybrid leaps", "walk with all jumps"])
def test_many_samples_follow_the_exact_law(case: str, data: str) -> None:
    check(case, LAWS[data], 200_000, 2)


@pytest.mark.parametrize("data", LAWS)
@pytest.mark.parametrize("case", ["masked leaps", "walk with rejection"])
def test_samples_follow_the_exact_law_of_every_kind_of_data(case: str, data: str) -> None:
    check(case, LAWS[data], 100_000, 3)


@pytest.mark.parametrize("case", ["uniform plug-in", "hybrid ancestral", "walk with rejection"])
def test_samples_from_the_prior_follow_the_law_from_the_prior(case: str) -> None:
    check(case, markov(SHARP, 3), 100_000, 4, "prior")


@pytest.mark.parametrize("data", LAWS)
@pytest.mark.parametrize("case", ["masked leaps", "uniform plug-in", "walk with all jumps", "discrete time"])
def test_tokens_depend_on_their_address_alone(case: str, data: str) -> None:
    kernel, target = kernel_of(case), LAWS[data]
    whole = sample(kernel, target, 300, 7)
    np.testing.assert_array_equal(sample(kernel, target, 300, 7, threads=1), whole)
    np.testing.assert_array_equal(sample(kernel, target, 101, 7, first=50), whole[50:151])
    parts = [tokens for _, tokens in stream(kernel, target, 300, 7, rows=77)]
    assert [len(tokens) for tokens in parts] == [77, 77, 77, 69]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert (sample(kernel, target, 300, 8) != whole).any()


def test_addresses_of_samples_go_beyond_32_bits() -> None:
    kernel, far = kernel_of("masked leaps"), 2**32
    np.testing.assert_array_equal(
        sample(kernel, CHAIN, 20, first=far), sample(kernel, CHAIN, 30, first=far - 10)[10:]
    )
    assert (sample(kernel, CHAIN, 200, first=far) != sample(kernel, CHAIN, 200)).any()


def test_laws_of_the_same_table_give_the_same_tokens() -> None:
    kernel = catalogue["tweedie-tau-leaping"].kernel(chains.Absorbing(3, "cosine"), [1.0, 0.7, 0.4, 0.0])
    laws = [CHAIN, sequences.Enumerated(CHAIN.pmf()), sequences.Tree([-1, 0, 1], FIRST, SMOOTH)]
    fused, table, tree = (sample(kernel, data, 20_000) for data in laws)
    np.testing.assert_array_equal(fused, table)
    np.testing.assert_array_equal(fused, tree)


@pytest.mark.parametrize("begin", [0.99, 1.0])
def test_revealed_tokens_stay_and_the_rest_is_filled_by_its_conditional_law(begin: float) -> None:
    data, n = markov(SHARP, 3), 50_000
    start = np.tile([3, 1, 3], (n, 1))
    kernel = catalogue["tweedie-tau-leaping"].kernel(MASK, grids.uniform(MASK, 64, start=begin, stop=0.0))
    filled = sample(kernel, data, n, 9, start)
    assert (filled[:, 1] == 1).all()
    # given the middle token the outer two are independent, so that no step has an error
    given = np.array(data.pmf())
    given[:, [0, 2]] = 0.0
    assert chi_square(given / given.sum(), filled) > ALARM
    assert (start == [3, 1, 3]).all()


@pytest.mark.parametrize("case", ["uniform Euler", "walk with rejection"])
def test_given_tokens_are_where_samples_start(case: str) -> None:
    noise, n = METHODS[case][1], 100_000
    start = np.tile(np.array([2, 0, 1], dtype=np.int8), (n, 1))
    there = np.zeros((noise.states,) * 3)
    there[2, 0, 1] = 1.0
    tokens = sample(kernel_of(case), CHAIN, n, 10, start)
    assert chi_square(law(kernel_of(case), CHAIN, there), tokens) > ALARM


PAIR = ([0.5, 0.5, 0.0], np.roll(np.eye(3), 1, axis=1))
ZEROS = {
    "chain": sequences.MarkovSequence(*PAIR, 2),
    "table": sequences.Enumerated(sequences.MarkovSequence(*PAIR, 2).pmf()),
    "tree": sequences.Tree([-1, 0], *PAIR),
}


@pytest.mark.parametrize("data", ZEROS)
def test_samples_on_impossible_sequences_are_an_error_and_no_tokens(data: str) -> None:
    kernel = catalogue["tweedie-tau-leaping"].kernel(MASK, [0.9, 0.4, 0.1])
    with pytest.raises(
        FloatingPointError, match=r"probability 0 at t = 0.*, where the model is undefined: .*zeros"
    ):
        sample(kernel, ZEROS[data], 2000)


@pytest.mark.parametrize("data", [CHAIN, sequences.Enumerated(CHAIN.pmf())], ids=["chain", "table"])
@pytest.mark.parametrize("noise", [UNIFORM, WALK], ids=lambda noise: noise.name)
def test_steps_that_are_no_law_are_an_error_and_no_tokens(noise: Any, data: sequences.SequenceLaw) -> None:
    backwards = Kernel(
        "signed", noise, np.array([0.5, 0.4]), ((Sites(-0.5 * forward_rates(noise, 0.5), "leap"),),)
    )
    with pytest.raises(
        FloatingPointError, match=r"\d+ sites had a negative or undefined probability: take more steps"
    ):
        sample(backwards, data, 100)
    overfull = Kernel(
        "nan", noise, np.array([0.5, 0.4]), ((Sites(float("nan") * bridge(noise, 0.5, 0.4), "leap"),),)
    )
    with pytest.raises(
        FloatingPointError, match=r"\d+ sites had a negative or undefined probability: take more steps"
    ):
        sample(overfull, data, 100)


def kept(**arguments: Any) -> Callable[[], Any]:
    given: dict[str, Any] = {"data": CHAIN, "n": 5} | arguments
    return lambda: sample(kernel_of("masked leaps"), **given)


WRONG: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "n": (kept(n=0), ["n is 0", "at least 1"]),
    "fraction": (kept(n=2.5), ["n is 2.5", "whole number"]),
    "truth": (kept(n=True), ["n is True", "whole number"]),
    "first": (kept(first=-1), ["first is -1", "at least 0"]),
    "threads": (kept(threads=0), ["threads is 0", "whole number from 1 to"]),
    "word": (
        kept(initial="noise"),
        ["initial is 'noise'", "'marginal', 'prior' or an (n, 3) array of tokens"],
    ),
    "floats": (kept(initial=np.zeros((5, 3))), ["initial is an array of float64", "give integers, (5, 3)"]),
    "rows": (kept(initial=np.zeros((4, 3), int)), ["with shape (4, 3)", "give integers, (5, 3)"]),
    "token": (kept(initial=np.full((5, 3), 4)), ["initial holds 4", "tokens go from 0 to 3"]),
    "negative": (kept(initial=np.full((5, 3), -1)), ["initial holds -1", "tokens go from 0 to 3"]),
    "vocabulary": (kept(data=sequences.load("text")), ["data has a vocabulary of 27", "one of 3"]),
    "seed": (kept(seed=-1), ["seed is -1"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_requests_are_named_with_their_remedy(case: str) -> None:
    ask, words = WRONG[case]
    with pytest.raises(ValueError, match=r" is | holds | has ") as caught:
        ask()
    for word in words:
        assert word in str(caught.value)
