"""Distances between a law on panels and a one-dimensional mixture."""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .curve import Curve, chosen, halved_curve, roots
from .mixture_on_line import MixtureOnLine, quantiles
from .panels import ANALYSIS, PRIMITIVE, WEIGHTS, ends, rounding, series, tails, unresolved

Array = NDArray[np.float64]
_TOLERANCE = 1e-13
_MOST_ROUGH = 4096
_DEEPEST = 50


class Pair(NamedTuple):
    """A law and a truth on panels that resolve both.

    curve : the law. log_truth (P, 16): the truth's log-density at the nodes. truth (P, 16): its density in the
    law's parameter. outside (P + 1,): its probability between the panels and beyond them.
    """

    curve: Curve
    log_truth: Array
    truth: Array
    outside: Array

    @property
    def half(self) -> Array:
        """Half the length of each panel."""
        return (self.curve.right - self.curve.left) / 2


def beside(curve: Curve, truth: MixtureOnLine) -> Pair:
    """Halve a law's panels until the truth is resolved on them too."""
    done: list[Pair] = []
    order: Array = np.arange(len(curve.left), dtype=np.float64)
    # Where the truth has next to no probability on the law's panels, it is still 1 that it is small beside.
    top = 1.0 / float(np.sum(curve.right - curve.left))
    for depth in count():
        log_truth = truth.log_density(curve.place)
        density = np.exp(log_truth) * curve.slope
        top = max(top, float(density.max(initial=0.0)))
        noise = rounding(curve.left, curve.right, density)
        bad: NDArray[np.bool_] = unresolved(density, _TOLERANCE, top)
        bad = np.logical_and(bad, tails(density) > noise)
        good: NDArray[np.bool_] = np.logical_not(bad)
        done.append(Pair(chosen(curve, good), log_truth[good], density[good], order[good]))
        if not bad.any():
            break
        curve = halved_curve(chosen(curve, bad))
        order = np.stack([order[bad], order[bad] + 0.5 ** (depth + 1)], axis=1).ravel()
    rows = np.argsort(np.concatenate([pair.outside for pair in done]), kind="stable")
    whole = Curve(
        *(np.concatenate(arrays)[rows] for arrays in zip(*(pair.curve for pair in done), strict=True))
    )
    place_ends = ends(whole.place)
    lows, highs = np.append(place_ends[:, 0], np.inf), np.append(-np.inf, place_ends[:, 1])
    outside = truth.probability(highs, np.maximum(lows, highs))
    return Pair(
        whole,
        np.concatenate([pair.log_truth for pair in done])[rows],
        np.concatenate([pair.truth for pair in done])[rows],
        outside,
    )


def _signed(pair: Pair) -> list[tuple[int, float, float, float]]:
    """Integrals of f - p between its sign changes: (panel, start, stop, integral), start and stop in [-1, 1]."""
    difference = pair.curve.density - pair.truth
    coefficients, half = difference @ ANALYSIS, pair.half
    primitives = np.concatenate([difference @ PRIMITIVE], axis=1) * half[:, None]
    signs = np.concatenate([difference, ends(difference)], axis=1) > 0
    plain = np.asarray(np.abs(signs.sum(axis=1) * 2 - signs.shape[1]) == signs.shape[1])
    out = []
    for k in range(len(half)):
        if plain[k]:
            out.append((k, -1.0, 1.0, float(primitives[k, -1])))
            continue
        series_of_primitive = primitives[k, :-1] @ ANALYSIS
        cuts = [-1.0, *roots(coefficients[k]), 1.0]
        values = [0.0, *(series(series_of_primitive, t) for t in cuts[1:-1]), float(primitives[k, -1])]
        out += [(k, cuts[i], cuts[i + 1], values[i + 1] - values[i]) for i in range(len(cuts) - 1)]
    return out


def tv(pair: Pair) -> float:
    """Total variation distance."""
    inside = sum(abs(value) for _, _, _, value in _signed(pair))
    return float(inside + pair.outside.sum()) / 2


def witness(pair: Pair) -> Array:
    """Intervals where f > p, (m, 2), those that touch joined."""
    places = pair.curve.place @ ANALYSIS
    place_ends = ends(pair.curve.place)
    out: list[list[float]] = []
    for k, start, stop, value in _signed(pair):
        if value <= 0:
            continue
        low = place_ends[k, 0] if start == -1.0 else series(places[k], start)
        high = place_ends[k, 1] if stop == 1.0 else series(places[k], stop)
        if out and low - out[-1][1] <= 1e-12 * max(1.0, abs(low)):
            out[-1][1] = high
        else:
            out.append([low, high])
    return np.array(out).reshape(-1, 2)


def kl(pair: Pair) -> float:
    """KL(f || p) as the integral of f log(f/p) - f + p, which is never negative."""
    f, p = np.maximum(pair.curve.density, 0.0), pair.truth
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = (f - p) / p
        near = np.abs(ratio) < 0.5
        r = np.where(near, ratio, 0.0)
        far = f * (np.log(f) - pair.log_truth - np.log(pair.curve.slope)) - f + p
        far = np.where(f > 0, far, p)
    integrand = np.where(near, p * _excess(r), far)
    return float(np.sum(pair.half * (integrand @ WEIGHTS)) + pair.outside.sum())


def _excess(r: Array) -> Array:
    """(1 + r) log(1 + r) - r without cancellation: r^2/2 - r^3/6 + r^4/12 - ..., for |r| < 1/2."""
    small = np.abs(r) < 0.05
    v = np.where(small, r, 0.0)
    total = np.zeros_like(v)
    for k in range(14, 1, -1):
        total = (-1.0) ** k / (k * (k - 1)) + v * total
    return np.where(small, v**2 * total, (1 + r) * np.log1p(r) - r)


def w2(pair: Pair, truth: MixtureOnLine) -> float:
    """2-Wasserstein distance: root of the integral of (y - Q(F(y)))^2 f(y) dy, Q the truth's quantile.

    Halved where it is not resolved: where the laws put different weights on separated modes, Q(F(y)) all but
    jumps.
    """
    curve = pair.curve
    masses = curve.masses
    below = np.append(0.0, np.cumsum(masses)[:-1])
    above = np.append(np.cumsum(masses[::-1])[::-1][1:], 0.0)
    total, accepted = 0.0, 0.0
    for _ in range(_DEEPEST):
        squares = _square_moves(curve, below, above, truth)
        half = (curve.right - curve.left) / 2
        values = half * (squares @ WEIGHTS)
        total = max(total, accepted + float(values.sum()))
        bad = half * tails(squares) > 1e-11 * total + 1e-34
        if bad.sum() > _MOST_ROUGH:  # only rounding is rough in so many places
            bad[:] = False
        accepted += float(values[~bad].sum())
        if not bad.any():
            break
        below, above = below[bad], above[bad]
        curve = halved_curve(chosen(curve, bad))
        half_masses = curve.masses.reshape(-1, 2)
        below = np.stack([below, below + half_masses[:, 0]], axis=1).ravel()
        above = np.stack([above + half_masses[:, 1], above], axis=1).ravel()
    return float(np.sqrt(max(accepted, 0.0)))


def _square_moves(curve: Curve, below: Array, above: Array, truth: MixtureOnLine) -> Array:
    """Squared move times density at the nodes; below and above are the probabilities beside each panel."""
    half = (curve.right - curve.left)[:, None] / 2
    parts = curve.density @ PRIMITIVE
    lower = np.clip(below[:, None] + half * parts[:, :-1], 0.0, 1.0)
    upper = np.clip(above[:, None] + half * (parts[:, -1:] - parts[:, :-1]), 0.0, 1.0)
    target = quantiles(*truth, lower.ravel(), upper.ravel(), curve.place.ravel()).reshape(lower.shape)
    # Beyond the smallest probability there is nothing to move.
    move = np.where(np.isfinite(target), curve.place - target, 0.0)
    return np.asarray(move**2 * curve.density)
