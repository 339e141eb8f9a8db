"""The bouncy particle on Gaussians, in five numbers a precision.

Its velocity v turns at the rate max(0, v . K x), K the precisions, to v - 2 (v . K x)/|K x|^2 K x. So it stays among
the direction of the start, x and v of each precision, and all that is needed is a and r of `reduced`, and of v the part
c along the start, p along the rest of x, and q, the length across both. On a line the rate is a + b t, and times of
events are exact.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from solvers.numerics.jit import COMPILED

from .reduced import Reduced

Array = NDArray[np.float64]


class Particles:
    """Particles on a Gaussian, from where samplers start or from the target, with fresh velocities.

    `state` is (particles, levels, 5): a, r, c, p, q. `bounces` counts those of all.
    """

    def __init__(
        self, on: Reduced, particles: int, refresh: float, seed: int, stationary: bool = False
    ) -> None:
        self.on, self.refresh, self.rng = on, refresh, np.random.default_rng(seed)
        levels = len(on.k)
        self.state = np.zeros((particles, levels, 5))
        self.state[:, :, :2] = on.start.reshape(2, levels).T
        if stationary:
            z = (
                self.rng.standard_normal((particles, levels)),
                self.rng.chisquare(np.maximum(on.m - 1, 1), (particles, levels)),
            )
            self.state[:, :, 0] = z[0] / np.sqrt(on.k)
            self.state[:, :, 1] = np.where(on.m > 1, np.sqrt(z[1] / on.k), 0.0)
        _refresh_all(self.state, on.m, self.rng)
        self.bounces, self.time = 0, 0.0

    def go(self, time: float) -> None:
        """Move on for so long."""
        self.bounces += _go(self.state, self.on.k, self.on.m, self.refresh, time, self.rng)
        self.time += time

    @property
    def first(self) -> Array:
        """(a, r), (particles, 2 levels)."""
        return np.concatenate([self.state[:, :, 0], self.state[:, :, 1]], axis=1)


@njit(**COMPILED)
def _draw(one, m, rng):  # type: ignore[no-untyped-def]
    for l in range(len(m)):
        one[l, 2] = rng.standard_normal()
        one[l, 3] = rng.standard_normal() if m[l] > 1 else 0.0
        one[l, 4] = np.sqrt(2 * rng.standard_gamma((m[l] - 2) / 2)) if m[l] > 2 else 0.0


@njit(**COMPILED)
def _refresh_all(state, m, rng):  # type: ignore[no-untyped-def]
    for i in range(len(state)):
        _draw(state[i], m, rng)


@njit(**COMPILED)
def _go(state, k, m, refresh, time, rng):  # type: ignore[no-untyped-def]
    bounces = 0
    for i in range(len(state)):
        one, left = state[i], time
        while left > 0:
            slope, bend = 0.0, 0.0
            for l in range(len(k)):
                slope += k[l] * (one[l, 0] * one[l, 2] + one[l, 1] * one[l, 3])
                bend += k[l] * (one[l, 2] ** 2 + one[l, 3] ** 2 + one[l, 4] ** 2)
            # int_0^t max(0, slope + bend s) ds is an exponential variable
            e = rng.standard_exponential()
            ahead = max(slope, 0.0)
            bounce = max(-slope, 0.0) / bend + 2 * e / (ahead + np.sqrt(ahead**2 + 2 * bend * e))
            fresh = rng.standard_exponential() / refresh
            t = min(bounce, fresh, left)
            left -= t
            for l in range(len(k)):
                beside, across = one[l, 1] + t * one[l, 3], t * one[l, 4]
                r = np.sqrt(beside**2 + across**2)
                one[l, 0] += t * one[l, 2]
                if r > 0:
                    p = (one[l, 3] * beside + one[l, 4] * across) / r
                    one[l, 4] = abs(one[l, 4] * beside - one[l, 3] * across) / r
                    one[l, 3] = p
                one[l, 1] = r
            if left <= 0:
                break
            if fresh < bounce:
                _draw(one, m, rng)
                continue
            inner, length2 = 0.0, 0.0
            for l in range(len(k)):
                inner += k[l] * (one[l, 0] * one[l, 2] + one[l, 1] * one[l, 3])
                length2 += k[l] ** 2 * (one[l, 0] ** 2 + one[l, 1] ** 2)
            for l in range(len(k)):
                back = 2 * inner / length2 * k[l]
                one[l, 2] -= back * one[l, 0]
                one[l, 3] -= back * one[l, 1]
            bounces += 1
    return bounces
