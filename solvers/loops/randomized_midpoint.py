"""Langevin steps whose score is taken at a random time of the step, which makes its integral right on average."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..numerics.velocity import free_flow
from ..protocols import Path
from .loop import Outcome, Problem, catalogue, everyone

Floats = NDArray[np.float64]
NODES = 24


@catalogue.loop(
    "randomized-midpoint",
    promise="W2 within e sqrt(d/m) in O~(k^(7/6)/e^(1/3) + k/e^(2/3)) steps at condition number k (Shen and Lee 2019)",
    source="Shen and Lee 2019, Algorithm 1",
    process="langevin",
)
def randomized_midpoint(
    path: Path, grid: ArrayLike, model: Any, x: Any, seed: int = 0, friction: float = 2.0
) -> Outcome:
    """Kinetic Langevin dynamics with the score at a uniform time of each step, each sample's own.

    The state at that time is predicted with the score of the step's start; the step is exact but for the score, whose
    kick of size h acts at the random time. Two evaluations a step.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) array
    model : target, Denoiser or callable
    x : (n, dim) array
        On the CPU.
    seed : int
    friction : float
        In the paper 2, in units where the target's largest precision is 1.

    References
    ----------
    Shen and Lee 2019 (The randomized midpoint method for log-concave sampling), Algorithm 1.
    """
    if not (np.isfinite(friction) and friction > 0):
        raise ValueError(f"friction is {friction}: give a positive number")
    problem = Problem(path, grid, model, np.asarray(x, dtype=np.float64), "langevin")
    rng, x = np.random.default_rng(seed), problem.x
    along = (-1, *(1,) * (x.ndim - 1))
    v = rng.standard_normal(x.shape)

    def free(x: Floats, v: Floats, h: Floats) -> tuple[Floats, Floats, Floats]:
        flow = free_flow(friction, h.reshape(along))
        W, B = rng.standard_normal((2, *x.shape))
        return (
            x + flow.moved * v + flow.x_of_w * W + flow.x_of_b * B,
            flow.kept * v + flow.v_of_w * W + flow.v_of_b * B,
            flow.pushed,
        )

    for now, then in pairwise(problem.grid.tolist()):
        h = now - then
        part = h * rng.random(problem.n)
        force = problem.ask(x, 1.0, 0.0, 0.0, 1.0)
        x, v, pushed = free(x, v, part)
        v = v + h * problem.ask(x + pushed * force, 1.0, 0.0, 0.0, 1.0)
        x, v, _ = free(x, v, h - part)
    return _taken(problem, x, 2)


@catalogue.loop(
    "randomized-midpoint-overdamped",
    promise="none: its bias stays",
    source="He, Balasubramanian and Erdogdu 2020, eq. 4; Yu, Karagulyan and Dalalyan 2024, RLMC",
    process="langevin",
)
def randomized_midpoint_overdamped(path: Path, grid: ArrayLike, model: Any, x: Any, seed: int = 0) -> Outcome:
    """Overdamped Langevin dynamics with the score at a uniform time of each step, each sample's own.

    x + h score(x + u h score(x) + sqrt(2) W(u h)) + sqrt(2) W(h). Two evaluations a step.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) array
    model : target, Denoiser or callable
    x : (n, dim) array
        On the CPU.
    seed : int

    References
    ----------
    He, Balasubramanian and Erdogdu 2020 (On the ergodicity, bias and asymptotic normality of randomized midpoint
    sampling method); Yu, Karagulyan and Dalalyan 2024.
    """
    problem = Problem(path, grid, model, np.asarray(x, dtype=np.float64), "langevin")
    rng, x = np.random.default_rng(seed), problem.x
    for now, then in pairwise(problem.grid.tolist()):
        h = now - then
        part = h * rng.random(problem.n).reshape(-1, *(1,) * (x.ndim - 1))
        before, after = rng.standard_normal((2, *x.shape))
        before, after = np.sqrt(2 * part) * before, np.sqrt(2 * (h - part)) * after
        middle = x + part * problem.ask(x, 1.0, 0.0, 0.0, 1.0) + before
        x = x + h * problem.ask(middle, 1.0, 0.0, 0.0, 1.0) + before + after
    return _taken(problem, x, 2)


def _taken(problem: Problem, x: Floats, cost: int) -> Outcome:
    steps = len(problem.grid) - 1
    n = problem.n
    return Outcome(x, everyone(n, cost * steps), everyone(n, steps), everyone(n, 0), problem.grid)


def kinetic_moments(h: float, friction: float, precision: Floats) -> tuple[Floats, Floats, Floats]:
    """Return how a step of `randomized-midpoint` maps first and second moments of (x, v) on N(0, 1/precision).

    E[A] and E[A (x) A] over the random time, and E of the noise's covariance q: moments after a step are E[A] m and
    E[A (x) A] s + q, exact by quadrature over the time. The law itself is a mixture over all times, no Gaussian.

    Parameters
    ----------
    h, friction : float
    precision : (dim,) array

    Returns
    -------
    (dim, 2, 2), (dim, 4, 4) and (dim, 4) arrays
    """
    u, weight = _uniform()
    k, part = precision[:, None], h * u
    first, last = free_flow(friction, part), free_flow(friction, h - part)
    one = np.ones_like(k * part)
    # x, v and the four noises before the kick, and the place where it is asked for
    x = np.stack([one, one * first.moved, one * first.x_of_w, one * first.x_of_b, 0 * one, 0 * one], axis=-1)
    v = np.stack(
        [0 * one, one * first.kept, one * first.v_of_w, one * first.v_of_b, 0 * one, 0 * one], axis=-1
    )
    middle = x.copy()
    middle[..., 0] -= first.pushed * k
    v = v - h * k[..., None] * middle
    x = x + last.moved[:, None] * v
    v = last.kept[:, None] * v
    for out, W, B in ((x, last.x_of_w, last.x_of_b), (v, last.v_of_w, last.v_of_b)):
        out[..., 4], out[..., 5] = W, B
    return _averages(np.stack([x, v], axis=-2), weight)


def overdamped_moments(h: float, precision: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the same of a step of `randomized-midpoint-overdamped`: (dim, 1, 1) arrays twice, and (dim, 1)."""
    u, weight = _uniform()
    k, part = precision[:, None], h * u
    before = np.sqrt(2 * part) * (1 - h * k)
    after = np.broadcast_to(np.sqrt(2 * (h - part)), before.shape)
    rows = np.stack([1 - h * k * (1 - part * k), before, after], axis=-1)
    return _averages(rows[..., None, :], weight)


def _uniform() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return (1 + nodes) / 2, weights / 2


def _averages(rows: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Average (dim, nodes, R, R + channels) rows and their products over the nodes."""
    dim, _, R, _ = rows.shape
    A, G = rows[..., :R], rows[..., R:]
    twice = np.einsum("n,dnij,dnkl->dikjl", weight, A, A).reshape(dim, R * R, R * R)
    noise = np.einsum("n,dnic,dnkc->dik", weight, G, G).reshape(dim, R * R)
    return np.einsum("n,dnij->dij", weight, A), twice, noise
