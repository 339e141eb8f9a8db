"""Kinetic methods on a mixture, exactly: the density of (x, v) pushed through every step by its Fourier series.

A part of a step takes (x, v) to (x + p(x) + b v, c(x) + d v) and adds a Gaussian, so that the new characteristic
function is a sum over the old grid. All is smooth and decays, so that sums over grids are exact but for tails: no
samples, and no executor's code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import GaussianMixture, paths
from solvers import GaussianLaw, catalogue, law
from tests.solvers.reference_langevin import noise_weights

Array = NDArray[np.float64]
FRICTION, TIME = 2.0, 1.2
MIXTURE = GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.5, 0.35])
GAUSSIAN = GaussianMixture([1.0], [[0.3]], 0.6)


def grid(half: float, size: int) -> tuple[Array, Array]:
    """Points of a periodic interval and the frequencies of its Fourier series."""
    points = -half + 2 * half / size * np.arange(size)
    return points, 2 * np.pi * np.fft.fftfreq(size, 2 * half / size)


X, K = grid(6.5, 72)
V, Q = grid(7.5, 48)
# from values to a function of frequencies and back
TO_K, TO_Q = np.exp(-1j * np.outer(K, X)), np.exp(-1j * np.outer(Q, V))


@dataclass
class Part:
    """(x, v) to (x + p(x) + b v, c(x) + d v) plus N(0, covariance); p and c None for 0."""

    p: Array | None
    b: float
    c: Array | None
    d: float
    covariance: Array

    def __post_init__(self) -> None:
        xx, xv, vv = self.covariance[0, 0], self.covariance[0, 1], self.covariance[1, 1]
        k, q = K[:, None], Q[None]
        self.noise = np.exp(-(xx * k**2 + 2 * xv * k * q + vv * q**2) / 2)
        self.flow = np.exp(-1j * V[:, None, None] * (self.b * k + self.d * q))

    def __call__(self, density: Array) -> Array:
        """Push a density through."""
        if self.c is None:
            hat = np.einsum("kv,vkq->kq", TO_K @ density, self.flow)
        elif self.b == 0 and self.p is None:  # x stays
            hat = TO_K @ ((density @ self.flow[:, 0]) * np.exp(-1j * np.outer(self.c, Q)))
        else:
            along_k = TO_K * np.exp(-1j * np.outer(K, 0 * X if self.p is None else self.p))
            along_q = np.exp(-1j * np.outer(self.c, Q))
            hat = np.zeros((len(K), len(Q)), dtype=np.complex128)
            for j in range(len(V)):
                hat += (along_k * density[:, j]) @ along_q * self.flow[j]
        values = TO_K.conj().T @ (hat * self.noise) @ TO_Q.conj() / (len(X) * len(V))
        return np.asarray(values.real)


NONE = np.zeros((2, 2))


def free(h: float, force: Array | None = None) -> Part:
    """U, by the kernels of its noise; with a force that stays as it is."""
    in_x, in_v = noise_weights(FRICTION, h)
    rows = np.stack([in_x, in_v])
    e = np.exp(-FRICTION * h)
    moved = (1 - e) / FRICTION
    covariance = rows @ rows.T
    if force is None:
        return Part(None, moved, None, e, covariance)
    return Part((h - moved) / FRICTION * force, moved, moved * force, e, covariance)


def drift(h: float) -> Part:
    return Part(None, h, None, 1.0, NONE)


def kick(h: float, score: Array) -> Part:
    return Part(None, 0.0, h * score, 1.0, NONE)


def rub(h: float) -> Part:
    e = np.exp(-FRICTION * h)
    return Part(None, 0.0, None, e, np.diag([0.0, 1 - e**2]))


def mean_of_noises(h: float, score: Array) -> Part:
    """Leimkuhler and Matthews' step, the last noise in the place of the velocity."""
    r = np.sqrt(h / 2)
    return Part(h * score, r, 0 * X, 0.0, np.array([[r**2, r], [r, 1.0]]))


PARTS: dict[str, Callable[[float, Array], Sequence[Part]]] = {
    "kinetic-euler": lambda h, s: [Part(None, h, h * s, 1 - FRICTION * h, np.diag([0.0, 2 * FRICTION * h]))],
    "exponential-langevin": lambda h, s: [free(h, s)],
    "leimkuhler-matthews": lambda h, s: [mean_of_noises(h, s)],
    "obabo": lambda h, s: [rub(h / 2), kick(h / 2, s), drift(h), kick(h / 2, s), rub(h / 2)],
    "baoab": lambda h, s: [kick(h / 2, s), drift(h / 2), rub(h), drift(h / 2), kick(h / 2, s)],
    "ubu": lambda h, s: [free(h / 2), kick(h, s), free(h / 2)],
}


def marginal(name: str, target: GaussianMixture, steps: int, time: float = TIME) -> Array:
    """Density of x on the grid after so many steps from the stationary law."""
    density = np.outer(np.exp(target.log_density(X[:, None])), np.exp(-(V**2) / 2) / np.sqrt(2 * np.pi))
    # beyond the target's own tails the score would wrap the velocity around; nothing is there
    score = np.clip(target.score(X[:, None])[:, 0], -20, 20)
    parts = PARTS[name](time / steps, score)
    for _ in range(steps):
        for part in parts:
            density = part(density)
    return np.asarray(density.sum(axis=1) * (V[1] - V[0]))


@pytest.mark.parametrize("name", sorted(PARTS))
def test_on_a_gaussian_the_pushed_density_has_the_exact_law(name: str) -> None:
    steps = 5
    found = marginal(name, GAUSSIAN, steps)
    tableau = catalogue[name].tableau(paths.Langevin(TIME), np.linspace(TIME, 0, steps + 1))
    exact = law(tableau, GAUSSIAN)
    assert isinstance(exact, GaussianLaw)
    dx = X[1] - X[0]
    mean = float((X * found).sum() * dx)
    # but for what is beyond the grid
    assert mean == pytest.approx(float(exact.mean[0]), abs=2e-6)
    assert float(((X - mean) ** 2 * found).sum() * dx) == pytest.approx(float(exact.variances[0]), abs=2e-6)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        pytest.param("kinetic-euler", 1, marks=pytest.mark.slow),
        pytest.param("exponential-langevin", 1, marks=pytest.mark.slow),
        ("obabo", 2),
        ("baoab", 2),
        ("ubu", 2),
    ],
)
def test_on_a_mixture_the_law_has_the_order_claimed(name: str, order: int) -> None:
    (claim,) = catalogue[name].claims
    assert (claim.order, claim.sense) == (order, "weak")
    truth = np.exp(MIXTURE.log_density(X[:, None]))
    rungs = (4, 8, 16)
    tv = [float(np.abs(marginal(name, MIXTURE, n) - truth).sum() * (X[1] - X[0]) / 2) for n in rungs]
    first, second = (float(np.log2(tv[i] / tv[i + 1])) for i in (0, 1))
    # slopes approach the order as 1/steps: their limit by Richardson
    assert 2 * second - first == pytest.approx(order, abs=0.1), (first, second)


@pytest.mark.slow
def test_the_limit_of_baoab_is_of_first_order_for_a_time_and_of_second_in_the_end() -> None:
    truth = np.exp(MIXTURE.log_density(X[:, None]))

    def order(time: float, steps: int) -> float:
        found = [marginal("leimkuhler-matthews", MIXTURE, n, time) for n in (steps, 2 * steps)]
        tv = [float(np.abs(f - truth).sum()) for f in found]
        return float(np.log2(tv[0] / tv[1]))

    assert order(0.3, 4) == pytest.approx(1, abs=0.1)
    # 2 as steps shrink, of which longer ones fall short: no part of first order is left
    assert order(6.0, 48) > 1.8
