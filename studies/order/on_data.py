"""Error against cost on targets that only samples can measure: data sets, such as the digits or a user's own points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, distances
from solvers import Tableau, catalogue, sample
from solvers.continuous.executors.mixture_block import draw_samples

from ..inference import NOT_FITTED
from ..ladder import Measurement, first_of, long
from ..output.report import Report
from ..setting import Job, Setting
from ..study import Cell, Plain
from . import tables
from .charts import convergence
from .tables import EXACT_DRAWS

Array = NDArray[np.float64]
BUDGETS = (4, 8, 16, 32, 64)
REFERENCE_STEPS = 64
SAMPLES = 1024  # by default: energy distances take the square of it
PIXELS = 64  # of images that can be drawn
DRAWN = 16  # samples of a method and budget


class Reference:
    """What samples are compared with: fresh draws of the truth, and the flow's own end from the same start."""

    def __init__(self, name: str, target: GaussianMixture, setting: Setting) -> None:
        self.name, self.target, self.setting, self.n = name, target, setting, setting.samples
        self._fine = catalogue["dpm-solver++-3s"].tableau(setting.path, setting.nodes(REFERENCE_STEPS))
        self.end = target.noised(*self._fine.end)
        self.start = draw_samples(target.noised(*self._fine.start), self.n, setting.seed)

    @cached_property
    def truth(self) -> Array:
        """Draws of the exact marginal at the grid's end."""
        return draw_samples(self.end, self.n, self.setting.seed + 1)

    @cached_property
    def flow(self) -> Array:
        """Where the probability-flow ODE takes the start points."""
        return sample(self._fine, self.target, self.n, self.setting.seed, self.start)


def ladder_of(job: Job, setting: Setting, budgets: Sequence[int] = BUDGETS) -> dict[int, Tableau]:
    """Return a method's tableaux at about so many evaluations each, by their steps."""
    stages = job.method.tableau(setting.path, setting.nodes(8), **job.options).nfe / 8
    steps = sorted({max(1, int(budget / stages)) for budget in budgets})
    return {
        N: job.method.tableau(setting.path, setting.nodes(N), start=job.start, **job.options) for N in steps
    }


def error_against_cost(
    job: Job, reference: Reference, budgets: Sequence[int] = BUDGETS
) -> Iterator[Measurement]:
    """Measure one method at equal numbers of evaluations.

    Yields
    ------
    Measurement
        "energy": energy distance to fresh samples of the truth, unbiased, with its standard error; and for
        deterministic methods "flow": root mean square distance per sample from the end of the flow.
    """
    setting = reference.setting
    tableaux = ladder_of(job, setting, budgets)
    energy, spread, flow = [], [], []
    failures: dict[int, str] = {}
    for N, tableau in tableaux.items():
        try:
            x = sample(tableau, reference.target, reference.n, setting.seed, reference.start)
        except FloatingPointError as problem:
            x = np.full_like(reference.start, np.nan)
            failures[N] = str(problem)
        estimate = distances.energy_distance(x, reference.truth) if np.isfinite(x).all() else None
        energy.append(float("nan") if estimate is None else estimate.value)
        spread.append(float("nan") if estimate is None else estimate.error)
        if tableau.deterministic:
            flow.append(float(np.sqrt(np.mean(np.sum((x - reference.flow) ** 2, axis=1)))))

    def bundle(metric: str, errors: list[float], uncertainty: list[float]) -> Measurement:
        return Measurement(
            job.text,
            job.start,
            reference.name,
            metric,
            "samples",
            tuple(tableaux),
            tuple(tableau.nfe for tableau in tableaux.values()),
            tuple(errors),
            tuple(uncertainty),
            NOT_FITTED,
            reason=first_of(failures),
        )

    yield bundle("energy", energy, spread)
    if flow:
        yield bundle("flow", flow, [0.0] * len(flow))


def floor_of(reference: Reference) -> Measurement:
    """Measure as many exact draws as a method's samples: the energy distance that no method can be told to beat."""
    setting = reference.setting
    fresh = draw_samples(reference.end, reference.n, setting.seed + 2)
    found = distances.energy_distance(fresh, reference.truth)
    return Measurement(
        EXACT_DRAWS,
        "practical",
        reference.name,
        "energy",
        "samples",
        (0,),
        (0,),
        (found.value,),
        (found.error,),
        NOT_FITTED,
    )


@dataclass(frozen=True)
class DataErrors(Plain[Measurement]):
    """Error against evaluations on one data set, by samples, with those of exact draws beside them.

    Attributes
    ----------
    work : sequence of Job
    target_name : str
    target : GaussianMixture
    setting : Setting
    """

    work: Sequence[Job]
    target_name: str
    target: GaussianMixture
    setting: Setting

    name: ClassVar[str] = "order on data"
    record: ClassVar[type] = Measurement

    @cached_property
    def _reference(self) -> Reference:
        return Reference(self.target_name, self.target, self.setting)

    def cells(self) -> Iterable[Cell[Measurement]]:
        """One for each method, and one for exact draws."""
        given = {"law": self.target, "setting": self.setting}
        for job in self.work:
            of = {"method": job.text, "target": self.target_name}
            yield Cell(of, partial(self._errors, job), given | {"job": job})
        yield Cell({"method": EXACT_DRAWS, "target": self.target_name}, self._floor, given)

    def _errors(self, job: Job) -> list[Measurement]:
        return list(error_against_cost(job, self._reference))

    def _floor(self) -> list[Measurement]:
        return [floor_of(self._reference)]

    def reports(self, found: list[Measurement]) -> Iterable[Report]:
        """Return energy distances, and distances to the flow's end where a method follows the flow."""
        n, name = self.setting.samples, self.target_name
        titles = {
            "energy": f"Energy distance of {n} samples to {n} fresh ones of {name} ± standard error",
            "flow": "Root mean square distance to the end of the flow, deterministic methods",
        }
        for metric, title in titles.items():
            chosen = [m for m in found if m.metric == metric]
            if chosen:
                frame = tables.cost_summary(chosen, metric)
                yield Report(metric, title, frame, [], {"measurements": long(chosen)})

    def figures(self, found: list[Measurement]) -> Mapping[str, Any]:
        """Draw energy distances against NFE and, where the data are images, samples."""
        methods = [m for m in found if m.method != EXACT_DRAWS]
        charts = dict(convergence("energy", methods, self.setting.where))
        if self.target.dim == PIXELS:
            from ..output import pictures  # which is slow to import

            title = f"Samples on {self.target_name}, {self.setting.where}"
            charts["samples"] = pictures.pictures(self._drawn(), title)
        return charts

    def _drawn(self) -> dict[tuple[str, int], Array]:
        """The first samples of every method and budget: noise has addresses, so they are those measured."""
        start = self._reference.start[:DRAWN]
        drawn = {}
        for job in self.work:
            for tableau in ladder_of(job, self.setting).values():
                try:
                    x = sample(tableau, self.target, len(start), self.setting.seed, start)
                except FloatingPointError:
                    x = np.full_like(start, np.nan)
                drawn[job.text, tableau.nfe] = x
        return drawn


def by_samples_only(target: GaussianMixture) -> bool:
    """Return True for data: atoms in any dimension, and other mixtures in more than two, on which slopes say little."""
    return not target.is_gaussian and (target.dim > 2 or not target.variances.any())
