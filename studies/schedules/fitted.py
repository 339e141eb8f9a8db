"""Grids fitted to a target: equal local errors, dynamic programming on a trajectory, and Align Your Steps' objective.

That objective, a bound on the KL divergence of a first-order sampler of the reverse SDE from the SDE itself, needs no
samples: along the reverse process D is a martingale, so that E|D_s - D_t|^2 is the fall of the mean square error of
denoising, m, from t to s. With gamma = (alpha/sigma)^2, in which m is a function that decreases, the bound is half of

    sum of m(gamma_i) (gamma_{i+1} - gamma_i)  -  int m dgamma,

what the left Riemann sum of m has too much; its least value has m'(gamma_i) (gamma_{i+1} - gamma_i) = m(gamma_i) -
m(gamma_{i-1}).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.optimize import minimize
from scipy.special import softmax

from analytic import GaussianMixture, paths
from solvers import catalogue, grids, run

from ..laws import error, sharpest
from ..setting import Job

Array = NDArray[np.float64]
PROBES = 48
TABLE = 160
FINE, SAMPLES, DISCOUNT = 61, 256, 1.15


def fitted(
    job: Job, path: paths.Gaussian, target: GaussianMixture, steps: int
) -> dict[str, Array | ValueError]:
    """Return the grids fitted to a target, or why there is none, by the names they have in tables."""
    found: dict[str, Array | ValueError] = {}
    makers: dict[str, Callable[[], Array]] = {
        "equal-error": lambda: equal_error(job, path, target, steps),
        "GITS": lambda: gits(path, target, steps),
        "AYS": lambda: aligned(path, target, steps),
    }
    for name, make in makers.items():
        try:
            found[name] = make()
        except ValueError as problem:
            found[name] = problem
    return found


def denoising_error(target: GaussianMixture, kappa: Array) -> Array:
    """Return E|x_0 - D|^2 at each sigma/alpha: exact on a Gaussian, by quadrature on the line.

    Parameters
    ----------
    target : GaussianMixture
        A Gaussian, or on the line; ValueError elsewhere.
    kappa : (n,) array
        Positive.

    Returns
    -------
    (n,) array
    """
    sharpest(target)
    kappa = np.asarray(kappa, dtype=np.float64)
    if target.is_gaussian:
        own = np.linalg.eigvalsh(target.covariance())
        return np.asarray((own * kappa[:, None] ** 2 / (own + kappa[:, None] ** 2)).sum(axis=1))
    weights, means, variances = target.weights, target.means[:, 0], target.variances[:, 0]
    # of each component's own draws, by the trapezoidal rule, whose error falls faster than any power
    u = np.linspace(-9, 9, 721)
    shares = np.exp(-(u**2) / 2)
    shares /= shares.sum()
    out = np.empty(len(kappa))
    for index, noise in enumerate(kappa**2):
        total = variances + noise
        y = (means[:, None] + np.sqrt(total)[:, None] * u).ravel()[:, None]
        logits = np.log(weights) - ((y - means) ** 2 / total + np.log(total)) / 2
        owner = softmax(logits, axis=1)
        centre = means + variances / total * (y - means)
        D = (owner * centre).sum(axis=1, keepdims=True)
        spread = (owner * (variances * noise / total + (centre - D) ** 2)).sum(axis=1)
        out[index] = (weights[:, None] * shares).ravel() @ spread
    return out


def aligned(path: paths.Gaussian, target: GaussianMixture, steps: int, table: int = TABLE) -> Array:
    """Return the grid that minimises Align Your Steps' objective for a target, between the path's default times.

    Parameters
    ----------
    path : Gaussian path
    target : GaussianMixture
        A Gaussian, or on the line.
    steps : int
        2 or more; ValueError for fewer.
    table : int
        Places, equal in log-SNR, at which the error of denoising is computed; a spline goes through its logarithm.

    Returns
    -------
    (steps + 1,) float64 array

    References
    ----------
    Sabour, Fidler and Kreis 2024 (Align Your Steps), eq. 13 for the bound; the form above is derived here.
    """
    if steps < 2:
        raise ValueError(f"steps is {steps}: a grid has inner nodes from 2 steps on")
    first, last = (float(path.log_snr(t)) for t in (path.start, path.stop))
    levels = np.linspace(first, last, table)
    error_of = make_interp_spline(levels, np.log(denoising_error(target, np.exp(-levels))), k=5)
    slope_of = error_of.derivative()

    def bound(logits: Array) -> tuple[float, Array]:
        shares = softmax(logits)
        at = np.concatenate([[first], first + (last - first) * np.cumsum(shares)])
        at[-1] = last
        m, gamma = np.exp(error_of(at)), np.exp(2 * at)
        value = float(m[:-1] @ np.diff(gamma))
        # by each inner level, then by the shares they add up from, then by the logits
        inner = slope_of(at[1:-1]) * m[1:-1] * np.diff(gamma)[1:] + 2 * gamma[1:-1] * (m[:-2] - m[1:-1])
        tails = np.append(np.cumsum(inner[::-1])[::-1], 0.0) * (last - first)
        return float(np.log(value)), shares * (tails - shares @ tails) / value

    found = minimize(bound, np.zeros(steps), jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 2000})
    inner = first + (last - first) * np.cumsum(softmax(found.x))[:-1]
    return np.concatenate([[path.start], np.asarray(path.time_of_log_snr(inner)), [path.stop]])


def equal_error(
    job: Job, path: paths.Gaussian, target: GaussianMixture, steps: int, probes: int = PROBES
) -> Array:
    """Return the grid on which every step would make the same local error.

    The error of short steps from exact starts is measured by exact law along the path, as C h^(p + 1) with p the order
    claimed of the method; the grid has steps h proportional to C^(-1/(p + 1)) in log-SNR. How errors grow on their way
    to the end is left out.

    Parameters
    ----------
    job : Job
    path : Gaussian path
    target : GaussianMixture
        A Gaussian, or on the line; ValueError from the law elsewhere.
    steps : int
    probes : int
        Places at which the local error is measured.

    Returns
    -------
    (steps + 1,) float64 array
        Between the path's default times.
    """
    sharpest(target)
    fine = grids.log_snr(path, probes)
    start = "exact" if job.method.multistep else job.start
    history = job.method.tableau(path, fine, start="practical", **job.options).blocks[-1].registers_in - 1
    order = max((claim.order for claim in job.method.claims if np.isfinite(claim.order)), default=1.0)
    places, sizes = [], []
    for i in range(probes - history):
        nodes = fine[i : i + history + 2]
        if len(nodes) < history + 2:
            break
        size = error(job.method.tableau(path, nodes, start=start, **job.options), target).value
        places.append(float(path.log_snr(nodes[-2 if history else 0])))
        sizes.append(size)
    local = np.array(sizes)
    good = np.isfinite(local) & (local > 0)
    if not good.any():
        raise ValueError(
            f"method is {job.method.name!r}, which makes no local error on this target: any grid is as good"
        )
    density = np.maximum(local, local[good].min()) ** (1 / (order + 1))
    first, last = (float(path.log_snr(t)) for t in (path.start, path.stop))
    levels = np.linspace(first, last, 20 * probes)
    along = np.interp(levels, places, density)
    shares = np.concatenate([[0.0], np.cumsum((along[1:] + along[:-1]) / 2)])
    inner = np.interp(np.linspace(0, shares[-1], steps + 1)[1:-1], shares, levels)
    return np.concatenate([[path.start], np.asarray(path.time_of_log_snr(inner)), [path.stop]])


def gits(
    path: paths.Gaussian,
    target: GaussianMixture,
    steps: int,
    fine: int = FINE,
    samples: int = SAMPLES,
    discount: float = DISCOUNT,
    seed: int = 0,
) -> Array:
    """Return the grid on which Euler's steps deviate least from a fine trajectory in all, by dynamic programming.

    The cost of a step from node i to node j of a fine grid is the mean distance between Euler's step in sigma/alpha
    from the trajectory at i and the trajectory at j; costs so far are multiplied by `discount` at each step, as errors
    grow. Meant for few steps: with many the factor weighs the first ones too much.

    Parameters
    ----------
    path : Gaussian path
    target : GaussianMixture
    steps : int
        At most `fine` - 1; ValueError if more.
    fine : int
        Nodes of the fine grid, uniform in log-SNR.
    samples : int
    discount : float
        Published: 1.1 to 1.15.
    seed : int

    Returns
    -------
    (steps + 1,) float64 array

    References
    ----------
    Chen, Zhou, Wang, Shen and Xu 2024 (On the trajectory regularity of ODE-based diffusion sampling), Algorithm 1.
    """
    if not 1 <= steps < fine:
        raise ValueError(f"steps is {steps}: give 1 to {fine - 1}, the fine grid's")
    nodes = grids.log_snr(path, fine - 1)
    x = target.noised(float(path.alpha(nodes[0])), float(path.sigma(nodes[0]))).sample(samples, seed)
    tableau = catalogue["dpm-solver-3"].tableau(path, nodes)
    along = np.stack(run(tableau, target, x, full=True).trajectory)
    alpha, sigma = path.alpha(nodes), path.sigma(nodes)
    y, kappa = along / alpha[:, None, None], sigma / alpha
    D = np.stack([target.denoise(x, float(a), float(s)) for x, a, s in zip(along, alpha, sigma, strict=True)])
    slope = (y - D) / kappa[:, None, None]
    cost = np.full((fine, fine), np.inf)
    for i in range(fine - 1):
        ahead = y[i] + (kappa[i + 1 :, None, None] - kappa[i]) * slope[i] - y[i + 1 :]
        cost[i, i + 1 :] = alpha[i + 1 :] * np.linalg.norm(ahead, axis=2).mean(axis=1)
    best = np.where(np.arange(fine) == 0, 0.0, np.inf)
    came = np.zeros((steps, fine), dtype=np.int64)
    for k in range(steps):
        total = discount * best[:, None] + cost
        came[k] = np.argmin(total, axis=0)
        best = total[came[k], np.arange(fine)]
    chosen = [fine - 1]
    for k in range(steps - 1, -1, -1):
        chosen.append(int(came[k, chosen[-1]]))
    return nodes[chosen[::-1]]
