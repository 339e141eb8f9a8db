"""Multistep DPM-Solver++: polynomials in log-SNR through earlier denoiser outputs, ODE and SDE."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Run, Trace
from ...numerics.phi import phi
from ...protocols import Path
from .first_order import check_eta, ddim_step, sde_step
from .starts import on_the_sde, started


def second_order(step: Run, x: Combination, D: Combination, D1: Combination) -> Combination:
    """DPM-Solver++(2M), Lu et al. 2023, Algorithm 2; D1 is the evaluation one node back."""
    s, t = step.next, step.now
    r = (t.log_snr - step.node(-1).log_snr) / step.h
    extrapolated = (1 + 1 / (2 * r)) * D - 1 / (2 * r) * D1
    return s.sigma / t.sigma * x - s.alpha * np.expm1(-step.h) * extrapolated


def differences(
    step: Run, D: Combination, D1: Combination, D2: Combination
) -> tuple[Combination, Combination]:
    """Of the quadratic through three evaluations: h times its slope at the step's start, h^2 times its curvature/2."""
    h = step.h
    r0 = (step.now.log_snr - step.node(-1).log_snr) / h
    r1 = (step.node(-1).log_snr - step.node(-2).log_snr) / h
    near, far = (D - D1) / r0, (D1 - D2) / r1
    return near + r0 / (r0 + r1) * (near - far), (near - far) / (r0 + r1)


def _third_order(
    step: Run, x: Combination, D: Combination, D1: Combination, D2: Combination, curvature: float
) -> Combination:
    """Integrate a quadratic through three evaluations; `curvature` is the factor on its second difference."""
    s, t, h = step.next, step.now, step.h
    slope, second_difference = differences(step, D, D1, D2)
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
def dpm_solver_pp_2m(path: Path, grid: ArrayLike, start: str = "practical", end: str = "full") -> Tableau:
    """DPM-Solver++(2M): two-step exponential method in log-SNR on the denoiser.

    Order 2. One denoiser evaluation a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (first step DDIM), "single-step" or "exact".
    end : str
        "full", "lower" (last step DDIM) or "as-published" (so on fewer than 15 steps).

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, previous evaluation), no noise.

    References
    ----------
    Lu et al. 2023 (DPM-Solver++), Algorithm 2.
    """
    trace = Trace("dpm-solver++-2m", path, grid)
    begun = started(trace, start, 1)
    for step, order in trace.runs(orders=2, started=begun, end=end):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        step.close(second_order(step, x, D, history[0]) if order == 2 else ddim_step(step, x, D), D)
    return trace.tableau(start=start, end=end)


def _3m(name: str, path: Path, grid: ArrayLike, start: str, end: str, curvature: float) -> Tableau:
    trace = Trace(name, path, grid)
    begun = started(trace, start, 2)
    for step, order in trace.runs(orders=3, started=begun, end=end):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        if order == 1:
            x = ddim_step(step, x, D)
        elif order == 2:
            x = second_order(step, x, D, history[0])
        else:
            x = _third_order(step, x, D, history[0], history[1], curvature)
        step.close(x, D, *history[:1])
    return trace.tableau(start=start, end=end)


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
def dpm_solver_pp_3m(path: Path, grid: ArrayLike, start: str = "practical", end: str = "full") -> Tableau:
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
    return _3m("dpm-solver++-3m", path, grid, start, end, curvature=2.0)


@catalogue.method(
    "dpm-solver++-3m-as-published",
    claims=[
        Claim(
            3, "ode", "the reference code of DPM-Solver++: orders 1, 2 and 3 for its multistep method", "code"
        )
    ],
    source="the reference code of DPM-Solver++, multistep_dpm_solver_third_update, and its ports in other libraries",
)
def dpm_solver_pp_3m_as_published(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full"
) -> Tableau:
    """DPM-Solver++(3M) as the reference code has it: half of the quadratic term is missing.

    Claimed order 3; the second divided difference enters as if it were h^2 D'', which is twice that, so the
    order is 2 from any start. One denoiser evaluation a step. Parameters as `dpm-solver++-2m`.

    References
    ----------
    The reference code of DPM-Solver++, multistep_dpm_solver_third_update; see `dpm-solver++-3m` for the
    corrected term.
    """
    return _3m("dpm-solver++-3m-as-published", path, grid, start, end, curvature=1.0)


@catalogue.method(
    "sde-dpm-solver++-2m",
    claims=[
        Claim(
            2,
            "weak",
            "Lu et al. 2023 (DPM-Solver++), section on diffusion SDEs: a second-order multistep solver",
            options={"eta": (1.0,)},
        )
    ],
    source="Lu et al. 2023 (DPM-Solver++), SDE-DPM-Solver++(2M)",
    aliases=("dpmpp-2m-sde",),
)
def sde_dpm_solver_pp_2m(
    path: Path,
    grid: ArrayLike,
    start: str = "practical",
    end: str = "full",
    variant: str = "midpoint",
    eta: float = 1.0,
) -> Tableau:
    """SDE-DPM-Solver++(2M): the reverse SDE with D extrapolated linearly in log-SNR.

    Weak order 2. One denoiser evaluation a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (first step SDE-DPM-Solver++-1), "single-step" or "exact" (the first interval in many small steps).
    end : str
        "full", "lower" (last step first-order) or "as-published" (so on fewer than 15 steps).
    variant : str
        "midpoint" (the paper's) or "heun" (its ports'), which integrates the linear extrapolation exactly.
    eta : float
        0 or more: amount of noise, 1 is the reverse SDE; a port's option.

    Returns
    -------
    Tableau
        1 stage, 2 registers, 1 channel.

    References
    ----------
    Lu et al. 2023 (DPM-Solver++), SDE-DPM-Solver++(2M); k-diffusion, sample_dpmpp_2m_sde, for eta.
    """
    if variant not in ("midpoint", "heun"):
        raise ValueError(f"variant is {variant!r}: use 'midpoint' or 'heun'")
    check_eta(eta)
    trace = Trace("sde-dpm-solver++-2m", path, grid, stochasticity=eta)
    begun = started(trace, start, 1, advance=on_the_sde(eta))
    for step, order in trace.runs(orders=2, started=begun, end=end):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        following = sde_step(step, x, D, eta)
        if order == 2:
            z = (1 + eta**2) * step.h
            r = (step.now.log_snr - step.node(-1).log_snr) / step.h
            weight = -np.expm1(-z) / 2 if variant == "midpoint" else z * phi(2, -z)
            following = following + step.next.alpha * weight * ((D - history[0]) / r)
        step.close(following, D)
    return trace.tableau(start=start, end=end, variant=variant, eta=eta)


def _3m_sde(
    name: str, path: Path, grid: ArrayLike, start: str, end: str, eta: float, curvature: float
) -> Tableau:
    check_eta(eta)
    trace = Trace(name, path, grid, stochasticity=eta)
    begun = started(trace, start, 2, advance=on_the_sde(eta))
    for step, order in trace.runs(orders=3, started=begun, end=end):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        following = sde_step(step, x, D, eta)
        z = (1 + eta**2) * step.h
        if order == 2:
            r = (step.now.log_snr - step.node(-1).log_snr) / step.h
            following = following + step.next.alpha * z * phi(2, -z) * ((D - history[0]) / r)
        elif order == 3:
            slope, second_difference = differences(step, D, *history[:2])
            following = (
                following
                + step.next.alpha * z * phi(2, -z) * slope
                + step.next.alpha * z * phi(3, -z) * curvature * second_difference
            )
        step.close(following, D, *history[:1])
    return trace.tableau(start=start, end=end, eta=eta)


@catalogue.method(
    "dpmpp-3m-sde",
    claims=[
        Claim(
            3,
            "weak",
            "a quadratic in log-SNR, integrated exactly: order 3 without noise",
            "deduced",
            options={"eta": (0.0,)},
        ),
        Claim(
            2,
            "weak",
            "with noise D is no smooth function along a path: a multistep method has weak order 2",
            "deduced",
        ),
    ],
    source="k-diffusion, sample_dpmpp_3m_sde, with the factor 2 its quadratic term lacks",
)
def dpmpp_3m_sde(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", eta: float = 1.0
) -> Tableau:
    """DPM-Solver++(3M) SDE, corrected: D extrapolated by a quadratic in log-SNR, integrated exactly.

    Weak order 2 with noise, order 3 without (from an exact start). One denoiser evaluation a step; a first-order last
    step to sigma = 0. Parameters as `sde-dpm-solver++-2m`.

    References
    ----------
    k-diffusion, sample_dpmpp_3m_sde; see `dpm-solver++-3m` for the factor on the quadratic term.
    """
    return _3m_sde("dpmpp-3m-sde", path, grid, start, end, eta, curvature=2.0)


@catalogue.method(
    "dpmpp-3m-sde-as-published",
    claims=[
        Claim(
            3,
            "weak",
            "k-diffusion's name for sample_dpmpp_3m_sde, a third-order multistep method",
            "code",
            options={"eta": (0.0,)},
        ),
    ],
    source="k-diffusion, sample_dpmpp_3m_sde",
)
def dpmpp_3m_sde_as_published(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", eta: float = 1.0
) -> Tableau:
    """DPM-Solver++(3M) SDE as k-diffusion has it: half of the quadratic term is missing.

    Order 2 without noise, where 3 is meant: the second divided difference enters as if it were h^2 D'', which is twice
    that. Weak order 2 with noise. One denoiser evaluation a step. Parameters as `sde-dpm-solver++-2m`.

    References
    ----------
    k-diffusion, sample_dpmpp_3m_sde: x += phi_2 d1 - phi_3 d2 with d2 the second divided difference.
    """
    return _3m_sde("dpmpp-3m-sde-as-published", path, grid, start, end, eta, curvature=1.0)
