"""Mixed targets: conditionals against Bayes' rule on grids, laws of both Gibbs samplers, loops against their laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from analytic import GaussianMixture, paths
from solvers import Observed, grids, loops
from solvers.mixed import OnLine, interleaved_law, interleaved_stationary, split_law, split_on_line
from solvers.mixed.on_line import densities
from solvers.mixed.steps import given_token, token_step
from solvers.numerics.reverse_step import reverse_step

from . import reference_mixed as plain

W, M, V = np.array([0.5, 0.2, 0.3]), np.array([-1.0, 0.3, 1.5]), np.array([0.3, 0.2, 0.4])
THREE = GaussianMixture(W, M, V)
REWARD, Y, S = np.array([0.0, 1.0, -0.5]), 0.4, 0.6
SEEN = Observed(THREE, [[1.0]], [Y], S)
VP, EDM, VE = paths.VP(), paths.EDM(), paths.VE(0.1, 20.0)
SPLIT, INTERLEAVED = loops.catalogue["split-gibbs"].solve, loops.catalogue["interleaved-gibbs"].solve
SIGMAS = 0.5 * np.linspace(1, 0, 6) ** 2
SIGMA = 5.0  # of z-scores; a test has at most 40: a false alarm in 40,000 runs


def test_reversed_conditionals_are_those_of_the_forward_chain_by_bayes_rule() -> None:
    at, to, x_s = (0.7, 0.9), (0.9, 0.4), np.linspace(-7, 7, 2001)
    for x_t, k_t in ((-1.3, 0), (0.2, 2), (1.1, 1)):
        posterior = THREE.posterior(np.array([[x_t]]), *at)
        tokens = token_step(posterior.weights, at, to, (3,))[0, k_t]
        of_x, of_mean, deviation = reverse_step(at, to)
        for together in (False, True):
            law, numbers = plain.reversed_step(
                lambda level, x: plain.forward(W, M, V, level, x), at, to, x_t, k_t, x_s, together
            )
            np.testing.assert_allclose(tokens, law, atol=1e-12)
            of = given_token(posterior.weights, at if together else to, (3,))[0]
            for token in range(3):
                mean = of_x * x_t + of_mean * posterior.means[0, :, 0]
                variance = of_mean**2 * posterior.variances[:, 0] + deviation**2
                density = sum(of[token, k] * plain.normal(x_s, mean[k], variance[k]) for k in range(3))
                np.testing.assert_allclose(density, numbers[token], atol=1e-12)


SHAPE = (2, 3)
SIX = GaussianMixture(
    [0.1, 0.25, 0.05, 0.2, 0.08, 0.32], [-1.2, -0.4, 0.2, 0.5, 1.1, 1.6], [0.3, 0.2, 0.25, 0.35, 0.15, 0.4]
)


def test_several_tokens_are_reversed_as_bayes_rule_says_at_once_one_by_one_and_apart() -> None:
    at, to, x_s, x_t, k_t = (0.7, 0.9), (0.9, 0.4), np.linspace(-8, 8, 2001), 0.3, 4
    posterior = SIX.posterior(np.array([[x_t]]), *at)
    all_at_once, _ = plain.reversed_step(
        lambda level, x: plain.forward(SIX.weights, SIX.means[:, 0], SIX.variances[:, 0], level, x, SHAPE),
        at,
        to,
        x_t,
        k_t,
        x_s,
        False,
        SHAPE,
    )
    np.testing.assert_allclose(token_step(posterior.weights, at, to, SHAPE)[0, k_t], all_at_once, atol=1e-12)
    table = all_at_once.reshape(SHAPE)
    apart = token_step(posterior.weights, at, to, SHAPE, "tokens apart")[0, k_t]
    np.testing.assert_allclose(apart, np.outer(table.sum(axis=1), table.sum(axis=0)).ravel(), atol=1e-12)
    assert abs(apart - all_at_once).max() > 0.01
    # one by one: the second token given the first just drawn, whose noise to come says nothing more
    second = token_step(posterior.weights, at, to, SHAPE)[0].reshape(2, 3, 2, 3)
    for first, other in ((0, 0), (0, 1), (1, 1)):
        given = [second[old, k_t % 3, first] / second[old, k_t % 3, first].sum() for old in (first, other)]
        np.testing.assert_allclose(given[0], given[1], atol=1e-12)


def test_split_law_is_its_copies_integrated_by_brute_force() -> None:
    u = np.linspace(-6, 6, 801)
    found = split_law(SEEN, 0.7, 0.3, REWARD)
    by_hand = plain.split_posterior(W, M, V, 0.7, 0.3, REWARD, Y, S, u)
    np.testing.assert_allclose(densities(found, u), by_hand, atol=1e-12)
    # no copy at all: the posterior itself
    weights = W * np.exp(REWARD) / (W @ np.exp(REWARD))
    exact = GaussianMixture(weights, M, V).given([[1.0]], [Y], S)
    np.testing.assert_allclose(densities(split_law(SEEN, reward=REWARD), u), densities(exact, u), atol=1e-14)


def test_split_law_in_the_plane_whitens_what_is_observed_and_its_copy_together() -> None:
    covariances = np.array([[[0.5, 0.2], [0.2, 0.4]], [[0.3, -0.1], [-0.1, 0.8]]])
    plane = GaussianMixture([0.3, 0.7], [[0.0, 1.0], [1.0, -1.0]], covariances)
    A, y, rho = np.array([[1.0, 0.4], [0.3, -0.8]]), np.array([0.2, 0.5]), 0.6
    found = split_law(Observed(plane, A, y, 0.3), rho, 0.2, [0.0, 0.5])
    q = plain.uniform_kernel(0.8, 2) @ np.exp([0.0, 0.5])
    noise = 0.09 * np.eye(2) + rho**2 * A @ A.T
    for k in range(2):
        C, m = covariances[k], plane.means[k]
        gain = C @ A.T @ np.linalg.inv(A @ C @ A.T + noise)
        np.testing.assert_allclose(found.means[k], m + gain @ (y - A @ m), atol=1e-13)
    marginal = [
        stats.multivariate_normal(A @ m, A @ C @ A.T + noise).pdf(y)
        for m, C in zip(plane.means, covariances, strict=True)
    ]
    weights = np.array([0.3, 0.7]) * q * marginal
    np.testing.assert_allclose(found.weights, weights / weights.sum(), atol=1e-13)


def test_split_law_on_the_line_is_what_plain_sweeps_come_to() -> None:
    u = np.linspace(-5, 5, 701)
    swept = plain.split_sweeps(W, M, V, SIGMAS, 0.2, REWARD, Y, S, u, 150)
    found = split_on_line(SEEN, EDM, SIGMAS, "ddpm", 0.2, REWARD)
    at = np.array([np.interp(u, found.nodes, row) for row in found.table])
    np.testing.assert_allclose(at, swept, atol=3e-2)  # the lookup is linear
    np.testing.assert_allclose(found.tokens, swept.sum(axis=1) * (u[1] - u[0]), atol=1e-11)
    means = (swept @ u) * (u[1] - u[0])
    np.testing.assert_allclose(found.table @ found.nodes * found.spacing, means, atol=1e-11)


@pytest.mark.parametrize(("path", "t"), [(EDM, 0.5), (VP, 0.15), (VE, 0.5)], ids=["edm", "vp", "ve"])
def test_exact_conditionals_keep_the_closed_form_whatever_the_path(path: Any, t: float) -> None:
    coupling = float(path.sigma(t) / path.alpha(t))
    for model, reward in ((SEEN, REWARD), (THREE, None)):
        found = split_on_line(model, path, [t, path.stop], "exact", 0.15, reward)
        assert found.total_variation(split_law(model, coupling, 0.15, reward)) < 1e-11
    assert found.total_variation(THREE) < 1e-11  # copies that nothing weighs move nothing


def test_a_prior_step_of_the_flow_is_no_draw_and_of_the_sde_is_one() -> None:
    goal, grid = split_law(SEEN, 0.5, 0.1, REWARD), 0.5 * np.linspace(1, 0, 129) ** 2
    error = {
        m: split_on_line(SEEN, EDM, grid, m, 0.1, REWARD).total_variation(goal)
        for m in ("heun", "ddpm", "sde-dpm-solver++-2m")
    }
    assert error["heun"] > 0.2
    assert error["sde-dpm-solver++-2m"] < 3e-4 < error["ddpm"] < 0.01
    # the map of the flow on a Gaussian, by hand: u = m + (x - m) sqrt(v / (v + rho^2))
    found = split_on_line(SEEN, EDM, grid, "heun", 0.1, REWARD)
    assert found.table.sum() * found.spacing == pytest.approx(1.0, abs=1e-7)


def test_interleaved_reversal_is_exact_on_any_grid_and_drawing_together_is_not() -> None:
    grid = grids.log_snr(VE, 3)
    for order, exact in (("interleaved", True), ("together", False)):
        law, error = interleaved_law(THREE, VE, grid, order, "exact")
        assert (error < 1e-12) is exact
        assert error < 0.2
        assert law.tokens.sum() == pytest.approx(1.0, abs=1e-12)
        short = grids.log_snr(VE, 3, start=0.7)
        _, again = interleaved_stationary(THREE, VE, short, order, "exact")
        assert (again < 1e-12) is exact


def test_ddpm_for_the_numbers_is_of_first_order_in_both_orders() -> None:
    for order in ("interleaved", "together"):
        errors = [interleaved_law(THREE, VE, grids.log_snr(VE, n), order)[1] for n in (8, 16, 32)]
        assert 0.7 < np.log2(errors[1] / errors[2]) < 1.2
        assert errors[0] > errors[1] > errors[2]


def of_line(law: OnLine) -> list[tuple[float, float, float]]:
    """Probability of each token, mean and variance of the number given it."""
    found = []
    for row in law.table:
        weight = row.sum() * law.spacing
        mean = float(row @ law.nodes * law.spacing / weight)
        found.append((float(weight), mean, float(row @ (law.nodes - mean) ** 2 * law.spacing / weight)))
    return found


def agree(state: Any, law: OnLine) -> None:
    """Hold samples to a law by z-scores of frequencies, means and variances."""
    x, k, n = state[:, 0], state[:, 1], len(state)
    for token, (weight, mean, variance) in enumerate(of_line(law)):
        own = x[k == token]
        assert abs(len(own) / n - weight) < SIGMA * np.sqrt(weight * (1 - weight) / n)
        assert abs(own.mean() - mean) < SIGMA * np.sqrt(variance / len(own))
        spread = np.sqrt(stats.moment(own, 4) - variance**2)
        assert abs(own.var() - variance) < SIGMA * spread / np.sqrt(len(own))


def start(n: int) -> Any:
    rng = np.random.default_rng(1)
    return np.column_stack([rng.standard_normal(n), rng.integers(3, size=n)])


@pytest.mark.parametrize(
    ("path", "grid", "method"),
    [
        (EDM, 0.8 * np.linspace(1, 0, 5) ** 2, "ddpm"),
        (VP, np.linspace(0.3, 1e-3, 5), "ddpm"),
        (VP, [0.3, 1e-3], "exact"),
    ],
    ids=["edm", "vp", "exact"],
)
def test_split_gibbs_draws_from_its_law(path: Any, grid: Any, method: str) -> None:
    options: Any = {"flip": 0.2, "reward": REWARD, "method": method}
    found = SPLIT(path, grid, SEEN, start(15_000), seed=3, sweeps=25, **options)
    agree(found.x, split_on_line(SEEN, path, grid, method, 0.2, REWARD))
    assert found.nfe[0] == 25 * (2 + (4 if method == "ddpm" else 1))


@pytest.mark.parametrize("order", ["interleaved", "together"])
@pytest.mark.parametrize("numbers", ["ddpm", "exact"])
def test_interleaved_gibbs_draws_from_its_law(order: str, numbers: str) -> None:
    grid, n = grids.log_snr(VE, 4), 60_000
    rng = np.random.default_rng(2)
    k = rng.choice(3, size=n, p=W)
    x = M[k] + np.sqrt(V[k]) * rng.standard_normal(n) + 20 * rng.standard_normal(n)
    noised = np.where(rng.random(n) < 1 / 401, k, rng.integers(3, size=n))
    found = INTERLEAVED(VE, grid, THREE, np.column_stack([x, noised]), seed=4, order=order, numbers=numbers)
    agree(found.x, interleaved_law(THREE, VE, grid, order, numbers)[0])
    assert found.nfe[0] == (8 if order == "interleaved" else 4)


@pytest.mark.parametrize("order", ["interleaved", "tokens apart", "together"])
def test_several_tokens_are_drawn_from_their_law(order: str) -> None:
    grid, n = grids.log_snr(VE, 3), 12_000
    rng = np.random.default_rng(2)
    k = rng.choice(6, size=n, p=SIX.weights)
    x = SIX.means[k, 0] + np.sqrt(SIX.variances[k, 0] + 400) * rng.standard_normal(n)
    noised = [
        np.where(rng.random(n) < 1 / 401, own, rng.integers(values, size=n))
        for own, values in zip(np.unravel_index(k, SHAPE), SHAPE, strict=True)
    ]
    found = INTERLEAVED(
        VE, grid, SIX, np.column_stack([x, *noised]), seed=4, order=order, numbers="exact", tokens=SHAPE
    )
    joint = np.ravel_multi_index(tuple(found.x[:, 1:].astype(int).T), SHAPE)
    law, error = interleaved_law(SIX, VE, grid, order, "exact", SHAPE)
    agree(np.column_stack([found.x[:, 0], joint]), law)
    assert (error < 1e-12) is (order == "interleaved")
    assert found.nfe[0] == 3 * {"interleaved": 3, "tokens apart": 2, "together": 1}[order]


def test_noising_back_and_denoising_again_comes_to_its_stationary_law() -> None:
    grid = grids.log_snr(VE, 3, start=0.6)
    found = INTERLEAVED(VE, grid, THREE, start(10_000), seed=5, order="together", again=20)
    agree(found.x, interleaved_stationary(THREE, VE, grid, "together")[0])


def test_several_numbers_and_several_sweeps_keep_the_posterior_in_the_plane() -> None:
    plane = GaussianMixture(
        [0.3, 0.7], [[0.0, 1.0], [1.0, -1.0]], [[[0.5, 0.2], [0.2, 0.4]], [[0.3, 0.0], [0.0, 0.8]]]
    )
    seen = Observed(plane, [[1.0, 0.5]], [0.5], 0.4)
    goal, n = split_law(seen, 0.6, 0.2), 15_000
    rng = np.random.default_rng(6)
    state = np.column_stack([rng.standard_normal((n, 2)), rng.integers(2, size=n)])
    x = SPLIT(EDM, [0.6, 0.0], seen, state, seed=7, sweeps=30, flip=0.2, method="exact").x
    for k in range(2):
        own, part = x[x[:, 2] == k, :2], goal.condition(k)
        assert abs(len(own) / n - goal.weights[k]) < SIGMA * np.sqrt(
            goal.weights[k] * goal.weights[1 - k] / n
        )
        C = part.covariance()
        np.testing.assert_allclose(own.mean(axis=0), part.mean(), atol=SIGMA * np.sqrt(C.max() / len(own)))
        np.testing.assert_allclose(np.cov(own.T), C, atol=SIGMA * np.sqrt(2 / len(own)) * C.max())


def test_several_tokens_and_several_numbers_keep_the_posterior() -> None:
    means = np.column_stack([SIX.means[:, 0], [0.3, -0.8, 1.0, -0.5, 0.6, -0.2]])
    plane = GaussianMixture(
        SIX.weights, means, np.array([[0.3, 0.1], [0.1, 0.25]]) * np.arange(2, 8)[:, None, None] / 4
    )
    seen, reward, n = Observed(plane, [[1.0, 0.5]], [0.5], 0.4), [0.0, 0.0, 0.3, 0.0, -0.4, 0.7], 15_000
    goal = split_law(seen, 0.6, 0.2, reward, SHAPE)
    rng = np.random.default_rng(6)
    state = np.column_stack([rng.standard_normal((n, 2)), rng.integers(2, size=n), rng.integers(3, size=n)])
    options: Any = {"flip": 0.2, "reward": reward, "method": "exact", "tokens": SHAPE}
    x = SPLIT(EDM, [0.6, 0.0], seen, state, seed=7, sweeps=30, **options).x
    joint = np.ravel_multi_index(tuple(x[:, 2:].astype(int).T), SHAPE)
    assert (
        np.abs(goal.weights - split_law(seen, 0.6, 0.2, reward).weights).max() > 0.005
    )  # another law: one token
    for k in range(6):
        own, part, share = x[joint == k, :2], goal.condition(k), goal.weights[k]
        assert abs(len(own) / n - share) < SIGMA * np.sqrt(share * (1 - share) / n)
        C = part.covariance()
        np.testing.assert_allclose(own.mean(axis=0), part.mean(), atol=SIGMA * np.sqrt(C.max() / len(own)))
        np.testing.assert_allclose(np.cov(own.T), C, atol=SIGMA * np.sqrt(2 / len(own)) * C.max())
    # copies summed by brute force, on the line
    u = np.linspace(-6, 6, 401)
    on_line = split_law(Observed(SIX, [[1.0]], [Y], S), 0.7, 0.3, reward, SHAPE)
    by_hand = plain.split_posterior(
        SIX.weights, SIX.means[:, 0], SIX.variances[:, 0], 0.7, 0.3, np.array(reward), Y, S, u, SHAPE
    )
    np.testing.assert_allclose(densities(on_line, u), by_hand, atol=1e-12)
    # and kept by exact draws of the number, enumerated over tokens
    seen_on_line = Observed(SIX, [[1.0]], [Y], S)
    kept = split_on_line(seen_on_line, EDM, [0.7, 0.0], "exact", 0.3, reward, SHAPE)
    assert kept.total_variation(on_line) < 1e-11
    assert kept.total_variation(split_law(seen_on_line, 0.7, 0.3, reward)) > 1e-3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SPLIT(EDM, [0.5, 0.0], SIX, np.zeros((4, 2)), tokens=SHAPE), "last 2 columns the tokens"),
        (lambda: INTERLEAVED(VE, [0.5, 0.1], SIX, np.full((4, 3), 2.0), tokens=SHAPE), "from 0 to 1 and 2"),
        (lambda: split_law(SIX, tokens=(2, 2)), "whose product is 6"),
        (lambda: interleaved_law(SIX, VE, [0.5, 0.1], tokens=()), "whose product is 6"),
        (lambda: SPLIT(EDM, [0.5, 0.0], SEEN, np.zeros((4, 1))), "last column the token"),
        (lambda: SPLIT(EDM, [0.5, 0.0], SEEN, np.full((4, 2), 0.5)), "whole numbers from 0 to 2"),
        (lambda: SPLIT(EDM, [0.5, 0.0], SEEN, np.zeros((4, 2)), flip=1.5), "flip is 1.5"),
        (lambda: SPLIT(EDM, [0.5, 0.0], SEEN, np.zeros((4, 2)), reward=[1.0]), "3 finite numbers"),
        (lambda: SPLIT(EDM, [0.5, 0.0], SEEN, np.zeros((4, 2)), sweeps=-1), "sweeps is -1"),
        (lambda: SPLIT(paths.Linear(), [1.0, 0.0], SEEN, np.zeros((4, 2))), "alpha = 0"),
        (lambda: INTERLEAVED(VE, [0.5, 0.1], SEEN, np.zeros((4, 2))), "Gaussian mixture"),
        (lambda: INTERLEAVED(VE, [0.5, 0.1], THREE, np.zeros((4, 2)), order="both"), "order is 'both'"),
        (lambda: INTERLEAVED(VE, [0.5, 0.1], THREE, np.zeros((4, 2)), again=-1), "again is -1"),
        (lambda: INTERLEAVED(EDM, [0.5, 0.0], THREE, np.zeros((4, 2))), "sigma > 0"),
        (lambda: interleaved_law(THREE, EDM, [0.5, 0.0]), "sigma > 0"),
        (lambda: split_law(THREE, -1.0), "coupling is -1.0"),
        (lambda: split_on_line(GaussianMixture([1.0], [[0.0, 0.0]], 1.0), EDM, [0.5, 0.0]), "dim = 1"),
    ],
)
def test_what_cannot_be_is_one_clear_line(call: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
