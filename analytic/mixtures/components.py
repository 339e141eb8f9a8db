"""Quantities of each component of a noisy mixture, and their averages over components, in any namespace."""

from __future__ import annotations

import numpy as np

from .weights import Array, Level, Namespace, foreign, residuals_of


def component_scores(xp: Namespace, x: Array, level: Level) -> Array:
    """Score of each component at x, (n, K, dim)."""
    # Divided twice: the square of a tiny standard deviation would underflow.
    pulls = -residuals_of(xp, x, level) / level.total / level.total
    return pulls if level.rotations is None else rotated(xp, pulls, level.rotations)


def component_means(xp: Namespace, x: Array, level: Level, gain: Array) -> Array:
    """Posterior mean of x_0 within each component, (n, K, dim)."""
    moves = residuals_of(xp, x, level) * gain
    return level.means + (moves if level.rotations is None else rotated(xp, moves, level.rotations))


def score_contrasts(xp: Namespace, x: Array, level: Level) -> Array:
    """Component scores up to one vector per row: x is left out where it cancels between components."""
    return (level.means / level.total**2)[None, :, :] if level.shared else component_scores(xp, x, level)


def mean_contrasts(xp: Namespace, x: Array, level: Level, gain: Array, shrink: Array) -> Array:
    """Component posterior means up to one vector per row, in the same way."""
    return (shrink * level.means)[None, :, :] if level.shared else component_means(xp, x, level, gain)


def rotated(xp: Namespace, rows: Array, rotations: Array) -> Array:
    """Rows (n, K, dim) in component eigenbases, brought to the original coordinates."""
    by_component = xp.permute_dims(rows, (1, 0, 2))
    turned = xp.matmul(by_component, xp.permute_dims(rotations, (0, 2, 1)))
    return xp.permute_dims(turned, (1, 0, 2))


def spread(xp: Namespace, weights: Array, vectors: Array, scale: float = 1.0) -> Array:
    """Covariance over components of `vectors` / `scale`, (n, dim, dim), for vectors (n or 1, K, dim)."""
    centre = xp.sum(weights[:, :, None] * vectors, axis=1)
    # The scale divides the weight, not the vectors: these could overflow, and 0 * inf is NaN.
    parts = (xp.sqrt(weights) / scale)[:, :, None] * (vectors - centre[:, None, :])
    return xp.matmul(xp.permute_dims(parts, (0, 2, 1)), parts)


def average(xp: Namespace, weights: Array, matrices: Array) -> Array:
    """Average over components of (K, dim, dim) matrices, or of (K, dim) diagonals: (n, dim, dim)."""
    dim = int(matrices.shape[1])
    if matrices.ndim == 2:
        diagonals = xp.matmul(weights, matrices)
        return diagonals[:, :, None] * foreign(xp, weights, np.eye(dim))
    return xp.reshape(xp.matmul(weights, xp.reshape(matrices, (-1, dim * dim))), (-1, dim, dim))
