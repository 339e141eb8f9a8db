"""Chains that are corrected by Metropolis and Hastings, and so keep the target exactly: MALA and HMC."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..protocols import Path
from .loop import Outcome, Problem, catalogue, everyone

Floats = NDArray[np.float64]


def _problem(path: Path, grid: ArrayLike, model: Any, x: Any) -> Problem:
    if not hasattr(model, "log_density"):
        raise TypeError(
            f"model is {model!r}: give a Gaussian mixture, whose density decides what is accepted"
        )
    return Problem(path, grid, model, np.asarray(x, dtype=np.float64), "langevin")


@catalogue.loop(
    "mala",
    promise="keeps the target exactly",
    source="Besag 1994; Roberts and Tweedie 1996, section 1.4.2",
    process="langevin",
)
def mala(path: Path, grid: ArrayLike, model: Any, x: Any, seed: int = 0) -> Outcome:
    """Steps of unadjusted Langevin, accepted by Metropolis and Hastings: x' ~ N(x + h score(x), 2h I).

    One evaluation a step, of score and density at once, and one at the start.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) array
    model : Gaussian mixture
        TypeError for what has no density.
    x : (n, dim) array
        On the CPU.
    seed : int

    References
    ----------
    Besag 1994 (in the discussion of Grenander and Miller); Roberts and Tweedie 1996, section 1.4.2.
    """
    problem = _problem(path, grid, model, x)
    rng, x = np.random.default_rng(seed), problem.x
    accepted = everyone(problem.n, 0)
    slope, height = model.score(x), model.log_density(x)
    for now, then in pairwise(problem.grid.tolist()):
        h = now - then
        on = x + h * slope + np.sqrt(2 * h) * rng.standard_normal(x.shape)
        slope_on, height_on = model.score(on), model.log_density(on)
        back = ((x - on - h * slope_on) ** 2).sum(axis=1) / (4 * h)
        there = ((on - x - h * slope) ** 2).sum(axis=1) / (4 * h)
        taken = np.log(rng.random(problem.n)) < height_on - height + there - back
        x = np.where(taken[:, None], on, x)
        slope = np.where(taken[:, None], slope_on, slope)
        height = np.where(taken, height_on, height)
        accepted += taken
    steps = len(problem.grid) - 1
    return Outcome(x, everyone(problem.n, steps + 1), accepted, steps - accepted, problem.grid)


@catalogue.loop(
    "hmc",
    promise="keeps the target exactly",
    source="Duane, Kennedy, Pendleton and Roweth 1987; Neal 2011, figure 2",
    process="langevin",
)
def hmc(path: Path, grid: ArrayLike, model: Any, x: Any, seed: int = 0, leapfrogs: int = 8) -> Outcome:
    """Hamiltonian Monte Carlo: each interval of the grid is a trajectory of leapfrog steps with a fresh velocity.

    `leapfrogs` evaluations a trajectory and one at the start.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) array
        An interval is how long a trajectory takes, in units where dx = v dt and v ~ N(0, I).
    model : Gaussian mixture
        TypeError for what has no density.
    x : (n, dim) array
        On the CPU.
    seed : int
    leapfrogs : int
        Steps of a trajectory.

    References
    ----------
    Duane, Kennedy, Pendleton and Roweth 1987 (Hybrid Monte Carlo); Neal 2011 (MCMC using Hamiltonian dynamics),
    figure 2.
    """
    if leapfrogs < 1:
        raise ValueError(f"leapfrogs is {leapfrogs}: give 1 or more")
    problem = _problem(path, grid, model, x)
    rng, x = np.random.default_rng(seed), problem.x
    accepted = everyone(problem.n, 0)
    slope, height = model.score(x), model.log_density(x)
    for now, then in pairwise(problem.grid.tolist()):
        h = (now - then) / leapfrogs
        v = rng.standard_normal(x.shape)
        on, slope_on, energy = x, slope, (v**2).sum(axis=1) / 2 - height
        for _ in range(leapfrogs):
            v = v + h / 2 * slope_on
            on = on + h * v
            slope_on = model.score(on)
            v = v + h / 2 * slope_on
        height_on = model.log_density(on)
        energy_on = (v**2).sum(axis=1) / 2 - height_on
        taken = np.log(rng.random(problem.n)) < energy - energy_on
        x = np.where(taken[:, None], on, x)
        slope = np.where(taken[:, None], slope_on, slope)
        height = np.where(taken, height_on, height)
        accepted += taken
    steps = len(problem.grid) - 1
    return Outcome(x, everyone(problem.n, leapfrogs * steps + 1), accepted, steps - accepted, problem.grid)
