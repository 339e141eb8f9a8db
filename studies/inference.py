"""From a ladder of errors to an order with an interval, and from that to a verdict.

An error that behaves as C N^-p (1 + c/N + ...) has local slopes p_k = log(e_k/e_{k+1})/log(N_{k+1}/N_k) that
approach p geometrically on a ladder of doublings. So the slopes themselves say whether the ladder has reached the
asymptotic range: their differences must shrink. The order is their limit by Aitken's extrapolation; its interval
is as wide as the last change of slope, as half of the change before it (which is the same in the asymptotic
range) and as the extrapolation, whichever is most, and wider by what the errors' own uncertainty allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]
Verdict = Literal["confirmed", "refuted", "unresolved"]

SHRINK = 0.75  # successive slope differences of a settled ladder shrink at least this fast (1/2 is typical)
RESOLVED = (
    0.2  # how far below the order an interval may reach to confirm: it then excludes the next half order
)
FLOOR = 4.0  # an error below this many times its own uncertainty is floor
TINY = 2e-3  # slope differences this small count as settled whatever their ratio
GROWS = 1.5  # over the last four rungs, by which an error is said to grow
STAYS = 0.1  # three limits of the error that agree as well as this, and are half of it, are one


@dataclass(frozen=True)
class Slope:
    """A measured order.

    Attributes
    ----------
    value, low, high : float
        Order and interval; nan if the ladder gives none.
    window : (int, int)
        Steps between which it was read.
    status : str
        "settled"; "drifting": the local slopes still move by more each rung; "floor": too few rungs above the
        floor; "crossing": too few rungs beyond a sign change; "too few steps": too few rungs in all; "exact": every
        error is zero to rounding; "stalled": the error falls to a value far above rounding and stays there; "growing":
        it grows with the steps; "diverged": too few finite errors; "not fitted": no order was asked for.
    local : tuple of float
        Local slopes between consecutive rungs above the floor.
    floor : float or None
        Size of the floor, if one was met, or of the error that stays.
    crossing : (int, int) or None
        Last pair of rungs between which the signed error changed sign.
    """

    value: float
    low: float
    high: float
    window: tuple[int, int]
    status: str
    local: tuple[float, ...] = ()
    floor: float | None = None
    crossing: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.status == "stalled":
            return f"stalls at {self.floor:.1e}"
        if not np.isfinite(self.value):
            return self.status
        half = max(self.value - self.low, self.high - self.value)
        digits = 3 if half < 0.01 else 2
        text = f"{self.value:.{digits}f}±{max(half, 10.0**-digits):.{digits}f}"
        return text if self.status == "settled" else f"{text} ({self.status})"


NOT_FITTED = Slope(float("nan"), float("nan"), float("nan"), (0, 0), "not fitted")


def fit(
    steps: Sequence[int],
    errors: ArrayLike,
    uncertainty: ArrayLike = 0.0,
    signed: ArrayLike | None = None,
    *,
    cautious: bool = False,
    may_stay: bool = True,
) -> Slope:
    """Measure the order of a ladder of errors that carry a deterministic uncertainty (rounding, quadrature).

    An error that comes to stay above its uncertainty no order describes.

    Parameters
    ----------
    steps : (rungs,) increasing ints
    errors : (rungs,) non-negative floats
        nan or inf where the method was unstable.
    uncertainty : float or (rungs,) floats
        Absolute bound on the error of each error.
    signed : (rungs, components) floats, optional
        The signed errors that `errors` is made of. Where the largest one changes sign, two terms of the error
        cancelled: only rungs beyond the crossing are read.
    cautious : bool
        Do not trust the rate at which the slopes settle, for errors too noisy to show it: slopes that fell all
        through the window may fall by as much again, slopes that rose over the ladder may rise by as much
        again, and the interval reaches that far.
    may_stay : bool
        Look for errors that do not fall on, where no order settles: False for what is no error.

    Returns
    -------
    Slope

    Raises
    ------
    ValueError
        Steps that do not increase, or lengths that differ.
    """
    N = np.asarray(steps, dtype=np.float64)
    e = np.asarray(errors, dtype=np.float64)
    if e.shape != N.shape or N.ndim != 1:
        raise ValueError(f"errors has shape {e.shape}, steps {N.shape}: give one error a rung")
    if np.any(np.diff(N) <= 0):
        raise ValueError(f"steps is {list(steps)}: give increasing numbers of steps")
    u = np.broadcast_to(np.asarray(uncertainty, dtype=np.float64), e.shape)
    finite = np.isfinite(e)
    whole = (int(N[0]), int(N[-1]))
    nothing = float("nan")
    if not finite.any():
        return Slope(nothing, nothing, nothing, whole, "diverged")
    if np.all(e[finite] <= FLOOR * u[finite]):
        return Slope(nothing, nothing, nothing, whole, "exact")
    above = finite & (e > FLOOR * u)
    floor = float(np.max(e[finite & ~above])) if np.any(finite & ~above) else None
    # the last unbroken run of rungs above the floor
    last = int(np.flatnonzero(above)[-1])
    first = last
    while first > 0 and above[first - 1]:
        first -= 1
    parts = (e if signed is None else np.asarray(signed, dtype=np.float64)).reshape(len(N), -1)
    lead = parts[first : last + 1, int(np.argmax(np.abs(parts[last])))]
    stays = _limit_of_errors(N[first : last + 1], lead) if may_stay else 0.0
    grows = may_stay and last - first > 2 and bool(np.all(np.diff(e[last - 3 : last + 1]) > 0))
    grows = grows and bool(e[last] > GROWS * e[last - 3])
    changes = np.flatnonzero(lead[1:] * lead[:-1] < 0)
    crossing = None
    if len(changes):
        crossing = (int(N[first + changes[-1]]), int(N[first + changes[-1] + 1]))
        first += int(changes[-1]) + 1
    N, e, u = N[first : last + 1], e[first : last + 1], u[first : last + 1]
    if len(e) < 4:
        short = "too few steps" if finite.all() else "diverged"
        status = "crossing" if crossing else short if floor is None else "floor"
        status = "stalled" if stays else "growing" if grows else status
        return Slope(
            nothing,
            nothing,
            nothing,
            (int(N[0]), int(N[-1])),
            status,
            floor=stays or floor,
            crossing=crossing,
        )
    ratio = np.diff(np.log(N))
    local = -np.diff(np.log(e)) / ratio
    blur = (u[:-1] / e[:-1] + u[1:] / e[1:]) / ratio
    candidates = [_limit(local, blur, k) for k in range(2, len(local))]
    # Later rungs are nearer the limit but nearer the floor: take the latest one not blurred by it.
    sharp = [k for k in range(len(candidates)) if blur[k + 2] < RESOLVED * (1 if cautious else 1 / 2)]
    chosen = sharp[-1] if sharp else int(np.argmin([half for _, half, _ in candidates]))
    value, half, settled = candidates[chosen]
    window = (int(N[chosen]), int(N[chosen + 3]))
    status = "settled" if settled else "stalled" if stays else "growing" if grows else "drifting"
    floor = stays if status == "stalled" else floor
    low, high = value - half, value + half
    if cautious:
        moves = np.diff(local[chosen : chosen + 3])
        low += float(moves.sum()) if np.all(moves < 0) else 0.0
        high += max(0.0, float(local[-1] - local[0]))
    return Slope(value, low, high, window, status, tuple(local.tolist()), floor, crossing)


def _limit_of_errors(N: Array, signed: Array) -> float:
    """Return the size of what signed errors on a ladder of equal ratios fall to, by Aitken; 0 if they fall on.

    Of C N^-p (1 + c/N) what Aitken leaves is smaller than the error by O(1/N), and by 2^-(p+1) from rung to rung.
    """
    ratios = N[1:] / N[:-1]
    if len(N) < 5 or not np.allclose(ratios, ratios[-1], rtol=1e-6):
        return 0.0
    change = np.diff(signed[-5:])
    with np.errstate(divide="ignore", invalid="ignore"):
        limits = signed[-3:] - change[1:] ** 2 / (change[1:] - change[:-1])
    agree = np.all(np.abs(limits - limits[-1]) <= STAYS * np.abs(limits[-1]))
    return float(abs(limits[-1])) if agree and abs(limits[-1]) >= abs(signed[-1]) / 2 else 0.0


def _limit(local: Array, blur: Array, k: int) -> tuple[float, float, bool]:
    """Return (limit, half width, settled) of the local slopes up to index k >= 2."""

    def aitken(j: int) -> float:
        first, second = local[j - 1] - local[j - 2], local[j] - local[j - 1]
        shrink = second / first if first else 0.0
        return float(local[j] + second * shrink / (1 - shrink)) if 0 < shrink <= SHRINK else float(local[j])

    before, now = local[k - 1] - local[k - 2], local[k] - local[k - 1]
    noise = float(blur[k] + blur[k - 1])
    settled = bool(abs(now) <= max(SHRINK * abs(before), TINY + noise))
    # Where the slopes turn, the last change is small by chance: a ladder on its way past a plateau looks so.
    turned = before * now < 0 and abs(before) > 10 * TINY + noise
    settled = settled and not turned
    value = aitken(k)
    # half of the change before the last stands in for it where that is small by chance
    half = max(abs(value - local[k]), abs(now), abs(before) / 2) + noise
    if abs(now) > SHRINK * abs(before):  # settled by size, not by rate: how far it still goes is unknown
        half = max(half, 2 * TINY)
    if before * now < 0:  # they turn a little, and may come back as far again
        half = max(half, 2 * min(abs(before), 10 * TINY))
    return value, float(half), settled


def fit_sampled(steps: Sequence[int], groups: ArrayLike, level: float = 0.99) -> tuple[Array, Array, Slope]:
    """Measure the order of a ladder of errors known from independent groups of samples.

    As `fit`, with the half width of each error's confidence interval as its uncertainty.

    Parameters
    ----------
    steps : (rungs,) increasing ints
    groups : (groups, rungs, statistics) floats
        Group means of signed error statistics; the error of a rung is the norm over statistics.
    level : float
        Confidence level of the errors' intervals.

    Returns
    -------
    errors, uncertainty : (rungs,) arrays
    slope : Slope
    """
    g = np.asarray(groups, dtype=np.float64)
    count = len(g)
    mean, error = g.mean(axis=0), g.std(axis=0, ddof=1) / np.sqrt(count)
    noise = np.sqrt(np.sum(error**2, axis=1))
    size = np.sqrt(np.maximum(np.sum(mean**2, axis=1) - noise**2, 0.0))
    # error of the norm: the noise along the mean's direction, and all of it where the mean is lost in noise
    with np.errstate(invalid="ignore", divide="ignore"):
        along = np.sqrt(np.sum((error * mean) ** 2, axis=1)) / size
        along = np.where(size > FLOOR * noise, along, noise)
    quantile = float(special.stdtrit(count - 1, (1 + level) / 2))
    slope = fit(steps, size, quantile * along, cautious=True)
    if slope.status == "exact" and np.any(noise > 0):  # lost in the noise of samples: no sign of exactness
        slope = replace(slope, status="floor", floor=float(np.max(size)))
    return size, quantile * along, slope


def judge(claim: float, *slopes: Slope) -> Verdict:
    """Hold a claimed order against everything measured of it.

    A claim is a lower bound: a higher order confirms it. It is refuted as soon as one interval lies below it, or an
    error stalls or grows. It is confirmed if at least one narrow interval reaches it and no ladder
    still drifts, but for those that drift well above it: a window that drifts must not confirm. Ladders that say too
    little (floor, a wide interval around the claim) neither confirm nor refute. Exact sampling confirms any order.
    """
    said = [_judge_one(claim, slope) for slope in slopes]
    if "refuted" in said:
        return "refuted"
    return "confirmed" if "confirmed" in said and "drifting" not in said else "unresolved"


def exceeds(claim: float, slope: Slope) -> bool:
    """True if everything that was read of a ladder lies so far above a claim that the next half order is in reach."""
    return min((slope.low, *slope.local)) > claim + RESOLVED


def _judge_one(claim: float, slope: Slope) -> str:
    if slope.status == "exact":
        return "confirmed"
    if slope.status in ("stalled", "growing"):
        return "refuted"
    if slope.status == "drifting" and exceeds(claim, slope):
        return "confirmed"
    if slope.status != "settled":
        return "drifting" if slope.status in ("drifting", "diverged") else "silent"
    if slope.high < claim:
        return "refuted"
    return "confirmed" if slope.low > claim or slope.value - slope.low <= RESOLVED else "silent"
