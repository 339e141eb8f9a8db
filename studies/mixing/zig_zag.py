"""The zig-zag on Gaussians along the axes: one law of (y, v) serves all precisions and dimensions.

Its coordinates are independent there, and alike but for the clock: one of precision k is that of N(0, 1) at the time
sqrt(k) t, over sqrt(k). So W2 of all adds up from W2 on a line, which is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from .needs import Gaussian

Array = NDArray[np.float64]
CELL = 1 / 128  # width of cells, and of a step in time
REACH, UNTIL = 9.0, 40.0  # half width, and how long
LIGHT = 1e-9  # mass of cells that may as well be points
KEPT = 4  # steps between what is kept
EARLIEST, TIMES = 0.01, 4000  # looked at


@dataclass(frozen=True)
class Clock:
    """The zig-zag on N(0, 1) from 1: at times s, mean, variance and W2 of y, events so far; then it is stationary."""

    s: Array
    mean: Array
    variance: Array
    w2: Array
    events: Array

    def at(self, s: Array) -> tuple[Array, Array, Array, Array]:
        """Return mean, variance, W2 and events at times s."""
        late = np.maximum(s - self.s[-1], 0.0)
        mean, variance, w2, events = (
            np.interp(s, self.s, one) for one in (self.mean, self.variance, self.w2, self.events)
        )
        return (
            np.where(late > 0, 0.0, mean),
            np.where(late > 0, 1.0, variance),
            np.where(late > 0, 0.0, w2),
            events + late / np.sqrt(2 * np.pi),
        )


@cache
def clock() -> Clock:
    """Carry the law of (y, v): exact transport by a cell a step, and turns at the rate max(0, v y) between."""
    y = np.arange(-REACH, REACH + CELL / 2, CELL)
    stays = np.exp(-np.maximum(y, 0.0) * CELL / 2), np.exp(-np.maximum(-y, 0.0) * CELL / 2)
    up, down = np.zeros_like(y), np.zeros_like(y)
    up[np.argmin(np.abs(y - 1))] = down[np.argmin(np.abs(y - 1))] = 0.5
    rows, events = [(0.0, 1.0, 0.0, np.sqrt(2.0), 0.0)], 0.0
    place = int(np.argmin(np.abs(y - 1))) % 2  # of even steps, every other point is empty
    for step in range(1, round(UNTIL / CELL) + 1):
        for half in range(2):
            turned, back = up * (1 - stays[0]), down * (1 - stays[1])
            up, down = up - turned + back, down - back + turned
            events += float(np.sum(turned + back))
            if half == 0:
                up, down = np.append(0.0, up[:-1]), np.append(down[1:], 0.0)
        if step % KEPT == 0:
            mean = float(np.sum(y * (up + down)))
            variance = float(np.sum(y**2 * (up + down))) - mean**2
            rows.append(
                (CELL * step, mean, variance, from_normal(y[place::2], (up + down)[place::2]), events)
            )
    return Clock(*np.array(rows, dtype=np.float64).T)


def from_normal(y: Array, mass: Array) -> float:
    """Return W2 from N(0, 1) of a law with masses in cells around evenly spaced y, spread evenly over each.

    W2^2 = E y^2 + 1 - 2 int Q(u) z(u) du, Q and z the quantiles of both: Q is linear in each cell, and the integrals
    of z and of u z are in closed form.
    """
    width, z = y[1] - y[0], ndtri(np.clip(np.append(0.0, np.cumsum(mass)), 0.0, 1.0))
    z[-1] = np.inf
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    of_z = -np.diff(density)
    of_uz = np.diff(ndtr(np.sqrt(2) * z) / (2 * np.sqrt(np.pi)) - density * ndtr(z))
    middle, wide = (ndtr(z[:-1]) + ndtr(z[1:])) / 2, mass > LIGHT
    across = np.where(wide, width * (of_uz - middle * of_z) / np.where(wide, mass, 1.0), 0.0)
    squared = np.sum(mass * (y**2 + width**2 / 12)) + 1 - 2 * np.sum(y * of_z + across)
    return float(np.sqrt(max(squared, 0.0)))


class ZigZag:
    """Mean evaluations of the zig-zag, one an event, and W2 at times; it has no step."""

    def __init__(self, target: Gaussian) -> None:
        self.times = np.geomspace(EARLIEST, UNTIL, TIMES)
        k = target.precisions
        _, _, w2, events = clock().at(np.sqrt(k) * self.times[:, None])
        each = target.dim / len(k)
        self.w2 = np.sqrt(np.sum(w2**2 / k, axis=1) * each)
        self.nfe = np.sum(events, axis=1) * each

    def need(self, w2: float) -> float:
        """Return the evaluations from which on W2 stays within a bound; infinite if it is not within it at last."""
        far = np.flatnonzero(self.w2 > w2)
        first = int(far[-1]) + 1 if len(far) else 0
        return float(self.nfe[first]) if first < len(self.nfe) else np.inf

    def least(self, nfe: float) -> float:
        """Return W2 at so many evaluations."""
        return float(np.interp(nfe, self.nfe, self.w2))
