"""Laws in the plane without samples: the Fokker-Planck equation by spectral method, W2 by Sinkhorn divergence
on its grid.

For any score of the Ornstein-Uhlenbeck path, exact or learned, and any amount of noise eta, dx = [f x - (1 +
eta^2)/2 score]
dt + eta dW backward in time: eta = 0 is the probability-flow ODE, eta = 1 the reverse SDE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import RectBivariateSpline

from analytic.distances import Integral
from analytic.reprs import brief

from .networks import START, STOP

Array = NDArray[np.float64]
Score = Callable[[Any, float], Any]
HALF = 6.5  # half width of the periodic square: learned flows carry a thousandth of the mass beyond 4, and some to 6
SIZE = 96
SMOOTH = 0.3  # time above which every density is wide and half the nodes a side do
INHABITED = 5.5  # radius beyond which there is no mass to speak of, and drifts faster than within it are cut
STABLE = 2.4  # of 2.8, where the classical Runge-Kutta method ends
UNDERSHOOT = 1e-3  # of the highest density: what Fourier collocation may dip below zero
LARGEST = 600.0  # exponent that exp can take; potentials beyond it are those of nodes without mass
BLURS = (0.06, 0.03)
SWEEPS = 20_000
PLAIN_SWEEPS = 50
RELAXATIONS = (1.6, 1.3, 1.0)  # each tried where the one before overshoots
PATIENCE = 4000  # sweeps before the next is tried
RELATIVE = 0.01  # of squared W2, for what two blurs do not show: see `squared_w2`
CONVERGED = 1e-5  # of potentials; the value, stationary in them, is then good to 1e-7


@dataclass(frozen=True)
class Masses:
    """A law as probabilities at the nodes of a square: of a density, or of samples shared out to the nodes
    around them.

    Attributes
    ----------
    mass : (size, size) array
        At (x1, x2), x1 along the first axis; sums to one.
    """

    mass: Array

    __repr__ = brief

    @property
    def axis(self) -> Array:
        """Coordinates (size,) of the nodes on either axis."""
        return _axis(len(self.mass))

    @property
    def points(self) -> Array:
        """Nodes, (size^2, 2)."""
        return _points(len(self.mass))

    @property
    def density(self) -> Array:
        """Probability per unit of area."""
        return self.mass / (2 * HALF / len(self.mass)) ** 2

    def mean(self, values: Any) -> float:
        """Mean of a function given at `points`."""
        return float(self.mass.ravel() @ np.asarray(values))

    def tv(self, other: Masses) -> float:
        """Total variation distance; of little meaning where one law is samples shared out."""
        return float(np.abs(self.mass - other.mass).sum() / 2)

    def log_density(self, x: Array) -> Array:
        """Log-density (n,) at points (n, 2) between the nodes, by cubic splines; no lower than that of the floor."""
        floor = np.log(max(self.density[self.density > 0].min(), 1e-12))
        logs = np.where(self.density > 0, np.log(np.maximum(self.density, 1e-300)), floor)
        spline = RectBivariateSpline(self.axis, self.axis, np.maximum(logs, floor))
        return np.asarray(np.maximum(spline(x[:, 0], x[:, 1], grid=False), floor), dtype=np.float64)


def _axis(size: int) -> Array:
    return np.asarray(-HALF + 2 * HALF / size * np.arange(size), dtype=np.float64)


def _points(size: int) -> Array:
    axis = _axis(size)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def of(target: Any, size: int = SIZE) -> Masses:
    """Return a two-dimensional target on the nodes."""
    values = np.exp(target.log_density(_points(size))).reshape(size, size)
    return Masses(values / values.sum())


def shared_out(x: Array, size: int = SIZE) -> Masses:
    """Return samples (n, 2) on the nodes, each shared out to the four around it in proportion to nearness.

    It keeps the mean and adds up to spacing^2/4 to the variance, 1/6 on average. ValueError if one is outside
    the square.
    """
    if not np.all(np.abs(x) < HALF - 2 * HALF / size):
        raise ValueError(
            f"x has samples beyond {HALF - 2 * HALF / size:.2f}, where the square ends: leave them out"
        )
    place = (np.asarray(x, np.float64) + HALF) / (2 * HALF / size)
    corner = np.floor(place).astype(np.int64)
    part = place - corner
    mass = np.zeros((size, size))
    for i in (0, 1):
        for j in (0, 1):
            weights = np.abs(1 - i - part[:, 0]) * np.abs(1 - j - part[:, 1])
            np.add.at(mass, (corner[:, 0] + i, corner[:, 1] + j), weights / len(x))
    return Masses(mass)


def end_densities(
    score: Score,
    etas: Sequence[float] = (0.0, 1.0),
    size: int = SIZE,
    start: float = START,
    stop: float = STOP,
) -> list[Masses]:
    """Carry N(0, I/2) from `start` to `stop` under a score, for several amounts of noise at once.

    Fourier collocation in space; the fourth-order Runge-Kutta method in time with diffusion as an
    integrating factor, its step from the fastest drift.

    Parameters
    ----------
    score : callable
        (x (n, 2), t) -> (n, 2).
    etas : sequence of float
    size : int
        Nodes a side, even, at least 16.
    start, stop : float

    Returns
    -------
    list of Masses

    Raises
    ------
    ValueError
        A size that cannot be.
    FloatingPointError
        The densities blew up: mass was lost or grew.
    """
    if size < 16 or size % 4:
        raise ValueError(f"size is {size}: give a multiple of 4, at least 16")
    n = size // 2 if start > SMOOTH else size
    first = fft.fft2(np.exp(-(_points(n) ** 2).sum(1)).reshape(n, n) / np.pi)
    states = [first for _ in etas]
    t, now = start, None
    while t > stop:
        if n < size and t <= SMOOTH:
            states = [_refined(state, size) for state in states]
            n, now = size, None
        field = _Field(score, n)
        if now is None:
            now = field(t)
        end = stop if t <= SMOOTH else max(stop, SMOOTH)
        fastest = max(np.max(np.abs(field.drift(now, eta)).sum(0)) for eta in etas)
        steps = np.ceil((t - end) * np.max(field.k) * fastest / STABLE)
        h = (t - end) / max(steps, 1.0)
        later = end if steps <= 1 else t - h
        scores = now, field(t - h / 2), field(later)
        states = [_step(state, field, scores, eta, h) for state, eta in zip(states, etas, strict=True)]
        t, now = later, scores[2]
    out = []
    for eta, state in zip(etas, states, strict=True):
        values = np.real(fft.ifft2(state))
        total, lowest = values.sum() * (2 * HALF / n) ** 2, values.min() / values.max()
        if not (abs(total - 1) < 1e-6 and lowest > -UNDERSHOOT):
            raise FloatingPointError(
                f"the law at eta = {eta} has mass {total:.6f} and lowest density {lowest:.1e} of the highest: "
                f"size is {size}, take more, or the score drives mass out of the square"
            )
        values = np.where(
            values > 2 * abs(values.min()), values, 0.0
        )  # ripples of the size of the undershoots
        out.append(Masses(values / values.sum()))
    return out


class _Field:
    """A score on the nodes, taken within the square's inner circle and zero outside."""

    def __init__(self, score: Score, size: int) -> None:
        self.score, self.x = score, _points(size)
        radius = np.sqrt((self.x**2).sum(1))
        self.inside, self.inhabited = radius <= HALF, radius <= INHABITED
        self.k = 2 * np.pi * fft.fftfreq(size, 2 * HALF / size)
        self.k[size // 2] = 0.0  # the highest wave has no derivative on the nodes

    def __call__(self, t: float) -> Array:
        out = np.zeros_like(self.x)
        out[self.inside] = self.score(self.x[self.inside], t)
        return out

    def drift(self, score: Array, eta: float) -> Array:
        """Velocity (2, size, size) in decreasing time."""
        B = np.where(self.inside[:, None], self.x + (1 + eta**2) / 2 * score, 0.0)
        speed = np.sqrt((B**2).sum(1))
        B *= np.minimum(1.0, speed[self.inhabited].max() / np.maximum(speed, 1e-300))[:, None]
        return B.T.reshape(2, len(self.k), len(self.k))


def _step(q: Array, field: _Field, scores: tuple[Array, Array, Array], eta: float, h: float) -> Array:
    B, k = [field.drift(s, eta) for s in scores], field.k
    E = np.exp(-(eta**2) / 2 * (k[:, None] ** 2 + k[None, :] ** 2) * h / 2)

    def flux(q: Array, B: Array) -> Array:
        values = np.real(fft.ifft2(q))
        return -1j * (k[:, None] * fft.fft2(B[0] * values) + k[None, :] * fft.fft2(B[1] * values))

    k1 = flux(q, B[0])
    k2 = flux(E * (q + h / 2 * k1), B[1])
    k3 = flux(E * q + h / 2 * k2, B[1])
    k4 = flux(E * (E * q + h * k3), B[2])
    return E * (E * (q + h / 6 * k1) + h / 3 * (k2 + k3)) + h / 6 * k4


def _refined(q: Array, size: int) -> Array:
    """Fourier coefficients on more nodes: the new waves are absent."""
    n = len(q)
    wide = np.zeros((size, size), dtype=complex)
    cut = (size - n) // 2
    wide[cut : cut + n, cut : cut + n] = fft.fftshift(q)
    return fft.ifftshift(wide) * (size / n) ** 2


def squared_w2(p: Masses, q: Masses, blurs: tuple[float, float] = BLURS) -> Integral:
    """Squared 2-Wasserstein distance of two densities on one grid.

    The Sinkhorn divergence S_eps = OT_eps(p, q) - (OT_eps(p, p) + OT_eps(q, q))/2 differs from W2^2 by a multiple of
    eps^2 for smooth maps, so two values of eps give the limit. The kernel is a product over the axes, and its
    blur spans
    the spacing of the nodes, so that there is no error of quadrature, and no lattice across which mass must
    hop. The error is
    twice the difference of the two values and a hundredth of the limit: where mass moves through a valley
    between modes the
    order eps^2 is not yet reached, and against quantile functions on the line this falls short by half a hundredth.

    Parameters
    ----------
    p, q : Masses
        Of one size.
    blurs : (float, float)
        Values of eps, the second half the first and above (spacing of the nodes)^2.

    Raises
    ------
    ValueError
        Two sizes, or a blur too small for the grid.
    RuntimeError
        The iteration did not converge.

    References
    ----------
    Feydy et al. 2019, eq. 3; Chizat et al. 2020 (faster Wasserstein distance estimation), section 3 for the
    extrapolation.
    """
    if len(p.mass) != len(q.mass):
        raise ValueError(f"p has {len(p.mass)} nodes a side, q {len(q.mass)}: give one grid")
    spacing = 2 * HALF / len(p.mass)
    if not (blurs[1] >= spacing**2 and blurs[0] == 2 * blurs[1]):
        raise ValueError(f"blurs is {blurs}: give (2 eps, eps), eps at least {spacing**2:.4f}")
    coarse, fine = (sinkhorn_divergence(p, q, blur) for blur in blurs)
    value = fine + (fine - coarse) / 3
    return Integral(value, 2 * abs(fine - coarse) + RELATIVE * abs(value) + 1e-6)


def sinkhorn_divergence(p: Masses, q: Masses, blur: float = BLURS[0]) -> float:
    """Sinkhorn divergence at one blur: near squared W2, at a fraction of its cost."""
    a, b, axis = p.mass, q.mass, p.axis
    return _transport(a, b, axis, blur) - (_transport(a, a, axis, blur) + _transport(b, b, axis, blur)) / 2


def _transport(p: Array, q: Array, axis: Array, blur: float) -> float:
    """Value of the entropic transport problem, from its dual."""
    K = np.exp(-((axis[:, None] - axis) ** 2) / blur)

    def opposite(mass: Array, potential: Array) -> Array:
        with np.errstate(divide="ignore"):  # far from all mass the kernel is zero
            out = -np.log(K @ (mass * np.exp(np.clip(potential, -LARGEST, LARGEST))) @ K)
        return np.minimum(out, LARGEST)

    for relaxation in RELAXATIONS:
        u, v = np.zeros_like(p), np.zeros_like(q)  # potentials over blur
        for sweep in range(PATIENCE if relaxation > 1 else SWEEPS):
            relax = relaxation if sweep > PLAIN_SWEEPS else 1.0
            fresh = opposite(q, v)
            change = float(np.sum(p * np.abs(fresh - u)))
            if p is q:
                u = v = (u + fresh) / 2
            else:
                u = u + relax * (fresh - u)
                v = v + relax * (opposite(p, u) - v)
            if change < CONVERGED:
                u = opposite(q, v)
                return blur * float(np.sum(p * u) + np.sum(q * v))
            if not np.isfinite(change):
                break
    raise RuntimeError(f"transport did not converge in {SWEEPS} sweeps: take a larger blur than {blur}")
