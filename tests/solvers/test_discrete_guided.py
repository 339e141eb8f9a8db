"""Guided samplers of tokens against plain loops, the samplers they contain, tilted laws and draws."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Tables, law, sample

ALARM = 1e-7  # false-alarm rate of each check by samples; there are fewer than ten in this file

FIRST = [0.5, 0.3, 0.2]
SMOOTH = np.array([[0.15, 0.7, 0.15], [0.2, 0.3, 0.5], [0.45, 0.25, 0.3]])
OTHER = np.array([[0.35, 0.25, 0.4], [0.6, 0.2, 0.2], [0.15, 0.45, 0.4]])
SHARP = np.array([[0.01, 0.98, 0.01], [0.01, 0.01, 0.98], [0.98, 0.01, 0.01]])
NOISES = [
    chains.Absorbing(3, "cosine"),
    chains.Uniform(3, "cosine"),
    chains.Hybrid(3, 0.2),
    chains.BirthDeath(3, "cosine"),
]
noises = pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
METHODS = [
    ("guided-ancestral", "transition"),
    ("guided-ancestral", "posterior"),
    ("guided-ancestral", "classifier"),
    ("guided-tau-leaping", "rates"),
    ("guided-tau-leaping", "posterior"),
    ("guided-tau-leaping", "classifier"),
]
methods = pytest.mark.parametrize(("name", "guide"), METHODS)
UNGUIDED = {"guided-ancestral": "tweedie-tau-leaping", "guided-tau-leaping": "tau-leaping"}


def labelled(length: int = 4, second: np.ndarray = OTHER) -> sequences.Labelled:
    laws = [sequences.MarkovSequence(FIRST, step, length) for step in (SMOOTH, second)]
    return sequences.Labelled(laws, [0.6, 0.4])


def kernel(name: str, noise: chains.Chain, steps: int, **options: Any) -> Any:
    start = options.pop("start", None)
    return catalogue[name].kernel(noise, grids.uniform(noise, steps, start=start), **options)


def anywhere(noise: chains.Chain, length: int, seed: int = 1) -> np.ndarray:
    """A start law with mass on every state."""
    weights = np.random.default_rng(seed).random((noise.states,) * length)
    return weights / weights.sum()


def one_step_by_loops(
    noise: chains.Chain,
    data: sequences.Labelled,
    t: float,
    s: float,
    start: np.ndarray,
    gamma: float,
    guide: str,
    rates: bool,
) -> np.ndarray:
    """A guided step towards label 1 by enumeration of x_0, of the states and of their neighbours."""
    V, S, L = 3, noise.states, data.length
    q_t, q_s, q_ts = noise.transition(0, t), noise.transition(0, s), noise.transition(s, t)
    whole, given = data.pmf(), data.laws[1].pmf()

    def shown(pmf: np.ndarray, x: tuple[int, ...]) -> float:
        return sum(
            pmf[v] * math.prod(q_t[a, b] for a, b in zip(v, x, strict=True))
            for v in itertools.product(range(V), repeat=L)
        )

    def posterior(pmf: np.ndarray, x: tuple[int, ...], site: int) -> np.ndarray:
        law_of_token = np.zeros(V)
        for v in itertools.product(range(V), repeat=L):
            law_of_token[v[site]] += pmf[v] * math.prod(q_t[a, b] for a, b in zip(v, x, strict=True))
        return law_of_token / law_of_token.sum()

    def moved(tokens: np.ndarray, x: int) -> np.ndarray:
        """p(x_s | x_t) for a posterior of x_0 at one site, or the rates out of x."""
        row = np.zeros(S)
        for v in range(V):
            for y in range(S):
                if rates:
                    row[y] += tokens[v] * noise.rates(t)[y, x] * q_t[v, y] / q_t[v, x] if tokens[v] else 0.0
                else:
                    row[y] += tokens[v] * q_s[v, y] * q_ts[y, x] / q_t[v, x] if tokens[v] else 0.0
        if rates:
            row[x] = 0.0
        return row

    def power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where(b > 0, a**gamma * np.where(b > 0, b, 1.0) ** (1 - gamma), 0.0)

    end = np.zeros_like(start)
    for x in itertools.product(range(S), repeat=L):
        rows = np.zeros((L, S))
        for i in range(L):
            free, pulled = posterior(whole, x, i), posterior(given, x, i)
            if guide == "posterior":
                row = moved(power(pulled, free) / power(pulled, free).sum(), x[i])
            elif guide == "classifier":
                row = moved(free, x[i])
                here = shown(given, x) / shown(whole, x)
                for y in range(S):
                    near = (*x[:i], y, *x[i + 1 :])
                    row[y] *= (shown(given, near) / shown(whole, near) / here) ** gamma
            else:
                row = power(moved(pulled, x[i]), moved(free, x[i]))
            if rates:
                out = row.sum()
                row *= -math.expm1(-(t - s) * out) / out if out else 0.0
                row[x[i]] = math.exp(-(t - s) * out)
            rows[i] = row / row.sum()
        for y in itertools.product(range(S), repeat=L):
            end[y] += start[x] * math.prod(rows[i, v] for i, v in enumerate(y))
    return end


@noises
@methods
def test_one_step_is_that_of_the_papers_formula(noise: chains.Chain, name: str, guide: str) -> None:
    data = labelled(2, SHARP)
    start = anywhere(noise, 2)
    step = catalogue[name].kernel(noise, grids.explicit(noise, [0.7, 0.55]), label=1, gamma=2.5, guide=guide)
    expected = one_step_by_loops(noise, data, 0.7, 0.55, start, 2.5, guide, "leaping" in name)
    np.testing.assert_allclose(law(step, data, initial=start), expected, atol=1e-12)


@noises
@methods
@pytest.mark.parametrize("finalise", [None, "posterior", "argmax"])
def test_the_ends_of_gamma_are_the_unguided_samplers(
    noise: chains.Chain, name: str, guide: str, finalise: str | None
) -> None:
    data = labelled(3)
    start = anywhere(noise, 3)
    for gamma, target in ((0, data), (1.0, data.condition(1))):
        if gamma == 1 and name == "guided-ancestral" and guide == "classifier" and noise.name != "absorbing":
            continue  # not the conditional sampler: see below
        if gamma == 1 and guide == "classifier" and finalise and noise.name != "absorbing":
            continue
        mine = kernel(name, noise, 5, start=0.9, label=1, gamma=gamma, guide=guide, finalise=finalise)
        theirs = kernel(UNGUIDED[name], noise, 5, start=0.9, finalise=finalise)
        np.testing.assert_allclose(
            law(mine, data, initial=start), law(theirs, target, initial=start), atol=1e-13
        )


@noises
@pytest.mark.parametrize("gamma", [0.5, 3.0])
def test_classifier_and_classifier_free_rates_are_the_same_by_bayes(
    noise: chains.Chain, gamma: float
) -> None:
    data = labelled(3, SHARP)
    laws = [
        law(kernel("guided-tau-leaping", noise, 6, label=1, gamma=gamma, guide=guide), data)
        for guide in ("rates", "classifier")
    ]
    np.testing.assert_allclose(laws[0], laws[1], atol=1e-13)


def test_classifier_asked_at_t_about_a_token_of_time_s_is_conditional_to_first_order_only() -> None:
    data, noise = labelled(3), NOISES[1]
    tables = Tables(noise, data.condition(1))
    found = []
    for steps in (32, 64, 128):
        grid = grids.uniform(noise, steps)
        start = tables.evidence(float(grid[0])).reshape((3,) * 3)
        step = catalogue["guided-ancestral"].kernel(noise, grid, label=1, guide="classifier")
        plain = catalogue["tweedie-tau-leaping"].kernel(noise, grid)
        p = law(step, data, initial=start / start.sum())
        found.append(np.abs(p - law(plain, data.condition(1), initial=start / start.sum())).sum() / 2)
    assert found[0] > 0.01
    np.testing.assert_allclose(np.log2(np.array(found[:-1]) / found[1:]), 1.0, atol=0.1)


@pytest.mark.parametrize("noise", NOISES[:2], ids=lambda noise: noise.name)
@pytest.mark.parametrize("name", ["guided-ancestral", "guided-tau-leaping"])
@pytest.mark.parametrize("second", [OTHER, SHARP], ids=["smooth", "sharp"])
def test_conditional_sampling_is_of_order_one_and_stronger_guidance_misses_the_tilted_law(
    noise: chains.Chain, name: str, second: np.ndarray
) -> None:
    data = labelled(3, second)
    tables = Tables(noise, data)

    def errors(gamma: float, ladder: list[int]) -> np.ndarray:
        target = Tables(noise, data.tilted(1, gamma))
        found = []
        for steps in ladder:
            grid = grids.uniform(noise, steps)
            start = target.evidence(float(grid[0])).reshape((noise.states,) * 3)
            step = catalogue[name].kernel(noise, grid, label=1, gamma=gamma)
            p = law(step, data, initial=start / start.sum(), tables=tables)
            found.append(np.abs(p.ravel() - target.evidence(float(grid[-1]))).sum() / 2)
        return np.array(found)

    conditional = errors(1.0, [64, 128])
    np.testing.assert_allclose(np.log2(conditional[:-1] / conditional[1:]), 1.0, atol=0.15)
    tilted = errors(2.5, [64, 128])
    # What is left does not halve with the steps, and is well above the error of the conditional sampler.
    assert tilted[1] > 0.75 * tilted[0]
    assert tilted[1] > 1.5 * conditional[1]


def test_one_masked_token_shows_where_the_normalisation_goes() -> None:
    """A site's tilted law is p_label^gamma p^(1 - gamma)/Z; rates not divided by Z lift the mask Z times faster."""
    laws = [sequences.Product([[0.7, 0.2, 0.1]]), sequences.Product([[0.1, 0.3, 0.6]])]
    data = sequences.Labelled(laws, [0.5, 0.5])
    noise, gamma = NOISES[0], 3.0
    grid = grids.explicit(noise, [1.0, 0.8, 0.5, 0.3])
    tilted = data.tilted(0, gamma).pmf()
    Z = (laws[0].pmf() ** gamma * data.pmf() ** (1 - gamma)).sum()
    assert Z > 1.5
    options = {"label": 0, "gamma": gamma}
    p = law(catalogue["guided-ancestral"].kernel(noise, grid, guide="posterior", **options), data)
    np.testing.assert_allclose(p[:3], tilted * float(noise.alpha(0.3)), rtol=1e-13)
    pace = [
        float(-noise.d_alpha(t) / (1 - noise.alpha(t))) * h
        for t, h in zip(grid, -np.diff(grid), strict=False)
    ]
    for guide, speed in (("posterior", 1.0), ("rates", Z), ("classifier", Z)):
        p = law(catalogue["guided-tau-leaping"].kernel(noise, grid, guide=guide, **options), data)
        assert p[3] == pytest.approx(math.exp(-speed * sum(pace)), rel=1e-12)
        np.testing.assert_allclose(p[:3] / p[:3].sum(), tilted, rtol=1e-12)


def test_evaluations_are_counted_once_at_both_ends() -> None:
    for gamma, each in ((0.0, 1), (1.0, 1), (2.0, 2)):
        assert kernel("guided-ancestral", NOISES[0], 5, gamma=gamma).evaluations(4) == 5 * each
    assert kernel("guided-tau-leaping", NOISES[0], 5, gamma=2.0, guide="classifier").evaluations(4) == 5
    assert kernel("guided-tau-leaping", NOISES[1], 5, gamma=2.0, finalise="argmax").evaluations(4) == 12


DRAWN = [
    (NOISES[0], METHODS[0]),
    (NOISES[2], METHODS[1]),
    (NOISES[1], METHODS[2]),
    (NOISES[3], METHODS[3]),
    (NOISES[0], METHODS[5]),
]


def check_draws(noise: Any, name: str, guide: str, n: int) -> None:
    data = labelled(3)
    step = kernel(name, noise, 5, label=1, gamma=2.0, guide=guide)
    z = sample(step, data, n, seed=7).astype(np.int64)
    p = law(step, data).ravel()
    counts = np.bincount(np.ravel_multi_index(tuple(z.T), (noise.states,) * 3), minlength=p.size)
    assert counts[p == 0].sum() == 0
    few = n * p < 5.0
    seen, expected = np.append(counts[~few], counts[few].sum()), np.append(n * p[~few], n * p[few].sum())
    keep = expected > 0
    assert stats.chisquare(seen[keep], expected[keep]).pvalue > ALARM


@pytest.mark.parametrize(("noise", "method"), DRAWN)
def test_draws_follow_the_law(noise: Any, method: tuple[str, str]) -> None:
    check_draws(noise, *method, 40_000)


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "method"), DRAWN)
def test_many_draws_follow_the_law(noise: Any, method: tuple[str, str]) -> None:
    check_draws(noise, *method, 200_000)


@pytest.mark.parametrize("guide", ["transition", "classifier"])
def test_draws_do_not_depend_on_threads_or_cuts(guide: str) -> None:
    data = labelled(5)
    step = kernel("guided-ancestral", NOISES[0], 4, label=0, gamma=1.7, guide=guide, finalise="posterior")
    z = sample(step, data, 300, seed=2)
    assert z.max() < 3
    np.testing.assert_array_equal(sample(step, data, 300, seed=2, threads=1), z)
    np.testing.assert_array_equal(sample(step, data, 100, seed=2, first=150), z[150:250])


def test_all_methods_take_labelled_data_as_they_are() -> None:
    data = labelled(3)
    same = sequences.Enumerated(data.pmf() / data.pmf().sum())
    for name in ("tweedie-tau-leaping", "tau-leaping"):
        step = kernel(name, NOISES[1], 4)
        np.testing.assert_allclose(law(step, data), law(step, same), atol=1e-13)
        z = sample(step, data, 20, seed=1, initial=np.zeros((20, 3), dtype=int))
        np.testing.assert_array_equal(z, sample(step, same, 20, seed=1, initial=np.zeros((20, 3), dtype=int)))


def test_bad_input_is_one_clear_error() -> None:
    noise, grid = NOISES[0], grids.uniform(NOISES[0], 3)
    build = catalogue["guided-ancestral"].kernel
    with pytest.raises(
        ValueError, match="guide is 'rates': use one of 'transition', 'posterior', 'classifier'"
    ):
        build(noise, grid, guide="rates")
    with pytest.raises(TypeError, match=r"label is 0\.5: give an integer"):
        build(noise, grid, label=0.5)
    with pytest.raises(ValueError, match="label is -1: labels count from 0"):
        build(noise, grid, label=-1)
    with pytest.raises(ValueError, match="gamma is inf: give a finite number, at least 0"):
        build(noise, grid, gamma=math.inf)
    with pytest.raises(TypeError, match="gamma is '2': give a number"):
        build(noise, grid, gamma="2")
    for run in (law, lambda step, data: sample(step, data, 5)):
        with pytest.raises(TypeError, match=r"data is MarkovSequence.*give sequences\.Labelled"):
            run(build(noise, grid), labelled().condition(0))
        with pytest.raises(ValueError, match="label is 2; labels run from 0 to 1"):
            run(build(noise, grid, label=2), labelled())
    death = chains.PureDeath(3, "cosine")
    step = build(death, grids.uniform(death, 3), gamma=2.0, guide="classifier")
    with pytest.raises(ValueError, match=r"never shows the state 1.*start at a smaller t"):
        law(step, labelled())


def test_states_that_the_label_forbids_are_refused() -> None:
    laws = [sequences.Product([[1.0, 0.0]] * 2), sequences.Product([[0.5, 0.5]] * 2)]
    data, noise = sequences.Labelled(laws, [0.5, 0.5]), chains.Absorbing(2, "cosine")
    tokens = np.array([[1, 2]] * 3)
    start = np.zeros((3, 3))
    start[1, 2] = 1.0
    for guide in ("transition", "posterior", "classifier"):
        step = kernel("guided-ancestral", noise, 3, start=0.9, label=0, gamma=2.0, guide=guide)
        with pytest.raises(FloatingPointError, match="states of probability 0"):
            law(step, data, initial=start)
        with pytest.raises(FloatingPointError, match="probability"):
            sample(step, data, 3, initial=tokens)
