"""Two-stage methods with noise of k-diffusion: a step of a deterministic method to a lower level, then noise.

Names as k-diffusion has them. A step down to kappa_down and noise kappa_up with kappa_down^2 + kappa_up^2 = kappa_s^2,
kappa = sigma/alpha: for eta = 1 the variances of the reverse SDE's own step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path
from .first_order import ddim_step

Array = NDArray[np.float64]
DOWN_AND_UP = Claim(
    2,
    "weak",
    "an order-2 step down and the reverse SDE's own noise up",
    "deduced",
    options={"eta": (0.0, 1.0)},
)


def _check(eta: float) -> None:
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}: give a value between 0 and 1")


def down_and_up(now: Level, then: Level, eta: float) -> tuple[Array, Array]:
    """Kappa to step down to and deviation of the noise that leads up to `then`, both in sigma/alpha.

    k-diffusion's get_ancestral_step: kappa_up = eta kappa_s sqrt(1 - (kappa_s/kappa_t)^2).
    """
    fresh = -np.expm1(-2 * (then.log_snr - now.log_snr))
    return then.kappa * np.sqrt(1 - eta**2 * fresh), then.kappa * eta * np.sqrt(fresh)


def _moved(step: Run, x: Combination, D: Combination, kappa: Array, level: Level) -> Combination:
    """X carried at `level`'s alpha to kappa with D frozen: DDIM to a level that may be off the path."""
    share = kappa / step.now.kappa
    return level.alpha * (share * (x / step.now.alpha) + (1 - share) * D)


@catalogue.method(
    "dpmpp-2s-ancestral",
    claims=[DOWN_AND_UP],
    source="k-diffusion, sample_dpmpp_2s_ancestral",
)
def dpmpp_2s_ancestral(path: Path, grid: ArrayLike, eta: float = 1.0) -> Tableau:
    """DPM-Solver++(2S) to a lower level, then noise up to the grid's.

    Weak order 2 for eta = 1; eta = 0 is `dpm-solver++-2s`. Two denoiser evaluations a step, one on a last step to
    sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    eta : float
        Between 0 and 1: the noise's standard deviation relative to DDPM's.

    Returns
    -------
    Tableau
        2 stages, 1 register, 1 channel.

    References
    ----------
    k-diffusion, sample_dpmpp_2s_ancestral.
    """
    _check(eta)
    trace = Trace("dpmpp-2s-ancestral", path, grid, stochasticity=eta)
    for step, _ in trace.runs():
        (x,) = step.registers
        D = step.denoise(x, step.now)
        if np.any(step.next.sigma == 0):
            step.close(ddim_step(step, x, D))
            continue
        down, up = down_and_up(step.now, step.next, eta)
        middle = step.level_of_kappa(np.sqrt(step.now.kappa * down))
        there = step.denoise(_moved(step, x, D, middle.kappa, middle), middle)
        following = _moved(step, x, there, down, step.next)
        step.close(following + step.next.alpha * up * step.noise("reciprocal-variance") if eta else following)
    return trace.tableau(eta=eta)


@catalogue.method(
    "dpm-2-ancestral",
    claims=[DOWN_AND_UP],
    source="k-diffusion, sample_dpm_2_ancestral",
)
def dpm_2_ancestral(path: Path, grid: ArrayLike, eta: float = 1.0) -> Tableau:
    """DPM-2 (the midpoint rule on eps in sigma, the middle geometric) to a lower level, then noise up to the grid's.

    Weak order 2 for eta = 1. Two denoiser evaluations a step, one on a last step to sigma = 0. Parameters as
    `dpmpp-2s-ancestral`.

    References
    ----------
    k-diffusion, sample_dpm_2_ancestral; Karras et al. 2022, Algorithm 2 as it was inspired.
    """
    _check(eta)
    trace = Trace("dpm-2-ancestral", path, grid, stochasticity=eta)
    for step, _ in trace.runs():
        (x,) = step.registers
        D = step.denoise(x, step.now)
        if np.any(step.next.sigma == 0):
            step.close(ddim_step(step, x, D))
            continue
        down, up = down_and_up(step.now, step.next, eta)
        middle = step.level_of_kappa(np.sqrt(step.now.kappa * down))
        u = _moved(step, x, D, middle.kappa, middle)
        slope = (u / middle.alpha - step.denoise(u, middle)) / middle.kappa
        following = step.next.alpha * (x / step.now.alpha + (down - step.now.kappa) * slope)
        step.close(following + step.next.alpha * up * step.noise("reciprocal-variance") if eta else following)
    return trace.tableau(eta=eta)


@catalogue.method(
    "dpmpp-sde",
    claims=[
        Claim(
            2,
            "weak",
            "the exponential midpoint rule with one Brownian path",
            "deduced",
            options={"eta": (0.0, 1.0), "r": (0.5,)},
        )
    ],
    source="k-diffusion, sample_dpmpp_sde",
)
def dpmpp_sde(path: Path, grid: ArrayLike, eta: float = 1.0, r: float = 0.5) -> Tableau:
    """DPM-Solver++ SDE: the exponential midpoint rule on the reverse SDE, both stages on one Brownian path.

    Weak order 2 for r = 1/2 and eta = 1; eta = 0 is `dpm-solver++-2s`. Two denoiser evaluations a step, one on a last
    step to sigma = 0. The noises of the stages are those the SDE has; k-diffusion takes them from a Brownian path in
    sigma, which correlates them the same to first order.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    eta : float
        Between 0 and 1: the noise's standard deviation relative to DDPM's.
    r : float
        Place of the second evaluation in log-SNR, 0 < r <= 1.

    Returns
    -------
    Tableau
        2 stages, 1 register, 2 channels.

    References
    ----------
    k-diffusion, sample_dpmpp_sde; Lu et al. 2023 (DPM-Solver++), the SDE of its SDE solvers.
    """
    _check(eta)
    if not 0 < r <= 1:
        raise ValueError(f"r is {r}: give a fraction of the step with 0 < r <= 1")
    trace = Trace("dpmpp-sde", path, grid, stochasticity=eta)
    for step, _ in trace.runs():
        (x,) = step.registers
        D = step.denoise(x, step.now)
        if np.any(step.next.sigma == 0):
            step.close(ddim_step(step, x, D))
            continue
        middle = step.between(r)
        down, up = down_and_up(step.now, middle, eta)
        u = _moved(step, x, D, down, middle)
        first = step.noise("reciprocal-variance", stop=middle) if eta else None
        u = u if first is None else u + middle.alpha * up * first
        there = step.denoise(u, middle)
        mixed = (1 - 1 / (2 * r)) * D + 1 / (2 * r) * there
        down, up = down_and_up(step.now, step.next, eta)
        following = _moved(step, x, mixed, down, step.next)
        if first is not None:
            # the whole step's functional of the path from its parts: 1/q over q, q = kappa^2
            early, whole = (1 / lv.kappa**2 - 1 / step.now.kappa**2 for lv in (middle, step.next))
            share = np.sqrt(early / whole)
            fresh = share * first
            if r < 1:
                fresh = fresh + np.sqrt(1 - share**2) * step.noise("reciprocal-variance", start=middle)
            following = following + step.next.alpha * up * fresh
        step.close(following)
    return trace.tableau(eta=eta, r=r)
