"""Gibbs samplers of tokens and numbers: split, with copies that carry the likelihood, and interleaved with noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import GaussianMixture

from ..catalogue import catalogue as methods
from ..continuous.executors.arrays import run
from ..mixed.split import Likelihood
from ..mixed.split import check as check_strengths
from ..mixed.steps import (
    APART,
    EXACT,
    GAUSSIAN,
    INTERLEAVED,
    ORDERS,
    TOGETHER,
    Shape,
    components,
    flips,
    given_token,
    kept,
    mixture_of,
    shape_of,
    token_step,
)
from ..numerics.reverse_step import reverse_step
from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue, everyone

Floats = NDArray[np.float64]
Tokens = NDArray[np.int64]


def _state(
    path: Path, grid: ArrayLike, mixture: GaussianMixture, shape: Shape, x: Array
) -> tuple[Problem, Tokens, Floats]:
    """Return the problem, components and numbers of a state whose last columns are the tokens."""
    problem = Problem(path, grid, mixture, np.asarray(x, dtype=np.float64))
    state: Floats = problem.x
    if state.ndim != 2 or state.shape[1] != mixture.dim + len(shape):
        last = "column the token" if len(shape) == 1 else f"{len(shape)} columns the tokens"
        raise ValueError(
            f"x has shape {state.shape}: give (n, {mixture.dim + len(shape)}), the numbers and in the last {last}"
        )
    given = state[:, mixture.dim :]
    tokens = given.astype(np.int64)
    if not np.array_equal(tokens, given) or (tokens < 0).any() or (tokens >= shape).any():
        most = " and ".join(str(values - 1) for values in shape)
        raise ValueError(
            f"x has tokens from {given.min():g} to {given.max():g}: give whole numbers from 0 to {most}"
        )
    return problem, np.ravel_multi_index(tuple(tokens.T), shape), state[:, : mixture.dim]


def _joined(u: Floats, k: Tokens, shape: Shape) -> Floats:
    """Put tokens behind numbers, a column each."""
    return np.column_stack([u, *np.unravel_index(k, shape)])


def _drawn(law: Floats, rng: np.random.Generator) -> Tokens:
    """Draw a token of each row's law."""
    passed = np.cumsum(law, axis=1) <= rng.random(len(law))[:, None] * law.sum(axis=1, keepdims=True)
    return np.asarray(np.minimum(passed.sum(axis=1), law.shape[1] - 1))


def _of_each(mixture: GaussianMixture, tokens: Tokens, draw: Any, x: Floats) -> Floats:
    """Apply draw(component k, rows) to the rows of each token."""
    out = np.empty_like(x)
    for k in np.unique(tokens):
        rows = np.flatnonzero(tokens == k)
        out[rows] = draw(mixture.condition(int(k)), rows)
    return out


def _posterior(
    mixture: GaussianMixture, x: Floats, level: tuple[float, float], rng: np.random.Generator
) -> Floats:
    return mixture.posterior(x, *level).sample(int(rng.integers(2**62)))


@catalogue.loop(
    "split-gibbs",
    promise="the law of token and numbers that solvers.mixed.split_law has, as sweeps grow (method='exact')",
    source="Chu et al. 2025 (Split Gibbs discrete diffusion); Vono, Dobigeon and Chainais 2019",
)
def split_gibbs(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    sweeps: int = 20,
    flip: float = 0.1,
    reward: ArrayLike | None = None,
    method: str = "ddpm",
    tokens: Sequence[int] | None = None,
) -> Outcome:
    """Copies of token and numbers drawn from the likelihood, then token and numbers denoised from their copies.

    The copy z of the token differs from it by uniform noise, the copy x of the numbers by Gaussian noise; the
    likelihood weighs copies alone. A sweep draws z given the token, with weight exp(reward), and x given the numbers
    and what is observed; then the token given both copies, all three exactly, and the numbers given the token and x by
    a diffusion sampler from the level of the coupling. A sampler of the flow is a map of x and no draw: whatever its
    steps, it comes to another law.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
        From the level of the coupling, whose sigma/alpha is the deviation of the copy, to the data.
    model : GaussianMixture, or Observed of one
        The component is the token; TypeError for anything else.
    x : (n, dim + L) array
        Numbers at the data's level and, in the last columns, the L tokens.
    seed : int
    sweeps : int
    flip : float
        Probability that the copy of a token is drawn afresh from all alike.
    reward : (K,) array, optional
        In nats, for each component; 0 where None.
    method : str
        One of the catalogue that draws, or "exact" for the posterior itself.
    tokens : sequence of int, optional
        Numbers of values of L tokens, of which the component is all, the last running fastest; one token if None.

    Returns
    -------
    Outcome
        Numbers and tokens as `x`. Two evaluations a sweep and those of the method.

    References
    ----------
    Chu et al. 2025 (Split Gibbs discrete diffusion posterior sampling), whose prior step is partial denoising; Wu
    et al. 2024 (Principled probabilistic imaging) for the Gaussian coupling.
    """
    like = Likelihood.of(model, reward, tokens)
    mixture = like.mixture
    if sweeps < 0:
        raise ValueError(f"sweeps is {sweeps}: give 0 or more")
    problem, k, u = _state(path, grid, mixture, like.shape, x)
    level = problem.level(float(problem.grid[0]))
    if level[0] == 0 or level[1] == 0:
        raise ValueError(
            f"grid starts at {problem.grid[0]:g} with alpha = {level[0]:g} and sigma = {level[1]:g}: start where the "
            "copy has both data and noise"
        )
    coupling = level[1] / level[0]
    check_strengths(coupling, flip)
    tableau = None if method == EXACT else methods[method].tableau(path, problem.grid)
    copies, q = like.token_copy(flip), flips(1 - flip, like.shape)
    gain, offset, covariance = like.number_copy(coupling)
    root, rng, n = np.linalg.cholesky(covariance), np.random.default_rng(seed), problem.n
    for _ in range(sweeps):
        z = _drawn(copies[k], rng)
        copy = u @ gain.T + offset + rng.standard_normal(u.shape) @ root.T
        at = level[0] * copy
        k = _drawn(components(mixture, at, level) * q[:, z].T, rng)
        noise = None if tableau is None else rng.standard_normal((len(tableau.channels), *u.shape))

        def denoised(part: GaussianMixture, rows: Any, at: Floats = at, noise: Any = noise) -> Floats:
            if tableau is None:
                return _posterior(part, at[rows], level, rng)
            return np.asarray(run(tableau, part, at[rows], noise=noise[:, rows]) / tableau.end[0])

        u = _of_each(mixture, k, denoised, u)
    nfe = sweeps * (2 + (1 if tableau is None else tableau.nfe))
    return Outcome(
        _joined(u, k, like.shape), everyone(n, nfe), everyone(n, sweeps), everyone(n, 0), problem.grid
    )


@catalogue.loop(
    "interleaved-gibbs",
    promise="the law of token and numbers at the grid's end, on any grid with numbers='exact', as steps grow otherwise",
    source="Anil et al. 2025 (Interleaved Gibbs diffusion)",
)
def interleaved_gibbs(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    order: str = "interleaved",
    numbers: str = "ddpm",
    again: int = 0,
    tokens: Sequence[int] | None = None,
) -> Outcome:
    """Tokens and numbers denoised in turn: each token given the numbers and the others, then the numbers given them.

    The forward process noises the numbers, then the tokens, at every step; its exact reversal draws a token given the
    numbers and the tokens so far, one after the other, then the numbers given the tokens just drawn. A token is kept
    with probability alpha^2/(alpha^2 + sigma^2), else uniform. Drawing all tokens, or all there is, given the state at
    the step's start, as samplers with a factorised step do, costs fewer evaluations and leaves an error of first order.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
        alpha > 0 and sigma > 0 at both ends.
    model : GaussianMixture
        The component is the token; TypeError for anything else.
    x : (n, dim + L) array
        Numbers at the level of the grid's first node and, in the last columns, the L tokens, noised too.
    seed : int
    order : str
        "interleaved"; "tokens apart": each token given the state at the step's start, then the numbers given all; or
        "together" for all given that state. A step asks L + 1, two or one times.
    numbers : str
        "ddpm": a Gaussian with x_0 at its mean given the token; "exact": the reverse kernel itself.
    again : int
        Rounds of noising back to the grid's start and denoising again (the paper's ReDeNoise), after the first.
    tokens : sequence of int, optional
        Numbers of values of L tokens, of which the component is all, the last running fastest; one token if None.

    Returns
    -------
    Outcome
        Numbers and tokens at the level of the grid's end.

    References
    ----------
    Anil et al. 2025 (Interleaved Gibbs diffusion).
    """
    mixture = mixture_of(model)
    for name, value, known in (
        ("order", order, ORDERS),
        ("numbers", numbers, (GAUSSIAN, EXACT)),
    ):
        if value not in known:
            raise ValueError(f"{name} is {value!r}: use one of {', '.join(known)}")
    if again < 0:
        raise ValueError(f"again is {again}: give 0 or more")
    shape = shape_of(mixture, tokens)
    problem, k, u = _state(path, grid, mixture, shape, x)
    levels = [problem.level(float(t)) for t in problem.grid]
    if levels[0][0] == 0 or levels[-1][1] == 0:
        raise ValueError(
            f"grid runs from {problem.grid[0]:g} to {problem.grid[-1]:g}: give ends with alpha > 0 and sigma > 0"
        )
    rng, n, rows = np.random.default_rng(seed), problem.n, np.arange(problem.n)
    for turn in range(again + 1):
        if turn:
            (a, b), (a_s, b_s) = levels[0], levels[-1]
            u = a / a_s * u + np.sqrt(b**2 - (a / a_s * b_s) ** 2) * rng.standard_normal(u.shape)
            k = _drawn(flips(kept(levels[0]) / kept(levels[-1]), shape)[k], rng)
        for at, to in pairwise(levels):
            posterior = mixture.posterior(u, *at)
            before = k
            k = _drawn(token_step(posterior.weights, at, to, shape, order)[rows, k], rng)
            token, when = (before, at) if order == TOGETHER else (k, to)
            of = given_token(posterior.weights, when, shape)[rows, token]
            of_x, of_mean, deviation = reverse_step(at, to)
            if numbers == EXACT:
                exact = _drawn(of, rng)
                x0 = _of_each(
                    mixture, exact, lambda part, own, u=u, at=at: _posterior(part, u[own], at, rng), u
                )
            else:
                x0 = np.einsum("nk,nkd->nd", of, posterior.means)
            u = of_x * u + of_mean * x0 + deviation * rng.standard_normal(u.shape)
    steps = (again + 1) * (len(levels) - 1)
    nfe = steps * {INTERLEAVED: len(shape) + 1, APART: 2, TOGETHER: 1}[order]
    return Outcome(_joined(u, k, shape), everyone(n, nfe), everyone(n, steps), everyone(n, 0), problem.grid)
