"""Predictor-corrector with Langevin steps scaled by the norms of noise and score, as published."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..catalogue import catalogue as methods
from ..continuous.executors.arrays import run
from ..numerics.philox import normals
from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue, everyone

BATCH, SAMPLE = "batch", "sample"
_CORRECTOR = 1 << 16  # step numbers of the predictor's noise stay below


@catalogue.loop(
    "predictor-corrector-norm", promise="none: its bias stays", source="Song et al. 2021, Algorithms 4 and 5"
)
def predictor_corrector_norm(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    predictor: str = "reverse-diffusion",
    correctors: int = 1,
    snr: float = 0.16,
    norm: str = "batch",
) -> Outcome:
    """A one-step predictor, then Langevin steps of size 2 (snr |z|/|score|)^2 with the norms as they come.

    `predictor-corrector` has the norms' expectations in their place and is a table of coefficients. As published the
    norms are means over the batch, so that a sample depends on what it is batched with; "sample" takes each its own.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
    model : target, Denoiser or callable
    x : (n, ...) array
    seed : int
    predictor : str
        A one-step method of the catalogue; ValueError for a multistep one.
    correctors : int
        Langevin steps after each step, 0 or more; none at sigma = 0.
    snr : float
        r of the algorithms, > 0.
    norm : str
        "batch" or "sample".

    References
    ----------
    Song et al. 2021, Algorithms 4 and 5; its code for the means over the batch.
    """
    if methods[predictor].multistep:
        raise ValueError(f"predictor is {predictor!r}, a multistep method: give a one-step one")
    if norm not in (BATCH, SAMPLE):
        raise ValueError(f"norm is {norm!r}: use {BATCH!r} or {SAMPLE!r}")
    if not (np.isfinite(snr) and snr > 0) or correctors < 0:
        raise ValueError(
            f"snr is {snr} and correctors is {correctors}: give a positive number, and 0 or more"
        )
    problem = Problem(path, grid, model, x)
    xp, x, n = problem.xp, problem.x, problem.n
    nfe, size = 0, int(np.prod(x.shape[1:]))
    along = (n, *(1,) * (x.ndim - 1))
    for index, (t, s) in enumerate(pairwise(problem.grid.tolist())):
        tableau = methods[predictor].tableau(path, [t, s])
        noise = [normals(seed, n, size, index, c).reshape(x.shape) for c in range(len(tableau.channels))]
        deviates = np.stack(noise) if noise else np.zeros((0, *x.shape))
        x = run(tableau, model, x, noise=xp.asarray(deviates, dtype=x.dtype))
        nfe += tableau.nfe
        alpha, sigma = problem.level(s)
        for j in range(correctors if sigma > 0 else 0):
            score = problem.ask(x, alpha, sigma, 0.0, 1.0)
            z = xp.asarray(normals(seed, n, size, index, _CORRECTOR + j).reshape(x.shape), dtype=x.dtype)
            lengths = [xp.sqrt(xp.sum(xp.reshape(values, (n, -1)) ** 2, axis=1)) for values in (z, score)]
            if norm == BATCH:
                lengths = [xp.mean(length) for length in lengths]
            step = 2 * (snr * lengths[0] / lengths[1]) ** 2
            step = xp.reshape(step, along) if norm == SAMPLE else step
            x = x + step * score + xp.sqrt(2 * step) * z
            nfe += 1
    steps = len(problem.grid) - 1
    return Outcome(x, everyone(n, nfe), everyone(n, steps), everyone(n, 0), problem.grid)
