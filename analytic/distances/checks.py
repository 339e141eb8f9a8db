"""What the distances accept: each argument is checked once, by the function that a user called."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
ScalarFunction = Callable[[FloatArray], ArrayLike]

EPSILON = float(np.finfo(np.float64).eps)


def checked_level(level: float) -> float:
    """A confidence level strictly between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: give a confidence level strictly between 0 and 1, such as 0.95")
    return level


def checked_array(name: str, values: ArrayLike) -> FloatArray:
    """Finite real numbers as float64, of any shape."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} = {values!r:.60} is not an array of real numbers: pass one ({error})"
        ) from error
    if not np.all(np.isfinite(array)):
        bad = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(
            f"{name} has the value {array[tuple(bad)]} at {bad}: remove or repair values that are not finite"
        )
    return array


def checked_scalar(name: str, value: ArrayLike, lowest: float = -math.inf) -> float:
    """One finite number not below `lowest`."""
    array = checked_array(name, value)
    if array.size != 1:
        raise ValueError(f"{name} has shape {array.shape}: give one number")
    if array.item() < lowest:
        raise ValueError(f"{name} = {array.item()}: give a number not below {lowest:g}")
    return float(array.item())


def checked_samples(name: str, values: ArrayLike, fewest: int, line: bool = False) -> FloatArray:
    """At least `fewest` finite samples as (n, d); (n,) becomes (n, 1), and `line` demands d = 1."""
    array = checked_array(name, values)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} has shape {np.shape(values)}: give samples as (n, d), or (n,) on the line")
    if line and array.shape[1] != 1:
        raise ValueError(
            f"{name} has shape {np.shape(values)}: this distance takes samples on the line, (n,) or (n, 1)"
        )
    if len(array) < fewest:
        raise ValueError(f"{name} has {len(array)} samples: give at least {fewest}")
    return array


def checked_sample_pair(x: ArrayLike, y: ArrayLike, fewest: int) -> tuple[FloatArray, FloatArray]:
    """Two sets of at least `fewest` samples, of equal dimension."""
    first, second = checked_samples("x", x, fewest), checked_samples("y", y, fewest)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"x has dimension {first.shape[1]} and y has {second.shape[1]}: give samples of equal dimension"
        )
    return first, second


def checked_gaussian(
    suffix: str, mean: ArrayLike, covariance: ArrayLike, dimension: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Check mean (d,) and covariance, (d,) or (d, d); the suffix completes the arguments' names."""
    mean_name, covariance_name = f"mean{suffix}", f"covariance{suffix}"
    mean_array, covariance_array = checked_array(mean_name, mean), checked_array(covariance_name, covariance)
    if mean_array.ndim == 0:
        mean_array = np.full(1 if dimension is None else dimension, mean_array)
    if mean_array.ndim != 1 or mean_array.size == 0 or dimension not in (None, len(mean_array)):
        wanted = "(d,)" if dimension is None else f"({dimension},)"
        raise ValueError(f"{mean_name} has shape {mean_array.shape}: give {wanted} or a scalar")
    dim = len(mean_array)
    if covariance_array.ndim == 0:
        covariance_array = np.full(dim, covariance_array)
    if covariance_array.shape == (1, 1) and dim == 1:
        covariance_array = covariance_array[0]
    if covariance_array.shape not in ((dim,), (dim, dim)):
        raise ValueError(
            f"{covariance_name} has shape {covariance_array.shape} for a mean of dimension {dim}: give"
            f" variances ({dim},), a matrix ({dim}, {dim}) or a scalar"
        )
    diagonal = covariance_array if covariance_array.ndim == 1 else np.diagonal(covariance_array)
    if np.any(diagonal < 0):
        raise ValueError(
            f"{covariance_name} has the variance {diagonal.min()}: variances are zero or positive"
        )
    if covariance_array.ndim == 2:
        skew = float(np.abs(covariance_array - covariance_array.T).max())
        if skew > 1e-10 * float(np.abs(covariance_array).max()):
            raise ValueError(
                f"{covariance_name} differs from its transpose by {skew:.3g}: pass (C + C.T) / 2"
            )
        covariance_array = 0.5 * (covariance_array + covariance_array.T)
    return mean_array, covariance_array


def checked_gaussian_pair(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Two checked Gaussians, both covariances as variances where both are diagonal, else both as matrices."""
    first_mean, first = checked_gaussian("_a", mean_a, covariance_a)
    second_mean, second = checked_gaussian("_b", mean_b, covariance_b)
    if len(first_mean) != len(second_mean):
        raise ValueError(
            f"mean_a has dimension {len(first_mean)} and mean_b has {len(second_mean)}: make them equal"
        )
    pair = [np.diag(c) if c.ndim == 1 else c for c in (first, second)]
    if all(np.count_nonzero(c) == np.count_nonzero(np.diagonal(c)) for c in pair):
        pair = [np.diagonal(c).copy() for c in pair]
    return first_mean, pair[0], second_mean, pair[1]


def checked_breakpoints(breakpoints: ArrayLike) -> FloatArray:
    """At least two finite, increasing numbers."""
    edges = checked_array("breakpoints", breakpoints)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError(
            f"breakpoints = {edges.tolist()}: give at least 2 finite numbers in increasing order"
        )
    return edges


def evaluate(
    name: str, function: ScalarFunction, points: FloatArray, lowest: float = -math.inf, finite: bool = True
) -> FloatArray:
    """Values of a user's function at (n,) points; without `finite`, -inf is allowed and exp must not overflow."""
    values = np.asarray(function(points), dtype=np.float64)
    if values.shape != points.shape:
        raise ValueError(
            f"{name} returned shape {values.shape} for points {points.shape}: return one value a point"
        )
    bad = ~np.isfinite(values) | (values < lowest) if finite else ~(values < 709)
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name} returned {values[first]} at {points[first]}: return finite"
            f"{', non-negative' if lowest == 0 else ''} values{'' if finite else ' below 709 or -inf'}"
        )
    return values
