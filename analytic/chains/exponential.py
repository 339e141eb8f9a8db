"""Exponentials of rate matrices, with every entry accurate relative to itself."""

from __future__ import annotations

import numpy as np

from .checks import Array

TERMS = 40


def exponential(rates: Array, amount: float) -> Array:
    """Return exp(amount rates), the transition matrix of the chain with these constant rates.

    Parameters
    ----------
    rates : (states, states) float64 array
        Non-negative off the diagonal, rows summing to zero.
    amount : float
        Elapsed time, finite and >= 0.

    Returns
    -------
    (states, states) float64 array
        Non-negative, rows summing to one.

    Notes
    -----
    Uniformisation, exp(Q) = exp(-L) exp(Q + L I) with L the largest exit rate, by a Taylor series with
    scaling and squaring. All terms are non-negative, so nothing cancels: even the smallest entries keep their
    relative accuracy, which ratios of probabilities need at small times and which neither an
    eigen-decomposition nor a Pade approximant gives. The interval is halved until a path from one state to the
    farthest one makes about 4 jumps in each piece; paths with more than 40 in one are what is neglected.

    References
    ----------
    Shao, Gao and Xue 2014, on exponentials of essentially non-negative matrices.
    """
    states = len(rates)
    largest = float(-np.diag(rates).min())
    if amount == 0 or largest == 0:
        return np.eye(states)
    pieces = max(largest * amount, states / 4, 1.0)
    halvings = int(np.ceil(np.log2(pieces)))
    jumps = rates * (amount / 2.0**halvings)
    np.fill_diagonal(jumps, np.diag(jumps) + largest * (amount / 2.0**halvings))
    # Rounding may leave the slowest-to-exit states a hair below zero.
    np.maximum(jumps, 0.0, out=jumps)
    result = term = np.eye(states)
    for k in range(1, TERMS + 1):
        term = term @ jumps / k
        result = result + term
    result /= result.sum(axis=1, keepdims=True)
    for _ in range(halvings):
        result = result @ result
        result /= result.sum(axis=1, keepdims=True)
    return result


def settled(matrix: Array) -> Array:
    """Return the limit of the powers of a transition matrix, by squaring until nothing moves.

    A chain that takes longer than 1e15 steps to forget is taken as it stands then.
    """
    for _ in range(50):
        following = matrix @ matrix
        following /= following.sum(axis=1, keepdims=True)
        moved = np.abs(following - matrix).max()
        matrix = following
        if moved < 1e-16:
            break
    return matrix


def common_row(name: str, settled_matrix: Array) -> Array:
    """Return the stationary law, the row all rows agree on; ValueError where the limit depends on the start."""
    spread = float(np.abs(settled_matrix - settled_matrix[0]).max())
    if spread > 1e-9:
        raise ValueError(
            f"{name} forgets not all of its start: laws at infinity differ by {spread:.2g}, so there is no "
            "prior; start from the marginal, or from a law of your own"
        )
    return settled_matrix.mean(axis=0)
