"""Explicit Runge-Kutta methods on the probability-flow ODE, in sigma/alpha, log-SNR or time; on interpolants in time.

With y = x/alpha and kappa = sigma/alpha the flow is dy/dkappa = (y - D)/kappa or dy/dlog_snr = -(y - D). In x and t it
is dx/dt = v, the velocity, which is regular at alpha = 0 and, on flow-matching paths, at sigma = 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.butcher import (
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
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path, process_of
from .first_order import ddim_step

FLOWS = ("noising", "interpolant")  # processes with a velocity


def flow_step(
    step: Run, x: Combination, butcher: Butcher, clock: str = "sigma", start: Level | None = None
) -> tuple[Combination, Combination]:
    """Return x after one Runge-Kutta step to step.next, and its first evaluation.

    `start` is the level x has, step.now by default; off the path the clock must be "sigma".
    """
    now, then = start or step.now, step.next
    in_time = clock == "time"
    scale = (lambda level: np.ones(1)) if in_time else (lambda level: level.alpha)
    if clock == "sigma":
        h = then.kappa - now.kappa
    elif clock == "log-snr":
        h = then.log_snr - now.log_snr
    else:
        h = then.t - now.t

    slopes: list[Combination] = []
    first = None
    for row, c in zip(butcher.a, butcher.c, strict=True):
        if start is not None and c not in (0, 1):
            raise ValueError(f"start is off the path: a stage at fraction {c} of the step has no level there")
        level = now if c == 0 else step.between(float(c), clock)
        y = x / scale(now)
        for weight, slope in zip(row, slopes, strict=True):
            if weight:
                y = y + float(weight) * h * slope
        U = y * scale(level)
        asked = step.velocity(U, level) if in_time else step.denoise(U, level)
        first = first or asked
        if clock == "sigma":
            slopes.append((y - asked) / level.kappa)
        else:
            slopes.append(asked if in_time else asked - y)
    y = x / scale(now)
    for weight, slope in zip(butcher.b, slopes, strict=True):
        if weight:
            y = y + float(weight) * h * slope
    assert first is not None
    return y * scale(then), first


def ends_in_time(step: Run) -> bool:
    """Whether the flow's velocity at the end of the steps asks for no score of the data itself."""
    _, score = step.velocity_asks(step.next)
    return not np.any((step.next.sigma == 0) & (score != 0))


def _tableau(name: str, butcher: Butcher, path: Path, grid: ArrayLike, clock: str | None) -> Tableau:
    trace = Trace(name, path, grid)
    transport = process_of(path) == "interpolant"
    if clock is None:
        early = trace.level(trace.grid[:1]).alpha[0] == 0 and butcher is not EULER
        clock = "time" if transport or early else "sigma"
    if clock not in CLOCKS:
        raise ValueError(f"clock is {clock!r}: use one of {CLOCKS}")
    if transport and clock != "time":
        raise ValueError(f"clock is {clock!r}, of noise that an interpolant has not: use 'time'")
    for step, _ in trace.runs():
        (x,) = step.registers
        if (clock == "sigma" and butcher is EULER) or (
            np.any(step.next.sigma == 0) and not (clock == "time" and ends_in_time(step))
        ):
            x = ddim_step(step, x, step.denoise(x, step.now))
        else:
            x, _ = flow_step(step, x, butcher, clock)
        step.close(x)
    return trace.tableau(clock=clock)


@catalogue.method(
    "euler",
    claims=[
        Claim(
            1,
            "ode",
            "Song, Meng and Ermon 2021 (DDIM), section 4.3, eq. 13; Lu et al. 2022, theorem 3.2 with k = 1",
        )
    ],
    source="Song, Meng and Ermon 2021, eq. 12",
    aliases=("ddim", "dpm-solver-1"),
    process=FLOWS,
)
def euler(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """Euler's method on the probability-flow ODE; in sigma/alpha it is DDIM and DPM-Solver-1.

    Order 1, in sigma/alpha exact where D is constant. One evaluation a step. In time it is flow matching's, which on
    the straight path is DDIM again, and iterative alpha-(de)blending too.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
        Decreasing times.
    clock : str, optional
        "sigma" (sigma/alpha, also by default, from alpha = 0 on too), "log-snr" or "time", the only one on an
        interpolant.

    Returns
    -------
    Tableau
        1 stage, 1 register, no noise.

    References
    ----------
    Song, Meng and Ermon 2021, eq. 12; Lu et al. 2022 (DPM-Solver), eq. 3.7; Heitz, Belcour and Chambon 2023
    (iterative alpha-(de)blending), Algorithm 4.
    """
    return _tableau("euler", EULER, path, grid, clock)


@catalogue.method(
    "heun",
    claims=[Claim(2, "ode", "Karras et al. 2022, section 3 and Algorithm 1")],
    source="Karras et al. 2022, Algorithm 1",
    aliases=("deis-rho-2heun",),
    process=FLOWS,
)
def heun(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """Heun's method on the probability-flow ODE, in sigma (EDM).

    Order 2. Two evaluations a step; one on a last step to sigma = 0, which is DDIM's, but in time where the velocity
    has its value there. Use it as the reference two-stage method; at equal NFE `dpm-solver++-2m` is usually better.

    Parameters
    ----------
    path : Path
        Gaussian path giving alpha and sigma.
    grid : (nodes,) float64 array
        Decreasing times. Raises ValueError if not strictly decreasing.
    clock : str, optional
        Variable the ODE is written in: "sigma" (sigma/alpha), "log-snr" or "time", where the velocity is asked for.
        By default "sigma", but "time" for a grid that starts at alpha = 0 and on an interpolant.

    Returns
    -------
    Tableau
        2 stages, 1 register, no noise.

    References
    ----------
    Karras et al. 2022, Algorithm 1.
    """
    return _tableau("heun", HEUN, path, grid, clock)


@catalogue.method(
    "midpoint",
    claims=[Claim(2, "ode", "Runge 1895; Hairer, Norsett and Wanner 1993, section II.1")],
    source="Runge 1895; Hairer, Norsett and Wanner 1993, section II.1",
    process=FLOWS,
)
def midpoint(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """The explicit midpoint method (Runge 1895) on the probability-flow ODE.

    Order 2. Two evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Runge 1895; Hairer, Norsett and Wanner 1993, section II.1.
    """
    return _tableau("midpoint", MIDPOINT, path, grid, clock)


@catalogue.method(
    "ralston",
    claims=[Claim(2, "ode", "Ralston 1962: order 2 with the least error bound")],
    source="Ralston 1962",
    process=FLOWS,
)
def ralston(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """Ralston's second-order method on the probability-flow ODE: second stage at 2/3 of the step.

    Order 2. Two evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Ralston 1962, Runge-Kutta methods with minimum error bounds.
    """
    return _tableau("ralston", RALSTON, path, grid, clock)


@catalogue.method(
    "heun-3",
    claims=[Claim(3, "ode", "Heun 1900")],
    source="Heun 1900",
    process=FLOWS,
)
def heun_3(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """Heun's third-order method on the probability-flow ODE, stages at 0, 1/3 and 2/3 of the step.

    Order 3. Three evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Heun 1900; Hairer, Norsett and Wanner 1993, section II.1, table 1.1.
    """
    return _tableau("heun-3", HEUN_3, path, grid, clock)


@catalogue.method(
    "kutta-3",
    claims=[Claim(3, "ode", "Kutta 1901")],
    source="Kutta 1901",
    aliases=("deis-rho-3kutta",),
    process=FLOWS,
)
def kutta_3(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """Kutta's third-order method on the probability-flow ODE.

    Order 3. Three evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Kutta 1901.
    """
    return _tableau("kutta-3", KUTTA_3, path, grid, clock)


@catalogue.method(
    "ssprk-3",
    claims=[Claim(3, "ode", "Shu and Osher 1988")],
    source="Shu and Osher 1988",
    process=FLOWS,
)
def ssprk_3(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """The strong-stability-preserving third-order method on the probability-flow ODE.

    Order 3. Three evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Shu and Osher 1988.
    """
    return _tableau("ssprk-3", SSPRK_3, path, grid, clock)


@catalogue.method(
    "rk4",
    claims=[Claim(4, "ode", "Kutta 1901; Hairer, Norsett and Wanner 1993, section II.1")],
    source="Kutta 1901; Hairer, Norsett and Wanner 1993, section II.1",
    aliases=("deis-rho-4rk",),
    process=FLOWS,
)
def rk4(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """The classical fourth-order Runge-Kutta method on the probability-flow ODE.

    Order 4. Four evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Kutta 1901; Hairer, Norsett and Wanner 1993, section II.1.
    """
    return _tableau("rk4", RK4, path, grid, clock)


@catalogue.method(
    "rk4-3/8",
    claims=[Claim(4, "ode", "Kutta 1901; Hairer, Norsett and Wanner 1993, section II.1")],
    source="Kutta 1901, the 3/8 rule",
    process=FLOWS,
)
def rk4_3_8(path: Path, grid: ArrayLike, clock: str | None = None) -> Tableau:
    """Kutta's 3/8 rule on the probability-flow ODE, which torchdiffeq calls `rk4`.

    Order 4. Four evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Kutta 1901; Hairer, Norsett and Wanner 1993, section II.1, table 1.2.
    """
    return _tableau("rk4-3/8", RK4_3_8, path, grid, clock)
