"""Conditionals of a token and numbers, both noised: the mixture's component is the token.

At a level (alpha, sigma) the numbers are alpha x_0 + sigma eps, and the token is kept with probability
alpha^2/(alpha^2 + sigma^2), else drawn afresh from all K alike; noise comes on each of the two apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture

from ..numerics.reverse_step import Level

Floats = NDArray[np.float64]
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


def mixture_of(model: Any) -> GaussianMixture:
    """Return a model as the mixture that mixed samplers need; TypeError for anything else."""
    if not isinstance(model, GaussianMixture):
        raise TypeError(f"model is {model!r}: give a Gaussian mixture, whose component is the token")
    return model
