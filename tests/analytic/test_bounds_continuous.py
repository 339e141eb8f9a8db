"""The evidence bound in continuous time, held against the exact log-likelihood, all orders and quadrature."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betainc, betaln, rel_entr

from analytic import chains
from analytic.bounds import continuous_time, discrete_time
from analytic.chains import schedules
from tests.analytic.bounds_references import LEAKY, Plain, law_of, mean

CONTINUOUS: list[chains.Chain] = [
    chains.Absorbing(3),
    chains.Absorbing(3, "geometric"),
    chains.Absorbing(3, schedules.Polynomial(0.5)),
    chains.Uniform(3),
    chains.Uniform(3, "cosine"),
    chains.Hybrid(3, 0.2),
    chains.BirthDeath(3),
    chains.PureDeath(3),
    chains.General(LEAKY, "log-linear", vocabulary=2),
]


@pytest.mark.parametrize("noise", CONTINUOUS, ids=str)
def test_continuous_bound_with_exact_ratios_is_the_log_likelihood_of_every_sequence(
    noise: chains.Chain,
) -> None:
    data, x0 = law_of(noise.vocabulary, 2)
    found = continuous_time(noise, data, x0, initial="marginal")
    np.testing.assert_allclose(found.bound, np.log(data.pmf().ravel()), rtol=1e-12)
    assert found.error.max() < 1e-11
    assert found.path.shape == (len(x0), 1)
    if noise.alpha(1.0) == 0:  # all is forgotten: the prior is the marginal
        at_once = discrete_time(noise, [1.0, 0.0], data, x0)
        np.testing.assert_allclose(at_once.initial, 0.0, atol=1e-14)
        np.testing.assert_allclose(found.initial, 0.0, atol=1e-14)


@pytest.mark.parametrize("noise", [chains.Uniform(2), chains.BirthDeath(3, "constant")], ids=str)
def test_what_is_left_of_the_gap_is_due_to_start_and_reconstruction(noise: chains.Chain) -> None:
    data, x0 = law_of(noise.vocabulary, 2)
    plain, start, stop = Plain(noise, data.pmf()), 0.6, 0.15
    q = {t: np.array([[plain.q(t, x, v) for x in plain.states] for v in x0]) for t in (start, stop)}
    p = {t: plain.marginal(t) for t in (start, stop)}
    for initial in ("prior", "marginal"):
        found = continuous_time(noise, data, x0, start=start, stop=stop, initial=initial)
        mismatch = q[start] @ np.log(p[start] / plain.start(start, initial))
        joint = data.pmf().ravel()[:, None] * q[stop] / p[stop]
        apart = (q[stop] * np.log(joint / plain.reconstruct(stop).T)).sum(axis=1)
        np.testing.assert_allclose(found.gap, mismatch + apart, atol=1e-12)
    divergences = [rel_entr(q[t], p[t]).sum(axis=1) for t in (stop, start)]
    np.testing.assert_allclose(found.path[:, 0], divergences[0] - divergences[1], atol=1e-12)


def log_conditional(pmf: np.ndarray, x: np.ndarray, site: int, seen: frozenset[int]) -> float:
    """Log p(x_site | x_seen)."""

    def total(sites: frozenset[int]) -> float:
        return float(pmf[tuple(x[i] if i in sites else slice(None) for i in range(len(x)))].sum())

    return math.log(total(seen | {site}) / total(seen))


def test_masked_continuous_bound_is_the_mean_over_all_orders_of_revealing() -> None:
    data, x0 = law_of(2, 4)
    noise = chains.Absorbing(2, "cosine")
    start, stop = 0.9, 0.2
    whole, part = continuous_time(noise, data, x0), continuous_time(noise, data, x0, start=start, stop=stop)
    # another schedule between the same shares of revealed tokens
    shares = [float(noise.alpha(t)) for t in (start, stop)]
    linear = continuous_time(
        chains.Absorbing(2), data, x0, start=1 - shares[0], stop=1 - shares[1], initial="marginal"
    )
    np.testing.assert_allclose(linear.path, part.path, rtol=1e-12)
    for row, x in enumerate(x0):
        orders = list(itertools.permutations(range(4)))
        logs = [
            sum(log_conditional(data.pmf(), x, i, frozenset(order[:k])) for k, i in enumerate(order))
            for order in orders
        ]
        assert whole.path[row, 0] == pytest.approx(-math.fsum(logs) / len(orders), rel=1e-12)
        # On a part of the way each set of revealed sites has its share of it, an incomplete beta integral.
        expected = 0.0
        for seen in (frozenset(s) for k in range(4) for s in itertools.combinations(range(4), k)):
            a, b = len(seen) + 1, 4 - len(seen)
            weight = (betainc(a, b, shares[1]) - betainc(a, b, shares[0])) * math.exp(betaln(a, b))
            expected -= weight * sum(log_conditional(data.pmf(), x, i, seen) for i in set(range(4)) - seen)
        assert part.path[row, 0] == pytest.approx(expected, rel=1e-12)


def test_plug_in_in_continuous_time_is_the_published_bound_for_uniform_noise() -> None:
    # Schiff et al. 2025 (UDLM), with the exact posterior mean as the network's answer.
    noise = chains.Uniform(3, "cosine")
    data, x0 = law_of(3, 2)
    plain = Plain(noise, data.pmf())

    def integrand(t: float, v: np.ndarray) -> float:
        alpha, slope = float(noise.alpha(t)), float(noise.d_alpha(t))
        total = 0.0
        for z in plain.states:
            believed = 3 * alpha * plain.posterior(t, z) + 1 - alpha
            for site, i in enumerate(z):
                bar = 3 * alpha * np.eye(3)[v[site]] + 1 - alpha
                theta = believed[site]
                logs = sum(
                    bar[j] / bar[i] * math.log(theta[i] * bar[j] / (theta[j] * bar[i])) for j in range(3)
                )
                total += plain.q(t, z, v) * slope / (3 * alpha) * (3 / bar[i] - 3 / theta[i] - logs)
        return total

    found = continuous_time(noise, data, x0, start=0.9, stop=0.1, parametrisation="plug-in")
    for row in (0, 5):
        expected, _ = quad(integrand, 0.1, 0.9, args=(x0[row],), epsabs=1e-9, epsrel=1e-9)
        assert found.path[row, 0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("noise", [chains.Uniform(3), chains.Absorbing(3), chains.PureDeath(3)], ids=str)
@pytest.mark.parametrize("parametrisation", ["average", "plug-in"])
def test_discrete_bound_tends_to_the_continuous_one(noise: chains.Chain, parametrisation: str) -> None:
    data, x0 = law_of(3, 2)
    limit = continuous_time(noise, data, x0, start=0.9, stop=0.1, parametrisation=parametrisation)
    paths = [
        discrete_time(
            noise, np.linspace(0.9, 0.1, n + 1), data, x0, parametrisation=parametrisation
        ).path.sum(axis=1)
        for n in (100, 200, 400)
    ]
    first, second = (2 * paths[1] - paths[0], 2 * paths[2] - paths[1])  # without the error of first order
    np.testing.assert_allclose((4 * second - first) / 3, limit.path[:, 0], rtol=2e-6)


def test_plug_in_leaves_a_gap_that_no_number_of_steps_closes_unless_the_noise_is_a_mask() -> None:
    data, x0 = law_of(3, 2)
    uniform = continuous_time(chains.Uniform(3), data, x0, parametrisation="plug-in")
    assert mean(data, uniform.gap) > 0.3
    masked = continuous_time(chains.Absorbing(3), data, x0, parametrisation="plug-in")
    np.testing.assert_allclose(masked.gap, 0.0, atol=1e-12)
