"""First-order one-step methods that are exact for a constant denoiser: DDIM, DDPM and SDE-DPM-Solver++-1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path


def ddim_step(step: Run, x: Combination, D: Combination) -> Combination:
    """One DDIM step: x_s = (sigma_s/sigma_t) x + alpha_s (1 - e^-h) D."""
    s, t = step.next, step.now
    return s.sigma / t.sigma * x - s.alpha * np.expm1(-step.h) * D


def check_eta(eta: float) -> None:
    """Raise ValueError unless eta is an amount of noise."""
    if not (np.isfinite(eta) and eta >= 0):
        raise ValueError(f"eta is {eta}: give a number of at least 0, 1 is the reverse SDE")


def noise_prediction(x: Combination, D: Combination, level: Level) -> Combination:
    """E[eps | x] = (x - alpha D)/sigma."""
    return (x - level.alpha * D) / level.sigma


def sde_mean(step: Run, x: Combination, D: Combination, eta: float, then: Level | None = None) -> Combination:
    """Mean of the reverse SDE with noise eta after a step with D frozen, to `then` or to the end of the step.

    x_s = (sigma_s/sigma_t) e^(-eta^2 h) x + alpha_s (1 - e^(-(1 + eta^2) h)) D + `sde_noise`: DDIM for eta = 0,
    SDE-DPM-Solver++-1 for eta = 1.
    """
    s, t = then or step.next, step.now
    h = s.log_snr - t.log_snr
    # at alpha = 0 h is infinite, and without noise nothing of x is forgotten
    kept = np.exp(-(eta**2) * h) if eta else 1.0
    return s.sigma / t.sigma * kept * x - s.alpha * np.expm1(-(1 + eta**2) * h) * D


def sde_noise(step: Run, eta: float, start: Level | None = None, stop: Level | None = None) -> Combination:
    """Noise that the reverse SDE with noise eta adds from `start` to `stop`, the whole step by default.

    sigma_s sqrt(1 - e^(-2 eta^2 h)) z; for eta = 1 z is the step's functional of the Brownian path exactly.
    """
    now, then = start or step.now, stop or step.next
    fresh = -np.expm1(-2 * eta**2 * (then.log_snr - now.log_snr)) if eta else np.zeros_like(step.h)
    return then.sigma * np.sqrt(fresh) * step.noise("reciprocal-variance", start, stop)


def sde_step(step: Run, x: Combination, D: Combination, eta: float) -> Combination:
    """One step of the reverse SDE with noise eta and D frozen."""
    return sde_mean(step, x, D, eta) + (sde_noise(step, eta) if eta else 0.0 * x)


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
    step.close(sde_step(step, x, step.denoise(x, step.now), eta=1.0))
    return trace.tableau()
