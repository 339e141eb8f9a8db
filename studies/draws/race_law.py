"""The exact law of a race of keys, each made of one of finitely many uniform numbers.

P(y) = sum_k 2^-bits prod_{j < y} P(key_j < key_y(k)) prod_{j > y} P(key_j <= key_y(k)): the first of equal keys
wins, and each factor counts the numbers that give category j such a key. Keys rise with k, so that counting is a
search. At 24 bits most terms are summed in blocks, where that provably or (if asked for) probably costs nothing.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from solvers.numerics.jit import COMPILED, in_parallel

from .arithmetic import ROUNDED, key_of, noise_of

_LEFT_OVER = 1e-15  # the mass at which the sum over k stops
_FALL = 1e-11  # by how much the product may fall over numbers that are summed together
# How far the product may depart from a straight line where blocks need not be exact: in units of 2^-bits, a few
# times what counting makes of a smooth curve, and against the product itself.
BEND, _BEND_OF_PRODUCT = 32.0, 1e-3


@njit(**COMPILED)
def _cumulative(end: int, bits: int, count: int) -> float:
    """Return the probability of the first `count` uniform numbers; rounded ones have half a cell at both ends."""
    total = math.ldexp(np.float64(count) - (0.5 if end == ROUNDED else 0.0), -bits)
    return min(max(total, 0.0), 1.0)


@njit(**COMPILED)
def _fill_noise(begin: int, stop: int, rule: int, end: int, bits: int, table: Any) -> None:
    for k in range(begin, stop):
        table[k] = noise_of(rule, end, True, k, bits)


@functools.lru_cache(maxsize=2)
def noise_table(rule: int, end: int, bits: int) -> NDArray[np.float32]:
    """Return the noise of every integer, ordered so that keys rise; 64 MiB at 24 bits."""
    table = np.empty((1 << bits) + (end == ROUNDED), dtype=np.float32)
    in_parallel(_fill_noise, len(table), rule, end, bits, table)
    return table


@njit(**COMPILED)
def _falls_below(rule: int, weight: float, noise: float, key: float, strict: bool) -> bool:
    own = key_of(rule, True, weight, np.float64(noise))
    return own < key or (own == key and not strict)


@njit(**COMPILED)
def _count(rule: int, weight: float, table: Any, key: float, strict: bool, guess: int) -> int:
    """Return how many entries of the table give a key below `key`, or equal unless strict; found from a guess."""
    M = table.shape[0]
    guess = min(max(guess, 0), M)
    stride = 1
    if guess < M and _falls_below(rule, weight, table[guess], key, strict):
        low = guess + 1
        high = min(low + stride, M)
        while high < M and _falls_below(rule, weight, table[high], key, strict):
            low = high + 1
            stride *= 2
            high = min(low + stride, M)
    else:
        high = guess
        low = max(high - stride, 0)
        while low > 0 and not _falls_below(rule, weight, table[low - 1], key, strict):
            high = low - 1
            stride *= 2
            low = max(high - stride, 0)
    while low < high:
        middle = (low + high) // 2
        if _falls_below(rule, weight, table[middle], key, strict):
            low = middle + 1
        else:
            high = middle
    return low


@njit(**COMPILED)
def _others_below(
    rule: int,
    end: int,
    bits: int,
    weights: Any,
    table: Any,
    y: int,
    entry: int,
    back: int,
    counts: Any,
    rates: Any,
) -> float:
    """Return the probability that all others lose to this entry of y, `back` entries below the last one asked for."""
    key = key_of(rule, True, weights[y], np.float64(table[entry]))
    product = 1.0
    for j in range(weights.shape[0]):
        if j != y:
            # counts change almost evenly, so that each foretells the next
            guess = counts[j] - np.int64(rates[j] * back)
            count = _count(rule, weights[j], table, key, j < y, guess)
            rates[j], counts[j] = (counts[j] - count) / back, count
            product *= _cumulative(end, bits, count)
    return product


@njit(**COMPILED)
def _wins(rule: int, end: int, bits: int, weights: Any, table: Any, y: int, bend: float) -> float:
    """Return the probability that category y has the largest key.

    Entries are summed in blocks where the product of the others, which falls with the entry, falls by next to
    nothing, and where it departs from a straight line by no more than `bend`.
    """
    S, cell = weights.shape[0], math.ldexp(1.0, -bits)
    fall = _FALL if bend == 0.0 else cell / 64.0
    last = top = table.shape[0]
    counts, rates = np.full(S, top), np.zeros(S)
    total, lost = 0.0, 0.0
    block, high, before = 1, 1.0, 0.0  # high is the product at entry `top`, before its last fall
    while top > 0 and high * top * cell > _LEFT_OVER:
        # both end entries, which may have less than a cell, by themselves
        block = max(1, min(block, top - 1) // 2 * 2)
        middle, departure = 0.0, math.inf
        if block > 1 and bend > 0.0:
            entry = top - block // 2
            middle = _others_below(rule, end, bits, weights, table, y, entry, last - entry, counts, rates)
            last = entry
        entry = top - block
        low = _others_below(rule, end, bits, weights, table, y, entry, last - entry, counts, rates)
        last = entry
        allowed = min(bend, _BEND_OF_PRODUCT * high)
        if block == 1:
            term = low * (_cumulative(end, bits, top) - _cumulative(end, bits, entry))
            departure = abs(high - low - before)
            before = high - low
        elif high - low <= fall:
            term = cell * (block * (low + high) - (high - low)) / 2.0
        else:
            departure = abs(low + high - 2.0 * middle)
            if bend == 0.0 or departure > allowed:
                block //= 2
                continue
            term = cell * (block * (low + 4.0 * middle + high) / 6.0 - (high - low) / 2.0)
        # compensated: there may be 2^24 terms
        term -= lost
        raised = total + term
        lost = (raised - total) - term
        total = raised
        top -= block
        if high - low <= fall / 4.0 or (bend > 0.0 and departure <= allowed / 4.0):
            block *= 2
        high = low
    return total


@njit(**COMPILED)
def _fill_wins(
    begin: int,
    stop: int,
    rule: int,
    end: int,
    bits: int,
    weights: Any,
    table: Any,
    bend: float,
    laws: Any,
) -> None:
    """Fill entries begin .. stop - 1 of laws (R, S); that of the likeliest category of a row is zero."""
    S = weights.shape[1]
    for task in range(begin, stop):
        r, y = task // S, task % S
        if y == np.argmax(weights[r]):
            laws[r, y] = 0.0
        else:
            laws[r, y] = _wins(rule, end, bits, weights[r], table, y, bend)


@njit(**COMPILED)
def _fill_rest(weights: Any, laws: Any) -> None:
    for r in range(weights.shape[0]):
        laws[r, np.argmax(weights[r])] = 1.0 - laws[r].sum()


def race_laws(rule: int, end: int, bits: int, weights: Any, table: Any, bend: float, laws: Any) -> None:
    """Fill laws (R, S); the likeliest category of a row gets what the others leave."""
    in_parallel(_fill_wins, weights.size, rule, end, bits, weights, table, bend, laws)
    _fill_rest(weights, laws)
