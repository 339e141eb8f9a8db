"""Langevin dynamics on the target itself, discretised."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.functionals import INITIAL
from ...continuous.tableau import Tableau
from ...continuous.trace import Trace
from ...protocols import Path


@catalogue.method(
    "ula",
    claims=[Claim(1, "weak", "Talay and Tubaro 1990, theorem 1: Euler-Maruyama", "deduced")],
    source="Roberts and Tweedie 1996, section 1.4.1; Durmus and Moulines 2017",
    aliases=("unadjusted-langevin", "langevin-euler-maruyama"),
    process="langevin",
)
def ula(path: Path, grid: ArrayLike) -> Tableau:
    """Unadjusted Langevin: x + h score(x) + sqrt(2h) z, the Euler-Maruyama step of dx = score dt + sqrt(2) dW.

    Weak order 1, of its stationary law too: on a Gaussian of precision k that has the variance 1/(k (1 - h k/2)). One
    evaluation a step; stable for h < 2/k.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1-stage, 1-channel steps.

    References
    ----------
    Roberts and Tweedie 1996, section 1.4.1; Talay and Tubaro 1990, theorem 1, for the order.
    """
    trace = Trace("ula", path, grid, stochasticity=None)
    step = trace.run()
    (x,) = step.registers
    h = step.now.t - step.next.t
    step.close(x + h * step.score(x, step.now) + np.sqrt(2 * h) * step.noise("time"))
    return trace.tableau()


@catalogue.method(
    "leimkuhler-matthews",
    claims=[
        Claim(1, "weak", "Leimkuhler, Matthews and Tretyakov 2014, abstract: averages at a finite time"),
    ],
    source="Leimkuhler and Matthews 2013, the limit of BAOAB at high friction",
    aliases=("baoab-limit",),
    process="langevin",
)
def leimkuhler_matthews(path: Path, grid: ArrayLike) -> Tableau:
    """Langevin step with the mean of two neighbouring noises: x + h score(x) + sqrt(h/2) (z_n + z_n+1).

    BAOAB where friction goes to infinity. Weak order 1 at a fixed time, of which the first-order term dies out
    exponentially: its stationary law is of order 2, and exact on Gaussians. One evaluation a step.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) float64 array
        Its steps may differ, but the orders are those of equal ones.

    Returns
    -------
    Tableau
        1 stage, 1 channel and one more in the first step; 2 registers, the second the last step's noise.

    References
    ----------
    Leimkuhler and Matthews 2013 (Rational construction of stochastic numerical methods for molecular sampling);
    Leimkuhler, Matthews and Tretyakov 2014, eq. 1.4.
    """
    trace = Trace("leimkuhler-matthews", path, grid, stochasticity=None)
    n = trace.intervals
    for first, last in pairwise(sorted({0, 1, n - 1, n})):
        step = trace.run(first, last)
        x, *before = step.registers
        (z,) = before or (step.noise(INITIAL, step.now, step.now),)
        h, ahead = step.now.t - step.next.t, step.noise("time")
        x = x + h * step.score(x, step.now) + np.sqrt(h / 2) * (z + ahead)
        step.close(*((x,) if last == n else (x, ahead)))
    return trace.tableau()
