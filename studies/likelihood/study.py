"""The likelihood study: log-densities along the flow and of the sampler's map, held against the target's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytic import GaussianMixture
from solvers import Claim
from solvers.continuous.executors.likelihood import BUTCHER, flow_log_density, map_log_density

from ..inference import fit, judge
from ..ladder import Ladder, Measurement, first_of, long
from ..output.report import Report
from ..setting import Job, Setting
from ..study import Cell, Plain

Array = NDArray[np.float64]
RUNGS = (8, 16, 32, 64, 128, 256)
MAP_RUNGS = RUNGS[:-1]  # its Newton iterations cost several times as much
POINTS = 16
PROBED = 64  # steps along which probes are compared
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
        failures: dict[int, str] = {}
        for i, N in enumerate(rungs):
            try:
                if metric == MAP:
                    signed[i] = map_log_density(ladder[N], target, x) - truth
                else:
                    signed[i] = flow(N, "marginal" if metric == FLOW else "prior") - truth
            except (
                FloatingPointError
            ) as problem:  # unstable or folded on so few steps: nan, which `fit` leaves out
                failures[N] = str(problem)
        signed /= unit
        errors = np.sqrt(np.mean(signed**2, axis=1))
        rounding = ROUNDING * size / unit * np.sqrt(rungs)
        slope = fit(rungs, errors, rounding)
        yield ladder.measurement(name, metric, "exact", rungs, errors, rounding, slope, first_of(failures))


@dataclass(frozen=True)
class Spread:
    """Exact standard deviation of Hutchinson's estimate with one probe, root mean square in bits per dimension.

    Attributes
    ----------
    target : str
    probe : str
        "rademacher" or "gaussian".
    drawn : str
        "once" or "at each evaluation".
    deviation : float
    """

    target: str
    probe: str
    drawn: str
    deviation: float


def probes(name: str, target: GaussianMixture, setting: Setting, steps: int = PROBED) -> list[Spread]:
    """Measure the spread of each kind of probe along the flow of heun."""
    path, nodes = setting.path, setting.nodes(steps)
    law = target.noised(float(path.alpha(nodes[-1])), float(path.sigma(nodes[-1])))
    found = flow_log_density("heun", path, nodes[::-1], target, law.sample(POINTS, setting.seed))
    unit = target.dim * np.log(2)
    return [
        Spread(
            name,
            probe,
            "at each evaluation" if fresh else "once",
            float(np.sqrt(np.mean(found.variance(probe, fresh)))) / unit,
        )
        for probe in ("rademacher", "gaussian")
        for fresh in (False, True)
    ]


@dataclass(frozen=True)
class Likelihoods(Plain[Measurement | Spread]):
    """Orders of log p(x) of Runge-Kutta methods on targets, and the spread of Hutchinson's estimator there.

    Attributes
    ----------
    work : sequence of Job
    targets : mapping of str to GaussianMixture
    setting : Setting
    """

    work: Sequence[Job]
    targets: Mapping[str, GaussianMixture]
    setting: Setting = field(default_factory=Setting)

    name: ClassVar[str] = "likelihood"
    record: ClassVar[Any] = Measurement | Spread

    def cells(self) -> Iterable[Cell[Measurement | Spread]]:
        """One for each method on each target, and one a target for the probes."""
        for name, target in self.targets.items():
            given = {"law": target, "setting": self.setting}
            for job in self.work:
                measure = partial(likelihood, job, name, target, self.setting)
                yield Cell({"method": job.text, "target": name}, measure, given | {"job": job})
            yield Cell(
                {"method": "probes", "target": name}, partial(probes, name, target, self.setting), given
            )

    def reports(self, found: list[Measurement | Spread]) -> Iterable[Report]:
        """Return the orders with their claims, and the probes."""
        measured = [m for m in found if isinstance(m, Measurement)]
        title = f"Error of log p(x) in bits per dimension, {self.setting.where}"
        notes = [
            "flow: order of the method on (x, log p), from the exact marginal. map: order of the exact log-density of "
            "the sampler's own map. from prior: with N(0, s^2 I) in the marginal's place, which leaves a floor."
        ]
        yield Report(
            "likelihood", title, self._summary(measured), notes, {"likelihood": long(measured, self._claims)}
        )
        spreads = pd.DataFrame([asdict(s) for s in found if isinstance(s, Spread)])
        shown = spreads[["probe", "drawn", "deviation", "target"]]
        yield Report("probes", f"Hutchinson's estimator, one probe, {PROBED} steps of heun", shown)

    def figures(self, found: list[Measurement | Spread]) -> Mapping[str, Any]:
        """Draw the errors of the flow on the last target."""
        from ..output import figures  # which is slow to import

        last = list(self.targets)[-1]
        drawn = [m for m in found if isinstance(m, Measurement) and (m.target, m.metric) == (last, FLOW)]
        title = f"Error of log p(x) on {last}, bits per dimension"
        return {"likelihood": figures.convergence(long(drawn, self._claims), title, of="bits per dimension")}

    def verdicts(self, found: list[Measurement | Spread]) -> Iterable[str]:
        """List the verdicts on the order of the flow, which is to be that of the method."""
        measured = [m for m in found if isinstance(m, Measurement) and m.metric == FLOW]
        return [judge(self._claims[m.method][0].order, m.slope) for m in measured]

    @property
    def _claims(self) -> dict[str, Sequence[Claim]]:
        return {job.text: job.method.claims for job in self.work}

    def _summary(self, measured: Sequence[Measurement]) -> pd.DataFrame:
        """One row per method and target: claimed and measured orders, errors at 32 steps and from the prior."""
        rows = []
        at = RUNGS.index(32)
        for method, target in dict.fromkeys((m.method, m.target) for m in measured):
            own = {m.metric: m for m in measured if (m.method, m.target) == (method, target)}
            claim = self._claims[method][0].order
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
