"""Methods compared at equal numbers of evaluations, and which of them to take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from analytic import GaussianMixture

from ..laws import MEASURED
from ..output.report import Report
from ..setting import Job, Setting
from ..study import Cell, Plain
from .errors import TIE, Compared, alike, compared


def _cell(job: Job, name: str, target: GaussianMixture, setting: Setting, budget: int) -> list[Compared]:
    return [compared(job, name, target, setting, budget)]


@dataclass(frozen=True)
class Comparison(Plain[Compared]):
    """Every method on every target at every number of evaluations.

    Attributes
    ----------
    work : sequence of Job
    targets : mapping of str to GaussianMixture
    setting : Setting
    budgets : sequence of int
    """

    work: Sequence[Job]
    targets: Mapping[str, GaussianMixture]
    setting: Setting
    budgets: Sequence[int]

    name: ClassVar[str] = "compare"
    record: ClassVar[Any] = Compared

    def cells(self) -> Iterable[Cell[Compared]]:
        """One for each method, target and number of evaluations."""
        for name, target in self.targets.items():
            for budget in self.budgets:
                for job in self.work:
                    yield Cell(
                        {"method": job.label, "target": name, "NFE": budget},
                        partial(_cell, job, name, target, self.setting, budget),
                        {"job": job, "target": target, "setting": self.setting},
                    )

    def reports(self, found: list[Compared]) -> Iterable[Report]:
        """Return a table of errors for each target, and what to take below the last."""
        for name in self.targets:
            own = [c for c in found if c.target == name]
            title = f"{own[0].metric} on {name} by evaluations, {self.setting.where}"
            notes = [_best_at(budget, [c for c in own if c.budget == budget]) for budget in self.budgets]
            if name == list(self.targets)[-1]:
                notes.append(recommended(found))
            reasons = list(dict.fromkeys(f"{c.method}: {c.reason}" for c in own if c.reason))
            everything = {"compare": pd.DataFrame([vars(c) for c in own])}
            yield Report(f"compare-{name}", title, _table(own), notes, everything, reasons=reasons)

    def figures(self, found: list[Compared]) -> Mapping[str, Any]:
        """Draw errors against evaluations, a panel a target."""
        from .figure import figure

        return {"compare": figure(found)}


def _table(found: Sequence[Compared]) -> pd.DataFrame:
    best = {
        budget: min((c.error for c in found if c.budget == budget and c.status == MEASURED), default=np.nan)
        for budget in dict.fromkeys(c.budget for c in found)
    }
    rows = []
    for method in dict.fromkeys(c.method for c in found):
        row: dict[str, str] = {"method": method}
        for c in (c for c in found if c.method == method):
            row[f"NFE {c.budget}"] = _shown(c, best[c.budget])
        rows.append(row)
    return pd.DataFrame(rows)


def _shown(c: Compared, best: float) -> str:
    if c.status != MEASURED:
        return c.status
    spread = f"±{c.uncertainty:.1g}" if c.uncertainty else ""
    return f"{c.error:.3g}{spread}{' *' if c.error == best else ''}"


def _best_at(budget: int, found: Sequence[Compared]) -> str:
    ranked = sorted((c for c in found if c.status == MEASURED), key=lambda c: c.error)
    if not ranked:
        return f"NFE {budget}: no method has an error here"
    first, *others = ranked
    ties = [c.method for c in others if alike(first, c)]
    told = f"NFE {budget}: {first.method} in {first.steps} steps"
    if first.floor and first.error < 2 * first.floor:
        told += f", near the floor of {first.floor:.2g} that samples of the truth have"
    if ties:
        return f"{told}; a tie with {', '.join(ties)}"
    return (
        told
        if not others
        else f"{told}; {others[0].method} has {others[0].told / first.told:.3g} times its error"
    )


def recommended(found: Sequence[Compared]) -> str:
    """Say in a sentence which method to take, by the mean of its errors' ratios to the best at each place, or a tie."""
    places = dict.fromkeys((c.target, c.budget) for c in found)
    ratios: dict[str, list[float]] = {}
    for place in places:
        own = [c for c in found if (c.target, c.budget) == place]
        measured = {c.method: c.told for c in own if c.status == MEASURED}
        for c in own:
            known = c.method in measured and measured[c.method] > 0
            ratios.setdefault(c.method, []).append(
                measured[c.method] / min(measured.values()) if known else np.inf
            )
    scores = {method: float(np.exp(np.mean(np.log(values)))) for method, values in ratios.items()}
    ranked = sorted((score, method) for method, score in scores.items() if np.isfinite(score))
    if not ranked:
        return "Recommended: none, as no method was measured everywhere"
    (score, first), *others = ranked
    if not others:
        return f"Recommended: {first}, the one method that was measured everywhere"
    margin = others[0][0] / score
    worst = max(ratios[first])
    if margin < TIE:
        within = f"{100 * (TIE - 1):.0f} % over {len(places)} places"
        return f"Recommended: a tie between {first} and {others[0][1]}, within {within}"
    best = "the best at each" if worst == 1 else f"nowhere more than {worst:.3g} times worse than the best"
    return (
        f"Recommended: {first}, on the mean {margin:.3g} times better than {others[0][1]}, the next, over "
        f"{len(places)} places, and {best}"
    )
