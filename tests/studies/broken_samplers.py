"""Samplers in the plain form with one fault each, and the sound ones that they were made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Sampler = Callable[..., Any]


def ddim(ask: int = 0, last: int = 0, lift: float = 1.0) -> Sampler:
    """DDIM; `ask`: the node of a step whose time the model is told, `last`: steps left out."""

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        for i in range(len(grid.t) - 1 - last):
            D = denoise(x, grid.t[i + ask])
            ratio = grid.sigma[i + 1] / grid.sigma[i]
            x = ratio * x + lift * (grid.alpha[i + 1] - ratio * grid.alpha[i]) * D
        return x

    return sampler


def heun(wrong_end: bool = False) -> Sampler:
    """Heun's method in sigma/alpha; `wrong_end`: stage two divides by the sigma of the step's start."""

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        kappa = grid.sigma / grid.alpha
        for i in range(len(grid.t) - 1):
            y, h = x / grid.alpha[i], kappa[i + 1] - kappa[i]
            first = (y - denoise(x, grid.t[i])) / kappa[i]
            ahead = y + h * first
            if kappa[i + 1] == 0:
                x = grid.alpha[i + 1] * ahead
                continue
            late = (ahead - denoise(grid.alpha[i + 1] * ahead, grid.t[i + 1])) / kappa[
                i if wrong_end else i + 1
            ]
            x = grid.alpha[i + 1] * (y + h * (first + late) / 2)
        return x

    return sampler


def stochastic_heun(redrawn: bool = False, last: int = 0) -> Sampler:
    """Heun's method on the reverse SDE in q = (sigma/alpha)^2; `redrawn`: the step's noise is not its stage's."""

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        q = (grid.sigma / grid.alpha) ** 2
        for i in range(len(grid.t) - 1 - last):
            y, h = x / grid.alpha[i], q[i] - q[i + 1]
            W = np.sqrt(h) * normal()
            first = (denoise(x, grid.t[i]) - y) / q[i]
            if q[i + 1] == 0:
                x = grid.alpha[i + 1] * denoise(x, grid.t[i])
                continue
            ahead = y + h * first + W
            late = (denoise(grid.alpha[i + 1] * ahead, grid.t[i + 1]) - ahead) / q[i + 1]
            W = np.sqrt(h) * normal() if redrawn else W
            x = grid.alpha[i + 1] * (y + h * (first + late) / 2 + W)
        return x

    return sampler


def two_step(equal: bool = False, lowered: bool = True) -> Sampler:
    """DPM-Solver++(2M); `equal`: with the ratio of equal steps; `lowered`: the step to sigma = 0 is of order 1."""

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        with np.errstate(divide="ignore"):
            lam = np.log(grid.alpha / grid.sigma)
        before = None
        for i in range(len(grid.t) - 1):
            D = denoise(x, grid.t[i])
            h, use = lam[i + 1] - lam[i], D
            if before is not None and (np.isfinite(h) or not lowered):
                r = 1.0 if equal else (lam[i] - lam[i - 1]) / h
                use = D + (D - before) / (2 * r)
            x = grid.sigma[i + 1] / grid.sigma[i] * x - grid.alpha[i + 1] * np.expm1(-h) * use
            before = D
        return x

    return sampler


def third_order(factor: float = 1.0) -> Sampler:
    """DPM-Solver++(3M) from fine first steps; `factor`: of the last difference, 1/2 in the published code."""

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        with np.errstate(divide="ignore"):
            lam = np.log(grid.alpha / grid.sigma)

        def fine(x: Any, i: int) -> Any:
            """One interval by ten steps of classical Runge-Kutta in log-SNR on x/alpha."""
            y, lams = x / grid.alpha[i], np.linspace(lam[i], lam[i + 1], 21)
            times = np.interp(lams, lam, grid.t)  # levels between nodes, near enough for a smooth path

            def slope(y: Any, k: int) -> Any:
                a = 1 / np.sqrt(1 + np.exp(-2 * lams[k]))
                return denoise(a * y, times[k]) - y

            for k in range(0, 20, 2):
                h = lams[k + 2] - lams[k]
                a = slope(y, k)
                b = slope(y + h / 2 * a, k + 1)
                c = slope(y + h / 2 * b, k + 1)
                y = y + h / 6 * (a + 2 * b + 2 * c + slope(y + h * c, k + 2))
            return grid.alpha[i + 1] * y

        past: list[Any] = []
        for i in range(len(grid.t) - 1):
            h = lam[i + 1] - lam[i]
            past = [denoise(x, grid.t[i]), *past][:3]
            if len(past) < 3:
                x = fine(x, i)
                continue
            if not np.isfinite(h):
                x = grid.alpha[i + 1] * past[0]
                continue
            r0, r1 = (lam[i] - lam[i - 1]) / h, (lam[i - 1] - lam[i - 2]) / h
            d0, d1 = (past[0] - past[1]) / r0, (past[1] - past[2]) / r1
            first = d0 + r0 / (r0 + r1) * (d0 - d1)
            second = 2 * (d0 - d1) / (r0 + r1)
            phi1 = np.expm1(-h)
            phi2 = phi1 / h + 1
            phi3 = phi2 / h - 0.5
            x = grid.sigma[i + 1] / grid.sigma[i] * x - grid.alpha[i + 1] * phi1 * past[0]
            x = x + grid.alpha[i + 1] * (phi2 * first - factor * phi3 * second)
        return x

    return sampler


def ancestral(straight: bool = False) -> Sampler:
    """DDPM's ancestral step; `straight`: the split of noise of the variance-exploding path, where alpha is not 1."""

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        scale = np.ones_like(grid.alpha) if straight else grid.alpha
        for i in range(len(grid.t) - 1):
            now, then = grid.sigma[i] / scale[i], grid.sigma[i + 1] / scale[i + 1]
            up = np.sqrt(then**2 * (now**2 - then**2) / now**2)
            down = np.sqrt(then**2 - up**2)
            D = denoise(x, grid.t[i])
            x = scale[i + 1] * (down / now * x / scale[i] + (1 - down / now) * D + up * normal())
        return x

    return sampler


def churned(before: bool = False) -> Sampler:
    """Heun's method from levels that are raised first (EDM's churn); `before`: the model is asked before they are."""

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        steps = len(grid.t) - 1
        for i in range(steps):
            # on this path the time is the level
            sigma, then = grid.sigma[i], grid.sigma[i + 1]
            raised = min(sigma * (1 + 1 / steps), grid.sigma[0])
            up = x + np.sqrt(raised**2 - sigma**2) * (normal() if i else 0.0)
            first = (x - denoise(x, sigma)) / sigma if before else (up - denoise(up, raised)) / raised
            ahead = up + (then - raised) * first
            if then > 0:
                late = (ahead - denoise(ahead, then)) / then
                ahead = up + (then - raised) * (first + late) / 2
            x = ahead
        return x

    return sampler


def careless(how: str) -> Sampler:
    """DDIM with one careless habit: it writes to what it is given, averages over the batch, keeps something, ..."""
    calls = [0]

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        calls[0] += 1
        if how == "input":
            x *= 1.0 + 1e-9
        if how == "grid":
            grid.sigma[-1] *= 1.0 + 1e-9
        if how == "noise":
            normal()
            normal()
        y = ddim()(denoise, x, grid, normal)
        if how == "batch":
            y = y + 1e-3 * y.mean(axis=0)
        if how == "state":
            y = y + 1e-6 * calls[0]
        if how == "coordinates":
            y = y * np.array([1.0, 1.001])[: y.shape[1]]
        return y.reshape(-1) if how == "shape" else y

    return sampler
