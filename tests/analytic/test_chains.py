"""Chains against 120-digit matrices written from their definitions, and against ODE solvers."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from analytic import chains
from analytic.chains import schedules
from solvers import grids
from solvers.protocols import Clock
from tests.analytic.chain_references import CYCLE, DIGITS, LEAKY, Matrix, references, to_numpy

CHAINS = references()
every_chain = pytest.mark.parametrize("name", CHAINS)
TIMES = (0.0, 1e-9, 1e-3, 0.3, 0.3 + 1e-7, 0.75, 1 - 1e-6)


def chain_of(name: str) -> tuple[chains.Chain, Matrix]:
    return CHAINS[name]


@every_chain
def test_transitions_agree_entry_by_entry_with_120_digit_matrices(name: str) -> None:
    chain, exact = chain_of(name)
    with mp.workdps(DIGITS):
        inverse = {s: exact(mpf(s)) ** -1 for s in TIMES[:-1]}
        forward = {t: exact(mpf(t)) for t in TIMES}
        for s, t in itertools.combinations(TIMES, 2):
            expected, found = to_numpy(inverse[s] * forward[t]), chain.transition(s, t)
            # alpha(s) and alpha(t) are rounded, which a short step feels, and a far entry once per jump.
            slack = 1e-14 + chain.states * 2.2e-16 * s / (t - s)
            assert np.all(np.abs(found - expected) <= slack * expected + 1e-80), (s, t)
            assert np.all(np.abs(found.sum(axis=1) - 1) <= 1e-15)


@every_chain
def test_rates_are_the_logarithmic_derivative_of_the_transitions(name: str) -> None:
    chain, exact = chain_of(name)
    with mp.workdps(DIGITS):
        for t in (0.05, 0.5, 0.9, 0.999):
            middle, h = mpf(t), mpf(10) ** -40
            slope = (exact(middle + h) - exact(middle - h)) / (2 * h)
            expected = to_numpy(exact(middle) ** -1 * slope)
            np.testing.assert_allclose(chain.rates(t), expected, rtol=1e-12, atol=1e-12)
            assert np.all(np.abs(chain.rates(t).sum(axis=1)) <= 1e-15 * np.abs(expected).max())


@every_chain
def test_kolmogorov_forward_equation_solved_by_runge_kutta_gives_the_transitions(name: str) -> None:
    chain, _ = chain_of(name)
    size = chain.states

    def flow(t: float, flat: np.ndarray) -> np.ndarray:
        return (flat.reshape(size, size) @ chain.rates(t)).ravel()

    solved = solve_ivp(flow, (0.2, 0.8), np.eye(size).ravel(), "DOP853", rtol=2.3e-14, atol=1e-15)
    np.testing.assert_allclose(
        solved.y[:, -1].reshape(size, size), chain.transition(0.2, 0.8), rtol=0, atol=1e-12
    )


@given(
    name=st.sampled_from(sorted(CHAINS)),
    times=st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted),
)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_transitions_form_a_semigroup_of_stochastic_matrices(name: str, times: list[float]) -> None:
    chain, _ = chain_of(name)
    r, s, t = times
    whole = chain.transition(r, t)
    np.testing.assert_allclose(chain.transition(r, s) @ chain.transition(s, t), whole, rtol=0, atol=1e-13)
    assert np.all(whole >= 0)
    assert np.all(np.abs(whole.sum(axis=1) - 1) <= 1e-15)


@every_chain
def test_transition_to_the_same_time_is_the_identity(name: str) -> None:
    chain, _ = chain_of(name)
    for t in (0.0, 0.4, 1.0):
        assert np.array_equal(chain.transition(t, t), np.eye(chain.states))


@every_chain
def test_prior_is_the_limit_law_which_later_transitions_keep(name: str) -> None:
    chain, _ = chain_of(name)
    assert abs(chain.prior.sum() - 1) <= 1e-15
    if not name.startswith("hybrid"):
        np.testing.assert_allclose(chain.prior @ chain.transition(0.3, 0.9), chain.prior, rtol=0, atol=1e-15)
    if chain.alpha(1.0) == 0:
        end = np.tile(chain.prior, (chain.states, 1))
        np.testing.assert_allclose(chain.transition(0.2, 1.0), end, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", [n for n, (c, _) in CHAINS.items() if not isinstance(c, chains.Hybrid)])
def test_transitions_are_exponentials_of_the_integrated_rates(name: str) -> None:
    chain, _ = chain_of(name)
    amount = float(chain.schedule.integrated_rate(0.7) - chain.schedule.integrated_rate(0.1))
    unit = chain.rates(0.5) / float(chain.schedule.rate(0.5))
    np.testing.assert_allclose(chain.transition(0.1, 0.7), expm(unit * amount), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["birth-death", "birth-death-constant", "gaussian-ordinal"])
def test_reversible_walks_agree_with_their_eigen_decomposition(name: str) -> None:
    chain, _ = chain_of(name)
    amount = float(chain.schedule.integrated_rate(0.7) - chain.schedule.integrated_rate(0.1))
    root = np.sqrt(chain.prior)
    symmetric = chain.rates(0.5) / float(chain.schedule.rate(0.5)) * root[:, None] / root
    np.testing.assert_allclose(symmetric, symmetric.T, rtol=0, atol=1e-13)
    values, vectors = np.linalg.eigh((symmetric + symmetric.T) / 2)
    assert values[-2] == pytest.approx(-1, abs=1e-12)
    by_modes = (vectors * np.exp(values * amount)) @ vectors.T / root[:, None] * root
    np.testing.assert_allclose(chain.transition(0.1, 0.7), by_modes, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["absorbing-cosine", "uniform-geometric", "hybrid", "hybrid-steep", "hybrid-flat"]
)
def test_alpha_is_the_weight_that_the_data_keeps(name: str) -> None:
    chain, exact = chain_of(name)

    def kept(t: mpf) -> mpf:
        noising = exact(t)
        return noising[0, 0] - noising[1, 0]

    with mp.workdps(DIGITS):
        for t in (1e-6, 0.3, 0.9, 1 - 1e-6):
            slope = (kept(mpf(t) + mpf(10) ** -40) - kept(mpf(t) - mpf(10) ** -40)) / (2 * mpf(10) ** -40)
            assert chain.alpha(t) == pytest.approx(float(kept(mpf(t))), rel=1e-14, abs=0)
            assert chain.d_alpha(t) == pytest.approx(float(slope), rel=1e-13, abs=0)
            noise = [exact(mpf(t))[1, y] - (y == 1) * kept(mpf(t)) for y in range(chain.states)]
            assert isinstance(chain, chains.Mixture)
            np.testing.assert_allclose(chain.noise_law(t), np.array(noise, dtype=np.float64), rtol=1e-14)


def test_far_transitions_of_a_large_walk_keep_their_relative_accuracy() -> None:
    walk = chains.BirthDeath(200, "constant")
    unit = 1 / (4 * np.sin(np.pi / 400) ** 2)
    for t in (1e-6, 1e-3):
        # From the middle, where the ends are out of reach, a walk is a difference of Poisson counts.
        with mp.workdps(40):
            mean = mpf(8 * t * unit)
            exact = [mp.exp(-2 * mean) * mp.besseli(k, 2 * mean) for k in range(60)]
        found = walk.transition(0, t)[100, 100:160]
        np.testing.assert_allclose(found, np.array(exact, dtype=np.float64), rtol=1e-11)


@every_chain
def test_marginal_and_likelihood_are_rows_and_columns_of_the_transition(name: str) -> None:
    chain, exact = chain_of(name)
    p0 = np.random.default_rng(0).dirichlet(np.ones(chain.vocabulary), size=2)
    tokens = np.random.default_rng(1).integers(chain.states, size=(3, 4))
    with mp.workdps(DIGITS):
        noising = to_numpy(exact(mpf(0.6)))[: chain.vocabulary]
    np.testing.assert_allclose(chain.marginal(0.6, p0), p0 @ noising, rtol=1e-13)
    assert chain.marginal(0.6, p0[0]).shape == (chain.states,)
    found = chain.likelihood(0.6, tokens)
    assert found.shape == (3, 4, chain.vocabulary)
    for k, i, v in np.ndindex(found.shape):
        assert found[k, i, v] == pytest.approx(noising[v, tokens[k, i]], rel=1e-13)


@every_chain
def test_bridges_are_bayes_on_enumerated_paths(name: str) -> None:
    chain, exact = chain_of(name)
    with mp.workdps(DIGITS):
        for s, t in ((0.2, 0.21), (0.1, 0.9), (0.0, 0.5), (1e-6, 0.3)):
            first, last = exact(mpf(s)), exact(mpf(s)) ** -1 * exact(mpf(t))
            found = chain.bridge(s, t)
            assert found.shape == (chain.states, chain.vocabulary, chain.states)
            for x, v in np.ndindex(chain.states, chain.vocabulary):
                # Zeros of the definition are rounding errors of 1e-100 after the inversion.
                joint = [first[v, y] * last[y, x] for y in range(chain.states)]
                joint = [p if p > mpf(10) ** -80 else mpf(0) for p in joint]
                total = mp.fsum(joint)
                expected = np.array([p / total if total else 0 for p in joint], dtype=np.float64)
                np.testing.assert_allclose(found[x, v], expected, rtol=0, atol=1e-12)


def enumerated(chain: chains.Chain, data: np.ndarray, noising: mp.matrix) -> dict[tuple[int, int], mpf]:
    """Return the law of two noised sites whose joint data law is `data`."""
    size, tokens = chain.states, range(chain.vocabulary)
    return {
        (x, z): mp.fsum(
            mpf(float(data[v, w])) * noising[v, x] * noising[w, z] for v in tokens for w in tokens
        )
        for x in range(size)
        for z in range(size)
    }


@every_chain
def test_reverse_rates_are_those_of_the_enumerated_process_run_backwards(name: str) -> None:
    chain, exact = chain_of(name)
    data = np.random.default_rng(3).dirichlet(np.ones(chain.vocabulary**2)).reshape(2 * [chain.vocabulary])
    data /= data.sum()
    for t in (0.02, 0.4, 0.95):
        with mp.workdps(DIGITS):
            h = mpf(10) ** -40
            noising, before = exact(mpf(t)), exact(mpf(t) - h)
            step = before**-1 * noising
            law, law_before = enumerated(chain, data, noising), enumerated(chain, data, before)
            float_noising = to_numpy(noising)
            for (x, z), weight in law.items():
                if weight < mpf(10) ** -30:
                    continue
                cavity = (data * float_noising[: chain.vocabulary, z]).sum(axis=1)
                cavity /= cavity.sum()
                posterior = cavity * chain.likelihood(t, x)
                posterior /= posterior.sum()
                expected = np.array(
                    [
                        float(law_before[y, z] * step[y, x] * step[z, z] / weight / h) if y != x else 0.0
                        for y in range(chain.states)
                    ]
                )
                expected[x] = -expected.sum()
                scale = 1e-12 * max(1.0, np.abs(expected).max())
                found = chain.reverse_rates(t, posterior, x)
                np.testing.assert_allclose(found, expected, rtol=1e-11, atol=scale)
                found = chain.reverse_rates_from_cavity(t, cavity, x)
                np.testing.assert_allclose(found, expected, rtol=1e-11, atol=scale)
                ratios = np.array([float(law[y, z] / weight) for y in range(chain.states)])
                np.testing.assert_allclose(chain.score_ratios(t, cavity, x), ratios, rtol=1e-12, atol=1e-13)


def test_reverse_rates_take_whole_sequences() -> None:
    chain = chains.Hybrid(3, 0.2)
    tokens = np.array([[0, 3, 1], [2, 3, 0]])
    posterior = np.random.default_rng(5).dirichlet(np.ones(3), size=(2, 3))
    found = chain.reverse_rates(0.3, posterior, tokens)
    assert found.shape == (2, 3, 4)
    for index in np.ndindex(2, 3):
        one = chain.reverse_rates(0.3, posterior[index], tokens[index])
        np.testing.assert_allclose(found[index], one, rtol=1e-15)


def test_masks_and_dead_counts_revive_at_finite_rates_where_alpha_is_zero() -> None:
    posterior = np.array([0.5, 0.3, 0.2])
    masked = chains.Absorbing(3).reverse_rates(1.0, posterior, 3)
    np.testing.assert_allclose(masked, [0.5, 0.3, 0.2, -1.0], rtol=1e-15)
    dead = chains.PureDeath(3).reverse_rates(1.0, posterior, 0)
    np.testing.assert_allclose(dead, [-0.7, 0.7, 0.0], rtol=1e-15)
    assert chains.Absorbing(3).start == chains.PureDeath(3).start == 1.0
    with pytest.raises(ValueError, match=r"t is 1\.0.*infinite"):
        chains.Uniform(3).reverse_rates(1.0, posterior, 0)
    assert chains.Uniform(3).start == chains.BirthDeath(3).start == chains.Hybrid(3, 0.1).start == 0.999
    assert chains.Uniform(3, "log-linear").start == 1.0


def test_a_general_chain_with_the_rates_of_another_is_the_same_process() -> None:
    for other in (chains.Absorbing(3), chains.Uniform(3), chains.PureDeath(4), chains.BirthDeath(5)):
        unit = other.rates(0.5) / float(other.schedule.rate(0.5))  # type: ignore[union-attr]
        same = chains.General(unit, vocabulary=other.vocabulary)
        assert same.mask == other.mask
        np.testing.assert_allclose(same.prior, other.prior, rtol=0, atol=1e-14)
        for s, t in ((0.0, 0.3), (0.2, 0.9), (0.4, 1.0)):
            np.testing.assert_allclose(same.transition(s, t), other.transition(s, t), rtol=0, atol=1e-13)


def test_general_chain_without_a_unique_limit_has_no_prior() -> None:
    split = chains.General([[0.0, 0.0, 0.0], [1.0, -2.0, 1.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(split.transition(0.0, 1.0)[1], [0.5, 0.0, 0.5], rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match=r"Q forgets not all of its start.*marginal"):
        _ = split.prior


@every_chain
def test_every_chain_is_a_clock_that_grids_take(name: str) -> None:
    chain, _ = chain_of(name)
    assert isinstance(chain, Clock)
    for make in (grids.uniform, grids.power, grids.cosine):
        grid = make(chain, steps=32)
        assert (grid[0], grid[-1], len(grid)) == (chain.start, chain.stop, 33)
        assert np.all(np.diff(grid) < 0)
        assert np.isfinite(chain.transition(grid[1], grid[0])).all()
    assert grids.uniform(chain, 4, start=1.0, stop=0.0)[-1] == 0
    with pytest.raises(TypeError, match="log-SNR"):
        grids.karras(chain, steps=4)  # type: ignore[arg-type]


def test_masks_are_the_last_state_and_only_where_there_is_one() -> None:
    masks = {name: chain.mask for name, (chain, _) in CHAINS.items()}
    assert {name for name, mask in masks.items() if mask is not None} == {
        "absorbing", "absorbing-cosine", "hybrid", "hybrid-steep", "hybrid-flat", "general-mask"
    }  # fmt: skip
    assert chains.Absorbing(7).mask == 7 == chains.Absorbing(7).states - 1


@every_chain
def test_chains_are_values(name: str) -> None:
    chain, _ = chain_of(name)
    again, _ = references()[name]
    assert again == chain
    assert hash(again) == hash(chain)
    assert pickle.loads(pickle.dumps(chain)) == chain
    assert repr(chain).startswith(type(chain).__name__ + "(")
    with pytest.raises((FrozenInstanceError, AttributeError)):
        chain.vocabulary = 9
    with pytest.raises(ValueError, match="read-only"):
        chain.prior[0] = 1.0


def test_chains_with_other_parameters_are_other_chains() -> None:
    different = [
        chains.Absorbing(3),
        chains.Absorbing(4),
        chains.Absorbing(3, "cosine"),
        chains.Uniform(3),
        chains.General(CYCLE),
        chains.General(LEAKY),
        chains.General(LEAKY, vocabulary=2),
        chains.Absorbing(3, schedules.Polynomial(2.5)),
    ]
    assert len(set(different)) == len(different)
    assert chains.Absorbing(3, "linear") == chains.Absorbing(3, schedules.Linear())
