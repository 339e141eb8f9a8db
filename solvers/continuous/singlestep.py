"""One step of DPM-Solver (noise prediction) and DPM-Solver++ (data prediction) of orders 2 and 3.

Each returns the step and one of an order less that shares its evaluations, which adaptive solvers compare it with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..numerics.phi import phi
from .trace import Combination, Level, Run

Fraction = float | NDArray[np.float64]
Pair = tuple[Combination, Combination]


def noise_second(step: Run, x: Combination, r1: Fraction, s1: Level) -> Pair:
    """DPM-Solver-2 with its second evaluation at s1, a fraction r1 of the step in log-SNR, and DPM-Solver-1."""
    h, s, t = step.h, step.next, step.now
    eps = step.eps(x, t)
    u = s1.alpha / t.alpha * x - s1.sigma * np.expm1(r1 * h) * eps
    D1 = step.eps(u, s1) - eps
    first = s.alpha / t.alpha * x - s.sigma * np.expm1(h) * eps
    return first - s.sigma / (2 * r1) * np.expm1(h) * D1, first


def noise_third(step: Run, x: Combination, r1: Fraction, s1: Level, r2: Fraction, s2: Level) -> Pair:
    """DPM-Solver-3 with evaluations at s1 and s2, fractions r1 and r2 of the step in log-SNR, and DPM-Solver-2."""
    h, s, t = step.h, step.next, step.now
    eps = step.eps(x, t)
    u1 = s1.alpha / t.alpha * x - s1.sigma * np.expm1(r1 * h) * eps
    D1 = step.eps(u1, s1) - eps
    u2 = s2.alpha / t.alpha * x - s2.sigma * (
        np.expm1(r2 * h) * eps + r2 / r1 * (r2 * h * phi(2, r2 * h)) * D1
    )
    D2 = step.eps(u2, s2) - eps
    first = s.alpha / t.alpha * x - s.sigma * np.expm1(h) * eps
    second = first - s.sigma / (2 * r1) * np.expm1(h) * D1
    return first - s.sigma / r2 * (h * phi(2, h)) * D2, second


def data_second(step: Run, x: Combination, r1: Fraction, s1: Level) -> Pair:
    """DPM-Solver++(2S) with its second evaluation at s1, a fraction r1 of the step in log-SNR, and DDIM."""
    h, s, t = step.h, step.next, step.now
    D0 = step.denoise(x, t)
    u = s1.sigma / t.sigma * x - s1.alpha * np.expm1(-r1 * h) * D0
    D1 = step.denoise(u, s1) - D0
    first = s.sigma / t.sigma * x - s.alpha * np.expm1(-h) * D0
    return first - s.alpha / (2 * r1) * np.expm1(-h) * D1, first


def data_third(step: Run, x: Combination, r1: Fraction, s1: Level, r2: Fraction, s2: Level) -> Pair:
    """DPM-Solver++(3S) with evaluations at s1 and s2, fractions r1 and r2 of the step, and DPM-Solver++(2S)."""
    h, s, t = step.h, step.next, step.now
    D0 = step.denoise(x, t)
    u1 = s1.sigma / t.sigma * x - s1.alpha * np.expm1(-r1 * h) * D0
    D1 = step.denoise(u1, s1) - D0
    u2 = (
        s2.sigma / t.sigma * x
        - s2.alpha * np.expm1(-r2 * h) * D0
        + s2.alpha * (r2 / r1) * (r2 * h * phi(2, -r2 * h)) * D1
    )
    D2 = step.denoise(u2, s2) - D0
    first = s.sigma / t.sigma * x - s.alpha * np.expm1(-h) * D0
    second = first - s.alpha / (2 * r1) * np.expm1(-h) * D1
    return first + s.alpha / r2 * (h * phi(2, -h)) * D2, second
