"""Second derivations of methods of Langevin dynamics: plain loops, in the notation of their papers, no tableau.

Each is (grid, score, x, z, **options) -> x: z holds the deviates in the order in which the method draws them, of which
kinetic methods take the first for the velocity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]
Score = Callable[[Array], Array]


def steps(grid: Array) -> Iterator[float]:
    """Sizes of the steps, time running down."""
    yield from (-np.diff(grid)).tolist()


def ula(grid: Array, score: Score, x: Array, z: Array) -> Array:
    """Durmus and Moulines 2017, eq. 2, with gamma = h."""
    for h, xi in zip(steps(grid), z, strict=True):
        x = x + h * score(x) + np.sqrt(2 * h) * xi
    return x


def leimkuhler_matthews(grid: Array, score: Score, x: Array, z: Array) -> Array:
    """Leimkuhler and Matthews 2013: the mean of R_n and R_n+1 in the place of the noise."""
    for n, h in enumerate(steps(grid)):
        x = x + h * score(x) + np.sqrt(2 * h) * (z[n] + z[n + 1]) / 2
    return x


def kinetic_euler(grid: Array, score: Score, x: Array, z: Array, friction: float = 2.0) -> Array:
    """Euler-Maruyama on (q, p)."""
    q, (p, *noise) = x, z
    for h, xi in zip(steps(grid), [*noise, 0 * x], strict=True):
        q, p = q + h * p, p + h * (score(q) - friction * p) + np.sqrt(2 * friction * h) * xi
    return q


def obabo(grid: Array, score: Score, x: Array, z: Array, friction: float = 2.0) -> Array:
    """Bussi and Parrinello 2007, with c1 = e^{-gamma h/2} and c2 = sqrt(1 - c1^2); both forces of a step asked for."""
    q, (p, *noise) = x, z
    noise = iter([*noise, 0 * x])
    for h in steps(grid):
        c1 = np.exp(-friction * h / 2)
        c2 = np.sqrt(1 - c1**2)
        p = c1 * p + c2 * next(noise)
        p = p + h / 2 * score(q)
        q = q + h * p
        p = p + h / 2 * score(q)
        p = c1 * p + c2 * next(noise)
    return q


def baoab(grid: Array, score: Score, x: Array, z: Array, friction: float = 2.0) -> Array:
    """Leimkuhler and Matthews 2013, both forces of a step asked for."""
    q, (p, *noise) = x, z
    for h, xi in zip(steps(grid), noise, strict=True):
        p = p + h / 2 * score(q)
        q = q + h / 2 * p
        p = np.exp(-friction * h) * p + np.sqrt(1 - np.exp(-2 * friction * h)) * xi
        q = q + h / 2 * p
        p = p + h / 2 * score(q)
    return q


NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def integral(f: Callable[[Array], Array], h: float) -> float:
    """Integrate over (0, h)."""
    return float(np.sum(f(h * (1 + NODES) / 2) * WEIGHTS) * h / 2)


def noise_weights(friction: float, h: float) -> tuple[Array, Array]:
    """Weights on W and on what is beside it of the noises of x and v over h, by quadrature of their kernels.

    They are sqrt(2 friction) times int e^{-friction (h - s)} dW in v, int (1 - e^{-friction (h - s)})/friction dW in x.
    """

    def in_v(s: Array) -> Array:
        return np.asarray(np.sqrt(2 * friction) * np.exp(-friction * (h - s)))

    def in_x(s: Array) -> Array:
        return np.asarray(-np.sqrt(2 / friction) * np.expm1(-friction * (h - s)))

    rise = integral(in_v, h) / h
    size = np.sqrt(integral(lambda s: (in_v(s) - rise) ** 2, h))

    def both(f: Callable[[Array], Array]) -> Array:
        return np.array([integral(f, h) / np.sqrt(h), integral(lambda s: f(s) * (in_v(s) - rise), h) / size])

    return both(in_x), both(in_v)


def _free(q: Array, p: Array, h: float, friction: float, xi: Iterator[Array]) -> tuple[Array, Array]:
    """U: the flow of dq = p dt, dp = -friction p dt + sqrt(2 friction) dW."""
    W, B = next(xi), next(xi)
    in_x, in_v = noise_weights(friction, h)
    eta = np.exp(-friction * h)
    q = q + (1 - eta) / friction * p + in_x[0] * W + in_x[1] * B
    return q, eta * p + in_v[0] * W + in_v[1] * B


def ubu(grid: Array, score: Score, x: Array, z: Array, friction: float = 2.0) -> Array:
    """Sanz-Serna and Zygalakis 2021, UBU with c = 1."""
    q, (p, *noise) = x, z
    xi = iter(noise)
    for h in steps(grid):
        q, p = _free(q, p, h / 2, friction, xi)
        p = p + h * score(q)
        q, p = _free(q, p, h / 2, friction, xi)
    return q


def exponential_langevin(grid: Array, score: Score, x: Array, z: Array, friction: float = 2.0) -> Array:
    """Cheng et al. 2018, means and covariances of their lemma on one step, with u = 1; the force by quadrature."""
    q, (p, *noise) = x, z
    xi = iter(noise)
    for h in steps(grid):
        force = score(q)
        moved = integral(lambda u: -np.expm1(-friction * u) / friction, h)
        pushed = integral(lambda u: np.exp(-friction * u), h)
        q, p = _free(q, p, h, friction, xi)
        q, p = q + moved * force, p + pushed * force
    return q


SAMPLERS: dict[str, Any] = {
    "ula": ula,
    "leimkuhler-matthews": leimkuhler_matthews,
    "kinetic-euler": kinetic_euler,
    "obabo": obabo,
    "baoab": baoab,
    "ubu": ubu,
    "exponential-langevin": exponential_langevin,
}


# ---------------------------------------------------------------- loops, sample by sample on the same random numbers


def randomized_midpoint(grid: Array, target: Any, x: Array, seed: int, friction: float = 2.0) -> Array:
    """Shen and Lee 2019, Algorithm 1 with u = 1: both updates written out from the step's start."""
    rng = np.random.default_rng(seed)
    p = rng.standard_normal(x.shape)
    q = x.copy()
    for h in steps(grid):
        alpha = rng.random(len(x))
        z = np.concatenate([rng.standard_normal((2, *x.shape)), rng.standard_normal((2, *x.shape))])
        for i, a in enumerate(alpha.tolist()):
            s, e = a * h, (1 - a) * h
            (x1, v1), (x2, v2) = noise_weights(friction, s), noise_weights(friction, e)
            W1, V1 = x1 @ z[:2, i], v1 @ z[:2, i]  # noises of x and v over the first part
            drift = integral(lambda u: -np.expm1(-friction * u) / friction, s)
            score = target.score(q[i : i + 1])[0]
            middle = q[i] + (1 - np.exp(-friction * s)) / friction * p[i] + drift * score + W1
            force = target.score(middle[None])[0]
            late = np.exp(-friction * e)
            W2 = W1 + (1 - late) / friction * V1 + x2 @ z[2:, i]
            V2 = late * V1 + v2 @ z[2:, i]
            q[i] += (1 - np.exp(-friction * h)) / friction * p[i] + h * (1 - late) / friction * force + W2
            p[i] = np.exp(-friction * h) * p[i] + h * late * force + V2
    return q


def randomized_midpoint_overdamped(grid: Array, target: Any, x: Array, seed: int) -> Array:
    """He, Balasubramanian and Erdogdu 2020: W(alpha h), and W(h) from it."""
    rng = np.random.default_rng(seed)
    for h in steps(grid):
        alpha = rng.random(len(x))[:, None]
        z = rng.standard_normal((2, *x.shape))
        first = np.sqrt(alpha * h) * z[0]
        whole = first + np.sqrt((1 - alpha) * h) * z[1]
        x = x + h * target.score(x + alpha * h * target.score(x) + np.sqrt(2) * first) + np.sqrt(2) * whole
    return x


def mala(grid: Array, target: Any, x: Array, seed: int) -> Array:
    """Roberts and Tweedie 1996, section 1.4.2: the ratio of pi(y) q(y, x) to pi(x) q(x, y), by SciPy's densities."""
    rng = np.random.default_rng(seed)
    x = x.copy()
    for h in steps(grid):
        z, u = rng.standard_normal(x.shape), rng.random(len(x))

        def q(a: Array, b: Array, h: float = h) -> float:
            return float(norm.logpdf(b, a + h * target.score(a[None])[0], np.sqrt(2 * h)).sum())

        for i in range(len(x)):
            y = x[i] + h * target.score(x[i : i + 1])[0] + np.sqrt(2 * h) * z[i]
            ratio = float(target.log_density(y[None])[0] - target.log_density(x[i : i + 1])[0])
            if u[i] < np.exp(min(0.0, ratio + q(y, x[i]) - q(x[i], y))):
                x[i] = y
    return x


def hmc(grid: Array, target: Any, x: Array, seed: int, leapfrogs: int = 8) -> Array:
    """Neal 2011, figure 2: half a step of momentum at both ends, whole ones between."""
    rng = np.random.default_rng(seed)
    current = x.copy()
    for T in steps(grid):
        eps = T / leapfrogs
        momenta, u = rng.standard_normal(x.shape), rng.random(len(x))
        for i in range(len(x)):
            q, p = current[i].copy(), momenta[i].copy()
            p = p + eps * target.score(q[None])[0] / 2
            for step in range(leapfrogs):
                q = q + eps * p
                p = p + (eps / 2 if step == leapfrogs - 1 else eps) * target.score(q[None])[0]
            gained = float(target.log_density(q[None])[0] - target.log_density(current[i : i + 1])[0])
            if u[i] < np.exp(gained + (momenta[i] @ momenta[i] - p @ p) / 2):
                current[i] = q
    return current


LOOPS: dict[str, Any] = {
    "randomized-midpoint": randomized_midpoint,
    "randomized-midpoint-overdamped": randomized_midpoint_overdamped,
    "mala": mala,
    "hmc": hmc,
}
