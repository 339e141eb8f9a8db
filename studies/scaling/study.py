"""The scaling studies: evaluations that continuous methods need, where their errors cross, and steps of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from analytic import targets

from ..laws import means_of
from ..output.report import Report
from ..setting import Job
from ..study import Cell, Plain
from . import on_tokens, tables
from .crossings import Crossing, crossings, pairs_of
from .needs import Growth, Needs, Plan

ON_THE_LINE = ("separation", "modes")


@dataclass(frozen=True)
class Evaluations(Plain[Growth | Crossing]):
    """Evaluations that methods need against one size after another, and where their errors cross.

    Attributes
    ----------
    work : sequence of Job
    plan : Plan
    against : sequence of str
        Some of `needs.AGAINST`; with "epsilon" methods are compared.
    everywhere : bool
        Measure methods whose densities take long on the line too, and compare all pairs.
    """

    work: Sequence[Job]
    plan: Plan
    against: Sequence[str]
    everywhere: bool = True
    _needs: dict[str, Needs] = field(default_factory=dict, repr=False, compare=False)

    name: ClassVar[str] = "evaluations needed"
    record: ClassVar[Any] = Growth | Crossing

    def cells(self) -> Iterable[Cell[Growth | Crossing]]:
        """One for each method and size varied, then one for each pair of methods and target."""
        # a named target can be a file: what it holds is what counts
        laws = {name: targets.load(name) for name in self.plan.targets}
        of = {job.label: job for job in self.work}
        for what in self.against:
            for label, job in of.items():
                if what in ON_THE_LINE and not self.needs(label).on_the_line:
                    continue
                given = {"job": job, "plan": self.plan, "laws": laws, "everywhere": self.everywhere}
                yield Cell({"against": what, "method": label}, partial(self._growths, label, what), given)
        for first, second in pairs_of(list(of), self.everywhere) if "epsilon" in self.against else ():
            for name, law in laws.items():
                if means_of(law, self.plan.model) == "samples":
                    continue  # where samples cross is where they happen to
                if law.is_gaussian or (self.needs(first).on_the_line and self.needs(second).on_the_line):
                    given = {"jobs": (of[first], of[second]), "plan": self.plan, "law": law}
                    axes = {"first": first, "second": second, "on": name}
                    yield Cell(axes, partial(self._crossings, first, second, name), given)

    def needs(self, label: str) -> Needs:
        """Return what a method has been asked so far, by its label."""
        if label not in self._needs:
            job = next(job for job in self.work if job.label == label)
            self._needs[label] = Needs(job, self.plan, everywhere=self.everywhere)
        return self._needs[label]

    def _growths(self, label: str, what: str) -> list[Growth]:
        return list(self.needs(label).against(what))

    def _crossings(self, first: str, second: str, name: str) -> list[Crossing]:
        return crossings(self.needs(first), self.needs(second), name)

    def skipped(self) -> Iterable[tuple[str, str]]:
        """List methods whose densities take seconds each."""
        if set(self.against) & {*ON_THE_LINE, "epsilon"}:
            slow = [job.label for job in self.work if not self.needs(job.label).on_the_line]
            if slow:
                yield (
                    f"{', '.join(slow)} on the line",
                    "a density takes seconds, name the method to have it measured",
                )

    def reports(self, found: list[Growth | Crossing]) -> Iterable[Report]:
        """Return a table for each size varied, and one of crossings on each target."""
        growths = [g for g in found if isinstance(g, Growth)]
        return tables.reports(growths, [c for c in found if isinstance(c, Crossing)])

    def figures(self, found: list[Growth | Crossing]) -> Mapping[str, Any]:
        """Draw evaluations against every size."""
        from .figure import figure  # which is slow to import

        return {"scaling": figure([g for g in found if isinstance(g, Growth)])}


@dataclass(frozen=True)
class TokenSteps(Plain[on_tokens.Scaling]):
    """How many steps ancestral sampling needs, against length and vocabulary, masks beside uniform noise.

    By enumeration for both noises, and for masks by the information profile to a length of 1000.
    """

    name: ClassVar[str] = "steps of tokens"
    record: ClassVar[Any] = on_tokens.Scaling

    def cells(self) -> Iterable[Cell[on_tokens.Scaling]]:
        """One a ladder of sizes."""
        for ladder in on_tokens.ladders():
            yield Cell(ladder.of, ladder.measure)

    def reports(self, found: list[on_tokens.Scaling]) -> Iterable[Report]:
        """Return exponents, and every number of steps."""
        everything = {"scaling-tokens": on_tokens.frame(found)}
        title = "Steps that ancestral sampling of tokens needs"
        yield Report("scaling-tokens", title, on_tokens.summary(found), [], everything)

    def figures(self, found: list[on_tokens.Scaling]) -> Mapping[str, Any]:
        """Draw steps against sizes."""
        from .figure import token_figure  # which is slow to import

        return {"scaling-tokens": token_figure(found)}
