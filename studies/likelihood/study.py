"""The likelihood study: log-densities along the flow and of the sampler's map, held against the target's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytic import GaussianMixture
from solvers.continuous.executors.likelihood import BUTCHER, flow_log_density, map_log_density

from ..inference import fit, judge
from ..ladder import Ladder, Measurement
from ..setting import Job, Setting

Array = NDArray[np.float64]
RUNGS = (8, 16, 32, 64, 128, 256)
MAP_RUNGS = RUNGS[:-1]  # its Newton iterations cost several times as much
POINTS = 16
FLOW, MAP, PRIOR = "log-density", "map log-density", "log-density from prior"
ROUNDING = 4e-16


def likelihood(job: Job, name: str, target: GaussianMixture, setting: Setting) -> Iterator[Measurement]:
    """Measure one method's errors of log p(x) at fixed points of one target, root mean square in bits per dimension.

    Yields
    ------
    Measurement
        "log-density": the method on (x, log p) from the data to the noise, the exact marginal there; "log-density from
        prior": the conventional prior in its place, a floor; "map log-density": the exact log-density of the sampler of
        that name on the same grid.

    Raises
    ------
    ValueError
        A method that is no Runge-Kutta method.
    """
    if job.method.name not in BUTCHER:
        raise ValueError(f"method is {job.method.name!r}: use a Runge-Kutta method, {', '.join(BUTCHER)}")
    path, clock = setting.path, job.options.get("clock", "sigma")
    stop = float(setting.nodes(RUNGS[0])[-1])
    law = target.noised(float(path.alpha(stop)), float(path.sigma(stop)))
    x = law.sample(POINTS, setting.seed)
    truth = law.log_density(x)
    unit = target.dim * np.log(2)
    ladder = Ladder(job.method, job.start, setting, job.options)

    def flow(N: int, terminal: str) -> Array:
        times = setting.nodes(N)[::-1]
        return flow_log_density(
            job.method.name, path, times, target, x, clock=clock, terminal=terminal
        ).log_density

    # moving x by its rounding moves log p by the score times that
    sharp = float(np.sqrt(np.mean(np.sum(x**2, axis=1) * np.sum(law.score(x) ** 2, axis=1))))
    size = 10 * target.dim + float(np.max(np.abs(truth))) + sharp
    for metric, rungs in ((FLOW, RUNGS), (PRIOR, RUNGS), (MAP, MAP_RUNGS)):
        signed = np.full((len(rungs), POINTS), np.nan)
        for i, N in enumerate(rungs):
            try:
                if metric == MAP:
                    signed[i] = map_log_density(ladder[N], target, x) - truth
                else:
                    signed[i] = flow(N, "marginal" if metric == FLOW else "prior") - truth
            except FloatingPointError:
                continue  # unstable or folded on so few steps: nan, which `fit` leaves out
        signed /= unit
        errors = np.sqrt(np.mean(signed**2, axis=1))
        rounding = ROUNDING * size / unit * np.sqrt(rungs)
        yield ladder.measurement(name, metric, "exact", rungs, errors, rounding, fit(rungs, errors, rounding))


def summary(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """One row per method and target: claimed and measured orders, errors at 32 steps, and the error from the prior."""
    from solvers import catalogue

    rows = []
    for method, target in dict.fromkeys((m.method, m.target) for m in measurements):
        own = {m.metric: m for m in measurements if (m.method, m.target) == (method, target)}
        claim = catalogue[method].claims[0].order
        at = RUNGS.index(32)
        rows.append(
            {
                "method": method,
                "target": target,
                "claim": f"{claim:g}",
                "flow": str(own[FLOW].slope),
                "map": str(own[MAP].slope),
                "flow, 32 steps": f"{own[FLOW].errors[at]:.2e}",
                "map, 32 steps": f"{own[MAP].errors[at]:.2e}",
                "from prior, 256 steps": f"{own[PRIOR].errors[-1]:.2e}",
                "verdict": judge(claim, own[FLOW].slope),
            }
        )
    return pd.DataFrame(rows)


def probes(target: GaussianMixture, setting: Setting, steps: int = 64) -> pd.DataFrame:
    """Exact standard deviation of Hutchinson's estimate with one probe, root mean square in bits per dimension."""
    path, nodes = setting.path, setting.nodes(steps)
    law = target.noised(float(path.alpha(nodes[-1])), float(path.sigma(nodes[-1])))
    found = flow_log_density("heun", path, nodes[::-1], target, law.sample(POINTS, setting.seed))
    unit = target.dim * np.log(2)
    return pd.DataFrame(
        [
            {
                "probe": probe,
                "drawn": "at each evaluation" if fresh else "once",
                "deviation": float(np.sqrt(np.mean(found.variance(probe, fresh)))) / unit,
            }
            for probe in ("rademacher", "gaussian")
            for fresh in (False, True)
        ]
    )
