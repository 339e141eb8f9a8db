"""What is measured of each method: its bias as steps shrink, evaluations for an error, and errors for evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from ..inference import Slope, fit
from ..numbers import AXIS, OUTCOME, measured
from .walks import Walk, kinetic, walk_of

Array = NDArray[np.float64]
LEVELS = 10  # precisions, spread evenly in their logarithm, that coordinates have in equal numbers
BIAS_STEPS = (4, 8, 16, 32, 64, 128, 256)  # a unit of time, at precisions of 1 to 4
ROUNDING = 1e-14
FRICTIONS = 4  # tried
SHORTEST, LONGEST, CLOSE = 1e-9, 4.0, 1.02  # steps tried, and to which the longest of use is found
COARSE, FINE, SPAN = (
    1.3,
    7,
    30.0,
)  # ratio of steps tried, how many more around the best, how far below the longest
NOTHING = (float("inf"), float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian of so many coordinates, with precisions from 1 to its condition number: its widest deviation is 1.

    Attributes
    ----------
    dim : int
    condition : int
    """

    dim: int
    condition: int

    @property
    def precisions(self) -> Array:
        """Distinct precisions."""
        return np.geomspace(1.0, self.condition, min(self.dim, LEVELS)) if self.dim > 1 else np.ones(1)

    def w2(self, mean: Array, variances: Array) -> float:
        """W2 of N(mean, variances), along each distinct precision, from the target."""
        k = self.precisions
        gap = (variances - 1 / k) / (np.sqrt(np.maximum(variances, 0.0)) + 1 / np.sqrt(k))
        return float(np.sqrt(np.sum(mean**2 + gap**2) * self.dim / len(k)))

    def bias(self, walk: Walk) -> float:
        """W2 of a walk's stationary law from the target; nan if there is none."""
        stays, _ = walk.stationary
        return self.w2(np.zeros_like(stays), stays)

    @property
    def distance(self) -> float:
        """W2 from where samplers start, one deviation off along every direction."""
        off = 1 / np.sqrt(self.precisions)
        return self.w2(off, np.zeros_like(off))


@dataclass(frozen=True)
class Bias:
    """W2 of a method's stationary law from the target, on two coordinates of precisions 1 and 4, as steps shrink.

    Attributes
    ----------
    method : str
    steps : tuple of int
        A unit of time.
    errors : tuple of float
    slope : Slope
    """

    method: str
    steps: tuple[int, ...]
    errors: tuple[float, ...]
    slope: Slope


@dataclass(frozen=True)
class Need:
    """The fewest evaluations for an error, over frictions and all steps whose stationary law is within it.

    Attributes
    ----------
    method : str
    dim, condition : int
    w2 : float
        The error.
    distance : float
        W2 at the start.
    nfe : float
        nan where no step reaches the error.
    h, friction : float
        The best; friction nan where a method has none. Of the bouncy particle, the rate at which velocities are fresh.
    contraction : float
        By which such a step takes the slowest second moment nearer to where it stays.
    low, high : float
        Between which `nfe` is known to be, by two standard errors of W2^2: both are `nfe` where moments are exact.
    """

    method: str
    dim: int
    condition: int
    w2: float = field(metadata=AXIS)
    distance: float = field(metadata=OUTCOME)
    nfe: float = field(metadata=measured())
    h: float
    friction: float
    contraction: float
    low: float
    high: float


@dataclass(frozen=True)
class Least:
    """The least W2 for a number of evaluations, over all steps and frictions; its fields are those of `Need`.

    `low` and `high` are of the error: two standard errors of its square to each side.
    """

    method: str
    dim: int
    condition: int
    nfe: int
    error: float
    h: float
    friction: float
    contraction: float
    low: float
    high: float


def bias(method: str) -> list[Bias]:
    """Measure the order of the stationary law, at friction 2."""
    target = Gaussian(2, 4)
    errors = [target.bias(walk_of(method, 1 / n, 2.0, target.precisions)) for n in BIAS_STEPS]
    slope = fit(BIAS_STEPS, errors, ROUNDING * np.array(BIAS_STEPS))
    return [Bias(method, BIAS_STEPS, tuple(errors), slope)]


def frictions(method: str, condition: int) -> list[float]:
    """Return those tried: from critical for the widest direction to critical for the narrowest.

    Below that the widest swings, and has the right variance for a moment long before it stays there.
    """
    if not kinetic(method):
        return [float("nan")]
    return sorted({*np.geomspace(2.0, 2 * np.sqrt(condition), FRICTIONS if condition > 1 else 1).tolist()})


def longest(usable: Callable[[float], bool], low: float, high: float) -> float | None:
    """Return the longest usable step between two, by bisection of its logarithm; None if the shortest is not."""
    if usable(high):
        return high
    if not usable(low):
        return None
    while high / low > CLOSE:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if usable(middle) else (low, middle)
    return low


def best(cost: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Return the least cost of a step between two, and the step: on a grid of logarithms, then on a finer one."""
    coarse = np.geomspace(low, high, max(2, int(np.ceil(np.log(high / low) / np.log(COARSE)))))
    tried = {float(h): cost(float(h)) for h in coarse}
    at = min(tried, key=lambda h: tried[h])
    ratio = float(coarse[1] / coarse[0])
    tried |= {float(h): cost(float(h)) for h in np.geomspace(at / ratio, min(high, at * ratio), FINE)}
    at = min(tried, key=lambda h: tried[h])
    return tried[at], at


def needs(method: str, condition: int, dims: Sequence[int], w2: float) -> list[Need]:
    """Measure the evaluations for an error in each dimension; one coordinate has condition number 1 alone."""
    return [_need(method, Gaussian(dim, condition), w2) for dim in dims if dim > 1 or condition == 1]


def _need(method: str, target: Gaussian, w2: float) -> Need:
    found = NOTHING
    for friction in frictions(method, target.condition):
        walk = cache(partial(walk_of, method, friction=friction, precision=target.precisions))

        def usable(h: float, walk: Callable[[float], Walk] = walk) -> bool:
            return target.bias(walk(h)) < w2

        def cost(h: float, walk: Callable[[float], Walk] = walk) -> float:
            steps = walk(h).least(lambda *moments: not target.w2(*moments) <= w2) if usable(h, walk) else None
            return np.inf if steps is None else walk(h).nfe(steps)

        high = longest(usable, SHORTEST, LONGEST)
        if high is not None:
            nfe, h = best(cost, high / SPAN, high)
            found = min(found, (nfe, h, friction, walk(h).stationary[1]), key=itemgetter(0))
    nfe, h, friction, factor = found
    nfe = nfe if np.isfinite(nfe) else float("nan")
    return Need(method, target.dim, target.condition, w2, target.distance, nfe, h, friction, factor, nfe, nfe)


def at_budgets(method: str, condition: int, dim: int, budgets: Sequence[int]) -> list[Least]:
    """Measure the least error for each number of evaluations."""
    target, out = Gaussian(dim, condition), []
    for budget in budgets:
        found = NOTHING
        for friction in frictions(method, condition):
            walk = partial(walk_of, method, friction=friction, precision=target.precisions)

            def error(h: float, walk: Callable[[float], Walk] = walk, budget: int = budget) -> float:
                one = walk(h)
                with np.errstate(all="ignore"):
                    w2 = target.w2(*one.law(one.steps(budget)))
                return w2 if np.isfinite(w2) else np.inf

            w2, h = best(error, 1 / budget, LONGEST)
            found = min(found, (w2, h, friction, walk(h).stationary[1]), key=itemgetter(0))
        out.append(Least(method, dim, condition, budget, *found, found[0], found[0]))
    return out
