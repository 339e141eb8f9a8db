"""What samplers without a bias need: MALA, HMC and the bouncy particle by samples, the zig-zag by its exact law.

Samples are of the few numbers that `reduced` shows to be enough, so that one costs the same in all dimensions. Ways to
run a sampler (its step, how many leapfrogs, its rate of refreshment) are tried with few of them; the best one is
measured with many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .bouncing import Particles
from .chains import Pairs, Proposal, hmc_step, mala_step
from .needs import Gaussian, Least, Need
from .reduced import BATCHES, Reduced
from .zig_zag import ZigZag

MOVES = 3e7  # of all samples together, that the best way is measured with
MOST = 10_000  # samples for that
LEAST = {"mala": 240, "hmc": 400, "bouncy-particle": 8000}
FEWER = 4  # times, to try a way
STEPS = (2.0 ** np.arange(-1.0, 3.5, 0.5)).tolist()  # tried, in units of what theory scales steps with
TRAJECTORIES = np.geomspace(0.3, 2.5, 12).tolist()  # how long they may be
MOST_STABLE = 1.9  # of leapfrog steps, in deviations of the narrowest direction: 2 is too many
REFRESH = (2.0 ** np.arange(-1.0, 6.0)).tolist()
COARSE, FINE = 1.04, 1.01  # ratio of the evaluations after which a sampler is looked at
LONGEST = 4_000_000  # evaluations
STAYS = 1.25  # times the evaluations that W2 must stay within a bound for
NEARING = 3  # attempts at a number of bounces, which is never passed on average
SURE = 2.0  # standard errors of what is said of samples
NAN = float("nan")


class Sampler(Protocol):
    """Samples on their way."""

    @property
    def cost(self) -> float:
        """Evaluations so far, on average."""

    def until(self, cost: float) -> None:
        """Go on for as long as so many evaluations pay for."""

    def w2_squared(self) -> tuple[float, float]:
        """Return W2^2 now and its standard error."""


@dataclass
class Chain:
    """MALA or HMC: an evaluation at the start, and those of each proposal."""

    pairs: Pairs
    by: Proposal

    @property
    def cost(self) -> float:
        return 1.0 + self.pairs.steps * self.by.nfe

    def until(self, cost: float) -> None:
        self.pairs.step(self.by, max(0, int((cost - 1) // self.by.nfe) - self.pairs.steps))

    def w2_squared(self) -> tuple[float, float]:
        return self.pairs.on.w2_squared(self.pairs.moments())


@dataclass
class Bounces:
    """The bouncy particle: an evaluation a bounce, at the mean rate E max(0, v . K x)."""

    particles: Particles

    @property
    def cost(self) -> float:
        return self.particles.bounces / len(self.particles.state)

    def until(self, cost: float) -> None:
        on = self.particles.on
        most = np.sqrt(np.sum(on.m * on.k) / (2 * np.pi))  # bounces a unit of time
        for _ in range(NEARING):
            self.particles.go(max(0.0, cost - self.cost) / most)

    def w2_squared(self) -> tuple[float, float]:
        return self.particles.on.w2_squared(self.particles.on.moments(self.particles.first))


@dataclass(frozen=True)
class Way:
    """How a sampler may be run: step and friction as `Need` has them, what a move costs, what starts n samples."""

    h: float
    friction: float
    nfe: int
    start: Callable[[int, int], Sampler]


def _mala(on: Reduced) -> Iterator[Way]:
    for step in STEPS:
        h = step * on.m.sum() ** (-1 / 3) / on.k[-1]
        by = mala_step(on.k, h)
        yield Way(h, NAN, by.nfe, lambda n, seed, by=by: Chain(Pairs(on, n, seed), by))  # type: ignore[misc]


def _hmc(on: Reduced) -> Iterator[Way]:
    for step in sorted({min(one * on.m.sum() ** (-1 / 4), MOST_STABLE) for one in STEPS}):
        h = step / np.sqrt(on.k[-1])
        for count in sorted({max(1, round(time / h)) for time in TRAJECTORIES}):
            by = hmc_step(on.k, h, count)
            yield Way(h, NAN, by.nfe, lambda n, seed, by=by: Chain(Pairs(on, n, seed), by))  # type: ignore[misc]


def _bouncy(on: Reduced) -> Iterator[Way]:
    for refresh in REFRESH:
        yield Way(
            NAN,
            refresh,
            1,
            lambda n, seed, refresh=refresh: Bounces(Particles(on, n, refresh, seed)),  # type: ignore[misc]
        )


WAYS: dict[str, Callable[[Reduced], Iterator[Way]]] = {
    "mala": _mala,
    "hmc": _hmc,
    "bouncy-particle": _bouncy,
}
CORRECTED = (*WAYS, "zig-zag")


def within(sampler: Sampler, w2: float, most: float, nearer: float = FINE) -> tuple[float, float, float]:
    """Return the evaluations after which W2 is within a bound and stays so, and within what is sure of it to each side.

    It stays so if it does for a quarter as many evaluations more; infinite where it does not within `most`.
    """
    found, look = [np.inf] * 3, 1.0
    while sampler.cost < min(most, STAYS * found[-1]):
        look, before = max(look * nearer, look + 1), sampler.cost
        sampler.until(look)
        if sampler.cost == before:
            continue
        value, error = sampler.w2_squared()
        for place, side in enumerate((-SURE, 0.0, SURE)):
            if value + side * error > w2**2:
                found[place] = np.inf
            elif found[place] == np.inf:
                found[place] = sampler.cost
    return found[0], found[1], found[2]


def climb(cost: Callable[[Way], float], ways: Sequence[Way]) -> Way:
    """Return the cheapest of ways in a row that has one valley, from a third of it on."""
    tried: dict[int, float] = {}

    def at(place: int) -> float:
        if place not in tried:
            tried[place] = cost(ways[place]) if 0 <= place < len(ways) else np.inf
        return tried[place]

    place = len(ways) // 3
    while at(place) == np.inf and place > 0:
        place -= 1
    for side in (1, -1):
        while at(place + side) < at(place):
            place += side
    return ways[place]


def samples(method: str, way: Way, nfe: float) -> int:
    """Return how many samples measure a way over so many evaluations: a multiple of the batches."""
    afforded = int(np.clip(MOVES * way.nfe / max(nfe, 1.0), LEAST[method], MOST))
    return afforded - afforded % (BATCHES * FEWER)


def need_of(method: str, target: Gaussian, w2: float) -> Need:
    """Measure the evaluations for an error."""
    if method == "zig-zag":
        nfe = ZigZag(target).need(w2)
        return _need(target, method, w2, None, (nfe, nfe, nfe))
    best = scale = np.inf

    def cost(way: Way) -> float:
        nonlocal best
        sampler = way.start(samples(method, way, scale) // FEWER, 0)
        nfe = within(sampler, w2, min(STAYS * best, LONGEST), COARSE)[-1]
        best = min(best, nfe)
        return nfe

    ways = list(WAYS[method](Reduced.of(target)))
    scale, best = cost(ways[len(ways) // 3]), np.inf  # from which all are tried with as many samples
    way = min(ways, key=cost) if method == "hmc" else climb(cost, ways)
    if best == np.inf:
        return _need(target, method, w2, None, (np.inf, np.inf, np.inf))
    return _need(target, method, w2, way, within(way.start(samples(method, way, best), 1), w2, LONGEST))


def _need(
    target: Gaussian, method: str, w2: float, way: Way | None, found: tuple[float, float, float]
) -> Need:
    low, nfe, high = (one if np.isfinite(one) else NAN for one in found)
    h, friction = (NAN, NAN) if way is None else (way.h, way.friction)
    return Need(method, target.dim, target.condition, w2, target.distance, nfe, h, friction, NAN, low, high)


def needs_of(method: str, condition: int, dims: Sequence[int], w2: float) -> list[Need]:
    """Measure the evaluations for an error in each dimension that is studied."""
    targets = (Gaussian(dim, condition) for dim in dims)
    return [need_of(method, target, w2) for target in targets if studied(method, target)]


def studied(method: str, target: Gaussian) -> bool:
    """Return whether it can be: samples need a whole number of coordinates of each precision."""
    whole = method == "zig-zag" or target.dim % len(np.unique(target.precisions)) == 0
    return whole and (target.dim > 1 or target.condition == 1)


def least_of(method: str, condition: int, dim: int, budgets: Sequence[int]) -> list[Least]:
    """Measure the least error for each number of evaluations."""
    target, budgets = Gaussian(dim, condition), sorted(budgets)
    if not studied(method, target):
        return []
    if method == "zig-zag":
        law = ZigZag(target)
        exact = {nfe: law.least(nfe) for nfe in budgets}
        return [Least(method, dim, condition, n, w2, NAN, NAN, NAN, w2, w2) for n, w2 in exact.items()]
    ways, out = list(WAYS[method](Reduced.of(target))), []
    errors = [_errors(way.start(samples(method, way, budgets[-1]) // FEWER, 0), budgets) for way in ways]
    for at, nfe in enumerate(budgets):
        way = ways[int(np.argmin([found[at][-1] for found in errors]))]
        low, w2, high = _errors(way.start(samples(method, way, nfe), 1), [nfe])[0]
        out.append(Least(method, dim, condition, nfe, w2, way.h, way.friction, NAN, low, high))
    return out


def _errors(sampler: Sampler, budgets: Sequence[int]) -> list[tuple[float, ...]]:
    """Return W2 after each number of evaluations, rising ones, between what is sure of it to each side."""
    out = []
    for nfe in budgets:
        sampler.until(nfe)
        value, error = sampler.w2_squared()
        out.append(tuple(float(np.sqrt(max(value + side * error, 0.0))) for side in (-SURE, 0.0, SURE)))
    return out
