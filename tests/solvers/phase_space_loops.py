"""Samplers in phase space a second time: plain loops in the papers' notation, and the backward equation on a grid.

Neither uses a denoiser, an observation or a factor of the path's: scores are those of the mixture in (x, v),
covariances are S - Psi (S - Sigma_0) Psi^T by SciPy's matrix exponential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.linalg import expm

Array = NDArray[np.float64]
Score = Callable[[Array, float], Array]


class Process:
    """dz = F z dt + G dW with G G^T = N and the stationary covariance S; z_0 = (x_0, v_0), Var v_0 = gamma M."""

    def __init__(self, path: Any) -> None:
        if type(path).__name__ == "CLD":
            b, Gamma, M = path.beta, path.friction, path.mass
            self.F = b * np.array([[0, 1 / M], [-1, -Gamma / M]])
            self.N = np.diag([0, 2 * Gamma * b])
        else:
            b, Gamma, nu = path.beta, path.friction, path.nu
            M = 4 / (nu - Gamma) ** 2
            self.F = b / 2 * np.array([[-Gamma, 1 / M], [-1, -nu]])
            self.N = b * np.diag([Gamma, M * nu])
        self.S = np.diag([1, M])
        self.Sigma_0 = np.diag([0, path.gamma * M])

    def a(self, t: float) -> Array:
        return np.asarray(expm(self.F * t)[:, 0])

    def Sigma(self, t: float) -> Array:
        Psi = expm(self.F * t)
        return np.asarray(self.S - Psi @ (self.S - self.Sigma_0) @ Psi.T)

    def back(self, h: float) -> tuple[Array, Array]:
        """Flow and covariance of the stationary process backwards: dz = -(F + N S^-1) z dt + G dW."""
        Psi = expm(-(self.F + self.N @ np.linalg.inv(self.S)) * h)
        return Psi, self.S - Psi @ self.S @ Psi.T

    def forgetting(self, h: float) -> tuple[Array, Array]:
        """Flow and covariance of x and v each forgetting by itself."""
        Psi = expm(np.diag(np.diag(self.F)) * h)
        return Psi, self.S @ (np.eye(2) - Psi @ Psi)

    def score(self, target: Any) -> Score:
        """Score of (x, v) under a mixture on the line: its components are Gaussian there too."""
        weights, means, variances = target.weights, target.means[:, 0], target.variances[:, 0]

        def score(z: Array, t: float) -> Array:
            a, Sigma = self.a(t), self.Sigma(t)
            logs, scores = [], []
            for w, m, s2 in zip(weights, means, variances, strict=True):
                C = s2 * np.outer(a, a) + Sigma
                pull = np.linalg.solve(C, (z - a * m).T).T
                logs.append(np.log(w) - np.sum((z - a * m) * pull, 1) / 2 - np.linalg.slogdet(C)[1] / 2)
                scores.append(-pull)
            r = np.exp(np.array(logs) - np.max(logs, axis=0))
            return np.asarray(np.einsum("kn,kni->ni", r / r.sum(0), np.array(scores)))

        return score


def begin(process: Process, t: float, x: Array, xi: Iterator[Array], how: str) -> Array:
    if how == "noise":
        return np.stack([x, np.sqrt(process.S[1, 1]) * next(xi)], axis=1)
    noise = np.stack([next(xi), next(xi)], axis=1)
    return x[:, None] * process.a(t) + noise @ np.linalg.cholesky(process.Sigma(t)).T


def euler_maruyama(p: Process, s: Score, z: Array, t: float, h: float, xi: Iterator[Array]) -> Array:
    """The reverse SDE by the Euler-Maruyama rule."""
    new = z - h * z @ p.F.T + h * s(z, t) @ p.N
    new[:, 1] += np.sqrt(h * p.N[1, 1]) * next(xi)
    if p.N[0, 0]:
        new[:, 0] += np.sqrt(h * p.N[0, 0]) * next(xi)
    return new


def linear_half(p: Process, z: Array, h: float, xi: Iterator[Array]) -> Array:
    Psi, C = p.back(h / 2)
    increment, area = next(xi), next(xi)
    v = np.sqrt(C[1, 1])
    x = C[0, 1] / v * increment + np.sqrt(C[0, 0] - C[0, 1] ** 2 / C[1, 1]) * area
    return z @ Psi.T + np.stack([x, v * increment], axis=1)


def pull(p: Process, s: Score, z: Array, t: float) -> Array:
    return (s(z, t) + z @ np.linalg.inv(p.S)) @ p.N


def kick(p: Process, s: Score, z: Array, t: float, h: float) -> Array:
    """The score's part by Euler's method."""
    return z + h * pull(p, s, z, t)


def midpoint_kick(p: Process, s: Score, z: Array, t: float, h: float) -> Array:
    """The score's part by the midpoint rule."""
    return z + h * pull(p, s, z + h / 2 * pull(p, s, z, t), t - h / 2)


def split(kick: Callable[..., Array]) -> Callable[..., Array]:
    """Dockhorn et al. 2022, eq. 10: the linear part, the score's part, the linear part."""

    def step(p: Process, s: Score, z: Array, t: float, h: float, xi: Iterator[Array]) -> Array:
        return linear_half(p, kick(p, s, linear_half(p, z, h, xi), t, h), h, xi)

    return step


def heun(p: Process, s: Score, z: Array, t: float, h: float, xi: Iterator[Array]) -> Array:
    """The probability flow by Heun's method."""

    def back(z: Array, t: float) -> Array:
        return -z @ p.F.T + s(z, t) @ p.N / 2

    first = back(z, t)
    return z + h / 2 * (first + back(z + h * first, t - h))


def gddim(p: Process, s: Score, z: Array, t: float, h: float, xi: Iterator[Array]) -> Array:
    """Zhang et al. 2023: Psi z + W eps with W the integral of Psi N R^-T / 2, where R' = F R + N R^-T / 2."""
    R = np.linalg.cholesky(p.Sigma(t))
    eps = -s(z, t) @ R

    def slope(t: float, RW: Array) -> Array:
        R, W = RW.reshape(2, 2, 2)
        pulled = p.N @ np.linalg.inv(R).T / 2
        return np.concatenate([(p.F @ R + pulled).ravel(), (p.F @ W + pulled).ravel()])

    start = np.concatenate([R.ravel(), np.zeros(4)])
    W = solve_ivp(slope, (t, t - h), start, "DOP853", rtol=1e-12, atol=1e-12).y[4:, -1].reshape(2, 2)
    return np.asarray(z @ expm(-p.F * h).T + eps @ W.T)


def lambda_ddim(
    p: Process,
    s: Score,
    z: Array,
    t: float,
    h: float,
    xi: Iterator[Array],
    lam: float = 0.5,
    matrix: str = "identity",
) -> Array:
    """Pandey et al. 2024: dz_hat = A B A^-1 z_hat dt + dPhi eps, Phi' = A N L^-T / 2, the first term and eps frozen."""
    B = lam * (np.ones((2, 2)) if matrix == "ones" else np.eye(2))

    def A(u: float) -> Array:  # times the inverse of what it is at the end of the step: there z_hat is z
        return np.asarray(expm((B - p.F) * (u - (t - h))))

    def pulled(u: float) -> Array:
        return np.asarray(A(u) @ p.N @ np.linalg.inv(np.linalg.cholesky(p.Sigma(u))).T / 2)

    eps = -s(z, t) @ np.linalg.cholesky(p.Sigma(t))
    z_hat = A(t) @ z.T
    nodes, weights = np.polynomial.legendre.leggauss(24)
    Phi = sum(h / 2 * w * pulled(t - h / 2 + h / 2 * node) for node, w in zip(nodes, weights, strict=True))
    return np.asarray((z_hat - h * A(t) @ B @ np.linalg.inv(A(t)) @ z_hat - Phi @ eps.T).T)


def ou(p: Process, z: Array, h: float, xi: Iterator[Array]) -> Array:
    """Part O: x and v by themselves, dz_i = F_ii z_i dt + sqrt(N_ii) dW forwards, which is its own reverse."""
    z = z.copy()
    for i in (1, 0):
        if p.N[i, i]:
            kept = np.exp(p.F[i, i] * h)
            z[:, i] = kept * z[:, i] + np.sqrt(p.N[i, i] * (kept**2 - 1) / (2 * p.F[i, i])) * next(xi)
    return z


def part(p: Process, s: Score, z: Array, i: int, noisy: bool, t: float) -> Array:
    """Rate of z_i: of the reverse drift, or that of the flow, its row i, without what O has."""
    rate = -z @ p.F[i] + (1.0 if noisy else 0.5) * p.N[i, i] * s(z, t)[:, i]
    return rate - p.F[i, i] * z[:, i] if noisy else rate


# letter, where in the step it asks, how much of the step it takes
LISTS: dict[str, list[tuple[str, float, float]]] = {
    "ABA": [("A", 0, 0.5), ("B", 0.5, 1), ("A", 0.5, 0.5)],
    "BAB": [("B", 0, 0.5), ("A", 0, 1), ("B", 1, 0.5)],
    "BA": [("B", 0, 1), ("A", 0, 1)],
    "OBABO": [("O", 0, 0.5), ("B", 0, 0.5), ("A", 0, 1), ("B", 1, 0.5), ("O", 0.5, 0.5)],
    "OABAO": [("O", 0, 0.5), ("A", 0, 0.5), ("B", 0.5, 1), ("A", 0.5, 0.5), ("O", 0.5, 0.5)],
    "BAOAB": [("B", 0, 0.5), ("A", 0, 0.5), ("O", 0, 1), ("A", 0.5, 0.5), ("B", 1, 0.5)],
    "OBA": [("O", 0, 1), ("B", 0, 1), ("A", 0, 1)],
    "BAO": [("B", 0, 1), ("A", 0, 1), ("O", 0, 1)],
    "OBAB": [("O", 0, 1), ("B", 0, 0.5), ("A", 0, 1), ("B", 1, 0.5)],
}


def splitting(default: str) -> Callable[..., Array]:
    """Position A, momentum B and noise O in turn, A and B by Euler's method or the midpoint rule."""

    def step(
        p: Process,
        s: Score,
        z: Array,
        t: float,
        h: float,
        xi: Iterator[Array],
        word: str = default,
        substeps: str = "midpoint",
    ) -> Array:
        for letter, start, share in LISTS[word]:
            if letter == "O":
                z = ou(p, z, share * h, xi)
            else:
                z = moved(p, s, z, t - start * h, share * h, letter, "O" in word, substeps)
        return z

    return step


def moved(
    p: Process, s: Score, z: Array, t: float, h: float, letter: str, noisy: bool, substeps: str
) -> Array:
    """Part A or B from time t on; time stands while B moves."""
    i = "AB".index(letter)
    by = np.eye(2)[i]
    rate = part(p, s, z, i, noisy, t)
    if substeps == "midpoint":
        rate = part(p, s, z + h / 2 * np.outer(rate, by), i, noisy, t - (h / 2 if letter == "A" else 0))
    return z + h * np.outer(rate, by)


def between_noises(p: Process, s: Score, z: Array, t: float, h: float) -> Array:
    """What OBABO does between its two O."""
    for letter, start, share in LISTS["OBABO"][1:-1]:
        z = moved(p, s, z, t - start * h, share * h, letter, True, "midpoint")
    return z


STEPS: dict[str, Callable[..., Array]] = {
    "cld-em": euler_maruyama,
    "sscs": split(kick),
    "sscs-midpoint": split(midpoint_kick),
    "phase-space-heun": heun,
    "gddim": gddim,
    "phase-space-lambda-ddim": lambda_ddim,
    "phase-space-verlet": splitting("ABA"),
    "phase-space-splitting": splitting("OBABO"),
}


def loop(
    name: str, path: Any, grid: Array, target: Any, x: Array, noise: Array, how: str = "data", **options: str
) -> Array:
    """Return (n, 2) samples of (x, v); x (n,) is what the sampler begins with, noise (channels, n)."""
    process, xi = Process(path), iter(noise)
    score = process.score(target)
    z = begin(process, grid[0], x, xi, how)
    for t, s in pairwise(grid):
        z = STEPS[name](process, score, z, t, t - s, xi, **options)
    return z


BETWEEN = {"sscs-midpoint": midpoint_kick, "phase-space-splitting": between_noises}


class Backward:
    """u_n(z) = E[f(x_N) | z_n = z] on the line and on equal steps, in polynomials on a box of (x, v).

    Averages over noise are Gauss-Hermite sums, matrices from values at the nodes to values at the nodes. f(x) is x, x^2
    and cos 2x.
    """

    def __init__(self, path: Any, target: Any, degree: int = 32, noises: int = 10) -> None:
        self.p = Process(path)
        self.score, self.target, self.degree = self.p.score(target), target, degree
        self.box = np.array([6.0, 7 * np.sqrt(self.p.S[1, 1])])
        nodes = np.cos(np.pi * (np.arange(degree) + 0.5) / degree)
        fit = np.linalg.inv(chebvander(nodes, degree - 1))
        self.fit = np.einsum("ai,bj->abij", fit, fit).reshape(degree**2, degree**2)
        self.nodes = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2) * self.box
        x, w = np.polynomial.hermite_e.hermegauss(noises)
        self.xi = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
        self.weight = np.outer(w, w).ravel() / (2 * np.pi)

    def basis(self, z: Array) -> tuple[Array, Array]:
        """Polynomials in x and in v at points (..., 2), those outside the box moved to its edge."""
        inside = np.clip(z / self.box, -1, 1)
        return chebvander(inside[..., 0], self.degree - 1), chebvander(inside[..., 1], self.degree - 1)

    def at(self, z: Array, u: Array) -> Array:
        """Values at points of functions given by their values at the nodes."""
        x, v = self.basis(z)
        along_x = x @ (self.fit @ u).reshape(self.degree, -1)
        return np.asarray(np.einsum("nb,nbf->nf", v, along_x.reshape(len(z), self.degree, -1)))

    def averages(self, z: Array, C: Array) -> Array:
        """Matrix from values at the nodes to averages over N(z, C)."""
        w, V = np.linalg.eigh(C)
        x, v = self.basis(z[:, None] + self.xi @ (V * np.sqrt(np.maximum(w, 0))).T)
        return np.asarray((np.swapaxes(x, 1, 2) * self.weight @ v).reshape(len(z), -1) @ self.fit)

    def expected(self, name: str, grid: Array) -> Array:
        """E f(x_N) of a sampler from the exact joint law at the grid's first time."""
        z, h = self.nodes, grid[0] - grid[1]
        u = np.stack([z[:, 0], z[:, 0] ** 2, np.cos(2 * z[:, 0])], axis=1)
        if name == "cld-em":
            average = self.averages(z, h * self.p.N)
        else:
            Psi, C = self.p.forgetting(h / 2) if name == "phase-space-splitting" else self.p.back(h / 2)
            average = self.averages(z @ Psi.T, C)
        pushed = BETWEEN.get(name, kick)
        for t in grid[-2::-1]:
            u = average @ u
            if name == "cld-em":
                u = self.at(z - h * z @ self.p.F.T + h * self.score(z, t) @ self.p.N, u)
            else:
                u = average @ self.at(pushed(self.p, self.score, z, t, h), u)
        a, Sigma = self.p.a(grid[0]), self.p.Sigma(grid[0])
        parts = zip(self.target.weights, self.target.means[:, 0], self.target.variances[:, 0], strict=True)
        return np.asarray(
            sum(w * (self.averages(a[None] * m, s2 * np.outer(a, a) + Sigma) @ u)[0] for w, m, s2 in parts)
        )

    def truth(self, t: float) -> Array:
        """The same of x_t."""
        a, sigma2 = self.p.a(t)[0], self.p.Sigma(t)[0, 0]
        m, s2 = a * self.target.means[:, 0], a**2 * self.target.variances[:, 0] + sigma2
        f = np.stack([m, m**2 + s2, np.cos(2 * m) * np.exp(-2 * s2)])
        return np.asarray(f @ self.target.weights)
