"""Sums of scores corrected by Markov chains at each level: Langevin steps, accepted or not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..catalogue import catalogue as methods
from ..continuous.composed import Composed
from ..continuous.executors.arrays import run
from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue, everyone


@catalogue.loop(
    "annealed-mcmc",
    promise="the composed law at the grid's end, as chains grow longer (adjust=True)",
    source="Du et al. 2023 (Reduce, reuse, recycle)",
)
def annealed_mcmc(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    chain: int = 4,
    size: float = 0.2,
    adjust: bool = True,
    predictor: str = "ddpm",
) -> Outcome:
    """A step to the next level by a one-step method, then Langevin steps there towards prod_i p_i^powers_i.

    x + eta score + sqrt(2 eta) z with eta = size sigma^2, by Metropolis and Hastings accepted with the composed energy
    (MALA), or always (ULA). Steps of the predictor may be wrong: chains forget them.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
        sigma > 0 at its end, alpha > 0 at its start.
    model : Composed
        Of Gaussian mixtures, whose energies are known; TypeError if not.
    x : (n, dim) array
        On the CPU.
    seed : int
    chain : int
        Langevin steps at each level; accepted chains take two energies and one evaluation a step.
    size : float
        Of a step, in units of sigma^2; positive.
    adjust : bool
    predictor : str
        A one-step method of the catalogue; ValueError for a multistep one.

    Returns
    -------
    Outcome
        `rejected` are Langevin steps.

    References
    ----------
    Du et al. 2023 (Reduce, reuse, recycle: compositional generation with energy-based diffusion models and MCMC).
    """
    if not isinstance(model, Composed) or not all(hasattr(part, "noised") for part in model.parts):
        raise TypeError(
            f"model is {model!r}: give Composed(...) of Gaussian mixtures, whose energies are known"
        )
    if methods[predictor].multistep:
        raise ValueError(f"predictor is {predictor!r}, a multistep method: give a one-step one")
    if chain < 0 or not (np.isfinite(size) and size > 0):
        raise ValueError(f"chain is {chain} and size is {size}: give 0 or more steps of a positive size")
    problem = Problem(path, grid, model, np.asarray(x, dtype=np.float64))
    rng, x, n = np.random.default_rng(seed), problem.x, problem.n
    rejected, nfe = everyone(n, 0), 0
    for t, s in pairwise(problem.grid.tolist()):
        tableau = methods[predictor].tableau(path, [t, s])
        x = np.asarray(run(tableau, model, x, noise=rng.standard_normal((len(tableau.channels), *x.shape))))
        nfe += tableau.nfe
        level = problem.level(s)
        if level[1] == 0:
            break
        eta = size * level[1] ** 2
        slope = np.asarray(problem.ask(x, *level, 0.0, 1.0)) if chain else x
        energy = model.log_density(x, *level) if adjust and chain else np.zeros(n)
        for _ in range(chain):
            ahead = x + eta * slope + np.sqrt(2 * eta) * rng.standard_normal(x.shape)
            there = np.asarray(problem.ask(ahead, *level, 0.0, 1.0))
            nfe += 1
            if adjust:
                above = model.log_density(ahead, *level)
                back = ((x - ahead - eta * there) ** 2).sum(axis=1)
                on = ((ahead - x - eta * slope) ** 2).sum(axis=1)
                taken = np.log(rng.random(n)) < above - energy + (on - back) / (4 * eta)
                rejected += ~taken
                ahead, there = np.where(taken[:, None], ahead, x), np.where(taken[:, None], there, slope)
                energy = np.where(taken, above, energy)
            x, slope = ahead, there
    steps = (len(problem.grid) - 1) * (1 + chain)
    return Outcome(x, everyone(n, nfe), everyone(n, steps) - rejected, rejected, problem.grid)
