"""Singlestep DPM-Solver (noise prediction) and DPM-Solver++ (data prediction), uniform log-SNR stages."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...numerics.phi import phi
from ...protocols import Path
from .first_order import ddim_step


def _eps(step: Run, x: Combination, level: Level) -> Combination:
    return (x - level.alpha * step.denoise(x, level)) / level.sigma


@catalogue.method(
    "dpm-solver-2",
    claims=[Claim(2, "ode", "Lu et al. 2022, theorem 3.2")],
    source="Lu et al. 2022, Algorithm 1, and its appendix for any r1",
)
def dpm_solver_2(path: Path, grid: ArrayLike, r1: float = 0.5) -> Tableau:
    """DPM-Solver-2: exponential midpoint in log-SNR on the noise prediction.

    Order 2. Two denoiser evaluations a step, one on a last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    r1 : float
        Place of the second evaluation as a fraction of the step in log-SNR, in (0, 1).

    Returns
    -------
    Tableau
        2 stages, 1 register, no noise.

    References
    ----------
    Lu et al. 2022, Algorithm 1 (r1 = 1/2), and its appendix for any r1.
    """
    _check_fractions(r1=r1)
    trace = Trace("dpm-solver-2", path, grid)
    for step, _ in trace.runs():
        (x,) = step.registers
        s, t = step.next, step.now
        if np.any(s.sigma == 0):
            step.close(ddim_step(step, x, step.denoise(x, t)))
            continue
        h, s1 = step.h, step.between(r1)
        eps = _eps(step, x, t)
        u = s1.alpha / t.alpha * x - s1.sigma * np.expm1(r1 * h) * eps
        D1 = _eps(step, u, s1) - eps
        step.close(s.alpha / t.alpha * x - s.sigma * np.expm1(h) * (eps + 1 / (2 * r1) * D1))
    return trace.tableau(r1=r1)


@catalogue.method(
    "dpm-solver-3",
    claims=[Claim(3, "ode", "Lu et al. 2022, theorem 3.2")],
    source="Lu et al. 2022, Algorithm 2, and its appendix for any r1, r2",
)
def dpm_solver_3(path: Path, grid: ArrayLike, r1: float = 1 / 3, r2: float = 2 / 3) -> Tableau:
    """DPM-Solver-3: three-stage exponential method in log-SNR on the noise prediction.

    Order 3. Three denoiser evaluations a step, one on a last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    r1, r2 : float
        Places of the second and third evaluation, 0 < r1 < r2 <= 1. The order needs r2 = 2/3.

    Returns
    -------
    Tableau
        3 stages, 1 register, no noise.

    References
    ----------
    Lu et al. 2022, Algorithm 2 (r1 = 1/3, r2 = 2/3), and its appendix for any r1, r2.
    """
    _check_fractions(r1=r1, r2=r2)
    trace = Trace("dpm-solver-3", path, grid)
    for step, _ in trace.runs():
        (x,) = step.registers
        s, t = step.next, step.now
        if np.any(s.sigma == 0):
            step.close(ddim_step(step, x, step.denoise(x, t)))
            continue
        h, s1, s2 = step.h, step.between(r1), step.between(r2)
        eps = _eps(step, x, t)
        u1 = s1.alpha / t.alpha * x - s1.sigma * np.expm1(r1 * h) * eps
        D1 = _eps(step, u1, s1) - eps
        u2 = s2.alpha / t.alpha * x - s2.sigma * (
            np.expm1(r2 * h) * eps + r2 / r1 * (r2 * h * phi(2, r2 * h)) * D1
        )
        D2 = _eps(step, u2, s2) - eps
        step.close(s.alpha / t.alpha * x - s.sigma * (np.expm1(h) * eps + 1 / r2 * (h * phi(2, h)) * D2))
    return trace.tableau(r1=r1, r2=r2)


@catalogue.method(
    "dpm-solver++-2s",
    claims=[Claim(2, "ode", "Lu et al. 2023 (DPM-Solver++), Algorithm 1: a second-order singlestep solver")],
    source="Lu et al. 2023, Algorithm 1",
)
def dpm_solver_pp_2s(path: Path, grid: ArrayLike, r1: float = 0.5) -> Tableau:
    """DPM-Solver++(2S): exponential midpoint in log-SNR on the denoiser.

    Order 2. Two denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `dpm-solver-2`.

    References
    ----------
    Lu et al. 2023 (DPM-Solver++), Algorithm 1.
    """
    _check_fractions(r1=r1)
    trace = Trace("dpm-solver++-2s", path, grid)
    for step, _ in trace.runs():
        (x,) = step.registers
        s, t = step.next, step.now
        if np.any(s.sigma == 0):
            step.close(ddim_step(step, x, step.denoise(x, t)))
            continue
        h, s1 = step.h, step.between(r1)
        D0 = step.denoise(x, t)
        u = s1.sigma / t.sigma * x - s1.alpha * np.expm1(-r1 * h) * D0
        D1 = step.denoise(u, s1)
        D = (1 - 1 / (2 * r1)) * D0 + 1 / (2 * r1) * D1
        step.close(s.sigma / t.sigma * x - s.alpha * np.expm1(-h) * D)
    return trace.tableau(r1=r1)


@catalogue.method(
    "dpm-solver++-3s",
    claims=[Claim(3, "ode", "the reference code of DPM-Solver++: singlestep orders 1, 2 and 3", "code")],
    source="Lu et al. 2022, Algorithm 2, with D in place of eps",
)
def dpm_solver_pp_3s(path: Path, grid: ArrayLike, r1: float = 1 / 3, r2: float = 2 / 3) -> Tableau:
    """DPM-Solver++(3S): three-stage exponential method in log-SNR on the denoiser.

    Order 3. Three denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `dpm-solver-3`.

    References
    ----------
    Lu et al. 2022, Algorithm 2, with D in place of eps as Lu et al. 2023 (DPM-Solver++) do for order 2.
    """
    _check_fractions(r1=r1, r2=r2)
    trace = Trace("dpm-solver++-3s", path, grid)
    for step, _ in trace.runs():
        (x,) = step.registers
        s, t = step.next, step.now
        if np.any(s.sigma == 0):
            step.close(ddim_step(step, x, step.denoise(x, t)))
            continue
        h, s1, s2 = step.h, step.between(r1), step.between(r2)
        D0 = step.denoise(x, t)
        u1 = s1.sigma / t.sigma * x - s1.alpha * np.expm1(-r1 * h) * D0
        D1 = step.denoise(u1, s1) - D0
        u2 = (
            s2.sigma / t.sigma * x
            - s2.alpha * np.expm1(-r2 * h) * D0
            + s2.alpha * (r2 / r1) * (r2 * h * phi(2, -r2 * h)) * D1
        )
        D2 = step.denoise(u2, s2) - D0
        step.close(s.sigma / t.sigma * x - s.alpha * np.expm1(-h) * D0 + s.alpha / r2 * (h * phi(2, -h)) * D2)
    return trace.tableau(r1=r1, r2=r2)


def _check_fractions(**fractions: float) -> None:
    """Raise ValueError unless 0 < r1 < r2 <= 1."""
    previous = 0.0
    for name, value in fractions.items():
        if not previous < value <= 1:
            raise ValueError(f"{name} is {value}: give fractions of the step with 0 < r1 < r2 <= 1")
        previous = value
