"""The checks of one sampler as a study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pandas as pd

from ..output.report import Report
from ..study import Cell, Plain
from .checks import CHECKS, FAILED, NOT_ASKED, PASSED, UNRESOLVED, Finding
from .subject import Subject, source_of

WORDS = {PASSED: "confirmed", FAILED: "refuted", UNRESOLVED: "unresolved"}


def _asked(name: str, subject: Subject) -> list[Finding]:
    return [CHECKS[name](subject)]


@dataclass(frozen=True)
class Verification(Plain[Finding]):
    """Every check of one sampler.

    Attributes
    ----------
    subject : Subject
    """

    subject: Subject

    name: ClassVar[str] = "verify"
    record: ClassVar[Any] = Finding

    def cells(self) -> Iterable[Cell[Finding]]:
        """One for each check."""
        given = {
            "source": source_of(self.subject),
            "path": self.subject.path,
            "claim": (self.subject.order, self.subject.sense, self.subject.nfe),
        }
        for name in CHECKS:
            yield Cell(
                {"sampler": str(self.subject), "check": name}, partial(_asked, name, self.subject), given
            )

    def reports(self, found: list[Finding]) -> Iterable[Report]:
        """Return what was found, and below it what failures mean."""
        rows = [{"check": f.check, "result": f.result, "found": f.found} for f in found]
        notes = [f"{f.check}: {f.means}" for f in found if f.result == FAILED]
        counts = {
            word: sum(f.result == word for f in found) for word in (PASSED, FAILED, UNRESOLVED, NOT_ASKED)
        }
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        claim = (
            "no order" if self.subject.order is None else f"{self.subject.sense} order {self.subject.order:g}"
        )
        title = f"{self.subject}, {self.subject.path!r} path, claims {claim}: {said}"
        whole = {"verify": pd.DataFrame([vars(f) for f in found])}
        yield Report("verify", title, pd.DataFrame(rows), notes, whole)

    def verdicts(self, found: list[Finding]) -> Iterable[str]:
        """Passed, failed and unresolved, in the words of claims."""
        return [WORDS[f.result] for f in found if f.result in WORDS]
