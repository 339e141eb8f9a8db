"""Whether samplers that keep the target do, on a mixture: what their samples show, and what they would show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from analytic import paths, targets
from solvers import catalogue, grids, loops, sample

Array = NDArray[np.float64]
TARGET, SAMPLES, TIME = "easy-1d", 200_000, 30.0
SEEDS = 11, 12  # of where samples start and of how they go on
# options, and into how many steps the time is cut
RUNS: dict[str, tuple[dict[str, Any], int]] = {
    "mala": ({}, 120),
    "hmc": ({"leapfrogs": 4}, 20),
    "zig-zag": ({}, 1),
    "bouncy-particle": ({}, 1),
}
CONTROL = "ula"  # in the steps of MALA
FALSE_ALARM, POWER = 1e-3, 0.99  # of a table of all of them, and of what it says to be seen
VALUES = ("mean", "variance", "weight left of the mean")


@dataclass(frozen=True)
class Unbiased:
    """z-scores of samples that start from the target and go on for a time.

    Attributes
    ----------
    method : str
    samples : int
    nfe : float
        Evaluations, on average.
    scores : tuple of float
        Of the mean, the variance about the true mean, and the weight left of it.
    allowed : float
        Beyond it one of the scores is no accident.
    seen : tuple of float
        By how much each must be off to be seen: the mean in deviations, the variance relative, the weight as is.
    """

    method: str
    samples: int
    nfe: float
    scores: tuple[float, ...]
    allowed: float
    seen: tuple[float, ...]

    @property
    def biased(self) -> bool:
        """Whether one of the scores is beyond what is allowed."""
        return max(abs(score) for score in self.scores) > self.allowed


def unbiased(method: str) -> list[Unbiased]:
    """Run a sampler from the target's own law."""
    options, steps = RUNS["mala" if method == CONTROL else method]
    target, path = targets.load(TARGET), paths.Langevin(TIME)
    grid = grids.uniform(path, steps)
    if method == CONTROL:
        tableau = catalogue[method].tableau(path, grid)
        x, nfe = sample(tableau, target, SAMPLES, SEEDS[1]), float(tableau.nfe)
    else:
        start = target.sample(SAMPLES, seed=SEEDS[0])
        found = loops.catalogue[method].solve(path, grid, target, start, seed=SEEDS[1], **options)
        x, nfe = found.x, float(np.mean(found.nfe))
    return [judged(method, x[:, 0], nfe)]


def judged(method: str, x: Array, nfe: float) -> Unbiased:
    """Hold samples, (n,), against the target."""
    target = targets.load(TARGET)
    centre, variance = float(target.mean()[0]), float(target.covariance()[0, 0])
    left = float(target.cdf(np.array([centre]))[0])
    scale = np.array([np.sqrt(variance), variance, 1.0])
    values = np.stack([x - centre, (x - centre) ** 2, x < centre], axis=1)
    error = values.std(axis=0) / np.sqrt(len(x))
    scores = (values.mean(axis=0) - np.array([0.0, variance, left])) / error
    allowed = float(-ndtri(FALSE_ALARM / (2 * len(VALUES) * len(RUNS))))
    seen = (allowed + float(ndtri(POWER))) * error / scale
    return Unbiased(method, len(x), nfe, tuple(scores.tolist()), allowed, tuple(seen.tolist()))
