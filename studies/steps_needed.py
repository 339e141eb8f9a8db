"""The number of steps at which an error meets a target, interpolated between whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

MOST_STEPS = 1 << 20
FLAT = 0.98  # an error that a doubling of the steps lowers by less than this factor no longer falls


class NotReachedError(ValueError):
    """No number of steps allowed meets the target; says what the error does instead."""


def steps_to_reach(
    error: Callable[[int], float], target: float, most: int = MOST_STEPS, *, near: float | None = None
) -> float:
    """Return the number of steps at which a falling error meets a target, interpolated on logarithms.

    Doubles, or walks from a guess, then narrows to neighbouring whole numbers.

    Parameters
    ----------
    error : callable
        Error in so many steps; it falls.
    target : float
    most : int
        Steps to give up at.
    near : float, optional
        A guess. A good one saves about half of the evaluations and changes nothing else.

    Raises
    ------
    NotReachedError
        A ValueError: `most` steps do not do.
    """
    error = cache(error)
    if near is None:
        high = 1
        while error(high) > target:
            high *= 2
            if high > most:
                raise _not_reached(error, target, high // 2, most)
        low = high // 2
    else:
        low, high = _around(error, target, most, near)
    return crossing(error, target, low, high)


def steps_to_stay(
    error: Callable[[int], float], target: float, most: int = MOST_STEPS, *, precision: float = 0.0
) -> float:
    """Return the number of steps from which on an error that need not fall throughout is below a target.

    Where two terms of an error cancel, it dips and rises again. So the number of steps is doubled until the error
    is below the target there and at twice as many steps (where `most` allows those). Within the last doubling,
    which is where the crossing is sought, an error that crosses more than once may give any of its crossings.

    Parameters
    ----------
    error : callable
        Error in so many steps, inf where there is none; cache it to share evaluations between targets.
    target : float
    most : int
    precision : float
        See `crossing`.

    Raises
    ------
    NotReachedError
        `most` steps do not do.
    """
    high = 1
    while True:
        if error(high) <= target:
            if 2 * high > most or error(2 * high) <= target:
                return crossing(error, target, high // 2, high, precision)
            high *= 2
        high *= 2
        if high > most:
            raise _not_reached(error, target, high // 2, most)


def crossing(
    error: Callable[[int], float], target: float, low: int, high: int, precision: float = 0.0
) -> float:
    """Return where an error above the target at `low` and not above it at `high` crosses, as a real number.

    Interpolated on logarithms between neighbouring whole numbers, or between numbers in a ratio of 1 + precision
    at most: of smooth errors that changes the result by less than precision^2. `high` itself where the error at
    the whole number below is not finite. A `low` of 0 means that one step meets the target: the result is then
    below 1, as an error of order one would fall.
    """
    if low == 0:
        return error(1) / target
    while True:
        above, below = error(low), error(high)
        narrow = high - low <= max(1.0, precision * low)
        if not np.isfinite(above) or below == 0:
            if narrow:
                return float(high)
            middle = (low + high) // 2
            low, high = (middle, high) if error(middle) > target else (low, middle)
            continue
        fall = np.log(above / below) / np.log(high / low)
        found = float(low * (above / target) ** (1 / fall))
        if narrow:
            return found
        # errors fall nearly as a power of the steps: the crossing is next to where the power puts it
        reach = precision * found / 4
        for guess in (int(found - reach), int(found + reach) + 1):
            middle = min(max(guess, low + 1), high - 1)
            low, high = (middle, high) if error(middle) > target else (low, middle)
            if high - low <= max(1.0, precision * low):
                break


def _around(error: Callable[[int], float], target: float, most: int, near: float) -> tuple[int, int]:
    """Walk from a guess to numbers of steps that are above and below the target, as if the error had order one."""
    if not near > 0:
        raise ValueError(f"near is {near}: give a positive number of steps")
    low, high = 0, 0
    now = min(max(round(near), 1), most)
    while True:
        ratio = float(np.clip(error(now) / target, 0.25, 4.0))
        if ratio > 1:
            low = now
            if now == most:
                raise _not_reached(error, target, now, most)
            now = min(max(int(now * ratio) + 1, now + 1), most)
        else:
            high = now
            now = min(int(now * ratio), now - 1)
        if now < 1 or (low and high):
            return low, high


def _not_reached(error: Callable[[int], float], target: float, last: int, most: int) -> NotReachedError:
    size = error(last)
    text = f"target is {target:g}, not reached in {most} steps: the error is {size:.3g}"
    if not np.isfinite(size):
        return NotReachedError(f"{text}, the method is unstable")
    if last > 1 and size > FLAT * error(last // 2):
        return NotReachedError(f"{text} and no longer falls")
    return NotReachedError(text)
