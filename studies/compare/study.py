"""Methods compared at equal numbers of evaluations, and which of them to take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ..laws import MEASURED, with_half
from ..numbers import Number
from ..output.report import Report
from ..setting import Job
from ..study import Cell, Plain
from .errors import TIE, Asked, Compared, alike, pooled
from .places import Place
from .timing import Timed, table_of, time_of


def _cell(job: Job, place: Place, asked: Asked) -> list[Compared]:
    return place.compared(job, asked)


@dataclass(frozen=True)
class Comparison(Plain[Compared | Timed]):
    """Every method at every place for every number of evaluations.

    Attributes
    ----------
    work : sequence of Job
    places : sequence of Place
    budgets, steps : sequence of int
        Evaluations that methods may take, or steps that they take, or both.
    metrics : sequence of str
        Those wanted, where a place has them; the sharpest of each if empty.
    samples : int
        In a block, where no law reaches.
    seeds : sequence of int
        One for each block of samples: more blocks are more precision.
    timed : bool
        Also measure what a sample takes in processor time on this machine.
    """

    work: Sequence[Job]
    places: Sequence[Place]
    budgets: Sequence[int] = ()
    steps: Sequence[int] = ()
    metrics: Sequence[str] = ()
    samples: int = 100_000
    seeds: Sequence[int] = (0,)
    timed: bool = False

    name: ClassVar[str] = "compare"
    record: ClassVar[Any] = Compared | Timed

    def cells(self) -> Iterable[Cell[Compared | Timed]]:
        """One for each method, place, number of evaluations, and block of samples where there are such; then times."""
        for job, place, asked, of in self._asked():
            blocks = self.seeds if place.by_samples else (0,)
            for seed in blocks:
                one = replace(asked, seed=seed)
                axes = of | ({"seed": seed} if place.by_samples else {})
                given = {"job": job, "place": place, "asked": one}
                yield Cell(axes, partial(_cell, job, place, one), given)
        for job, place, asked, of in self._asked() if self.timed else ():
            yield time_of(place, job, Asked(asked.budget, asked.steps, (), 0, 0), of)

    def _asked(self) -> Iterator[tuple[Job, Place, Asked, dict[str, str | int]]]:
        """Yield each method, place, what is asked of it, and these in words."""
        for place in self.places:
            samples = self.samples if place.by_samples else 0
            for budget, steps in (*((b, 0) for b in self.budgets), *((0, n) for n in self.steps)):
                for job in filter(place.takes, self.work):
                    of: dict[str, str | int] = {
                        "method": job.label,
                        "target": place.target,
                        "path": place.path,
                    }
                    of |= {"grid": place.grid} | ({"NFE": budget} if budget else {"steps": steps})
                    yield job, place, Asked(budget, steps, self._at(place), samples, 0), of

    def _at(self, place: Place) -> tuple[str, ...]:
        """Return the metrics wanted that a place has."""
        return tuple(m for m in self.metrics if m in place.metrics) if self.metrics else place.metrics[:1]

    def reports(self, found: list[Compared | Timed]) -> Iterable[Report]:
        """Return a table of errors for each place and metric, and what to take below the last; then one of times."""
        errors, times = _apart(found)
        whole = pooled(errors)
        tables = list(dict.fromkeys((c.target, c.path, c.grid, c.metric) for c in whole))
        for table in tables:
            own = [c for c in whole if (c.target, c.path, c.grid, c.metric) == table]
            target, path, grid, metric = table
            title = f"{metric} on {target} by evaluations, {path}, {grid} grid"
            notes = [_best_at(own_place) for own_place in _by_place(own)]
            if any(c.parts for c in own):
                notes.append(self._samples(own))
            if table == tables[-1]:
                notes.append(recommended(whole, " for tokens" if self.places[0].half == "discrete" else ""))
                notes += cheapest(whole)
            reasons = list(dict.fromkeys(f"{c.method}: {c.reason}" for c in own if c.reason))
            columns = [{k: v for k, v in vars(c).items() if k != "parts"} for c in own]
            everything = {"compare": pd.DataFrame(columns)}
            varied = [i for i in (1, 2, 3) if len({t[i] for t in tables if t[0] == target}) > 1]
            name = "-".join(("compare", target, *(table[i] for i in varied)))
            yield Report(_plain(name), title, _table(own), notes, everything, reasons=reasons)
        if times:
            yield table_of(times)

    def numbers(self, found: list[Compared | Timed]) -> Iterable[Number]:
        """List errors, blocks of samples pooled; times say something of a machine."""
        for c in pooled(_apart(found)[0]):
            of = (c.method, c.target, c.path, c.grid, c.metric, _asked(c))
            yield Number(of, c.error, c.uncertainty, bool(c.parts), status=c.status)

    def _samples(self, own: Sequence[Compared]) -> str:
        blocks = f" in {len(self.seeds)} blocks" if len(self.seeds) > 1 else ""
        floor = np.median([c.floor for c in own if c.parts])
        return (
            f"By {self.samples * len(self.seeds)} samples{blocks}; ± is half of the 99 % interval, and samples of the "
            f"truth itself have {floor:.2g}"
        )

    def figures(self, found: list[Compared | Timed]) -> Mapping[str, Any]:
        """Draw errors against evaluations, a panel a place, and against time where it was measured."""
        from .figure import against_time, figure

        errors, times = _apart(found)
        whole, samples = pooled(errors), self.samples * len(self.seeds)
        drawn = {"compare": figure(whole, samples)}
        return drawn | ({"compare-time": against_time(whole, times, samples)} if times else {})


def _apart(found: Iterable[Compared | Timed]) -> tuple[list[Compared], list[Timed]]:
    """Return errors and times, each by themselves."""
    known = list(found)
    return [c for c in known if isinstance(c, Compared)], [t for t in known if isinstance(t, Timed)]


def _plain(name: str) -> str:
    """Return a name that files can have."""
    kept = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)
    return "-".join(filter(None, kept.split("-")))


def _by_place(found: Sequence[Compared]) -> list[list[Compared]]:
    places: dict[Any, list[Compared]] = {}
    for c in found:
        places.setdefault(c.place, []).append(c)
    return list(places.values())


def _asked(c: Compared) -> str:
    return f"NFE {c.budget}" if c.budget else f"{c.steps} steps"


def _table(found: Sequence[Compared]) -> pd.DataFrame:
    ties = {id(c) for own in _by_place(found) for c in _first(own)}
    best = {id(c) for own in _by_place(found) for c in _ranked(own)[:1]}
    columns = list(dict.fromkeys(map(_asked, found)))
    rows = []
    for method in dict.fromkeys(c.method for c in found):
        row: dict[str, str] = {"method": method, **dict.fromkeys(columns, "–")}
        for c in (c for c in found if c.method == method):
            mark = " *" if id(c) in best else " =" if id(c) in ties else ""
            row[_asked(c)] = _shown(c) + mark
        rows.append(row)
    return pd.DataFrame(rows)


def _shown(c: Compared) -> str:
    if c.status != MEASURED:
        return c.status
    return with_half(c.error, c.uncertainty)


def _ranked(found: Sequence[Compared]) -> list[Compared]:
    return sorted((c for c in found if c.status == MEASURED), key=lambda c: c.error)


def _first(found: Sequence[Compared]) -> list[Compared]:
    """Return the best at a place, and what is a tie with it."""
    ranked = _ranked(found)
    return [c for c in ranked if c is ranked[0] or alike(ranked[0], c)]


def _best_at(found: Sequence[Compared]) -> str:
    at, ranked = _asked(found[0]), _ranked(found)
    if not ranked:
        return f"{at}: no method has an error here"
    first, *others = ranked
    ties = [c.method for c in _first(found)[1:]]
    told = f"{at}: {first.method} in {first.steps} steps"
    if first.floor and first.error < 2 * first.floor:
        told += f", near the floor of {first.floor:.2g} that samples of the truth have"
    if ties:
        return f"{told}; a tie (=) with {', '.join(ties)}"
    if not others:
        return told
    return f"{told}; {others[0].method} has {others[0].told / first.told:.3g} times its error"


def recommended(found: Sequence[Compared], what: str = "") -> str:
    """Say in a sentence which method to take, by the mean of its errors' ratios to the best at each place, or a tie."""
    places = _by_place(found)
    methods = dict.fromkeys(c.method for c in found)
    ratios: dict[str, list[float]] = {method: [] for method in methods}
    for own in places:
        measured = {c.method: c.told for c in own if c.status == MEASURED and c.told > 0}
        for method in methods:
            known = method in measured
            ratios[method].append(measured[method] / min(measured.values()) if known else np.inf)
    scores = {method: float(np.exp(np.mean(np.log(values)))) for method, values in ratios.items()}
    ranked = sorted((score, method) for method, score in scores.items() if np.isfinite(score))
    if not ranked:
        return f"Recommended{what}: none, as no method was measured everywhere"
    (score, first), *others = ranked
    if not others:
        return f"Recommended{what}: {first}, the one method that was measured everywhere"
    margin = others[0][0] / score
    worst = max(ratios[first])
    if margin < TIE:
        within = f"{100 * (TIE - 1):.0f} % over {len(places)} places"
        return f"Recommended{what}: a tie between {first} and {others[0][1]}, within {within}"
    best = "the best at each" if worst == 1 else f"nowhere more than {worst:.3g} times worse than the best"
    return (
        f"Recommended{what}: {first}, on the mean {margin:.3g} times better than {others[0][1]}, the next, over "
        f"{len(places)} places, and {best}"
    )


def cheapest(found: Sequence[Compared]) -> list[str]:
    """Say for each target which setting takes the fewest evaluations of those that are a tie with the best of all."""
    told = []
    for target, metric in dict.fromkeys((c.target, c.metric) for c in found):
        own = [c for c in found if (c.target, c.metric) == (target, metric)]
        ties = _first(own)
        if not ties:
            continue
        few = min(ties, key=lambda c: (c.nfe, c.error))
        best = ties[0]
        at = f"{few.method} on {few.path} with the {few.grid} grid in {few.steps} steps, {few.nfe:g} evaluations"
        why = (
            f"of {best.error:.3g}, the least here"
            if few is best
            else f"of {few.error:.3g}, a tie with the least, {best.error:.3g} by {best.method} in {best.nfe:g}"
        )
        told.append(f"Setting for {target}: {at}, {metric} {why}")
    return told
