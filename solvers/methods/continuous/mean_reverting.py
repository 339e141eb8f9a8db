"""Samplers of mean-reverting diffusions: the MR sampler on the flow and on the SDE, and IR-SDE's Euler-Maruyama.

On the plain path of u = x - (1 - alpha) mu (`paths.MeanReverting`) the MR sampler integrates polynomials through its
latest predictions, of the data or of the noise, exactly in log-SNR. It begins at mu, to which the first step adds the
noise of the stationary law.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, Sense, catalogue
from ...continuous.functionals import INITIAL
from ...continuous.interpolation import exponential, weighted
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Run, Trace
from ...numerics.phi import phi
from ...protocols import Path
from .anchored import anchored, settled
from .dpm_solver_multistep import differences
from .first_order import noise_prediction

PREDICTIONS = ("data", "noise")
WHOLE = 2.0  # what h^2 D'' is of a second divided difference
NODES = 3  # of a quadratic


def _begun(name: str, path: Any, grid: ArrayLike) -> Trace:
    """Return a trace on the plain path whose first step leaves x_T = mu + deviation xi, and mu."""
    trace = Trace(name, path.plain, grid)
    step = trace.stay(float(trace.grid[0]))
    (mu,) = step.registers
    step.close(mu + path.deviation * step.noise(INITIAL), mu)
    return trace


def _moved(
    step: Run, u: Combination, values: list[Combination], noisy: bool, predicts: str, curvature: float
) -> Combination:
    """One step on the flow or the SDE: the polynomial through the latest predictions, integrated in log-SNR."""
    s, t, h = step.next, step.now, step.h
    data = predicts == "data"
    rate = (2.0 if noisy else 1.0) if data else -1.0
    total = weighted(exponential(step, range(0, -len(values), -1), rate), values)
    if curvature != WHOLE and len(values) == NODES:
        _, second_difference = differences(step, *values)
        total = total - (WHOLE - curvature) * rate * h * phi(3, -rate * h) * second_difference
    if data:
        kept = s.sigma / t.sigma * (np.exp(-h) if noisy else 1.0)
        moved, fresh = kept * u + s.alpha * total, -np.expm1(-2 * h)
    else:
        moved = s.alpha / t.alpha * u + (2.0 if noisy else 1.0) * s.sigma * total
        fresh = np.expm1(2 * h)
    if not noisy:
        return moved
    return moved + s.sigma * np.sqrt(fresh) * step.noise("reciprocal-variance" if data else "variance")


def _mr(
    name: str,
    path: Any,
    grid: ArrayLike,
    order: int,
    predicts: str = "data",
    *,
    noisy: bool = False,
    curvature: float = WHOLE,
) -> Tableau:
    if predicts not in PREDICTIONS:
        raise ValueError(f"predicts is {predicts!r}: use one of {', '.join(PREDICTIONS)}")
    trace = Trace(name, path.plain, grid)
    for step, known in trace.runs(orders=order):
        u, *history = step.registers
        # the noise prediction's step has no limit at sigma = 0, where both freeze D
        of = "data" if np.any(step.next.sigma == 0) else predicts
        D = step.denoise(u, step.now)
        values = [D if of == "data" else noise_prediction(u, D, step.now), *history]
        moved = _moved(step, u, values[:known], noisy, of, curvature)
        step.close(moved, *values[: order - 1])
    return anchored(_begun(name, path, grid), trace.tableau(), path, predicts=predicts)


def _claim(order: int, sense: Sense, **conditions: Any) -> Claim:
    source = f"exponential Adams on {order} nodes: Hochbruck and Ostermann 2010, section 3; the name says the order"
    return Claim(order, sense, source, "deduced", **conditions)


@catalogue.method(
    "mr-ode-1",
    claims=[_claim(1, "ode")],
    source="Li et al. 2025 (MR sampler), their code's step_ode_1st",
    process="mean-reverting",
)
def mr_ode_1(path: Path, grid: ArrayLike) -> Tableau:
    """MR sampler of first order on the flow: DDIM around the mean.

    Order 1. One denoiser evaluation a step. With the data or with the noise frozen the step is the same.

    Parameters
    ----------
    path : paths.MeanReverting
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, mean), noise in the first step alone, which goes to x_T = mu + deviation xi.

    References
    ----------
    Li et al. 2025 (MR sampler), with x_T from their code's prior_sample.
    """
    return _mr("mr-ode-1", path, grid, 1)


@catalogue.method(
    "mr-ode-2",
    claims=[_claim(2, "ode")],
    source="Li et al. 2025 (MR sampler), their code's step_ode_2nd",
    process="mean-reverting",
)
def mr_ode_2(path: Path, grid: ArrayLike, predicts: str = "data") -> Tableau:
    """MR sampler of second order on the flow: the prediction linear in log-SNR through two evaluations.

    Order 2. One denoiser evaluation a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : paths.MeanReverting
    grid : (nodes,) float64 array
    predicts : str
        "data" or "noise": which of the two is the polynomial.

    Returns
    -------
    Tableau
        1 stage, 3 registers (sample, mean, previous prediction), noise in the first step alone.

    References
    ----------
    Li et al. 2025 (MR sampler), their code's step_ode_2nd in both parametrisations.
    """
    return _mr("mr-ode-2", path, grid, 2, predicts)


@catalogue.method(
    "mr-ode-3",
    claims=[_claim(3, "ode")],
    source="Li et al. 2025 (MR sampler), their code's step_ode_3rd, with the factor 2 that its quadratic term lacks",
    process="mean-reverting",
)
def mr_ode_3(path: Path, grid: ArrayLike, predicts: str = "data") -> Tableau:
    """MR sampler of third order on the flow, corrected: the quadratic through three predictions, integrated exactly.

    Order 3: where nothing of x_0 is left at first, first steps of lower order do no harm. One denoiser evaluation a
    step; a first-order last step to sigma = 0. Parameters as `mr-ode-2`.

    Returns
    -------
    Tableau
        1 stage, 4 registers (sample, mean, two previous predictions), noise in the first step alone.

    References
    ----------
    Li et al. 2025 (MR sampler), their code's step_ode_3rd; see `mr-ode-3-as-published`.
    """
    return _mr("mr-ode-3", path, grid, 3, predicts)


@catalogue.method(
    "mr-ode-3-as-published",
    claims=[
        Claim(
            3, "ode", "the code of Li et al. 2025: its third-order solver, by its name step_ode_3rd", "code"
        )
    ],
    source="Li et al. 2025 (MR sampler), their code's step_ode_3rd",
    process="mean-reverting",
)
def mr_ode_3_as_published(path: Path, grid: ArrayLike, predicts: str = "data") -> Tableau:
    """MR sampler of third order on the flow as its code has it: half of the quadratic term is missing.

    Order 2: the second divided difference enters as if it were h^2 D'', which is twice that, as in
    `dpm-solver++-3m-as-published`. One denoiser evaluation a step. Parameters as `mr-ode-2`.

    References
    ----------
    Li et al. 2025 (MR sampler), their code's step_ode_3rd: D2 = (D1_0 - D1_1)/(r_i + r_(i-1)) times
    phi3 = phi2/h - 1/2.
    """
    return _mr("mr-ode-3-as-published", path, grid, 3, predicts, curvature=1.0)


@catalogue.method(
    "mr-sde-1",
    claims=[_claim(1, "weak")],
    source="Li et al. 2025 (MR sampler), their code's step_sde_1st",
    process="mean-reverting",
)
def mr_sde_1(path: Path, grid: ArrayLike, predicts: str = "data") -> Tableau:
    """MR sampler of first order on the SDE, with the data or the noise prediction frozen over a step.

    Weak order 1. One denoiser evaluation a step. With the data prediction it is the posterior sampling of IR-SDE, which
    draws from the law of x_s given x_t and x_0 = D.

    Parameters
    ----------
    path : paths.MeanReverting
    grid : (nodes,) float64 array
    predicts : str
        "data" or "noise": which of the two is frozen.

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, mean), 1 channel.

    References
    ----------
    Li et al. 2025 (MR sampler), their code's step_sde_1st in both parametrisations; Luo et al. 2023 (IR-SDE), their
    code's reverse_posterior_step.
    """
    return _mr("mr-sde-1", path, grid, 1, predicts, noisy=True)


@catalogue.method(
    "mr-sde-2",
    claims=[_claim(2, "weak")],
    source="Li et al. 2025 (MR sampler), their code's step_sde_2nd",
    process="mean-reverting",
)
def mr_sde_2(path: Path, grid: ArrayLike, predicts: str = "data") -> Tableau:
    """MR sampler of second order on the SDE: the prediction linear in log-SNR through two evaluations.

    Weak order 2. One denoiser evaluation a step; a first-order last step to sigma = 0. Parameters as `mr-ode-2`.

    Returns
    -------
    Tableau
        1 stage, 3 registers (sample, mean, previous prediction), 1 channel.

    References
    ----------
    Li et al. 2025 (MR sampler), their code's step_sde_2nd in both parametrisations.
    """
    return _mr("mr-sde-2", path, grid, 2, predicts, noisy=True)


@catalogue.method(
    "ir-sde-em",
    claims=[Claim(1, "weak", "Kloeden and Platen 1992, section 14.1", "deduced")],
    source="Luo et al. 2023 (IR-SDE), the reverse SDE by the Euler-Maruyama rule; their code's reverse_sde",
    process="mean-reverting",
)
def ir_sde_em(path: Path, grid: ArrayLike) -> Tableau:
    """Euler-Maruyama on the reverse of the mean-reverting SDE, dx = (theta (mu - x) - s^2 score) dt + s dW.

    Weak order 1. One denoiser evaluation a step.

    Parameters
    ----------
    path : paths.MeanReverting
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, mean), 1 channel.

    References
    ----------
    Luo et al. 2023 (IR-SDE), their code's sde_reverse_drift.
    """
    where: Any = path
    trace = _begun("ir-sde-em", where, grid)
    step = trace.run()
    x, mu = step.registers
    t, h = step.now, step.now.t - step.next.t
    theta, s2 = -where.plain.f(t.t), where.plain.g2(t.t)
    score = step.score(x - where.anchor(t.t) * mu, t)
    step.close(x - h * (theta * (mu - x) - s2 * score) + np.sqrt(s2 * h) * step.noise("time"), mu)
    return settled(trace.tableau(), where)
