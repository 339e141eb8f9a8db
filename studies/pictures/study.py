"""Pictures of samplers in the plane: where samples end, over the target's density, and the ways some of them went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from analytic import GaussianMixture
from solvers import run

from ..output.report import Report
from ..setting import Job, Setting, steps_for
from ..study import Cell, Plain

METHODS = (
    "euler",
    "heun",
    "dpm-solver-2",
    "dpm-solver++-2m",
    "dpm-solver++-3m",
    "unipc",
    "lms",
    "ddpm",
    "euler-maruyama",
    "sde-dpm-solver++-2m",
    "er-sde-3",
    "sa-solver",
)
BUDGETS = (5, 10, 20)
WAYS = 12  # trajectories drawn


@dataclass(frozen=True)
class Picture:
    """The samples of one method at one budget of evaluations.

    Attributes
    ----------
    method : str
    budget, steps, nfe : int
    x, y : tuple of float
        Ends of all samples.
    ways : tuple of tuples (x, y)
        The first samples at the start and after each step.
    log_density : float
        Mean log-density of the samples at the grid's end.
    status, reason : str
    """

    method: str
    budget: int
    steps: int
    nfe: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    ways: tuple[tuple[tuple[float, float], ...], ...]
    log_density: float
    status: str = "measured"
    reason: str = ""


@dataclass(frozen=True)
class Pictures(Plain[Picture]):
    """Samples and trajectories of methods in the plane.

    Attributes
    ----------
    work : sequence of Job
    target : str
    law : GaussianMixture
        Of dimension 2.
    setting : Setting
    budgets : tuple of int
        Evaluations a sample.
    """

    work: Sequence[Job]
    target: str
    law: GaussianMixture
    setting: Setting = field(default_factory=Setting)
    budgets: tuple[int, ...] = BUDGETS

    name: ClassVar[str] = "pictures"
    record: ClassVar[type] = Picture

    def cells(self) -> Iterable[Cell[Picture]]:
        """One for each method and budget."""
        for job in self.work:
            for budget in self.budgets:
                yield Cell(
                    {"method": job.text, "budget": budget},
                    partial(drawn, job, self.law, self.setting, budget),
                    {"job": job, "law": self.law, "setting": self.setting},
                )

    def reports(self, found: list[Picture]) -> Iterable[Report]:
        """Return the mean log-density of samples beside that of the target's own."""
        own = self._own()
        rows: dict[str, dict[str, str]] = {}
        for one in found:
            row = rows.setdefault(one.method, {"method": one.method})
            shown = f"{one.log_density:.2f}" if one.status == "measured" else one.status
            row[f"NFE {one.budget}"] = f"{shown} ({one.nfe})"
        note = (
            f"Mean log-density of the samples, in nats, and in brackets the evaluations made; the target's own is "
            f"{own:.2f}. Lower: samples between modes; higher: samples that crowd on them."
        )
        title = f"Samples of {self.target}, {self.setting.where}"
        numbers = ("method", "budget", "steps", "nfe", "log_density", "status", "reason")
        everything = {
            "pictures": pd.DataFrame([{name: getattr(one, name) for name in numbers} for one in found]),
            "samples": pd.concat(
                [
                    pd.DataFrame({"method": one.method, "budget": one.budget, "x": one.x, "y": one.y})
                    for one in found
                ]
            ),
        }
        yield Report("pictures", title, pd.DataFrame(list(rows.values())), [note], everything)

    def _own(self) -> float:
        """Mean log-density of exact samples at the grid's end."""
        end = self._end()
        return float(end.log_density(end.sample(20_000, seed=1)).mean())

    def _end(self) -> GaussianMixture:
        path, stop = self.setting.path, float(self.setting.nodes(4)[-1])
        law = self.setting.on(self.law)
        end: GaussianMixture = law.noised(float(path.alpha(stop)), float(path.sigma(stop)))
        return end

    def figures(self, found: list[Picture]) -> Mapping[str, Any]:
        """Draw a panel for each method and budget."""
        from .figure import panels

        return {"pictures": panels(found, self._end(), f"Samples of {self.target}, {self.setting.where}")}


def drawn(job: Job, law: GaussianMixture, setting: Setting, budget: int) -> list[Picture]:
    """Run one method on as many steps as the budget pays for, from the points that all start from."""
    path, asked = setting.path, setting.on(law)
    steps = steps_for(job, setting, budget)
    tableau = job.method.tableau(path, setting.nodes(steps), start=job.start, **job.options)
    start = asked.noised(*tableau.start).sample(setting.samples, seed=setting.seed)
    found = run(tableau, asked, start, setting.seed, full=True)
    ends = np.asarray(found.x)
    along = [np.asarray(x)[:WAYS] for x in found.trajectory]
    ways = tuple(tuple((float(x[w, 0]), float(x[w, 1])) for x in along) for w in range(min(WAYS, len(ends))))
    good = found.status == "ok"
    end = asked.noised(*tableau.end)
    return [
        Picture(
            job.text,
            budget,
            steps,
            tableau.nfe,
            tuple(ends[:, 0].tolist()),
            tuple(ends[:, 1].tolist()),
            ways,
            float(end.log_density(ends).mean()) if good else float("nan"),
            "measured" if good else "unstable",
            "" if good else found.status,
        )
    ]
