"""One link whose last step sees its noise in two ways: y = M(x, z), as in a stochastic Heun step.

f'(y) = sum_i mass_i phi(z_i) / (dM/dz)(x_i, z_i) with M(x_i, z_i) = y, for M increasing in z. Equations are solved
by Newton's method, 16 x at a time, each y starting from the two before it.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ....numerics.jit import COMPILED
from ....numerics.primitives import exp
from ..packed import Packed
from .convolve import cover
from .links import Link
from .mixture_on_line import Levels
from .panels import FLOOR, NODES, Panels, resolve
from .push import LANES, advance
from .sampler_on_target import SamplerOnTarget

Array = NDArray[np.float64]
# Values of the noise at which a step is asked whether it increases, how fast it moves, and how far it reaches.
_INCREASE = np.arange(-9.0, 10.0, 1.5)
# A step's rate on its noise may vary by this factor; beyond, what it adds is no longer a bent Gaussian.
_BEND = 3.0
# Last move of Newton's method: it leaves the rate on the noise uncertain to about as much.
_SOLVED = 1e-11
_PACE = np.array([-6.0, 0.0, 6.0])
_SPAN = np.array([-9.0, 0.0, 9.0])


@njit(**COMPILED)
def _derivatives(packed: Packed, levels: Levels, n: int, channel: int, x: Any, probes: Any, out: Any) -> None:
    """Fill out (3, P, 16, probes) with M, dM/dx and dM/dz at each x (P, 16) and value of the noise."""
    S, K = levels.table.shape[1], levels.table.shape[3]
    R = packed.U.shape[2]
    Z, dZ, F, dF = np.zeros((R, LANES)), np.zeros((R, LANES)), np.empty((S, LANES)), np.empty((S, LANES))
    room, share = np.empty((2 * R + 4, LANES)), np.empty((K, LANES))
    noise, still, moving = np.empty(LANES), np.zeros(LANES), np.ones(LANES)
    for p in range(len(x)):
        for q in range(len(probes)):
            noise[:] = probes[q]
            Z[0], dZ[0] = x[p], 1.0
            advance(packed, levels, n, channel, noise, still, 0, Z, dZ, F, dF, room, share)
            out[0, p, :, q] = Z[0]
            out[1, p, :, q] = dZ[0]
            Z[0], dZ[0] = x[p], 0.0
            advance(packed, levels, n, channel, noise, moving, 0, Z, dZ, F, dF, room, share)
            out[2, p, :, q] = dZ[0]


@njit(**COMPILED)
def _gaussian_sums(
    packed: Packed,
    levels: Levels,
    n: int,
    channel: int,
    y: Any,
    images: Any,
    masses: Any,
    reach: float,
    out: Any,
) -> bool:
    """Add up the density at increasing y; False if a step is not increasing in its noise."""
    S, K = levels.table.shape[1], levels.table.shape[3]
    R = packed.U.shape[2]
    Z, dZ, F, dF = np.zeros((R, LANES)), np.zeros((R, LANES)), np.empty((S, LANES)), np.empty((S, LANES))
    room, share = np.empty((2 * R + 4, LANES)), np.empty((K, LANES))
    noise, still, moving = np.empty(LANES), np.zeros(LANES), np.ones(LANES)
    # z and dz/dy of the last two y.
    z, rate, old_z, old_rate = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    known = 0
    while known < packed.counts[n, 0] and packed.G[n, known, channel] == 0.0:
        known += 1
    largest = reach + 1.0
    out[:] = 0.0
    for p in range(len(images)):
        # The evaluations that do not see the noise, once for all y; then the span of y that this piece reaches.
        ends = (np.inf, -np.inf)
        for side in (-1.0, 1.0):
            noise[:] = side * reach
            Z[0], dZ[0] = images[p], 0.0
            advance(packed, levels, n, channel, noise, still, 0, Z, dZ, F, dF, room, share)
            ends = (min(ends[0], Z[0].min()), max(ends[1], Z[0].max()))
        first, last = np.searchsorted(y, ends[0]), np.searchsorted(y, ends[1], side="right")
        before = 0.0
        for j in range(first, last):
            step = y[j] - y[j - 1]
            if j == first:
                noise[:] = 0.0
            elif j == first + 1 or step > 2 * before:
                noise[:] = z + step * rate
            else:
                # The cubic through the last two places and slopes, extended.
                s = step / before
                for l in range(16):
                    bend = 3 * (old_z[l] - z[l]) + before * (old_rate[l] + 2 * rate[l])
                    twist = 2 * (old_z[l] - z[l]) + before * (old_rate[l] + rate[l])
                    noise[l] = z[l] + s * (before * rate[l] + s * (bend + s * twist))
            before = step
            old_z[:] = z
            old_rate[:] = rate
            for _ in range(60):
                worst = 0.0
                for l in range(16):
                    noise[l] = min(max(noise[l], -largest), largest)
                Z[0], dZ[0] = images[p], 0.0
                dF[:known] = 0.0
                advance(packed, levels, n, channel, noise, moving, known, Z, dZ, F, dF, room, share)
                for l in range(16):
                    if dZ[0, l] <= 0.0:
                        return False
                    move = (y[j] - Z[0, l]) / dZ[0, l]
                    goal = min(max(noise[l] + move, -largest), largest)
                    worst = max(worst, abs(goal - noise[l]))
                    noise[l] = goal
                    rate[l] = 1.0 / dZ[0, l]
                if worst < _SOLVED:
                    break
            z[:] = noise
            total = 0.0
            for l in range(16):
                total += masses[p, l] * exp(-0.5 * z[l] * z[l]) * rate[l]
            out[j] += total / sqrt(2 * pi)
    return True


def reuse(sampler: SamplerOnTarget, link: Link, law: Panels) -> Panels:
    """Density of the sample after a link's map and a step that sees its noise in two ways.

    Raises
    ------
    FloatingPointError
        The step is not increasing in its noise, as on coarse grids.
    """
    packed, levels, precision, n = sampler.packed, sampler.levels, sampler.precision, link.stop
    top = float(law.values.max())

    def derivatives(x: Array, probes: Array) -> Array:
        out = np.empty((3, *x.shape, len(probes)))
        _derivatives(packed, levels, n, link.channel, x, probes, out)
        return out

    place, _, _, _ = sampler.image(link, law.nodes)
    _, _, by_z = derivatives(place, _INCREASE)
    seen = law.values[..., None] * np.exp(-(_INCREASE**2) / 2) > FLOOR * top
    relative = (by_z / by_z[..., len(_INCREASE) // 2 :][..., :1])[seen]
    if np.any(by_z[seen] <= 0) or np.any((relative < 1 / _BEND) | (relative > _BEND)):
        raise _folded(sampler, n)
    deviation = float(by_z[..., len(_INCREASE) // 2].min())

    def pace(image: Array, slope: Array) -> tuple[Array, float]:
        _, by_x, by_z = derivatives(image, _PACE)
        ratio = np.abs(by_x) / np.where(by_z > 0, by_z, np.inf)
        return np.abs(slope) * ratio.max(axis=-1), deviation

    pieces = sampler.pieces(link, law, pace)

    def density(y: Array) -> tuple[Array, Array]:
        out = np.empty(y.size)
        if not _gaussian_sums(
            packed, levels, n, link.channel, y.ravel(), pieces.images, pieces.masses, precision.reach, out
        ):
            raise _folded(sampler, n)
        values = out.reshape(y.shape)
        return values, 10 * _SOLVED * values

    # Where the density is above its floor, cut at images of the old panels' ends.
    reached = derivatives(pieces.images, _SPAN)[0]
    share = np.sqrt(2 * np.log(np.maximum(pieces.masses.sum(axis=1) / FLOOR, 1.0))) / _SPAN[-1] + 0.05
    middle = reached[..., 1]
    low = np.min(middle + share[:, None] * (reached[..., 0] - middle), axis=1)
    high = np.max(middle + share[:, None] * (reached[..., 2] - middle), axis=1)
    edges = derivatives(np.repeat(place[:, :1], NODES, axis=1), _SPAN[1:2])[0][:, 0, 0]
    left, right = cover(low, high, edges, 2 * deviation)
    return resolve(density, left, right, precision.tolerance)


def _folded(sampler: SamplerOnTarget, n: int) -> FloatingPointError:
    return FloatingPointError(
        f"{sampler.name}: step {n} of {len(sampler.packed.counts)} is so long that its noise is bent too far "
        "for the density to be computed: take more steps, or measure it by coupled samples (`sample`)"
    )
