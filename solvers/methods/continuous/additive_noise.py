"""Stochastic Runge-Kutta methods for additive noise, of strong order 1.5: SRA1, SRA3, SPaRK and ShARK.

They take, beside the increment W of the Brownian path, its space-time area H = int (W_t - t/h W) dt / h, which is
independent of W with variance h/12: H = sqrt(h/12) z with z the functional "time-area" or "variance-area".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path, process_of
from .euler_maruyama import amount_of_noise, drift, follows, no_score_at, noisy_step
from .first_order import check_eta, sde_step
from .runge_kutta import FLOWS

STRONG = "additive noise, strong order 1.5 by its order conditions"


def _integrals(step: Run, clock: str) -> tuple[Combination, Combination]:
    """W and int W dt / h = H + W/2 over the step, in time or in the variance clock."""
    h = step.now.t - step.next.t if clock == "time" else step.now.kappa**2 - step.next.kappa**2
    W = np.sqrt(h) * step.noise(clock)
    # the area weighs what comes early in the step more: int_0^h (h - t) dW = h (W/2 + H), u = 2 t/h - 1
    return W, W / 2 - np.sqrt(h / 12) * step.noise(f"{clock}-area")


def _to_data(step: Run, x: Combination, eta: float, weight: str = "g2") -> bool:
    """Close a step to sigma = 0 by one of first order, on D or on an interpolant Euler's; whether it was one."""
    if not np.any(step.next.sigma == 0):
        return False
    if process_of(step.path) == "interpolant":
        if not no_score_at(step, amount_of_noise(step.path, step.next, eta, weight)):
            return False
        step.close(noisy_step(step, x, eta, weight))
    else:
        step.close(sde_step(step, x, step.denoise(x, step.now), eta))
    return True


@catalogue.method(
    "sra1",
    claims=[
        Claim(1.5, "strong", "Rossler 2010, scheme SRA1: order (2.0, 1.5)"),
        Claim(2, "weak", "strong order 1.5 and order 2 without noise", "deduced"),
    ],
    source="Rossler 2010, section 5, SRA1",
    process=FLOWS,
)
def sra1(path: Path, grid: ArrayLike, eta: float = 1.0, weight: str = "g2") -> Tableau:
    """SRA1 on the reverse SDE in time: two stages, strong order 1.5 for additive noise.

    Weak order 2. Two denoiser evaluations a step; a first-order step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    eta, weight
        Amount of noise, as for `euler-maruyama`.

    Returns
    -------
    Tableau
        2 stages, 1 register, 2 channels.

    References
    ----------
    Rossler 2010, Runge-Kutta methods for the strong approximation of solutions of SDEs, SRA1.
    """
    trace = Trace("sra1", path, grid, stochasticity=follows(eta, weight))
    for step, _ in trace.runs():
        (x,) = step.registers
        if _to_data(step, x, eta, weight):
            continue
        t, s = step.now, step.next
        h = t.t - s.t
        g, g_next = (np.sqrt(amount_of_noise(path, level, eta, weight)) for level in (t, s))
        W, mean = _integrals(step, "time")  # I_1 and I_(1,0)/h
        first = drift(step, x, t, g**2)
        level = step.between(0.75, "time")
        u = x + 0.75 * h * first + 1.5 * g_next * mean
        second = drift(step, u, level, amount_of_noise(path, level, eta, weight))
        step.close(x + h / 3 * (first + 2 * second) + g_next * W + (g - g_next) * mean)
    return trace.tableau(eta=eta, weight=weight)


@catalogue.method(
    "sra3",
    claims=[
        Claim(1.5, "strong", "Rossler 2010, scheme SRA3: order (3.0, 1.5)"),
        Claim(2, "weak", "strong order 1.5 and order 3 without noise", "deduced"),
    ],
    source="Rossler 2010, section 5, SRA3",
    process=FLOWS,
)
def sra3(path: Path, grid: ArrayLike, eta: float = 1.0, weight: str = "g2") -> Tableau:
    """SRA3 on the reverse SDE in time: three stages, order 3 without noise.

    Strong order 1.5, weak order 2. Three denoiser evaluations a step; a first-order step to sigma = 0. Parameters as
    `sra1`.

    References
    ----------
    Rossler 2010, Runge-Kutta methods for the strong approximation of solutions of SDEs, SRA3.
    """
    trace = Trace("sra3", path, grid, stochasticity=follows(eta, weight))
    for step, _ in trace.runs():
        (x,) = step.registers
        if _to_data(step, x, eta, weight):
            continue
        t, s = step.now, step.next
        h = t.t - s.t
        middle = step.between(0.5, "time")
        g, g_next = (np.sqrt(amount_of_noise(path, level, eta, weight)) for level in (t, s))
        W, mean = _integrals(step, "time")
        first = drift(step, x, t, g**2)
        second = drift(step, x + h * first, s, g_next**2)
        # SRA3's B0: 1 and 1/2 on the noise at its nodes c1 = 1 and 0
        u = x + h / 4 * (first + second) + (g_next + g / 2) * mean
        third = drift(step, u, middle, amount_of_noise(path, middle, eta, weight))
        step.close(x + h / 6 * (first + second + 4 * third) + g_next * W + (g - g_next) * mean)
    return trace.tableau(eta=eta, weight=weight)


@catalogue.method(
    "spark",
    claims=[
        Claim(1.5, "strong", "diffrax, SPaRK: strong order 1.5 for additive noise", "code"),
        Claim(2, "weak", "strong order 1.5 and order 2 without noise", "deduced"),
    ],
    source="Foster 2024, definition 1.6; diffrax, SPaRK",
    process=FLOWS,
)
def spark(path: Path, grid: ArrayLike, eta: float = 1.0, weight: str = "g2") -> Tableau:
    """SPaRK, the splitting-path Runge-Kutta method, on the reverse SDE in time: drift and noise by the same weights.

    Strong order 1.5, weak order 2. Three denoiser evaluations a step, so that `sra1` or `shark` serve better where the
    noise is additive, as it is here. A first-order step to sigma = 0. Parameters as `sra1`.

    References
    ----------
    Foster 2024 (On the convergence of adaptive approximations for stochastic differential equations), definition 1.6;
    coefficients as in diffrax.
    """
    trace = Trace("spark", path, grid, stochasticity=follows(eta, weight))
    outer, inner = (3 - np.sqrt(3)) / 6, np.sqrt(3) / 3
    for step, _ in trace.runs():
        (x,) = step.registers
        if _to_data(step, x, eta, weight):
            continue
        t, s = step.now, step.next
        h = t.t - s.t
        middle = step.between(0.5, "time")
        squares = [amount_of_noise(path, level, eta, weight) for level in (t, middle, s)]
        g, g_middle, g_next = (np.sqrt(square) for square in squares)
        W, mean = _integrals(step, "time")
        area = mean - W / 2
        first = drift(step, x, t, squares[0])
        second = drift(step, x + h / 2 * first + g * (W / 2 + np.sqrt(3) * area), middle, squares[1])
        third = drift(step, x + h * second + g_middle * W, s, squares[2])
        moved = x + h * (outer * first + inner * second + outer * third)
        step.close(moved + (outer * g + inner * g_middle + outer * g_next) * W + (g - g_next) * area)
    return trace.tableau(eta=eta, weight=weight)


@catalogue.method(
    "shark",
    claims=[
        Claim(1.5, "strong", "Foster, dos Reis and Strange 2024, ShARK: strong order 1.5"),
        Claim(2, "weak", "strong order 1.5 and order 2 without noise", "deduced"),
    ],
    source="Foster, dos Reis and Strange 2024, section 4",
)
def shark(path: Path, grid: ArrayLike, eta: float = 1.0) -> Tableau:
    """ShARK, the shifted additive-noise Runge-Kutta method, on y = x/alpha in the variance clock q = (sigma/alpha)^2.

    There the noise is constant, dy = (1 + eta^2)/2 (D - y)/q |dq| + eta dB, which is what the method is for.
    Strong order 1.5, weak order 2. Two denoiser evaluations a step; a first-order step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    eta : float
        0 or more: amount of noise, 1 is the reverse SDE.

    Returns
    -------
    Tableau
        2 stages, 1 register, 2 channels.

    References
    ----------
    Foster, dos Reis and Strange 2024, High order splitting methods for SDEs satisfying a commutativity condition:
    ShARK, y~ = y + H, its second stage at 5/6 of the step, weights 2/5 and 3/5.
    """
    check_eta(eta)
    trace = Trace("shark", path, grid, stochasticity=eta)

    def slope(step: Run, y: Combination, level: Level) -> Combination:
        return (1 + eta**2) / 2 * (step.denoise(level.alpha * y, level) - y) / level.kappa**2

    for step, _ in trace.runs():
        (x,) = step.registers
        if _to_data(step, x, eta):
            continue
        q, q_next = step.now.kappa**2, step.next.kappa**2
        h = q - q_next
        W, mean = _integrals(step, "variance")
        y = x / step.now.alpha
        shifted = y + eta * (mean - W / 2)
        first = slope(step, shifted, step.now)
        level = step.level_of_kappa(np.sqrt(q - 5 / 6 * h))
        second = slope(step, shifted + 5 / 6 * (h * first + eta * W), level)
        step.close(step.next.alpha * (y + h * (2 / 5 * first + 3 / 5 * second) + eta * W))
    return trace.tableau(eta=eta)
