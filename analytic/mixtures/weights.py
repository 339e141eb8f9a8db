"""Component weights given a noisy point: the log-joint of (component, x), by the best-conditioned route.

All functions work on any array-API namespace, in float64. Three routes give the (n, K) log-joint:

- shared: components with one axis-aligned covariance. ||x||^2 cancels between components and is never formed;
  the most likely component j is found by one matrix product, and the others follow from differences
  mu_k - mu_j, exact near the data and at x = 1e8 alike (or from the product itself where K * dim is large).
- products: axis-aligned, K * dim large. Squares are expanded into matrix products. The absolute error of the
  log-joint is about 1e-16 ||x||^2 / s^2, with s the smallest noisy standard deviation.
- direct: residuals formed one by one, memory n * K * dim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from ..reprs import brief
from .parameters import Floats

Array = Any
Namespace = Any

# Above this many numbers per sample matrix products win over differences formed one by one.
PRODUCTS_FROM = 1024
# Doubles in the largest temporary: 32 MB, of which a handful live at once.
CHUNK_NUMBERS = 2**22


@dataclass(frozen=True)
class Level:
    """A mixture seen at one noise level, as arrays of the caller's namespace.

    Attributes
    ----------
    alpha : float
    log_weights : (K,) array
    means : (K, dim) array
        Component means of x_0.
    total : (K, dim) array
        Standard deviations of x_t in each component's eigenbasis, positive.
    rotations : (K, dim, dim) array or None
    centre : (dim,) array
        Mean of the mixture; products are formed about it.
    shared : bool
        Whether all components have the same axis-aligned covariance.
    """

    alpha: float
    log_weights: Array
    means: Array
    total: Array
    rotations: Array | None
    centre: Array
    shared: bool

    __repr__ = brief

    @property
    def components(self) -> int:
        """Number of components."""
        return int(self.means.shape[0])

    @property
    def dim(self) -> int:
        """Dimension of x."""
        return int(self.means.shape[1])

    @property
    def large(self) -> bool:
        """Whether matrix products are worth their cancellation."""
        return self.rotations is None and self.components * self.dim > PRODUCTS_FROM


def rows_per_chunk(components: int, dim: int, by_products: bool) -> int:
    """Rows whose temporaries stay within `CHUNK_NUMBERS` doubles."""
    return max(1, CHUNK_NUMBERS // (components if by_products else components * dim))


def chunks_of(x: Array, rows: int) -> Iterator[Array]:
    """Yield x in chunks of so many rows or fewer, one at least; no slice ends beyond the last row."""
    n = int(x.shape[0])
    yield from (x[start : min(n, start + rows), :] for start in range(0, max(1, n), rows))


def residuals_of(xp: Namespace, x: Array, level: Level) -> Array:
    """Residuals x - alpha mu_k in component eigenbases, (n, K, dim)."""
    if level.rotations is None:
        return x[:, None, :] - level.alpha * level.means
    residuals = x[None, :, :] - level.alpha * level.means[:, None, :]
    return xp.permute_dims(xp.matmul(residuals, level.rotations), (1, 0, 2))


def log_joint(xp: Namespace, x: Array, level: Level) -> tuple[Array, Array]:
    """Log of weight times density of each component at x, as (n, K) relative values and an (n,) offset.

    Their sum is the log-joint; apart, they keep the digits that differences between components need.
    """
    if level.shared:
        relative, offset = _shared(xp, x, level)
    elif level.large:
        relative, offset = _products(xp, x, level)
    else:
        relative, offset = _direct(xp, x, level)
    # Overflow of a square, at distances of 1e150 standard deviations: start again with scaled squares.
    if not bool(xp.all(xp.isfinite(relative))):
        relative, offset = _scaled(xp, x, level)
    return relative, offset


def responsibilities(xp: Namespace, x: Array, level: Level) -> Array:
    """Posterior component probabilities given x, (n, K), by log-sum-exp."""
    relative, _ = log_joint(xp, x, level)
    exponentials = xp.exp(relative - xp.max(relative, axis=1, keepdims=True))
    return exponentials / xp.sum(exponentials, axis=1, keepdims=True)


def log_sum(xp: Namespace, x: Array, level: Level) -> Array:
    """Log-density of the noisy mixture at x, (n,)."""
    relative, offset = log_joint(xp, x, level)
    top = xp.max(relative, axis=1)
    return offset + top + xp.log(xp.sum(xp.exp(relative - top[:, None]), axis=1))


def _normalisation(xp: Namespace, level: Level) -> Array:
    """Log-weight plus log-normalisation of each component, (K,)."""
    constant = 0.5 * level.dim * math.log(2.0 * math.pi)
    return level.log_weights - xp.sum(xp.log(level.total), axis=1) - constant


def _zeros(xp: Namespace, x: Array) -> Array:
    return xp.zeros_like(x[:, 0])


def _shared(xp: Namespace, x: Array, level: Level) -> tuple[Array, Array]:
    total = level.total[0, :]
    centred = (x - level.alpha * level.centre) / total
    means = level.alpha * (level.means - level.centre) / total
    logits = xp.matmul(centred, means.T) - 0.5 * xp.sum(means * means, axis=1) + level.log_weights
    nearest = xp.argmax(logits, axis=1)
    residual = (x - level.alpha * xp.take(level.means, nearest, axis=0)) / total
    offset = xp.take(_normalisation(xp, level), nearest) - 0.5 * xp.sum(residual * residual, axis=1)
    if level.large:
        return logits - xp.max(logits, axis=1, keepdims=True), offset
    # |r_j|^2 - |r_k|^2 with r_k = r_j - step: no square of x is ever formed.
    steps = means - xp.take(means, nearest, axis=0)[:, None, :]
    gains = xp.sum(steps * (residual[:, None, :] - 0.5 * steps), axis=2)
    return gains + level.log_weights - xp.take(level.log_weights, nearest)[:, None], offset


def _products(xp: Namespace, x: Array, level: Level) -> tuple[Array, Array]:
    centred = x - level.alpha * level.centre
    means = level.alpha * (level.means - level.centre)
    precision = 1.0 / (level.total * level.total)
    squares = (
        xp.matmul(centred * centred, precision.T)
        - 2.0 * xp.matmul(centred, (means * precision).T)
        + xp.sum(means * means * precision, axis=1)
    )
    squares = xp.where(squares < 0.0, xp.zeros_like(squares), squares)
    return _normalisation(xp, level) - 0.5 * squares, _zeros(xp, x)


def _direct(xp: Namespace, x: Array, level: Level) -> tuple[Array, Array]:
    residuals = residuals_of(xp, x, level) / level.total
    return _normalisation(xp, level) - 0.5 * xp.sum(residuals * residuals, axis=2), _zeros(xp, x)


def _scaled(xp: Namespace, x: Array, level: Level) -> tuple[Array, Array]:
    """As `_direct`, with squares in units of each row's largest residual, so that none overflows."""
    relatives, offsets = [], []
    least = xp.min(level.total)
    ratios = level.total / least
    step = rows_per_chunk(level.components, level.dim, by_products=False)
    for part in chunks_of(x, step):
        residuals = residuals_of(xp, part, level) / ratios
        unit = xp.max(xp.max(xp.abs(residuals), axis=2), axis=1)
        unit = xp.where(unit == 0.0, xp.ones_like(unit), unit)[:, None]
        squares = xp.sum((residuals / unit[:, :, None]) ** 2, axis=2)
        smallest = xp.min(squares, axis=1, keepdims=True)
        excess = squares - smallest
        relatives.append(_normalisation(xp, level) - 0.5 * _magnified(xp, excess, unit / least))
        offsets.append(-0.5 * _magnified(xp, smallest, unit / least)[:, 0])
    return xp.concat(relatives, axis=0), xp.concat(offsets, axis=0)


def _magnified(xp: Namespace, squares: Array, factor: Array) -> Array:
    """Squares times factor^2, where zero stays zero although the factor may be infinite."""
    nothing = squares == 0.0
    return xp.where(nothing, squares, xp.where(nothing, xp.ones_like(squares), squares) * factor * factor)


def level_of(
    xp: Namespace,
    like: Array,
    parameters: tuple[Floats, Floats, Floats, Floats | None, Floats, bool],
    alpha: float,
    sigma: float,
) -> Level:
    """Build a `Level` on the device of `like`.

    `parameters` are log-weights, means, deviations, rotations, centre and whether the covariance is shared.
    """
    log_weights, means, deviations, rotations, centre, shared = parameters
    # hypot, not a sum of squares: variances of 1e-300 and sigma of 1e-200 do not underflow to zero.
    total = np.hypot(alpha * deviations, sigma)
    return Level(
        alpha,
        foreign(xp, like, log_weights),
        foreign(xp, like, means),
        foreign(xp, like, total),
        None if rotations is None else foreign(xp, like, rotations),
        foreign(xp, like, centre),
        shared,
    )


def foreign(xp: Namespace, like: Array, array: Floats) -> Array:
    """Copy a NumPy float64 array into the namespace and onto the device of `like`."""
    # A writable copy: torch warns when it is handed read-only memory.
    return xp.asarray(np.array(array), device=array_api_compat.device(like))
