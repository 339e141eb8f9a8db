"""A Gaussian mixture's denoiser and score for a block of samples, compiled into the trajectory loop.

Blocks are (dim, lanes): components outside, lanes innermost, so that every inner loop is vector code.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...numerics.jit import COMPILED, INNER, in_parallel
from ...numerics.philox import LANES, check_seed, fill_normals, fill_words
from ...numerics.primitives import exp
from ...protocols import Target
from .packed import Packed

INITIAL_STEP = 0xFFFFFFFF
_COMPONENT_CHANNEL = 255


class Components(NamedTuple):
    """Components of a Gaussian mixture as compiled code takes them.

    log_weights (K,); thresholds (K,) uint64: cumulative weights times 2^53, above which the next component is
    drawn; means (K, dim); variances (K or 1, dim): one row if the components share it; rotations (K, dim, dim) with
    eigenvectors as columns, or (0, 0, 0).
    """

    log_weights: NDArray[Any]
    thresholds: NDArray[np.uint64]
    means: NDArray[Any]
    variances: NDArray[Any]
    rotations: NDArray[Any]


def components(target: Target, dtype: Any = np.float64) -> Components:
    """Lay out the components of a mixture for compiled code."""
    variances = np.asarray(target.variances)
    shared = target.rotations is None and bool(np.all(variances == variances[:1]))
    rotations = np.zeros((0, 0, 0)) if target.rotations is None else target.rotations
    # copies, since read-only arrays are another type to numba and would compile everything again
    return Components(
        np.array(np.log(target.weights), dtype),
        np.ceil(np.cumsum(target.weights) * 2.0**53).astype(np.uint64),
        np.array(target.means, dtype, order="C"),
        np.array(variances[:1] if shared else variances, dtype, order="C"),
        np.array(rotations, dtype, order="C"),
    )


def normalisers(target: Target, packed: Packed, dtype: Any = np.float64) -> NDArray[Any]:
    """Return log w_k - log det(alpha^2 C_k + sigma^2 I)/2 at every evaluation of a tableau, (N, S, K).

    Where the components share their variances the determinant cancels: (1, 1, K), the same everywhere.
    """
    log_weights, variances = np.log(target.weights), np.asarray(target.variances)
    if len(components(target).variances) < len(log_weights) or len(log_weights) == 1:
        return np.array(log_weights[None, None], dtype)
    out = np.empty((*packed.levels.shape[:2], len(log_weights)), dtype)
    for n, levels in enumerate(packed.levels):
        a2, s2 = levels[:, 0, None, None] ** 2, levels[:, 1, None, None] ** 2
        with np.errstate(
            divide="ignore"
        ):  # at sigma = 0 only a score is asked for, of variances that are positive
            out[n] = log_weights - np.log(a2 * variances + s2).sum(axis=2) / 2
    return out


@njit(**COMPILED)
def evaluate(
    parameters: Components, normaliser: Any, asked: Any, alpha: Any, sigma: Any, x: Any, out: Any, work: Any
) -> None:
    """Fill out (dim, lanes) with asked[0] times the denoiser plus asked[1] times the score at x, in the type of x.

    `normaliser` (K,) is that of `normalisers` at this evaluation, `work` (K + 2 + dim, lanes) is scratch. At sigma =
    0 the denoiser is x/alpha; at alpha = 0 the prior mean.
    """
    means, variances, rotations = parameters.means, parameters.variances, parameters.rotations
    dim, lanes = x.shape
    K = work.shape[0] - 2 - dim
    kind = x.dtype.type
    zero, half = kind(0.0), kind(0.5)
    of_data, of_score = asked[0], asked[1]
    if sigma == zero and of_score == zero:
        for d in range(dim):
            for lane in range(lanes):
                out[d, lane] = of_data * (x[d, lane] / alpha)
        return
    a2, s2 = alpha * alpha, sigma * sigma
    rotated, shared = rotations.shape[0] > 0, variances.shape[0] < K
    logits, largest, total, turned = work[:K], work[K], work[K + 1], work[K + 2 :]
    for lane in range(lanes):
        largest[lane] = kind(-np.inf)
        total[lane] = zero
    for k in range(K):
        row = 0 if shared else k
        for lane in range(lanes):
            logits[k, lane] = normaliser[k]
        if rotated:
            _rotate(rotations[k], alpha, means[k], x, turned)
        for d in range(dim):
            precision = half / (a2 * variances[row, d] + s2)
            shift = alpha * means[k, d]
            if rotated:
                for lane in range(lanes):
                    logits[k, lane] -= precision * turned[d, lane] * turned[d, lane]
            else:
                for lane in range(lanes):
                    difference = x[d, lane] - shift
                    logits[k, lane] -= precision * difference * difference
        for lane in range(lanes):
            largest[lane] = max(largest[lane], logits[k, lane])
    for d in range(dim):
        for lane in range(lanes):
            out[d, lane] = zero
    for k in range(K):
        row = 0 if shared else k
        weight = logits[k]
        for lane in range(lanes):
            weight[lane] = exp(weight[lane] - largest[lane])
            total[lane] += weight[lane]
        if rotated:
            _rotate(rotations[k], alpha, means[k], x, turned)
        for d in range(dim):
            variance = a2 * variances[row, d] + s2
            gain = (of_data * alpha * variances[row, d] - of_score) / variance
            if rotated:
                for lane in range(lanes):
                    turned[d, lane] *= gain
                continue
            shift = alpha * means[k, d]
            base = of_data * means[k, d]
            for lane in range(lanes):
                out[d, lane] += weight[lane] * (base + gain * (x[d, lane] - shift))
        if rotated:
            for d in range(dim):
                base = of_data * means[k, d]
                for lane in range(lanes):
                    out[d, lane] += weight[lane] * base
                for e in range(dim):
                    entry = rotations[k, d, e]
                    for lane in range(lanes):
                        out[d, lane] += weight[lane] * entry * turned[e, lane]
    for d in range(dim):
        for lane in range(lanes):
            out[d, lane] /= total[lane]


@njit(**INNER)
def _rotate(rotation: Any, alpha: Any, mean: Any, x: Any, out: Any) -> None:
    """Fill out with rotation^T (x - alpha mean)."""
    dim, lanes = x.shape
    for e in range(dim):
        for lane in range(lanes):
            out[e, lane] = out.dtype.type(0.0)
        for d in range(dim):
            entry, shift = rotation[d, e], alpha * mean[d]
            for lane in range(lanes):
                out[e, lane] += entry * (x[d, lane] - shift)


@njit(**COMPILED)
def _draw_all(begin: int, end: int, parameters: Components, seed: Any, first: int, x: Any) -> None:
    """Fill blocks begin .. end - 1 of the rows of x (n, dim)."""
    n, dim = x.shape
    for block in range(begin, end):
        row = block * LANES
        lanes = min(LANES, n - row)
        words, normals, out = np.empty((2, lanes), np.uint64), np.empty((dim, lanes)), np.empty((dim, lanes))
        draw(parameters, seed, first + row, words, normals, out)
        for lane in range(lanes):
            for d in range(dim):
                x[row + lane, d] = out[d, lane]


def draw_samples(target: Target, n: int, seed: int = 0, first: int = 0) -> NDArray[np.float64]:
    """Return samples first .. first + n - 1 (n, dim) of a mixture, by address: the start points of `sample`."""
    x = np.empty((n, target.means.shape[1]))
    in_parallel(_draw_all, -(-n // LANES), components(target), check_seed(seed), first, x)
    return x


@njit(**INNER)
def draw(parameters: Components, seed: Any, first: int, words: Any, normals: Any, out: Any) -> None:
    """Fill out (dim, lanes) with samples of the mixture itself, by address; `words`, `normals` are scratch."""
    K, dim = parameters.means.shape
    lanes = out.shape[1]
    rotated, shared = parameters.rotations.shape[0] > 0, parameters.variances.shape[0] < K
    fill_normals(seed, first, INITIAL_STEP, 0, words, normals)
    fill_words(seed, first, INITIAL_STEP, _COMPONENT_CHANNEL, 0, words)
    for lane in range(lanes):
        word = words[0, lane] >> np.uint64(11)
        k, beyond = 0, K - 1  # the component is between them
        while k < beyond:
            middle = (k + beyond) // 2
            if parameters.thresholds[middle] <= word:
                k = middle + 1
            else:
                beyond = middle
        row = 0 if shared else k
        for d in range(dim):
            out[d, lane] = parameters.means[k, d]
        for e in range(dim):
            step = out.dtype.type(sqrt(parameters.variances[row, e])) * normals[e, lane]
            if rotated:
                for d in range(dim):
                    out[d, lane] += parameters.rotations[k, d, e] * step
            else:
                out[e, lane] += step
