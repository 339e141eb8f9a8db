"""What the sequence laws accept: each argument is checked once, by the class or method that a user called."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats, frozen, real_array, whole_number

SUM_TOLERANCE = 1e-12
MOST_STATES = 2_000_000


def probabilities(value: ArrayLike, name: str, shapes: tuple[tuple[int | str, ...], ...]) -> Floats:
    """Read-only probabilities that sum to one over the last axis.

    Parameters
    ----------
    value : array_like
    name : str
        Of the argument, for messages.
    shapes : tuple of shapes
        Those allowed; a word stands for any length of at least one, the same wherever it stands in a shape.

    Raises
    ------
    TypeError, ValueError
        If it is not made of finite numbers >= 0, has another shape, or a row's sum is off by more than 1e-12.
    """
    array = real_array(value, name)
    if not any(_fits(array.shape, shape) for shape in shapes):
        wanted = " or ".join(
            "(" + ", ".join(map(str, shape)) + ("," * (len(shape) == 1)) + ")" for shape in shapes
        )
        raise ValueError(f"{name} has shape {array.shape}; give shape {wanted}")
    negative = np.argwhere(array < 0.0)
    if len(negative):
        index = tuple(int(i) for i in negative[0])
        raise ValueError(f"{name}{list(index)} is {array[index]!r}; probabilities must be >= 0")
    sums = array.sum(axis=-1)
    wrong = np.argwhere(np.abs(sums - 1.0) > SUM_TOLERANCE)
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        where = f"{name}{list(index)}" if index else name
        raise ValueError(
            f"{where} sums to {float(sums[index])!r}, not 1 (within {SUM_TOLERANCE}); "
            "divide it by its sum over the last axis"
        )
    return frozen(array)


def _fits(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    free: dict[str, int] = {}
    return len(shape) == len(wanted) and all(
        size >= 1 and size == (free.setdefault(want, size) if isinstance(want, str) else want)
        for size, want in zip(shape, wanted, strict=True)
    )


def checked_likelihood(value: ArrayLike, length: int, vocabulary: int) -> Floats:
    """Finite (n, length, vocabulary) weights >= 0, with something possible at every site.

    Raises
    ------
    TypeError, ValueError
        If it is not such an array; for an observation that no token can give, the message names row and site.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"likelihood is ragged ({error}); give every row the same length") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"likelihood has dtype {array.dtype}; give real numbers")
    if array.ndim != 3 or array.shape[1:] != (length, vocabulary):
        raise ValueError(
            f"likelihood has shape {array.shape}; give (n, {length}, {vocabulary}): "
            "the probability of what is observed at each site, for each token that x_0 may have there"
        )
    array = array.astype(np.float64, copy=False)
    wrong = ~np.isfinite(array) | (array < 0.0)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"likelihood{list(index)} is {float(array[index])!r}; give finite numbers >= 0")
    empty = np.argwhere(~array.any(axis=2))
    if len(empty):
        row, site = (int(i) for i in empty[0])
        raise ValueError(
            f"likelihood[{row}, {site}] is zero for every token, so row {row} is impossible under any law; "
            "give ones at a site of which nothing is known"
        )
    return array


def checked_tokens(value: ArrayLike, length: int, top: int, what: str) -> NDArray[np.int64]:
    """Integer tokens (n, length) between 0 and `top`, which the message explains by `what`.

    Raises
    ------
    TypeError, ValueError
        If they are not integers, have another shape or are out of range; the message gives the first index.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"tokens is ragged ({error}); give every row the same length") from None
    if array.dtype.kind not in "iu":
        raise TypeError(f"tokens has dtype {array.dtype}; give integers")
    if array.ndim != 2 or array.shape[1] != length:
        raise ValueError(f"tokens has shape {array.shape}; give (n, {length}), one sequence per row")
    wrong = np.argwhere((array < 0) | (array > top))
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        raise ValueError(f"tokens{list(index)} is {array[index]}; give tokens from 0 to {top} ({what})")
    return array.astype(np.int64, copy=False)


def checked_site(value: object, length: int) -> int:
    """Return a site as an index from 0 to length - 1; one below zero counts from the end."""
    site = whole_number(value, "site", least=-length)
    if site >= length:
        raise ValueError(f"site is {site}; the sequence has sites 0 to {length - 1}")
    return site % length


def checked_order(value: object, length: int, vocabulary: int) -> int:
    """Order of an n-gram: 1 to length, with a table of at most 2 million entries."""
    order = whole_number(value, "order", least=1)
    if order > length:
        raise ValueError(f"order is {order} but sequences have length {length}; give an order up to {length}")
    if vocabulary**order > MOST_STATES:
        raise ValueError(
            f"order is {order}, a table of {vocabulary}**{order} entries; give a lower order "
            f"(at most {MOST_STATES} entries)"
        )
    return order


def checked_seed(value: object) -> int:
    """Return a seed from 0 to 2**128 - 1."""
    seed = whole_number(value, "seed")
    if seed >= 2**128:
        raise ValueError(f"seed is {seed}; give an integer below 2**128")
    return seed
