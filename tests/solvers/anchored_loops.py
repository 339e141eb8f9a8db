"""Samplers on bridges and mean-reverting diffusions a second time: plain loops in the notation of the papers' codes.

Bridges with alpha, rho = sigma/alpha and bars for what is left to the end; MR samplers with the mean's own terms. Both
ask one model of two inputs, D(x, y, t) = E[x_0 | x_t = x, y], by Bayes' rule on the mixture with y independent of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture

Array = NDArray[np.float64]
Model = Callable[[Array, Array, float], Array]


def posterior_mean(
    target: GaussianMixture, x: Array, k: float, y: Array, alpha: float, sigma: float
) -> Array:
    """E[x_0 | x = k y + alpha x_0 + sigma eps] under a mixture on the line, component by component."""
    u = x - k * y
    parts = zip(target.weights, target.means[:, 0], target.variances[:, 0], strict=True)
    logs, means = [], []
    for w, m, v in parts:
        whole = alpha**2 * v + sigma**2
        logs.append(
            np.log(w) - np.log(whole) / 2 - (u - alpha * m) ** 2 / (2 * whole) if whole else 0 * u + np.log(w)
        )
        means.append(m + alpha * v / whole * (u - alpha * m) if whole else m + 0 * u)
    r = np.exp(np.array(logs) - np.max(logs, axis=0))
    return np.asarray(np.sum(r / r.sum(0) * np.array(means), axis=0))


class BridgeSchedule:
    """alpha, rho and the coefficients a, b, c of a bridge over a base of closed form."""

    def __init__(self, base: Any) -> None:
        if type(base).__name__ == "VP":
            low, high = base.beta_min, base.beta_max
            self.alpha = lambda t: np.exp(-low * t / 2 - (high - low) * t**2 / 4)
            self.rho = lambda t: np.sqrt(np.exp(low * t + (high - low) * t**2 / 2) - 1)
            self.f = lambda t: -low / 2 - (high - low) * t / 2
            self.g2 = lambda t: low + (high - low) * t
            self.T = 1.0
        else:
            self.alpha, self.rho = lambda t: 1.0, lambda t: t
            self.f, self.g2 = lambda t: 0.0, lambda t: 2 * t
            self.T = base.sigma_max
        self.alpha_T, self.rho_T = self.alpha(self.T), self.rho(self.T)

    def abc(self, t: float) -> tuple[float, float, float]:
        rho, bar = self.rho(t), np.sqrt(self.rho_T**2 - self.rho(t) ** 2)
        return (
            self.alpha(t) / self.alpha_T * rho**2 / self.rho_T**2,
            self.alpha(t) * bar**2 / self.rho_T**2,
            self.alpha(t) * bar * rho / self.rho_T,
        )

    def model(self, target: GaussianMixture) -> Model:
        return lambda x, y, t: posterior_mean(target, x, *self.abc(t)[:1], y, *self.abc(t)[1:])


def dbim(ns: BridgeSchedule, ts: Array, D: Model, y: Array, xi: Iterator[Array], eta: float = 0.0) -> Array:
    x = booted(ns, ts, D, y, xi)
    for s, t in pairwise(ts[1:]):
        (a_s, b_s, c_s), (a_t, b_t, c_t) = ns.abc(s), ns.abc(t)
        x0 = D(x, y, s)
        omega = eta * ns.alpha(t) * ns.rho(t) * np.sqrt(1 - ns.rho(t) ** 2 / ns.rho(s) ** 2)
        v = np.sqrt(c_t**2 - omega**2) / c_s
        x = v * x + (b_t - v * b_s) * x0 + (a_t - v * a_s) * y
        x = x + omega * next(xi) if eta else x
    return x


def booted(ns: BridgeSchedule, ts: Array, D: Model, y: Array, xi: Iterator[Array]) -> Array:
    a, b, c = ns.abc(ts[1])
    return a * y + b * D(y, y, ts[0]) + c * next(xi)


def dbim_high_order(
    ns: BridgeSchedule,
    ts: Array,
    D: Model,
    y: Array,
    xi: Iterator[Array],
    order: int,
    lower_order_final: bool,
) -> Array:
    x = booted(ns, ts, D, y, xi)
    nodes, values = [], []
    for i, (s, t) in enumerate(pairwise(ts[1:])):
        (a_s, b_s, c_s), (a_t, b_t, c_t) = ns.abc(s), ns.abc(t)
        l_s, l_t = np.log(b_s / c_s), np.log(b_t / c_t)
        h, x0 = l_t - l_s, D(x, y, s)
        if i == 0 or (lower_order_final and i == len(ts) - 3):
            integral = (1 - np.exp(-h)) * x0
        elif order == 2 or i == 1:
            slope = (x0 - values[-1]) / (l_s - nodes[-1])
            integral = (1 - np.exp(-h)) * x0 + (np.exp(-h) + h - 1) * slope
        else:
            h1, h2 = l_s - nodes[-1], nodes[-1] - nodes[-2]
            near, far = (x0 - values[-1]) / h1, (values[-1] - values[-2]) / h2
            d1, d2 = (near * (2 * h1 + h2) - far * h1) / (h1 + h2), 2 * (near - far) / (h1 + h2)
            integral = (
                (1 - np.exp(-h)) * x0 + (np.exp(-h) + h - 1) * d1 + (h**2 / 2 - h + 1 - np.exp(-h)) * d2
            )
        x = x * c_t / c_s + y * (a_t - a_s * c_t / c_s) + c_t * np.exp(l_t) * integral
        nodes.append(l_s)
        values.append(x0)
    return x


def ddbm_slope(ns: BridgeSchedule, D: Model, x: Array, y: Array, t: float, stochastic: bool) -> Array:
    if t == ns.T:  # the mean of x_t given y alone moves so
        d = 1e-3 * ns.T
        moved = [ns.abc(T)[:2] for T in (t - d, t - 2 * d, t - 3 * d, t - 4 * d, t - 5 * d, t - 6 * d)]
        weights = np.array([6, -7.5, 20 / 3, -3.75, 1.2, -1 / 6])  # six differences, backwards
        at_T = np.array([1.0, 0.0])
        slopes = (49 / 20 * at_T - weights @ np.array(moved)) / d
        return np.asarray(slopes[0] * y + slopes[1] * D(y, y, t))
    a, b, c = ns.abc(t)
    bar2 = ns.rho_T**2 - ns.rho(t) ** 2
    grad_logq = -(x - (a * y + b * D(x, y, t))) / c**2
    grad_logp = -(x - ns.alpha(t) / ns.alpha_T * y) / (ns.alpha(t) ** 2 * bar2)
    return np.asarray(ns.f(t) * x - ns.g2(t) * ((1.0 if stochastic else 0.5) * grad_logq - grad_logp))


def ddbm(ns: BridgeSchedule, ts: Array, D: Model, y: Array, xi: Iterator[Array], churn: float) -> Array:
    """Churn 1 is Euler-Maruyama alone."""
    x = y
    for s, t in pairwise(ts):
        hat = s + churn * (t - s)
        x = x + ddbm_slope(ns, D, x, y, s, True) * (hat - s) + np.sqrt(ns.g2(s) * (s - hat)) * next(xi)
        if churn == 1:
            continue
        d = ddbm_slope(ns, D, x, y, hat, False)
        if t > 0:
            d = (d + ddbm_slope(ns, D, x + d * (t - hat), y, t, False)) / 2
        x = x + d * (t - hat)
    return x


def bridge_loop(
    name: str, path: Any, ts: Array, target: Any, y: Array, noise: Array, **options: Any
) -> Array:
    ns, xi = BridgeSchedule(path.base), iter(noise)
    D = ns.model(target)
    if name == "dbim":
        return dbim(ns, ts, D, y, xi, **options)
    if name in ("dbim-2", "dbim-3"):
        final = options.get("last") == "first-order"
        return dbim_high_order(ns, ts, D, y, xi, int(name[-1]), final)
    return ddbm(ns, ts, D, y, xi, options.get("churn", 0.33) if name == "ddbm-heun" else 1.0)


def mr_loop(
    name: str, path: Any, ts: Array, target: Any, mu: Array, noise: Array, predicts: str = "data"
) -> Array:
    """MR samplers and IR-SDE, theta = beta/2."""
    base, lam_max, xi = path.base, path.deviation, iter(noise)
    low, high = base.beta_min / 2, base.beta_max / 2
    bar = low * ts + (high - low) * ts**2 / 2
    alphas, sigmas = np.exp(-bar), lam_max * np.sqrt(1 - np.exp(-2 * bar))
    lambdas = np.log(alphas) - np.log(sigmas)
    x = mu + lam_max * next(xi)
    q: list[Array] = []
    order = int(name[7]) if name.startswith(("mr-ode-", "mr-sde-")) else 1
    for i in range(1, len(ts)):
        a0, a1, s0, s1, h = alphas[i - 1], alphas[i], sigmas[i - 1], sigmas[i], lambdas[i] - lambdas[i - 1]
        D = posterior_mean(target, x, 1 - a0, mu, a0, s0)
        if name == "ir-sde-em":
            theta, dt = low + (high - low) * ts[i - 1], ts[i - 1] - ts[i]
            score = -(x - (mu + (D - mu) * a0)) / s0**2
            s = lam_max * np.sqrt(2 * theta)
            x = x - (theta * (mu - x) - s**2 * score) * dt + s * np.sqrt(dt) * next(xi)
            continue
        q.insert(0, D if predicts == "data" else (x - mu - (D - mu) * a0) / s0)
        k = min(order, i)
        D1 = D2 = np.zeros_like(x)
        if k > 1:
            D1 = (q[0] - q[1]) / ((lambdas[i - 1] - lambdas[i - 2]) / h)
        if k > 2:
            r, r1 = (lambdas[i - 1] - lambdas[i - 2]) / h, (lambdas[i - 2] - lambdas[i - 3]) / h
            far = (q[1] - q[2]) / r1
            D1, D2 = D1 + (D1 - far) * r / (r + r1), (D1 - far) / (r + r1)
            D2 = D2 if name.endswith("as-published") else 2 * D2
        if name.startswith("mr-ode"):
            if predicts == "data":
                phi1 = np.exp(-h) - 1
                phi2 = phi1 / h + 1
                x = s1 / s0 * x - a1 * (phi1 * q[0] - phi2 * D1 + (phi2 / h - 0.5) * D2)
                x = x + mu * (1 - s1 / s0 + s1 / s0 * a0 - a1)
            else:
                phi1 = np.exp(h) - 1
                phi2 = phi1 / h - 1
                x = a1 / a0 * x - s1 * (phi1 * q[0] + phi2 * D1 + (phi2 / h - 0.5) * D2) + mu * (1 - a1 / a0)
        elif predicts == "data":
            phi1 = 1 - np.exp(-2 * h)
            x = s1 / s0 * np.exp(-h) * x + a1 * phi1 * q[0] + a1 * (1 - phi1 / 2 / h) * D1
            x = x + s1 * np.sqrt(phi1) * next(xi) + mu * (1 - a1 / a0 * np.exp(-2 * h) - a1 * phi1)
        else:
            phi1 = np.exp(h) - 1
            x = a1 / a0 * x - 2 * s1 * phi1 * q[0] - 2 * s1 * (phi1 / h - 1) * D1 + mu * (1 - a1 / a0)
            x = x + s1 * np.sqrt(np.exp(2 * h) - 1) * next(xi)
    return x
