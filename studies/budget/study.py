"""The budget study: the error of methods on targets in so many steps, split by cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from ..laws import MEASURED
from ..output.report import Report
from ..setting import Job
from ..study import Cell, Plain
from .parts import STEPS, Bench, Budget, budgets
from .tables import summary, table

NOTES = (
    "Shares in per cent of W2, signed; they and the remainder add up to 100. Parts, each switched on alone: initial: "
    "the prior in place of the marginal.",
    "truncation: stopping before the data. discretisation: finite steps. score: the imperfect model. precision: "
    "float32. remainder: what parts do to each other; interaction: its largest possible size.",
)
SAMPLED = (
    "± on W2: sliced W2 by samples, and its standard error; those of shares are in the whole table. A share below "
    "its own is not seen."
)


@dataclass(frozen=True)
class Budgets(Plain[Budget]):
    """Error budgets of methods on targets.

    Attributes
    ----------
    work : sequence of Job
    benches : sequence of Bench
        A target each, all in one setting.
    steps : sequence of int
    score : str
        The imperfect score in words.
    """

    work: Sequence[Job]
    benches: Sequence[Bench]
    steps: Sequence[int] = STEPS
    score: str = "exact"

    name: ClassVar[str] = "budget"
    record: ClassVar[Any] = Budget

    def cells(self) -> Iterable[Cell[Budget]]:
        """One for each method on each target: the methods of one target share its fine laws."""
        for bench in self.benches:
            for job in self.work:
                of = {"method": job.label, "target": bench.name, "score": self.score}
                given = {"job": job, "bench": bench, "steps": self.steps}
                yield Cell(of, partial(budgets, job, bench, self.steps), given)

    def reports(self, found: list[Budget]) -> Iterable[Report]:
        """Return one table."""
        failed = [
            f"{b.status}: {b.method} on {b.target} in {b.steps} steps: {b.reason}" for b in found if b.reason
        ]
        sampled = [SAMPLED] if any(b.means == "samples" for b in found) else []
        notes = [*NOTES, *sampled, *failed]
        yield Report("budget", self._title, summary(found), notes, {"budget": table(found)})

    def figures(self, found: list[Budget]) -> Mapping[str, Any]:
        """Draw the shares that were measured."""
        from .figure import figure  # which is slow to import

        measured = [b for b in found if b.status == MEASURED]
        return {"budget": figure(measured, self._title)} if measured else {}

    @property
    def _title(self) -> str:
        return f"Error budget: {self.benches[0].setting.where}, score {self.score}"
