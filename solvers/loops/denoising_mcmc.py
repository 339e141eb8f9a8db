"""Denoising MCMC: a Markov chain over samples and their noise levels, and a short integration from where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import grids
from ..catalogue import catalogue as methods
from ..continuous.executors.arrays import run
from ..protocols import Path
from .loop import Outcome, Problem, catalogue, everyone

Floats = NDArray[np.float64]
LAST, LEAST = "last", "least"


@catalogue.loop(
    "denoising-mcmc",
    promise="the law at the grid's end, as the chain mixes and its method's steps grow",
    source="Kim and Ye 2023 (Denoising MCMC), denoising Langevin Gibbs, and its code",
)
def denoising_mcmc(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Any,
    seed: int = 0,
    sweeps: int = 40,
    eta: float = 0.5,
    levels: int = 48,
    adjust: bool = False,
    keep: str = "last",
    method: str = "heun",
    steps: int = 10,
) -> Outcome:
    """Denoising Langevin Gibbs: Langevin steps of z = x/alpha at its level, draws of the level given z, then a solver.

    The chain is on pairs (z, kappa) with the density p_kappa(z), levels equal in log kappa between the grid's ends. It
    starts, as the paper's does, from samples of `method`, noised to a level drawn for each. A sample that is at a low
    level has little left to denoise: `method` takes it from there to the grid's end on Karras' levels. p(kappa | z), a
    trained classifier in the paper, is known here.

    Parameters
    ----------
    path : Path
    grid : (2 or more,) array
        Its ends are used; sigma > 0 at both.
    model : Gaussian mixture
        TypeError for what has no density.
    x : (n, dim) array
        On the CPU; at the level of the grid's first node.
    seed : int
    sweeps : int
        Pairs of a Langevin step and a draw of the level.
    eta : float
        Size of a Langevin step z + eta/2 score + sqrt(eta) noise, the same at all levels.
    levels : int
    adjust : bool
        Accept Langevin steps by Metropolis and Hastings, so that the chain has the right law; not so as published.
    keep : str
        "last" state of the chain, or the one of the "least" noise in its second half; as published, the least, which
        chooses by what the draws are.
    method : str
        A method without noise, that takes `steps` steps.

    Returns
    -------
    Outcome
        NFE is of the start, the chain and the way to the end; times differ, so that there are none.

    References
    ----------
    Kim and Ye 2023 (Denoising MCMC for accelerating diffusion-based generative models), Algorithm 1.
    """
    if keep not in (LAST, LEAST):
        raise ValueError(f"keep is {keep!r}: use {LAST!r} or {LEAST!r}")
    for name, value, least in (("sweeps", sweeps, 0), ("levels", levels, 2), ("steps", steps, 1)):
        if value < least:
            raise ValueError(f"{name} is {value}: give {least} or more")
    if not (np.isfinite(eta) and eta > 0):
        raise ValueError(f"eta is {eta}: give a positive number")
    if not hasattr(model, "noised"):
        raise TypeError(f"model is {model!r}: give a Gaussian mixture, whose density at every level is known")
    problem = Problem(path, grid, model, np.asarray(x, dtype=np.float64))
    ends = problem.grid[[0, -1]]
    if not np.isfinite(path.log_snr(ends)).all():
        raise ValueError(
            f"grid runs from {ends[0]:g} to {ends[1]:g}: levels need alpha > 0 and sigma > 0 at both"
        )
    low, high = path.log_snr(ends).tolist()
    lambdas = np.linspace(low, high, levels)
    kappas = np.exp(-lambdas)
    marginals = [model.noised(1.0, float(kappa)) for kappa in kappas]
    rng = np.random.default_rng(seed)

    def denoised(y: Floats, t: float) -> tuple[Floats, int]:
        """Take z from a time to the grid's end; the sample there, and the evaluations it took."""
        tableau = methods[method].tableau(path, grids.karras(path, steps, start=t, stop=float(ends[1])))
        if tableau.channels:
            raise ValueError(f"method is {method!r}, which draws noise: give one of the flow")
        return np.asarray(run(tableau, model, tableau.start[0] * y)), tableau.nfe

    z, asked = denoised(problem.x / problem.level(float(ends[0]))[0], float(ends[0]))
    z = z / problem.level(float(ends[1]))[0]
    at = rng.integers(levels, size=problem.n)
    z = z + np.sqrt(kappas[at] ** 2 - kappas[-1] ** 2)[:, None] * rng.standard_normal(z.shape)

    def each(places: Floats, ask: Any) -> Floats:
        """Ask each sample's own level; one evaluation each."""
        out: Floats | None = None
        for level in np.unique(at):
            rows = at == level
            part = np.asarray(ask(marginals[level], places[rows]))
            out = np.empty((problem.n, *part.shape[1:])) if out is None else out
            out[rows] = part
        assert out is not None
        return out

    def score(places: Floats) -> Floats:
        return each(places, lambda law, y: law.score(y))

    kept, kept_at = z, at
    slope = score(z)
    for sweep in range(sweeps):
        ahead = z + eta / 2 * slope + np.sqrt(eta) * rng.standard_normal(z.shape)
        asked += 1
        if adjust:
            there = score(ahead)
            asked += 1
            ratio = each(ahead, lambda law, y: law.log_density(y)) - each(
                z, lambda law, y: law.log_density(y)
            )
            back = ((z - ahead - eta / 2 * there) ** 2).sum(axis=1)
            on = ((ahead - z - eta / 2 * slope) ** 2).sum(axis=1)
            taken = np.log(rng.random(problem.n)) < ratio + (on - back) / (2 * eta)
            ahead = np.where(taken[:, None], ahead, z)
        z = ahead
        # the Gumbel trick draws a level of each posterior
        logits = np.stack([law.log_density(z) for law in marginals], axis=1)
        at = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
        slope = score(z)
        if keep == LAST or sweep < sweeps // 2:
            kept, kept_at = z, at
        else:
            better = at > kept_at
            kept, kept_at = np.where(better[:, None], z, kept), np.where(better, at, kept_at)
    nfe = everyone(problem.n, asked)
    out = problem.level(float(ends[1]))[0] * kept
    for level in np.unique(kept_at):
        rows = kept_at == level
        if level < levels - 1:
            start = float(ends[0]) if level == 0 else float(path.time_of_log_snr(lambdas[level]))
            out[rows], used = denoised(kept[rows], start)
            nfe[rows] += used
    return Outcome(out, nfe, everyone(problem.n, sweeps), everyone(problem.n, 0), None)
