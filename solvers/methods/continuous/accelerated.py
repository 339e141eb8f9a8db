"""The accelerated samplers of Li et al. 2024: DDIM with eps extrapolated linearly, DDPM with half its noise first."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Trace
from ...protocols import Path
from .first_order import ddim_step, noise_prediction
from .starts import started


@catalogue.method(
    "accelerated-ddim",
    claims=[
        Claim(2, "ode", "eps extrapolated linearly from two evaluations", "deduced"),
        Claim(2, "tv", "Li et al. 2024, abstract and the authors' code: O(1/T^2)"),
    ],
    source="Li et al. 2024, the authors' code, accelerated ODE sampler",
)
def accelerated_ddim(path: Path, grid: ArrayLike, start: str = "practical", end: str = "full") -> Tableau:
    """Accelerated DDIM: the flow with eps linear in alpha^2 through the last two evaluations, integrated exactly.

    With kappa = sigma/alpha the alpha^2 of a variance-preserving path is 1/(1 + kappa^2), which is what eps is linear
    in here on every path. Order 2. One denoiser evaluation a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (DDIM first), "single-step" or "exact".
    end : str
        "full", "lower" or "as-published", as for `lms`.

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, the last eps), no noise.

    References
    ----------
    Li, Huang, Efimov, Wei, Chi and Chen 2024 (Accelerating convergence of score-based diffusion models, provably).
    """
    trace = Trace("accelerated-ddim", path, grid)
    begun = started(trace, start, 1, remember=noise_prediction)
    for step, nodes in trace.runs(orders=2, started=begun, end=end):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        eps = noise_prediction(x, D, step.now)
        moved = ddim_step(step, x, D)
        if nodes == 2:
            before, now, then = step.node(-1).kappa, step.now.kappa, step.next.kappa
            square, square_before = 1 / (1 + now**2), 1 / (1 + before**2)
            # int (alpha^2 - its value now) dkappa over the step; 1/(1 + kappa^2) has the integral arctan kappa
            weight = (now - then) * square - np.arctan((now - then) / (1 + now * then))
            moved = moved + step.next.alpha * weight / (square - square_before) * (eps - history[0])
        step.close(moved, eps)
    return trace.tableau(start=start, end=end)


@catalogue.method(
    "accelerated-ddpm",
    claims=[
        Claim(1, "tv", "Li et al. 2024, abstract and the authors' code: O(1/T), up to logarithms"),
        Claim(1, "weak", "consistent, first order in its drift", "deduced"),
    ],
    source="Li et al. 2024, the authors' code, accelerated SDE sampler",
)
def accelerated_ddpm(path: Path, grid: ArrayLike) -> Tableau:
    """Accelerated DDPM: half of a step's noise before the score is asked for, half after.

    Weak order 1, as plain DDPM has it; its total variation is bounded by O(1/T) where the bound of plain DDPM in the
    same paper is O(1/sqrt(T)). One denoiser evaluation a step. On paths that do not preserve variance 1 - alpha_t is
    the variance sigma_t^2 - (alpha_t/alpha_s)^2 sigma_s^2 that the forward process adds. A last step to sigma = 0
    carries its noise like the others.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1 stage, 1 register, 2 channels.

    References
    ----------
    Li, Huang, Efimov, Wei, Chi and Chen 2024 (Accelerating convergence of score-based diffusion models, provably).
    """
    trace = Trace("accelerated-ddpm", path, grid, stochasticity=1.0)
    step = trace.run()
    (x,) = step.registers
    shrink = step.now.alpha / step.next.alpha
    added = step.now.sigma**2 - shrink**2 * step.next.sigma**2
    half = np.sqrt(added / 2)
    ahead = x + half * step.noise(None)
    score = step.score(ahead, step.now)
    step.close((ahead + added * score) / shrink + half * step.noise(None))
    return trace.tableau()
