"""Predictor-corrector: any predictor's steps, each followed by Langevin steps on the marginal it reached."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Trace
from ...protocols import Path


@catalogue.method(
    "predictor-corrector",
    claims=[],
    source="Song et al. 2021, Algorithms 2 to 5",
    aliases=("pc-langevin",),
)
def predictor_corrector(
    path: Path, grid: ArrayLike, predictor: str = "reverse-diffusion", correctors: int = 1, snr: float = 0.16
) -> Tableau:
    """A predictor's step followed by Langevin corrector steps of fixed signal-to-noise ratio.

    No order is claimed: the corrector's step epsilon = 2 (snr sigma)^2 does not shrink with the grid, so its own
    bias, of relative size snr^2 sigma^2/(variance of the marginal), stays however many steps are taken.
    Costs the predictor's evaluations plus `correctors` a step; no correction at sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    predictor : str
        Any method of the catalogue, noisy or deterministic, one-step or multistep.
    correctors : int
        Langevin steps after each step of the predictor, 0 or more.
    snr : float
        r of Algorithms 4 and 5, > 0.

    Returns
    -------
    Tableau
        The predictor's steps with 1-stage, 1-channel steps that stay between them.

    References
    ----------
    Song et al. 2021, Algorithms 4 and 5, with epsilon = 2 (r |z|/|score|)^2 at the expected norms
    E|z|^2 = d and E|score|^2 = d/sigma^2, which keeps the step linear. Algorithm 5 (VP) has a further factor
    1 - beta_i on epsilon, which tends to 1 with the step and is left out.
    """
    if predictor == "predictor-corrector":
        raise ValueError("predictor is 'predictor-corrector': use any other method of the catalogue")
    if isinstance(correctors, bool) or int(correctors) != correctors or correctors < 0:
        raise ValueError(f"correctors is {correctors!r}: give a whole number >= 0")
    if not (np.isfinite(snr) and snr > 0):
        raise ValueError(f"snr is {snr}: give a positive number, 0.16 is usual on a VE path")
    base = catalogue[predictor].tableau(path, grid)
    trace = Trace(
        "predictor-corrector", path, grid, stochasticity=base.stochasticity if correctors == 0 else None
    )
    for predicted in base.steps:
        trace.append(predicted)
        stop = float(predicted.span[0, 1])
        if path.sigma(stop) == 0:
            continue
        for _ in range(correctors):
            step = trace.stay(stop)
            x, *others = step.registers
            epsilon = 2 * (snr * step.now.sigma) ** 2
            score = step.score(x, step.now)
            z = step.noise(None)
            step.close(x + epsilon * score + np.sqrt(2 * epsilon) * z, *others)
    return trace.tableau(predictor=predictor, correctors=correctors, snr=snr)


@catalogue.method("annealed-langevin", claims=[], source="Song and Ermon 2019, Algorithm 1", aliases=("ald",))
def annealed_langevin(path: Path, grid: ArrayLike, steps_each: int = 5, ratio: float = 0.2) -> Tableau:
    """Annealed Langevin dynamics: Langevin steps on the marginal of every level of the grid, which no step leads to.

    No order is claimed: the step 2 epsilon = ratio sigma^2 does not shrink with the grid. Costs `steps_each`
    evaluations a level, none at sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    steps_each : int
        T of the paper, 1 or more; the paper takes 100.
    ratio : float
        Langevin step over sigma^2, > 0: the paper's epsilon/sigma_L^2, 2e-5/1e-4 = 0.2 on CIFAR-10.

    Returns
    -------
    Tableau
        1-stage, 1-channel steps that stay, and steps between levels that keep x/alpha.

    References
    ----------
    Song and Ermon 2019, Algorithm 1: x + alpha_i/2 score + sqrt(alpha_i) z with alpha_i = epsilon sigma_i^2/sigma_L^2.
    """
    if isinstance(steps_each, bool) or int(steps_each) != steps_each or steps_each < 1:
        raise ValueError(f"steps_each is {steps_each!r}: give a whole number >= 1")
    if not (np.isfinite(ratio) and ratio > 0):
        raise ValueError(f"ratio is {ratio}: give a positive number")
    trace = Trace("annealed-langevin", path, grid, stochasticity=None)

    def settle(t: float) -> None:
        for _ in range(steps_each if path.sigma(t) > 0 else 0):
            step = trace.stay(t)
            (x,) = step.registers
            size = ratio * step.now.sigma**2
            step.close(x + size / 2 * step.score(x, step.now) + np.sqrt(size) * step.noise(None))

    settle(float(trace.grid[0]))
    for moving in trace.steps():
        (x,) = moving.registers
        moving.close(moving.next.alpha / moving.now.alpha * x)
        settle(float(moving.next.t[0]))
    return trace.tableau(steps_each=steps_each, ratio=ratio)
