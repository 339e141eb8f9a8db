"""How a token is drawn from probabilities, as libraries do it: compiled samplers and the exact law of each.

A generator gives integers k below 2^bits, from which a draw makes uniform numbers u = k/2^bits and, rounding
every operation to float32, a token. So its law is a sum over finitely many k, which `draw_law` carries out: by
counting for the inverse CDF, for races of keys as `race_law` says. Logarithms are taken to be correctly rounded
to float32; those of libraries are off by one unit in the last place now and then. Sums of probabilities are formed
from the first category to the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from analytic.names import unknown
from solvers.numerics.jit import COMPILED, in_parallel
from solvers.numerics.philox import check_seed

from .arithmetic import (
    EPSILON,
    FIRST,
    GUMBEL,
    INVERSE_CDF,
    PLAIN,
    RACE,
    ROUNDED,
    SCALED,
    TINY,
    fill_draws,
    reaches,
    uniform,
)
from .race_law import BEND, noise_table, race_laws

Array = NDArray[np.float64]
SUM_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Draw:
    """A way to draw a token.

    Attributes
    ----------
    rule : int
        INVERSE_CDF; GUMBEL, argmax of log p + g with g = -log(-log u); RACE, argmax of p/e with e = -log u.
    end : int
        What happens at the ends, see `summary`.
    bits : int
        Bits of the uniform number; 53 for draws in float64, at most 24 for those in float32.
    summary : str
        The convention, and who uses it.
    """

    rule: int
    end: int
    bits: int
    summary: str

    @property
    def single(self) -> bool:
        """True if every operation is rounded to float32."""
        return self.bits <= 24


_DRAWS = {
    "inverse-cdf": Draw(INVERSE_CDF, PLAIN, 53, "first y with u < p_0 + ... + p_y, in float64"),
    "inverse-cdf-float32": Draw(
        INVERSE_CDF, PLAIN, 24, "the last sum is forced to one, so that rounding falls to the last category"
    ),
    "inverse-cdf-float32-unforced": Draw(
        INVERSE_CDF, FIRST, 24, "argmax of u < sums, which is category 0 where u reaches none of them"
    ),
    "inverse-cdf-float32-scaled": Draw(
        INVERSE_CDF, SCALED, 23, "first sum that is at least (1 - u) times the last one (jax.random.choice)"
    ),
    "gumbel": Draw(GUMBEL, PLAIN, 53, "argmax of log p + g in float64"),
    "gumbel-float32": Draw(GUMBEL, PLAIN, 24, "u = 0 gives g = -inf; where all keys are, category 0"),
    "gumbel-float32-tiny": Draw(
        GUMBEL, TINY, 23, "u = 0 becomes the smallest normal number (jax.random.categorical, mode 'low')"
    ),
    "gumbel-float32-epsilon": Draw(
        GUMBEL, EPSILON, 24, "g = -log(epsilon - log(u + epsilon)), epsilon = 1e-10 (Gumbel-softmax codes)"
    ),
    "exponential-race-float32": Draw(
        RACE, PLAIN, 24, "u = 0 gives e = inf, a key of zero; where all are, category 0"
    ),
    "exponential-race-float32-epsilon": Draw(
        RACE, EPSILON, 24, "e = epsilon - log(u + epsilon), epsilon = 1e-10 (SEDD, MDLM: sample_categorical)"
    ),
    "exponential-race-float32-rounded": Draw(
        RACE,
        ROUNDED,
        24,
        "u rounded to the nearest multiple of 2^-bits, one included, and e at least 2^-bits (torch.multinomial "
        "on CUDA, whose u is as coarse as that above 1/2 only)",
    ),
}
DRAWS = tuple(_DRAWS)


def draw_named(draw: str, bits: int | None = None) -> tuple[Draw, int]:
    """Return a draw by name and the bits of its uniform numbers.

    Raises ValueError for an unknown name or bits out of range, TypeError for bits that are no integer.
    """
    if not isinstance(draw, str) or draw not in _DRAWS:
        raise unknown("draw", draw, list(DRAWS))
    found = _DRAWS[draw]
    if bits is None:
        return found, found.bits
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer):
        raise TypeError(f"bits is {bits!r}: give an integer from 1 to 24")
    if not found.single and bits != found.bits:
        raise ValueError(
            f"bits is {bits}, but {draw!r} draws in float64: leave bits out or name a float32 draw"
        )
    if found.single and not 1 <= bits <= 24:
        raise ValueError(f"bits is {bits}: give an integer from 1 to 24, the bits that float32 holds")
    return found, int(bits)


@njit(**COMPILED)
def _inverse_laws(begin: int, stop: int, end: int, single: bool, bits: int, sums: Any, laws: Any) -> None:
    """Fill laws[begin:stop] (R, S) by counting, for each category, the integers that give it or one before it."""
    S = sums.shape[1]
    M = np.int64(1) << bits
    for r in range(begin, stop):
        before = np.int64(0)
        for y in range(S):
            low, high = np.int64(0), M  # the number of such integers is between them
            while low < high:
                middle = (low + high) // 2
                # the category rises with u, and falls where the threshold is 1 - u
                k = M - 1 - middle if end == SCALED else middle
                if reaches(end, single, sums[r, y], sums[r, S - 1], uniform(end, k, bits)):
                    low = middle + 1
                else:
                    high = middle
            laws[r, y] = (low - before) / M
            before = low
        laws[r, 0 if end == FIRST else S - 1] += (M - before) / M


def _checked(probabilities: ArrayLike) -> Array:
    """Return probabilities as float64 rows, rounding below zero taken away."""
    try:
        array = np.asarray(probabilities)
    except ValueError as error:
        raise ValueError(f"probabilities is ragged ({error}): give every row the same length") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"probabilities is {probabilities!r}: give real numbers")
    array = array.astype(np.float64)
    if array.ndim < 1 or array.shape[-1] < 1:
        raise ValueError(
            f"probabilities has shape {array.shape}: give (..., S), probabilities along the last axis"
        )
    wrong = ~(np.isfinite(array) & (array >= -1e-12))
    if wrong.any():
        raise ValueError(
            f"probabilities holds {array[wrong].flat[0]}: a draw needs finite probabilities >= 0"
        )
    off = np.abs(array.sum(axis=-1) - 1.0) > SUM_TOLERANCE
    if off.any():
        total = float(array.sum(axis=-1)[off].flat[0])
        raise ValueError(f"probabilities sums to {total!r} along the last axis: divide it by its sum")
    return np.maximum(array, 0.0)


def weights_of(draw: Draw, rows: Array) -> Array:
    """Return what the draw makes of rows (R, S) before it draws: sums, logarithms, or just rounded numbers."""
    kind = np.float32 if draw.single else np.float64
    given = rows.astype(kind)
    if draw.rule == INVERSE_CDF:
        return np.cumsum(given, axis=-1, dtype=kind).astype(np.float64)
    if draw.rule == RACE:
        return given.astype(np.float64)
    with np.errstate(divide="ignore"):
        return np.log(given.astype(np.float64)).astype(kind).astype(np.float64)


def draw_law(probabilities: ArrayLike, draw: str, *, bits: int | None = None, exact: bool = True) -> Array:
    """Return the exact law of one draw from each row of probabilities.

    Parameters
    ----------
    probabilities : (..., S) array_like
        Rows that sum to one within 1e-9.
    draw : str
        One of `DRAWS`.
    bits : int, optional
        Bits of the uniform numbers, at most 24; by default the draw's own. Only for draws in float32.
    exact : bool
        False: above 16 bits sum races in longer blocks, for tables of thousands of rows. Off by at most a few
        hundredths of 2^-bits, 1e-9 at 24 bits, where float32 itself is off by 3e-8.

    Returns
    -------
    (..., S) float64 array
        Within 1e-12 of the law of the arithmetic modelled. That of "gumbel", in float64, is some 2^-54 off the
        row and given as the row itself.

    Raises
    ------
    TypeError, ValueError
        An unknown draw, rows that are no probabilities, or bits out of range.

    Notes
    -----
    A race of 24 bits costs about 30 (1 - p_max) S^2 2^24 steps a row: for S = 5 a few seconds where no category
    stands out, a tenth where the others share 1/300, and some hundredths if not exact. Rows that round to the
    same float32 numbers are computed once.
    """
    kind, bits = draw_named(draw, bits)
    given = _checked(probabilities)
    rows = given.reshape(-1, given.shape[-1])
    if kind.rule != INVERSE_CDF and not kind.single:
        return given / given.sum(axis=-1, keepdims=True)
    weights, back = np.unique(weights_of(kind, rows), axis=0, return_inverse=True)
    laws = np.empty_like(weights)
    if kind.rule == INVERSE_CDF:
        in_parallel(_inverse_laws, len(weights), kind.end, kind.single, bits, weights, laws)
    else:
        table = noise_table(kind.rule, kind.end, bits)
        bend = 0.0 if exact or bits <= 16 else BEND / 2.0**bits
        race_laws(kind.rule, kind.end, bits, weights, table, bend, laws)
    return laws[back.reshape(-1)].reshape(given.shape)


def draw_tokens(
    probabilities: ArrayLike,
    draw: str,
    rows: ArrayLike | None = None,
    seed: int = 0,
    *,
    step: int = 0,
    channel: int = 0,
    first: int = 0,
    bits: int | None = None,
) -> NDArray[np.int64]:
    """Draw one category for each sample, from noise addressed by (seed, sample, step, channel).

    Parameters
    ----------
    probabilities : (R, S) array_like
    draw : str
        One of `DRAWS`.
    rows : (n,) array_like of integers, optional
        Row that each sample draws from; by default sample i draws from row i.
    seed, step, channel, first : int
        Address of the noise; sample i is number first + i.
    bits : int, optional
        As in `draw_law`.

    Returns
    -------
    (n,) int64 array

    Raises
    ------
    TypeError, ValueError
        As `draw_law`, and for rows that are not there.
    """
    kind, bits = draw_named(draw, bits)
    given = _checked(probabilities)
    if given.ndim != 2:
        raise ValueError(f"probabilities has shape {given.shape}: give (R, S), one row a law")
    chosen = np.arange(len(given)) if rows is None else np.asarray(rows)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise TypeError(f"rows has shape {chosen.shape} and dtype {chosen.dtype}: give (n,) integers")
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(given):
        raise ValueError(
            f"rows reaches from {chosen.min()} to {chosen.max()}: give integers from 0 to {len(given) - 1}"
        )
    out = np.empty(len(chosen), dtype=np.int64)
    address = np.array([step, channel], dtype=np.int64)
    in_parallel(
        fill_draws,
        len(chosen),
        kind.rule,
        kind.end,
        kind.single,
        bits,
        weights_of(kind, given),
        chosen.astype(np.int64),
        check_seed(seed),
        first,
        address,
        out,
    )
    return out
