"""Evaluations that samplers without a bias need on Gaussians: MALA and HMC by chains, the zig-zag by its exact moments.

**MALA and HMC** propose x' = A x + B z, with A and B numbers for coordinates of one precision, and accept by the norms
of x, x' and z alone. So of m coordinates of one precision, which start alike, two numbers are a Markov chain: a, along
the direction of the start, and r, the length of the rest. They are drawn with three numbers a step, whatever m is, and
give the mean and the variances of x by averages over chains, of W2 the lower bound of a Gaussian with them. What the
chains' own noise adds to its square is known, and is subtracted.

**The zig-zag's** coordinates are independent on a Gaussian along the axes, and alike but for the clock: one law of
(y, v), by its transport equation, serves all precisions and dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from .needs import Gaussian, Need

Array = NDArray[np.float64]
CHAINS = 2000
MOST_CONDITION = 100  # that chains are run for: steps grow with it
STEPS = 2.0 ** np.arange(-1.0, 3.0, 0.5)  # tried, in units of what theory scales steps with
LEAPFROGS = (1, 2, 4, 8, 16, 32, 64, 128)
TRAJECTORIES = (0.3, 2.5)  # how long they may be
MOST_STABLE = 1.9  # of leapfrog steps, in deviations of the narrowest direction: 2 is too many
NEARER = 1.02  # ratio of the steps after which chains are looked at
LONGEST = 200_000
CELL, REACH, UNTIL = (
    1 / 128,
    9.0,
    40.0,
)  # of the zig-zag's law: width of cells and clock, half width, how long
EARLIEST, TIMES = 0.01, 4000  # looked at
NAN = float("nan")


@dataclass(frozen=True)
class Proposal:
    """x' = A x + B z along each precision, z ~ N(0, I), and what decides; arrays (levels,).

    With `momenta` (C, D), z is a velocity that becomes C x + D z, and the energy decides; without, the density of the
    proposal does, of variance B^2.
    """

    A: Array
    B: Array
    momenta: tuple[Array, Array] | None
    nfe: int


def mala_step(k: Array, h: float) -> Proposal:
    """Return what `mala` proposes: x - h k x + sqrt(2 h) z."""
    return Proposal(1 - h * k, np.full_like(k, np.sqrt(2 * h)), None, 1)


def hmc_step(k: Array, h: float, leapfrogs: int) -> Proposal:
    """Return what `hmc` proposes: leapfrog steps of h from x and a velocity z."""
    one = np.array([[1 - h**2 * k / 2, np.full_like(k, h)], [-h * k * (1 - h**2 * k / 4), 1 - h**2 * k / 2]])
    (A, B), (C, D) = np.moveaxis(np.linalg.matrix_power(np.moveaxis(one, 2, 0), leapfrogs), 0, 2)
    return Proposal(A, B, (C, D), leapfrogs)


class Chains:
    """Many chains on N(0, 1/k), m coordinates of each precision k: a and r, (chains, levels), and who accepted."""

    def __init__(self, k: Array, m: Array, chains: int, seed: int) -> None:
        self.k, self.m, self.rng = k, m, np.random.default_rng(seed)
        self.a, self.r = np.tile(np.sqrt(m / k), (chains, 1)), np.zeros((chains, len(k)))
        self.accepted, self.steps = 0, 0

    def step(self, by: Proposal) -> None:
        """Propose, and accept or stay."""
        k, a, r, A, B = self.k, self.a, self.r, by.A, by.B
        along, across = self.rng.standard_normal((2, *a.shape))
        rest2 = np.zeros_like(a)
        many = self.m > 2
        rest2[:, many] = 2 * self.rng.standard_gamma((self.m[many] - 2) / 2, (len(a), int(many.sum())))
        across = np.where(self.m > 1, across, 0.0)
        new, beside, far2 = A * a + B * along, A * r + B * across, B**2 * rest2
        length2 = beside**2 + far2
        log = -np.sum(k * (new**2 + length2 - a**2 - r**2), axis=1) / 2
        noise2 = along**2 + across**2 + rest2
        if by.momenta is None:
            back = (a - A * new) ** 2 + (r - A * beside) ** 2 + A**2 * far2
            log += np.sum(noise2 - back / B**2, axis=1) / 2
        else:
            C, D = by.momenta
            left = (C * a + D * along) ** 2 + (C * r + D * across) ** 2 + D**2 * rest2
            log += np.sum(noise2 - left, axis=1) / 2
        taken = np.log(self.rng.random(len(a))) < log
        self.a, self.r = np.where(taken[:, None], new, a), np.where(taken[:, None], np.sqrt(length2), r)
        self.accepted += int(taken.sum())
        self.steps += 1

    def w2(self) -> tuple[float, float]:
        """Return W2^2 of a Gaussian with the moments, and what the noise of so many chains adds to it."""
        k, m, n = self.k, self.m, len(self.a)
        beside = np.sqrt(np.mean(self.r**2, axis=0) / np.maximum(m - 1, 1))
        squares = self.a.mean(axis=0) ** 2 + (self.a.std(axis=0) - 1 / np.sqrt(k)) ** 2
        squares += np.where(m > 1, (m - 1) * (beside - 1 / np.sqrt(k)) ** 2, 0.0)
        return float(np.sum(squares)), float(np.sum(np.where(m > 1, 2.0, 1.5) / (k * n)))


def levels(target: Gaussian) -> tuple[Array, Array]:
    """Return distinct precisions and how many coordinates have each."""
    k, counts = np.unique(target.precisions, return_counts=True)
    return k, counts * target.dim / counts.sum()


def _first_within(by: Proposal, target: Gaussian, w2: float, most: float, seed: int) -> float:
    """Return the evaluations after which chains are within a W2, infinite if more than `most`."""
    chains, check = Chains(*levels(target), CHAINS, seed), 1.0
    while chains.steps * by.nfe < most and chains.steps < LONGEST:
        chains.step(by)
        if chains.steps < check:
            continue
        check = max(check * NEARER, check + 1)
        squared, noise = chains.w2()
        if squared - noise <= w2**2:
            return chains.steps * by.nfe + 1.0
    return np.inf


def by_chains(
    proposals: Sequence[tuple[float, Proposal]], target: Gaussian, w2: float
) -> tuple[float, float]:
    """Return the fewest evaluations over proposals, with the step."""
    best = (np.inf, NAN)
    for seed, (h, by) in enumerate(proposals):
        best = min(best, (_first_within(by, target, w2, best[0], seed), h), key=itemgetter(0))
    return best


def mala(target: Gaussian, w2: float) -> tuple[float, float]:
    """Evaluations of MALA and its step, of steps around d^(-1/3) over the largest precision."""
    k, _ = levels(target)
    steps = (STEPS * target.dim ** (-1 / 3) / k[-1]).tolist()
    return by_chains([(h, mala_step(k, h)) for h in steps], target, w2)


def hmc(target: Gaussian, w2: float) -> tuple[float, float]:
    """Evaluations of HMC and its step, of steps around d^(-1/4) over the root of the largest precision."""
    k, _ = levels(target)
    steps = (np.unique(np.minimum(STEPS * target.dim ** (-1 / 4), MOST_STABLE)) / np.sqrt(k[-1])).tolist()
    tried = [
        (h, count) for h in steps for count in LEAPFROGS if TRAJECTORIES[0] <= h * count <= TRAJECTORIES[1]
    ]
    return by_chains([(h, hmc_step(k, h, count)) for h, count in tried], target, w2)


@dataclass(frozen=True)
class Clock:
    """The zig-zag on N(0, 1) from 1: at times s, mean and variance of y and events so far; then it is stationary."""

    s: Array
    mean: Array
    variance: Array
    events: Array

    def at(self, s: Array) -> tuple[Array, Array, Array]:
        """Return mean, variance and events at times s."""
        late = np.maximum(s - self.s[-1], 0.0)
        mean, variance, events = (
            np.interp(s, self.s, one) for one in (self.mean, self.variance, self.events)
        )
        return (
            np.where(late > 0, 0.0, mean),
            np.where(late > 0, 1.0, variance),
            events + late / np.sqrt(2 * np.pi),
        )


@cache
def clock() -> Clock:
    """Carry the law of (y, v): exact transport by a cell a step, and turns at the rate max(0, v y) between."""
    y = np.arange(-REACH, REACH + CELL / 2, CELL)
    stays = np.exp(-np.maximum(y, 0.0) * CELL / 2), np.exp(-np.maximum(-y, 0.0) * CELL / 2)
    up, down = np.zeros_like(y), np.zeros_like(y)
    up[np.argmin(np.abs(y - 1))] = down[np.argmin(np.abs(y - 1))] = 0.5
    rows, events = [(1.0, 0.0, 0.0)], 0.0
    for _ in range(round(UNTIL / CELL)):
        for half in range(2):
            turned, back = up * (1 - stays[0]), down * (1 - stays[1])
            up, down = up - turned + back, down - back + turned
            events += float(np.sum(turned + back))
            if half == 0:
                up, down = np.append(0.0, up[:-1]), np.append(down[1:], 0.0)
        mean = float(np.sum(y * (up + down)))
        rows.append((mean, float(np.sum(y**2 * (up + down))) - mean**2, events))
    found = np.array([(CELL * place, *row) for place, row in enumerate(rows)], dtype=np.float64)
    return Clock(*found.T)


def zig_zag(target: Gaussian, w2: float) -> tuple[float, float]:
    """Mean evaluations of the zig-zag, one an event, until its moments are within a W2 and stay so; it has no step."""
    k, ticks = target.precisions, clock()

    def off(t: float) -> float:
        mean, variance, _ = ticks.at(np.sqrt(k) * t)
        return target.w2(mean / np.sqrt(k), variance / k)

    times = np.geomspace(EARLIEST, UNTIL, TIMES)
    far = np.flatnonzero([not off(float(t)) <= w2 for t in times])
    first = int(far[-1]) + 1 if len(far) else 0
    if first == len(times):
        return np.inf, NAN
    return float(np.sum(ticks.at(np.sqrt(k) * times[first])[2]) * target.dim / len(k)), NAN


CORRECTED: dict[str, Callable[[Gaussian, float], tuple[float, float]]] = {
    "mala": mala,
    "hmc": hmc,
    "zig-zag": zig_zag,
}


def needs_of(method: str, condition: int, dims: Sequence[int], w2: float) -> list[Need]:
    """Measure the evaluations for an error in each dimension, but for chains of dimensions they do not serve."""
    found = []
    for dim in dims:
        target = Gaussian(dim, condition)
        whole = np.allclose(levels(target)[1] % 1, 0)
        if (dim == 1 and condition > 1) or (
            method != "zig-zag" and (not whole or condition > MOST_CONDITION)
        ):
            continue
        nfe, h = CORRECTED[method](target, w2)
        nfe = nfe if np.isfinite(nfe) else NAN
        found.append(Need(method, dim, condition, w2, target.distance, nfe, h, NAN, NAN))
    return found
