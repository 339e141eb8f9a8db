"""Reading and checking the parameters of a Gaussian mixture, once, at the public edge."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

WEIGHT_TOLERANCE = 1e-12
EIGENVALUE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Parameters:
    """Canonical form of a mixture: component k has covariance R_k diag(variances_k) R_k^T.

    Attributes
    ----------
    weights : (K,) float64 array
        Positive, summing to one.
    means : (K, dim) float64 array
    variances : (K, dim) float64 array
        Eigenvalues of each covariance, zero allowed. A broadcast view where components share them.
    rotations : (K, dim, dim) float64 array or None
        Columns are eigenvectors; None when every covariance is diagonal.
    """

    weights: Floats
    means: Floats
    variances: Floats
    rotations: Floats | None


def frozen(array: Floats) -> Floats:
    """Mark an array read-only and return it."""
    array.setflags(write=False)
    return array


def real_array(value: ArrayLike, name: str) -> Floats:
    """Convert to a finite float64 array of its own memory.

    Raises
    ------
    TypeError
        If the value is not made of real numbers.
    ValueError
        If it is ragged, or holds a NaN or an infinity; the message gives the first index.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is ragged ({error}); give every row the same length") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {array.dtype}; give real numbers")
    result = np.array(array, dtype=np.float64)
    if not np.isfinite(result).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(result))[0])
        raise ValueError(
            f"{name} holds {result[index]} at index {index}; remove or replace non-finite values"
        )
    return result


def real_number(value: Any, name: str) -> float:
    """Convert a finite, non-negative scalar to float.

    Raises
    ------
    TypeError
        If the value is not a single real number.
    ValueError
        If it is negative, infinite or NaN.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; give one real number, the same for every sample") from None
    if not (math.isfinite(number) and number >= 0.0):
        raise ValueError(f"{name} is {number!r}; give a finite number >= 0")
    return number


def whole_number(value: Any, name: str, least: int = 0) -> int:
    """Convert an integer-like scalar to int.

    Raises
    ------
    TypeError
        If the value is not an integer.
    ValueError
        If it is below `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; give an integer") from None
    if number < least:
        raise ValueError(f"{name} is {number}; give an integer >= {least}")
    return number


def read(weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> Parameters:
    """Check the three arguments of `GaussianMixture` and bring them to canonical form.

    Parameters
    ----------
    weights : (K,) array_like
    means : (K, dim) array_like
        A (K,) array is read as dim = 1.
    covariances : array_like
        Scalar, (K,), (K, dim) or (K, dim, dim), as `GaussianMixture` documents.

    Raises
    ------
    TypeError, ValueError
        For any argument that does not describe a mixture.
    """
    checked_weights = _read_weights(weights)
    checked_means = real_array(means, "means")
    components = len(checked_weights)
    if checked_means.ndim == 1:
        checked_means = checked_means[:, None]
    if checked_means.ndim != 2 or checked_means.shape[0] != components or checked_means.shape[1] == 0:
        raise ValueError(
            f"means has shape {np.shape(means)} but there are {components} weights; "
            f"give shape ({components}, dim), one row per component"
        )
    variances, rotations = _read_covariances(covariances, *checked_means.shape)
    return Parameters(
        frozen(checked_weights),
        frozen(checked_means),
        frozen(variances),
        None if rotations is None else frozen(rotations),
    )


def _read_weights(weights: ArrayLike) -> Floats:
    array = real_array(weights, "weights")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"weights has shape {array.shape}; give a one-dimensional array, one per component")
    if (array <= 0.0).any():
        index = int(np.argmax(array <= 0.0))
        raise ValueError(
            f"weights[{index}] is {array[index]!r}; weights must be positive: "
            "leave a component of weight zero out"
        )
    total = math.fsum(array)
    if abs(total - 1.0) > WEIGHT_TOLERANCE:
        raise ValueError(
            f"weights sum to {total!r}, not 1 (within {WEIGHT_TOLERANCE}); pass weights / weights.sum()"
        )
    return array


def _read_covariances(value: ArrayLike, components: int, dim: int) -> tuple[Floats, Floats | None]:
    array = real_array(value, "covariances")
    if array.shape == (components, dim, dim) and array.ndim == 3:
        return _diagonalise(array)
    if array.shape not in {(), (components,), (components, dim)}:
        raise ValueError(
            f"covariances has shape {array.shape}; with {components} components in dimension {dim} give a "
            f"scalar, ({components},) isotropic, ({components}, {dim}) diagonal or "
            f"({components}, {dim}, {dim}) full"
        )
    if (array < 0.0).any():
        index = tuple(int(i) for i in np.argwhere(array < 0.0)[0]) if array.ndim else ()
        where = f"covariances{list(index)}" if index else "covariances"
        raise ValueError(f"{where} is {array[index]!r}; variances must be >= 0 (not standard deviations)")
    if array.ndim == 1:
        array = array[:, None]
    return np.broadcast_to(array, (components, dim)), None


def _diagonalise(covariances: Floats) -> tuple[Floats, Floats | None]:
    components, dim, _ = covariances.shape
    diagonal = np.einsum("kii->ki", covariances)
    scale = np.abs(covariances).max(axis=(1, 2))
    for k in range(components):
        asymmetry = np.abs(covariances[k] - covariances[k].T).max()
        if asymmetry > EIGENVALUE_TOLERANCE * scale[k]:
            raise ValueError(
                f"covariances[{k}] is not symmetric (largest difference {asymmetry:.3g}); "
                "pass (C + C.T) / 2 if that is what you mean"
            )
    aligned = not (covariances - diagonal[:, :, None] * np.eye(dim)).any()
    if aligned:
        values, vectors = diagonal.copy(), None
    else:
        values, vectors = np.linalg.eigh((covariances + covariances.transpose(0, 2, 1)) / 2)
    for k in range(components):
        if values[k].min() < -EIGENVALUE_TOLERANCE * scale[k]:
            raise ValueError(
                f"covariances[{k}] is not positive semi-definite: its smallest eigenvalue is "
                f"{values[k].min():.6g}; give a covariance matrix (V diag(v) V.T with v >= 0)"
            )
    if aligned:
        return np.maximum(values, 0.0), None
    # An eigenvalue below the resolution of eigh is a zero that rounding has hidden.
    resolution = dim * np.finfo(np.float64).eps * np.abs(values).max(axis=1, keepdims=True)
    return np.where(values <= resolution, 0.0, values), vectors
