"""Mixed samplers a second time: forward chains written out on grids of places, turned round by Bayes' rule alone."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np

Array = Any


def normal(x: Array, mean: Array, variance: Array) -> Array:
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def uniform_kernel(keep: float, *shape: int) -> Array:
    """Tokens of so many values each, kept or drawn afresh one by one: (K, K), the last token running fastest."""
    states = list(product(*map(range, shape)))
    chance = [
        [
            np.prod(
                [
                    keep * (a == b) + (1 - keep) / values
                    for a, b, values in zip(one, other, shape, strict=True)
                ]
            )
            for other in states
        ]
        for one in states
    ]
    return np.array(chance)


def forward(
    weights: Array,
    means: Array,
    variances: Array,
    level: tuple[float, float],
    x: Array,
    shape: tuple[int, ...] | None = None,
) -> Array:
    """p_t(k_t, x_t), (K, n): every token of the data, kept or drawn afresh, and its Gaussian."""
    alpha, sigma = level
    keep = alpha**2 / (alpha**2 + sigma**2)
    kernel = uniform_kernel(keep, *(shape or (len(weights),)))
    table = np.zeros((len(weights), len(x)))
    for k0, (w, m, v) in enumerate(zip(weights, means, variances, strict=True)):
        for k in range(len(weights)):
            table[k] += w * kernel[k0, k] * normal(x, alpha * m, alpha**2 * v + sigma**2)
    return table


def reversed_step(
    law: Any,
    at: tuple[float, float],
    to: tuple[float, float],
    x_t: float,
    k_t: int,
    x_s: Array,
    together: bool,
    shape: tuple[int, ...] | None = None,
) -> tuple[Array, Array]:
    """P(k_s | k_t, x_t), (K,), and p(x_s | x_t, token), (K, n), from p_s(k_s, x_s) and the forward step alone.

    `law(level, x)` is p(k, x). The forward step noises x, then k. Together: the token that x_s is given is k_t.
    """
    (a, b), (a_s, b_s) = at, to
    keep = (a**2 / (a**2 + b**2)) / (a_s**2 / (a_s**2 + b_s**2))
    p, dx = law(to, x_s), x_s[1] - x_s[0]
    seen = p * normal(x_t, a / a_s * x_s, b**2 - (a / a_s * b_s) ** 2)  # p(k_s, x_s, x_t)
    q = uniform_kernel(keep, *(shape or (len(p),)))
    token = np.array([seen[k].sum() * dx * q[k, k_t] for k in range(len(p))])
    numbers = (
        np.array([sum(seen[k] * q[k, c] for k in range(len(p))) for c in range(len(p))]) if together else seen
    )
    return token / token.sum(), numbers / (numbers.sum(axis=1, keepdims=True) * dx)


def split_posterior(
    weights: Array,
    means: Array,
    variances: Array,
    rho: float,
    flip: float,
    reward: Array,
    y: float,
    s: float,
    u: Array,
    shape: tuple[int, ...] | None = None,
) -> Array:
    """Law of (k, u), (K, n): copies z and x summed and integrated by brute force. Observed: y = x + s eps."""
    x = np.linspace(-12, 12, 6001)
    q = uniform_kernel(1 - flip, *(shape or (len(weights),)))
    table = np.zeros((len(weights), len(u)))
    likelihood = normal(y, x, s**2)
    smoothed = np.array([(normal(x, place, rho**2) * likelihood).sum() * (x[1] - x[0]) for place in u])
    for k in range(len(weights)):
        for z in range(len(weights)):
            table[k] += (
                weights[k] * normal(u, means[k], variances[k]) * q[k, z] * np.exp(reward[z]) * smoothed
            )
    return table / (table.sum() * (u[1] - u[0]))


def split_sweeps(
    weights: Array,
    means: Array,
    variances: Array,
    sigmas: Array,
    flip: float,
    reward: Array,
    y: float,
    s: float,
    u: Array,
    sweeps: int,
) -> Array:
    """Law of (k, u) after sweeps of split Gibbs with DDPM of variance-exploding levels as its prior step, (K, n)."""
    rho, K, du = sigmas[0], len(weights), u[1] - u[0]
    q = uniform_kernel(1 - flip, K)
    p = np.tile(normal(u, 0.0, 1.0), (K, 1))
    p /= p.sum() * du
    precision = 1 / rho**2 + 1 / s**2
    copy = normal(u[:, None], (u / rho**2 + y / s**2) / precision, 1 / precision) * du  # x given u
    z_given_k = q * np.exp(reward)
    z_given_k /= z_given_k.sum(axis=1, keepdims=True)
    reverse = []
    for k in range(K):
        a, b, c = 1.0, 0.0, 0.0
        for now, ahead in pairwise(sigmas):
            gain = variances[k] / (variances[k] + now**2)  # D = m + gain (x - m)
            r = ahead**2 / now**2
            slope = r + (1 - r) * gain
            a, b, c = (
                slope * a,
                slope * b + (1 - r) * (1 - gain) * means[k],
                slope**2 * c + ahead**2 * (1 - r),
            )
        reverse.append(normal(u[:, None], a * u + b, c) * du)
    for _ in range(sweeps):
        after = np.zeros_like(p)
        for z in range(K):
            x = copy @ sum(p[k] * z_given_k[k, z] for k in range(K))
            given = np.array(
                [weights[k] * q[k, z] * normal(u, means[k], variances[k] + rho**2) for k in range(K)]
            )
            given /= given.sum(axis=0)
            for k in range(K):
                after[k] += reverse[k] @ (x * given[k])
        p = after
    return p
