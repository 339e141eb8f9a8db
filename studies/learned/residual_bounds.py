"""The Fokker-Planck residual of a score, and what it bounds: how far apart ODE and SDE samplers end.

Forward dx = f x dt + g dW. Under a score s the probability-flow ODE moves with v = f x - g^2 s/2; call its law
p_t, and q_t that of the reverse SDE, both from one prior at T. Along a path of the ODE the log-density's gradient
obeys d(grad log p)/dt = -(grad v)^T grad log p - grad div v, so the mismatch e = s - grad log p obeys

    de/dt = -(grad v)^T e + rho,    e_T = s_T - grad log prior,                                        (1)
    rho = d_t s + (grad s) v + (grad v)^T s + grad div v,

whose forcing rho is the residual of the score Fokker-Planck equation; it is the gradient of the residual R of the
log-density's where s = grad phi, and h = phi - log p then obeys dh/dt = R. So where the residual vanishes ODE and
SDE have one law. Since p_t is also the law of a reverse SDE whose drift is off by g^2 e/2 from that of q_t, (1) gives

    KL(p_t | q_t) <= 1/8 int_t^T g^2 E_p |e|^2 dr                      (Girsanov),                     (2)
    W2(p_t, q_t) <= int_t^T exp(int_t^r L du) g^2/2 (E_p |e|^2)^(1/2) dr    (one noise, Gronwall),     (3)

L the one-sided Lipschitz constant of g^2 s - f x in decreasing time. (3) is an equality where s is affine, its
Jacobian a multiple of the identity and e constant in x; where modes part, L is large at the end and (3) astronomic.
Then (2) and the transport inequality of Bolley and Villani 2005, corollary 2.3, are better: W2 <= C (KL^(1/2) +
(KL/2)^(1/4)), C from an exponential moment of q_t.

Assumed: s is smooth with at most linear growth, which holds for networks of tanh units; L is attained where it is
looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic.distances import Estimate
from analytic.reprs import brief

Array = NDArray[np.float64]
Score = Callable[[Any, float], Any]
SPACING = 1e-3  # of differences: their error is about 1e-6 of the third derivative
SAFETY = 1.1  # on Lipschitz constants, which are sought on a grid
LEVEL = 3.0  # standard errors that a bound from sampled paths is raised by


@dataclass(frozen=True)
class Parts:
    """A score and its derivatives at points: score (n, d), in_time (n, d), jacobian (n, d, d) with [., i, j] =
    d_j s_i,
    and grad_divergence (n, d).
    """

    score: Array
    in_time: Array
    jacobian: Array
    grad_divergence: Array

    __repr__ = brief


def parts(score: Score, x: Array, t: float, spacing: float = SPACING) -> Parts:
    """Differentiate any score by central differences.

    Parameters
    ----------
    score : callable
        (x (n, d), t) -> (n, d), smooth, in float64.
    x : (n, d) array
    t : float
    spacing : float

    Returns
    -------
    Parts
        3 + 2 d^2 evaluations of the score, errors of order spacing^2.
    """
    n, d = x.shape
    steps = spacing * np.eye(d)
    s = score(x, t)
    up, down = ([score(x + sign * step, t) for step in steps] for sign in (1, -1))
    slopes = np.stack([(a - b) / (2 * spacing) for a, b in zip(up, down, strict=True)], axis=2)
    grad_divergence = np.zeros((n, d))
    for i in range(d):
        grad_divergence[:, i] += (up[i][:, i] - 2 * s[:, i] + down[i][:, i]) / spacing**2
        for j in range(d):
            if i != j:
                corners = sum(
                    a * b * score(x + a * steps[i] + b * steps[j], t)[:, j] for a in (1, -1) for b in (1, -1)
                )
                grad_divergence[:, i] += corners / (4 * spacing**2)
    ahead = min(spacing, t / 2)  # not below t = 0
    in_time = (score(x, t + ahead) - score(x, t - ahead)) / (2 * ahead)
    return Parts(s, in_time, slopes, grad_divergence)


def jacobian(score: Score, x: Array, t: float, spacing: float = SPACING) -> Array:
    """Jacobian (n, d, d) of a score by central differences, 2 d evaluations."""
    steps = spacing * np.eye(x.shape[1])
    slopes = [(score(x + step, t) - score(x - step, t)) / (2 * spacing) for step in steps]
    return np.stack(slopes, axis=2)


def residual(score: Score, path: Any, x: Array, t: float) -> Array:
    """Residual rho (n, d) of the score Fokker-Planck equation at x (n, d), zero for a true score."""
    return _residual(parts(score, x, t), float(path.f(t)), float(path.g2(t)), x)


def _residual(p: Parts, f: float, g2: float, x: Array) -> Array:
    v = f * x - g2 / 2 * p.score
    forward = np.einsum("nij,nj->ni", p.jacobian, v)
    # (grad v)^T s = f s - g^2/2 J^T s, grad div v = -g^2/2 grad div s
    stretched = f * p.score - g2 / 2 * np.einsum("nji,nj->ni", p.jacobian, p.score)
    return p.in_time + forward + stretched - g2 / 2 * p.grad_divergence


@dataclass(frozen=True)
class Mismatch:
    """How a score parts from the law of its own ODE, along paths of that ODE.

    Attributes
    ----------
    times : (nodes,) array
        Decreasing.
    x, e : (nodes, n, d) arrays
        Paths, and s - grad log p on them.
    residual : (nodes, n, d) array
    log_density : (n,) array
        Of the ODE's law at the ends of the paths, by the divergence along them.
    """

    times: Array
    x: Array
    e: Array
    residual: Array
    log_density: Array

    __repr__ = brief

    def mean_square(self, values: Array) -> tuple[Array, Array]:
        """Mean over paths of |values|^2 at every time, and its standard error."""
        squares = (values**2).sum(2)
        return squares.mean(1), squares.std(1, ddof=1) / np.sqrt(squares.shape[1])


def mismatch(score: Score, path: Any, grid: Array, start: Array) -> Mismatch:
    """Follow equation (1) along the probability-flow ODE, by the classical Runge-Kutta method.

    Parameters
    ----------
    score : callable
        (x (n, d), t) -> (n, d), in float64.
    path : Gaussian path
    grid : (nodes,) array
        Decreasing times. The first has the conventional prior, N(0, prior_deviation^2 I).
    start : (n, d) array
        Points from that prior.

    Returns
    -------
    Mismatch
    """
    x = np.asarray(start, dtype=np.float64)
    e = score(x, float(grid[0])) + x / float(path.prior_deviation(grid[0])) ** 2

    deviation = float(path.prior_deviation(grid[0]))
    log_p = -(x**2).sum(1) / (2 * deviation**2) - x.shape[1] * np.log(deviation * np.sqrt(2 * np.pi))

    def rates(t: float, x: Array, e: Array) -> tuple[Array, Array, Array, Array]:
        """Rates of x, e and log p along the path, and the residual."""
        f, g2 = float(path.f(t)), float(path.g2(t))
        p = parts(score, x, t)
        rho = _residual(p, f, g2, x)
        divergence = f * x.shape[1] - g2 / 2 * np.einsum("nii->n", p.jacobian)
        stretch = f * e - g2 / 2 * np.einsum("nji,nj->ni", p.jacobian, e)
        return f * x - g2 / 2 * p.score, rho - stretch, -divergence, rho

    xs, es, rhos = [x], [e], []
    for t, s in pairwise(grid):
        t, h = float(t), float(s - t)
        a = rates(t, x, e)
        b = rates(t + h / 2, x + h / 2 * a[0], e + h / 2 * a[1])
        c = rates(t + h / 2, x + h / 2 * b[0], e + h / 2 * b[1])
        d = rates(t + h, x + h * c[0], e + h * c[1])
        x, e, log_p = (y + h / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]) for i, y in enumerate((x, e, log_p)))
        xs.append(x)
        es.append(e)
        rhos.append(a[3])
    rhos.append(rates(float(grid[-1]), x, e)[3])
    return Mismatch(np.asarray(grid, dtype=np.float64), np.stack(xs), np.stack(es), np.stack(rhos), log_p)


def lipschitz(score: Score, path: Any, t: float, points: Array, safety: float = SAFETY) -> float:
    """One-sided Lipschitz constant of the reverse SDE's drift g^2 s - f x in decreasing time.

    The largest eigenvalue of the drift's symmetrised Jacobian over the points, which should cover the plane finely
    where the score varies. It is scaled up by `safety` where positive, and moved up by as much where negative.
    """
    f, g2 = float(path.f(t)), float(path.g2(t))
    J = g2 * jacobian(score, points, t) - f * np.eye(points.shape[1])
    largest = float(np.linalg.eigvalsh((J + J.transpose(0, 2, 1)) / 2).max())
    return largest + (safety - 1) * abs(largest)


def kl_bound(found: Mismatch, path: Any) -> Estimate:
    """Bound (2) on KL(p | q) at the grid's end, with its standard error over paths."""
    weights = _trapezoid(-found.times) * path.g2(found.times) / 8
    per_path = np.einsum("t,tn->n", weights, (found.e**2).sum(2))
    return Estimate(float(per_path.mean()), float(per_path.std(ddof=1) / np.sqrt(len(per_path))))


def gronwall_bound(found: Mismatch, path: Any, lipschitz_constants: Array) -> float:
    """Bound (3) on W2(p, q) at the grid's end, from Lipschitz constants at the grid's times.

    Raised by LEVEL standard errors of the mean squares. The constants are integrated as steps at the larger end.
    """
    t = found.times
    larger = np.maximum(lipschitz_constants[:-1], lipschitz_constants[1:])
    exponent = np.concatenate([np.cumsum((larger * (t[:-1] - t[1:]))[::-1])[::-1], [0.0]])
    mean, error = found.mean_square(found.e)
    with np.errstate(over="ignore"):
        integrand = np.exp(exponent) * path.g2(t) / 2 * np.sqrt(mean + LEVEL * error)
        return float(np.sum(_trapezoid(-t) * integrand))


def transport_bound(kl: float, log_moment: Callable[[float], float]) -> float:
    """Bound W2(p, q) by KL(p | q) and exponential moments of q.

    Parameters
    ----------
    kl : float
    log_moment : callable
        a -> log E_q exp(a |x - x0|^2) for some x0, perhaps infinite.

    References
    ----------
    Bolley and Villani 2005, corollary 2.3: C = 2 inf_a ((3/2 + log_moment(a))/a)^(1/2).
    """
    tried = [(1.5 + log_moment(float(a))) / float(a) for a in np.geomspace(1e-2, 1e2, 81)]
    C = 2 * np.sqrt(min(c for c in tried if not np.isnan(c)))
    return float(C * (np.sqrt(kl) + (kl / 2) ** 0.25))


def _trapezoid(nodes: Array) -> Array:
    """Weights of the trapezoidal rule at increasing nodes."""
    weights = np.zeros(len(nodes))
    gaps = np.diff(nodes)
    weights[:-1] += gaps / 2
    weights[1:] += gaps / 2
    return weights
