"""Populations of weighed particles: where few weigh anything, all are drawn afresh by their weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def drawn_afresh(
    rng: np.random.Generator, weights: Floats, total: Floats, ess: float
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Draw particles by their weights, systematically, in each population with few that weigh anything.

    Parameters
    ----------
    rng : numpy Generator
    weights : (populations, particles) array
        Log-weights since particles were last drawn.
    total : (populations,) array
        Log of the product of mean weights before.
    ess : float
        Share of the particles that the effective sample size may fall to; 1 draws always.

    Returns
    -------
    rows : (populations * particles,) int64 array
        Of the particle that each place now has.
    weights, total : arrays
        As given; a population that was drawn afresh has weights 0, and their mean in its total.
    """
    count = weights.shape[1]
    top = weights.max(axis=1, keepdims=True)
    shares = np.exp(weights - top)
    sums = shares.sum(axis=1, keepdims=True)
    shares /= sums
    poor = (1 / (shares**2).sum(axis=1) <= ess * count * (1 + 1e-12)) | (ess == 1.0)
    picks = np.tile(np.arange(count), (len(weights), 1))
    for g in np.flatnonzero(poor):
        ladder = (np.arange(count) + rng.random()) / count
        picks[g] = np.minimum(np.searchsorted(np.cumsum(shares[g]), ladder), count - 1)
    rows = (picks + count * np.arange(len(weights))[:, None]).ravel()
    mean = np.log(sums[:, 0] / count) + top[:, 0]
    return rows, np.where(poor[:, None], 0.0, weights), np.where(poor, total + mean, total)


def check(particles: int, ess: float, n: int) -> None:
    """Raise ValueError for populations that n rows cannot be split into, or a share that is none."""
    if not 0 <= ess <= 1:
        raise ValueError(f"ess is {ess}: give a share between 0 and 1")
    if particles < 1 or n % particles:
        raise ValueError(f"particles is {particles} and x has {n} rows: give a divisor of them")
