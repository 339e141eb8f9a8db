"""Singlestep DPM-Solver (noise prediction) and DPM-Solver++ (data prediction), uniform log-SNR stages."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.singlestep import data_second, data_third, noise_second, noise_third
from ...continuous.tableau import Tableau
from ...continuous.trace import Trace
from ...protocols import Path
from .first_order import ddim_step


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
        if np.any(step.next.sigma == 0):
            step.close(ddim_step(step, x, step.denoise(x, step.now)))
        else:
            step.close(noise_second(step, x, r1, step.between(r1))[0])
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
        if np.any(step.next.sigma == 0):
            step.close(ddim_step(step, x, step.denoise(x, step.now)))
        else:
            step.close(noise_third(step, x, r1, step.between(r1), r2, step.between(r2))[0])
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
        if np.any(step.next.sigma == 0):
            step.close(ddim_step(step, x, step.denoise(x, step.now)))
        else:
            step.close(data_second(step, x, r1, step.between(r1))[0])
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
        if np.any(step.next.sigma == 0):
            step.close(ddim_step(step, x, step.denoise(x, step.now)))
        else:
            step.close(data_third(step, x, r1, step.between(r1), r2, step.between(r2))[0])
    return trace.tableau(r1=r1, r2=r2)


def order_list(steps: int, order: int, end: str) -> list[tuple[int, int]]:
    """Intervals and order of the singlestep solver's steps: those of the code's "fast" list, or of full order.

    "as-published": as many evaluations as intervals, steps of the full order and then lower ones, for order 3 always: 2
    and 1, 1 or 2, whatever is left over. "full": what is left over is one more step of the full order.
    """
    whole, left = divmod(steps, order)
    if end == "full":
        return [(order, order)] * whole + ([(left, order)] if left else [])
    if order == 3 and left == 0:
        return [(3, 3)] * (whole - 1) + [(2, 2), (1, 1)]
    return [(order, order)] * whole + ([(left, left)] if left else [])


@catalogue.method(
    "dpm-solver-fast",
    claims=[
        Claim(
            3,
            "ode",
            "Lu et al. 2022, theorem 3.2, for steps of order 3",
            options={"order": (3,), "end": ("full",)},
        ),
        Claim(2, "ode", "Lu et al. 2022, theorem 3.2, for steps of order 2", options={"order": (2,)}),
        Claim(
            3,
            "ode",
            "the reference code of DPM-Solver: DPM-Solver-fast, of order 3 for a budget of evaluations",
            "code",
            options={"order": (3,), "end": ("as-published",)},
        ),
    ],
    source="Lu et al. 2022, section 3.4 (DPM-Solver-fast); its code, singlestep with order lists",
    aliases=("dpm-fast",),
)
def dpm_solver_fast(
    path: Path, grid: ArrayLike, order: int = 3, prediction: str = "noise", end: str = "as-published"
) -> Tableau:
    """Singlestep DPM-Solver over the grid's own nodes: a step of order k spans k intervals and evaluates at each node.

    As many evaluations as intervals. Order 3 with end "full"; as published the last steps are of lower order, which on
    one interval leaves a local error of its square, so that the order is 2, however small that error is.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    order : int
        2 or 3.
    prediction : str
        "noise" (DPM-Solver) or "data" (DPM-Solver++).
    end : str
        "as-published": lower orders on the last intervals, for order 3 always; "full": intervals that are left over
        make one more step of the full order, with evaluations of its own between nodes.

    Returns
    -------
    Tableau
        Up to 3 stages, 1 register, no noise.

    References
    ----------
    Lu et al. 2022, section 3.4, and the code's get_orders_and_timesteps_for_singlestep_solver.
    """
    if order not in (2, 3):
        raise ValueError(f"order is {order!r}: use 2 or 3")
    if prediction not in ("noise", "data"):
        raise ValueError(f"prediction is {prediction!r}: use 'noise' or 'data'")
    if end not in ("as-published", "full"):
        raise ValueError(f"end is {end!r}: use 'as-published' or 'full'")
    second, third = (noise_second, noise_third) if prediction == "noise" else (data_second, data_third)
    trace = Trace("dpm-solver-fast", path, grid)
    to_data = trace.terminal_zero
    first = 0
    inside = trace.intervals - to_data
    for span, k in [*(order_list(inside, order, end) if inside else []), *([(1, 1)] if to_data else [])]:
        step = trace.across(first, first + span)
        (x,) = step.registers
        if span == k:
            inner = [trace.nodes(first + i, 1) for i in range(1, k)]
        else:
            inner = [step.between(i / k) for i in range(1, k)]
        r = [(level.log_snr - step.now.log_snr) / step.h for level in inner]
        if k == 1:
            step.close(ddim_step(step, x, step.denoise(x, step.now)))
        elif k == 2:
            step.close(second(step, x, r[0], inner[0])[0])
        else:
            step.close(third(step, x, r[0], inner[0], r[1], inner[1])[0])
        first += span
    return trace.tableau(order=order, prediction=prediction, end=end)


def _check_fractions(**fractions: float) -> None:
    """Raise ValueError unless 0 < r1 < r2 <= 1."""
    previous = 0.0
    for name, value in fractions.items():
        if not previous < value <= 1:
            raise ValueError(f"{name} is {value}: give fractions of the step with 0 < r1 < r2 <= 1")
        previous = value
