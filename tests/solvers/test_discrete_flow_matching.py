"""Flow-matching rates and the samplers that use them: against plain loops, in order, in samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate

from analytic import chains
from solvers import catalogue, grids
from solvers.discrete import Tables, law, reverse_rates, sample
from solvers.discrete.flow import velocity
from solvers.discrete.moves.pair import fill_flows
from tests.solvers.token_loops import (
    MASK,
    SHARP,
    SMOOTH,
    UNIFORM,
    Loops,
    State,
    chi_square,
    clipped,
    distance,
    leap,
    markov,
    slopes,
)

ALARM = 1e-7  # false-alarm rate of each check by samples, of which there are fewer than ten
FIXED = pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=lambda noise: noise.name)
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("dfm-euler", {}),
    ("dfm-euler", {"corrector": 0.7}),
    ("dfm-euler", {"stochasticity": 0.4}),
    ("dfm-euler", {"corrector": 0.7, "stochasticity": 0.4}),
    ("dfm-jump", {}),
    ("tau-leaping", {"rates": "flow-matching"}),
    ("discrete-euler", {"rates": "flow-matching"}),
    ("time-corrected-tau-leaping", {}),
    ("location-corrected-tau-leaping", {}),
]
methods = pytest.mark.parametrize(("name", "options"), METHODS)


def kernel(
    name: str, noise: chains.Chain, steps: int, start: float = 0.9, stop: float = 0.1, **options: Any
) -> Any:
    return catalogue[name].kernel(noise, grids.uniform(noise, steps, start=start, stop=stop), **options)


def balanced(loops: Loops, t: float, x: State, site: int) -> list[float]:
    """Rates in detailed balance with q_t(. | x_0), one from x_0 outwards, averaged over x_0 given x_t."""
    q, out = loops.noise.transition(0, t), [0.0] * loops.S
    for v, p in enumerate(loops.endpoint(t, x, site)[: loops.V]):
        if p == 0:
            continue
        for y in range(loops.S):
            if y == x[site]:
                continue
            if x[site] == v and q[v, y] > 0:
                out[y] += p
            elif y == v:
                out[y] += p * q[v, v] / q[v, x[site]]
    return out


@FIXED
@pytest.mark.parametrize(("corrector", "eta"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.4), (0.7, 0.4)])
def test_all_rates_have_the_same_marginals(noise: chains.Chain, corrector: float, eta: float) -> None:
    # p_t generated backwards must fall as the forward equation has it rise
    loops, t = Loops(noise, markov(SHARP, 2)), 0.6
    p = loops.marginal(t)
    G = (1 + corrector) * loops.generator(t, loops.velocity)
    G += corrector * loops.generator(t, loops.forward)
    G += eta * loops.generator(t, lambda t, x, i: balanced(loops, t, x, i))
    change = p @ loops.generator(t, loops.forward)
    np.testing.assert_allclose(p @ G, -change, rtol=0, atol=1e-13)
    assert np.abs(change).max() > 1e-2


@FIXED
@pytest.mark.parametrize("eta", [0.0, 0.4])
def test_velocity_is_the_papers(noise: chains.Chain, eta: float) -> None:
    data, t = markov(SHARP, 2), 0.6
    loops, tables = Loops(noise, data), Tables(noise, data)
    flows = np.empty((tables.size, 2, noise.states))
    fill_flows(0, tables.size, velocity(noise, t, eta).coefficients, tables.tokens, tables.cavities(t), flows)
    for k, x in enumerate(loops.states):
        for i in range(2):
            expected = np.array(loops.velocity(t, x, i)) + eta * np.array(balanced(loops, t, x, i))
            np.testing.assert_allclose(flows[k, i], expected, rtol=1e-12, atol=1e-13)


def test_velocity_is_the_reversal_under_a_mask_and_not_under_uniform_noise() -> None:
    def difference(noise: chains.Chain) -> float:
        tables = Tables(noise, markov(SMOOTH, 2))
        one, two = (np.empty((tables.size, 2, noise.states)) for _ in range(2))
        for flow, out in ((velocity(noise, 0.6), one), (reverse_rates(noise, 0.6), two)):
            fill_flows(0, tables.size, flow.coefficients, tables.tokens, tables.cavities(0.6), out)
        return float(np.abs(one - two).max())

    assert difference(MASK) < 1e-13
    assert difference(UNIFORM) > 0.1


def step_by_loops(loops: Loops, name: str, options: dict[str, Any], t: float, s: float) -> np.ndarray:
    c, eta = options.get("corrector", 0.0), options.get("stochasticity", 0.0)
    noise_t, noise_s = 1 - float(loops.noise.alpha(t)), 1 - float(loops.noise.alpha(s))

    def flows(x: State, i: int) -> list[float]:
        parts = (loops.velocity(t, x, i), loops.forward(t, x, i), balanced(loops, t, x, i))
        return [(1 + c) * a + c * b + eta * d for a, b, d in zip(*parts, strict=True)]

    def others(at: float, x: State, i: int) -> list[float]:
        return [0.0 if y == x[i] else p for y, p in enumerate(loops.endpoint(at, x, i))]

    def time_corrected(at: float, x: State) -> dict[State, float]:
        h = math.log((1 - float(loops.noise.alpha(at))) / noise_s)
        return loops.product([leap(others(at, x, i), x[i], h) for i in range(loops.length)])

    def first_jump(x: State) -> dict[State, float]:
        targets = [others(t, x, i) for i in range(loops.length)]
        total = sum(map(sum, targets))

        def density(time: float) -> np.ndarray:
            # of the first jump at that time, times where the leap from there ends
            level = 1 - float(loops.noise.alpha(time))
            here = -float(loops.noise.d_alpha(time)) / level * (level / noise_t) ** total
            out = np.zeros(len(loops.states))
            for i, law_i in enumerate(targets):
                for y, p in enumerate(law_i):
                    if p > 0:
                        after = time_corrected(time, (*x[:i], y, *x[i + 1 :]))
                        out += here * p * np.array([after[z] for z in loops.states])
            return out

        ends = integrate.fixed_quad(lambda u: np.array([density(v) for v in u]).T, s, t, n=14)[0]
        out = dict(zip(loops.states, ends, strict=True))
        out[x] += (noise_s / noise_t) ** total
        return out

    def step(x: State) -> dict[State, float]:
        if name == "location-corrected-tau-leaping":
            return first_jump(x)
        if name == "time-corrected-tau-leaping":
            return time_corrected(t, x)
        if name == "dfm-jump":
            leaving = 1 - math.exp((t - s) * float(loops.noise.d_alpha(t)) / noise_t)
            moves = [[leaving * p for p in others(t, x, i)] for i in range(loops.length)]
            return loops.product([clipped(row, x[i], 1.0) for i, row in enumerate(moves)])
        settle = leap if name == "tau-leaping" else clipped
        return loops.product([settle(flows(x, i), x[i], t - s) for i in range(loops.length)])

    return loops.push(loops.marginal(t), step)


@FIXED
@methods
def test_one_step_is_the_papers(name: str, options: dict[str, Any], noise: chains.Chain) -> None:
    data = markov(SHARP, 2)
    slow = step_by_loops(Loops(noise, data), name, options, 0.7, 0.6)
    np.testing.assert_allclose(
        law(kernel(name, noise, 1, 0.7, 0.6, **options), data).ravel(), slow, rtol=0, atol=1e-12
    )


def test_the_corrector_rests_where_nothing_is_left_of_the_data() -> None:
    data = markov(SMOOTH, 2)
    laws = [law(kernel("dfm-euler", MASK, 1, 1.0, 0.8, corrector=c), data) for c in (0.0, 2.0)]
    np.testing.assert_array_equal(*laws)


@pytest.mark.parametrize("transition", [SMOOTH, SHARP], ids=["smooth", "sharp"])
def test_time_correction_is_ancestral_sampling_under_a_mask(transition: np.ndarray) -> None:
    data = markov(transition, 3)
    for steps, stop in ((3, 0.1), (2, 0.0)):
        corrected = law(kernel("time-corrected-tau-leaping", MASK, steps, 1.0, stop), data)
        ancestral = law(kernel("tweedie-tau-leaping", MASK, steps, 1.0, stop), data)
        np.testing.assert_allclose(corrected, ancestral, rtol=0, atol=1e-14)


def test_the_first_jump_of_a_long_step_is_exact() -> None:
    # of two masked tokens the first is drawn alone and the second given it, so any step is exact
    data = markov(SHARP, 2)
    ends = law(kernel("location-corrected-tau-leaping", MASK, 1, 1.0, 0.0), data)
    np.testing.assert_allclose(ends[:3, :3], data.pmf(), rtol=0, atol=1e-13)


@FIXED
@methods
@pytest.mark.parametrize("transition", [SMOOTH, SHARP], ids=["smooth", "sharp"])
def test_orders(name: str, options: dict[str, Any], transition: np.ndarray, noise: chains.Chain) -> None:
    costly = name == "location-corrected-tau-leaping"
    second = costly and noise is MASK  # and exact for two tokens, so three are needed
    data = markov(transition, 3 if second else 2)
    tables = Tables(noise, data)
    steps = (12, 24) if second else (32, 64) if costly else (64, 128)
    laws = [law(kernel(name, noise, n, **options), data, tables=tables) for n in steps]
    found = slopes([distance(p, tables.evidence(0.1)) for p in laws])[-1]
    assert found == pytest.approx(2.0 if second else 1.0, abs=0.12)


@FIXED
@methods
def test_samples_follow_the_law(name: str, options: dict[str, Any], noise: chains.Chain) -> None:
    data, kern = markov(SMOOTH, 3), kernel(name, noise, 3, **options)
    assert chi_square(law(kern, data), sample(kern, data, 100_000, seed=5)) > ALARM


def test_after_a_long_wait_the_second_evaluation_is_at_the_jump() -> None:
    # sharp data and one step over nearly all the noise, where a level off by the wait shows most
    data, kern = markov(SHARP, 3), kernel("location-corrected-tau-leaping", UNIFORM, 1, 0.95, 0.05)
    assert chi_square(law(kern, data), sample(kern, data, 100_000, seed=5)) > ALARM


@pytest.mark.slow
@FIXED
@methods
def test_many_samples_follow_the_law(name: str, options: dict[str, Any], noise: chains.Chain) -> None:
    data, kern = markov(SHARP, 4), kernel(name, noise, 4, **options)
    assert chi_square(law(kern, data), sample(kern, data, 200_000, seed=6)) > ALARM


@methods
def test_samples_depend_neither_on_threads_nor_on_cuts(name: str, options: dict[str, Any]) -> None:
    data, kern = markov(SMOOTH, 5), kernel(name, UNIFORM, 3, **options)
    whole = sample(kern, data, 300, seed=7, threads=1)
    np.testing.assert_array_equal(whole, sample(kern, data, 300, seed=7, threads=2))
    np.testing.assert_array_equal(whole[100:], sample(kern, data, 200, seed=7, first=100))


@pytest.mark.parametrize(
    ("name", "noise", "options", "message"),
    [
        ("dfm-euler", MASK, {"corrector": -1.0}, "corrector is -1.0: use"),
        ("dfm-euler", MASK, {"stochasticity": math.inf}, "stochasticity is inf: use"),
        ("tau-leaping", MASK, {"rates": "fm"}, "rates is 'fm': use"),
        ("dfm-euler", chains.Hybrid(3, 0.2), {"corrector": 1.0}, "noise is Hybrid.*flow matching takes"),
        ("time-corrected", chains.BirthDeath(3), {}, "noise is BirthDeath.*flow matching takes"),
        ("location-corrected", UNIFORM, {"stop": 0.0}, "grid goes from .* to 0.0.*: stop above 0"),
    ],
)
def test_bad_requests_are_refused(
    name: str, noise: chains.Chain, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kernel(name, noise, 2, **options)
