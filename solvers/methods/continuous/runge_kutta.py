"""Explicit Runge-Kutta methods on the probability-flow ODE, in sigma/alpha, log-SNR or time.

With y = x/alpha and kappa = sigma/alpha the flow is dy/dkappa = (y - D)/kappa, dy/dlog_snr = -(y - D),
or, in x and t, dx/dt = (sigma'/sigma) x + (alpha' - alpha sigma'/sigma) D.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.butcher import CLOCKS, EULER, HEUN, KUTTA_3, MIDPOINT, RALSTON, RK4, SSPRK_3, Butcher
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path


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
        if c == 0:
            level = now
        elif c == 1:
            level = then
        elif start is None:
            level = step.between(float(c), clock)
        else:
            raise ValueError(f"start is off the path: a stage at fraction {c} of the step has no level there")
        y = x / scale(now)
        for weight, slope in zip(row, slopes, strict=True):
            if weight:
                y = y + float(weight) * h * slope
        U = y * scale(level)
        D = step.denoise(U, level)
        first = first or D
        if clock == "sigma":
            slopes.append((y - D) / level.kappa)
        elif clock == "log-snr":
            slopes.append(D - y)
        else:
            path = step.path
            ratio = path.d_sigma(level.t) / level.sigma
            slopes.append(ratio * U + (path.d_alpha(level.t) - level.alpha * ratio) * D)
    y = x / scale(now)
    for weight, slope in zip(butcher.b, slopes, strict=True):
        if weight:
            y = y + float(weight) * h * slope
    assert first is not None
    return y * scale(then), first


def _tableau(name: str, butcher: Butcher, path: Path, grid: ArrayLike, clock: str) -> Tableau:
    if clock not in CLOCKS:
        raise ValueError(f"clock is {clock!r}: use one of {CLOCKS}")
    trace = Trace(name, path, grid)
    for step, _ in trace.runs():
        (x,) = step.registers
        if np.any(step.next.sigma == 0):
            x, _ = flow_step(step, x, EULER)
        else:
            x, _ = flow_step(step, x, butcher, clock)
        step.close(x)
    return trace.tableau(clock=clock)


@catalogue.method(
    "heun",
    claims=[Claim(2, "ode", "Karras et al. 2022, section 3 and Algorithm 1")],
    source="Karras et al. 2022, Algorithm 1",
)
def heun(path: Path, grid: ArrayLike, clock: str = "sigma") -> Tableau:
    """Heun's method on the probability-flow ODE, in sigma (EDM).

    Order 2. Two denoiser evaluations a step, one on a last step to sigma = 0.
    Use it as the reference two-stage method; at equal NFE `dpm-solver++-2m` is usually better.

    Parameters
    ----------
    path : Path
        Gaussian path giving alpha and sigma.
    grid : (nodes,) float64 array
        Decreasing times. Raises ValueError if not strictly decreasing.
    clock : str
        Variable the ODE is written in: "sigma" (sigma/alpha), "log-snr" or "time".

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
)
def midpoint(path: Path, grid: ArrayLike, clock: str = "sigma") -> Tableau:
    """The explicit midpoint method (Runge 1895) on the probability-flow ODE.

    Order 2. Two denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Runge 1895; Hairer, Norsett and Wanner 1993, section II.1.
    """
    return _tableau("midpoint", MIDPOINT, path, grid, clock)


@catalogue.method(
    "ralston",
    claims=[Claim(2, "ode", "Ralston 1962: order 2 with the least error bound")],
    source="Ralston 1962",
)
def ralston(path: Path, grid: ArrayLike, clock: str = "sigma") -> Tableau:
    """Ralston's second-order method on the probability-flow ODE: second stage at 2/3 of the step.

    Order 2. Two denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Ralston 1962, Runge-Kutta methods with minimum error bounds.
    """
    return _tableau("ralston", RALSTON, path, grid, clock)


@catalogue.method(
    "kutta-3",
    claims=[Claim(3, "ode", "Kutta 1901")],
    source="Kutta 1901",
)
def kutta_3(path: Path, grid: ArrayLike, clock: str = "sigma") -> Tableau:
    """Kutta's third-order method on the probability-flow ODE.

    Order 3. Three denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Kutta 1901.
    """
    return _tableau("kutta-3", KUTTA_3, path, grid, clock)


@catalogue.method(
    "ssprk-3",
    claims=[Claim(3, "ode", "Shu and Osher 1988")],
    source="Shu and Osher 1988",
)
def ssprk_3(path: Path, grid: ArrayLike, clock: str = "sigma") -> Tableau:
    """The strong-stability-preserving third-order method on the probability-flow ODE.

    Order 3. Three denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Shu and Osher 1988.
    """
    return _tableau("ssprk-3", SSPRK_3, path, grid, clock)


@catalogue.method(
    "rk4",
    claims=[Claim(4, "ode", "Kutta 1901; Hairer, Norsett and Wanner 1993, section II.1")],
    source="Kutta 1901; Hairer, Norsett and Wanner 1993, section II.1",
)
def rk4(path: Path, grid: ArrayLike, clock: str = "sigma") -> Tableau:
    """The classical fourth-order Runge-Kutta method on the probability-flow ODE.

    Order 4. Four denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `heun`.

    References
    ----------
    Kutta 1901; Hairer, Norsett and Wanner 1993, section II.1.
    """
    return _tableau("rk4", RK4, path, grid, clock)
