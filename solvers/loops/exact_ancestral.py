"""The reverse kernel itself: exact samples of x_s given x_t, for a Gaussian mixture."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..numerics.reverse_step import reverse_step
from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue, everyone


@catalogue.loop(
    "exact-ancestral",
    promise="the exact law on any grid",
    source="Bayes' rule; Ho, Jain and Abbeel 2020, eq. 6",
)
def exact_ancestral(path: Path, grid: ArrayLike, model: Any, x: Array, seed: int = 0) -> Outcome:
    """Ancestral sampling with x_0 drawn from its posterior, where DDPM takes its mean: exact in any number of steps.

    The posterior of a mixture is a mixture: a component is drawn, then x_0 within it, then x_s from q(x_s | x_t, x_0).
    A Gaussian reverse kernel, whatever its variance, cannot do this (Soft Mixture Denoising's point). One evaluation of
    the whole posterior a step.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
    model : Gaussian mixture
        TypeError for anything else: a denoiser does not know the posterior.
    x : (n, dim) array
        On the CPU; at the level of the grid's first node.
    seed : int

    Returns
    -------
    Outcome

    References
    ----------
    Ho, Jain and Abbeel 2020, eq. 6 and 7, for q(x_s | x_t, x_0).
    """
    if not hasattr(model, "means") or not hasattr(model, "weights"):
        raise TypeError(f"model is {model!r}: give a Gaussian mixture, whose posterior is known")
    problem = Problem(path, grid, model, np.asarray(x, dtype=np.float64))
    rng, x = np.random.default_rng(seed), problem.x
    means, variances = np.asarray(model.means), np.asarray(model.variances)
    turns = None if model.rotations is None else np.asarray(model.rotations)
    for t, s in pairwise(problem.grid.tolist()):
        a, b = problem.level(t)
        gap = x[:, None] - a * means
        if turns is not None:
            gap = np.einsum("kde,nkd->nke", turns, gap)
        total = a**2 * variances + b**2
        logits = np.log(model.weights) - (gap**2 / total + np.log(total)).sum(axis=2) / 2
        # the Gumbel trick draws a component of each posterior
        k = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
        rows = np.arange(problem.n)
        inside = a * variances[k] / total[k] * gap[rows, k]
        inside = inside + np.sqrt(variances[k] * b**2 / total[k]) * rng.standard_normal(x.shape)
        x0 = means[k] + (inside if turns is None else np.einsum("nde,ne->nd", turns[k], inside))
        of_x, of_data, deviation = reverse_step((a, b), problem.level(s))
        x = of_x * x + of_data * x0 + deviation * rng.standard_normal(x.shape)
    steps = len(problem.grid) - 1
    n = problem.n
    return Outcome(x, everyone(n, steps), everyone(n, steps), everyone(n, 0), problem.grid)
