"""Conditionals of tokens and numbers, both noised: the mixture's component is the token, or all of several.

At a level (alpha, sigma) the numbers are alpha x_0 + sigma eps, and a token is kept with probability
alpha^2/(alpha^2 + sigma^2), else drawn afresh from its values alike; noise comes on each apart. Several tokens are one
with K = V_1 ... V_L values, the last running fastest, of which each part is noised by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture

from ..numerics.reverse_step import Level

Floats = NDArray[np.float64]
Shape = tuple[int, ...]  # numbers of values, of each token
INTERLEAVED, APART, TOGETHER = "interleaved", "tokens apart", "together"
ORDERS = (INTERLEAVED, APART, TOGETHER)
GAUSSIAN, EXACT = "ddpm", "exact"


def kept(level: Level) -> float:
    """Probability that a token is not drawn afresh up to a level."""
    alpha, sigma = level
    return alpha**2 / (alpha**2 + sigma**2)


def flips(keep: float, shape: Shape) -> Floats:
    """Return q(noised tokens | tokens), (K, K): each is kept, or drawn from its values alike."""
    law: Floats = np.ones((1, 1))
    for values in shape:
        law = np.asarray(np.kron(law, keep * np.eye(values) + (1 - keep) / values))
    return law


def components(mixture: GaussianMixture, x: Floats, level: Level) -> Floats:
    """P(token of x_0 | x) at a level, (n, K), its own noise not seen."""
    return mixture.posterior(x, *level).weights


def token_step(weights: Floats, at: Level, to: Level, shape: Shape, order: str = INTERLEAVED) -> Floats:
    """Law of the tokens at the level `to` given those (second axis) and the numbers at `at`, (n, K, K).

    Proportional to q(k_t | k_s) sum_k0 P(k0 | x_t) q(k_s | k0), with `weights` P(k0 | x_t) of shape (n, K). In the
    order "interleaved" this is the law of all, to which drawing one by one comes; else the product of each token's.
    """
    law = (weights @ flips(kept(to), shape))[:, None, :] * flips(kept(at) / kept(to), shape).T
    law /= law.sum(axis=2, keepdims=True)
    return law if order == INTERLEAVED else apart(law, shape)


def apart(law: Floats, shape: Shape) -> Floats:
    """Return the product of the laws of single tokens, for laws of all of them, (n, m, K)."""
    product = np.ones((*law.shape[:2], 1))
    for site in range(len(shape)):
        others = tuple(2 + s for s in range(len(shape)) if s != site)
        single = law.reshape(*law.shape[:2], *shape).sum(axis=others)
        product = (product[..., None] * single[:, :, None, :]).reshape(*law.shape[:2], -1)
    return product


def given_token(weights: Floats, at: Level, shape: Shape) -> Floats:
    """P(tokens of x_0 | x, tokens noised to the level `at`), (n, K, K): the noised tokens on the second axis."""
    law = weights[:, None, :] * flips(kept(at), shape).T
    return np.asarray(law / law.sum(axis=2, keepdims=True))


def shape_of(mixture: GaussianMixture, tokens: Sequence[int] | None) -> Shape:
    """Return the numbers of values of each token, one token of all components where None; ValueError for others."""
    shape = (mixture.components,) if tokens is None else tuple(int(values) for values in tokens)
    if min(shape, default=0) < 1 or int(np.prod(shape)) != mixture.components:
        raise ValueError(
            f"tokens is {tokens!r}: give numbers of values whose product is {mixture.components}, the components"
        )
    return shape


def mixture_of(model: Any) -> GaussianMixture:
    """Return a model as the mixture that mixed samplers need; TypeError for anything else."""
    if not isinstance(model, GaussianMixture):
        raise TypeError(f"model is {model!r}: give a Gaussian mixture, whose component is the token")
    return model
