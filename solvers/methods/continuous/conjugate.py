"""Conjugate integrators: Euler's method on the probability flow in other variables, z_hat = A_t z, the noise exact.

With eps the noise prediction the flow is dz = (F z + w eps) dt, w = g^2/(2 sigma). With A' = A (B - F)
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
from .phase_space import FROM_DATA, Steps, along, begun, finished, linear, plus

Array = NDArray[np.float64]
EULER = "Euler's method: Hairer, Norsett and Wanner 1993, section II.3"
MATRICES = {"identity": np.eye(2), "ones": np.ones((2, 2))}


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
    claims=[Claim(1, "ode", EULER, "deduced")],
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


@catalogue.method(
    "phase-space-lambda-ddim",
    claims=[Claim(1, "ode", EULER, "deduced", FROM_DATA)],
    source="Pandey, Rudolph and Mandt 2024 (Efficient integrators), lambda-DDIM and, with ones, lambda-DDIM-II",
    process="phase-space",
)
def phase_space_lambda_ddim(
    path: Path, grid: ArrayLike, begin: str = "data", lam: float = 0.5, matrix: str = "identity"
) -> Tableau:
    """The conjugate integrator in phase space, with B = lam times the unit matrix or a matrix of ones.

    Order 1. One evaluation a step. eps = -L^T score with Cholesky's L, as in the code of PSLD; lam = 0 is the
    exponential integrator (DEIS) of it, and not `gddim`, whose other root of the covariance makes it exact on a point
    mass.

    Parameters
    ----------
    path : paths.CLD or paths.PSLD
        lam is per unit of its time.
    grid : (nodes,) float64 array
    begin : str
        "data" or "noise": what the sample is at first.
    lam : float
    matrix : str
        "identity" or "ones".

    Returns
    -------
    Tableau
        1 stage, 2 registers, no noise; a first step that draws where it begins.

    References
    ----------
    Pandey, Rudolph and Mandt 2024, whose public code has no conjugate integrators: the formulas are deduced from
    A_t = exp(int B - F), for networks that predict eps alone. Their values of lam were not established; the default is
    one that gains at some 32 steps on CLD.
    """
    check_lam(lam)
    if matrix not in MATRICES:
        raise ValueError(f"matrix is {matrix!r}: use one of {', '.join(MATRICES)}")
    B = lam * MATRICES[matrix]
    trace = begun("phase-space-lambda-ddim", path, grid, begin)
    step = Steps(trace.run())
    now, then = step.step.now.t, step.step.next.t
    flow, weight = step.path.conjugate(now, then, B)
    x, v = along(step.path.signal(now), step.denoise(step.z, step.step.now))
    whiten = np.linalg.inv(step.path.factor(now))
    eps = linear(whiten, (step.z[0] - x, step.z[1] - v))
    euler = flow @ (np.eye(2) - step.h[:, None, None] * B)
    step.step.close(*plus(linear(euler, step.z), linear(-weight, eps)))
    return finished(trace, begin, lam=lam, matrix=matrix)
