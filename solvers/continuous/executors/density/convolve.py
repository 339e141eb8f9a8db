"""One link with additive noise: the density after it, evaluated afresh at nodes of its own.

f'(y) = sum_i mass_i N(y; image_i, deviation^2), whatever the map does: folds need no care.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ....numerics.jit import COMPILED
from ....numerics.primitives import exp
from .links import Link
from .panels import FLOOR, Panels, resolve
from .sampler_on_target import Pieces, SamplerOnTarget

Array = NDArray[np.float64]


@njit(**COMPILED)
def _gaussian_sums(
    y: Any, images: Any, masses: Any, low: Any, width: float, deviation: float, reach: float, out: Any
) -> None:
    scale = 1 / deviation
    for j in range(len(y)):
        parts = np.zeros(16)
        first = np.searchsorted(low, y[j] - reach * deviation - width)
        last = np.searchsorted(low, y[j] + reach * deviation)
        for p in range(first, last):
            for l in range(16):
                u = (y[j] - images[p, l]) * scale
                parts[l] += masses[p, l] * exp(-0.5 * u * u)
        out[j] = parts.sum() * scale / sqrt(2 * pi)


def convolve(sampler: SamplerOnTarget, link: Link, law: Panels) -> Panels:
    """Density of the sample after a link's map and its noise."""
    precision, deviation = sampler.precision, link.deviation
    pieces = sampler.pieces(link, law, lambda _, slope: (np.abs(slope) / deviation, deviation))

    def density(y: Array) -> tuple[Array, float]:
        out = np.empty(y.size)
        _gaussian_sums(
            y.ravel(), pieces.images, pieces.masses, pieces.low, pieces.width, deviation, precision.reach, out
        )
        return out.reshape(y.shape), 0.0

    edges, _, _, _ = sampler.image(link, np.append(law.left, law.right[-1]))
    left, right = first_panels(pieces, edges, deviation)
    return resolve(density, left, right, precision.tolerance)


def first_panels(pieces: Pieces, edges: Array, deviation: float) -> tuple[Array, Array]:
    """Panels to start from: where the density is above its floor, cut at images of the old panels' ends."""
    weight = np.maximum(pieces.masses.sum(axis=1) / FLOOR, 1.0)
    spread = deviation * (np.sqrt(2 * np.log(weight)) + 0.5)
    return cover(pieces.low - spread, pieces.images.max(axis=1) + spread, edges, 2 * deviation)


def cover(low: Array, high: Array, edges: Array, shortest: float) -> tuple[Array, Array]:
    """Panels that cover a union of intervals, cut at some edges but not more often than every `shortest`."""
    order = np.argsort(low, kind="stable")
    low, reached = low[order], np.maximum.accumulate(high[order])
    gap = np.flatnonzero(low[1:] > reached[:-1])
    starts, stops = low[np.append(0, gap + 1)], reached[np.append(gap, len(low) - 1)]
    left, right = [], []
    edges = np.sort(edges)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        cuts = [start]
        for edge in edges[np.searchsorted(edges, start) : np.searchsorted(edges, stop)].tolist():
            if edge - cuts[-1] >= shortest and stop - edge >= shortest:
                cuts.append(edge)
        left += cuts
        right += [*cuts[1:], stop]
    return np.array(left), np.array(right)
