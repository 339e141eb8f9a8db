"""What two runs' folders say of each other, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..numbers import Number
from ..output.report import Report
from .difference import ALIKE, BETTER, GONE, NEW, OTHER, SAME, VERDICTS, WORSE, Difference, differences
from .folder import RunFolder


@dataclass(frozen=True)
class Runs:
    """Two runs.

    Attributes
    ----------
    before, after : Path
    differences : list of Difference
    """

    before: Path
    after: Path
    differences: list[Difference]

    @classmethod
    def of(cls, before: Path, after: Path) -> Runs:
        """Read two folders."""
        return cls(before, after, differences(_numbers(before), _numbers(after)))

    def fails(self, on: str) -> bool:
        """Return True where a number is worse or gone, or, on "changed", is not the same or alike."""
        fatal = (WORSE, GONE) if on == "worse" else (WORSE, GONE, OTHER, BETTER, NEW)
        return any(d.verdict in fatal for d in self.differences)

    def skipped(self) -> Iterable[tuple[str, str]]:
        """Skip nothing."""
        return ()

    def figures(self, found: list[Difference]) -> Mapping[str, Any]:
        """Draw nothing."""
        return {}

    def reports(self, found: list[Difference]) -> Iterable[Report]:
        """Return a table of what differs, and how many numbers there are of each kind."""
        counts = Counter(d.verdict for d in found)
        shown = sorted(
            (d for d in found if d.verdict not in (SAME, ALIKE)), key=lambda d: VERDICTS.index(d.verdict)
        )
        rows = [
            {
                "verdict": d.verdict,
                "of": ", ".join(d.of),
                "before": d.before,
                "after": d.after,
                "ratio": d.after / d.before if d.before else np.nan,
            }
            for d in shown
        ]
        told = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v]) or "no numbers"
        notes = [f"{len(found)} numbers: {told}"]
        columns = ["verdict", "of", "before", "after", "ratio"]
        everything = {"diff": pd.DataFrame([{**vars(d), "of": ", ".join(d.of)} for d in found])}
        title = f"What differs between {self.before} and {self.after}"
        yield Report("diff", title, pd.DataFrame(rows, columns=columns), notes, everything)


def _numbers(folder: Path) -> dict[tuple[str, ...], Number]:
    at = RunFolder.existing(folder)
    studies = at.declared().studies()
    found: dict[tuple[str, ...], Number] = {}
    for study, one in zip(studies, at.found(studies), strict=True):
        for number in study.numbers(one.records):
            of, times = (study.name, *number.of), 1
            while of in found:  # asked more than once: told apart by their order
                times += 1
                of = (study.name, *number.of, f"asked {times} times")
            found[of] = number
        for failure in one.failures:
            of = (study.name, *map(str, failure.of.values()), "failed")
            found[of] = Number(of, float("nan"), status="failed")
    return found
