"""Every sampler of the catalogue a second time, as the plain loop its paper prints.

Written from the papers, each in its own notation (noise, data or score prediction), without the tableau and
without its phi-functions: exponentials are numpy's, integrals are SciPy's quadrature. A sampler is called as
sampler(path, grid, D, x, z, **options), where D(x, alpha, sigma) is the denoiser and z (channels, n, dim) the
noise in the order it is used; it returns the final sample. A step that ends at sigma = 0 is of first order. On an
interpolant D has the velocity and the score in its place, D.velocity(x, t) and D.score(x, t).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad

Array = NDArray[np.float64]
Denoise = Callable[[Array, float, float], Array]
Sampler = Callable[..., Array]


@dataclass(frozen=True)
class Node:
    """A time of the path and its scales: a = alpha, s = sigma, kappa = s/a, lam = log(a/s)."""

    path: Any
    t: float

    @property
    def a(self) -> float:
        """Scale of the data."""
        return float(self.path.alpha(self.t))

    @property
    def s(self) -> float:
        """Scale of the noise."""
        return float(self.path.sigma(self.t))

    @property
    def kappa(self) -> float:
        """Noise level of x/alpha."""
        return self.s / self.a

    @property
    def lam(self) -> float:
        """log(a/s)."""
        return float(self.path.log_snr(self.t))

    def at(self, lam: float) -> Node:
        """Return the node of the same path with another log(a/s)."""
        return Node(self.path, float(self.path.time_of_log_snr(lam)))

    def eps(self, D: Denoise, x: Array) -> Array:
        """Noise prediction at x; where there is none it is 0 for a target with a density."""
        return (x - self.a * D(x, self.a, self.s)) / self.s if self.s else 0 * x

    def score(self, D: Denoise, x: Array) -> Array:
        """Score of the marginal at x."""
        if hasattr(D, "velocity"):
            return D.score(x, self.t)  # type: ignore[attr-defined,no-any-return]
        return (self.a * D(x, self.a, self.s) - x) / self.s**2

    def velocity(self, D: Denoise, x: Array) -> Array:
        """Right-hand side of the probability-flow ODE in t: alpha' x_0 + sigma' eps."""
        if hasattr(D, "velocity"):
            return D.velocity(x, self.t)  # type: ignore[no-any-return]
        da, ds = float(self.path.d_alpha(self.t)), float(self.path.d_sigma(self.t))
        return da * D(x, self.a, self.s) + ds * self.eps(D, x)

    @property
    def f(self) -> float:
        """Drift rate of the forward SDE, d log alpha/dt."""
        return float(self.path.d_alpha(self.t)) / self.a

    @property
    def g2(self) -> float:
        """Squared diffusion of the forward SDE, d sigma^2/dt - 2 f sigma^2; on an interpolant that of its noise."""
        if hasattr(self.path, "weights"):
            return float(getattr(self.path, "noise", 1.0)) ** 2
        return 2 * self.s * float(self.path.d_sigma(self.t)) - 2 * self.f * self.s**2

    def reverse_drift(self, D: Denoise, x: Array) -> Array:
        """Drift of the reverse SDE in t (Song et al. 2021, eq. 6)."""
        return self.f * x - self.g2 * self.score(D, x)


def pairs(path: Any, grid: Array) -> Iterator[tuple[int, Node, Node]]:
    """Yield step number, node before and node after each step."""
    for i in range(len(grid) - 1):
        yield i, Node(path, float(grid[i])), Node(path, float(grid[i + 1]))


def forward_variance(now: Node, then: Node) -> float:
    """Variance of q(x_t | x_s), t now and s then: beta_t of DDPM."""
    return now.s**2 - (now.a / then.a) ** 2 * then.s**2


# ---------------------------------------------------------------- one step, first order


def ddim_step(now: Node, then: Node, D: Denoise, x: Array) -> Array:
    """Song, Meng and Ermon 2021, eq. 12 with eta = 0."""
    x0 = D(x, now.a, now.s)
    return then.a * x0 + then.s * (x - now.a * x0) / now.s


def ddim_eta(path: Any, grid: Array, D: Denoise, x: Array, z: Array, eta: float = 0.5) -> Array:
    """Song, Meng and Ermon 2021, eq. 12 and 16; (1 - a_t/a_{t-1}) of their eq. 16 is beta_t."""
    for i, now, then in pairs(path, grid):
        deviation = eta * then.s / now.s * np.sqrt(forward_variance(now, then))
        x0 = D(x, now.a, now.s)
        eps = (x - now.a * x0) / now.s
        x = then.a * x0 + np.sqrt(then.s**2 - deviation**2) * eps + deviation * z[i]
    return x


def ddpm(path: Any, grid: Array, D: Denoise, x: Array, z: Array, variance: str = "posterior") -> Array:
    """Ho, Jain and Abbeel 2020, eq. 6 and 7; Algorithm 2 adds no noise on the last step to the data."""
    for i, now, then in pairs(path, grid):
        x0, beta, ratio = D(x, now.a, now.s), forward_variance(now, then), now.a / then.a
        mean = then.a * beta / now.s**2 * x0 + ratio * then.s**2 / now.s**2 * x
        square = beta * then.s**2 / now.s**2 if variance == "posterior" else beta
        x = mean + (np.sqrt(square) * z[i] if then.s > 0 else 0)
    return x


def amount(node: Node, eta: float, weight: str) -> float:
    """Diffusion w(t) of a reverse SDE that keeps the marginals (Ma et al. 2024, table 2, and code, whose time is u)."""
    u = 1 - node.t / node.path.end
    forms = {
        "g2": lambda: node.g2,
        "sigma": lambda: node.s,
        "constant": lambda: 1.0,
        "linear": lambda: 1 - u,
        "decreasing": lambda: 0.25 * (np.cos(np.pi * u) + 1) ** 2,
        "increasing-decreasing": lambda: np.sin(np.pi * min(u, 1 - u)) ** 2,
    }
    return float(eta**2 * forms[weight]())


def noisy_drift(node: Node, D: Denoise, x: Array, w: float) -> Array:
    """Drift in t with diffusion w: that of the flow, less w/2 times the score."""
    return node.velocity(D, x) - (w / 2 * node.score(D, x) if w else 0)


def euler_maruyama(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    eta: float = 1.0,
    weight: str = "g2",
    last: str = "same",
) -> Array:
    """Euler-Maruyama on Song et al. 2021, eq. 6, or with another amount of noise; SiT's last steps."""
    for i, now, then in pairs(path, grid):
        dt, w = now.t - then.t, amount(now, eta, weight)
        ending = last if i == len(grid) - 2 else "same"
        if ending == "tweedie":
            x = D(x, now.a, now.s)
        elif ending == "euler":
            x = x - now.velocity(D, x) * dt
        else:
            x = x - noisy_drift(now, D, x, w) * dt
            if w and ending == "same":
                x = x + np.sqrt(w * dt) * z[i]
    return x


def reverse_diffusion(path: Any, grid: Array, D: Denoise, x: Array, z: Array) -> Array:
    """Song et al. 2021, eq. 46 with f_i = (a_{i+1}/a_i - 1) x and G_i^2 the variance of q(x_{i+1} | x_i)."""
    for i, now, then in pairs(path, grid):
        G2, f = forward_variance(now, then), (now.a / then.a - 1) * x
        x = x - f + G2 * now.score(D, x) + np.sqrt(G2) * z[i]
    return x


def exponential_integrator(path: Any, grid: Array, D: Denoise, x: Array, z: Array) -> Array:
    """dx = [f x - g^2 score] dt + g dW by variation of constants in t, with the score of the step's beginning."""
    for i, now, then in pairs(path, grid):
        weight = quad(
            lambda t, a=then.a: a / Node(path, t).a * Node(path, t).g2, then.t, now.t, epsabs=0, epsrel=1e-12
        )[0]
        fresh = then.a**2 * (now.kappa**2 - then.kappa**2)
        x = then.a / now.a * x + weight * now.score(D, x) + np.sqrt(fresh) * z[i]
    return x


# ---------------------------------------------------------------- one step, Runge-Kutta on the ODE

BUTCHER: dict[str, tuple[list[list[float]], list[float]]] = {
    "euler": ([[]], [1]),
    "heun": ([[], [1]], [1 / 2, 1 / 2]),
    "heun-3": ([[], [1 / 3], [0, 2 / 3]], [1 / 4, 0, 3 / 4]),
    "rk4-3/8": ([[], [1 / 3], [-1 / 3, 1], [1, -1, 1]], [1 / 8, 3 / 8, 3 / 8, 1 / 8]),
    "midpoint": ([[], [1 / 2]], [0, 1]),
    "ralston": ([[], [2 / 3]], [1 / 4, 3 / 4]),
    "kutta-3": ([[], [1 / 2], [-1, 2]], [1 / 6, 2 / 3, 1 / 6]),
    "ssprk-3": ([[], [1], [1 / 4, 1 / 4]], [1 / 6, 1 / 6, 2 / 3]),
    "rk4": ([[], [1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
}


def regular_end(clock: str, then: Node) -> bool:
    """Whether sigma' is finite where sigma = 0, so that sigma' eps goes to 0 there."""
    return clock == "time" and bool(np.isfinite(then.path.d_sigma(then.t)))


def runge_kutta(name: str) -> Sampler:
    """Return the sampler of a Butcher table."""
    rows, weights = BUTCHER[name]

    def sampler(path: Any, grid: Array, D: Denoise, x: Array, z: Array, clock: str | None = None) -> Array:
        from_noise = path.alpha(grid[0]) == 0
        for _, now, then in pairs(path, grid):
            if clock is None:
                flow = hasattr(D, "velocity")
                clock = "time" if flow or (from_noise and name != "euler") else "sigma"
            if (name == "euler" and clock == "sigma") or (then.s == 0 and not regular_end(clock, then)):
                x = ddim_step(now, then, D, x)
                continue
            # u is the clock, y the state the ODE is written in: x/alpha for the noise clocks, x for time
            if clock == "time":
                u, du, y = now.t, then.t - now.t, x
            elif clock == "log-snr":
                u, du, y = now.lam, then.lam - now.lam, x / now.a
            else:
                u, du, y = now.kappa, then.kappa - now.kappa, x / now.a
            slopes: list[Array] = []
            for row in rows:
                inner = y + du * sum((c * k for c, k in zip(row, slopes, strict=True)), np.zeros_like(y))
                place = u + sum(row) * du if abs(sum(row) - 1) > 1e-12 else u + du
                if clock == "time":
                    slopes.append(Node(path, place).velocity(D, inner))
                    continue
                node = now.at(place if clock == "log-snr" else -np.log(place))
                eps = node.eps(D, node.a * inner)
                # dy/dkappa = eps and dkappa/dlam = -kappa
                slopes.append(-node.kappa * eps if clock == "log-snr" else eps)
            y = y + du * sum((b * k for b, k in zip(weights, slopes, strict=True)), np.zeros_like(y))
            x = y if clock == "time" else then.a * y
        return x

    return sampler


def edm_churn(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    s_churn: float = 5.0,
    s_min: float = 0.0,
    s_max: float = np.inf,
    s_noise: float = 1.0,
    gamma: float | None = None,
) -> Array:
    """Karras et al. 2022, Algorithm 2, on y = x/alpha with t_i = sigma/alpha."""
    steps = len(grid) - 1
    rate = min(s_churn / steps, np.sqrt(2) - 1) if gamma is None else gamma
    for i, now, then in pairs(path, grid):
        y, t = x / now.a, now.kappa
        t_hat = t * (1 + rate) if s_min <= t <= s_max else t
        y_hat = y + np.sqrt(t_hat**2 - t**2) * s_noise * z[i]
        d = (y_hat - D(y_hat, 1.0, t_hat)) / t_hat
        y = y_hat + (then.kappa - t_hat) * d
        if then.s > 0:
            d_prime = (y - D(y, 1.0, then.kappa)) / then.kappa
            y = y_hat + (then.kappa - t_hat) * (d + d_prime) / 2
        x = then.a * y
    return x


def stochastic_heun(
    path: Any, grid: Array, D: Denoise, x: Array, z: Array, eta: float = 1.0, weight: str = "g2"
) -> Array:
    """Roberts 2012, improved Euler with S_k = 0, time running down; Euler-Maruyama where sigma ends at 0."""
    for i, now, then in pairs(path, grid):
        dt = now.t - then.t
        v, w = amount(now, eta, weight), amount(then, eta, weight)
        dW = np.sqrt(dt) * z[i] if eta else 0.0
        K1 = -noisy_drift(now, D, x, v) * dt + np.sqrt(v) * dW
        if then.s == 0 and not (regular_end("time", then) and w == 0):
            x = x + K1
            continue
        K2 = -noisy_drift(then, D, x + K1, w) * dt + np.sqrt(w) * dW
        x = x + (K1 + K2) / 2
    return x


def sit_sde_heun(
    path: Any, grid: Array, D: Denoise, x: Array, z: Array, eta: float = 1.0, weight: str = "g2"
) -> Array:
    """SiT's code: xhat = x + sqrt(w) dW, K1 at xhat, K2 at xhat + dt K1 with the time after the step."""
    for i, now, then in pairs(path, grid):
        dt = now.t - then.t
        w, w_then = amount(now, eta, weight), amount(then, eta, weight)
        xhat = x + (np.sqrt(w * dt) * z[i] if w else 0.0)
        K1 = -noisy_drift(now, D, xhat, w)
        x = xhat + dt * K1
        if then.s or (regular_end("time", then) and w_then == 0):
            x = xhat + dt / 2 * (K1 - noisy_drift(then, D, x, w_then))
    return x


# ---------------------------------------------------------------- one step, exponential


def dpm_solver_2(path: Any, grid: Array, D: Denoise, x: Array, z: Array, r1: float = 0.5) -> Array:
    """Lu et al. 2022, Algorithm 4 (any r1; Algorithm 1 is r1 = 1/2)."""
    for _, now, then in pairs(path, grid):
        if then.s == 0:
            x = ddim_step(now, then, D, x)
            continue
        h = then.lam - now.lam
        mid, eps = now.at(now.lam + r1 * h), now.eps(D, x)
        u = mid.a / now.a * x - mid.s * (np.exp(r1 * h) - 1) * eps
        change = mid.eps(D, u) - eps
        x = then.a / now.a * x - then.s * (np.exp(h) - 1) * eps - then.s / (2 * r1) * (np.exp(h) - 1) * change
    return x


def dpm_solver_3(
    path: Any, grid: Array, D: Denoise, x: Array, z: Array, r1: float = 1 / 3, r2: float = 2 / 3
) -> Array:
    """Lu et al. 2022, Algorithm 2 and its appendix for any r1, r2."""
    for _, now, then in pairs(path, grid):
        if then.s == 0:
            x = ddim_step(now, then, D, x)
            continue
        h = then.lam - now.lam
        one, two = now.at(now.lam + r1 * h), now.at(now.lam + r2 * h)
        eps = now.eps(D, x)
        u1 = one.a / now.a * x - one.s * (np.exp(r1 * h) - 1) * eps
        D1 = one.eps(D, u1) - eps
        u2 = two.a / now.a * x - two.s * (np.exp(r2 * h) - 1) * eps
        u2 = u2 - two.s * r2 / r1 * ((np.exp(r2 * h) - 1) / (r2 * h) - 1) * D1
        D2 = two.eps(D, u2) - eps
        x = then.a / now.a * x - then.s * (np.exp(h) - 1) * eps - then.s / r2 * ((np.exp(h) - 1) / h - 1) * D2
    return x


def dpm_solver_pp_2s(path: Any, grid: Array, D: Denoise, x: Array, z: Array, r1: float = 0.5) -> Array:
    """Lu et al. 2023 (DPM-Solver++), Algorithm 1."""
    for _, now, then in pairs(path, grid):
        if then.s == 0:
            x = ddim_step(now, then, D, x)
            continue
        h = then.lam - now.lam
        mid, x0 = now.at(now.lam + r1 * h), D(x, now.a, now.s)
        u = mid.s / now.s * x - mid.a * (np.exp(-r1 * h) - 1) * x0
        mixed = (1 - 1 / (2 * r1)) * x0 + 1 / (2 * r1) * D(u, mid.a, mid.s)
        x = then.s / now.s * x - then.a * (np.exp(-h) - 1) * mixed
    return x


def dpm_solver_pp_3s(
    path: Any, grid: Array, D: Denoise, x: Array, z: Array, r1: float = 1 / 3, r2: float = 2 / 3
) -> Array:
    """Lu et al. 2022, Algorithm 2 with x_0 in place of eps: sigma and alpha, h and -h change places."""
    for _, now, then in pairs(path, grid):
        if then.s == 0:
            x = ddim_step(now, then, D, x)
            continue
        h = then.lam - now.lam
        one, two = now.at(now.lam + r1 * h), now.at(now.lam + r2 * h)
        x0 = D(x, now.a, now.s)
        u1 = one.s / now.s * x - one.a * (np.exp(-r1 * h) - 1) * x0
        D1 = D(u1, one.a, one.s) - x0
        u2 = two.s / now.s * x - two.a * (np.exp(-r2 * h) - 1) * x0
        u2 = u2 + two.a * r2 / r1 * ((np.exp(-r2 * h) - 1) / (r2 * h) + 1) * D1
        D2 = D(u2, two.a, two.s) - x0
        x = (
            then.s / now.s * x
            - then.a * (np.exp(-h) - 1) * x0
            + then.a / r2 * ((np.exp(-h) - 1) / h + 1) * D2
        )
    return x


def dpm_solver_fast(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    order: int = 3,
    prediction: str = "noise",
    end: str = "as-published",
) -> Array:
    """The code's list of orders; each step as `dpm_solver_2` or `dpm_solver_3` from its first node to its last."""
    n = len(grid) - 1 - (path.sigma(grid[-1]) == 0)
    if order == 3 and end == "as-published":
        K = n // 3 + 1
        plan = {0: [3] * (K - 2) + [2, 1], 1: [3] * (K - 1) + [1], 2: [3] * (K - 1) + [2]}[n % 3]
    else:
        plan = [order] * (n // order) + ([n % order] if n % order else [])
    place = 0
    for k in plan:
        nodes = [Node(path, float(t)) for t in grid[place : place + k + 1]]
        r = [(node.lam - nodes[0].lam) / (nodes[-1].lam - nodes[0].lam) for node in nodes[1:-1]]
        ends = np.array([nodes[0].t, nodes[-1].t])
        if k < order and end == "full":
            r = [i / order for i in range(1, order)]
        if len(r) == 0:
            x = ddim_step(nodes[0], nodes[1], D, x)
        elif len(r) == 1:
            x = (dpm_solver_2 if prediction == "noise" else dpm_solver_pp_2s)(path, ends, D, x, z, r[0])
        else:
            x = (dpm_solver_3 if prediction == "noise" else dpm_solver_pp_3s)(path, ends, D, x, z, r[0], r[1])
        place += k
    return x if place == len(grid) - 1 else ddim_step(*(Node(path, float(t)) for t in grid[-2:]), D, x)


# ---------------------------------------------------------------- multistep

History = list[tuple[Node, Array, Array]]
Step = Callable[..., Array]
Correct = Callable[[Node, Array], Array]


def multistep(step: Step, noisy: bool = False) -> Sampler:
    """Return the sampler of step(now, then, history, z, **options).

    `history` has (node, x, D) of this and earlier nodes, latest first; `correct` is applied after each step.
    """

    def sampler(
        path: Any,
        grid: Array,
        D: Denoise,
        x: Array,
        z: Array,
        correct: Correct = lambda then, x: x,
        end: str = "full",
        **options: Any,
    ) -> Array:
        history: History = []
        steps = len(grid) - 1
        for i, now, then in pairs(path, grid):
            history = [(now, x, D(x, now.a, now.s)), *history]
            # no polynomial in log-SNR reaches sigma = 0: there only the last evaluation is used
            most = steps - i if end == "lower" or (end == "as-published" and steps < 15) else steps
            x = step(
                now, then, history[: most if then.s > 0 else 1], z[i] if noisy and len(z) else 0.0, **options
            )
            x = correct(then, x)
        return x

    return sampler


def dpm_solver_pp_2m_step(now: Node, then: Node, history: History, z: Any) -> Array:
    """Lu et al. 2023, Algorithm 2."""
    (_, x, mixed), *earlier = history
    decay = np.exp(now.lam - then.lam)
    if earlier:
        r = (now.lam - earlier[0][0].lam) / (then.lam - now.lam)
        mixed = (1 + 1 / (2 * r)) * mixed - 1 / (2 * r) * earlier[0][2]
    return then.s / now.s * x - then.a * (decay - 1) * mixed


def lagrange(nodes: Sequence[float], j: int, u: float) -> float:
    """Value at u of the polynomial that is 1 at node j and 0 at the others."""
    return float(np.prod([(u - nodes[k]) / (nodes[j] - nodes[k]) for k in range(len(nodes)) if k != j]))


def integral(f: Callable[[float], float], low: float, high: float) -> float:
    """Integral to all digits."""
    return float(quad(f, low, high, epsabs=0, epsrel=2e-13, limit=200)[0])


def dpm_solver_pp_3m_step(now: Node, then: Node, history: History, z: Any) -> Array:
    """Exact integral of the parabola in log-SNR through the last three data predictions.

    x(lam_t) = s_t/s_s x + s_t int e^lam x_0(lam) dlam (Lu et al. 2023, proposition 4.1). The second step,
    with two predictions, is Algorithm 2, which is not the exact integral of a line.
    """
    if len(history) < 3:
        return dpm_solver_pp_2m_step(now, then, history, z)
    nodes = [node.lam for node, _, _ in history[:3]]
    total = then.s / now.s * history[0][1]
    for j in range(3):

        def weight(lam: float, j: int = j) -> float:
            return float(np.exp(lam - then.lam)) * lagrange(nodes, j, lam)

        total = total + then.a * integral(weight, now.lam, then.lam) * history[j][2]
    return total


def dpm_solver_pp_3m_as_published_step(now: Node, then: Node, history: History, z: Any) -> Array:
    """DPM-Solver++'s code: x = s_t/s_s x - a_t phi_1 m_0 + a_t phi_2 D1 - a_t phi_3 D2."""
    if len(history) < 3:
        return dpm_solver_pp_2m_step(now, then, history, z)
    (_, x, m0), (one, _, m1), (two, _, m2) = history[:3]
    h, h0, h1 = then.lam - now.lam, now.lam - one.lam, one.lam - two.lam
    r0, r1 = h0 / h, h1 / h
    D10, D11 = (m0 - m1) / r0, (m1 - m2) / r1
    D1, D2 = D10 + r0 / (r0 + r1) * (D10 - D11), (D10 - D11) / (r0 + r1)
    phi_1 = np.exp(-h) - 1
    phi_2 = phi_1 / h + 1
    phi_3 = phi_2 / h - 1 / 2
    return then.s / now.s * x - then.a * phi_1 * m0 + then.a * phi_2 * D1 - then.a * phi_3 * D2


def sde_dpm_solver_pp_1_step(now: Node, then: Node, history: History, z: Any) -> Array:
    """Lu et al. 2023, SDE-DPM-Solver++1."""
    _, x, x0 = history[0]
    decay = np.exp(now.lam - then.lam)
    deterministic = then.s / now.s * decay * x + then.a * (1 - decay**2) * x0
    return deterministic + then.s * np.sqrt(1 - decay**2) * z


def sde_dpm_solver_pp_2m_step(
    now: Node, then: Node, history: History, z: Any, variant: str = "midpoint", eta: float = 1.0
) -> Array:
    """Lu et al. 2023, SDE-DPM-Solver++(2M); "heun" replaces 1/2 (1 - e^-2h) by the integral of the line.

    k-diffusion's sample_dpmpp_2m_sde for eta, whose eta h is eta^2 h here.
    """
    _, x, x0 = history[0]
    h = then.lam - now.lam
    lost = eta**2 * h if eta else 0.0
    first = then.s / now.s * np.exp(-lost) * x + then.a * (1 - np.exp(-h - lost)) * x0
    first = first + then.s * np.sqrt(1 - np.exp(-2 * lost)) * z
    if len(history) < 2:
        return first
    z2 = h + lost
    D1 = (history[0][2] - history[1][2]) / ((now.lam - history[1][0].lam) / h)
    factor = (1 - np.exp(-z2)) / 2 if variant == "midpoint" else (1 - np.exp(-z2)) / -z2 + 1
    return first + then.a * factor * D1


def deis_tab_step(degree: int) -> Step:
    """Zhang and Chen 2023, tAB-DEIS: Psi = a_s/a_t, weight g^2/(2 sigma) of eps, polynomials in time."""

    def step(now: Node, then: Node, history: History, z: Any) -> Array:
        used = history[: degree + 1]
        if then.s == 0:
            x, x0 = history[0][1:]
            return then.a * x0 + then.s * (x - now.a * x0) / now.s
        nodes = [node.t for node, _, _ in used]
        total = then.a / now.a * used[0][1]
        for j, (node, x, x0) in enumerate(used):

            def weight(t: float, j: int = j) -> float:
                place = Node(now.path, t)
                return then.a / place.a * place.g2 / (2 * place.s) * lagrange(nodes, j, t)

            total = total + integral(weight, now.t, then.t) * (x - node.a * x0) / node.s
        return total

    return step


def lambda_ddim_step(now: Node, then: Node, history: History, z: Any, lam: float = -0.15) -> Array:
    """Code of c-PiGDM: x_bar = a_t x, a_t = exp(lam t - int f); dx_bar = -lam x_bar dt + dPhi eps, in falling t."""
    _, x, x0 = history[0]

    def a(node: Node) -> float:
        return float(np.exp(lam * node.t)) / node.a

    def rate(root: float) -> float:  # in sqrt(t), in which g^2/(2 sigma) dt has no pole at the data
        node = Node(now.path, root**2)
        return a(node) * node.g2 / (2 * node.s) * 2 * root

    x_bar = a(now) * x
    x_bar = x_bar - lam * x_bar * (now.t - then.t)
    x_bar = x_bar + integral(rate, np.sqrt(now.t), np.sqrt(then.t)) * (x - now.a * x0) / now.s
    return x_bar / a(then)


# ---------------------------------------------------------------- predictor-corrector

MULTISTEP: dict[str, Step] = {
    "sde-dpm-solver++-1": sde_dpm_solver_pp_1_step,
    "dpm-solver++-2m": dpm_solver_pp_2m_step,
    "dpm-solver++-3m": dpm_solver_pp_3m_step,
    "dpm-solver++-3m-as-published": dpm_solver_pp_3m_as_published_step,
    "sde-dpm-solver++-2m": sde_dpm_solver_pp_2m_step,
    "deis-tab-1": deis_tab_step(1),
    "deis-tab-2": deis_tab_step(2),
    "deis-tab-3": deis_tab_step(3),
    "lambda-ddim": lambda_ddim_step,
}
NOISY = (
    "ddim-eta",
    "ddpm",
    "euler-maruyama",
    "reverse-diffusion",
    "edm-churn",
    "stochastic-heun",
    "sit-sde-heun",
    "sde-dpm-solver++-1",
    "sde-dpm-solver++-2m",
)


def predictor_corrector(
    path: Any,
    grid: Array,
    D: Denoise,
    x: Array,
    z: Array,
    predictor: str = "reverse-diffusion",
    correctors: int = 1,
    snr: float = 0.16,
) -> Array:
    """Song et al. 2021, Algorithms 4 and 5 with |z|^2 and |score|^2 at their means d and d/sigma^2.

    A multistep predictor keeps the evaluations its own steps made.
    """
    noise = iter(z)

    def correct(then: Node, x: Array) -> Array:
        for _ in range(correctors if then.s > 0 else 0):
            epsilon = 2 * (snr * then.s) ** 2
            x = x + epsilon * then.score(D, x) + np.sqrt(2 * epsilon) * next(noise)
        return x

    if predictor in MULTISTEP:
        step = MULTISTEP[predictor]

        def drawing(now: Node, then: Node, history: History, _: Any) -> Array:
            return step(now, then, history, next(noise) if predictor in NOISY else 0.0)

        return multistep(drawing)(path, grid, D, x, z, correct=correct)
    for i, _, then in pairs(path, grid):
        own = next(noise)[None] if predictor in NOISY else z[:0]
        x = correct(then, SAMPLERS[predictor](path, grid[i : i + 2], D, x, own))
    return x


SAMPLERS: dict[str, Sampler] = {
    "ddim-eta": ddim_eta,
    "ddpm": ddpm,
    "euler-maruyama": euler_maruyama,
    "reverse-diffusion": reverse_diffusion,
    "exponential-integrator": exponential_integrator,
    **{name: runge_kutta(name) for name in BUTCHER},
    "edm-churn": edm_churn,
    "stochastic-heun": stochastic_heun,
    "sit-sde-heun": sit_sde_heun,
    "dpm-solver-2": dpm_solver_2,
    "dpm-solver-3": dpm_solver_3,
    "dpm-solver++-2s": dpm_solver_pp_2s,
    "dpm-solver-fast": dpm_solver_fast,
    "dpm-solver++-3s": dpm_solver_pp_3s,
    **{name: multistep(step, name in NOISY) for name, step in MULTISTEP.items()},
    "predictor-corrector": predictor_corrector,
}
