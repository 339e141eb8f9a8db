"""First-order one-step methods that are exact for a constant denoiser: DDIM, DDPM and SDE-DPM-Solver++-1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Run, Trace
from ...protocols import Path


def ddim_step(step: Run, x: Combination, D: Combination) -> Combination:
    """One DDIM step: x_s = (sigma_s/sigma_t) x + alpha_s (1 - e^-h) D."""
    s, t = step.next, step.now
    return s.sigma / t.sigma * x - s.alpha * np.expm1(-step.h) * D


@catalogue.method(
    "ddim-eta",
    claims=[
        Claim(1, "weak", "as for its ends DDIM and DDPM; Song, Meng and Ermon 2021 state no order", "deduced")
    ],
    source="Song, Meng and Ermon 2021, eq. 12 and 16",
)
def ddim_eta(path: Path, grid: ArrayLike, eta: float = 0.5) -> Tableau:
    """DDIM with noise: eta = 0 is DDIM, eta = 1 is DDPM.

    Weak order 1. One denoiser evaluation a step.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    eta : float
        Between 0 and 1: the noise's standard deviation relative to DDPM's.

    Returns
    -------
    Tableau
        1 stage, 1 register, 1 channel.

    References
    ----------
    Song, Meng and Ermon 2021, eq. 12 with sigma from eq. 16; stated for any (alpha, sigma) through
    sigma_eta = eta sigma_s sqrt(1 - e^-2h), which is eq. 16 on a variance-preserving path.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}: give a value between 0 and 1")
    trace = Trace("ddim-eta", path, grid, stochasticity=eta)
    step = trace.run()
    (x,) = step.registers
    s, t = step.next, step.now
    D = step.denoise(x, t)
    eps = (x - t.alpha * D) / t.sigma
    fresh = -(eta**2) * np.expm1(-2 * step.h)
    z = step.noise("reciprocal-variance")
    step.close(s.alpha * D + s.sigma * np.sqrt(1 - fresh) * eps + s.sigma * np.sqrt(fresh) * z)
    return trace.tableau(eta=eta)


@catalogue.method(
    "ddpm",
    claims=[
        Claim(1, "weak", "as Euler's method: Kloeden and Platen 1992, section 14.1", "deduced"),
        Claim(
            1, "strong", "as Euler's method, additive noise: Kloeden and Platen 1992, section 10.3", "deduced"
        ),
        Claim(
            1,
            "tv",
            "Li and Yan 2025, theorem 1, up to logarithms; Li, Wei, Chen and Chi 2023 proved 1/2 before",
        ),
    ],
    source="Ho, Jain and Abbeel 2020, eq. 6 and 7",
    aliases=("ancestral",),
)
def ddpm(path: Path, grid: ArrayLike, variance: str = "posterior") -> Tableau:
    """Ancestral sampling: draw x_s from q(x_s | x_t, x_0 = D).

    Weak order 1. One denoiser evaluation a step.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    variance : str
        "posterior", that of q(x_s | x_t, x_0), or "forward", that of q(x_t | x_s), the beta of DDPM. Neither
        draws noise on a step to sigma = 0.

    Returns
    -------
    Tableau
        1 stage, 1 register, 1 channel.

    References
    ----------
    Ho, Jain and Abbeel 2020, eq. 6 and 7, and section 3.2 for the two variances.
    """
    if variance not in ("posterior", "forward"):
        raise ValueError(f"variance is {variance!r}: use 'posterior' or 'forward'")
    trace = Trace("ddpm", path, grid, stochasticity=1.0)
    step = trace.run()
    (x,) = step.registers
    s, t = step.next, step.now
    D = step.denoise(x, t)
    z = step.noise("reciprocal-variance")
    kept, fresh = np.exp(-step.h), -np.expm1(-2 * step.h)
    # Algorithm 2 of the paper draws no noise on the step to the data, whichever the variance
    deviation = np.where(s.sigma > 0, (s if variance == "posterior" else t).sigma * np.sqrt(fresh), 0.0)
    step.close(kept * (s.sigma / t.sigma) * x + s.alpha * fresh * D + deviation * z)
    return trace.tableau(variance=variance)


@catalogue.method(
    "sde-dpm-solver++-1",
    claims=[
        Claim(1, "weak", "Lu et al. 2023 (DPM-Solver++), section on diffusion SDEs: a first-order solver")
    ],
    source="Lu et al. 2023 (DPM-Solver++), SDE-DPM-Solver++1",
)
def sde_dpm_solver_pp_1(path: Path, grid: ArrayLike) -> Tableau:
    """SDE-DPM-Solver++ of first order: the reverse SDE with D frozen over the step.

    Weak order 1; equals `ddpm` to rounding. One denoiser evaluation a step.

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
    Lu et al. 2023 (DPM-Solver++), SDE-DPM-Solver++1.
    """
    trace = Trace("sde-dpm-solver++-1", path, grid, stochasticity=1.0)
    step = trace.run()
    (x,) = step.registers
    s, t = step.next, step.now
    D = step.denoise(x, t)
    z = step.noise("reciprocal-variance")
    fresh = -np.expm1(-2 * step.h)
    step.close(s.sigma / t.sigma * np.exp(-step.h) * x + s.alpha * fresh * D + s.sigma * np.sqrt(fresh) * z)
    return trace.tableau()
