"""The exact strong error on a Gaussian target: sampler and true solution driven by one Brownian path."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...numerics.jit import COMPILED
from ...protocols import GaussianTarget, matched
from ..functionals import FUNCTIONALS, quadrature, shape_of
from ..imperfect import Perturbation, perturbation
from ..tableau import Tableau
from .affine import affine_step
from .law import GaussianLaw, gaussian_law, ones_along, start_law
from .packed import Packed, pack

Array = NDArray[np.float64]


@njit(**COMPILED)
def _backwards(
    packed: Packed,
    wrong: Perturbation,
    along_ones: float,
    mean: float,
    variance: float,
    flow: Any,
    shift: Any,
    along: Any,
    beside: Any,
) -> Any:
    """Return the square error's parts: (initial factor of the difference, mean offset, noise variance).

    The final sample and the true solution are linear in the initial x and in the noises; walking backwards
    gives each noise's weight in their difference, so nothing cancels. `along_ones` is the direction's part of a
    vector of ones. `flow`, `shift` (N,): the true solution's affine map over each step; `along` (N, C): its weight
    on each channel; `beside` (N,): standard deviation of its part orthogonal to the channels.
    """
    N, S, R = packed.U.shape
    C = packed.G.shape[2]
    rows, out = np.empty((S, R + 1 + C)), np.empty((R, R + 1 + C))
    p, q = np.zeros(R), np.zeros(R)
    p[0] = 1.0
    truth, offset, noise = 1.0, 0.0, 0.0
    for n in range(N - 1, -1, -1):
        affine_step(packed, wrong, n, mean, variance, along_ones, rows, out)
        for m in range(C):
            weight = -truth * along[n, m]
            for r in range(R):
                weight += p[r] * out[r, R + 1 + m]
            noise += weight * weight
        noise += (truth * beside[n]) ** 2
        for r in range(R):
            offset += p[r] * out[r, R]
        offset -= truth * shift[n]
        for s in range(R):
            q[s] = 0.0
            for r in range(R):
                q[s] += p[r] * out[r, s]
        p[:] = q
        truth *= flow[n]
    return p[0] - truth, offset, noise


def strong(tableau: Tableau, target: GaussianTarget, initial: str | GaussianLaw = "marginal") -> float:
    """Root mean square distance between sampler and true solution on one Brownian path, exactly.

    The true solution is that of the SDE the method approximates, dx = [f x - (1 + eta^2)/2 g^2 score] dt + eta g dW
    with eta = tableau.stochasticity, started from the same x. For a deterministic method it is the flow.

    Parameters
    ----------
    tableau : Tableau
    target : Gaussian target
    initial : str or GaussianLaw
        As in `law`.

    Returns
    -------
    float
        sqrt(E |x_N - X(t_N)|^2), summed over dimensions.

    Raises
    ------
    ValueError
        The method follows no single SDE, a channel is no functional of the Brownian path, or the tableau has no path.
    FloatingPointError
        Overflow: the method is unstable on this grid.
    """
    matched(tableau, target)
    path, eta = tableau.path, tableau.stochasticity
    if tableau.process == "interpolant":
        raise ValueError(
            f"tableau is {tableau.name!r} on an interpolant, where strong errors have no closed form here: compare "
            "runs on coarse and fine grids that share their noise"
        )
    if path is None:
        raise ValueError("tableau has no path: load it with Tableau.load(file, path=...)")
    if eta is None:
        raise ValueError(
            f"tableau is {tableau.name!r}, which approximates no single SDE: it has no strong error"
        )
    packed = pack(tableau)
    spans = np.concatenate([block.span for block in tableau.blocks])
    channels = packed.G.shape[2]
    functionals = np.full((len(tableau), channels), "", dtype="U24")
    during = np.repeat(spans[:, None], channels, axis=1)
    drawn = (packed.G != 0).any(1) | (packed.H != 0).any(1)
    first = 0
    for block in tableau.blocks:
        rows, own = slice(first, first + len(block)), len(block.functionals)
        functionals[rows, :own] = [functional or "" for functional in block.functionals]
        during[rows, :own] = block.during
        first += len(block)
    if np.any(drawn & ~np.isin(functionals, list(FUNCTIONALS))):
        raise ValueError(
            f"tableau is {tableau.name!r}, whose noise is no functional of the Brownian path: no strong error"
        )
    if np.any(spans[:, 0] == spans[:, 1]):
        raise ValueError(f"tableau is {tableau.name!r}, which has steps that stay in time: no strong error")

    # every step in pieces between the times at which a channel begins or ends
    cuts = -np.sort(-np.concatenate([spans, during.reshape(len(spans), -1)], axis=1), axis=1)
    used = np.any(cuts[:, :-1] > cuts[:, 1:], axis=0)
    pieces = np.stack([cuts[:, :-1][:, used], cuts[:, 1:][:, used]], axis=2)
    t, q, dq_dt, dt = (
        part.reshape(len(spans), -1)
        for part in quadrature(path, pieces[..., 0].reshape(-1), pieces[..., 1].reshape(-1))
    )
    shapes = np.zeros((channels, *t.shape))
    for m in range(channels):
        start, stop = during[:, m, :1], during[:, m, 1:]
        for name in FUNCTIONALS:
            use = drawn[:, m] & (functionals[:, m] == name)
            if use.any():
                whole = shape_of(name, path, t, q, dq_dt, start, stop)
                shapes[m, use] = np.where((t <= start) & (t >= stop), whole, 0)[use]
        norm = np.sqrt(np.sum(shapes[m] ** 2 * dt, axis=1, keepdims=True))
        shapes[m] /= np.where(norm > 0, norm, 1.0)
    alpha_now, alpha_next = path.alpha(spans[:, 0]), path.alpha(spans[:, 1])
    q_now, q_next = ((path.sigma(t) / path.alpha(t)) ** 2 for t in (spans[:, 0], spans[:, 1]))

    base, begin = gaussian_law(target), start_law(tableau, target, initial)
    power, total = (1 + eta**2) / 2, 0.0
    wrong, ones = perturbation(packed, target), ones_along(base)
    for mean, variance, centre, spread, one in zip(
        base.centre, base.variances, begin.centre, begin.variances, ones, strict=True
    ):
        kept = ((variance + q_next) / (variance + q_now)) ** power
        flow = kept * alpha_next / alpha_now
        shift = alpha_next * mean * (1 - kept)
        # In x/alpha the solution's noise over a step is eta int ((v + q_next)/(v + q))^power dB_q.
        noise = (
            eta
            * alpha_next[:, None]
            * ((variance + q_next)[:, None] / (variance + q)) ** power
            * np.sqrt(dq_dt)
        )
        along, rest = np.zeros(drawn.shape), noise.copy()
        for m, channel in enumerate(shapes):
            along[:, m] = np.sum(noise * channel * dt, axis=1)
            rest -= along[:, m, None] * channel
        beside = np.sqrt(np.sum(rest**2 * dt, axis=1))
        factor, offset, variance_of_noise = _backwards(
            packed, wrong, one, mean, variance, flow, shift, along, beside
        )
        total += factor**2 * spread + (factor * centre + offset) ** 2 + variance_of_noise
    if not np.isfinite(total):
        raise FloatingPointError(
            f"{tableau.name} overflowed on {len(tableau)} steps: take more steps or another grid"
        )
    return float(np.sqrt(total))
