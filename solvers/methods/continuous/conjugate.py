"""Conjugate integrators: Euler's method on the probability flow in other variables, z_hat = A_t z, the noise exact.

With eps the noise prediction the flow is dz = (F z + w eps) dt, w = g^2/(2 sigma). Where A' = (B - F) A, z_hat follows
dz_hat = A B A^-1 z_hat dt + A w eps dt. A step takes B z and eps at its start, and integrates A w exactly:

    z_s = A_s^-1 A_t (I - h B) z_t - A_s^-1 int_s^t A w du eps_t,    h = t - s.

B = 0 leaves the exponential integrator of the flow, which is DDIM on a plain path.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.functionals import quadrature
from ...continuous.tableau import Tableau
from ...continuous.trace import Run, Trace
from ...protocols import Path
from .first_order import noise_prediction

Array = NDArray[np.float64]
EULER = Claim(1, "ode", "Euler's method: Hairer, Norsett and Wanner 1993, section II.3", "deduced")


def check_lam(lam: float) -> None:
    """Raise ValueError unless lam is a number."""
    if not np.isfinite(lam):
        raise ValueError(f"lam is {lam}: give a finite number, 0 is DDIM")


def _noise_weight(step: Run, lam: float) -> Array:
    """Int e^(lam (u - s)) dkappa(u) over each step, from s, where it ends, to t; kappa_t - kappa_s for lam = 0.

    By quadrature on four pieces of each step, so that one long step to the data is exact too.
    """
    s, t = step.next, step.now
    piece = np.where(np.isfinite(step.h), step.h / 4, 3.0)
    inner = (step.path.time_of_log_snr(t.log_snr + count * piece) for count in (1, 2, 3))
    weight = t.kappa - s.kappa
    for start, stop in pairwise((t.t, *inner, s.t)):
        u, q, dq_dt, dt = quadrature(step.path, start, stop)
        weight = weight + np.sum(np.expm1(lam * (u - s.t[:, None])) * dq_dt * dt / (2 * np.sqrt(q)), axis=1)
    return np.asarray(weight)


@catalogue.method(
    "lambda-ddim",
    claims=[EULER],
    source="Pandey, Rudolph and Mandt 2024 (Efficient integrators), lambda-DDIM, B = lambda I, as the code of "
    "Pandey, Yang and Mandt 2024 (c-PiGDM) has it",
)
def lambda_ddim(path: Path, grid: ArrayLike, lam: float = -0.15) -> Tableau:
    """DDIM in the variable e^(lam t) x / alpha, in which lam x_hat is Euler's part and the noise is exact.

    Order 1. One denoiser evaluation a step. lam = 0 is DDIM; any other gives up that a constant denoiser is exact, and
    that a shifted target has shifted samples.

    Parameters
    ----------
    path : Path
        lam is per unit of its time. Raises ValueError for a grid that starts where alpha = 0.
    grid : (nodes,) float64 array
    lam : float
        lambda; the default is one for super-resolution in the code.

    Returns
    -------
    Tableau
        1 stage, 1 register, no noise.

    References
    ----------
    Pandey, Rudolph and Mandt 2024; the code of Pandey, Yang and Mandt 2024, VPConjugateSampler, there on a
    variance-preserving path with times in [0, 1]. The form for any path is deduced: with f = alpha'/alpha,
    A_t = e^(lam t)/alpha and A_t w dt = e^(lam t) d(sigma/alpha).
    """
    check_lam(lam)
    trace = Trace("lambda-ddim", path, grid)
    step = trace.run()
    (x,) = step.registers
    s, t = step.next, step.now
    h = t.t - s.t
    weight = _noise_weight(step, lam)
    eps = noise_prediction(x, step.denoise(x, t), t)
    step.close(s.alpha * ((np.exp(lam * h) * (1 - lam * h) / t.alpha) * x - weight * eps))
    return trace.tableau(lam=lam)
