"""DEIS with polynomials in time: exponential Adams-Bashforth on the noise prediction (tAB-DEIS)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.functionals import legendre
from ...continuous.interpolation import weighted
from ...continuous.tableau import Tableau
from ...continuous.trace import Run, Trace
from ...protocols import Path
from .first_order import noise_prediction
from .starts import started

Array = NDArray[np.float64]


def _weights(step: Run, count: int) -> list[Array]:
    """Int l_j(t) dkappa over each step, l_j the Lagrange basis in t on the last `count` nodes.

    By Gauss-Legendre quadrature in log-SNR, in which t and kappa = e^-log_snr are smooth.
    """
    nodes = [step.node(-j).t for j in range(count)]
    if count == 1:
        return [step.next.kappa - step.now.kappa]
    u, w = legendre(32)
    log_snr = step.now.log_snr[:, None] + step.h[:, None] * u
    t = step.path.time_of_log_snr(log_snr)
    d_kappa = -np.exp(-log_snr) * step.h[:, None] * w
    out = []
    for j in range(count):
        basis = np.ones_like(t)
        for k in range(count):
            if k != j:
                basis = basis * (t - nodes[k][:, None]) / (nodes[j] - nodes[k])[:, None]
        out.append(np.sum(basis * d_kappa, axis=1))
    return out


def _deis(q: int, path: Path, grid: ArrayLike, start: str, end: str) -> Tableau:
    trace = Trace(f"deis-tab-{q}", path, grid)
    begun = started(trace, start, q, remember=noise_prediction)
    for step, order in trace.runs(orders=q + 1, started=begun, end=end):
        x, *history = step.registers
        eps = noise_prediction(x, step.denoise(x, step.now), step.now)
        used = [eps, *history[: order - 1]]
        step.close(
            step.next.alpha * (x / step.now.alpha + weighted(_weights(step, order), used)),
            *([eps, *history][:q]),
        )
    return trace.tableau(start=start, end=end)


def _claim(q: int) -> list[Claim]:
    return [
        Claim(
            q + 1,
            "ode",
            f"Adams-Bashforth on {q + 1} nodes: Hairer, Norsett and Wanner 1993, section III.5",
            "deduced",
        )
    ]


@catalogue.method("deis-tab-1", claims=_claim(1), source="Zhang and Chen 2023, tAB-DEIS")
def deis_tab_1(path: Path, grid: ArrayLike, start: str = "practical", end: str = "full") -> Tableau:
    """tAB-DEIS with a linear polynomial in time through the last two noise predictions.

    Order 2. One denoiser evaluation a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (lower degrees first), "single-step" or "exact".
    end : str
        "full", "lower" (lower degrees on the last steps) or "as-published" (so on fewer than 15 steps).

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, previous noise prediction), no noise.

    References
    ----------
    Zhang and Chen 2023 (DEIS), exponential Adams-Bashforth with polynomials in time (tAB-DEIS).
    """
    return _deis(1, path, grid, start, end)


@catalogue.method("deis-tab-2", claims=_claim(2), source="Zhang and Chen 2023, tAB-DEIS")
def deis_tab_2(path: Path, grid: ArrayLike, start: str = "practical", end: str = "full") -> Tableau:
    """tAB-DEIS with a quadratic polynomial in time through the last three noise predictions.

    Order 3 from exact starts, 2 from the practical one. One denoiser evaluation a step.
    Parameters as `deis-tab-1`.

    References
    ----------
    Zhang and Chen 2023 (DEIS), exponential Adams-Bashforth with polynomials in time (tAB-DEIS).
    """
    return _deis(2, path, grid, start, end)


@catalogue.method("deis-tab-3", claims=_claim(3), source="Zhang and Chen 2023, tAB-DEIS")
def deis_tab_3(path: Path, grid: ArrayLike, start: str = "practical", end: str = "full") -> Tableau:
    """tAB-DEIS with a cubic polynomial in time through the last four noise predictions.

    Order 4 from exact starts, 2 from the practical one. One denoiser evaluation a step.
    Parameters as `deis-tab-1`.

    References
    ----------
    Zhang and Chen 2023 (DEIS), exponential Adams-Bashforth with polynomials in time (tAB-DEIS).
    """
    return _deis(3, path, grid, start, end)
