"""What a sample costs in time on this machine, beside what it costs in evaluations."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from solvers import sample

from ..made import made
from ..output.report import Report
from ..setting import Job
from ..study import Cell
from .errors import Asked
from .places import Place

REPEATS = 5
SHORTEST = 0.1  # seconds of processor time that are measured at once
FEWEST, MOST = 64, 1 << 20


@dataclass(frozen=True)
class Timed:
    """The time of one method at one place for so many evaluations.

    Attributes
    ----------
    method, target, path, grid : str
    budget, steps, nfe : int or float
    seconds, spread : float
        Processor time a sample, on one thread of `sample`: median of five, and half of their range.
    machine : str
        On which; times of several are never held against each other.
    """

    method: str
    target: str
    path: str
    grid: str
    budget: int
    steps: int
    nfe: float
    seconds: float
    spread: float
    machine: str


def time_of(place: Place, job: Job, asked: Asked, of: Mapping[str, str | int]) -> Cell[Any]:
    """Return the cell of one method's time, of this machine."""
    machine = str(made()["machine"])
    given = {"job": job, "place": place, "asked": asked, "machine": machine}
    return Cell({**of, "of": "time"}, partial(timed, job, place, asked), given)


def table_of(found: Sequence[Timed]) -> Report:
    """Return microseconds a sample."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for one in found:
        key = (one.method, one.target, one.path, one.grid)
        row = rows.setdefault(
            key, {"method": one.method, "target": one.target, "path": one.path, "grid": one.grid}
        )
        at = f"NFE {one.budget}" if one.budget else f"{one.steps} steps"
        row[at] = f"{1e6 * one.seconds:.3g}±{1e6 * one.spread:.1g}"
    note = "Processor time a sample on one thread, and half of the range of five measurements."
    everything = {"time": pd.DataFrame([vars(one) for one in found])}
    frame = pd.DataFrame(list(rows.values()))
    return Report("time", "Microseconds a sample on this machine", frame, [note], everything)


def timed(job: Job, place: Place, asked: Asked) -> list[Timed]:
    """Time one method's samples; nothing where it takes no so few steps, or the model is not a compiled one."""
    model = place.model
    try:
        method, steps, nfe = place.built(job, asked)
    except ValueError:  # the comparison says why
        return []
    if model is None:
        return []

    def once(n: int) -> float:
        began = time.process_time()
        sample(method, model, n, seed=0, threads=1)
        return time.process_time() - began

    n = FEWEST
    once(n)  # compiles
    while (spent := once(n)) < SHORTEST and n < MOST:
        n = min(MOST, max(2 * n, int(1.2 * n * SHORTEST / max(spent, 1e-4))))
    each = np.array([once(n) for _ in range(REPEATS)]) / n
    seconds, spread = float(np.median(each)), float(np.ptp(each) / 2)
    row = (job.label, place.target, place.path, place.grid, asked.budget, steps, nfe)
    return [Timed(*row, seconds, spread, str(made()["machine"]))]
