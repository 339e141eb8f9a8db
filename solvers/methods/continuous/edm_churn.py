"""EDM's stochastic sampler: raise the noise level a little, then take one Heun step down."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.butcher import EULER, HEUN
from ...continuous.tableau import Tableau
from ...continuous.trace import Trace
from ...protocols import Path
from .runge_kutta import flow_step

_LARGEST_GAMMA = np.sqrt(2.0) - 1


@catalogue.method(
    "edm-churn",
    claims=[
        Claim(
            2,
            "weak",
            "churn keeps the marginals and each Heun step has local error O(h^3)",
            "deduced",
            options={"gamma": (None,), "s_noise": (1.0,)},
        )
    ],
    source="Karras et al. 2022, Algorithm 2",
)
def edm_churn(
    path: Path,
    grid: ArrayLike,
    s_churn: float = 5.0,
    s_min: float = 0.0,
    s_max: float = float("inf"),
    s_noise: float = 1.0,
    gamma: float | None = None,
) -> Tableau:
    """EDM's stochastic sampler: churn to (1 + gamma) times the noise level, then Heun to the next.

    Weak order 2 at fixed s_churn, where gamma = s_churn/steps vanishes with the step; at a fixed gamma the slope
    falls. Two denoiser evaluations a step, one on a last step to sigma = 0; the first is off the grid.

    Parameters
    ----------
    path : Path
        Any Gaussian path: noise levels are sigma/alpha.
    grid : (nodes,) float64 array
    s_churn : float
        Total churn; gamma = min(s_churn/steps, sqrt(2) - 1).
    s_min, s_max : float
        sigma/alpha between which to churn.
    s_noise : float
        Factor on the added noise; only 1 keeps the marginals.
    gamma : float or None
        A fixed gamma in place of s_churn/steps.

    Returns
    -------
    Tableau
        2 stages, 1 register, 1 channel that is no functional of the path's Brownian motion.

    References
    ----------
    Karras et al. 2022, Algorithm 2.
    """
    for name, value in (
        ("s_churn", s_churn),
        ("s_noise", s_noise),
        ("gamma", gamma if gamma is not None else 0.0),
    ):
        if not value >= 0:
            raise ValueError(f"{name} is {value}: give a number >= 0")
    trace = Trace("edm-churn", path, grid, stochasticity=None)
    raised = min(s_churn / trace.intervals, _LARGEST_GAMMA) if gamma is None else gamma
    for step, _ in trace.runs():
        (x,) = step.registers
        churned = (step.now.kappa >= s_min) & (step.now.kappa <= s_max)
        factor = 1 + np.where(churned, raised, 0.0)
        z = step.noise(None)
        x = x + s_noise * step.now.sigma * np.sqrt(factor**2 - 1) * z
        butcher = EULER if np.any(step.next.sigma == 0) else HEUN
        x, _ = flow_step(step, x, butcher, start=step.now.scaled(factor))
        step.close(x)
    return trace.tableau(s_churn=s_churn, s_min=s_min, s_max=s_max, s_noise=s_noise, gamma=gamma)
