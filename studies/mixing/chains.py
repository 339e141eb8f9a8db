"""Chains of MALA and HMC on Gaussians, each beside a stationary one, in five numbers a precision.

Both propose x' = A x + B z, z ~ N(0, I), with A and B numbers for coordinates of one precision k, and accept with the
probability min(1, exp(-w sum k^2 (x'^2 - x^2))): w = h/4 for MALA, and h^2/8 for HMC, since leapfrog steps of h keep
k (1 - h^2 k/4) x^2 + v^2. So of the coordinates of one precision the numbers a and r of `reduced` are a Markov chain.

A second chain starts from the target and takes the same z and the same uniform. It stays the target's, so that
averages over it are known, and those of the first chain are measured by the difference, which is the smaller the
nearer the first one comes. Three numbers more hold it: b along the start, p along the rest of the first chain, and q,
the length across both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from solvers.numerics.jit import COMPILED

from .reduced import Moments, Reduced

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Proposal:
    """x' = A x + B z along each precision, (levels,) arrays, what decides, and what a step costs."""

    A: Array
    B: Array
    weight: float
    nfe: int


def mala_step(k: Array, h: float) -> Proposal:
    """Return what `mala` proposes: x - h k x + sqrt(2 h) z."""
    return Proposal(1 - h * k, np.full_like(k, np.sqrt(2 * h)), h / 4, 1)


def hmc_step(k: Array, h: float, leapfrogs: int) -> Proposal:
    """Return what `hmc` proposes: leapfrog steps of h from x and a velocity z."""
    one = np.array([[1 - h**2 * k / 2, np.full_like(k, h)], [-h * k * (1 - h**2 * k / 4), 1 - h**2 * k / 2]])
    many = np.linalg.matrix_power(np.moveaxis(one, 2, 0), leapfrogs)
    return Proposal(many[:, 0, 0], many[:, 0, 1], h**2 / 8, leapfrogs)


class Pairs:
    """Pairs of chains on a Gaussian: one from where samplers start, or from the target, and one from the target.

    `state` is (pairs, levels, 5): a, r, b, p, q. `accepted` counts steps of the first chains.
    """

    def __init__(self, on: Reduced, pairs: int, seed: int, stationary: bool = False) -> None:
        self.on, self.rng = on, np.random.default_rng(seed)
        k, m, levels = on.k, on.m, len(on.k)
        self.state = np.zeros((pairs, levels, 5))
        z = self.rng.standard_normal((pairs, levels, 3)) / np.sqrt(k)[:, None]
        rest = np.where(m > 2, self.rng.chisquare(np.maximum(m - 2, 1), (pairs, levels)) / k, 0.0)
        self.state[:, :, 0] = np.sqrt(m / k)
        self.state[:, :, 2], self.state[:, :, 3] = z[:, :, 0], np.where(m > 1, z[:, :, 1], 0.0)
        self.state[:, :, 4] = np.sqrt(rest)
        if stationary:
            other = np.where(m > 2, self.rng.chisquare(np.maximum(m - 2, 1), (pairs, levels)) / k, 0.0)
            self.state[:, :, 0] = z[:, :, 2]
            self.state[:, :, 1] = np.sqrt(np.where(m > 1, z[:, :, 1] ** 2, 0.0) + other)
        self.accepted, self.steps = 0, 0

    def step(self, by: Proposal, count: int = 1) -> None:
        """Propose so many times, and each time accept or stay."""
        self.accepted += _steps(self.state, self.on.k, self.on.m, by.A, by.B, by.weight, count, self.rng)
        self.steps += count

    @property
    def first(self) -> Array:
        """(a, r) of the first chains, (pairs, 2 levels)."""
        return np.concatenate([self.state[:, :, 0], self.state[:, :, 1]], axis=1)

    @property
    def second(self) -> Array:
        """(a, r) of those from the target, (pairs, 2 levels)."""
        return np.concatenate(
            [self.state[:, :, 2], np.hypot(self.state[:, :, 3], self.state[:, :, 4])], axis=1
        )

    def moments(self) -> Moments:
        """Return those of the first chains."""
        return self.on.moments(self.first, self.second)


@njit(**COMPILED)
def _steps(state, k, m, A, B, weight, count, rng):  # type: ignore[no-untyped-def]
    pairs, levels, _ = state.shape
    # along the start, then three directions across it: the first chain's, the second one's, one more
    x, y = np.empty((levels, 4)), np.empty((levels, 4))
    on, beside = np.empty((levels, 4)), np.empty((levels, 4))
    accepted = 0
    for i in range(pairs):
        for l in range(levels):
            x[l, 0], x[l, 1], x[l, 2], x[l, 3] = state[i, l, 0], state[i, l, 1], 0.0, 0.0
            y[l, 0], y[l, 1], y[l, 2], y[l, 3] = state[i, l, 2], state[i, l, 3], state[i, l, 4], 0.0
        for _ in range(count):
            log_x, log_y = 0.0, 0.0
            for l in range(levels):
                for part in range(4):
                    z = 0.0
                    if part < min(m[l], 3):
                        z = rng.standard_normal()
                    elif part == 3 and m[l] > 3:
                        z = np.sqrt(2 * rng.standard_gamma((m[l] - 3) / 2))
                    on[l, part] = A[l] * x[l, part] + B[l] * z
                    beside[l, part] = A[l] * y[l, part] + B[l] * z
                    log_x -= weight * k[l] ** 2 * (on[l, part] ** 2 - x[l, part] ** 2)
                    log_y -= weight * k[l] ** 2 * (beside[l, part] ** 2 - y[l, part] ** 2)
            uniform = np.log(rng.random())
            takes, other = uniform < log_x, uniform < log_y
            accepted += takes
            if not takes and not other:
                continue
            for l in range(levels):
                length2, inner, far2 = 0.0, 0.0, 0.0
                if takes:
                    x[l, 0] = on[l, 0]
                if other:
                    y[l, 0] = beside[l, 0]
                for part in range(1, 4):
                    new = on[l, part] if takes else x[l, part]
                    far = beside[l, part] if other else y[l, part]
                    length2 += new * new
                    inner += new * far
                    far2 += far * far
                x[l, 1] = np.sqrt(length2)
                y[l, 1] = inner / x[l, 1] if length2 > 0 else 0.0
                y[l, 2] = np.sqrt(max(far2 - y[l, 1] ** 2, 0.0))
        for l in range(levels):
            state[i, l, 0], state[i, l, 1] = x[l, 0], x[l, 1]
            state[i, l, 2], state[i, l, 3], state[i, l, 4] = y[l, 0], y[l, 1], y[l, 2]
    return accepted
