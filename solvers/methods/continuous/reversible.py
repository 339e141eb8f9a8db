"""Reversible methods on the flow: every step can be undone exactly, by evaluations of the same model.

Each carries a second register beside the sample, from which the step back is computed; their inverses are written
out in tests/solvers/test_reversible.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction as Q

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.butcher import EULER, MIDPOINT, RK4, Butcher
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path
from .first_order import ddim_step, noise_prediction


def _steps(trace: Trace) -> Iterator[Run]:
    """The first interval, on which registers come about, those between, and a step to sigma = 0, each a run."""
    return (step for step, _ in trace.runs(apart=(0,)))


def _to_data(step: Run, x: Combination, others: list[Combination]) -> bool:
    """Close a step to sigma = 0, which no method can undo, by DDIM; whether it was one."""
    if not np.any(step.next.sigma == 0):
        return False
    step.close(ddim_step(step, x, step.denoise(x, step.now)), *others)
    return True


@catalogue.method(
    "reversible-heun",
    claims=[Claim(2, "ode", "Kidger, Foster, Li and Lyons 2021: second order for ODEs")],
    source="Kidger, Foster, Li and Lyons 2021, Algorithm 1",
)
def reversible_heun(path: Path, grid: ArrayLike) -> Tableau:
    """The reversible Heun method on the probability-flow ODE, in sigma/alpha.

    Order 2. One denoiser evaluation a step, two in the first; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1 stage, 3 registers (sample, its shadow, the slope there), no noise.

    References
    ----------
    Kidger, Foster, Li and Lyons 2021 (Efficient and accurate gradients for neural SDEs), Algorithm 1 without noise.
    """
    trace = Trace("reversible-heun", path, grid)
    for step in _steps(trace):
        x, *others = step.registers
        if _to_data(step, x, others):
            continue
        y = x / step.now.alpha
        shadow, slope = others if others else (y, step.eps(x, step.now))
        h = step.next.kappa - step.now.kappa
        following = 2 * y - shadow + h * slope
        new = step.eps(step.next.alpha * following, step.next)
        step.close(step.next.alpha * (y + h / 2 * (slope + new)), following, new)
    return trace.tableau()


@catalogue.method(
    "edict",
    claims=[Claim(1, "ode", "two coupled DDIM steps, mixed", "deduced", options={"p": (0.93,)})],
    source="Wallace, Gokul and Naik 2023 (EDICT), eq. 13 to 16",
)
def edict(path: Path, grid: ArrayLike, p: float = 0.93) -> Tableau:
    """EDICT: two copies of the sample, each moved by DDIM with the other's noise prediction, then mixed.

    Order 1. Two denoiser evaluations a step. The second asks for eps at the step's start with a sample that is at its
    end already, so that the method is not exact for a frozen D, and a shift of the data does more than shift samples.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    p : float
        Weight with which the copies are mixed, 1/2 < p <= 1; 1 leaves them apart.

    Returns
    -------
    Tableau
        2 stages, 2 registers (sample, its copy), no noise.

    References
    ----------
    Wallace, Gokul and Naik 2023 (EDICT), eq. 13 to 16.
    """
    if not 0.5 < p <= 1:
        raise ValueError(f"p is {p}: give a weight with 1/2 < p <= 1")
    trace = Trace("edict", path, grid)
    for step in _steps(trace):
        x, *others = step.registers
        if _to_data(step, x, others):
            continue
        copy = others[0] if others else x
        a = step.next.alpha / step.now.alpha
        b = step.next.sigma - a * step.now.sigma
        moved = a * x + b * step.eps(copy, step.now)
        copied = a * copy + b * step.eps(moved, step.now)
        mixed = p * moved + (1 - p) * copied
        step.close(mixed, p * copied + (1 - p) * mixed)
    return trace.tableau(p=p)


@catalogue.method(
    "bdia",
    claims=[
        Claim(1, "ode", "consistent, built of DDIM steps forward and back", "deduced"),
        Claim(2, "ode", "gamma = 1 is the leapfrog rule", "deduced", options={"gamma": (1.0,)}),
    ],
    source="Zhang, Niwa and Kleijn 2023 (BDIA), eq. 15",
)
def bdia(path: Path, grid: ArrayLike, gamma: float = 1.0) -> Tableau:
    """BDIA-DDIM: the sample before, carried by DDIM's step forward less its step back, both with one evaluation.

    Order 2 for gamma = 1 where steps vary smoothly, 1 below. One denoiser evaluation a step, the first step DDIM's.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    gamma : float
        Between 0 (DDIM) and 1.

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, the one before), no noise.

    References
    ----------
    Zhang, Niwa and Kleijn 2023 (Exact diffusion inversion via bi-directional integration approximation).
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma is {gamma}: give a number between 0 and 1")
    trace = Trace("bdia", path, grid)
    for step in _steps(trace):
        x, *others = step.registers
        if _to_data(step, x, others):
            continue
        D = step.denoise(x, step.now)
        forward = ddim_step(step, x, D)
        if others:
            before = step.node(-1)
            share = before.sigma / step.now.sigma
            back = share * x + (before.alpha - share * step.now.alpha) * D
            forward = forward + gamma * (others[0] - back)
        step.close(forward, x)
    return trace.tableau(gamma=gamma)


@catalogue.method(
    "belm",
    claims=[Claim(2, "ode", "the two-step rule with one evaluation that is exact for quadratics", "deduced")],
    source="Wang et al. 2024 (BELM), O-BELM",
)
def belm(path: Path, grid: ArrayLike) -> Tableau:
    """O-BELM: the bidirectional explicit linear two-step method of least local error, in sigma/alpha.

    With r the ratio of the step to the one before: y' = r^2 y_before + (1 - r^2) y + h (1 + r) eps. Order 2; its
    characteristic roots are 1 and -r^2, so that it is stable only while steps do not grow. One denoiser evaluation a
    step, the first step DDIM's.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, the one before over its alpha), no noise.

    References
    ----------
    Wang, Yin, Dong, Qian, Zhang, Zhao and Li 2024 (BELM), O-BELM.
    """
    trace = Trace("belm", path, grid)
    for step in _steps(trace):
        x, *others = step.registers
        if _to_data(step, x, others):
            continue
        D = step.denoise(x, step.now)
        y = x / step.now.alpha
        if not others:
            step.close(ddim_step(step, x, D), y)
            continue
        h = step.next.kappa - step.now.kappa
        r = h / (step.now.kappa - step.node(-1).kappa)
        eps = noise_prediction(x, D, step.now)
        step.close(step.next.alpha * (r**2 * others[0] + (1 - r**2) * y + h * (1 + r) * eps), y)
    return trace.tableau()


BASES = {"euler": EULER, "midpoint": MIDPOINT, "rk4": RK4}
# Rex's code evaluates its third stage where the second was and its fourth where the third should have been.
RK4_AS_PUBLISHED = Butcher(((), (Q(1, 2),), (Q(1, 2),), (0, Q(1, 2))), RK4.b)
# With zeta nearer 1 an order shows only beyond some 1/(1 - zeta) steps, before which nothing is damped.
DAMPED = {"zeta": (0.5, 0.9)}
INHERITED = "Blasingame and Liu 2026 (Rex): the coupling inherits the order of the Runge-Kutta method within"


def _increment(
    step: Run, y: Combination, start: Level, stop: Level, butcher: Butcher, nodes: Sequence[Q | int]
) -> Combination:
    """Change of y = x/sigma over a Runge-Kutta step in gamma = alpha/sigma, where dy/dgamma = D."""
    begin, h = 1 / start.kappa, 1 / stop.kappa - 1 / start.kappa
    slopes: list[Combination] = []
    for row, c in zip(butcher.a, nodes, strict=True):
        level = stop if c else start
        if c not in (0, 1):
            level = step.level_of_kappa(1 / (begin + float(c) * h))
        stage = y
        for weight, slope in zip(row, slopes, strict=False):
            if weight:
                stage = stage + float(weight) * h * slope
        slopes.append(step.denoise(level.sigma * stage, level))
    change = Combination({})
    for weight, slope in zip(butcher.b, slopes, strict=True):
        if weight:
            change = change + float(weight) * h * slope
    return change


def _rex(name: str, path: Path, grid: ArrayLike, butcher: Butcher, zeta: float) -> Trace:
    if not 0 < zeta <= 1:
        raise ValueError(f"zeta is {zeta}: give a weight with 0 < zeta <= 1")
    trace = Trace(name, path, grid)
    nodes = RK4.c if butcher is RK4_AS_PUBLISHED else butcher.c
    for step in _steps(trace):
        x, *others = step.registers
        if _to_data(step, x, others):
            continue
        y = x / step.now.sigma
        shadow = others[0] if others else y
        moved = _increment(step, shadow, step.now, step.next, butcher, nodes)
        y = zeta * y + (1 - zeta) * shadow + moved
        shadow = shadow - _increment(step, y, step.next, step.now, butcher, nodes)
        step.close(step.next.sigma * y, shadow)
    return trace


@catalogue.method(
    "rex",
    claims=[
        Claim(2, "ode", INHERITED, options={"base": ("midpoint",), **DAMPED}),
        Claim(1, "ode", INHERITED, options={"base": ("euler",), **DAMPED}),
        Claim(4, "ode", INHERITED, options={"base": ("rk4",), **DAMPED}),
    ],
    source="Blasingame and Liu 2026 (Rex), and its code",
)
def rex(path: Path, grid: ArrayLike, base: str = "midpoint", zeta: float = 0.9) -> Tableau:
    """Rex: a Runge-Kutta step in alpha/sigma on x/sigma, where D is the slope, in McCallum and Foster's coupling.

    A step of the shadow moves the sample; the step back from there moves the shadow. Order of `base`. Two, four or
    eight denoiser evaluations a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    base : str
        "euler", "midpoint" or "rk4".
    zeta : float
        0 < zeta <= 1: what of the sample is kept beside its shadow, the rest is the shadow's. The paper's code has
        0.999, which damps nothing until 1000 steps are taken; 1 never does.

    Returns
    -------
    Tableau
        2, 4 or 8 stages, 2 registers (sample, its shadow over sigma), no noise.

    References
    ----------
    Blasingame and Liu 2026 (Rex: a family of reversible exponential (stochastic) Runge-Kutta solvers); McCallum and
    Foster 2024 (Efficient, accurate and stable gradients for neural ODEs).
    """
    if base not in BASES:
        raise ValueError(f"base is {base!r}: use one of {', '.join(BASES)}")
    return _rex("rex", path, grid, BASES[base], zeta).tableau(base=base, zeta=zeta)


@catalogue.method(
    "rex-rk4-as-published",
    claims=[Claim(4, "ode", f"{INHERITED}; as its code writes RK4", "code", options=DAMPED)],
    source="Rex's code, exp_rk4",
)
def rex_rk4_as_published(path: Path, grid: ArrayLike, zeta: float = 0.9) -> Tableau:
    """Rex with RK4 as its code has it: stages off by one, so that the third repeats the second and the fourth is short.

    Order 1: the state of the last stage has gone half the step when its time has gone the whole. Still exact for a
    frozen D. Eight denoiser evaluations a step. Parameters as `rex`, which has it right.
    """
    return _rex("rex-rk4-as-published", path, grid, RK4_AS_PUBLISHED, zeta).tableau(zeta=zeta)
