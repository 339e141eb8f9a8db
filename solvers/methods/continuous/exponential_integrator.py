"""The exponential integrator of the reverse SDE: the score frozen over a step, all else exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.functionals import quadrature
from ...continuous.tableau import Tableau
from ...continuous.trace import Run, Trace
from ...protocols import Path


def _score_weight(path: Path, step: Run) -> NDArray[np.float64]:
    """Integral of alpha dq over each step, q = (sigma/alpha)^2; on a variance-preserving path 2/alpha_t - 2/alpha_s."""
    _, q, dq_dt, dt = quadrature(path, step.now.t, step.next.t)
    alpha = path.alpha(path.time_of_log_snr(-np.log(q) / 2))
    return np.asarray(np.sum(alpha * dq_dt * dt, axis=1))


@catalogue.method(
    "exponential-integrator",
    claims=[Claim(1, "weak", "as Euler's method: Kloeden and Platen 1992, section 14.1", "deduced")],
    source="De Bortoli 2022, Convergence of denoising diffusion models, eq. 11; Zhang and Chen 2023 (DEIS), eq. 8",
    aliases=("exponential-euler-maruyama",),
)
def exponential_integrator(path: Path, grid: ArrayLike) -> Tableau:
    """The exponential integrator on the reverse SDE: the score is frozen over a step, drift and noise are exact.

    Weak order 1. One denoiser evaluation a step. Not `ddpm`, which freezes the denoiser instead: near the
    data, where the score grows as 1/sigma^2, that is the better thing to freeze.

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
    Pierret and Galerne 2025, the scheme EI, on a variance-preserving path:
    x_s = (1 + gamma_1) x + 2 gamma_1 score + sqrt(2 gamma_2) z, gamma_1 = alpha_s/alpha_t - 1,
    2 gamma_2 = (alpha_s/alpha_t)^2 - 1. Here for any path, the integral by quadrature.
    """
    trace = Trace("exponential-integrator", path, grid, stochasticity=1.0)
    step = trace.run()
    (x,) = step.registers
    s, t = step.next, step.now
    D = step.denoise(x, t)
    score = (t.alpha * D - x) / t.sigma**2
    z = step.noise("variance")
    fresh = t.sigma * np.sqrt(-np.expm1(-2 * step.h)) / t.alpha  # root of q_t - q_s
    step.close(s.alpha / t.alpha * x + s.alpha * _score_weight(path, step) * score + s.alpha * fresh * z)
    return trace.tableau()
