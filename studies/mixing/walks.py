"""Moments of samplers of Langevin dynamics on Gaussians N(0, 1/k), after any number of equal steps.

Along each eigenvector a step maps first moments m of its registers to A m and second ones s to L s + q, be its
coefficients fixed, where L = A (x) A, or drawn, where A, L and q are averages over the draw. So n steps take log n
products of small matrices. Samplers start one deviation off the mean along every eigenvector: from the mean itself,
what is left of the start and the bias of the steps would cancel for a moment. The law of a method of fixed coefficients
is Gaussian, and W2 is exact; that of a random midpoint is a mixture with these moments, and what they give is a lower
bound of its W2 (Gelbrich 1990).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, paths
from solvers import catalogue
from solvers.continuous.executors.stationary import StepMap, step_map
from solvers.loops.randomized_midpoint import kinetic_moments, overdamped_moments

Array = NDArray[np.float64]
STEPS = 4  # of a tableau that shows the first step, one that is repeated, and the last
MOST = 50  # doublings


State = tuple[Array, Array]  # first and second moments of the registers about the target's mean


@dataclass(frozen=True)
class Moments:
    """Affine maps m -> A m of first and s -> L s + q of second moments, along each eigenvector.

    Attributes
    ----------
    A : (dim, out, into) float64 array
    L : (dim, out^2, into^2) float64 array
    q : (dim, out^2) float64 array
    """

    A: Array
    L: Array
    q: Array

    def __call__(self, state: State) -> State:
        """Apply them to (dim, into) first and (dim, into^2) second moments."""
        m, s = state
        return (self.A @ m[:, :, None])[:, :, 0], (self.L @ s[:, :, None])[:, :, 0] + self.q

    def twice(self) -> Moments:
        """Return two of them, one after the other."""
        return Moments(self.A @ self.A, self.L @ self.L, (self.L @ self.q[:, :, None])[:, :, 0] + self.q)


@dataclass(frozen=True)
class Walk:
    """A sampler of equal steps: where it starts, its first step, the one it repeats, its last, and what each costs."""

    start: State
    first: Moments
    middle: Moments
    last: Moments
    cost: tuple[int, int, int]

    def nfe(self, steps: int) -> int:
        """Evaluations of so many steps, 2 or more."""
        return self.cost[0] + (steps - 2) * self.cost[1] + self.cost[2]

    def steps(self, nfe: int) -> int:
        """Return the most steps that so many evaluations pay for, at least 2."""
        return 2 + max(0, nfe - self.cost[0] - self.cost[2]) // self.cost[1]

    @cached_property
    def stationary(self) -> tuple[Array, float]:
        """Variances that stay, (dim,), nan if none do, and the factor by which a step takes moments nearer."""
        factor = float(np.abs(np.linalg.eigvals(self.middle.L)).max())
        dim, size = self.middle.q.shape
        if not factor < 1:
            return np.full(dim, np.nan), factor
        stays = np.linalg.solve(np.eye(size) - self.middle.L, self.middle.q[:, :, None])
        return np.asarray(stays[:, 0, 0], dtype=np.float64), factor

    def law(self, steps: int) -> State:
        """Mean and variance of x after so many steps, 2 or more, from one deviation off the target's mean."""
        state, power, left = self.first(self.start), self.middle, steps - 2
        while left:
            if left % 2:
                state = power(state)
            power, left = power.twice(), left // 2
        return self._ended(state)

    def least(self, far: Callable[[Array, Array], bool]) -> int | None:
        """Return the fewest steps, 2 or more, after which mean and variance are no longer `far`; None if they stay so.

        By bisection, as if they came nearer all the time.
        """
        powers = [self.middle]
        state, steps = self.first(self.start), 2
        if not far(*self._ended(state)):
            return 2
        while far(*self._ended(powers[-1](state))):
            if len(powers) > MOST:
                return None
            powers.append(powers[-1].twice())
        for place in range(len(powers) - 2, -1, -1):
            on = powers[place](state)
            if far(*self._ended(on)):
                state, steps = on, steps + 2**place
        return steps + 1

    def _ended(self, state: State) -> State:
        m, s = self.last(state)
        return m[:, 0], s[:, 0] - m[:, 0] ** 2


def walk_of(method: str, h: float, friction: float, precision: Array) -> Walk:
    """Return a method's walk in steps of h; methods without a velocity have no friction.

    Raises ValueError for a method that is none of `METHODS`.
    """
    if method in RANDOM:
        return RANDOM[method](h, friction, precision)
    options: dict[str, Any] = {"friction": friction} if kinetic(method) else {}
    tableau = catalogue[method].tableau(
        paths.Langevin(STEPS * h), np.linspace(STEPS * h, 0, STEPS + 1), **options
    )
    target = GaussianMixture([1.0], np.zeros((1, len(precision))), 1 / precision[None])
    places = (0, 1, STEPS - 1)
    first, middle, last = (_moments(step_map(tableau, target, place)) for place in places)
    stages = [block.stages for block in tableau.steps]
    off = 1 / np.sqrt(precision)[:, None]
    return Walk((off, off**2), first, middle, last, (stages[0], stages[1], stages[-1]))


def kinetic(method: str) -> bool:
    """Return whether a method has a velocity, and so a friction."""
    return method == "randomized-midpoint" or (
        method in catalogue and "friction" in catalogue[method].options
    )


def _moments(step: StepMap) -> Moments:
    dim, out, into = step.gain.shape
    twice = np.einsum("dij,dkl->dikjl", step.gain, step.gain).reshape(dim, out * out, into * into)
    return Moments(step.gain, twice, step.noise.reshape(dim, out * out))


def _random(middle: Moments, precision: Array) -> Walk:
    """Return the walk of a step that is its own first and last; a velocity starts from N(0, 1)."""
    off = 1 / np.sqrt(precision)
    m, s = np.zeros_like(middle.A[:, :, 0]), np.zeros_like(middle.q)
    m[:, 0], s[:, 0] = off, off**2
    if s.shape[1] > 1:
        s[:, -1] = 1.0
    return Walk((m, s), middle, middle, middle, (2, 2, 2))


RANDOM: dict[str, Callable[[float, float, Array], Walk]] = {
    "randomized-midpoint": lambda h, friction, k: _random(Moments(*kinetic_moments(h, friction, k)), k),
    "randomized-midpoint-overdamped": lambda h, friction, k: _random(Moments(*overdamped_moments(h, k)), k),
}
METHODS = (*catalogue.on("langevin"), *RANDOM)
