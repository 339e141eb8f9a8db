"""Samplers of x_0 given a linear observation that are no tables: DPS as published, replacement, and particles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..catalogue import catalogue as methods
from ..continuous.executors.arrays import asking, run
from ..continuous.observed import Observed
from ..numerics.philox import normals
from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue, everyone
from .particles import check as check_populations
from .particles import drawn_afresh

Floats = NDArray[np.float64]
EXACT, GAUSSIAN = "exact", "gaussian"
_SEEN = 1 << 16  # step numbers of the predictor's noise stay below


def _observed(model: Any) -> Observed:
    if not isinstance(model, Observed):
        raise TypeError(
            f"model is {model!r}, which says of no observation: give Observed(model, A, y, deviation)"
        )
    return model


@catalogue.loop("dps", promise="none: its bias stays", source="Chung et al. 2023, Algorithm 1")
def dps(path: Path, grid: ArrayLike, model: Any, x: Array, seed: int = 0, zeta: float = 0.5) -> Outcome:
    """DDPM, each step followed by one of fixed length down the gradient of the residual.

    x <- x - zeta/|r| grad |r|^2 with r = y - A D(x): as long a step for many steps as for few, so that more of them
    approach no law of x_0 given y. The deviation of the noise is not used. Code that takes the gradient of |r| alone
    has a scale of 2 zeta. One evaluation a step and its derivative.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
    model : Observed
        Its `how` is not used; TypeError for what says of no observation.
    x : (n, dim) array
    seed : int
    zeta : float
        zeta' of the paper's step size zeta'/|r|, >= 0.

    References
    ----------
    Chung et al. 2023 (Diffusion posterior sampling for general noisy inverse problems), Algorithm 1.
    """
    if not (np.isfinite(zeta) and zeta >= 0):
        raise ValueError(f"zeta is {zeta}: give a number of at least 0")
    problem, seen = Problem(path, grid, _observed(model), x), _observed(model)
    xp, x = problem.xp, problem.x
    for index, (t, s) in enumerate(pairwise(problem.grid.tolist())):
        tableau = methods["ddpm"].tableau(path, [t, s])
        z = normals(seed, problem.n, int(np.prod(x.shape[1:])), index, 0).reshape(1, *x.shape)
        D, slopes = seen.predicted(x, *problem.level(t))
        r = seen.residual(D)
        ahead = run(tableau, seen.model, x, noise=xp.asarray(z[: len(tableau.channels)], dtype=x.dtype))
        length = xp.sqrt(xp.sum(r**2, axis=1, keepdims=True))
        # grad |r|^2 = -2 (A dD/dx)^T r
        down = -2 * xp.matmul(xp.permute_dims(slopes, (0, 2, 1)), (r / length)[:, :, None])[:, :, 0]
        x = ahead - zeta * down
    steps = len(problem.grid) - 1
    return Outcome(
        x, everyone(problem.n, steps), everyone(problem.n, steps), everyone(problem.n, 0), problem.grid
    )


@catalogue.loop("replacement", promise="none: its bias stays", source="Song et al. 2021, appendix I.2")
def replacement(
    path: Path, grid: ArrayLike, model: Any, x: Array, seed: int = 0, predictor: str = "ddpm"
) -> Outcome:
    """A one-step method whose seen coordinates are replaced, after each step, by what was seen, noised afresh.

    What was seen counts as exact. The others never learn how they hang together with it but through the model: no
    number of steps makes the law of x_0 given y of it.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
    model : Observed
        Each row of A picks a coordinate, ValueError if not; TypeError for what says of no observation.
    x : (n, dim) array
    seed : int
    predictor : str
        A one-step method of the catalogue; ValueError for a multistep one.

    References
    ----------
    Song et al. 2021 (Score-based generative modeling through SDEs), appendix I.2.
    """
    if methods[predictor].multistep:
        raise ValueError(f"predictor is {predictor!r}, a multistep method: give a one-step one")
    seen = _observed(model)
    rows, places = np.nonzero(seen.A)
    if len(rows) != len(seen.A) or not np.all(seen.A[rows, places] == 1) or len(set(places)) < len(rows):
        raise ValueError(
            f"A is {seen.A.tolist()}: replacement sees coordinates, so give rows of the identity"
        )
    problem = Problem(path, grid, seen, x)
    xp, x, n = problem.xp, problem.x, problem.n
    where, y = np.zeros(x.shape[1], dtype=bool), np.zeros(x.shape[1])
    where[places], y[places] = True, seen.y[rows]
    mask, value = xp.asarray(where), xp.asarray(y, dtype=x.dtype)

    def replaced(x: Array, t: float, index: int) -> Array:
        alpha, sigma = problem.level(t)
        z = xp.asarray(normals(seed, n, int(x.shape[1]), _SEEN + index, 0), dtype=x.dtype)
        return xp.where(mask, alpha * value + sigma * z, x)

    x, nfe = replaced(x, float(problem.grid[0]), 0), 0
    for index, (t, s) in enumerate(pairwise(problem.grid.tolist())):
        tableau = methods[predictor].tableau(path, [t, s])
        noise = [normals(seed, n, int(x.shape[1]), index, c) for c in range(len(tableau.channels))]
        deviates = np.stack(noise) if noise else np.zeros((0, *x.shape))
        x = replaced(run(tableau, seen.model, x, noise=xp.asarray(deviates, dtype=x.dtype)), s, index + 1)
        nfe += tableau.nfe
    steps = len(problem.grid) - 1
    return Outcome(x, everyone(n, nfe), everyone(n, steps), everyone(n, 0), problem.grid)


@catalogue.loop(
    "twisted",
    promise="the posterior as particles grow, whatever the grid (transition='exact')",
    source="Wu et al. 2023 (Twisted diffusion sampler), Algorithm 1",
)
def twisted(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    particles: int = 64,
    transition: str = "exact",
    ess: float = 0.5,
) -> Outcome:
    """Particles proposed by the guided reverse step and weighed by what the guidance left out.

    Weights are p(x_s | x_t) L_s(x_s)/(L_t(x_t) q(x_s | x_t)), L the approximate likelihood of the model and, at the
    grid's end, the exact one; where the effective sample size falls below a share, particles are drawn afresh
    (systematically), and once more at the end. A likelihood that is too sharp, as "dps" has at coarse levels, leaves
    weights without variance: take "pigdm". One evaluation a step and its derivative, for each particle.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
        sigma > 0 at its end, alpha > 0 at its start.
    model : Observed
        Of a Gaussian mixture, whose laws at all levels are known; TypeError if not.
    x : (n, dim) array
        On the CPU, from the marginal of the mixture (not of its posterior) at the grid's first node.
    seed : int
    particles : int
        Of a population, independent of others; n is a multiple of it.
    transition : str
        "exact": p(x_s | x_t) of the mixture, so that the end is exact for any grid as particles grow. "gaussian": the
        step of DDPM, as published: the posterior of what DDPM samples.
    ess : float
        Share of the particles, between 0 and 1; 1 draws afresh at every step.

    References
    ----------
    Wu et al. 2023 (Practical and asymptotically exact conditional sampling in diffusion models), Algorithm 1.
    """
    out, _ = populations(path, grid, model, x, seed, particles, transition, ess)
    n, steps = len(out), len(np.asarray(grid)) - 1
    return Outcome(
        out, everyone(n, steps + 1), everyone(n, steps), everyone(n, 0), np.asarray(grid, dtype=np.float64)
    )


def populations(
    path: Path, grid: ArrayLike, model: Any, x: Array, seed: int, particles: int, transition: str, ess: float
) -> tuple[Floats, Floats]:
    """Return the particles of `twisted` (n, dim), and the log of each population's estimate of p(y), without bias."""
    seen = _observed(model)
    target = seen.model
    if not hasattr(target, "given"):
        raise TypeError(
            f"model is of {target!r}: give Observed(mixture, ...), whose laws at all levels are known"
        )
    if transition not in (EXACT, GAUSSIAN):
        raise ValueError(f"transition is {transition!r}: use {EXACT!r} or {GAUSSIAN!r}")
    problem = Problem(path, grid, seen, np.asarray(x, dtype=np.float64))
    check_populations(particles, ess, problem.n)
    if not np.isfinite(path.log_snr(problem.grid[[0, -1]])).all():
        raise ValueError(
            f"grid runs from {problem.grid[0]:g} to {problem.grid[-1]:g}: give levels with alpha, sigma > 0"
        )
    rng, x = np.random.default_rng(seed), problem.x
    crowd = (problem.n // particles, particles)
    posterior = target.given(seen.A, seen.y, seen.deviation)
    log_evidence = float(target.observed(seen.A, seen.deviation).log_density(seen.y[None])[0])
    widest = float(target.variances.max())
    ask = asking(target if transition == GAUSSIAN else seen, path)
    total = np.zeros(crowd[0])
    here = problem.level(float(problem.grid[0]))
    before = seen.log_likelihood(x, *here)
    weights = before.reshape(crowd)
    for t, s in pairwise(problem.grid.tolist()):
        (a, b), (c, d) = problem.level(t), problem.level(s)
        rows, weights, total = drawn_afresh(rng, weights, total, ess)
        x, before = x[rows], before[rows]
        # q(x_s | x_t, x_0) of the forward process has mean kept x_t + share x_0
        gap2 = b**2 - (a / c * d) ** 2
        kept, share, variance = a / c * d**2 / b**2, c * gap2 / b**2, d**2 * gap2 / b**2
        if transition == EXACT:
            # as wide as the widest component's reverse step, without which weights would have no variance
            variance += share**2 * widest * b**2 / (a**2 * widest + b**2)
        mean = kept * x + share * seen.denoise(x, a, b)
        new = mean + np.sqrt(variance) * rng.standard_normal(x.shape)
        proposed = _log_normal(new - mean, variance)
        if transition == EXACT:
            # Bayes' rule: p(x_s | x_t) = q(x_t | x_s) p_s(x_s)/p_t(x_t)
            real = _log_normal(x - a / c * new, gap2)
            real += target.noised(c, d).log_density(new) - target.noised(a, b).log_density(x)
        else:
            real = _log_normal(new - kept * x - share * ask(x, a, b, 1.0, 0.0), variance)
        last = s == float(problem.grid[-1])
        after = seen.log_likelihood(new, c, d)
        if last:  # p(y | x_s) = p_s(x_s | y) p(y)/p_s(x_s)
            after = (
                posterior.noised(c, d).log_density(new) - target.noised(c, d).log_density(new) + log_evidence
            )
        weights = weights + (real + after - before - proposed).reshape(crowd)
        x, before = new, after
    rows, _, total = drawn_afresh(rng, weights, total, 1.0)
    return x[rows], total


def _log_normal(gaps: Floats, variance: float) -> Floats:
    return np.asarray(
        -0.5 * ((gaps**2).sum(axis=1) / variance + gaps.shape[1] * np.log(2 * np.pi * variance))
    )
