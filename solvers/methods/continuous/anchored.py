"""What samplers on bridges and on mean-reverting diffusions share: a second register with y, and plain coordinates.

The sample is y at first; the first step keeps it as register 1, where it stays. x_t - k(t) y is a plain path's sample
(`analytic/paths/anchored.py`): a plain sampler on that path becomes one here by a change of coordinates, and asks the
same model, which for data that depend on y is that of the law of x_0 given y.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture

from ...continuous.executors.arrays import run
from ...continuous.tableau import Block, Tableau
from ...continuous.trace import Level, Run, Trace

Array = NDArray[np.float64]


def settled(tableau: Tableau, path: Any, **options: Any) -> Tableau:
    """Return a tableau written on the plain path as one on the path itself, whose sample is y at first."""
    last = tableau.grid[-1]
    return replace(
        tableau,
        path=path,
        start=(0.0, path.spread),
        end=(float(path.alpha(last)), float(path.sigma(last))),
        prior_deviation=path.spread,
        stochasticity=None,  # of x alone no equation is followed
        options=options,
    )


def anchored(first: Trace, plain: Tableau, path: Any, **options: Any) -> Tableau:
    """Return the tableau of a first step, which leaves (x, y), and of a plain sampler from there on.

    Parameters
    ----------
    first : Trace
        On the whole grid, with the first step written.
    plain : Tableau
        On the plain path, from where the first step ends.
    path : paths.Bridge or paths.MeanReverting
    **options
        Kept for the record.
    """
    begun = first.tableau()
    blocks = tuple(_with_anchor(block, path) for block in plain.blocks)
    return settled(replace(begun, name=plain.name, blocks=(*begun.blocks, *blocks)), path, **options)


def _with_anchor(block: Block, path: Any) -> Block:
    """Write a block in x = u + k y, where it had u: y is register 1, others move up by one."""
    now, then = (path.anchor(block.span[:, side])[:, None] for side in (0, 1))

    def moved(table: Array) -> Array:
        return np.concatenate([table[..., :1], (-now * table[..., 0])[..., None], table[..., 1:]], axis=2)

    def with_row(table: Array) -> Array:
        return np.concatenate([table[:, :1], np.zeros_like(table[:, :1]), table[:, 1:]], axis=1)

    V = with_row(moved(block.V))
    V[:, 0, 1] += then[:, 0]
    V[:, 1, 1] = 1.0
    return replace(block, U=moved(block.U), V=V, B=with_row(block.B), H=with_row(block.H))


def prior_mean(step: Run) -> Any:
    """E[x_0] given y alone: the denoiser at the level (0, 1), where the observation says nothing."""
    (y,) = step.registers
    nothing = np.zeros_like(step.now.t)
    return step.denoise(0.0 * y, Level(step.now.t, nothing, nothing + 1, nothing - np.inf))


def at_the_origin(tableau: Tableau, target: Any) -> tuple[Tableau, GaussianMixture, GaussianMixture]:
    """Return the sampler given y = 0, which is one of x alone, a law for it to start from, and the true law of its end.

    A first step that adds noise at its end is left out, for the Gaussian that it leaves; one whose noise a model sees
    is kept, without the sample before it.

    Parameters
    ----------
    tableau : Tableau
        On a bridge or a mean-reverting path, of two steps or more.
    target : GaussianMixture

    Returns
    -------
    Tableau
        On the plain path, without the register of y.
    GaussianMixture
        Where that starts.
    GaussianMixture
        Law of x at the grid's end given y = 0.

    Raises
    ------
    ValueError
        A tableau of one step, of which nothing would be left.
    """
    first, *rest = tableau.blocks
    if not rest:
        raise ValueError(f"tableau is {tableau!r} of one step: give a grid with more")
    blocks = [
        replace(
            block,
            U=np.delete(block.U, 1, axis=2),
            V=np.delete(np.delete(block.V, 1, axis=1), 1, axis=2),
            B=np.delete(block.B, 1, axis=1),
            H=np.delete(block.H, 1, axis=1),
        )
        for block in rest
    ]
    none = np.zeros((1, target.dim))
    if np.any(first.G):
        kept = replace(first, U=0 * first.U, V=0 * first.V[:, :1], B=first.B[:, :1], H=first.H[:, :1])
        blocks, mean, variance = [kept, *blocks], none, tableau.prior_deviation**2
    else:
        alone = replace(tableau, blocks=(first,))
        mean = run(alone, target, none, noise=np.zeros((len(alone.channels), *none.shape)))
        variance = float(np.sum(first.H[-1, 0] ** 2))
    path: Any = tableau.path
    start, end = (
        (float(path.plain.alpha(t)), float(path.plain.sigma(t)))
        for t in (rest[0].span[0, 0], tableau.grid[-1])
    )
    grid = tableau.grid[tableau.grid <= blocks[0].span[0, 0]]
    without = replace(tableau, blocks=tuple(blocks), grid=grid, path=path.plain, start=start, end=end)
    return without, GaussianMixture([1.0], mean, variance), target.noised(*end)
