"""Arithmetic of rescaled probability weights: products, draws, contractions, one-hot rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..mixtures.parameters import Floats

Integers = NDArray[np.integer]

# Below this a total has lost digits to gradual underflow, and the product is formed again from logarithms.
WEAK_TOTAL = 1e-290


def multiply(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Multiply two arrays of weights and normalise over the last axis.

    Parameters
    ----------
    left, right : (..., S) float64 arrays
        Non-negative; broadcast against each other.

    Returns
    -------
    normalised : (..., S) float64 array
        Sums to one, or is zero where the product is zero.
    log_total : (...) float64 array
        Logarithm of the sum before normalisation, -inf where it is zero.
    """
    joint = left * right
    total = joint.sum(axis=-1)
    weak = total < WEAK_TOTAL
    if not weak.any():
        joint /= total[..., None]
        return joint, np.log(total)
    with np.errstate(divide="ignore"):
        logs = np.log(np.broadcast_to(left, joint.shape)[weak])
        logs += np.log(np.broadcast_to(right, joint.shape)[weak])
        peak = logs.max(axis=-1)
        joint[weak] = np.exp(logs - np.where(peak > -np.inf, peak, 0.0)[:, None])
        total = joint.sum(axis=-1)
        log_total = np.log(total)
    log_total[weak] += np.where(peak > -np.inf, peak, 0.0)
    joint /= np.where(total > 0.0, total, 1.0)[..., None]
    return joint, log_total


def draw(weights: Floats, uniforms: Floats) -> NDArray[np.int64]:
    """Draw one index per row by inverting the cumulative sum.

    Parameters
    ----------
    weights : (n, S) float64 array
        Non-negative, of any positive total.
    uniforms : (n,) float64 array in [0, 1)

    Returns
    -------
    (n,) int64 array
        An index of weight zero is never drawn: u * total stays below total after rounding.
    """
    cumulative = np.cumsum(weights, axis=-1)
    return np.count_nonzero(cumulative <= (uniforms * cumulative[:, -1])[:, None], axis=-1)


def one_hot(tokens: Integers, vocabulary: int) -> Floats:
    """Return (..., vocabulary) rows that are one at the token and zero elsewhere."""
    result = np.zeros((*tokens.shape, vocabulary))
    np.put_along_axis(result, tokens[..., None], 1.0, axis=-1)
    return result


def outer(likelihood: Floats) -> Floats:
    """Multiply (n, k, V) per-site weights out to (n, V**k) weights of k-tuples, first site slowest."""
    result = likelihood[:, 0]
    for site in range(1, likelihood.shape[1]):
        result = (result[:, :, None] * likelihood[:, site, None, :]).reshape(len(result), -1)
    return result


def _contract_last(tensor: Floats, weights: Floats) -> Floats:
    """Sum (1 or n, R * V) against (n, V) over the last, fastest site: (n, R)."""
    vocabulary = weights.shape[1]
    if len(tensor) == 1:
        return np.ascontiguousarray((tensor.reshape(-1, vocabulary) @ weights.T).T)
    return (tensor.reshape(len(tensor), -1, vocabulary) @ weights[:, :, None])[:, :, 0]


def _contract_first(tensor: Floats, weights: Floats) -> Floats:
    """Sum (1 or n, V * R) against (n, V) over the first, slowest site: (n, R)."""
    vocabulary = weights.shape[1]
    if len(tensor) == 1:
        return weights @ tensor.reshape(vocabulary, -1)
    return (weights[:, None, :] @ tensor.reshape(len(tensor), vocabulary, -1))[:, 0]


def _rescale(tensor: Floats) -> tuple[Floats, Floats]:
    peak = tensor.max(axis=1)
    safe = np.where(peak > 0.0, peak, 1.0)
    return tensor / safe[:, None], np.where(peak > 0.0, np.log(safe), -np.inf)


def leave_one_out(tensor: Floats, likelihood: Floats) -> Floats:
    """Sum a joint weight over all sites but one, each weighted by its likelihood, for every site in turn.

    Halving the set of sites shares the partial sums, so that all sites together cost about as much as two
    sums over the whole tensor; no division by a likelihood, which may be zero.

    Parameters
    ----------
    tensor : (n, V**k) or (1, V**k) float64 array
        Weights of k-tuples, first site slowest.
    likelihood : (n, k, V) float64 array

    Returns
    -------
    (n, k, V) float64 array
        Normalised over V; zero where nothing is possible.
    """
    n, sites, vocabulary = likelihood.shape
    if sites == 1:
        normalised, _ = multiply(np.broadcast_to(tensor, (n, vocabulary)), np.ones(1))
        return normalised[:, None]
    half = sites // 2
    left, right = tensor, tensor
    for site in range(sites - 1, half - 1, -1):
        left, _ = _rescale(_contract_last(left, likelihood[:, site]))
    for site in range(half):
        right, _ = _rescale(_contract_first(right, likelihood[:, site]))
    return np.concatenate(
        [leave_one_out(left, likelihood[:, :half]), leave_one_out(right, likelihood[:, half:])], axis=1
    )


def log_contract(tensor: Floats, likelihood: Floats) -> Floats:
    """Logarithm (n,) of the sum of a (1, V**k) joint weight times all k likelihoods; -inf for zero."""
    log_total = np.zeros(len(likelihood))
    for site in range(likelihood.shape[1] - 1, -1, -1):
        tensor, log_scale = _rescale(_contract_last(tensor, likelihood[:, site]))
        log_total += log_scale
    return log_total
