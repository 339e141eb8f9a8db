"""Multistep DPM-Solver++: polynomials in log-SNR through earlier denoiser outputs, ODE and SDE."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Run, Trace
from ...numerics.phi import phi
from ...protocols import Path
from .exact_start import exact_noisy_start, exact_start
from .first_order import ddim_step


def second_order(step: Run, x: Combination, D: Combination, D1: Combination) -> Combination:
    """DPM-Solver++(2M), Lu et al. 2023, Algorithm 2; D1 is the evaluation one node back."""
    s, t = step.next, step.now
    r = (t.log_snr - step.node(-1).log_snr) / step.h
    extrapolated = (1 + 1 / (2 * r)) * D - 1 / (2 * r) * D1
    return s.sigma / t.sigma * x - s.alpha * np.expm1(-step.h) * extrapolated


def _third_order(
    step: Run, x: Combination, D: Combination, D1: Combination, D2: Combination, curvature: float
) -> Combination:
    """Integrate a quadratic through three evaluations; `curvature` is the factor on its second difference."""
    s, t, h = step.next, step.now, step.h
    r0 = (t.log_snr - step.node(-1).log_snr) / h
    r1 = (step.node(-1).log_snr - step.node(-2).log_snr) / h
    near, far = (D - D1) / r0, (D1 - D2) / r1
    slope = near + r0 / (r0 + r1) * (near - far)
    second_difference = (near - far) / (r0 + r1)
    return (
        s.sigma / t.sigma * x
        - s.alpha * np.expm1(-h) * D
        + s.alpha * h * phi(2, -h) * slope
        + s.alpha * h * phi(3, -h) * curvature * second_difference
    )


@catalogue.method(
    "dpm-solver++-2m",
    claims=[Claim(2, "ode", "Lu et al. 2023 (DPM-Solver++), Algorithm 2: a second-order multistep solver")],
    source="Lu et al. 2023, Algorithm 2",
)
def dpm_solver_pp_2m(path: Path, grid: ArrayLike, start: str = "practical") -> Tableau:
    """DPM-Solver++(2M): two-step exponential method in log-SNR on the denoiser.

    Order 2. One denoiser evaluation a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (first step DDIM) or "exact".

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, previous evaluation), no noise.

    References
    ----------
    Lu et al. 2023 (DPM-Solver++), Algorithm 2.
    """
    trace = Trace("dpm-solver++-2m", path, grid)
    if start == "exact":
        exact_start(trace, history=1)
    for step, order in trace.runs(orders=2, exact_start=start == "exact"):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        step.close(second_order(step, x, D, history[0]) if order == 2 else ddim_step(step, x, D), D)
    return trace.tableau(start=start)


def _3m(name: str, path: Path, grid: ArrayLike, start: str, curvature: float) -> Tableau:
    trace = Trace(name, path, grid)
    if start == "exact":
        exact_start(trace, history=2)
    for step, order in trace.runs(orders=3, exact_start=start == "exact"):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        if order == 1:
            x = ddim_step(step, x, D)
        elif order == 2:
            x = second_order(step, x, D, history[0])
        else:
            x = _third_order(step, x, D, history[0], history[1], curvature)
        step.close(x, D, *history[:1])
    return trace.tableau(start=start)


@catalogue.method(
    "dpm-solver++-3m",
    claims=[
        Claim(
            3,
            "ode",
            "a quadratic in log-SNR, integrated exactly; Lu et al. 2023 leave orders above 2 open",
            "deduced",
        )
    ],
    source="the reference code of DPM-Solver++, multistep third update, with its Taylor variant's factor 2",
)
def dpm_solver_pp_3m(path: Path, grid: ArrayLike, start: str = "practical") -> Tableau:
    """DPM-Solver++(3M), corrected: the quadratic through three evaluations, integrated exactly.

    Order 3 from exact starts, 2 from the practical start, whose first step is DDIM. One denoiser
    evaluation a step; a first-order last step to sigma = 0. Parameters as `dpm-solver++-2m`.

    Returns
    -------
    Tableau
        1 stage, 3 registers (sample, two previous evaluations), no noise.

    References
    ----------
    Lu et al. 2023, proposition 4.1, with int e^-(h-u) D(u) du = sum_k h^(k+1) phi_(k+1)(-h) D^(k), where
    h^2 D'' is twice the second divided difference.
    """
    return _3m("dpm-solver++-3m", path, grid, start, curvature=2.0)


@catalogue.method(
    "dpm-solver++-3m-as-published",
    claims=[
        Claim(
            3, "ode", "the reference code of DPM-Solver++: orders 1, 2 and 3 for its multistep method", "code"
        )
    ],
    source="the reference code of DPM-Solver++, multistep_dpm_solver_third_update, and its ports in other libraries",
)
def dpm_solver_pp_3m_as_published(path: Path, grid: ArrayLike, start: str = "practical") -> Tableau:
    """DPM-Solver++(3M) as the reference code has it: half of the quadratic term is missing.

    Claimed order 3; the second divided difference enters as if it were h^2 D'', which is twice that, so the
    order is 2 from any start. One denoiser evaluation a step. Parameters as `dpm-solver++-2m`.

    References
    ----------
    The reference code of DPM-Solver++, multistep_dpm_solver_third_update; see `dpm-solver++-3m` for the
    corrected term.
    """
    return _3m("dpm-solver++-3m-as-published", path, grid, start, curvature=1.0)


@catalogue.method(
    "sde-dpm-solver++-2m",
    claims=[
        Claim(
            2,
            "weak",
            "Lu et al. 2023 (DPM-Solver++), section on diffusion SDEs: a second-order multistep solver",
        )
    ],
    source="Lu et al. 2023 (DPM-Solver++), SDE-DPM-Solver++(2M)",
)
def sde_dpm_solver_pp_2m(
    path: Path, grid: ArrayLike, start: str = "practical", variant: str = "midpoint"
) -> Tableau:
    """SDE-DPM-Solver++(2M): the reverse SDE with D extrapolated linearly in log-SNR.

    Weak order 2. One denoiser evaluation a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (first step SDE-DPM-Solver++-1) or "exact" (the first interval in many small steps).
    variant : str
        "midpoint" (the paper's) or "heun" (its ports'), which integrates the linear extrapolation exactly.

    Returns
    -------
    Tableau
        1 stage, 2 registers, 1 channel.

    References
    ----------
    Lu et al. 2023 (DPM-Solver++), SDE-DPM-Solver++(2M).
    """
    if variant not in ("midpoint", "heun"):
        raise ValueError(f"variant is {variant!r}: use 'midpoint' or 'heun'")
    trace = Trace("sde-dpm-solver++-2m", path, grid, stochasticity=1.0)

    def advance(step: Run, x: Combination, D: Combination, difference: Combination | None) -> Combination:
        s, t, h = step.next, step.now, step.h
        fresh = -np.expm1(-2 * h)
        x = s.sigma / t.sigma * np.exp(-h) * x + s.alpha * fresh * D
        if difference is not None:
            weight = fresh / 2 if variant == "midpoint" else 2 * h * phi(2, -2 * h)
            x = x + s.alpha * weight * difference
        return x + s.sigma * np.sqrt(fresh) * step.noise("reciprocal-variance")

    if start == "exact":
        exact_noisy_start(trace, advance)
    for step, order in trace.runs(orders=2, exact_start=start == "exact"):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        difference = None
        if order == 2:
            r = (step.now.log_snr - step.node(-1).log_snr) / step.h
            difference = (D - history[0]) / r
        step.close(advance(step, x, D, difference), D)
    return trace.tableau(start=start, variant=variant)
