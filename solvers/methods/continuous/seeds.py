"""SEEDS: exponential Runge-Kutta methods on the reverse SDE, on the noise prediction in log-SNR."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...numerics.phi import phi
from ...protocols import Path
from .first_order import sde_step


def _moved(step: Run, x: Combination, eps: Combination, level: Level) -> Combination:
    """Mean at `level` with eps frozen: alpha/alpha_t x - 2 sigma (e^h - 1) eps."""
    return (
        level.alpha / step.now.alpha * x - 2 * level.sigma * np.expm1(level.log_snr - step.now.log_snr) * eps
    )


def _noise(step: Run, levels: list[Level]) -> list[Combination]:
    """Noise of x/alpha over each part of the step between levels: deviation sqrt(q - q') with q = (sigma/alpha)^2."""
    return [
        np.sqrt(now.kappa**2 - then.kappa**2) * step.noise("variance", start=now, stop=then)
        for now, then in pairwise(levels)
    ]


def _to_data(step: Run, x: Combination) -> bool:
    """Close a step to sigma = 0, where eps has no limit, by the first-order step on D; whether it was one."""
    if not np.any(step.next.sigma == 0):
        return False
    step.close(sde_step(step, x, step.denoise(x, step.now), eta=1.0))
    return True


@catalogue.method(
    "seeds-1",
    claims=[
        Claim(
            1, "weak", "Euler's method on a semi-linear SDE: Kloeden and Platen 1992, section 14.1", "deduced"
        ),
        Claim(1, "strong", "additive noise: Kloeden and Platen 1992, section 10.3", "deduced"),
    ],
    source="Gonzalez et al. 2023 (SEEDS), SEEDS-1",
)
def seeds_1(path: Path, grid: ArrayLike) -> Tableau:
    """SEEDS-1: the reverse SDE with eps frozen over the step and its noise exact.

    Weak and strong order 1. One denoiser evaluation a step; the first-order step on D to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1 stage, 1 register, 1 channel.

    References
    ----------
    Gonzalez, Fernandez, Tran, Gherbi, Hajri and Masmoudi 2023 (SEEDS), SEEDS-1.
    """
    trace = Trace("seeds-1", path, grid, stochasticity=1.0)
    for step, _ in trace.runs():
        (x,) = step.registers
        if _to_data(step, x):
            continue
        (noise,) = _noise(step, [step.now, step.next])
        step.close(_moved(step, x, step.eps(x, step.now), step.next) + step.next.alpha * noise)
    return trace.tableau()


@catalogue.method(
    "seeds-2",
    claims=[Claim(2, "weak", "the exponential midpoint rule with one Brownian path", "deduced")],
    source="Gonzalez et al. 2023 (SEEDS), SEEDS-2",
)
def seeds_2(path: Path, grid: ArrayLike) -> Tableau:
    """SEEDS-2: eps in the middle of the step in log-SNR, at a sample that has the first half's noise.

    Weak order 2. Two denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `seeds-1`;
    two channels.

    References
    ----------
    Gonzalez et al. 2023 (SEEDS), SEEDS-2.
    """
    trace = Trace("seeds-2", path, grid, stochasticity=1.0)
    for step, _ in trace.runs():
        (x,) = step.registers
        if _to_data(step, x):
            continue
        middle = step.between(0.5)
        first, second = _noise(step, [step.now, middle, step.next])
        u = _moved(step, x, step.eps(x, step.now), middle) + middle.alpha * first
        step.close(_moved(step, x, step.eps(u, middle), step.next) + step.next.alpha * (first + second))
    return trace.tableau()


@catalogue.method(
    "seeds-3",
    claims=[Claim(2, "weak", "as its stages of weak order 2; 3 without noise", "deduced")],
    source="Gonzalez et al. 2023 (SEEDS), SEEDS-3",
)
def seeds_3(path: Path, grid: ArrayLike) -> Tableau:
    """SEEDS-3: DPM-Solver-3's stages, each at a sample that has the noise up to it.

    Weak order 2. Three denoiser evaluations a step, one on a last step to sigma = 0. Parameters as `seeds-1`; three
    channels.

    References
    ----------
    Gonzalez et al. 2023 (SEEDS), SEEDS-3 with r1 = 1/3, r2 = 2/3.
    """
    r1, r2 = 1 / 3, 2 / 3
    trace = Trace("seeds-3", path, grid, stochasticity=1.0)
    for step, _ in trace.runs():
        (x,) = step.registers
        if _to_data(step, x):
            continue
        h, one, two, s = step.h, step.between(r1), step.between(r2), step.next
        z1, z2, z3 = _noise(step, [step.now, one, two, s])
        eps = step.eps(x, step.now)
        u1 = _moved(step, x, eps, one) + one.alpha * z1
        D1 = step.eps(u1, one) - eps
        u2 = _moved(step, x, eps, two) - 2 * two.sigma * (r2 / r1) * (r2 * h * phi(2, r2 * h)) * D1
        D2 = step.eps(u2 + two.alpha * (z1 + z2), two) - eps
        mean = _moved(step, x, eps, s) - 2 * s.sigma / r2 * (h * phi(2, h)) * D2
        step.close(mean + s.alpha * (z1 + z2 + z3))
    return trace.tableau()
