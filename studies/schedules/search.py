"""The search study: which order and prediction to take in each step, found by exact errors.

Unified sampling frameworks choose a solver's parts step by step, by a network that guesses the error (Liu et al. 2023).
With exact laws an error costs milliseconds: few steps are searched whole, more of them one step at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, paths
from solvers import catalogue

from ..laws import MEASURED, error, sharpest
from ..numbers import OUTCOME
from .grids import made

Array = NDArray[np.float64]
Choice = tuple[int, str]
CHOICES: tuple[Choice, ...] = ((1, "data"), (2, "data"), (2, "noise"), (3, "data"), (3, "noise"))
STEPS = (5, 8)
GRIDS = ("log-snr", "karras 7", "power")
WHOLE = 1000  # as many candidates are all tried
UNIFORM, FOUND = "uniform", "found"


@dataclass(frozen=True)
class Searched:
    """The error of one solver on one target.

    Attributes
    ----------
    target, on : str
        The target searched for, and the one measured on.
    grid : str
    steps, tried : int
        `tried`: errors asked for in the search.
    which : str
        "uniform", the best with one choice for all steps, or "found".
    solver : str
        A letter and a number a step: d2 is two nodes of data predictions, n3 three of noise predictions, 1 DDIM.
    metric : str
    error : float
    status, reason : str
    """

    target: str
    on: str
    grid: str
    steps: int
    tried: int = field(metadata=OUTCOME)
    which: str
    solver: str = field(metadata=OUTCOME)
    metric: str
    error: float
    status: str = MEASURED
    reason: str = ""


def written(choices: Sequence[Choice]) -> str:
    """Write a solver as tables have it."""
    return " ".join("1" if nodes == 1 else f"{predict[0]}{nodes}" for nodes, predict in choices)


class Search:
    """Errors of solvers on one target and grid, each computed once."""

    def __init__(self, path: paths.Gaussian, nodes: Array, target: GaussianMixture) -> None:
        self.path, self.nodes, self.target = path, nodes, target
        self.known: dict[tuple[Choice, ...], float] = {}

    @property
    def steps(self) -> int:
        """Steps of the grid."""
        return len(self.nodes) - 1

    def effective(self, choices: Sequence[Choice]) -> tuple[Choice, ...]:
        """Return the choices that are taken: a step has no more nodes than there are before it."""
        taken = [(min(nodes, place + 1), predict) for place, (nodes, predict) in enumerate(choices)]
        return tuple((1, "data") if nodes == 1 else (nodes, predict) for nodes, predict in taken)

    def error(self, choices: Sequence[Choice]) -> float:
        """Return the exact error of a solver; infinite where it is unstable."""
        key = self.effective(choices)
        if key not in self.known:
            counts, predictions = zip(*key, strict=True)
            method = catalogue["scheduled-adams"]
            tableau = method.tableau(self.path, self.nodes, nodes=counts, predict=predictions)
            found = error(tableau, self.target)
            self.known[key] = found.value if found.status == MEASURED else np.inf
        return self.known[key]

    def uniform(self) -> tuple[Choice, ...]:
        """Return the best solver with one choice for all steps."""
        candidates = [self.effective([choice] * self.steps) for choice in CHOICES]
        return min(candidates, key=self.error)

    def best(self) -> tuple[Choice, ...]:
        """Return the best solver: of all if they are few, else one no change of a single step makes better."""
        places = [sorted({self.effective([c] * self.steps)[i] for c in CHOICES}) for i in range(self.steps)]
        if prod(map(len, places)) <= WHOLE:
            return min(itertools.product(*places), key=self.error)
        ends = [self._descended(self.effective([choice] * self.steps), places) for choice in CHOICES]
        return min(ends, key=self.error)

    def _descended(self, start: tuple[Choice, ...], places: Sequence[Sequence[Choice]]) -> tuple[Choice, ...]:
        while True:
            others = [(*start[:i], choice, *start[i + 1 :]) for i, row in enumerate(places) for choice in row]
            ahead = min(others, key=self.error)
            if self.error(ahead) >= self.error(start):
                return start
            start = ahead


def by_search(
    name: str,
    target: GaussianMixture,
    path: paths.Gaussian,
    others: Mapping[str, GaussianMixture],
    steps: int,
) -> Iterator[Searched]:
    """Search for a target on each grid, and measure what is found on it and on the others."""
    hand = made(path, steps)
    for grid in GRIDS:
        nodes = hand[grid]
        if isinstance(nodes, ValueError):
            continue
        search = Search(path, nodes, target)
        found = search.best()
        for on, law in {name: target, **others}.items():
            there = search if on == name else Search(path, nodes, law)
            for which, solver in ((UNIFORM, there.uniform()), (FOUND, found)):
                size = there.error(solver)
                failed = not np.isfinite(size)
                yield Searched(
                    name,
                    on,
                    grid,
                    steps,
                    len(search.known),
                    which,
                    written(solver),
                    sharpest(law),
                    float("nan") if failed else size,
                    "unstable" if failed else MEASURED,
                    "no error is finite" if failed else "",
                )
