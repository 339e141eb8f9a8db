"""Conditionals of a token and numbers, both noised: the mixture's component is the token.

At a level (alpha, sigma) the numbers are alpha x_0 + sigma eps, and the token is kept with probability
alpha^2/(alpha^2 + sigma^2), else drawn afresh from all K alike; noise comes on each of the two apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture

Floats = NDArray[np.float64]
Level = tuple[float, float]
INTERLEAVED, TOGETHER = "interleaved", "together"
GAUSSIAN, EXACT = "ddpm", "exact"


def kept(level: Level) -> float:
    """Probability that a token is not drawn afresh up to a level."""
    alpha, sigma = level
    return alpha**2 / (alpha**2 + sigma**2)


def flips(keep: float, tokens: int) -> Floats:
    """Return q(noised token | token), (K, K): keep, or draw from all alike."""
    return np.asarray(keep * np.eye(tokens) + (1 - keep) / tokens)


def components(mixture: GaussianMixture, x: Floats, level: Level) -> Floats:
    """P(token of x_0 | x) at a level, (n, K), its own noise not seen."""
    return mixture.posterior(x, *level).weights


def token_step(weights: Floats, at: Level, to: Level) -> Floats:
    """Law of the token at the level `to` given the token (second axis) and the numbers at `at`, (n, K, K).

    Proportional to q(k_t | k_s) sum_k0 P(k0 | x_t) q(k_s | k0), with `weights` P(k0 | x_t) of shape (n, K).
    """
    K = weights.shape[1]
    law = (weights @ flips(kept(to), K))[:, None, :] * flips(kept(at) / kept(to), K).T
    return np.asarray(law / law.sum(axis=2, keepdims=True))


def given_token(weights: Floats, at: Level) -> Floats:
    """P(token of x_0 | x, token noised to the level `at`), (n, K, K): the noised token on the second axis."""
    law = weights[:, None, :] * flips(kept(at), weights.shape[1]).T
    return np.asarray(law / law.sum(axis=2, keepdims=True))


def ddpm_step(at: Level, to: Level) -> tuple[float, float, float]:
    """Weights of x and of E[x_0 | x] in DDPM's mean, and its deviation: q(x_s | x_t, x_0) with x_0 at its mean."""
    (a, b), (a_s, b_s) = at, to
    left = (a / a_s * b_s / b) ** 2
    of_x = left * a_s / a if a > 0 else 0.0
    return of_x, a_s - of_x * a, b_s * float(np.sqrt(1 - left))


def mixture_of(model: Any) -> GaussianMixture:
    """Return a model as the mixture that mixed samplers need; TypeError for anything else."""
    if not isinstance(model, GaussianMixture):
        raise TypeError(f"model is {model!r}: give a Gaussian mixture, whose component is the token")
    return model
