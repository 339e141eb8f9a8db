"""Adaptive solvers of the probability-flow ODE: DPM-Solver-12 and -23, and Dormand and Prince's pair."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..continuous.executors.arrays import run
from ..continuous.singlestep import Pair, noise_second, noise_third
from ..continuous.trace import Combination, Run
from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue, everyone


def _check(**tolerances: float) -> None:
    for name, value in tolerances.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}: give a positive number")


def _pair(order: int, step: Run, x: Combination) -> Pair:
    """Write one DPM-Solver step: the method of the order and the one below it, which shares its evaluations."""
    if order == 2:
        return noise_second(step, x, 0.5, step.between(0.5))
    return noise_third(step, x, 1 / 3, step.between(1 / 3), 2 / 3, step.between(2 / 3))


def _dpm_solver(
    order: int,
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    rtol: float,
    atol: float,
    first: float,
    safety: float,
) -> Outcome:
    _check(rtol=rtol, atol=atol, first=first, safety=safety)
    problem = Problem(path, grid, model, x, noisy=False)
    xp, x, before = problem.xp, problem.x, problem.x
    t, stop = float(problem.grid[0]), float(problem.grid[-1])
    if not np.isfinite(path.log_snr(np.array([t, stop]))).all():
        raise ValueError(
            f"grid runs from {t:g} to {stop:g}: steps in log-SNR need alpha > 0 and sigma > 0 at both"
        )
    level, end = float(path.log_snr(t)), float(path.log_snr(stop))
    h, times, tries = min(first, end - level), [t], 0
    while level < end:
        ahead = stop if h >= end - level else float(path.time_of_log_snr(level + h))
        tableau = problem.step([t, ahead], partial(_pair, order))
        high, low = run(tableau, model, x, full=True).registers
        tries += 1
        bound = xp.maximum(xp.abs(low), xp.abs(before))
        bound = xp.maximum(xp.full_like(bound, atol), rtol * bound)
        square = ((high - low) / bound) ** 2
        # the root mean square of each sample, and the worst sample decides for all
        E = float(xp.max(xp.sqrt(xp.mean(xp.reshape(square, (problem.n, -1)), axis=1))))
        if not np.isfinite(E):
            raise FloatingPointError(
                f"dpm-solver-{order - 1}{order} gave a number that is not finite at t = {t:g}"
            )
        if E <= 1:
            x, before, t = high, low, ahead
            level = end if ahead == stop else level + h
            times.append(t)
        h = min(safety * h * max(E, 1e-10) ** (-1 / order), end - level) if level < end else h
        if h < 1e-12 * (abs(level) + 1):
            raise FloatingPointError(f"the step fell below rounding at t = {t:g}: give larger tolerances")
    accepted = len(times) - 1
    n = problem.n
    return Outcome(
        x, everyone(n, order * tries), everyone(n, accepted), everyone(n, tries - accepted), np.array(times)
    )


@catalogue.loop(
    "dpm-solver-12",
    promise="error per step below the tolerance",
    source="Lu et al. 2022, appendix on adaptive steps",
)
def dpm_solver_12(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    rtol: float = 0.05,
    atol: float = 0.0078,
    first: float = 0.05,
    safety: float = 0.9,
) -> Outcome:
    """DPM-Solver-2 with steps chosen by its difference to DPM-Solver-1.

    Two evaluations a try. The error of a step is the root mean square over a sample of the difference, relative to
    max(atol, rtol max(|x_low|, |x_low before|)); the largest in the batch decides for all, as published, so that a
    sample's result depends on what it is batched with.

    Parameters
    ----------
    path : Path
    grid : (2 or more,) array
        Its ends are used: both with alpha > 0 and sigma > 0; ValueError if not.
    model : target, Denoiser or callable
        As `run` takes it.
    x : (n, ...) array
    seed : int
        Unused: nothing is drawn.
    rtol, atol : float
        Tolerances.
    first : float
        First step in log-SNR.
    safety : float
        Factor on the next step.

    Raises
    ------
    FloatingPointError
        The samples overflow, or the step falls below rounding.

    References
    ----------
    Lu et al. 2022 (DPM-Solver), appendix C, Algorithm 3.
    """
    return _dpm_solver(2, path, grid, model, x, rtol, atol, first, safety)


@catalogue.loop(
    "dpm-solver-23",
    promise="error per step below the tolerance",
    source="Lu et al. 2022, appendix on adaptive steps",
)
def dpm_solver_23(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    rtol: float = 0.05,
    atol: float = 0.0078,
    first: float = 0.05,
    safety: float = 0.9,
) -> Outcome:
    """DPM-Solver-3 with steps chosen by its difference to DPM-Solver-2; as `dpm-solver-12`, three evaluations a try.

    References
    ----------
    Lu et al. 2022 (DPM-Solver), appendix C, Algorithm 3.
    """
    return _dpm_solver(3, path, grid, model, x, rtol, atol, first, safety)


# Dormand and Prince 1980, RK5(4)7M
_C = (0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_A: tuple[tuple[float, ...], ...] = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_E = (-71 / 57600, 0.0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40)


@catalogue.loop(
    "dormand-prince", promise="error per step below the tolerance", source="Dormand and Prince 1980, RK5(4)7M"
)
def dormand_prince(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    rtol: float = 1e-3,
    atol: float = 1e-6,
) -> Outcome:
    """Dormand and Prince's pair of orders 5 and 4 on the flow dx/dt = v in the path's time, velocities asked for.

    Six evaluations a try and two at the start; where v has its limits, from pure noise to the data. The batch is one
    system: its error is the root mean square over all of it, and the rules for the first step and the next are those of
    SciPy's `RK45`, to which it is equal step by step.

    Parameters
    ----------
    path : Path
    grid : (2 or more,) array
        Its ends are used.
    model, x, seed
        As for `dpm-solver-12`.
    rtol, atol : float
        Tolerances.

    Raises
    ------
    FloatingPointError
        The samples overflow, or the step falls below rounding.

    References
    ----------
    Dormand and Prince 1980; Hairer, Norsett and Wanner 1993, section II.4, for the steps.
    """
    _check(rtol=rtol, atol=atol)
    problem = Problem(path, grid, model, x, noisy=False)
    xp, x = problem.xp, problem.x
    t, stop = float(problem.grid[0]), float(problem.grid[-1])

    def size(values: Array) -> float:
        return float(xp.sqrt(xp.mean(values**2)))

    f, nfe = problem.velocity(x, t), 1
    scale = atol + rtol * xp.abs(x)
    d0, d1 = size(x / scale), size(f / scale)
    h0 = min(1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, t - stop)
    f1 = problem.velocity(x - h0 * f, t - h0)
    nfe += 1
    d2 = size((f1 - f) / scale) / h0
    h1 = max(1e-6, h0 * 1e-3) if d1 <= 1e-15 and d2 <= 1e-15 else (0.01 / max(d1, d2)) ** (1 / 5)
    h, times, tries, rejected = min(100 * h0, h1, t - stop), [t], 0, False
    while t > stop:
        least = 10 * abs(np.nextafter(t, -np.inf) - t)
        if h < least:
            raise FloatingPointError(f"the step fell below rounding at t = {t:g}: give larger tolerances")
        ahead = max(t - h, stop)
        taken = t - ahead
        K = [f]
        for c, row in zip(_C[1:], _A[1:], strict=True):
            move = sum((a * k for a, k in zip(row[1:], K[1:], strict=True) if a), row[0] * K[0])
            u = x - taken * move
            K.append(problem.velocity(u, ahead if c == 1 else t - c * taken))
        tries, nfe = tries + 1, nfe + 6
        error = taken * sum((e * k for e, k in zip(_E[1:], K[1:], strict=True) if e), _E[0] * K[0])
        E = size(error / (atol + rtol * xp.maximum(xp.abs(x), xp.abs(u))))
        if not np.isfinite(E):
            raise FloatingPointError(f"dormand-prince gave a number that is not finite at t = {t:g}")
        if E < 1:
            factor = 10.0 if E == 0 else min(10.0, 0.9 * E ** (-1 / 5))
            h = taken * (min(1.0, factor) if rejected else factor)
            x, f, t, rejected = u, K[-1], ahead, False
            times.append(t)
        else:
            h, rejected = taken * max(0.2, 0.9 * E ** (-1 / 5)), True
    n, accepted = problem.n, len(times) - 1
    return Outcome(x, everyone(n, nfe), everyone(n, accepted), everyone(n, tries - accepted), np.array(times))
