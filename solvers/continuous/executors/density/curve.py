"""A law as the image of a density under a map of the line, resolved and, where the map folds, rebuilt."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.polynomial import legendre
from numpy.typing import NDArray

from ....numerics.jit import COMPILED
from .links import Link
from .panels import ANALYSIS, ROUNDING, Panels, ends, halved, halves, nodes, resolve, rounding, series, tails
from .sampler_on_target import SamplerOnTarget

Array = NDArray[np.float64]
_DEEPEST = 60
# Panels that are still rough at one depth, beyond which no end is in sight.
_MOST = 1 << 14
# A fold that holds less probability than this is left alone.
_UNSEEN = 1e-13


class Curve(NamedTuple):
    """Panels in a parameter: left, right (P,); at 16 nodes the density, the place and its derivative, (P, 16)."""

    left: Array
    right: Array
    density: Array
    place: Array
    slope: Array

    @property
    def masses(self) -> Array:
        """Probability of each panel, (P,)."""
        return Panels(self.left, self.right, self.density).masses


def halved_curve(curve: Curve) -> Curve:
    """Interpolate all panels of a curve to their halves."""
    left, right = halved(curve.left, curve.right)
    return Curve(left, right, *(halves(values) for values in curve[2:]))


def chosen(curve: Curve, rows: NDArray[Any]) -> Curve:
    """Panels of a curve by index or mask."""
    return Curve(*(values[rows] for values in curve))


def stacked(parts: list[Curve]) -> Curve:
    """Panels of several curves, ordered by parameter."""
    whole = Curve(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return chosen(whole, np.argsort(whole.left, kind="stable"))


def image(sampler: SamplerOnTarget, link: Link, law: Panels) -> Curve:
    """The law of a link's map of a sample, its places increasing."""
    if link.stop == link.first:
        return Curve(*law, law.nodes, np.ones_like(law.values))
    tolerance = sampler.precision.tolerance / 10
    left, right, density = law
    parts = []
    spread = 0.0
    for _ in range(_DEEPEST):
        place, slope, _, _ = sampler.image(link, nodes(left, right))
        curve = Curve(left, right, density, place, slope)
        spread = spread or _deviation(curve)
        weight = np.sqrt(np.maximum(curve.masses, 0.0))
        rough_place = tails(place) - rounding(left, right, place)
        rough_slope = tails(slope) - rounding(left, right, slope)
        bad = (weight * rough_place > tolerance * spread) | (
            weight * rough_slope > tolerance * np.abs(slope).max(axis=1)
        )
        parts.append(chosen(curve, ~bad))
        if not bad.any() or np.count_nonzero(bad) > _MOST:
            break
        left, right, density = *halved(left[bad], right[bad]), halves(density[bad])
    if bad.any():
        raise FloatingPointError(
            f"{sampler.name}: the map is rough on every scale, take more steps or another grid (steps uniform in t are "
            "too coarse near t = 0: stop earlier, or use grids.log_snr)"
        )
    curve = stacked(parts)
    falling = np.any(curve.slope <= 0, axis=1) | np.any(ends(curve.slope) <= 0, axis=1)
    if curve.masses[falling].sum() > _UNSEEN:
        return unfolded(curve, tolerance)
    # Where next to nothing is, between far modes, a map may be so steep that rounding decides its slope.
    return curve._replace(slope=np.maximum(curve.slope, np.finfo(np.float64).tiny))


def _deviation(curve: Curve) -> float:
    masses = curve.density * ((curve.right - curve.left) / 2)[:, None]
    centre = np.average(curve.place, weights=np.maximum(masses, 0.0))
    return float(np.sqrt(np.average((curve.place - centre) ** 2, weights=np.maximum(masses, 0.0))))


def unfolded(curve: Curve, tolerance: float) -> Curve:
    """Rebuild a folded curve with increasing places: branches summed, the law split where it folds.

    Between two folds the density may grow like one over the root of the distance to either; with y = middle -
    half cos(theta) the density in theta is smooth.
    """
    pieces = _monotone(curve)
    marks = np.unique(np.concatenate([pieces.low[pieces.turns_low], pieces.high[pieces.turns_high]]))
    bounds = np.unique(np.concatenate([[pieces.low.min()], marks, [pieces.high.max()]]))
    bends = legendre.legder(curve.slope @ ANALYSIS, axis=1) * (2 / (curve.right - curve.left))[:, None]
    tables = (
        curve.density @ ANALYSIS,
        curve.place @ ANALYSIS,
        curve.slope @ ANALYSIS,
        np.pad(bends, ((0, 0), (0, 1))),
    )
    parts = []
    for start, stop in itertools.pairwise(bounds):
        middle, half = (start + stop) / 2, (stop - start) / 2
        inner = pieces.low[(pieces.low > start) & (pieces.low < stop)]
        cuts = np.arccos(np.clip((middle - inner) / half, -1.0, 1.0))
        cuts = np.unique(np.concatenate([cuts, np.linspace(0.0, np.pi, 9)]))
        cuts = np.append(cuts[:-1][np.diff(cuts) > 1e-3], np.pi)
        cuts[0] = 0.0

        def density(theta: Array, middle: float = middle, half: float = half) -> tuple[Array, Array]:
            out = np.empty((2, theta.size))
            _branch_sum(middle - half * np.cos(theta.ravel()), pieces, curve.left, curve.right, *tables, out)
            values, noise = out.reshape(2, *theta.shape) * half * np.sin(theta)
            return values, noise

        panels = resolve(density, cuts[:-1], cuts[1:], tolerance)
        theta = panels.nodes
        parts.append(Curve(*panels, middle - half * np.cos(theta), half * np.sin(theta)))
    return Curve(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class Pieces(NamedTuple):
    """Parts of panels on which the place is monotone.

    owner (M,): panel; start, stop (M,): where in it, within [-1, 1]; low, high (M,): least and greatest place;
    rises (M,): whether the place increases; turns_low, turns_high (M,): whether the map folds there.
    """

    owner: NDArray[np.int64]
    start: Array
    stop: Array
    low: Array
    high: Array
    rises: NDArray[np.bool_]
    turns_low: NDArray[np.bool_]
    turns_high: NDArray[np.bool_]


def _monotone(curve: Curve) -> Pieces:
    slopes, places = curve.slope @ ANALYSIS, curve.place @ ANALYSIS
    touching = np.append(curve.right[:-1] == curve.left[1:], False)
    place_ends = ends(curve.place)
    # Neighbours share the place of their common end to the bit, so that no y falls between them or in both.
    place_ends[1:][touching[:-1], 0] = place_ends[:-1][touching[:-1], 1]
    rows = []
    for k in range(len(curve.left)):
        cuts = [-1.0, *roots(slopes[k]), 1.0]
        values = [place_ends[k, 0], *(series(places[k], t) for t in cuts[1:-1]), place_ends[k, 1]]
        for i in range(len(cuts) - 1):
            rises = values[i + 1] >= values[i]
            turns = (i > 0, i + 2 < len(cuts))
            rows.append(
                (
                    k,
                    cuts[i],
                    cuts[i + 1],
                    *sorted(values[i : i + 2]),
                    rises,
                    *(turns if rises else turns[::-1]),
                )
            )
    columns = list(zip(*rows, strict=True))
    # A fold that falls on the end of a panel is no root inside either neighbour.
    pieces = Pieces(*(np.array(column) for column in columns))
    turn = np.flatnonzero((pieces.rises[1:] != pieces.rises[:-1]) & (pieces.owner[1:] != pieces.owner[:-1]))
    for i in turn[touching[pieces.owner[turn]]]:
        side = pieces.turns_high if pieces.rises[i] else pieces.turns_low
        side[i] = side[i + 1] = True
    return pieces


@njit(**COMPILED)
def roots(coefficients: Any) -> Any:
    """Sign changes of a Legendre series in (-1, 1), to the last bit."""
    found = []
    steps = 64
    before, value_before = -1.0, series(coefficients, -1.0)
    for i in range(1, steps + 1):
        after = -np.cos(np.pi * i / steps)
        value = series(coefficients, after)
        if (value < 0) != (value_before < 0):
            low, high = before, after
            for _ in range(60):
                middle = 0.5 * (low + high)
                if (series(coefficients, middle) < 0) == (value_before < 0):
                    low = middle
                else:
                    high = middle
            found.append(0.5 * (low + high))
        before, value_before = after, value
    return found


@njit(**COMPILED)
def solve(place: Any, slope: Any, half: float, y: float, start: float, stop: float, rises: bool) -> float:
    """The t in [start, stop] with place(t) = y, by Newton's method within a bracket; slope is d place/d parameter."""
    low, high = start, stop
    t = 0.5 * (start + stop)
    for _ in range(200):
        residual = series(place, t) - y
        if (residual > 0) == rises:
            high = t
        else:
            low = t
        rate = series(slope, t) * half
        new = t - residual / rate if rate != 0 else low
        if not (low < new < high):
            new = 0.5 * (low + high)
        if abs(new - t) <= 4e-16:
            return new
        t = new
    return t


@njit(**COMPILED)
def _branch_sum(
    y: Any, pieces: Pieces, left: Any, right: Any, density: Any, place: Any, slope: Any, bend: Any, out: Any
) -> None:
    """Density at y, summed over branches, and the rounding in it, which grows towards a fold."""
    out[:] = 0.0
    for j in range(len(y)):
        for m in range(len(pieces.owner)):
            if pieces.low[m] <= y[j] < pieces.high[m]:
                k = pieces.owner[m]
                half = (right[k] - left[k]) / 2
                t = solve(place[k], slope[k], half, y[j], pieces.start[m], pieces.stop[m], pieces.rises[m])
                rate = abs(series(slope[k], t))
                branch = series(density[k], t) / rate
                shift = 1e-15 * abs(y[j]) / rate + ROUNDING * max(abs(left[k]), abs(right[k]))
                out[0, j] += branch
                out[1, j] += abs(branch * series(bend[k], t) / rate) * shift
