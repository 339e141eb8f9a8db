"""Samplers in phase space: data x and a velocity v, which are register 0 and register 1.

Of (x, v) a plain model is asked: E[x_0 | x, v] is its denoiser at one combination of the two and a level of its own,
since that combination is sufficient for x_0 (`analytic/paths/phase_space.py`). So these are tableaux like all others.

A sampler begins at the data: its first step noises them to (x_T, v_T), exactly, so that "marginal" starts from the
joint law. The "prior", N(0, 1) in their place, becomes N(0, 1) x N(0, M) but for e^-16. With begin="noise" the sample
is x_T at first and v_T is drawn from N(0, M), as published.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.functionals import INITIAL
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path

Array = NDArray[np.float64]
State = tuple[Combination, Combination]
BEGINS = ("data", "noise")
FROM_DATA = {"begin": ("data",)}  # from noise an error stays that no number of steps removes


def linear(matrix: Array, z: State) -> State:
    """Apply matrices, (steps, 2, 2) or (2, 2), to (x, v)."""
    x, v = z
    return (matrix[..., 0, 0] * x + matrix[..., 0, 1] * v, matrix[..., 1, 0] * x + matrix[..., 1, 1] * v)


def plus(*states: State) -> State:
    """Sum states."""
    (x, v), *more = states
    for one, other in more:
        x, v = x + one, v + other
    return x, v


def along(direction: Array, amount: Combination) -> State:
    """Return amount times a direction (steps, 2)."""
    return direction[..., 0] * amount, direction[..., 1] * amount


class Steps:
    """A run of steps in phase space: z now, and what may be asked and drawn there."""

    def __init__(self, step: Run) -> None:
        self.step = step
        self.path: Any = step.path
        x, v = step.registers
        self.z: State = (x, v)
        self.h = step.now.t - step.next.t

    def _whitened(self, level: Level) -> tuple[Array, Array]:
        """Return a and L^-1 at a level of the path."""
        return self.path.signal(level.t), np.linalg.inv(self.path.factor(level.t))

    def denoise(self, z: State, level: Level) -> Combination:
        """E[x_0 | z]: the denoiser at u = a^T C^-1 z s^2 and the level (1, s), s^-2 = a^T C^-1 a."""
        a, whiten = self._whitened(level)
        seen = np.einsum("nij,nj->ni", whiten, a)
        s2 = 1 / np.sum(seen**2, axis=1)
        weights = s2[:, None] * np.einsum("nij,ni->nj", whiten, seen)
        s = np.sqrt(s2)
        off_the_path = Level(np.full_like(s, np.nan), np.ones_like(s), s, -np.log(s))
        return self.step.denoise(weights[:, 0] * z[0] + weights[:, 1] * z[1], off_the_path)

    def score(self, z: State, level: Level) -> State:
        """Score of the law of z: C^-1 (a E[x_0 | z] - z)."""
        a, whiten = self._whitened(level)
        x, v = along(a, self.denoise(z, level))
        return linear(np.swapaxes(whiten, 1, 2) @ whiten, (x - z[0], v - z[1]))

    def drawn(self, factor: Array, start: Level | None = None, stop: Level | None = None) -> State:
        """Noise of z with a lower triangular factor, (steps, 2, 2).

        The channels are the increment of the Brownian path and what is left of its time integral; the increment is
        v's, as it is for short steps in truth, so that coarse and fine grids stay together. In law any two would do.
        """
        x, shared, own = factor[:, 0, 0], factor[:, 1, 0], factor[:, 1, 1]
        of_v = np.hypot(shared, own)
        increment, area = self.step.noise("time", start, stop), self.step.noise("time-area", start, stop)
        return x * shared / of_v * increment + x * own / of_v * area, of_v * increment

    def pushed(self, z: State, level: Level, by: Array) -> State:
        """Return G G^T (score + S^-1 z) times `by`: the part of the reverse SDE that vanishes in the stationary law."""
        score = self.score(z, level)
        N, S = self.path.diffusion, self.path.stationary
        moved = [N[i] * by * (score[i] + z[i] / S[i]) if N[i] else 0.0 * z[i] for i in (0, 1)]
        return moved[0], moved[1]


def begun(name: str, path: Any, grid: ArrayLike, begin: str, stochasticity: float | None = None) -> Trace:
    """Return a trace whose first step leaves x_T and v_T; ValueError for an unknown `begin`."""
    if begin not in BEGINS:
        raise ValueError(f"begin is {begin!r}: use one of {', '.join(BEGINS)}")
    trace = Trace(name, path, grid, stochasticity)
    step = trace.stay(float(trace.grid[0]))
    (x,) = step.registers
    if begin == "noise":
        step.close(x, np.sqrt(path.stationary[1]) * step.noise(INITIAL))
        return trace
    a, L = path.signal(trace.grid[:1]), path.factor(trace.grid[:1])
    first, second = step.noise(INITIAL), step.noise(INITIAL)
    step.close(
        a[:, 0] * x + L[:, 0, 0] * first,
        a[:, 1] * x + L[:, 1, 0] * first + L[:, 1, 1] * second,
    )
    return trace


def finished(trace: Trace, begin: str, **options: Any) -> Tableau:
    """Return the tableau, whose sample is of the data themselves at first where it begins there."""
    tableau = trace.tableau(begin=begin, **options)
    return tableau if begin == "noise" else replace(tableau, start=(1.0, 0.0))


@catalogue.method(
    "cld-em",
    claims=[Claim(1, "weak", "Kloeden and Platen 1992, section 14.1", "deduced", FROM_DATA)],
    source="Dockhorn, Vahdat and Kreis 2022, the reverse of eq. 5 by the Euler-Maruyama rule",
    aliases=("psld-em",),
    process="phase-space",
)
def cld_em(path: Path, grid: ArrayLike, begin: str = "data") -> Tableau:
    """Euler-Maruyama on the reverse SDE in phase space, dz = (F z - G G^T score) dt + G dW.

    Weak order 1. One evaluation a step.

    Parameters
    ----------
    path : paths.CLD or paths.PSLD
    grid : (nodes,) float64 array
    begin : str
        "data" or "noise": what the sample is at first.

    Returns
    -------
    Tableau
        1 stage, 2 registers, 1 channel, 2 on PSLD; a first step that draws where it begins.

    References
    ----------
    Dockhorn et al. 2022, whose code names it "em"; Pandey and Mandt 2023, theirs "em_sde".
    """
    trace = begun("cld-em", path, grid, begin)
    step = Steps(trace.run())
    h, N = step.h, step.path.diffusion
    score = step.score(step.z, step.step.now)
    x, v = plus(step.z, linear(-h[:, None, None] * step.path.drift, step.z))
    v = v + h * N[1] * score[1] + np.sqrt(h * N[1]) * step.step.noise("time")
    if N[0]:
        x = x + h * N[0] * score[0] + np.sqrt(h * N[0]) * step.step.noise(None)
    step.step.close(x, v)
    return finished(trace, begin)


def _split(name: str, path: Path, grid: ArrayLike, begin: str, middle: bool) -> Tableau:
    trace = begun(name, path, grid, begin)
    step = Steps(trace.run())
    h, now = step.h, step.step.now
    half = step.step.between(0.5, "time")
    flow, factor = step.path.reversal(h / 2)
    z = plus(linear(flow, step.z), step.drawn(factor, stop=half))
    kick = step.pushed(z, now, h)
    if middle:
        kick = step.pushed(plus(z, (0.5 * kick[0], 0.5 * kick[1])), half, h)
    z = plus(z, kick)
    step.step.close(*plus(linear(flow, z), step.drawn(factor, start=half)))
    return finished(trace, begin)


@catalogue.method(
    "sscs",
    claims=[
        Claim(
            1,
            "weak",
            "a symmetric splitting with Euler's method, of first order, in its middle",
            "deduced",
            FROM_DATA,
        )
    ],
    source="Dockhorn, Vahdat and Kreis 2022, eq. 10 and algorithm 1",
    process="phase-space",
)
def sscs(path: Path, grid: ArrayLike, begin: str = "data") -> Tableau:
    """The symmetric splitting CLD sampler: half the linear part, exactly; the score by one Euler step; half again.

    The splitting is Strang's, but the Euler step in it takes the score at its start, in z and in time: weak order 1.
    One evaluation a step.

    Parameters
    ----------
    path : paths.CLD or paths.PSLD
    grid : (nodes,) float64 array
    begin : str
        "data" or "noise": what the sample is at first.

    Returns
    -------
    Tableau
        1 stage, 2 registers, 4 channels; a first step that draws where it begins.

    References
    ----------
    Dockhorn et al. 2022, eq. 10, algorithm 1; Pandey and Mandt 2023 for PSLD. Both codes take the Euler step's time at
    the start of the step.
    """
    return _split("sscs", path, grid, begin, middle=False)


@catalogue.method(
    "sscs-midpoint",
    claims=[
        Claim(2, "weak", "Strang's splitting, every part of second order: Strang 1968", "deduced", FROM_DATA),
    ],
    source="Dockhorn, Vahdat and Kreis 2022, eq. 10, the score by the midpoint rule",
    process="phase-space",
)
def sscs_midpoint(path: Path, grid: ArrayLike, begin: str = "data") -> Tableau:
    """The symmetric splitting with the score's part by the midpoint rule, which leaves Strang's order 2.

    Weak order 2. Two evaluations a step.

    Parameters
    ----------
    path : paths.CLD or paths.PSLD
    grid : (nodes,) float64 array
    begin : str
        "data" or "noise": what the sample is at first.

    Returns
    -------
    Tableau
        2 stages, 2 registers, 4 channels; a first step that draws where it begins.

    References
    ----------
    Dockhorn et al. 2022, eq. 10.
    """
    return _split("sscs-midpoint", path, grid, begin, middle=True)


@catalogue.method(
    "phase-space-heun",
    claims=[
        Claim(2, "ode", "Heun's method: Hairer, Norsett and Wanner 1993, section II.1", "deduced", FROM_DATA)
    ],
    source="the probability flow of Dockhorn, Vahdat and Kreis 2022, by Heun's method",
    process="phase-space",
)
def phase_space_heun(path: Path, grid: ArrayLike, begin: str = "data") -> Tableau:
    """Heun's method on the probability flow in phase space, dz = (F z - G G^T score / 2) dt.

    Order 2. Two evaluations a step, one on a last step to t = 0, where (x, v) has no score.

    Parameters
    ----------
    path : paths.CLD or paths.PSLD
    grid : (nodes,) float64 array
    begin : str
        "data" or "noise": what the sample is at first.

    Returns
    -------
    Tableau
        2 stages, 2 registers, no noise; a first step that draws where it begins.

    References
    ----------
    The flow: Dockhorn et al. 2022, Pandey and Mandt 2023, who both give it to an adaptive solver.
    """
    trace = begun("phase-space-heun", path, grid, begin)

    def slope(step: Steps, z: State, level: Level) -> State:
        score, N = step.score(z, level), step.path.diffusion
        x, v = linear(-step.path.drift, z)
        return x + N[0] / 2 * score[0] if N[0] else x, v + N[1] / 2 * score[1]

    for run, _ in trace.runs():
        step = Steps(run)
        h = step.h
        first = slope(step, step.z, run.now)
        x, v = plus(step.z, (h * first[0], h * first[1]))
        if not np.any(run.next.sigma == 0):
            second = slope(step, (x, v), run.next)
            x, v = plus(step.z, (h / 2 * (first[0] + second[0]), h / 2 * (first[1] + second[1])))
        run.close(x, v)
    return finished(trace, begin)


@catalogue.method(
    "gddim",
    claims=[
        Claim(
            1,
            "ode",
            "an exponential Euler method: Hochbruck and Ostermann 2010, section 2.1",
            "deduced",
            FROM_DATA,
        )
    ],
    source="Zhang, Tao and Chen 2023 (gDDIM), the sampler of order 0 of its code",
    process="phase-space",
)
def gddim(path: Path, grid: ArrayLike, begin: str = "data") -> Tableau:
    """DDIM generalised to phase space: z_s = a_s D + R_s R_t^-1 (z - a_t D), with eps = R_t^-1 (z - a_t D) kept.

    R R^T = C, the covariance given x_0, and R is the root of it that the flow of one datum moves along: the method is
    exact on a point mass in one step of any length. Order 1. One evaluation a step.

    Parameters
    ----------
    path : paths.CLD or paths.PSLD
    grid : (nodes,) float64 array
    begin : str
        "data" or "noise": what the sample is at first.

    Returns
    -------
    Tableau
        1 stage, 2 registers, no noise; a first step that draws where it begins.

    References
    ----------
    Zhang, Tao and Chen 2023, without its multistep terms. There the integral of Psi G G^T R^-T / 2 is a sum over 1000
    pieces; it is R_s - Psi R_t.
    """
    trace = begun("gddim", path, grid, begin)
    step = Steps(trace.run())
    now, then = step.step.now, step.step.next
    D = step.denoise(step.z, now)
    x, v = along(step.path.signal(now.t), D)
    rest = linear(step.path.kept(now.t, then.t), (step.z[0] - x, step.z[1] - v))
    step.step.close(*plus(along(step.path.signal(then.t), D), rest))
    return finished(trace, begin)
