"""Samplers in the box [0, 1]^d that answer a step over a wall: reflected, projected, or not taken at all."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analytic import fold

from ..catalogue import catalogue as methods
from ..continuous.executors.arrays import run
from ..numerics.philox import normals
from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue, everyone

Answer = Callable[[Any, Array, Array], tuple[Array, Array]]


def _reflect(xp: Any, x: Array, on: Array) -> tuple[Array, Array]:
    return fold(on), xp.ones(on.shape[0], dtype=xp.bool)


def _project(xp: Any, x: Array, on: Array) -> tuple[Array, Array]:
    return xp.clip(on, 0.0, 1.0), xp.ones(on.shape[0], dtype=xp.bool)


def _stay(xp: Any, x: Array, on: Array) -> tuple[Array, Array]:
    inside = xp.reshape((on >= 0) & (on <= 1), (int(on.shape[0]), -1))
    taken = xp.all(inside, axis=1)
    return xp.where(xp.reshape(taken, (-1, *(1,) * (on.ndim - 1))), on, x), taken


def _walk(answer: Answer, path: Path, grid: ArrayLike, model: Any, x: Array, seed: int, step: str) -> Outcome:
    if methods[step].multistep:
        raise ValueError(f"step is {step!r}, a multistep method, which walls interrupt: give a one-step one")
    problem = Problem(path, grid, model, x, noisy=False)
    if np.any(np.asarray(path.alpha(problem.grid)) != 1):
        raise ValueError(
            f"path is {path!r}, whose alpha changes the box: give one with alpha = 1, such as VE"
        )
    xp, x, n = problem.xp, problem.x, problem.n
    if not bool(xp.all((x >= 0) & (x <= 1))):
        raise ValueError("x has points outside the box: give coordinates in [0, 1]")
    size, nfe, accepted = int(np.prod(x.shape[1:])), 0, everyone(n, 0)
    for index, (t, s) in enumerate(pairwise(problem.grid.tolist())):
        tableau = methods[step].tableau(path, [t, s])
        noise = [normals(seed, n, size, index, c).reshape(x.shape) for c in range(len(tableau.channels))]
        deviates = np.stack(noise) if noise else np.zeros((0, *x.shape))
        on = run(tableau, model, x, noise=xp.asarray(deviates, dtype=x.dtype))
        x, taken = answer(xp, x, on)
        accepted += np.asarray(taken, dtype=np.int64)
        nfe += tableau.nfe
    steps = len(problem.grid) - 1
    return Outcome(x, everyone(n, nfe), accepted, steps - accepted, problem.grid)


@catalogue.loop(
    "reflected-euler",
    promise="stays in the box; weak order 1 (Bossy, Gobet and Talay 2004)",
    source="Lou and Ermon 2023 and its sampling.py; Bossy, Gobet and Talay 2004",
)
def reflected_euler(
    path: Path, grid: ArrayLike, model: Any, x: Array, seed: int = 0, step: str = "euler-maruyama"
) -> Outcome:
    """A one-step method in the box, reflected at its walls after every step.

    With a model whose score is odd about the walls, as `analytic.Folded` has it, the same as the method in all of space
    folded once at the end: each method keeps its order. A model that was learned is asked in the box alone.

    Parameters
    ----------
    path : Path
        With alpha = 1, such as VE; ValueError for another.
    grid : (nodes,) array
    model : analytic.Folded, Denoiser or callable
    x : (n, ...) array
        In the box; ValueError if not.
    seed : int
    step : str
        A one-step method of the catalogue; ValueError for a multistep one.

    References
    ----------
    Lou and Ermon 2023 (Reflected diffusion models); Bossy, Gobet and Talay 2004 (A symmetrized Euler scheme for an
    efficient approximation of reflected diffusions), for the order.
    """
    return _walk(_reflect, path, grid, model, x, seed, step)


@catalogue.loop(
    "projected-euler",
    promise="stays in the box; weak order 1/2 (Costantini, Pacchiarotti and Sartoretto 1998)",
    source="Costantini, Pacchiarotti and Sartoretto 1998; as thresholding, Lou and Ermon 2023",
)
def projected_euler(
    path: Path, grid: ArrayLike, model: Any, x: Array, seed: int = 0, step: str = "euler-maruyama"
) -> Outcome:
    """A one-step method in the box, projected onto it after every step: what clipping to the range of pixels does.

    It leaves some of its samples on the walls, in proportion to the root of the last step.

    Parameters
    ----------
    path, grid, model, x, seed, step
        As `reflected_euler`.

    References
    ----------
    Costantini, Pacchiarotti and Sartoretto 1998 (Numerical approximation for functionals of reflecting diffusion
    processes); Lou and Ermon 2023, who show that thresholding discretises a reflected SDE.
    """
    return _walk(_project, path, grid, model, x, seed, step)


@catalogue.loop(
    "metropolis-euler",
    promise="stays in the box; tends to the reflected process, no rate is stated",
    source="Fishman, Klarner, Mathieu, Hutchinson and De Bortoli 2023",
)
def metropolis_euler(
    path: Path, grid: ArrayLike, model: Any, x: Array, seed: int = 0, step: str = "euler-maruyama"
) -> Outcome:
    """A one-step method in the box, whose steps out of it are not taken: a sample stays where it was.

    Needs nothing but a test of who is inside, in any domain.

    Parameters
    ----------
    path, grid, model, x, seed, step
        As `reflected_euler`.

    References
    ----------
    Fishman, Klarner, Mathieu, Hutchinson and De Bortoli 2023 (Metropolis sampling for constrained diffusion models).
    """
    return _walk(_stay, path, grid, model, x, seed, step)
