"""DPM-Solver-v3: an exponential multistep method whose linear part is fitted to the target, coordinate by coordinate.

On z = x/alpha the flow is dz/dlambda = -F with F = z - D and lambda the log-SNR. It is written with a linear part l z
and f = F - l z, and f itself with its trend along the flow, f' = s f + b; what is left, g = e^(-int s) f - int e^(-int
s) b, changes least and is what is extrapolated. l, s and b are functions of lambda alone, one for each coordinate.
"""

from __future__ import annotations

from math import factorial
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..protocols import Path
from .loop import Outcome, Problem, catalogue, everyone

Floats = NDArray[np.float64]
_TABLE = 120  # places in log-SNR that l, s and b are fitted at
_SAMPLES = 1024
_PLACES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
CORRECTORS = ("none", "full", "pseudo")


class Statistics(NamedTuple):
    """Splines in lambda, (dim,) each: l, s, b, and the integrals L of l and S of s."""

    l: Any
    s: Any
    b: Any
    L: Any
    S: Any

    def between(self, start: float, stop: float) -> tuple[Floats, Floats]:
        """Places of a quadrature from start to stop, (12,), and its weights."""
        half = (stop - start) / 2
        return start + half * (_PLACES + 1), half * _WEIGHTS

    def trend(self, start: float, stop: float) -> Floats:
        """Integral of b e^-(S - S(start)) from start to stop, (dim,)."""
        places, weights = self.between(start, stop)
        return np.asarray(weights @ (self.b(places) * np.exp(self.S(start) - self.S(places))))


def fit(problem: Problem, target: Any, table: int = _TABLE, samples: int = _SAMPLES) -> Statistics:
    """Fit l, s and b to a target along the path between the grid's ends.

    l is the mean of diag dF/dz, which leaves the least of F's Jacobian to f; s and b are the regression of f' on f.
    Means are over the same `samples` draws of data and noise at every level, so that they are smooth in lambda;
    derivatives are central differences, that of f along the flow.
    """
    path = problem.path
    first, last = path.log_snr(problem.grid[[0, -1]]).tolist()
    lambdas = np.linspace(first, last, table)
    clean = np.asarray(target.sample(samples, seed=0))
    noise = np.random.default_rng(1).standard_normal(clean.shape)

    def F(z: Floats, lam: float) -> Floats:
        alpha, sigma = problem.level(float(path.time_of_log_snr(lam)))
        return z - np.asarray(problem.ask(alpha * z, alpha, sigma, 1.0, 0.0))

    slopes, along, values, places = [], [], [], []
    for lam in lambdas:
        z = clean + np.exp(-lam) * noise
        small = 1e-4 * np.exp(-lam)
        slope = np.empty(z.shape[1])
        for i in range(z.shape[1]):
            nudge = np.zeros(z.shape[1])
            nudge[i] = small
            slope[i] = np.mean(F(z + nudge, lam)[:, i] - F(z - nudge, lam)[:, i]) / (2 * small)
        here = F(z, lam)
        turns = 1e-3
        # the flow to second order on either side: what is left of it cancels in the difference
        bend = (F(z - turns * here, lam + turns) - F(z + turns * here, lam - turns)) / (2 * turns)
        ahead, behind = (
            F(z - sign * turns * here - turns**2 / 2 * bend, lam + sign * turns) for sign in (1, -1)
        )
        slopes.append(slope)
        along.append((ahead - behind) / (2 * turns))
        values.append(here)
        places.append(z)
    l = scipy.interpolate.make_interp_spline(lambdas, np.array(slopes), k=5)
    rate = l.derivative()
    s, b = [], []
    for lam, z, value, derivative in zip(lambdas, places, values, along, strict=True):
        f = value - l(lam) * z
        f_rate = derivative - rate(lam) * z + l(lam) * value
        spread = f.var(axis=0)
        together = np.mean((f - f.mean(axis=0)) * f_rate, axis=0)
        flat = spread <= 1e-12 * np.mean(value**2, axis=0)  # on a Gaussian f does not depend on the sample
        s.append(np.where(flat, 0.0, together / np.where(flat, 1.0, spread)))
        b.append(f_rate.mean(axis=0) - s[-1] * f.mean(axis=0))
    trend, shift = (scipy.interpolate.make_interp_spline(lambdas, np.array(rows), k=5) for rows in (s, b))
    return Statistics(l, trend, shift, l.antiderivative(), trend.antiderivative())


def _derivatives(lambdas: Floats, g: list[Floats], pseudo: bool) -> list[Floats]:
    """Return g', g'', ... at the first place: of the polynomial through all, or divided differences in their stead."""
    n = len(g) - 1
    if pseudo:
        rows = [g]
        for i in range(1, n + 1):
            rows.append(
                [
                    (a - b) / (lambdas[j] - lambdas[i + j])
                    for j, (a, b) in enumerate(zip(rows[-1], rows[-1][1:], strict=False))
                ]
            )
        return [factorial(i) * rows[i][0] for i in range(1, n + 1)]
    powers = (lambdas[1:, None] - lambdas[0]) ** np.arange(1, n + 1)
    inverse = np.linalg.inv(powers) if n else powers
    return [factorial(i + 1) * sum(inverse[i, j] * (g[j + 1] - g[0]) for j in range(n)) for i in range(n)]


def _step(
    known: Statistics,
    start: float,
    stop: float,
    z: Floats,
    past: list[tuple[float, Floats, Floats]],
    pseudo: bool,
) -> Floats:
    """Carry z from start to stop with g a polynomial through `past` (lambda, z, F), the first at start."""
    lambdas = np.array([lam for lam, _, _ in past])
    g = [
        np.exp(known.S(start) - known.S(lam)) * (F - known.l(lam) * there) - known.trend(start, lam)
        for lam, there, F in past
    ]
    places, weights = known.between(start, stop)
    growth = np.exp(known.L(places) - known.L(start) + known.S(places) - known.S(start))
    trends = np.array([known.trend(start, place) for place in places])
    total = g[0] * (weights @ growth) + weights @ (growth * trends)
    for k, derivative in enumerate(_derivatives(lambdas, g, pseudo), start=1):
        total = total + derivative * ((weights * (places - start) ** k / factorial(k)) @ growth)
    return np.asarray(np.exp(known.L(start) - known.L(stop)) * (z - total))


@catalogue.loop(
    "dpm-solver-v3",
    promise="order 1, 2 or 3 on the flow; exact on Gaussians along the axes",
    source="Zheng et al. 2023 (DPM-Solver-v3), and its code",
)
def dpm_solver_v3(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Any,
    seed: int = 0,
    order: int = 3,
    pseudo: bool = False,
    corrector: str = "none",
    end: str = "full",
) -> Outcome:
    """DPM-Solver-v3 with l, s and b fitted to the target, a number for each coordinate; it starts with lower orders.

    One evaluation a step, beside those of the fit, which is made once for a target and not counted. A corrector takes
    the step again with the evaluation made at its end, which is not repeated at the corrected sample. l = 1, s = b = 0
    would be DPM-Solver++, l = 0, s = -1, b = 0 DPM-Solver.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
        With alpha > 0 and sigma > 0 throughout.
    model : Gaussian mixture or data
        TypeError for what cannot be sampled: the fit needs draws.
    x : (n, dim) array
        On the CPU; at the level of the grid's first node.
    seed : int
        Unused: nothing is drawn but by the fit, whose draws are fixed.
    order : int
        1, 2 or 3: nodes of the polynomial.
    pseudo : bool
        Divided differences in place of derivatives: order 2 at most.
    corrector : str
        "none"; "full", of the step's order; "pseudo", one higher by divided differences.
    end : str
        "full" or "lower": lower orders on the last steps.

    Returns
    -------
    Outcome

    References
    ----------
    Zheng, Lu, Chen and Zhu 2023 (DPM-Solver-v3), eq. 5 and 11 for the statistics, Algorithm 1; its code for the rest.
    """
    if order not in (1, 2, 3) or corrector not in CORRECTORS or end not in ("full", "lower"):
        raise ValueError(
            f"order is {order}, corrector {corrector!r} and end {end!r}: use 1, 2 or 3, one of {CORRECTORS}, and "
            "'full' or 'lower'"
        )
    if not hasattr(model, "sample"):
        raise TypeError(f"model is {model!r}: give a target, of which the statistics are fitted to draws")
    problem = Problem(path, grid, model, np.asarray(x, dtype=np.float64), noisy=False)
    lambdas = [float(path.log_snr(t)) for t in problem.grid]
    if not np.isfinite(lambdas).all():
        raise ValueError("grid has a node with alpha = 0 or sigma = 0: steps in log-SNR need both positive")
    known = fit(problem, model)
    steps = len(lambdas) - 1

    def F(z: Floats, node: int) -> Floats:
        alpha, sigma = problem.level(float(problem.grid[node]))
        return z - np.asarray(problem.ask(alpha * z, alpha, sigma, 1.0, 0.0))

    z = problem.x / problem.level(float(problem.grid[0]))[0]
    past: list[tuple[float, Floats, Floats]] = []
    used = 0
    for n in range(steps):
        value = F(z, n)
        if corrector != "none" and n > 0:
            points = used + (corrector == "pseudo")
            if points > 1:
                again = [past[0], (lambdas[n], z, value), *past[1:]][:points]
                corrected = _step(known, lambdas[n - 1], lambdas[n], past[0][1], again, corrector == "pseudo")
                # f, not F, is kept of the evaluation
                value = value + known.l(lambdas[n]) * (corrected - z)
                z = corrected
        past = [(lambdas[n], z, value), *past][:3]
        used = min(order, n + 1, steps - n if end == "lower" else order)
        z = _step(known, lambdas[n], lambdas[n + 1], z, past[:used], pseudo)
    x = problem.level(float(problem.grid[-1]))[0] * z
    n = problem.n
    return Outcome(x, everyone(n, steps), everyone(n, steps), everyone(n, 0), problem.grid)
