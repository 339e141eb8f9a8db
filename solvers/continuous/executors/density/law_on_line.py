"""The law of a one-dimensional sampler's output: density, distribution function, and distances to a mixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from analytic import reprs

from ....numerics.jit import COMPILED
from ....protocols import Target
from . import compare
from .curve import Curve, solve
from .mixture_on_line import MixtureOnLine, on_line
from .panels import ANALYSIS, PRIMITIVE, WEIGHTS, ends, series

Array = NDArray[np.float64]
_MOST_STEPS = 120
_ROUNDING = 4e-15  # of a probability, relative


@dataclass(frozen=True, eq=False)
class DensityLaw:
    """A law on the line, as its density on panels.

    Attributes
    ----------
    curve : Curve
        Panels in a parameter, places increasing; the parameter is the sample itself where no map follows the
        last noise.
    finer : DensityLaw or None
        The same law computed at a finer resolution, which is what errors are estimated by.
    """

    curve: Curve
    finer: DensityLaw | None = None

    @cached_property
    def error(self) -> float:
        """Total variation distance to the finer law; nan if there is none."""
        return float("nan") if self.finer is None else distance(self, self.finer)

    def error_of(self, quantity: Callable[[DensityLaw], float]) -> float:
        """How much a quantity of the law changes at the finer resolution; nan if there is none."""
        return float("nan") if self.finer is None else abs(quantity(self) - quantity(self.finer))

    _latest: dict[str, Any] = field(default_factory=dict, repr=False)

    __repr__ = reprs.brief

    @cached_property
    def panels(self) -> Array:
        """Intervals that carry the density, (P, 2), increasing; outside them it is below 1e-17 of its largest."""
        return ends(self.curve.place)

    @cached_property
    def mean(self) -> float:
        """Mean of the sample."""
        return float(self._integral(self.curve.place))

    @cached_property
    def variance(self) -> float:
        """Variance of the sample."""
        return float(self._integral((self.curve.place - self.mean) ** 2))

    def _integral(self, values: Array) -> float:
        half = (self.curve.right - self.curve.left) / 2
        return float(np.sum(half * ((values * self.curve.density) @ WEIGHTS)) / np.sum(self.curve.masses))

    def pdf(self, x: ArrayLike) -> Array:
        """Density at places of any shape; inf where the sampler's map folds."""
        return self.at(x)[0]

    def cdf(self, x: ArrayLike) -> Array:
        """P(X <= x), for x of any shape, accurate in the lower tail."""
        return self.at(x)[1]

    def survival(self, x: ArrayLike) -> Array:
        """P(X > x), for x of any shape, accurate in the upper tail."""
        return self.at(x)[2]

    def quantile(self, u: ArrayLike) -> Array:
        """The x with P(X <= x) = u, for u in (0, 1) of any shape; by Newton's method within the panel that holds it."""
        goal = _probabilities("u", u)
        return self._solve(goal, 1 - goal)

    def quantile_survival(self, s: ArrayLike) -> Array:
        """The x with P(X > x) = s, for s in (0, 1) of any shape; the upper tail at full accuracy."""
        goal = _probabilities("s", s)
        return self._solve(1 - goal, goal)

    def _solve(self, lower: Array, upper: Array) -> Array:
        """The x with P(X <= x) = lower and P(X > x) = upper; the smaller of the two decides."""
        panels, _, below, above = self._tables[:4]
        under_half = lower.ravel() < 0.5
        goal = np.minimum(lower, upper).ravel() * below[-1]
        k = np.where(
            under_half,
            np.searchsorted(below, goal, side="right") - 1,
            len(panels) - np.searchsorted(above[::-1], goal, side="left"),
        )
        k = np.clip(k, 0, len(panels) - 1)
        low, high = panels[k, 0].copy(), panels[k, 1].copy()
        x = (low + high) / 2
        active = np.arange(len(x))
        for _ in range(_MOST_STEPS):
            here, side = x[active], under_half[active]
            density, under, over = self.at(here)
            tail = np.where(side, under, over)
            excess = np.where(side, tail - goal[active], goal[active] - tail)
            low[active] = np.where(excess < 0, here, low[active])
            high[active] = np.where(excess < 0, high[active], here)
            with np.errstate(divide="ignore", invalid="ignore"):
                move = -excess / density
            # the probability's own rounding leaves x uncertain by this: a further move would only be noise
            done = (np.abs(excess) <= _ROUNDING * tail) | (np.abs(move) <= 4e-16 * np.abs(here))
            done |= high[active] - low[active] <= 4e-16 * np.abs(here)
            new = here + move
            inside = (new > low[active]) & (new < high[active])
            x[active] = np.where(done, here, np.where(inside, new, (low[active] + high[active]) / 2))
            active = active[~done]
            if not len(active):
                break
        return x.reshape(lower.shape)

    def at(self, x: ArrayLike) -> Array:
        """Density, P(X <= x) and P(X > x) in one go, (3, ...) for x of any shape."""
        places = np.asarray(x, dtype=np.float64)
        out = np.empty((3, places.size))
        _evaluate(places.ravel(), *self._tables, out)
        return out.reshape(3, *places.shape)

    @cached_property
    def _tables(self) -> tuple[Array, ...]:
        curve = self.curve
        half = (curve.right - curve.left) / 2
        masses = curve.masses
        below = np.append(0.0, np.cumsum(masses))
        above = np.append(np.cumsum(masses[::-1])[::-1], 0.0)
        tables = [
            np.ascontiguousarray(values @ ANALYSIS) for values in (curve.density, curve.place, curve.slope)
        ]
        # The integral from the left end has degree 16; half a panel's values determine it up to degree 15.
        primitive = np.ascontiguousarray((curve.density @ PRIMITIVE[:, :-1]) @ ANALYSIS)
        return (self.panels, half, below, above, primitive, *tables)

    def tv(self, truth: Target) -> float:
        """Total variation distance to a mixture, integrated between the sign changes of f - p."""
        return compare.tv(self._beside(truth))

    def kl(self, truth: Target) -> float:
        """Kullback-Leibler divergence KL(law || mixture), without cancellation where the two are close."""
        return compare.kl(self._beside(truth))

    def w2(self, truth: Target) -> float:
        """2-Wasserstein distance to a mixture, by quantiles matched from the nearer tail."""
        return compare.w2(self._beside(truth), self._compared(truth))

    def witness(self, truth: Target) -> Array:
        """Intervals (m, 2) on which f > p: the law gives them TV more probability than the mixture does."""
        return compare.witness(self._beside(truth))

    def _beside(self, truth: Target) -> compare.Pair:
        # Distances to one truth share the panels that resolve both laws.
        if self._latest.get("truth") is not truth:
            self._latest.update(truth=truth, pair=compare.beside(self.curve, self._compared(truth)))
        return self._latest["pair"]

    @staticmethod
    def _compared(truth: Target) -> MixtureOnLine:
        mixture = on_line("truth", truth)
        if not mixture.variances.all():
            raise ValueError(
                "truth has a component of variance 0, so it has no density: compare with target.noised(...)"
            )
        return mixture


def _probabilities(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if not np.all((array > 0) & (array < 1)):
        raise ValueError(f"{name} has a value outside (0, 1): give probabilities between them")
    return array


def distance(a: DensityLaw, b: DensityLaw) -> float:
    """Total variation distance of two nearly equal laws, by the nodes of the first."""
    curve = a.curve
    difference = np.abs(curve.density - b.pdf(curve.place) * curve.slope)
    return float(np.sum((curve.right - curve.left) / 2 * (difference @ WEIGHTS)) / 2)


@njit(**COMPILED)
def _evaluate(
    x: Any,
    panels: Any,
    half: Any,
    below: Any,
    above: Any,
    primitive: Any,
    density: Any,
    place: Any,
    slope: Any,
    out: Any,
) -> None:
    starts = panels[:, 0].copy()
    for j in range(len(x)):
        k = np.searchsorted(starts, x[j], side="right") - 1
        if np.isnan(x[j]):
            out[:, j] = np.nan
        elif k < 0 or x[j] >= panels[k, 1]:
            out[0, j], out[1, j], out[2, j] = 0.0, below[k + 1], above[k + 1]
        else:
            t = solve(place[k], slope[k], half[k], x[j], -1.0, 1.0, True)
            part = series(primitive[k], t) * half[k]
            out[0, j] = series(density[k], t) / series(slope[k], t)
            out[1, j] = below[k] + part
            out[2, j] = above[k] - part
