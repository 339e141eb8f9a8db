"""Langevin dynamics on the target itself, discretised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
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

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1-stage, 1-channel steps.
    """
    trace = Trace("ula", path, grid, stochasticity=None)
    step = trace.run()
    (x,) = step.registers
    h = step.now.t - step.next.t
    step.close(x + h * step.score(x, step.now) + np.sqrt(2 * h) * step.noise("time"))
    return trace.tableau()
