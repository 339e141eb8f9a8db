"""Products of Gaussian mixtures with Gaussians and with one another: posteriors of linear observations, compositions.

Parameters are those of a mixture with full matrices: weights (K,), means (K, dim), covariances (K, dim, dim).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .parameters import Floats, real_array

# A component that an observation all but excludes keeps this weight, so that components keep their numbers.
LEAST_WEIGHT = 1e-300


@dataclass(frozen=True)
class Observation:
    """A linear map A (m, dim) and the standard deviations (m,) of the noise on A x, checked."""

    A: Floats
    deviation: Floats

    @classmethod
    def of(cls, A: ArrayLike, deviation: ArrayLike, dim: int) -> Observation:
        """Read a map and a deviation, one for all rows or one a row.

        Raises
        ------
        ValueError
            A has other columns than dim, or a deviation is negative or of another length; TypeError if not real.
        """
        matrix, spread = real_array(A, "A"), real_array(deviation, "deviation")
        if matrix.ndim != 2 or matrix.shape[1] != dim or matrix.shape[0] == 0:
            raise ValueError(f"A has shape {matrix.shape}; give (m, {dim}), one row for each number observed")
        if spread.shape not in {(), (len(matrix),)}:
            raise ValueError(f"deviation has shape {spread.shape}; give one number or ({len(matrix)},)")
        if (spread < 0).any():
            raise ValueError(f"deviation is {deviation!r}; give standard deviations >= 0")
        return cls(matrix, np.broadcast_to(spread, (len(matrix),)))

    def value(self, y: ArrayLike) -> Floats:
        """Return what was observed as an (m,) array; ValueError for another shape."""
        array = np.atleast_1d(real_array(y, "y"))
        if array.shape != (len(self.A),):
            raise ValueError(f"y has shape {array.shape}; give ({len(self.A)},), a number for each row of A")
        return array


def image(means: Floats, covariances: Floats, seen: Observation) -> tuple[Floats, Floats]:
    """Means (K, m) and covariances (K, m, m) of A x + deviation eps within each component."""
    spread = seen.A @ covariances @ seen.A.T + np.diag(seen.deviation**2)
    return means @ seen.A.T, spread


def posterior(
    weights: Floats, means: Floats, covariances: Floats, seen: Observation, y: Floats
) -> tuple[Floats, Floats, Floats]:
    """Weights, means and covariances of x given A x + deviation eps = y.

    Raises
    ------
    ValueError
        A noiseless observation that some component cannot vary in, so that y has no density there.
    """
    centres, spread = image(means, covariances, seen)
    logs = np.log(weights) + _log_normals(y - centres, spread, "deviation")
    gain = np.linalg.solve(spread, seen.A @ covariances).transpose(0, 2, 1)
    kept = np.eye(means.shape[1]) - gain @ seen.A
    noise = gain * seen.deviation
    # Joseph's form: a sum of squares, which rounding leaves positive
    posterior = kept @ covariances @ kept.transpose(0, 2, 1) + noise @ noise.transpose(0, 2, 1)
    moved = means + np.einsum("kdm,km->kd", gain, y - centres)
    return normalised(logs), moved, symmetric(posterior)


def product(
    one: tuple[Floats, Floats, Floats], other: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Weights, means and covariances of the law proportional to the product of two mixtures' densities.

    Component j of one and k of the other give component j K + k.

    Raises
    ------
    ValueError
        Two components that are singular in one direction, where the product is none.
    """
    w, m, C = one
    v, n, D = other
    total = C[:, None] + D[None]
    gap = m[:, None] - n[None]
    logs = np.log(w)[:, None] + np.log(v)[None] + _log_normals(gap, total, "other")
    share = np.linalg.solve(total, np.broadcast_to(C[:, None], total.shape)).swapaxes(-1, -2)  # C (C + D)^-1
    means = m[:, None] - np.einsum("jkde,jke->jkd", share, gap)
    rest = np.eye(m.shape[1]) - share
    both = rest @ C[:, None] @ rest.swapaxes(-1, -2) + share @ D[None] @ share.swapaxes(-1, -2)
    dim = m.shape[1]
    return normalised(logs.ravel()), means.reshape(-1, dim), symmetric(both.reshape(-1, dim, dim))


def normalised(logs: Floats) -> Floats:
    """Weights from their logarithms, none of them zero."""
    weights = np.exp(logs - logs.max())
    weights = np.maximum(weights / weights.sum(), LEAST_WEIGHT)
    return np.asarray(weights / weights.sum())


def _log_normals(gaps: Floats, covariances: Floats, name: str) -> Floats:
    """Log-densities of N(0, covariance) at gaps, over leading axes; ValueError names what made one singular."""
    values, vectors = np.linalg.eigh(covariances)
    if (values <= gaps.shape[-1] * np.finfo(np.float64).eps * values[..., -1:]).any():
        raise ValueError(
            f"{name} leaves a direction in which a component cannot vary, so that there is no density: "
            "give noise there, or rows of A that are independent"
        )
    turned = np.einsum("...de,...d->...e", vectors, gaps)
    squares = (turned**2 / values).sum(axis=-1)
    return np.asarray(-0.5 * (squares + np.log(2 * np.pi * values).sum(axis=-1)))


def symmetric(matrices: Floats) -> Floats:
    """Matrices that rounding has left a little unsymmetric, made symmetric."""
    return np.asarray((matrices + matrices.swapaxes(-1, -2)) / 2)
