"""Log-density along the probability-flow ODE: by a solver on the augmented system, and of a sampler's own map.

Two different numbers go by the name of a diffusion model's likelihood. `flow_log_density` integrates (x, log p) from
the data to the noise with a Runge-Kutta method: d log p = -div v along dx = v, the divergence exact.
`map_log_density` is the log-density of the law that a discrete deterministic sampler really has, by the change of
variables with the Jacobians of its steps. Both tend to the target's own as the steps shrink; on a grid they differ from
it and from each other. In one file, because they share the derivatives of the denoiser and their checks.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import reprs

from ...protocols import Path, a_process, noising, process_of
from ..butcher import (
    CLOCKS,
    EULER,
    HEUN,
    HEUN_3,
    KUTTA_3,
    MIDPOINT,
    RALSTON,
    RK4,
    RK4_3_8,
    SSPRK_3,
    Butcher,
)
from ..denoiser import combined
from ..tableau import Tableau
from .initial import check_samples

Array = NDArray[np.float64]
BUTCHER: Mapping[str, Butcher] = MappingProxyType(
    {
        "euler": EULER,
        "heun": HEUN,
        "heun-3": HEUN_3,
        "midpoint": MIDPOINT,
        "ralston": RALSTON,
        "kutta-3": KUTTA_3,
        "ssprk-3": SSPRK_3,
        "rk4": RK4,
        "rk4-3/8": RK4_3_8,
    }
)
TERMINALS = ("marginal", "prior")
ROUNDING = 4e-16
_MOST_MOVES = 60


class Density(Protocol):
    """A law with a density."""

    def log_density(self, x: Array) -> Array:
        """Log-density at x, (n,)."""


class Differentiable(Protocol):
    """What likelihoods ask of a target: `GaussianMixture` has it."""

    @property
    def dim(self) -> int:
        """Dimension of x_0."""

    def denoise(self, x: Array, alpha: float, sigma: float) -> Array:
        """Posterior mean, (n, dim)."""

    def denoise_jacobian(self, x: Array, alpha: float, sigma: float) -> Array:
        """Its derivative in x, (n, dim, dim)."""

    def noised(self, alpha: float, sigma: float) -> Density:
        """Return the law of alpha x_0 + sigma eps."""


@dataclass(frozen=True, eq=False)
class FlowLikelihood:
    """Where the flow took the points, and what it says of their log-density.

    Attributes
    ----------
    log_density : (n,) float64 array
        In nats, at the level the grid stops at.
    end : (n, dim) float64 array
        Where the points arrived at the noise.
    nfe : int
        Evaluations of the model, each with its Jacobian.
    change : (n, dim, dim) float64 array
        Weighted sum of the drift's Jacobians along the way; the log-density holds its trace. One probe e kept for the
        whole way, as Hutchinson's estimator is used, has e^T change e in its place.
    each : (n, 2) float64 array
        Sums over evaluations of (their weight)^2 times the squared Frobenius norm of the Jacobian, and the same of its
        part off the diagonal: half the variance of probes drawn afresh at each evaluation.
    """

    log_density: Array
    end: Array
    nfe: int
    change: Array
    each: Array

    __repr__ = reprs.brief

    def hutchinson(self, probes: ArrayLike) -> Array:
        """Log-density with e^T change e in place of the trace, (probes, n), for probes e (probes, n, dim).

        Raises ValueError for another shape.
        """
        e = np.asarray(probes, dtype=np.float64)
        if e.ndim != 3 or e.shape[1:] != self.end.shape:
            raise ValueError(
                f"probes has shape {e.shape}: give (probes, {', '.join(map(str, self.end.shape))})"
            )
        quadratic = np.einsum("mni,nij,mnj->mn", e, self.change, e)
        return np.asarray(self.log_density + quadratic - np.trace(self.change, axis1=1, axis2=2))

    def variance(self, law: str, fresh: bool = False) -> Array:
        """Exact variance of Hutchinson's estimator for one probe, (n,).

        2 ||M||_F^2 for Gaussian probes, 2 (||M||_F^2 - sum_i M_ii^2) for Rademacher ones, M symmetric; with fresh
        probes the sum of that over evaluations. The Jacobian of a denoiser is a covariance, so M is symmetric.

        Parameters
        ----------
        law : str
            "gaussian" or "rademacher"; ValueError if neither.
        fresh : bool
            A fresh probe each evaluation, in place of one for the whole way.

        References
        ----------
        Hutchinson 1990; Avron and Toledo 2011, lemmas 5 and 6; Grathwohl et al. 2019 (FFJORD), section 3.1: one
        probe for the whole way.
        """
        if law not in ("gaussian", "rademacher"):
            raise ValueError(f"law is {law!r}: use 'gaussian' or 'rademacher'")
        if fresh:
            return 2 * self.each[:, 0 if law == "gaussian" else 1]
        return 2 * np.stack(_norms(self.change), axis=1)[:, 0 if law == "gaussian" else 1]


def _norms(M: Array) -> tuple[Array, Array]:
    """Squared Frobenius norms of M (n, dim, dim) and of its part off the diagonal."""
    diagonal = np.diagonal(M, axis1=1, axis2=2)
    off = M - diagonal[:, :, None] * np.eye(M.shape[1])
    return np.sum(M**2, axis=(1, 2)), np.sum(off**2, axis=(1, 2))


def _slope(clock: str, path: Path, target: Differentiable, u: float, y: Array) -> tuple[Array, Array]:
    """Drift of the flow in a clock, and its Jacobian, as in `solvers.methods.continuous.runge_kutta`."""
    eye = np.eye(y.shape[1])
    if clock == "time":
        alpha, sigma = float(path.alpha(u)), float(path.sigma(u))
        ratio = float(path.d_sigma(u)) / sigma
        weight = float(path.d_alpha(u)) - alpha * ratio
        D, J = target.denoise(y, alpha, sigma), target.denoise_jacobian(y, alpha, sigma)
        return ratio * y + weight * D, ratio * eye + weight * J
    t = float(path.time_of_log_snr(u if clock == "log-snr" else -np.log(u)))
    alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
    x = alpha * y
    D, J = target.denoise(x, alpha, sigma), alpha * target.denoise_jacobian(x, alpha, sigma)
    if clock == "log-snr":
        return D - y, J - eye
    return (y - D) / u, (eye - J) / u


def flow_log_density(
    method: str,
    path: Path,
    times: ArrayLike,
    target: Differentiable,
    x: ArrayLike,
    *,
    clock: str = "sigma",
    terminal: str | Density = "marginal",
) -> FlowLikelihood:
    """Log-density of x by a Runge-Kutta method on the flow from the data to the noise, with exact divergence.

    The order in the step is that of the method, since (x, log p) is one system of differential equations. Written in
    y = x/alpha in the clocks "sigma" and "log-snr", where log p(x) = log p(y) - dim log alpha.

    Parameters
    ----------
    method : str
        A name in `BUTCHER`: the catalogue's method of that name, walked upwards.
    path : Path
    times : (nodes,) array
        Strictly increasing, alpha > 0 and sigma > 0 at both ends: a sampler's grid reversed.
    target : GaussianMixture or the like
    x : (n, dim) array
        Points at the first of the times.
    clock : str
        Variable the flow is written in: "sigma" (sigma/alpha), "log-snr" or "time".
    terminal : str or law with `log_density`
        Law at the last of the times: the target's "marginal", which leaves the discretisation as the only error; or
        the "prior" N(0, prior_deviation^2 I), as one has it without knowing the target.

    Returns
    -------
    FlowLikelihood

    Raises
    ------
    ValueError
        An unknown method, clock or terminal; times or points that cannot be.
    FloatingPointError
        The flow overflowed: the method is unstable on these times.

    References
    ----------
    Chen et al. 2018 (neural ODE), theorem 1; Song et al. 2021 (score SDE), eq. 39.
    """
    if not noising(path):
        raise ValueError(
            f"path is {path!r}, {a_process(process_of(path))}: densities of flows are for Gaussian paths"
        )
    if method not in BUTCHER:
        raise ValueError(f"method is {method!r}: use one of the Runge-Kutta methods {', '.join(BUTCHER)}")
    if clock not in CLOCKS:
        raise ValueError(f"clock is {clock!r}: use one of {CLOCKS}")
    grid = np.asarray(times, dtype=np.float64)
    if grid.ndim != 1 or len(grid) < 2 or not np.all(np.diff(grid) > 0):
        raise ValueError(f"times is {times!r}: give at least two increasing times, a sampler's grid reversed")
    alphas, sigmas = path.alpha(grid), path.sigma(grid)
    if alphas[-1] == 0 or sigmas[0] == 0:
        raise ValueError(
            f"times runs from {grid[0]:g} to {grid[-1]:g}, where sigma or alpha is 0: stop the grid before, "
            "the flow has no finite density there"
        )
    points = check_samples("x", x, (len(np.atleast_1d(np.asarray(x))), target.dim))
    end = _terminal(path, float(grid[-1]), target, terminal)
    table = BUTCHER[method]
    u = grid if clock == "time" else path.log_snr(grid)
    u = np.exp(-u) if clock == "sigma" else u
    scale = np.ones_like(grid) if clock == "time" else alphas

    y = points / scale[0]
    change = np.zeros((len(y), target.dim, target.dim))
    each = np.zeros((len(y), 2))
    with np.errstate(over="ignore", invalid="ignore"):
        for now, then in itertools.pairwise(u.tolist()):
            h = then - now
            slopes: list[Array] = []
            for row, c, weight in zip(table.a, table.c, table.b, strict=True):
                stage = y + sum(
                    (float(a) * h * k for a, k in zip(row, slopes, strict=True)), np.zeros_like(y)
                )
                # the last stage's place is the node itself, not now + h, which rounds
                place = then if c == 1 else now + float(c) * h
                slope, J = _slope(clock, path, target, place, stage)
                slopes.append(slope)
                change += float(weight) * h * J
                each += (float(weight) * h) ** 2 * np.stack(_norms(J), axis=1)
            y = y + sum((float(b) * h * k for b, k in zip(table.b, slopes, strict=True)), np.zeros_like(y))
    arrived = y * scale[-1]
    if not np.isfinite(arrived).all():
        raise FloatingPointError(
            f"{method} overflowed on {len(grid) - 1} steps: take more steps or another grid"
        )
    trace = np.trace(change, axis1=1, axis2=2)
    value = end.log_density(arrived) + trace + target.dim * np.log(scale[-1] / scale[0])
    return FlowLikelihood(value, arrived, len(table.b) * (len(grid) - 1), change, each)


class _Normal:
    """N(0, deviation^2 I)."""

    def __init__(self, deviation: float) -> None:
        self.deviation = deviation

    def log_density(self, x: Array) -> Array:
        z = x / self.deviation
        constant = x.shape[1] * np.log(self.deviation * np.sqrt(2 * np.pi))
        return np.asarray(-np.sum(z**2, axis=1) / 2 - constant)


def _terminal(path: Path, time: float, target: Differentiable, terminal: str | Density) -> Density:
    if not isinstance(terminal, str):
        return terminal
    if terminal not in TERMINALS:
        raise ValueError(f"terminal is {terminal!r}: use one of {TERMINALS}, or a law with log_density")
    if terminal == "prior":
        return _Normal(float(path.prior_deviation(time)))
    return target.noised(float(path.alpha(time)), float(path.sigma(time)))


def push(tableau: Tableau, target: Differentiable, z: ArrayLike) -> tuple[Array, Array]:
    """Run a deterministic sampler from z and return where it ends and the derivative of that in z.

    Parameters
    ----------
    tableau : Tableau
        Without noise; any number of stages and registers.
    target : GaussianMixture or the like
    z : (n, dim) array
        Points at the tableau's start level.

    Returns
    -------
    x : (n, dim) array
    jacobian : (n, dim, dim) array

    Raises
    ------
    ValueError
        A tableau that draws noise or evaluates a score at the data, or points that cannot be.
    """
    if not tableau.deterministic:
        raise ValueError(
            f"tableau is {tableau.name!r}, which draws noise: its map has no Jacobian; use `density`"
        )
    if any(np.any((b.levels[..., 1] == 0) & (b.asks[..., 1] != 0)) for b in tableau.blocks):
        raise ValueError(
            f"tableau is {tableau.name!r}, which evaluates a score at the data: stop its grid at sigma > 0"
        )
    x = check_samples("z", z, (len(np.atleast_1d(np.asarray(z))), target.dim))
    Z, J = x[None], np.broadcast_to(np.eye(target.dim), (1, len(x), target.dim, target.dim))

    def sums(coefficients: Array, terms: Array) -> Array:
        return np.tensordot(coefficients, terms, axes=1)

    with np.errstate(over="ignore", invalid="ignore"):
        for block in tableau.blocks:
            for n in range(len(block)):
                F = np.zeros((block.stages, *x.shape))
                dF = np.zeros((block.stages, *J.shape[1:]))
                for i in range(block.stages):
                    U = sums(block.U[n, i], Z) + sums(block.A[n, i], F)
                    dU = sums(block.U[n, i], J) + sums(block.A[n, i], dF)
                    alpha, sigma = block.levels[n, i].tolist()
                    a, b = block.asks[n, i].tolist()
                    F[i] = combined(target.denoise(U, alpha, sigma), U, alpha, sigma, a, b)
                    J_D = target.denoise_jacobian(U, alpha, sigma)
                    dF[i] = combined(J_D, np.eye(target.dim), alpha, sigma, a, b) @ dU
                Z = sums(block.V[n], Z) + sums(block.B[n], F)
                J = sums(block.V[n], J) + sums(block.B[n], dF)
    return Z[0], J[0]


def map_log_density(
    tableau: Tableau,
    target: Differentiable,
    x: ArrayLike,
    *,
    terminal: str | Density = "marginal",
    guess: ArrayLike | None = None,
) -> Array:
    """Log-density at x of the law a deterministic sampler ends with, by inverting its map.

    log p(x) = log p_start(z) - log |det dx/dz| where z is sent to x, found by Newton's method with the exact Jacobian.
    Holds where the map is one-to-one; where a large step folds it, other z would have to be added, and a Jacobian
    that is not positive says so.

    Parameters
    ----------
    tableau : Tableau
        Without noise, as `push` takes it.
    target : GaussianMixture or the like
    x : (n, dim) array
        Points at the tableau's end level.
    terminal : str or law
        Law at the start level, as in `flow_log_density`.
    guess : (n, dim) array, optional
        Where to look for z; by default where the flow takes x on this grid, which needs the tableau's path.

    Returns
    -------
    (n,) array
        In nats.

    Raises
    ------
    ValueError
        As `push`; a terminal that cannot be; no guess and no path.
    FloatingPointError
        A point whose z was not found, or where the map folds: take more steps.
    """
    path = tableau.path
    if path is None:
        raise ValueError("tableau has no path, which its start law needs: load it with one")
    points = check_samples("x", x, (len(np.atleast_1d(np.asarray(x))), target.dim))
    start = _terminal(path, float(tableau.grid[0]), target, terminal)
    if guess is None:
        z = flow_log_density("rk4", path, tableau.grid[::-1], target, points).end
    else:
        z = check_samples("guess", guess, points.shape)
    z, jacobian, found = _inverse(tableau, target, points, np.array(z))
    sign, log_determinant = np.linalg.slogdet(jacobian)
    bad = ~found | (sign <= 0)
    if bad.any():
        raise FloatingPointError(
            f"{tableau.name} on {len(tableau)} steps is not one-to-one at {int(bad.sum())} of {len(points)} "
            f"points, the first {points[bad][0].tolist()}: take more steps"
        )
    return np.asarray(start.log_density(z) - log_determinant)


def _inverse(
    tableau: Tableau, target: Differentiable, x: Array, z: Array
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Newton's method, each row's move cut while it does not help: z, the Jacobian there, whether it came near."""
    size = np.max(np.abs(x), axis=1) + 1
    # every step of the sampler rounds
    near = 4 * ROUNDING * size * np.sqrt(len(tableau))
    image, jacobian = push(tableau, target, z)
    gap = np.linalg.norm(image - x, axis=1)
    share = np.ones(len(x))
    for _ in range(_MOST_MOVES):
        active = ~(gap <= near) & (share > 1e-6)
        if not active.any():
            break
        try:
            move = np.linalg.solve(jacobian, (x - image)[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break
        trial = z + np.where(active, share, 0.0)[:, None] * move
        new_image, new_jacobian = push(tableau, target, trial)
        new_gap = np.linalg.norm(new_image - x, axis=1)
        better = active & (new_gap < gap)
        z = np.where(better[:, None], trial, z)
        image = np.where(better[:, None], new_image, image)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        gap = np.where(better, new_gap, gap)
        share = np.where(better, 1.0, np.where(active, share / 4, share))
    # what rounding stops early is still found
    return z, jacobian, gap <= 1e3 * near
