"""The gap study: what is varied, series by series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar

import pandas as pd

from ..laws import MEASURED
from ..numbers import Number, numbers_of
from ..output.report import Report
from ..study import Cell, Plain
from .gaps import (
    KNOBS,
    PULSE_ETAS,
    TRUTH,
    Gap,
    Plan,
    along_the_way,
    by_evaluations,
    by_noise,
    by_pulse,
    by_size,
)
from .tables import tables_of
from .wrong_start import METHODS, by_start


@dataclass(frozen=True)
class Gaps(Plain[Gap]):
    """Gaps between ODE law, SDE law and truth as one thing after another is varied.

    Attributes
    ----------
    plan : Plan
    vary : sequence of str
        Some of `SERIES`.
    """

    plan: Plan
    vary: Sequence[str]

    name: ClassVar[str] = "gap"
    record: ClassVar[Any] = Gap

    def cells(self) -> Iterable[Cell[Gap]]:
        """One for each series of a figure: a knob, an amount of noise, a method."""
        for vary in self.vary:
            for series, measure in SERIES[vary](self.plan).items():
                of = {"vary": vary, "series": series, "target": self.plan.name}
                yield Cell(of, partial(measure, self.plan), {"plan": self.plan})

    def reports(self, found: list[Gap]) -> Iterable[Report]:
        """Return a table for each thing varied."""
        plan = self.plan
        where = f"{plan.name}, {plan.steps} steps, {plan.error.shape} error of {plan.error.size:g} in {plan.error.of}"
        everything = pd.DataFrame([asdict(g) for g in found])
        for name, title, frame, notes in tables_of(found):
            place = f"{plan.name}, {plan.setting.where}" if name == "start" else where
            own = {"gap": everything[everything["study"] == name]}
            failed = {g.reason: g for g in found if g.study == name and g.reason}
            notes = notes + [f"{g.status}: {g.of}, {g.knob} {g.value:g}: {why}" for why, g in failed.items()]
            yield Report(f"gap-{name.replace(' ', '-')}", f"{title}: {place}", frame, notes, own)

    def figures(self, found: list[Gap]) -> Mapping[str, Any]:
        """Draw a panel for each thing varied."""
        from .figure import figure  # which is slow to import

        drawn = [g for g in found if g.study != "start"]  # which is a table
        return {"gap": figure(drawn)} if any(g.status == MEASURED for g in drawn) else {}

    def numbers(self, found: list[Gap]) -> Iterable[Number]:
        """List the gaps; those from the truth are errors."""
        for gap in found:
            for number in numbers_of([gap]):
                yield replace(number, error=gap.to == TRUTH and number.of[-1] == "gap")


Series = Callable[[Plan], dict[str, Callable[[Plan], Iterator[Gap]]]]
SERIES: Mapping[str, Series] = {
    "size": lambda plan: {"all": by_size},
    "noise": lambda plan: {knob: partial(by_noise, knobs={knob: KNOBS[knob]}) for knob in KNOBS},
    "pulse": lambda plan: {f"eta = {eta:g}": partial(by_pulse, etas=(eta,)) for eta in PULSE_ETAS},
    "contraction": lambda plan: {m: partial(along_the_way, methods=(m,)) for m in (plan.ode, plan.sde)},
    "evaluations": lambda plan: {m: partial(by_evaluations, methods=(m,)) for m in (plan.ode, plan.sde)},
    "start": lambda plan: {m: partial(by_start, methods=(m,)) for m in METHODS},
}
