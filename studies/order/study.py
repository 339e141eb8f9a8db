"""The order study: what order has each sampler, and does it keep what its paper claims?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from analytic import GaussianMixture
from analytic import targets as named

from ..engine import run
from ..ladder import Ladder, Measurement
from ..output.report import Report
from ..setting import Job, Setting, jobs
from ..study import Cell, Plain
from . import tables
from .charts import convergence
from .claims import Judgement, claims_of, judgements, reasons, uncovered
from .on_mixtures import measure

TARGETS = ("gaussian-1d", "easy-1d")


@dataclass(frozen=True)
class Orders(Plain[Measurement]):
    """Slopes of methods on mixtures, and the verdicts on their claims.

    Attributes
    ----------
    work : sequence of Job
    targets : mapping of str to GaussianMixture
    setting : Setting
    """

    work: Sequence[Job]
    targets: Mapping[str, GaussianMixture]
    setting: Setting = field(default_factory=Setting)

    name: ClassVar[str] = "order"
    record: ClassVar[type] = Measurement

    def cells(self) -> Iterable[Cell[Measurement]]:
        """One for each method from each start on each target."""
        for job in self.work:
            for name, target in self.targets.items():
                yield Cell(
                    {"method": job.text, "start": job.start, "target": name},
                    partial(_measured, job, name, target, self.setting),
                    {"job": job, "law": target, "setting": self.setting},
                )

    def reports(self, found: list[Measurement]) -> Iterable[Report]:
        """Return the table of claims beside measurements."""
        judged = self._judged(found)
        where, elsewhere = self._places
        title = f"Claimed and measured order, {where}"
        notes = [tables.legend(found), *elsewhere]
        stays = self.setting.stays
        notes += [f"No verdicts: {stays}."] if stays else uncovered(found, self.work)
        table, whole = tables.summary(found, judged), tables.everything(found, judged)
        yield Report("order", title, table, notes, whole, reasons=reasons(judged))

    def figures(self, found: list[Measurement]) -> Mapping[str, Any]:
        """Draw errors on the last target against NFE."""
        where, elsewhere = self._places
        where = f"{where} and others" if elsewhere else where
        return convergence("order", found, where, claims_of(self._judged(found)))

    def verdicts(self, found: list[Measurement]) -> Iterable[str]:
        """List the verdicts on all claims."""
        return [j.verdict for j in self._judged(found)]

    @property
    def _places(self) -> tuple[str, list[str]]:
        return self.setting.places(job.method for job in self.work)

    def _judged(self, found: list[Measurement]) -> list[Judgement]:
        """Verdicts, of which there are none on a grid that does not get finer."""
        return [] if self.setting.stays else judgements(found, self.work)


def _measured(job: Job, name: str, target: GaussianMixture, setting: Setting) -> list[Measurement]:
    here = setting.of(job.method)
    return measure(Ladder(job.method, job.start, here, dict(job.options)), name, here.on(target))


def order(
    methods: Sequence[str] | None = None,
    targets: Mapping[str, GaussianMixture] | Sequence[str] = TARGETS,
    setting: Setting | None = None,
    starts: Sequence[str] = ("practical", "exact"),
) -> tuple[list[Measurement], list[Judgement]]:
    """Measure methods on targets and hold their claims against the results.

    Parameters
    ----------
    methods : sequence of str, optional
        Catalogue names; all continuous ones by default.
    targets : names of `analytic.targets`, or a mapping of mixtures
    setting : Setting, optional
    starts : sequence of str
        Starts of multistep methods: "practical", "exact".

    Returns
    -------
    measurements, judgements
        `studies.order.tables` turns them into data frames.

    Raises
    ------
    ValueError
        An unknown name, or a setting a method cannot take.
    """
    chosen = targets if isinstance(targets, Mapping) else {name: named.load(name) for name in targets}
    study = Orders(jobs(methods, starts), chosen, setting or Setting())
    found = run(study)
    return found, judgements(found, study.work)
