"""Restart sampling: go down, jump back up by adding noise, go down again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import catalogue
from ...continuous.butcher import EULER, HEUN
from ...continuous.tableau import Tableau
from ...continuous.trace import Trace
from ...protocols import Path
from .runge_kutta import flow_step

# steps, repeats, lowest and highest sigma/alpha: Xu et al. 2023, CIFAR-10 with the VP network
INTERVALS = ((3, 2, 0.06, 0.30),)
RHO = 7.0


@catalogue.method("restart", claims=[], source="Xu et al. 2023 (Restart), Algorithm 1")
def restart(path: Path, grid: ArrayLike, intervals: Sequence[Sequence[float]] = INTERVALS) -> Tableau:
    """Restart: Heun's method down the grid, and from some nodes up by noise and down by Heun's again, several times.

    No order is claimed: the restarts' own steps, few and fixed, do not shrink with the grid, so that their error stays.
    Two denoiser evaluations a step of the grid and of a restart.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    intervals : sequence of (steps, repeats, low, high)
        Of each restart: steps of one way down, how often, and sigma/alpha where it starts (the nearest node above 0)
        and up to which it goes. ValueError unless low < high and both are levels of the path.

    Returns
    -------
    Tableau
        2 stages, 1 register; a channel in the steps up.

    References
    ----------
    Xu, Deng, Cheng, Tian, Liu and Jaakkola 2023 (Restart sampling), Algorithm 1, its steps on Karras' grid.
    """
    trace = Trace("restart", path, grid)
    kappas = path.sigma(trace.grid[1:]) / path.alpha(trace.grid[1:])
    after: dict[int, list[tuple[int, int, float]]] = {}
    for interval in intervals:
        if len(interval) != 4:
            raise ValueError(f"intervals has {interval!r}: give (steps, repeats, low, high)")
        steps, repeats, low, high = interval
        if steps < 1 or repeats < 1 or not 0 < low < high:
            raise ValueError(f"intervals has {interval!r}: give steps, repeats >= 1 and 0 < low < high")
        usable = np.where(kappas > 0, np.abs(np.log(np.maximum(kappas, 1e-300) / low)), np.inf)
        after.setdefault(int(np.argmin(usable)), []).append((int(steps), int(repeats), float(high)))
    for index, step in enumerate(trace.steps()):
        (x,) = step.registers
        x, _ = flow_step(step, x, EULER if step.next.sigma[0] == 0 else HEUN)
        step.close(x)
        for steps, repeats, high in after.get(index, []):
            here, low = float(trace.grid[index + 1]), float(kappas[index])
            if high <= low:
                continue  # the node is above the interval
            share = np.linspace(0, 1, steps + 1)
            down = (high ** (1 / RHO) + share * (low ** (1 / RHO) - high ** (1 / RHO))) ** RHO
            times = path.time_of_log_snr(-np.log(down))
            times[-1] = here
            for _ in range(repeats):
                up = trace.aside(here, here, float(times[0]))
                (x,) = up.registers
                noise = np.sqrt(high**2 - low**2) * up.noise(None)
                up.close(up.next.alpha * (x / up.now.alpha + noise))
                for now, then in pairwise(times):
                    aside = trace.aside(here, float(now), float(then))
                    (x,) = aside.registers
                    x, _ = flow_step(aside, x, HEUN)
                    aside.close(x)
    return trace.tableau(intervals=[list(interval) for interval in intervals])
