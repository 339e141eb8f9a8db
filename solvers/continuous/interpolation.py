"""Weights of interpolatory rules: integrals of the polynomial through evaluations at several nodes."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np
from numpy.typing import NDArray

from ..numerics.phi import phi
from .trace import Combination, Run

Array = NDArray[np.float64]


def interpolatory(nodes: Sequence[Array], moments: Sequence[Array]) -> list[Array]:
    """Weights w_j with sum_j w_j nodes_j^k = moments_k: the rule that is exact for polynomials through the nodes.

    A node at infinity, as the level alpha = 0 is in log-SNR, gets no weight and the rule one degree less.

    Parameters
    ----------
    nodes : sequence of (steps,) arrays
        Distinct, in units of the step.
    moments : sequence of (steps,) arrays
        What the rule gives for 1, u, u^2, ...; as many as nodes.
    """
    u = np.stack(np.broadcast_arrays(*nodes), axis=1)
    m = np.stack(np.broadcast_arrays(*moments), axis=1)
    weights = np.zeros_like(u)
    known = np.isfinite(u)
    for pattern in np.unique(known, axis=0):
        rows = np.flatnonzero((known == pattern).all(axis=1))
        columns = np.flatnonzero(pattern)
        powers = u[np.ix_(rows, columns)][:, None, :] ** np.arange(len(columns))[None, :, None]
        solved = np.linalg.solve(powers, m[rows, : len(columns), None])[..., 0]
        weights[np.ix_(rows, columns)] = solved
    return list(weights.T)


def exponential(step: Run, offsets: Sequence[int], rate: float = 1.0) -> list[Array]:
    """Integrals of rate e^(-rate (lambda_s - lambda)) l_j(lambda) over each step, lambda the log-SNR.

    l_j is the Lagrange basis on the nodes `offsets` (0 the step's start, 1 its end, -1 the node before). With rate = 1
    these are a data prediction's weights, over alpha_s, on the flow; with rate = 1 + eta^2 on the SDE with noise eta.
    """
    h = step.h
    with np.errstate(invalid="ignore"):
        nodes = [
            np.zeros_like(h) if j == 0 else (step.node(j).log_snr - step.now.log_snr) / h for j in offsets
        ]
        if np.any(np.isinf(h)):  # a step over all log-SNRs, from alpha = 0 or to sigma = 0: D is frozen
            nodes = [np.where(np.isinf(h) & (j != 0), np.inf, u) for j, u in zip(offsets, nodes, strict=True)]
    # int_0^1 z e^(-z (1 - u)) u^k du = z k! phi_(k+1)(-z), for k = 0 the part of D that enters
    z = rate * h
    moments = [-np.expm1(-z)]
    finite = np.where(np.isinf(z), 1.0, z)
    moments += [finite * factorial(k) * phi(k + 1, -finite) for k in range(1, len(offsets))]
    return interpolatory(nodes, moments)


def adams(step: Run, offsets: Sequence[int]) -> list[Array]:
    """Integrals of l_j over each step in sigma/alpha: variable-step Adams weights on the nodes `offsets`."""
    width = step.next.kappa - step.now.kappa
    with np.errstate(invalid="ignore", divide="ignore"):
        nodes = [
            np.zeros_like(width) if j == 0 else (step.node(j).kappa - step.now.kappa) / width for j in offsets
        ]
    return [
        width * w for w in interpolatory(nodes, [np.full_like(width, 1 / (k + 1)) for k in range(len(nodes))])
    ]


def weighted(weights: Sequence[Array], values: Sequence[Combination]) -> Combination:
    """Sum of weights times values."""
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total = total + weight * value
    return total
