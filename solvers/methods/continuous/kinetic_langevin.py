"""Kinetic (underdamped) Langevin dynamics on the target: a velocity under friction, driven by the score.

dx = v dt, dv = score(x) dt - friction v dt + sqrt(2 friction) dW keeps x ~ target and v ~ N(0, I), independent. The
first step draws the velocity from that law; the last leaves x alone. Splittings are named by their parts, in the order
in which a step takes them::

    A  x += h v                                   O  v = e^{-friction h} v + sqrt(1 - e^{-2 friction h}) z
    B  v += h score(x)                            U  A and O together, exactly
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.functionals import INITIAL, exponential
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...numerics.velocity import free_flow
from ...protocols import Path

Array = NDArray[np.float64]
Move = Callable[[Run, Array, Combination, Combination, Sequence[Combination], bool], Sequence[Combination]]
STRANG = "symmetric composition of exact flows: its local weak error is of third order"


def walk(name: str, path: Path, grid: ArrayLike, friction: float, move: Move) -> Tableau:
    """Write a kinetic method: `move(step, h, x, v, carried, ends)` gives the registers a step leaves, x and v first.

    Raises ValueError for a friction that is not positive.
    """
    if not (np.isfinite(friction) and friction > 0):
        raise ValueError(f"friction is {friction}: give a positive number")
    trace = Trace(name, path, grid, stochasticity=None)
    n = trace.intervals
    for first, last in pairwise(sorted({0, 1, n - 1, n})):
        step = trace.run(first, last)
        x, *held = step.registers
        v, *carried = held or (step.noise(INITIAL, step.now, step.now),)
        left = move(step, step.now.t - step.next.t, x, v, carried, last == n)
        step.close(*(left[:1] if last == n else left))
    return trace.tableau(friction=friction)


def rubbed(
    step: Run, v: Combination, friction: float, start: Level | None = None, stop: Level | None = None
) -> Combination:
    """O between two levels, by default over the whole step."""
    start, stop = start or step.now, stop or step.next
    z = friction * (start.t - stop.t)
    xi = step.noise(exponential(friction), start, stop)
    return np.exp(-z) * v + np.sqrt(-np.expm1(-2 * z)) * xi


def free(
    step: Run,
    x: Combination,
    v: Combination,
    friction: float,
    start: Level | None = None,
    stop: Level | None = None,
    force: Combination | None = None,
) -> tuple[Combination, Combination]:
    """U between two levels, by default over the whole step: exact without a force, or with one that stays as it is."""
    start, stop = start or step.now, stop or step.next
    flow = free_flow(friction, start.t - stop.t)
    W = step.noise("time", start, stop)
    B = step.noise(exponential(friction, area=True), start, stop)
    x, v = (
        x + flow.moved * v + flow.x_of_w * W + flow.x_of_b * B,
        flow.kept * v + flow.v_of_w * W + flow.v_of_b * B,
    )
    if force is not None:
        x, v = x + flow.pushed * force, v + flow.moved * force
    return x, v


@catalogue.method(
    "kinetic-euler",
    claims=[Claim(1, "weak", "Talay and Tubaro 1990, theorem 1: Euler-Maruyama", "deduced")],
    source="Euler-Maruyama on the kinetic equation",
    aliases=("underdamped-euler",),
    process="langevin",
)
def kinetic_euler(path: Path, grid: ArrayLike, friction: float = 2.0) -> Tableau:
    """Euler-Maruyama step of the kinetic equation: x and v both by their rates at the start of the step.

    Weak order 1. One evaluation a step, none in the last, which moves x alone.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) float64 array
    friction : float

    Returns
    -------
    Tableau
        1 stage, 1 channel; 2 registers.

    References
    ----------
    Talay and Tubaro 1990, theorem 1, for the order.
    """

    def move(
        step: Run, h: Array, x: Combination, v: Combination, _: Sequence[Combination], ends: bool
    ) -> Sequence[Combination]:
        if ends:
            return (x + h * v,)
        push = h * step.score(x, step.now) + np.sqrt(2 * friction * h) * step.noise("time")
        return x + h * v, (1 - friction * h) * v + push

    return walk("kinetic-euler", path, grid, friction, move)


@catalogue.method(
    "obabo",
    claims=[Claim(2, "weak", STRANG, "deduced")],
    source="Bussi and Parrinello 2007; Bou-Rabee and Owhadi 2010",
    aliases=("langevin-bussi-parrinello",),
    process="langevin",
)
def obabo(path: Path, grid: ArrayLike, friction: float = 2.0) -> Tableau:
    """Half O, half B, A, half B, half O: velocity Verlet between two half steps of friction.

    Weak order 2. One evaluation a step: the score at its end is the next one's first.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) float64 array
    friction : float

    Returns
    -------
    Tableau
        2 channels; 3 registers, x, v and the score. The first step has two evaluations, the last none.

    References
    ----------
    Bussi and Parrinello 2007; Bou-Rabee and Owhadi 2010.
    """

    def move(
        step: Run, h: Array, x: Combination, v: Combination, carried: Sequence[Combination], ends: bool
    ) -> Sequence[Combination]:
        score = carried[0] if carried else step.score(x, step.now)
        middle = step.between(0.5, "time")
        v = rubbed(step, v, friction, step.now, middle) + h / 2 * score
        x = x + h * v
        if ends:
            return (x,)
        score = step.score(x, step.next)
        return x, rubbed(step, v + h / 2 * score, friction, middle, step.next), score

    return walk("obabo", path, grid, friction, move)


@catalogue.method(
    "baoab",
    claims=[Claim(2, "weak", STRANG, "deduced")],
    source="Leimkuhler and Matthews 2013",
    process="langevin",
)
def baoab(path: Path, grid: ArrayLike, friction: float = 2.0) -> Tableau:
    """Half B, half A, O, half A, half B, after whose stationary law x is exact on Gaussians.

    Weak order 2. One evaluation a step: the score at its end is the next one's first. Stable for h < 2/sqrt(k) at
    precision k.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) float64 array
    friction : float

    Returns
    -------
    Tableau
        1 channel; 3 registers, x, v and the score. The first step has two evaluations, the last none.

    References
    ----------
    Leimkuhler and Matthews 2013 (Rational construction of stochastic numerical methods for molecular sampling).
    """

    def move(
        step: Run, h: Array, x: Combination, v: Combination, carried: Sequence[Combination], ends: bool
    ) -> Sequence[Combination]:
        score = carried[0] if carried else step.score(x, step.now)
        v = v + h / 2 * score
        x = x + h / 2 * v
        v = rubbed(step, v, friction)
        x = x + h / 2 * v
        if ends:
            return (x,)
        score = step.score(x, step.next)
        return x, v + h / 2 * score, score

    return walk("baoab", path, grid, friction, move)


@catalogue.method(
    "ubu",
    claims=[Claim(2, "weak", "Sanz-Serna and Zygalakis 2021: strong order 2, which bounds the weak error")],
    source="Zapatero 2017; Sanz-Serna and Zygalakis 2021",
    process="langevin",
)
def ubu(path: Path, grid: ArrayLike, friction: float = 2.0) -> Tableau:
    """Half U, B, half U: the dynamics without a force exactly, and a kick by the score in the middle of the step.

    Strong and weak order 2. One evaluation a step.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) float64 array
    friction : float

    Returns
    -------
    Tableau
        1 stage, 4 channels; 2 registers.

    References
    ----------
    Sanz-Serna and Zygalakis 2021 (Wasserstein distance estimates for the distributions of numerical approximations to
    ergodic stochastic differential equations); Paulin and Whalley 2024 for what its bounds need.
    """

    def move(
        step: Run, h: Array, x: Combination, v: Combination, _: Sequence[Combination], ends: bool
    ) -> Sequence[Combination]:
        middle = step.between(0.5, "time")
        x, v = free(step, x, v, friction, step.now, middle)
        v = v + h * step.score(x, middle)
        return free(step, x, v, friction, middle, step.next)

    return walk("ubu", path, grid, friction, move)


@catalogue.method(
    "exponential-langevin",
    claims=[Claim(1, "weak", "Cheng et al. 2018, theorem 1: W2 within O(h)", "deduced")],
    source="Cheng, Chatterji, Bartlett and Jordan 2018, eq. 6",
    aliases=("klmc", "kinetic-exponential"),
    process="langevin",
)
def exponential_langevin(path: Path, grid: ArrayLike, friction: float = 2.0) -> Tableau:
    """The kinetic equation solved exactly with the score of the start of the step.

    Weak order 1. One evaluation a step. The paper's time runs sqrt(u) times as fast, its friction is 2.

    Parameters
    ----------
    path : paths.Langevin
    grid : (nodes,) float64 array
    friction : float

    Returns
    -------
    Tableau
        1 stage, 2 channels; 2 registers.

    References
    ----------
    Cheng, Chatterji, Bartlett and Jordan 2018 (Underdamped Langevin MCMC: a non-asymptotic analysis), eq. 6 and
    Algorithm 1.
    """

    def move(
        step: Run, h: Array, x: Combination, v: Combination, _: Sequence[Combination], ends: bool
    ) -> Sequence[Combination]:
        return free(step, x, v, friction, force=step.score(x, step.now))

    return walk("exponential-langevin", path, grid, friction, move)
