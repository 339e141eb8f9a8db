"""Second derivations of stochastic Runge-Kutta methods, SEEDS, Restart, annealed Langevin and reversible methods.

As in `reference`: each in its source's own notation, no tableau.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.solvers.reference import (
    Denoise,
    Node,
    Sampler,
    amount,
    ddim_step,
    forward_variance,
    noisy_drift,
    pairs,
)

Array = NDArray[np.float64]


# ---------------------------------------------------------------- SEEDS


def seeds(stages: int) -> Sampler:
    """Gonzalez et al. 2023, SEEDS-1, 2, 3 as printed, the noise of every stage written out; D frozen to sigma = 0."""

    def sampler(path: Any, grid: Array, D: Denoise, x: Array, z: Array) -> Array:
        noise = iter(z)
        for _, now, then in pairs(path, grid):
            if then.s == 0:
                next(noise)
                return then.a * D(x, now.a, now.s)
            h = then.lam - now.lam
            eps, ratio = now.eps(D, x), then.a / now.a

            def go(
                node: Node, r: float, x: Array = x, now: Node = now, eps: Array = eps, h: float = h
            ) -> Array:
                return node.a / now.a * x - 2 * node.s * (np.exp(r * h) - 1) * eps

            if stages == 1:
                x = go(then, 1) + then.s * np.sqrt(np.exp(2 * h) - 1) * next(noise)
            elif stages == 2:
                z1, z2 = next(noise), next(noise)
                mid = now.at(now.lam + h / 2)
                u = go(mid, 0.5) + mid.s * np.sqrt(np.exp(h) - 1) * z1
                x = ratio * x - 2 * then.s * (np.exp(h) - 1) * mid.eps(D, u)
                x = x + then.s * (np.sqrt(np.exp(2 * h) - np.exp(h)) * z1 + np.sqrt(np.exp(h) - 1) * z2)
            else:
                z1, z2, z3 = next(noise), next(noise), next(noise)
                one, two = now.at(now.lam + h / 3), now.at(now.lam + 2 * h / 3)
                e = [np.exp(2 * h * k / 3) for k in range(4)]
                u1 = go(one, 1 / 3) + one.s * np.sqrt(e[1] - 1) * z1
                D1 = one.eps(D, u1) - eps
                u2 = go(two, 2 / 3) - 4 * two.s * ((np.exp(2 * h / 3) - 1) / (2 * h / 3) - 1) * D1
                u2 = u2 + two.s * (np.sqrt(e[2] - e[1]) * z1 + np.sqrt(e[1] - 1) * z2)
                D2 = two.eps(D, u2) - eps
                x = go(then, 1) - 3 * then.s * ((np.exp(h) - 1) / h - 1) * D2
                parts = (e[3] - e[2], e[2] - e[1], e[1] - 1)
                x = x + then.s * sum(np.sqrt(p) * w for p, w in zip(parts, (z1, z2, z3), strict=True))
        return x

    return sampler


# ---------------------------------------------------------------- strong order 1.5

# alpha, A0, B0, beta1, beta2, c0, c1 of Rossler 2010
SRA = {
    "sra1": ([1 / 3, 2 / 3], [[], [3 / 4]], [[], [3 / 2]], [1, 0], [-1, 1], [0, 3 / 4], [1, 0]),
    "sra3": (
        [1 / 6, 1 / 6, 2 / 3],
        [[], [1], [1 / 4, 1 / 4]],
        [[], [0], [1, 1 / 2]],
        [1, 0, 0],
        [-1, 1, 0],
        [0, 1, 1 / 2],
        [1, 0, 0],
    ),
}


def to_data(now: Node, then: Node, D: Denoise, x: Array, eta: float) -> Array:
    """The step to sigma = 0: of the flow without noise, else D itself."""
    return ddim_step(now, then, D, x) if eta == 0 else then.a * D(x, now.a, now.s)


def last_on_interpolant(now: Node, then: Node, D: Denoise, x: Array, z: Any, eta: float, weight: str) -> Any:
    """Euler-Maruyama to the data of an interpolant, where a network has no score; None where none is asked for."""
    if amount(then, eta, weight) == 0:
        return None
    dt, w = now.t - then.t, amount(now, eta, weight)
    return x - noisy_drift(now, D, x, w) * dt + np.sqrt(w * dt) * next(z)


def sra(name: str) -> Sampler:
    """Rossler 2010, eq. for additive noise: I_(1) and I_(1,0) from two normals, time running down."""
    alpha, A0, B0, beta1, beta2, c0, c1 = SRA[name]

    def sampler(
        path: Any, grid: Array, D: Denoise, x: Array, z: Array, eta: float = 1.0, weight: str = "g2"
    ) -> Array:
        noise = iter(z)
        for _, now, then in pairs(path, grid):
            if then.s == 0:
                flow = hasattr(D, "velocity")
                end = (
                    last_on_interpolant(now, then, D, x, noise, eta, weight)
                    if flow
                    else to_data(now, then, D, x, eta)
                )
                if end is not None:
                    return end  # type: ignore[no-any-return]
            h = now.t - then.t
            at = [Node(path, then.t if c == 1 else now.t - c * h) for c in c0]
            g = [np.sqrt(amount(Node(path, then.t if c == 1 else now.t - c * h), eta, weight)) for c in c1]
            z1, z2 = next(noise), next(noise)
            I1 = np.sqrt(h) * z1
            I10 = h / 2 * (I1 - np.sqrt(h) * z2 / np.sqrt(3))
            f: list[Array] = []
            for i, node in enumerate(at):
                H = x + h * sum((a * v for a, v in zip(A0[i], f, strict=True)), np.zeros_like(x))
                H = H + sum(b * s for b, s in zip(B0[i], g, strict=False)) * I10 / h
                f.append(-noisy_drift(node, D, H, amount(node, eta, weight)))
            x = x + h * sum(a * v for a, v in zip(alpha, f, strict=True))
            x = x + sum((b1 * I1 + b2 * I10 / h) * s for b1, b2, s in zip(beta1, beta2, g, strict=True))
        return x

    return sampler


# Drift weights a, b of Foster 2024, definition 1.6, and of the increment and the space-time area of the noise
SPARK_A = [[], [1 / 2], [0, 1]]
SPARK_B = [(3 - np.sqrt(3)) / 6, np.sqrt(3) / 3, (3 - np.sqrt(3)) / 6]
SPARK_H = ([[], [np.sqrt(3)], [0, 0]], [1, 0, -1])


def spark(
    path: Any, grid: Array, D: Denoise, x: Array, z: Array, eta: float = 1.0, weight: str = "g2"
) -> Array:
    """SPaRK as a table: a stage takes a f h + g (a W + a_H H), the step b f h + g (b W + b_H H)."""
    noise = iter(z)
    for _, now, then in pairs(path, grid):
        if then.s == 0:
            flow = hasattr(D, "velocity")
            end = (
                last_on_interpolant(now, then, D, x, noise, eta, weight)
                if flow
                else to_data(now, then, D, x, eta)
            )
            if end is not None:
                return end  # type: ignore[no-any-return]
        h = now.t - then.t
        W, H = np.sqrt(h) * next(noise), -np.sqrt(h / 12) * next(noise)
        f, g = [], []
        for i, c in enumerate((0, 1 / 2, 1)):
            node = then if c == 1 else Node(path, now.t - c * h)
            u = x + sum((a * v * h for a, v in zip(SPARK_A[i], f, strict=True)), np.zeros_like(x))
            u = u + sum(v * a * W for a, v in zip(SPARK_A[i], g, strict=True))
            u = u + sum(v * a * H for a, v in zip(SPARK_H[0][i], g, strict=True))
            f.append(-noisy_drift(node, D, u, amount(node, eta, weight)))
            g.append(np.sqrt(amount(node, eta, weight)))
        x = x + sum(b * v * h for b, v in zip(SPARK_B, f, strict=True))
        x = x + sum(v * (b * W + c * H) for b, c, v in zip(SPARK_B, SPARK_H[1], g, strict=True))
    return x


def shark(path: Any, grid: Array, D: Denoise, x: Array, z: Array, eta: float = 1.0) -> Array:
    """Foster, dos Reis and Strange 2024 on y with f(y, q) = (1 + eta^2)/2 (D - y)/q and noise eta."""
    noise = iter(z)
    for _, now, then in pairs(path, grid):
        if then.s == 0:
            return to_data(now, then, D, x, eta)
        q, h = now.kappa**2, now.kappa**2 - then.kappa**2

        def f(node: Node, y: Array) -> Array:
            return (1 + eta**2) / 2 * (D(node.a * y, node.a, node.s) - y) / node.kappa**2

        y = x / now.a
        W = np.sqrt(h) * next(noise)
        H = -np.sqrt(h / 12) * next(
            noise
        )  # the functional weighs the end of the step, the area its beginning
        shifted = y + eta * H
        first = f(now, shifted)
        late = f(now.at(-np.log(q - 5 / 6 * h) / 2), shifted + 5 / 6 * (first * h + eta * W))
        x = then.a * (y + (2 / 5 * first + 3 / 5 * late) * h + eta * W)
    return x


# ---------------------------------------------------------------- steps that stay


def restart(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    intervals: Sequence[Sequence[float]] = ((3, 2, 0.06, 0.30),),
) -> Array:
    """Xu et al. 2023, Algorithm 1, on y = x/alpha with sigma = kappa."""
    noise, nodes = iter(z), [Node(path, float(t)) for t in grid]

    def heun(y: Array, now: Node, then: Node) -> Array:
        d = (y - D(now.a * y, now.a, now.s)) / now.kappa
        ahead = y + (then.kappa - now.kappa) * d
        if then.s == 0:
            return ahead
        late = (ahead - D(then.a * ahead, then.a, then.s)) / then.kappa
        return y + (then.kappa - now.kappa) * (d + late) / 2

    nearest = [
        min(
            (n for n in range(1, len(nodes)) if nodes[n].s > 0),
            key=lambda n: abs(np.log(nodes[n].kappa / low)),
        )
        for _, _, low, _ in intervals
    ]
    y = x / nodes[0].a
    for n, (now, then) in enumerate(pairwise(nodes), start=1):
        y = heun(y, now, then)
        for (steps, repeats, _, high), where in zip(intervals, nearest, strict=True):
            if where != n or high <= then.kappa:
                continue
            i = np.arange(steps + 1) / steps
            ladder = (high ** (1 / 7) + i * (then.kappa ** (1 / 7) - high ** (1 / 7))) ** 7
            for _ in range(int(repeats)):
                y = y + np.sqrt(high**2 - then.kappa**2) * next(noise)
                for a, b in pairwise(ladder):
                    y = heun(y, now.at(-np.log(a)), now.at(-np.log(b)))
    return nodes[-1].a * y


def annealed_langevin(
    path: Any, grid: Array, D: Denoise, x: Array, z: Array, steps_each: int = 5, ratio: float = 0.2
) -> Array:
    """Song and Ermon 2019, Algorithm 1, alpha_i = ratio sigma_i^2."""
    noise, before = iter(z), None
    for node in (Node(path, float(t)) for t in grid):
        x = x if before is None else node.a / before.a * x
        for _ in range(steps_each if node.s > 0 else 0):
            step = ratio * node.s**2
            x = x + step / 2 * node.score(D, x) + np.sqrt(step) * next(noise)
        before = node
    return x


# ---------------------------------------------------------------- reversible


def reversible_heun(path: Any, grid: Array, D: Denoise, x: Array, z: Array) -> Array:
    """Kidger et al. 2021, Algorithm 1, on y = x/alpha."""
    y = yhat = x / path.alpha(grid[0])
    f = None
    for _, now, then in pairs(path, grid):
        if then.s == 0:
            return ddim_step(now, then, D, now.a * y)
        f = now.eps(D, now.a * yhat) if f is None else f
        dk = then.kappa - now.kappa
        yhat = 2 * y - yhat + f * dk
        late = then.eps(D, then.a * yhat)
        y, f = y + (f + late) * dk / 2, late
    return path.alpha(grid[-1]) * y


def edict(path: Any, grid: Array, D: Denoise, x: Array, z: Array, p: float = 0.93) -> Array:
    """Wallace et al. 2023, eq. 13 to 16: a_t = alpha_s/alpha_t, b_t = sigma_s - a_t sigma_t."""
    y = x
    for _, now, then in pairs(path, grid):
        if then.s == 0:
            return ddim_step(now, then, D, x)
        a = then.a / now.a
        b = then.s - a * now.s
        x_inter = a * x + b * now.eps(D, y)
        y_inter = a * y + b * now.eps(D, x_inter)
        x = p * x_inter + (1 - p) * y_inter
        y = p * y_inter + (1 - p) * x
    return x


def bdia(path: Any, grid: Array, D: Denoise, x: Array, z: Array, gamma: float = 1.0) -> Array:
    """Zhang et al. 2023: x_{i-1} = gamma x_{i+1} + (1 - gamma) x_i + DDIM's move on, less gamma DDIM's move back."""
    before: tuple[Node, Array] | None = None
    for _, now, then in pairs(path, grid):
        on = ddim_step(now, then, D, x) - x
        if before is None or then.s == 0:
            new = x + on
        else:
            back = ddim_step(now, before[0], D, x) - x
            new = gamma * before[1] + (1 - gamma) * x + on - gamma * back
        before, x = (now, x), new
    return x


def belm(path: Any, grid: Array, D: Denoise, x: Array, z: Array) -> Array:
    """Wang et al. 2024, O-BELM on x-bar = x/alpha, h the decrease of sigma-bar."""
    before: tuple[Node, Array] | None = None
    for _, now, then in pairs(path, grid):
        if before is None or then.s == 0:
            new = ddim_step(now, then, D, x)
        else:
            h, h1 = now.kappa - then.kappa, before[0].kappa - now.kappa
            bar = h**2 / h1**2 * before[1] / before[0].a + (h1**2 - h**2) / h1**2 * x / now.a
            new = then.a * (bar - h * (h + h1) / h1 * now.eps(D, x))
        before, x = (now, x), new
    return x


REX_TABLES: dict[str, tuple[list[float], list[list[float]], list[float]]] = {
    "euler": ([0], [[]], [1]),
    "midpoint": ([0, 0.5], [[], [0.5]], [0, 1]),
    "rk4": ([0, 0.5, 0.5, 1], [[], [0.5], [0, 0.5], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
    "published": ([0, 0.5, 0.5, 1], [[], [0.5], [0.5, 0], [0, 0.5, 0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
}


def rex(fixed: str | None = None) -> Sampler:
    """Rex in x, with sigma' / sigma (zeta x + (1 - zeta) x^) + sigma' Psi_h(x^), then x^ less sigma' Psi_-h(x)."""

    def sampler(
        path: Any,
        grid: Array,
        D: Denoise,
        x: Array,
        z: Array,
        base: str = "midpoint",
        zeta: float = 0.9,
    ) -> Array:
        c, a, b = REX_TABLES[fixed or base]

        def psi(x: Array, start: Node, stop: Node) -> Array:
            h = stop.a / stop.s - start.a / start.s
            k: list[Array] = []
            for place, row in zip(c, a, strict=True):
                node = {0: start, 1: stop}.get(place) or start.at(np.log(start.a / start.s + place * h))
                inside = x / start.s + h * sum((w * v for w, v in zip(row, k, strict=True)), np.zeros_like(x))
                k.append(D(node.s * inside, node.a, node.s))
            return h * sum(w * v for w, v in zip(b, k, strict=True))

        shadow = x
        for _, now, then in pairs(path, grid):
            if then.s == 0:
                return ddim_step(now, then, D, x)
            x = then.s / now.s * (zeta * x + (1 - zeta) * shadow) + then.s * psi(shadow, now, then)
            shadow = then.s / now.s * shadow - then.s * psi(x, then, now)
        return x

    return sampler


# ---------------------------------------------------------------- accelerated


def accelerated_ddim(path: Any, grid: Array, D: Denoise, x: Array, z: Array, end: str = "full") -> Array:
    """Li et al. 2024, their code's formula in X and alpha-bar, on x scaled to preserve variance."""

    def bar(node: Node) -> float:
        return node.a**2 / (node.a**2 + node.s**2)

    before: tuple[Node, Array] | None = None
    first_order = end == "lower" or (end == "as-published" and len(grid) < 16)
    for i, now, then in pairs(path, grid):
        eps = now.eps(D, x)
        now_bar, then_bar = bar(now), bar(then)
        X = x / np.hypot(now.a, now.s)
        new = np.sqrt(then_bar / now_bar) * X
        new = new + (np.sqrt(1 - then_bar) - np.sqrt(1 - now_bar) * np.sqrt(then_bar / now_bar)) * eps
        if before is not None and then.s > 0 and not (first_order and i == len(grid) - 2):
            ends = [
                now_bar * np.sqrt(1 - b) / np.sqrt(b) + np.arcsin(np.sqrt(b)) for b in (then_bar, now_bar)
            ]
            share = np.sqrt(then_bar) / (now_bar - bar(before[0]))
            new = new + share * (ends[0] - ends[1]) * (before[1] - eps)
        before, x = (now, eps), np.hypot(then.a, then.s) * new
    return x


def accelerated_ddpm(path: Any, grid: Array, D: Denoise, x: Array, z: Array) -> Array:
    """Li et al. 2024, Phi and Psi of their code, with beta_t for 1 - alpha_t."""
    noise = iter(z)
    for _, now, then in pairs(path, grid):
        beta, root = forward_variance(now, then), now.a / then.a
        y = x + np.sqrt(beta / 2) * next(noise)
        x = (y + beta * now.score(D, y)) / root + np.sqrt(beta / 2) * next(noise)
    return x


NOISY_AND_REVERSIBLE: dict[str, Sampler] = {
    **{f"seeds-{k}": seeds(k) for k in (1, 2, 3)},
    **{name: sra(name) for name in SRA},
    "spark": spark,
    "shark": shark,
    "restart": restart,
    "annealed-langevin": annealed_langevin,
    "reversible-heun": reversible_heun,
    "edict": edict,
    "bdia": bdia,
    "belm": belm,
    "rex": rex(),
    "rex-rk4-as-published": rex("published"),
    "accelerated-ddim": accelerated_ddim,
    "accelerated-ddpm": accelerated_ddpm,
}
