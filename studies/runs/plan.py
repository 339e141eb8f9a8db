"""What a run has before it: cells that are done, that failed and that are missing, and how long those will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..store import Store
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


def plan(studies: Sequence[Study[Any]], store: Store | None) -> list[Part]:
    """Look through a store for the cells of studies."""
    times = {} if store is None else _times(store)
    every, parts = Work(studies, store).tasks(), []
    for number, study in enumerate(studies):
        tasks = [task for task in every if task.number == number]
        done, failed, missing = 0, 0, []
        for task in tasks:
            kept = None if store is None else store.load(task.key)
            if kept is None:
                missing.append(task)
            elif kept.failure is None:
                done += 1
            else:
                failed += 1
        parts.append(Part(study.name, len(tasks), done, failed, _estimate(missing, times)))
    return parts


def _times(store: Store) -> dict[str, list[tuple[Mapping[str, Any], float]]]:
    """Return seconds of cells on this machine with their axes, by study; of other code too."""
    found: dict[str, list[tuple[Mapping[str, Any], float]]] = {}
    seconds = store.seconds()
    for record in store if seconds else ():
        if record.key in seconds:
            found.setdefault(str(record.about.get("study")), []).append((record.about, seconds[record.key]))
    return found


def _estimate(
    missing: Sequence[Task], times: Mapping[str, Sequence[tuple[Mapping[str, Any], float]]]
) -> tuple[float, float] | None:
    """Add up the times of like cells: of those that share the first axes, the middle half."""
    low = high = 0.0
    for task in missing:
        known = times.get(task.study.name, ())
        if not known:
            return None
        shared = [tuple(str(about.get(k)) == str(v) for k, v in task.cell.of.items()) for about, _ in known]
        like = [seconds for (_, seconds), same in zip(known, shared, strict=True) if same == max(shared)]
        low += float(np.quantile(like, 0.25))
        high += float(np.quantile(like, 0.75))
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
