"""What a run has before it: cells that are done, that failed and that are missing, and how long those will take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..store import Kept, Store
from ..study import Study, Task, Work


@dataclass(frozen=True)
class Part:
    """One study of a plan.

    Attributes
    ----------
    study : str
    cells, done, failed : int
    seconds : tuple of float or None
        Low and high estimate of the time that the missing cells take on one process; None if none like them was timed
        on this machine.
    """

    study: str
    cells: int
    done: int
    failed: int
    seconds: tuple[float, float] | None

    @property
    def missing(self) -> int:
        """Cells that are to be measured."""
        return self.cells - self.done - self.failed


class Like:
    """Seconds that cells took, narrowed axis by axis to those of the cells that share a value, where any does.

    Parameters
    ----------
    cells : sequence of (mapping of str to value, float)
        Axes and seconds; one or more.
    """

    def __init__(self, cells: Sequence[tuple[Mapping[str, Any], float]]) -> None:
        self._cells = cells
        self._by: dict[str, dict[str, Like]] = {}

    def sharing(self, axis: str, value: Any) -> Like:
        """Return the cells with a value on an axis, all of these if there is none."""
        if axis not in self._by:
            groups: dict[str, list[tuple[Mapping[str, Any], float]]] = {}
            for cell in self._cells:
                groups.setdefault(str(cell[0].get(axis)), []).append(cell)
            self._by[axis] = {found: Like(group) for found, group in groups.items()}
        return self._by[axis].get(str(value), self)

    @cached_property
    def middle(self) -> tuple[float, float]:
        """Seconds between which the middle half of them took."""
        low, high = np.quantile([seconds for _, seconds in self._cells], (0.25, 0.75))
        return float(low), float(high)


def plan(studies: Sequence[Study[Any]], store: Store | None) -> list[Part]:
    """Look through a store for the cells of studies."""
    kept = {} if store is None else {record.key: record for record in store}
    times = {} if store is None else _times(store, kept.values())
    every, parts = Work(studies, store).tasks(), []
    for number, study in enumerate(studies):
        tasks = [task for task in every if task.number == number]
        found = [kept.get(task.key) if kept else None for task in tasks]
        missing = [task for task, record in zip(tasks, found, strict=True) if record is None]
        failed = sum(record is not None and record.failure is not None for record in found)
        done = len(tasks) - len(missing) - failed
        parts.append(Part(study.name, len(tasks), done, failed, _estimate(missing, times.get(study.name))))
    return parts


def _times(store: Store, kept: Iterable[Kept]) -> dict[str, Like]:
    """Return how long cells took on this machine, by study; of other code too."""
    found: dict[str, list[tuple[Mapping[str, Any], float]]] = {}
    seconds = store.seconds()
    for record in kept:
        if record.key in seconds:
            found.setdefault(str(record.about.get("study")), []).append((record.about, seconds[record.key]))
    return {study: Like(cells) for study, cells in found.items()}


def _estimate(missing: Sequence[Task], known: Like | None) -> tuple[float, float] | None:
    """Add up the times of like cells: of those that share the first axes, the middle half."""
    if known is None:
        return None
    low = high = 0.0
    for task in missing:
        like = known
        for axis, value in task.cell.of.items():
            like = like.sharing(axis, value)
        low, high = low + like.middle[0], high + like.middle[1]
    return low, high


def told(parts: Sequence[Part], jobs: int) -> list[str]:
    """Return a plan in words, a line a study and one for all."""
    lines = []
    for part in parts:
        state = f"{part.done} done" + (f", {part.failed} failed" if part.failed else "")
        lines.append(f"{part.study}: {part.cells} cells, {state}, {part.missing} to do{_time(part, jobs)}")
    return lines


def _time(part: Part, jobs: int) -> str:
    if not part.missing:
        return ""
    if part.seconds is None:
        return "; none was timed on this machine so far"
    low, high = (seconds / jobs for seconds in part.seconds)
    return (
        f"; about {_seconds(low)} to {_seconds(max(high, low))} on {jobs} process{'es' if jobs > 1 else ''}"
    )


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return "1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
