"""At how many evaluations two methods have the same error: below, one is the better, above, the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import brentq

from ..laws import MEASURED
from ..numbers import OUTCOME, measured
from .errors import AtEvaluations, UnmeasurableError
from .needs import Needs

# low order against high, one step against several, without noise against with it
PAIRS = (
    ("euler", "heun"),
    ("euler", "dpm-solver++-2m"),
    ("heun", "rk4"),
    ("heun", "dpm-solver++-2m"),
    ("midpoint", "rk4"),
    ("dpm-solver++-2m", "rk4"),
    ("dpm-solver++-2m", "dpm-solver++-3m"),
    ("dpm-solver++-3m", "dpm-solver-3"),
    ("deis-tab-2", "rk4"),
    ("euler", "ddpm"),
    ("euler", "ddim-eta"),
    ("euler", "euler-maruyama"),
    ("heun", "euler-maruyama"),
    ("heun", "edm-churn"),
    ("heun", "stochastic-heun"),
    ("dpm-solver++-2m", "sde-dpm-solver++-2m"),
    ("dpm-solver++-2m", "stochastic-heun"),
    ("euler-maruyama", "stochastic-heun"),
)
CROSSING_NFE = 4096  # crossings are sought up to here
ROUNDING = 1e-12  # of W2 over the scale: below, a crossing is one of rounding errors


@dataclass(frozen=True)
class Crossing:
    """Where two methods have the same error at equal cost.

    Attributes
    ----------
    on, metric, first, second : str
    nfe, error : float
        nan if they do not cross.
    below, above : str
        Which is better at fewer evaluations, and at more.
    low, high : float
        The range of NFE looked at.
    status, reason : str
        "measured", "none" if they do not cross, or "no law" and why.
    """

    on: str
    metric: str
    first: str
    second: str
    nfe: float = field(metadata=measured(error=False))
    error: float = field(metadata=measured(error=False))
    below: str = field(metadata=OUTCOME)
    above: str = field(metadata=OUTCOME)
    low: float = field(metadata=OUTCOME)
    high: float = field(metadata=OUTCOME)
    status: str = MEASURED
    reason: str = ""


def crossings(first: Needs, second: Needs, name: str) -> list[Crossing]:
    """Find where two methods' errors on a target cross as evaluations grow.

    Both errors are interpolated on logarithms between whole numbers of steps and compared at half octaves of NFE, from
    the fewest both can spend to `CROSSING_NFE`; crossings closer than that are not seen.

    Returns
    -------
    list of Crossing
        By NFE; one with nan if they do not cross, or one of them has no law there.
    """
    try:
        return _crossings(first, second, name)
    except UnmeasurableError as problem:
        nothing = (float("nan"), float("nan"))
        named = (first.label, second.label)
        metric = first.error_on(name)[0]
        return [Crossing(name, metric, *named, *nothing, "", "", *nothing, "no law", str(problem))]


def _crossings(first: Needs, second: Needs, name: str) -> list[Crossing]:
    metric, error, most = first.error_on(name)
    most = min(most, CROSSING_NFE)
    a = AtEvaluations(first.costs, error, most)
    b = AtEvaluations(second.costs, second.error_on(name)[1], most)
    low = max(a.range[0], b.range[0])
    high = min(a.range[1], b.range[1], float(CROSSING_NFE))
    places = np.geomspace(low, high, int(2 * np.log2(high / low)) + 2)[:-1]
    floor = np.log(ROUNDING)
    values = np.array([(a(x), b(x)) for x in places])
    gaps = np.where(np.all(values > floor, axis=1), values[:, 0] - values[:, 1], np.nan)
    named = (first.label, second.label)
    found = []
    for (x, before), (y, after) in itertools.pairwise(zip(places, gaps, strict=True)):
        if before * after < 0:
            nfe = float(brentq(lambda at: a(at) - b(at), x, y, rtol=1e-6))
            order = named if before < 0 else named[::-1]
            found.append(Crossing(name, metric, *named, nfe, float(np.exp(a(nfe))), *order, low, high))
    if found:
        return found
    nothing = float("nan")
    known = gaps[np.isfinite(gaps)]
    better = "" if not len(known) else named[0] if known[-1] < 0 else named[1]
    return [Crossing(name, metric, *named, nothing, nothing, better, better, low, high, "none")]


def pairs_of(labels: Sequence[str], everything: bool) -> list[tuple[str, str]]:
    """Return the pairs to compare: those of `PAIRS`, or of all methods named."""
    if everything:
        return list(itertools.combinations(labels, 2))
    return [(a, b) for a, b in PAIRS if a in labels and b in labels]
