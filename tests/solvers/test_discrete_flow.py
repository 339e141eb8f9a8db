"""Flows of a site by their definitions, and the ways flows become probabilities by second derivations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from analytic import chains
from solvers.discrete import Flow, bridge, forward_rates, resample, reverse_rates
from solvers.discrete.flow import endpoint, velocity
from solvers.discrete.moves import site

UNIFORM = chains.Uniform(3, "cosine")
NOISES: list[chains.Chain] = [
    chains.Absorbing(3, "cosine"),
    UNIFORM,
    chains.Hybrid(3, 0.2),
    chains.BirthDeath(3, "cosine"),
    chains.GaussianOrdinal(3, 0.8, "cosine"),
    chains.PureDeath(3, "cosine"),
    chains.General([[-1.0, 0.5, 0.5], [0.25, -1.0, 0.75], [0.0, 0.0, 0.0]], "polynomial", vocabulary=2),
]
WHOLE_TIMES: Any = chains.D3PM.uniform(4, 3)
T, S = 0.7, 0.4
Definition = Callable[[Any, np.ndarray, int], list[float]]


def sum_over(cavity: np.ndarray, values: np.ndarray) -> float:
    return sum(float(c) * float(v) for c, v in zip(cavity, values, strict=True))


def by_bridge(noise: Any, cavity: np.ndarray, x: int) -> list[float]:
    """Average q(x_s = y | x_t = x, x_0 = v), by Bayes, over p(x_0 = v | x_t) ~ c_v q(x | v)."""
    early, step, late = noise.transition(0, S), noise.transition(S, T), noise.transition(0, T)
    posterior = [float(c) * late[v, x] for v, c in enumerate(cavity)]
    out = [0.0] * noise.states
    for v, weight in enumerate(posterior):
        for y in range(noise.states):
            if weight > 0:
                out[y] += weight / sum(posterior) * early[v, y] * step[y, x] / late[v, x]
    return out


def by_bridge_of_the_mean(noise: Any, cavity: np.ndarray, x: int) -> list[float]:
    """q(x_s = y | x_t = x, x_0) with the posterior mean in the place of the one-hot x_0."""
    early, step, late = noise.transition(0, S), noise.transition(S, T), noise.transition(0, T)
    posterior = [float(c) * late[v, x] for v, c in enumerate(cavity)]
    mean = np.array(posterior) / sum(posterior)
    return [
        sum_over(mean, early[: len(mean), y]) * step[y, x] / sum_over(mean, late[: len(mean), x])
        for y in range(noise.states)
    ]


def by_reversal(noise: Any, cavity: np.ndarray, x: int) -> list[float]:
    late, rates = noise.transition(0, T), noise.rates(T)
    here = sum_over(cavity, late[: len(cavity), x])
    return [rates[y, x] * sum_over(cavity, late[: len(cavity), y]) / here for y in range(noise.states)]


def by_noising(noise: Any, cavity: np.ndarray, x: int) -> list[float]:
    return [float(noise.rates(T)[x, y]) for y in range(noise.states)]


def by_conditional(noise: Any, cavity: np.ndarray, x: int) -> list[float]:
    return [sum_over(cavity, noise.transition(0, T)[: len(cavity), y]) for y in range(noise.states)]


FLOWS: dict[str, tuple[Callable[[Any], Flow], Definition]] = {
    "bridge": (lambda noise: bridge(noise, T, S), by_bridge),
    "mean": (lambda noise: bridge(noise, T, S, mean=True), by_bridge_of_the_mean),
    "reverse": (lambda noise: reverse_rates(noise, T), by_reversal),
    "forward": (lambda noise: forward_rates(noise, T), by_noising),
    "resample": (lambda noise: resample(noise, T), by_conditional),
}


def filled(flow: Flow, cavity: np.ndarray, x: int) -> np.ndarray:
    out = np.full(flow.process.states, np.nan)
    site.fill_flow(flow.coefficients, x, cavity, out)
    return out


def cavities(noise: Any, count: int = 4) -> np.ndarray:
    return np.random.default_rng(5).dirichlet(np.full(noise.vocabulary, 0.8), size=count)


def off(row: list[float] | np.ndarray, x: int) -> np.ndarray:
    out = np.array(row)
    out[x] = 0.0
    return out


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize("name", FLOWS)
def test_flows_are_their_definitions(name: str, noise: chains.Chain) -> None:
    build, definition = FLOWS[name]
    flow = build(noise)
    for cavity, x in itertools.product(cavities(noise), range(noise.states)):
        expected = off(definition(noise, cavity, x), x)
        np.testing.assert_allclose(filled(flow, cavity, x), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_evidence_is_the_law_of_the_noised_cavity(noise: chains.Chain) -> None:
    flow = bridge(noise, T, S)
    for cavity, x in itertools.product(cavities(noise), range(noise.states)):
        found = site.fill_flow(flow.coefficients, x, cavity, np.empty(noise.states))
        assert found == pytest.approx(by_conditional(noise, cavity, x)[x], rel=1e-14)


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("noise", NOISES[:3], ids=lambda noise: noise.name)
def test_bridges_by_mixture_and_by_matrices_agree(noise: chains.Chain, mean: bool) -> None:
    matrices = chains.D3PM([noise.transition(0, S), noise.transition(S, T)], noise.vocabulary)
    short, dense = bridge(noise, T, S, mean=mean), bridge(matrices, 2, 1, mean=mean)
    assert dense.dense
    assert not short.dense
    for cavity, x in itertools.product(cavities(noise), range(noise.states)):
        np.testing.assert_allclose(filled(short, cavity, x), filled(dense, cavity, x), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("noise", [chains.Absorbing(3, "cosine"), UNIFORM], ids=lambda noise: noise.name)
@pytest.mark.parametrize("name", FLOWS)
def test_mixtures_and_general_chains_of_the_same_rates_flow_alike(name: str, noise: Any) -> None:
    matrix = np.tile(noise.prior, (noise.states, 1)) - np.eye(noise.states)
    general = chains.General(matrix, "cosine", vocabulary=noise.vocabulary)
    build, _ = FLOWS[name]
    short, dense = build(noise), build(general)
    for cavity, x in itertools.product(cavities(noise), range(noise.states)):
        np.testing.assert_allclose(filled(short, cavity, x), filled(dense, cavity, x), rtol=1e-13, atol=1e-13)


def test_masks_flow_at_finite_rates_where_nothing_is_left_of_the_data() -> None:
    masks, cavity = chains.Absorbing(3, "linear"), np.array([0.5, 0.3, 0.2])
    assert filled(reverse_rates(masks, 1.0), cavity, 3).tolist() == [0.5, 0.3, 0.2, 0.0]
    assert filled(bridge(masks, 1.0, 0.75), cavity, 3) == pytest.approx([0.125, 0.075, 0.05, 0.0], rel=1e-14)


def test_velocity_is_the_posterior_times_the_hazard() -> None:
    for noise in (chains.Absorbing(3, "cosine"), UNIFORM):
        hazard = -float(noise.d_alpha(T)) / (1 - float(noise.alpha(T)))
        late = noise.transition(0, T)
        for cavity, x in itertools.product(cavities(noise), range(noise.states)):
            weights = np.array([cavity[v] * late[v, x] for v in range(3)])
            expected = np.zeros(noise.states)
            expected[:3] = weights / weights.sum()
            np.testing.assert_allclose(filled(endpoint(noise, T), cavity, x), off(expected, x), rtol=1e-13)
            np.testing.assert_allclose(
                filled(velocity(noise, T), cavity, x), off(hazard * expected, x), rtol=1e-13
            )


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_flows_add_up_and_scale(noise: chains.Chain) -> None:
    reverse, forward, law = reverse_rates(noise, T), forward_rates(noise, T), resample(noise, T)
    for both in (2.5 * reverse + 0.5 * (forward + law), (law + forward) * 0.5 + reverse * 2.5):
        for cavity, x in itertools.product(cavities(noise), range(noise.states)):
            parts = [filled(f, cavity, x) for f in (reverse, forward, law)]
            expected = 2.5 * parts[0] + 0.5 * parts[1] + 0.5 * parts[2]
            np.testing.assert_allclose(filled(both, cavity, x), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (reverse_rates(UNIFORM, T), reverse_rates(UNIFORM, T), "both flows have a gain"),
        (reverse_rates(NOISES[3], T), bridge(NOISES[3], T, S), "both flows have a gain"),
        (reverse_rates(UNIFORM, T), forward_rates(UNIFORM, S), "add flows of one evaluation"),
        (reverse_rates(UNIFORM, T), forward_rates(NOISES[2], T), "add flows of one evaluation"),
        (bridge(UNIFORM, T, S, mean=True), forward_rates(UNIFORM, T), "add flows of one evaluation"),
    ],
)
def test_sums_that_leave_the_form_are_refused(left: Flow, right: Flow, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        left + right


SCHEDULES = ["linear", "polynomial", "cosine", chains.schedules.Constant(800.0)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_reverse_rates_are_refused_where_no_trace_of_the_data_is_left(schedule: Any) -> None:
    """Their limit is not zero, also where alpha' is zero with alpha, as for the cosine."""
    with pytest.raises(ValueError, match=r"grid has the time 1\.0, where the reverse rates of"):
        reverse_rates(chains.Uniform(3, schedule), 1.0)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda: reverse_rates(chains.Uniform(3), 1.0),
            ["grid has the time 1.0", "of Uniform", "start at 0.999"],
        ),
        (lambda: velocity(NOISES[2], T), ["noise is Hybrid", "takes chains.Absorbing or chains.Uniform"]),
        (lambda: reverse_rates(WHOLE_TIMES, 2), ["noise is D3PM", "use tweedie-tau-leaping"]),
        (lambda: forward_rates(WHOLE_TIMES, 2), ["noise is D3PM", "no rates"]),
        (lambda: bridge(WHOLE_TIMES, 1.5, 1), ["grid has the time 1.5", "use grids.explicit"]),
    ],
)
def test_noises_and_times_without_rates_are_named(build: Callable[[], Flow], words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"grid has|noise is") as caught:
        build()
    for word in words:
        assert word in str(caught.value)


def settled(kind: str, h: float, x: int, flows: list[float]) -> np.ndarray:
    out = np.array(flows, dtype=np.float64)
    site.settle(site.EXITS[kind], h, x, out)
    return out


def counts_of_jumps(h: float, flows: list[float], most: int) -> list[tuple[tuple[int, ...], float]]:
    """All numbers of jumps to each state, up to `most` each, with their Poisson probabilities."""
    laws = [[math.exp(-h * f) * (h * f) ** k / math.factorial(k) for k in range(most + 1)] for f in flows]
    numbers = itertools.product(*(range(most + 1 if f else 1) for f in flows))
    return [(n, math.prod(law[k] for law, k in zip(laws, n, strict=True))) for n in numbers]


RATES = [0.4, 0.0, 0.9, 1.3]  # out of state 1
H = 0.35


def test_probabilities_stay_what_they_are() -> None:
    assert settled("probability", 7.0, 1, [0.2, 0.0, 0.1, 0.3]) == pytest.approx(
        [0.2, 0.4, 0.1, 0.3], rel=1e-15
    )


@pytest.mark.parametrize(("h", "stay"), [(0.35, 1 - 0.35 * 2.6), (0.5, 0.0)])
def test_euler_steps_are_clipped_and_normalised(h: float, stay: float) -> None:
    row = np.array([h * 0.4, stay, h * 0.9, h * 1.3])
    np.testing.assert_allclose(settled("clipped", h, 1, RATES), row / row.sum(), rtol=1e-14)


@pytest.mark.parametrize(
    "rates", [RATES, [-0.2, 0.0, 0.9, 1.3], [-0.5, 0.0, 0.2, -0.6], [0.5, 0.0, -0.2, -0.3]]
)
def test_a_leap_is_the_first_jump_at_frozen_rates(rates: list[float]) -> None:
    total = sum(rates)
    expected = [integrate.quad(lambda u, r=r: r * math.exp(-total * u), 0, H)[0] for r in rates]
    expected[1] = 1 - sum(expected)
    np.testing.assert_allclose(settled("leap", H, 1, rates), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", ["probability", "clipped", "leap", "reject"])
def test_negative_flows_give_signed_weights_that_sum_to_one(kind: str) -> None:
    row = settled(kind, 0.3, 1, [-0.2, 0.0, 0.5, 0.1])
    assert row.sum() == pytest.approx(1.0, abs=1e-15)
    assert row[0] < 0


def test_rejection_keeps_sites_that_would_jump_more_than_once() -> None:
    expected = [0.0] * 4
    for numbers, probability in counts_of_jumps(H, RATES, 20):
        target = numbers.index(1) if sum(numbers) == 1 else 1
        expected[target] += probability
    np.testing.assert_allclose(settled("reject", H, 1, RATES), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("x", "rates"),
    [
        (0, [0.0, 0.4, 0.9, 1.3]),
        (1, RATES),
        (2, [1.5, 0.0, 0.0, 0.2]),
        (3, [0.8, 0.1, 0.3, 0.0]),
        (2, [0.0] * 4),
    ],
)
def test_poisson_jumps_add_their_displacements_and_are_clamped(x: int, rates: list[float]) -> None:
    expected = [0.0] * 4
    for numbers, probability in counts_of_jumps(H, rates, 20):
        end = x + sum(n * (y - x) for y, n in enumerate(numbers))
        expected[min(max(end, 0), 3)] += probability
    np.testing.assert_allclose(settled("poisson", H, x, rates), expected, rtol=1e-12, atol=1e-15)


def test_many_poisson_jumps_to_neighbours_follow_a_difference_of_poissons() -> None:
    rates, size, x = np.zeros(41), 41, 20
    rates[x + 1], rates[x - 1] = 120.0, 100.0
    up, down = stats.poisson.pmf(np.arange(400), 60.0), stats.poisson.pmf(np.arange(400), 50.0)
    expected = np.zeros(size)
    for shift, probability in zip(range(-399, 400), np.convolve(up, down[::-1]), strict=True):
        expected[min(max(x + shift, 0), size - 1)] += probability
    np.testing.assert_allclose(settled("poisson", 0.5, x, rates.tolist()), expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("rates", [[800.0, 0.0, 0.0], [-0.5, 0.0, 0.2], [math.nan, 0.0, 0.1]])
def test_poisson_numbers_without_a_law_are_nan(rates: list[float]) -> None:
    assert np.isnan(settled("poisson", 1.0, 1, rates)).all()


@pytest.mark.parametrize(
    ("flows", "best"),
    [([0.2, 0.0, 0.45], 2), ([0.2, 0.0, 0.3], 1), ([0.6, 0.0, 0.1], 0), ([0.5, 0.0, 0.0], 0)],
)
def test_argmax_takes_the_most_probable_state_and_the_first_of_equals(flows: list[float], best: int) -> None:
    assert settled("argmax", 1.0, 1, flows).tolist() == np.eye(3)[best].tolist()


@pytest.mark.parametrize("x", [0, 1, 3])
def test_pick_inverts_the_sum_of_the_probabilities(x: int) -> None:
    row = np.array([0.25, 0.125, 0.0, 0.625])
    picks = [site.pick(row, x, (k + 0.5) / 1000) for k in range(1000)]
    assert np.bincount(picks, minlength=4).tolist() == [250, 125, 0, 625]
    assert site.pick(row, x, 0.0) == x


def test_pick_never_draws_what_is_impossible() -> None:
    short = np.array([0.0, 0.3, 0.7 - 1e-12, 0.0, 0.0])  # sums to less than one, as by rounding
    assert site.pick(short, 4, 1 - 2**-53) == 2
    assert site.pick(short, 0, 0.0) == 1


def test_uniforms_have_an_address_each() -> None:
    addresses = itertools.product([3, 4], [0, 1, 2**33], [0, 1], [0, 1], [0, 1])
    drawn = [u for seed, *rest in addresses for u in site.uniforms(np.uint64(seed), *rest)]
    assert len(set(drawn)) == 2 * 2 * 3 * 8
    assert all(0 <= u < 1 and u * 2**53 == int(u * 2**53) for u in drawn)
