"""A made-up study with two axes, as in CONTRIBUTING: how many digits of pi do two series give?"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from studies.output.report import Report
from studies.study import Cell, Plain

SERIES = {
    "leibniz": lambda k: 4 * (-1) ** k / (2 * k + 1),
    "euler": lambda k: 2 * 2**k / math.comb(2 * k, k) / (2 * k + 1),
}


@dataclass(frozen=True)
class Digits:
    """What one sum leaves."""

    series: str
    terms: int
    error: float
    status: str = "measured"


@dataclass(frozen=True)
class Pi(Plain[Digits]):
    """Error of partial sums for pi."""

    terms: tuple[int, ...] = (4, 8, 16, 32)
    wait: float = 0.0  # seconds a cell
    diary: Path | None = None  # a line for every cell that is measured
    spared: int = 0  # all other processes end in a deadly cell
    deadly: int = 0  # the number of terms in which euler's is one
    refused: int = 0  # the number of terms that is an error

    name: ClassVar[str] = "pi"
    record: ClassVar[type] = Digits

    def cells(self) -> Iterable[Cell[Digits]]:
        for series in SERIES:
            for terms in self.terms:
                yield Cell({"series": series, "terms": terms}, partial(self._sum, series, terms))

    def _sum(self, series: str, terms: int) -> list[Digits]:
        time.sleep(self.wait)
        if self.diary is not None:
            with self.diary.open("a") as file:
                file.write(f"{series} {terms} {os.getpid()}\n")
        if self.spared not in (0, os.getpid()) and (series, terms) == ("euler", self.deadly):
            os._exit(7)
        if terms == self.refused:
            raise ValueError(f"terms is {terms}: give another number")
        total = sum(SERIES[series](k) for k in range(terms))
        return [Digits(series, terms, abs(total - math.pi))]

    def reports(self, found: list[Digits]) -> Iterable[Report]:
        yield Report("pi", "Error of sums for pi", pd.DataFrame([vars(d) for d in found]))

    def verdicts(self, found: list[Digits]) -> Iterable[Any]:
        return [
            "confirmed" if d.series == "euler" and d.error < 1e-8 else "refuted"
            for d in found
            if d.terms == 32
        ]
