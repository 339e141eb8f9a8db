"""Second derivations of the multistep, predictor-corrector and noisy two-stage methods, as plain loops.

As in `reference`: each in its source's own notation, integrals by SciPy's quadrature, no tableau.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.solvers.reference import (
    Denoise,
    History,
    Node,
    Sampler,
    ddim_step,
    forward_variance,
    integral,
    lagrange,
    pairs,
)

Array = NDArray[np.float64]
Walk = Callable[[int, int, bool], int]


def orders(steps: int, most: int, end: str, to_data: bool) -> list[int]:
    """Order of each step: rising from 1, at most `most`, falling at the end where that is asked for, 1 to the data."""
    found = [min(i + 1, most) for i in range(steps)]
    if end == "lower" or (end == "as-published" and steps < 15):
        found = [min(order, steps - i) for i, order in enumerate(found)]
    return [*found[:-1], 1] if to_data else found


# ---------------------------------------------------------------- Adams on eps in sigma/alpha


def adams_sampler(weights: Callable[[list[float], int], list[float]], default: int = 4) -> Sampler:
    """Return the sampler of y += sum of weights times eps; weights(kappas, n), the next level first."""

    def sampler(
        path: Any,
        grid: Array,
        D: Denoise,
        x: Array,
        z: Array,
        end: str = "full",
        order: int = default,
        **_: Any,
    ) -> Array:
        past: list[tuple[Node, Array]] = []
        plan = orders(len(grid) - 1, order, end, to_data=False)
        for i, now, then in pairs(path, grid):
            past = [(now, now.eps(D, x)), *past]
            if plan[i] == 1:
                x = ddim_step(now, then, D, x)
                continue
            used = past[: plan[i]]
            w = weights([then.kappa, *(node.kappa for node, _ in used)], len(used))
            x = then.a * (x / now.a + sum((c * eps for c, (_, eps) in zip(w, used, strict=True)), 0 * x))
        return x

    return sampler


def by_quadrature(kappas: list[float], n: int) -> list[float]:
    """k-diffusion's linear_multistep_coeff: the integral of the Lagrange basis."""
    then, now, *_ = kappas
    return [integral(lambda k, j=j: lagrange(kappas[1:], j, k), now, then) for j in range(n)]  # type: ignore[misc]


def equal_steps(kappas: list[float], n: int) -> list[float]:
    """Adams-Bashforth as printed for equal steps."""
    table = {2: [3 / 2, -1 / 2], 3: [23 / 12, -16 / 12, 5 / 12], 4: [55 / 24, -59 / 24, 37 / 24, -9 / 24]}
    return [(kappas[0] - kappas[1]) * c for c in table[n]]


def slipped(kappas: list[float], n: int) -> list[float]:
    """diff-sampler's ipndm_v_sampler, written as divided differences with its three slips."""
    h, *rest = (a - b for a, b in itertools.pairwise(kappas))
    out = np.zeros(n)
    out[:2] += [1 + h / rest[0] / 2, -h / rest[0] / 2]
    if n > 2:
        h1, h2 = rest[:2]
        w = 0.5 - h * h / (6 * h1 * (h1 + h2))  # should be h (3 h1 + 2 h)/(6 h1 (h1 + h2))
        out[:3] += w * np.array([1, -1 - h1 / h2, h1 / h2])
    if n > 3:
        h3 = rest[2]
        a, b = h + h1, h + h1 + h2
        w = (0.5 - h / (6 * a) + h / (6 * b) * (1 - h / (2 * a))) * h * a * b
        w /= h1 * (h1 + h2) * (h1 + h2 + h3)
        r = h1 * (h1 + h2) / (h2 * (h2 + h3))
        out += w * np.array([1, -1 - h1 / h2 - r, h1 / h2 + r + r * h2 / h3, -r * h1 / h2])
    return list(h * out)


def pndm(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    end: str = "full",
    warm_up: str = "runge-kutta",
) -> Array:
    """Liu et al. 2022: phi is DDIM's transfer, PRK for three steps, then PLMS; or latent diffusion's first step."""

    def phi(x: Array, eps: Array, now: Node, then: Node) -> Array:
        return then.a / now.a * x + (then.s - then.a * now.s / now.a) * eps

    past: list[Array] = []
    plan = orders(len(grid) - 1, 4, end, to_data=False)
    for i, now, then in pairs(path, grid):
        e1 = now.eps(D, x)
        past = [e1, *past]
        if i < 3 and then.s > 0 and warm_up == "runge-kutta":
            mid = Node(path, (now.t + then.t) / 2)
            e2 = mid.eps(D, phi(x, e1, now, mid))
            e3 = mid.eps(D, phi(x, e2, now, mid))
            e4 = then.eps(D, phi(x, e3, now, then))
            x = phi(x, (e1 + 2 * e2 + 2 * e3 + e4) / 6, now, then)
        elif i == 0 and then.s > 0:
            x = phi(x, (e1 + then.eps(D, phi(x, e1, now, then))) / 2, now, then)
        elif plan[i] == 1:
            x = ddim_step(now, then, D, x)
        else:
            w = equal_steps([1.0, 0.0], plan[i])
            x = phi(x, sum(c * e for c, e in zip(w, past, strict=False)), now, then)
    return x


# ---------------------------------------------------------------- predict, evaluate, correct


def by_lagrange(now: Node, then: Node, x: Array, used: History, rate: float, tau: float) -> Array:
    """Mean of the SDE with noise tau for D a polynomial in log-SNR through the nodes in use."""
    nodes = [node.lam for node, _, _ in used]
    out = then.s / now.s * np.exp(-(tau**2) * (then.lam - now.lam)) * x
    for j, (_, _, value) in enumerate(used):
        weight = integral(
            lambda lam, j=j: rate * np.exp(rate * (lam - then.lam)) * lagrange(nodes, j, lam),  # type: ignore[misc]
            now.lam,
            then.lam,
        )
        out = out + then.a * weight * value
    return out


def unipc(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    end: str = "full",
    order: int = 3,
    variant: str = "bh2",
) -> Array:
    """Zhao et al. 2023, Algorithms 1 and 2, in data prediction with R rho = b as in its code."""
    steps = len(grid) - 1
    plan = orders(steps, order, end, to_data=bool(path.sigma(grid[-1]) == 0))
    past: list[tuple[Node, Array]] = []
    for i, now, then in pairs(path, grid):
        if not past:
            past = [(now, D(x, now.a, now.s))]
        p, h = plan[i], then.lam - now.lam
        m0 = past[0][1]
        if then.s == 0:
            return then.a * m0
        base = then.s / now.s * x - then.a * np.expm1(-h) * m0
        r = [(node.lam - now.lam) / h for node, _ in past[1:p]]
        D1 = [(m - m0) / ratio for ratio, (_, m) in zip(r, past[1:p], strict=True)]
        varying = variant.startswith("vary")
        B = -h if variant == "bh1" or varying else np.expm1(-h)
        R, b = _system([*r, 1.0], h, B)
        # the predictor leaves out the new evaluation, its equation and its column
        rho = [0.5] if len(r) == 1 and not varying else np.linalg.solve(R[:-1, :-1], b[:-1]) if r else []
        predicted = base - then.a * B * sum((c * d for c, d in zip(rho, D1, strict=True)), 0 * x)
        if i == steps - 1:
            return predicted
        new = D(predicted, then.a, then.s)
        if variant == "vary-as-published" and p > 1:
            x = base - then.a * _missing_row([*r, 1.0], h, D1, new - m0)
        else:
            rho = [0.5] if p == 1 and not varying else np.linalg.solve(R, b)
            x = base - then.a * B * sum(c * d for c, d in zip(rho, [*D1, new - m0], strict=True))
        past = [(then, new), *past]
    return x


def _phis(h: float, count: int) -> list[float]:
    """h_phi_k of the code, k = 1 .. count, from the integral that they are."""
    return [
        -h
        * integral(lambda u, k=k: np.exp(-h * (1 - u)) * u ** (k - 1) / float(np.prod(np.arange(1, k))), 0, 1)  # type: ignore[misc]
        for k in range(1, count + 1)
    ]


def _system(r: list[float], h: float, B: float) -> tuple[Array, Array]:
    """R and b of R rho B = b: powers of the ratios, and k! h_phi_(k+1)."""
    K = len(r)
    phis = _phis(h, K + 1)
    b = [phis[k] * float(np.prod(np.arange(1, k + 1))) / B for k in range(1, K + 1)]
    return np.array([[ratio ** (k - 1) for ratio in r] for k in range(1, K + 1)]), np.array(b)


def _missing_row(r: list[float], h: float, D1: list[Array], new: Array) -> Array:
    """multistep_uni_pc_vary_update's corrector, loops up to K - 1 and the index left over from them."""
    K = len(r)
    C = np.array([[ratio**k / np.prod(np.arange(1, k + 2)) for k in range(K)] for ratio in r])
    A, phis = np.linalg.inv(C), _phis(h, K + 1)
    total: Any = 0.0
    for k in range(K - 1):
        total = total + phis[k + 1] * sum(A[k][i] * D1[i] for i in range(K - 1))
    return total + phis[K] * A[K - 2][-1] * new


def sa_solver(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    end: str = "full",
    predictor: int = 3,
    corrector: int = 4,
    tau: float = 1.0,
) -> Array:
    """Xue et al. 2023, Algorithm 1 with constant tau; predictor and corrector take the same xi."""
    steps = len(grid) - 1
    plan = orders(steps, max(predictor, corrector - 1), end, to_data=bool(path.sigma(grid[-1]) == 0))
    past: History = []
    for i, now, then in pairs(path, grid):
        if not past:
            past = [(now, x, D(x, now.a, now.s))]
        noise = then.s * np.sqrt(1 - np.exp(-2 * tau**2 * (then.lam - now.lam))) * z[i] if tau else 0.0
        if then.s == 0:
            return then.a * past[0][2]
        p, c = min(predictor, plan[i]), min(corrector, plan[i] + 1)
        predicted = by_lagrange(now, then, x, past[:p], 1 + tau**2, tau) + noise
        if i == steps - 1:
            return predicted
        new = (then, predicted, D(predicted, then.a, then.s))
        before, x = x, predicted
        if corrector:
            x = by_lagrange(now, then, before, [new, *past][:c], 1 + tau**2, tau) + noise
        past = [new, *past]
    return x


# ---------------------------------------------------------------- SDE multistep


def third_of_sde(published: bool) -> Sampler:
    """k-diffusion's sample_dpmpp_3m_sde on x, or with the quadratic integrated exactly."""

    def sampler(
        path: Any, grid: Array, D: Denoise, x: Array, z: Array, end: str = "full", eta: float = 1.0
    ) -> Array:
        plan = orders(len(grid) - 1, 3, end, to_data=bool(path.sigma(grid[-1]) == 0))
        past: History = []
        for i, now, then in pairs(path, grid):
            past = [(now, x, D(x, now.a, now.s)), *past]
            if then.s == 0:
                return then.a * past[0][2]
            h = then.lam - now.lam
            rate, decay = 1 + eta**2, h * (1 + eta**2)
            noise = then.s * np.sqrt(-np.expm1(-2 * h * eta**2)) * z[i] if eta else 0.0
            if plan[i] < 3 or not published:
                x = by_lagrange(now, then, x, past[: plan[i]], rate, eta) + noise
                continue
            r0 = (now.lam - past[1][0].lam) / h
            r1 = (past[1][0].lam - past[2][0].lam) / h
            d10 = (past[0][2] - past[1][2]) / r0
            d11 = (past[1][2] - past[2][2]) / r1
            d1, d2 = d10 + (d10 - d11) * r0 / (r0 + r1), (d10 - d11) / (r0 + r1)
            phi_2 = np.expm1(-decay) / decay + 1
            phi_3 = phi_2 / decay - 0.5
            x = then.s / now.s * np.exp(-(eta**2) * h) * x - then.a * np.expm1(-decay) * past[0][2]
            x = x + then.a * phi_2 * d1 - then.a * phi_3 * d2 + noise
        return x

    return sampler


NOISES: dict[str, Callable[[float], float]] = {
    "ode": lambda s: s,
    "sde": lambda s: s * s,
    "er-sde-2": lambda s: s * np.sqrt(s),
    "er-sde-3": lambda s: s * s * np.sqrt(s),
    "er-sde-4": lambda s: s**0.9 * np.log1p(100 * s**1.5) / np.log(10),
    "er-sde-5": lambda s: s * (np.exp(s**0.3) + 10),
}


def er_sde(order: int, published: bool) -> Sampler:
    """Cui et al. 2023 on y = x/alpha; published with the code's sums, else with the polynomial through the nodes."""

    def sampler(
        path: Any, grid: Array, D: Denoise, x: Array, z: Array, end: str = "full", noise: str = "er-sde-5"
    ) -> Array:
        phi, past = NOISES[noise], list[tuple[float, Array]]()
        plan = orders(len(grid) - 1, order, end, to_data=bool(path.sigma(grid[-1]) == 0))
        for i, now, then in pairs(path, grid):
            past = [(now.kappa, D(x, now.a, now.s)), *past]
            s, t = then.kappa, now.kappa
            r = phi(s) / phi(t)
            y = r * x / now.a + (1 - r) * past[0][1]
            points = s + np.arange(100) / 100 * (t - s)
            if plan[i] >= 2 and published:
                slope = (past[0][1] - past[1][1]) / (past[0][0] - past[1][0])
                s_int = sum(1 / phi(p) * (t - s) / 100 for p in points)
                y = y + (s - t + s_int * phi(s)) * slope
            if plan[i] == 3 and published:
                old = (past[1][1] - past[2][1]) / (past[1][0] - past[2][0])
                d_int = sum((p - t) / phi(p) * (t - s) / 100 for p in points)
                y = y + ((s - t) ** 2 / 2 + d_int * phi(s)) * 2 * (slope - old) / (past[0][0] - past[2][0])
            if plan[i] >= 2 and not published:
                nodes = [kappa for kappa, _ in past[: plan[i]]]
                # int l_j d(phi_s/phi) by parts, from t down to s
                y = r * x / now.a
                for j, (_, value) in enumerate(past[: plan[i]]):
                    slope_of = np.polynomial.Polynomial.fit(
                        nodes, np.eye(len(nodes))[j], len(nodes) - 1, domain=[min(s, *nodes), t]
                    ).deriv()
                    inner = integral(lambda k, f=slope_of: f(k) / phi(k), s, t)  # type: ignore[misc]
                    y = y + value * (lagrange(nodes, j, s) - r * lagrange(nodes, j, t) + phi(s) * inner)
            fresh = s**2 - t**2 * r**2
            x = then.a * (y + np.sqrt(max(fresh, 0.0)) * (z[i] if noise != "ode" else 0.0))
        return x

    return sampler


# ---------------------------------------------------------------- two stages and noise


def two_stage_ancestral(second_order: str) -> Sampler:
    """k-diffusion on y = x/alpha, sigma = kappa: sample_dpm_2_ancestral and sample_dpmpp_2s_ancestral."""

    def sampler(path: Any, grid: Array, D: Denoise, x: Array, z: Array, eta: float = 1.0) -> Array:
        for i, now, then in pairs(path, grid):
            if then.s == 0:
                return ddim_step(now, then, D, x)
            sigma, following = now.kappa, then.kappa
            up = eta * np.sqrt(following**2 * (sigma**2 - following**2) / sigma**2)
            down = np.sqrt(following**2 - up**2)
            y, denoised = x / now.a, D(x, now.a, now.s)
            if second_order == "dpm-2":
                mid = now.at(-(np.log(sigma) + np.log(down)) / 2)
                y2 = y + (y - denoised) / sigma * (mid.kappa - sigma)
                y = y + (y2 - D(mid.a * y2, mid.a, mid.s)) / mid.kappa * (down - sigma)
            else:
                h = np.log(sigma) - np.log(down)
                mid = now.at(-np.log(sigma) + h / 2)
                y2 = mid.kappa / sigma * y - np.expm1(-h / 2) * denoised
                y = down / sigma * y - np.expm1(-h) * D(mid.a * y2, mid.a, mid.s)
            x = then.a * (y + (up * z[i] if eta else 0.0))
        return x

    return sampler


def dpmpp_sde(
    path: Any, grid: Array, D: Denoise, x: Array, z: Array, eta: float = 1.0, r: float = 0.5
) -> Array:
    """k-diffusion's sample_dpmpp_sde; the noise of the whole step is made of its two parts as the SDE's is."""
    noise = iter(z)

    def ancestral(now: Node, then: Node) -> tuple[float, float]:
        up = eta * np.sqrt(forward_variance(now, then)) * then.s / now.s
        return float(np.sqrt(then.s**2 - up**2)), float(up)

    for _, now, then in pairs(path, grid):
        if then.s == 0:
            return ddim_step(now, then, D, x)
        mid = now.at(now.lam + r * (then.lam - now.lam))
        denoised = D(x, now.a, now.s)
        down, up = ancestral(now, mid)
        first = next(noise) if eta else 0.0
        u = down / now.s * x + (mid.a - down * now.a / now.s) * denoised + up * first
        mixed = (1 - 1 / (2 * r)) * denoised + 1 / (2 * r) * D(u, mid.a, mid.s)
        down, up = ancestral(now, then)
        # the SDE's noise over the step: what the first part became, and the second part
        kept = (
            np.sqrt((now.kappa**2 - mid.kappa**2) / (now.kappa**2 - then.kappa**2)) * then.kappa / mid.kappa
        )
        second = np.sqrt(max(1 - kept**2, 0)) * next(noise) if eta and r < 1 else 0.0
        x = down / now.s * x + (then.a - down * now.a / now.s) * mixed + up * (kept * first + second)
    return x


def scheduled_adams(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    nodes: Any = 2,
    predict: Any = "data",
) -> Array:
    """Each step's own polynomial in log-SNR, of x_0 or of eps, times its exponential, by quadrature."""
    steps = len(grid) - 1
    nodes = (*nodes, nodes[-1]) if isinstance(nodes, tuple) else (nodes,) * steps
    predict = (*predict, predict[-1]) if isinstance(predict, tuple) else (predict,) * steps
    past: list[tuple[float, Array, Array]] = []
    for i, now, then in pairs(path, grid):
        past = [(now.lam, D(x, now.a, now.s), now.eps(D, x)), *past]
        if then.s == 0:
            return ddim_step(now, then, D, x)
        used = past[: nodes[i]]
        places = [lam for lam, _, _ in used]
        sign = 1 if predict[i] == "data" else -1
        # x/sigma gains int e^lam x_0, x/alpha loses int e^-lam eps
        total = x / now.s if sign == 1 else x / now.a
        for j, (_, data, noise) in enumerate(used):
            weight = integral(
                lambda lam, j=j, sign=sign, places=places: np.exp(sign * lam) * lagrange(places, j, lam),
                now.lam,
                then.lam,
            )
            total = total + sign * weight * (data if sign == 1 else noise)
        x = total * (then.s if sign == 1 else then.a)
    return x


MORE: dict[str, Sampler] = {
    "lms": adams_sampler(by_quadrature),
    "ipndm": adams_sampler(equal_steps),
    "ipndm-v-as-published": adams_sampler(slipped),
    "pndm": pndm,
    "unipc": unipc,
    "sa-solver": sa_solver,
    "scheduled-adams": scheduled_adams,
    "dpmpp-3m-sde": third_of_sde(published=False),
    "dpmpp-3m-sde-as-published": third_of_sde(published=True),
    "er-sde-1": er_sde(1, published=False),
    "er-sde-2": er_sde(2, published=False),
    "er-sde-3": er_sde(3, published=False),
    "er-sde-2-as-published": er_sde(2, published=True),
    "er-sde-3-as-published": er_sde(3, published=True),
    "dpmpp-2s-ancestral": two_stage_ancestral("dpmpp-2s"),
    "dpm-2-ancestral": two_stage_ancestral("dpm-2"),
    "dpmpp-sde": dpmpp_sde,
}
