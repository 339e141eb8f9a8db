"""Reading and checking what users hand to chains and schedules, once, at the public edge."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]

SUM_TOLERANCE = 1e-12


def elementwise(
    function: Callable[[Array], Array], name: str, values: npt.ArrayLike, hint: str = ""
) -> Array:
    """Apply a function of a flat array to numbers in [0, 1], and give the result their shape.

    Raises TypeError if the values are no real numbers, ValueError for nan and for values outside [0, 1].
    """
    if isinstance(values, float) and 0.0 <= values <= 1.0:  # one time, by far the most frequent
        params = vars(type(getattr(function, "__self__", None))).get("__dataclass_params__")
        return _kept_at(function, values) if params is not None and params.frozen else _at(function, values)
    numbers = real(name, values)
    outside = ~((numbers >= 0) & (numbers <= 1))
    if outside.any():
        raise ValueError(f"{name} is {numbers[outside].flat[0]}; pass numbers in [0, 1]{hint}")
    # Infinite rates and logarithms at the ends are the right values, not accidents.
    with np.errstate(all="ignore"):
        return function(numbers.reshape(-1)).reshape(numbers.shape)[()]


def _at(function: Callable[[Array], Array], value: float) -> Any:
    with np.errstate(all="ignore"):
        return function(np.array([value]))[0]


# Samplers of one noise ask its schedule for the same times over and over. A frozen one cannot answer otherwise later.
_kept_at = lru_cache(maxsize=1 << 16)(_at)


def real(name: str, values: npt.ArrayLike) -> Array:
    """Return the values as a float64 array; TypeError if they are no real numbers, ValueError if ragged."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is ragged ({error}); give every row the same length") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} is {values!r}; pass real numbers")
    return np.asarray(array, dtype=np.float64)


def time(name: str, value: object, end: float = 1.0) -> float:
    """Return `value` as a float if it is one number in [0, end]; TypeError or ValueError if not."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is {value!r}; pass one number in [0, {end:g}]")
    if not 0 <= value <= end:
        raise ValueError(
            f"{name} is {value!r}; pass a time in [0, {end:g}], which runs from the data, 0, to the noise"
        )
    return float(value)


def tokens_below(name: str, values: npt.ArrayLike, states: int) -> Integers:
    """Return the values as an array of integers in {0, ..., states - 1}; TypeError or ValueError if not."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is ragged ({error}); give every row the same length") from None
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}; pass integers from 0 to {states - 1}")
    outside = (array < 0) | (array >= states)
    if outside.any():
        raise ValueError(f"{name} holds {array[outside].flat[0]}; pass integers from 0 to {states - 1}")
    return array


def probabilities(name: str, values: npt.ArrayLike, size: int) -> Array:
    """Return the values as (..., size) probabilities that sum to one along the last axis.

    Raises TypeError if they are no real numbers, ValueError for another size, a negative or non-finite
    entry, and a sum further than 1e-12 from one.
    """
    array = real(name, values)
    if array.ndim < 1 or array.shape[-1] != size:
        raise ValueError(f"{name} has shape {array.shape}; pass {size} probabilities along the last axis")
    wrong = ~(np.isfinite(array) & (array >= 0))
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{name} holds {array[index]} at index {index}; pass finite probabilities >= 0")
    sums = array.sum(axis=-1)
    off = np.abs(sums - 1) > SUM_TOLERANCE * max(1.0, size / 100)
    if off.any():
        raise ValueError(
            f"{name} sums to {sums[off].flat[0]!r} along the last axis; divide it by "
            f"{name}.sum(axis=-1, keepdims=True)"
        )
    return array


def square(name: str, values: npt.ArrayLike) -> Array:
    """Return the values as a (states, states) float64 matrix of their own memory, finite, states >= 2."""
    matrix = np.array(real(name, values))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(f"{name} has shape {matrix.shape}; pass a square matrix of at least 2 states")
    if not np.isfinite(matrix).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(matrix))[0])
        raise ValueError(f"{name}[{row}, {column}] is {matrix[row, column]}; pass finite numbers")
    return matrix


def generator(name: str, values: npt.ArrayLike) -> Array:
    """Return the values as a rate matrix, its diagonal recomputed so that rows sum to zero as well as may be.

    Raises ValueError for a negative rate off the diagonal and for rows that do not sum to zero (within 1e-12
    of the row's largest rate), and what `square` raises.
    """
    rates = square(name, values)
    off_diagonal = rates - np.diag(np.diag(rates))
    if (off_diagonal < 0).any():
        row, column = (int(i) for i in np.argwhere(off_diagonal < 0)[0])
        raise ValueError(
            f"{name}[{row}, {column}] is {rates[row, column]}, a negative rate from state {row} to state "
            f"{column}; off the diagonal pass rates >= 0"
        )
    sums = rates.sum(axis=1)
    off = np.abs(sums) > SUM_TOLERANCE * np.abs(rates).max(axis=1)
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(
            f"{name} has row {row} summing to {sums[row]!r}; set its diagonal to minus the sum of the other "
            "entries, so that each row sums to zero"
        )
    np.fill_diagonal(rates, -off_diagonal.sum(axis=1))
    return rates
