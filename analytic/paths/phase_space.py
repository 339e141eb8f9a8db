"""Phase space: data x with a velocity v, noised together by a linear diffusion dz = F z dt + G dW of z = (x, v).

Given x_0 (v_0, Gaussian, is a part of the noise), z_t is Gaussian in every coordinate, with the mean a(t) x_0 and the
covariance C = L(t) L(t)^T. Of x_0 it tells as much as one observation does,

    u = a^T C^-1 z / (a^T C^-1 a) = x_0 + s eps,    s^2 = 1 / (a^T C^-1 a),

since u is sufficient for x_0. So E[x_0 | x, v] is the plain denoiser at u and the level (1, s), whatever the data are,
and the score of (x, v) is C^-1 (a E[x_0 | x, v] - z): samplers in phase space need no model of two inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .gaussian import Array, UnitPrior, positive

EDGES = (
    0.0,
    0.125,
    0.25,
    0.5,
    1.0,
)  # of panels for integrals from 0 to 1, shorter where the rest decays from
NODES = 24
STOP = 1e-3


def _panels() -> tuple[Array, Array]:
    x, w = np.polynomial.legendre.leggauss(NODES)
    low, width = np.array(EDGES[:-1])[:, None], np.diff(EDGES)[:, None]
    return (low + width * (x + 1) / 2).ravel(), (width * w / 2).ravel()


PANELS = _panels()


def exponential(matrix: Array, t: Array) -> Array:
    """Return e^(matrix t), (n, 2, 2), of a 2 x 2 matrix whose eigenvalues may be equal, real or complex."""
    half = np.trace(matrix) / 2
    rest = matrix - half * np.eye(2)
    square = rest[0, 0] ** 2 + rest[0, 1] * rest[1, 0]  # rest^2 is this times the unit matrix
    root = np.sqrt(abs(square))
    if square > 0:
        slow, gap = np.exp((half - root) * t), np.expm1(2 * root * t)
        even, odd = slow * (1 + gap / 2), slow * gap / (2 * root)
    else:
        decay = np.exp(half * t)
        even, odd = decay * np.cos(root * t), decay * t * np.sinc(root * t / np.pi)
    return even[:, None, None] * np.eye(2) + odd[:, None, None] * rest


def noise_factor(drift: Array, diffusion: Array, t: Array, velocity: float = 0.0) -> Array:
    """Return the lower triangular L(t) with L L^T = Cov z_t, from z_0 of covariance diag(0, velocity).

    The covariance is an integral of squares; L is what orthogonalising its integrand at the nodes of a quadrature
    leaves. The covariance itself, nearly singular at small times, is not formed: every entry keeps its digits, as
    long as no rate times t is above some 100.

    Parameters
    ----------
    drift : (2, 2) array
        F.
    diffusion : (2,) array
        Diagonal of G G^T.
    t : (n,) array
    velocity : float
        Variance of v_0.

    Returns
    -------
    (n, 2, 2) array
        At t = 0 the limit from above.
    """
    u, w = PANELS
    flow = exponential(drift, (t[:, None] * u).ravel()).reshape(len(t), len(u), 2, 2)
    rows = [np.sqrt(t[:, None] * w * d)[..., None] * flow[..., j] for j, d in enumerate(diffusion) if d]
    rows.append(np.sqrt(velocity) * exponential(drift, t)[:, None, :, 1])
    x, v = np.moveaxis(np.concatenate(rows, axis=1), 2, 0)
    of_x = np.sqrt(np.sum(x**2, axis=1))
    unit = x / np.where(of_x > 0, of_x, 1.0)[:, None]
    shared = np.sum(unit * v, axis=1)
    own = np.sqrt(np.sum((v - shared[:, None] * unit) ** 2, axis=1))
    if not diffusion[0]:  # x is moved by v alone, so that at first it has v's noise
        shared = np.where(of_x > 0, shared, np.sqrt(velocity) * np.sign(drift[0, 1]))
        own = np.where(of_x > 0, own, 0.0)
    return np.stack([np.stack([of_x, 0 * of_x], axis=1), np.stack([shared, own], axis=1)], axis=1)


class PhaseSpace(UnitPrior, ABC):
    """What the paths of phase space share; as a path, alpha and sigma are those of x alone."""

    process: ClassVar[str] = "phase-space"
    grid: ClassVar[str] = "power"

    gamma: float
    time: float

    @property
    @abstractmethod
    def drift(self) -> Array:
        """F of dz = F z dt + G dW, (2, 2)."""

    @property
    @abstractmethod
    def diffusion(self) -> Array:
        """Diagonal of G G^T, (2,): the noise that x and v get."""

    @property
    @abstractmethod
    def inertia(self) -> float:
        """M, the variance of v that the process keeps."""

    @property
    def stationary(self) -> Array:
        """Variances of x and v, (2,), that the process keeps, 1 and M: they are independent there."""
        return np.array([1.0, self.inertia])

    @property
    def velocity(self) -> float:
        """Variance of v_0, gamma M."""
        return self.gamma * self.inertia

    def signal(self, t: npt.ArrayLike) -> Array:
        """Mean a(t) of (x, v) per unit of x_0, (n, 2) for n times."""
        return exponential(self.drift, np.atleast_1d(np.asarray(t, dtype=np.float64)))[:, :, 0]

    def factor(self, t: npt.ArrayLike) -> Array:
        """Lower triangular factor L(t) of the covariance of (x, v) given x_0, (n, 2, 2) for n times."""
        times = np.atleast_1d(np.asarray(t, dtype=np.float64))
        return noise_factor(self.drift, self.diffusion, times, self.velocity)

    def reversal(self, h: npt.ArrayLike) -> tuple[Array, Array]:
        """Return flow and noise of the stationary process run backwards for times h: z <- flow z + factor xi.

        Its drift is S F^T S^-1 with the stationary covariance S: what is left of the reverse SDE when the score is
        that of the stationary law.

        Returns
        -------
        flow, factor : (n, 2, 2) arrays
        """
        S = self.stationary
        back = S[:, None] * self.drift.T / S
        times = np.atleast_1d(np.asarray(h, dtype=np.float64))
        return exponential(back, times), noise_factor(back, self.diffusion, times)

    def kept(self, start: npt.ArrayLike, stop: npt.ArrayLike) -> Array:
        """Return how the flow of one datum moves what is not its mean, (n, 2, 2), from times start down to stop.

        On the probability flow of a point mass at x_0, z - a x_0 follows dy = (F + G G^T C^-1 / 2) y dt. Its solutions
        are y_s = R_s R_t^-1 y_t with R R^T = C and dR = (F R + G G^T R^-T / 2) dt. Here R = L times a rotation, whose
        angle is a quadrature; in sqrt(t), in which the rate of the angle is smooth down to 0.

        References
        ----------
        Zhang, Tao and Chen 2023 (gDDIM): their root R_t of the covariance.
        """
        t, s = (np.atleast_1d(np.asarray(time, dtype=np.float64)) for time in (start, stop))
        low, high = np.sqrt(s), np.sqrt(t)
        u, w = PANELS
        root = low[:, None] + (high - low)[:, None] * u
        rate = self._turning((root**2).ravel()).reshape(root.shape)
        angle = -np.sum(rate * 2 * root * (high - low)[:, None] * w, axis=1)
        cos, sin = np.cos(angle), np.sin(angle)
        turned = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
        return np.asarray(self.factor(s) @ turned @ np.linalg.inv(self.factor(t)))

    def conjugate(self, start: npt.ArrayLike, stop: npt.ArrayLike, matrix: Array) -> tuple[Array, Array]:
        """Return e^((B - F)(t - s)) and int_s^t e^((B - F)(u - s)) G G^T L_u^-T / 2 du, (n, 2, 2), from t down to s.

        The probability flow is dz = (F z + G G^T L^-T eps / 2) dt with eps = -L^T score. In z_hat = e^((B - F) t) z all
        that is left of F is B, a matrix of one's choice. By quadrature in sqrt(t), in which L^-T dt is smooth.

        References
        ----------
        Pandey, Rudolph and Mandt 2024 (Efficient integrators): their A_t and Phi_t.
        """
        t, s = (np.atleast_1d(np.asarray(time, dtype=np.float64)) for time in (start, stop))
        low, high = np.sqrt(s), np.sqrt(t)
        nodes, w = PANELS
        root = low[:, None] + (high - low)[:, None] * nodes
        moved = exponential(matrix - self.drift, (root**2 - s[:, None]).ravel())
        pulled = (
            self.diffusion[:, None] / 2 * np.swapaxes(np.linalg.inv(self.factor((root**2).ravel())), 1, 2)
        )
        weights = 2 * root * (high - low)[:, None] * w
        rate = (moved @ pulled).reshape(*root.shape, 2, 2)
        return exponential(matrix - self.drift, t - s), np.einsum("nk,nkij->nij", weights, rate)

    def _turning(self, t: Array) -> Array:
        """Rate at which R turns against L."""
        L = self.factor(t)
        x, shared, own = L[:, 0, 0], L[:, 1, 0], L[:, 1, 1]
        return np.asarray(-self.drift[0, 1] * own / x + self.diffusion[0] * shared / (2 * x**2 * own))

    def _check(self, name: str) -> None:
        """Fix the times, and refuse what is no path: ValueError where x returns, so that alpha < 0 or the SNR rises."""
        time = positive("time", self.time)
        if time <= STOP:
            raise ValueError(f"time is {time!r}: give more than {STOP}, at which sampling stops")
        self._fix(name=name, start=time, stop=STOP, end=time)
        t = np.linspace(0.0, time, 513)[1:]
        if np.any(self._alpha(t) <= 0) or np.any(np.diff(self._log_snr(t)) >= 0):
            raise ValueError(
                f"{self!r} lets x swing back through zero or lose noise before t = {time:g}: give a shorter time, or "
                "more friction"
            )

    def _prior_deviation(self, t: Array) -> Array:
        return np.full_like(t, np.sqrt(self.stationary[0]))

    def _alpha(self, t: Array) -> Array:
        return exponential(self.drift, t)[:, 0, 0]

    def _d_alpha(self, t: Array) -> Array:
        return np.asarray(self.signal(t) @ self.drift[0])

    def _sigma(self, t: Array) -> Array:
        return self.factor(t)[:, 0, 0]

    def _d_sigma(self, t: Array) -> Array:
        L = self.factor(t)
        moved = L[:, :, 0] @ self.drift[0]
        return np.asarray(moved + self.diffusion[0] / (2 * L[:, 0, 0]) if self.diffusion[0] else moved)

    def _g2(self, t: Array) -> Array:
        a, L = self.signal(t), self.factor(t)
        x = L[:, 0, 0]
        return np.asarray(self.diffusion[0] + 2 * self.drift[0, 1] * x * (L[:, 1, 0] - x * a[:, 1] / a[:, 0]))


@dataclass(frozen=True)
class CLD(PhaseSpace):
    """Critically damped Langevin diffusion: noise moves v, and v moves x.

    dx = v/M beta dt, dv = -(x + friction v/M) beta dt + sqrt(2 friction beta) dW. The stationary law is
    N(0, 1) x N(0, M). Sampling starts at `time` and stops at 1e-3.

    Parameters
    ----------
    beta : float
    friction : float
        Gamma. Critical where friction^2 = 4 mass, as by default.
    mass : float
        M.
    gamma : float
        v_0 ~ N(0, gamma M).
    time : float

    Raises
    ------
    ValueError
        A parameter that is not above 0, or so little friction that x swings back before `time`.

    References
    ----------
    Dockhorn, Vahdat and Kreis 2022, eq. 5; the parameters of their code.
    """

    beta: float = 4.0
    friction: float = 1.0
    mass: float = 0.25
    gamma: float = 0.04
    time: float = 1.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        for name in ("beta", "friction", "mass", "gamma"):
            positive(name, getattr(self, name))
        self._check("cld")

    @property
    def drift(self) -> Array:
        """F, (2, 2)."""
        return self.beta * np.array([[0.0, 1 / self.mass], [-1.0, -self.friction / self.mass]])

    @property
    def diffusion(self) -> Array:
        """Noise of v alone, (2,)."""
        return np.array([0.0, 2 * self.friction * self.beta])

    @property
    def inertia(self) -> float:
        """M."""
        return self.mass


@dataclass(frozen=True)
class PSLD(PhaseSpace):
    """Phase-space Langevin diffusion, critically damped and with noise on x as well.

    dx = (v/M - friction x) beta/2 dt + sqrt(friction beta) dW, dv = -(x + nu v) beta/2 dt + sqrt(M nu beta) dW', where
    1/M = (nu - friction)^2/4. The stationary law is N(0, 1) x N(0, M). Sampling starts at `time` and stops at
    1e-3.

    Parameters
    ----------
    beta : float
    friction : float
        Gamma, on x.
    nu : float
        On v; above `friction`.
    gamma : float
        v_0 ~ N(0, gamma M).
    time : float

    Raises
    ------
    ValueError
        A parameter that is not above 0, or nu <= friction.

    References
    ----------
    Pandey and Mandt 2023; forward process and parameters as in their code for CIFAR-10.
    """

    beta: float = 8.0
    friction: float = 0.01
    nu: float = 4.01
    gamma: float = 0.04
    time: float = 1.0

    def __post_init__(self) -> None:
        """Validate the parameters."""
        for name in ("beta", "friction", "nu", "gamma"):
            positive(name, getattr(self, name))
        if self.nu <= self.friction:
            raise ValueError(f"nu is {self.nu!r}, friction {self.friction!r}: give a nu above the friction")
        self._check("psld")

    @property
    def inertia(self) -> float:
        """M."""
        return 4 / (self.nu - self.friction) ** 2

    @property
    def drift(self) -> Array:
        """F, (2, 2)."""
        return self.beta / 2 * np.array([[-self.friction, 1 / self.inertia], [-1.0, -self.nu]])

    @property
    def diffusion(self) -> Array:
        """Noises of x and v, (2,)."""
        return self.beta * np.array([self.friction, self.inertia * self.nu])
