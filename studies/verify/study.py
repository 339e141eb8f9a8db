"""The checks of one sampler as a study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pandas as pd

from ..numbers import Number
from ..output.report import Report
from ..study import Cell, Plain
from .checks import CHECKS
from .contract import FAILED, NOT_ASKED, PASSED, UNRESOLVED, Check, Finding
from .named import CLAIMS, source_of
from .subject import Subject
from .token_checks import TOKEN_CHECKS
from .token_subject import TokenSubject

WORDS = {PASSED: "confirmed", FAILED: "refuted", UNRESOLVED: "unresolved"}


def checks_of(subject: Subject | TokenSubject) -> dict[str, Check]:
    """Return the checks that there are for a sampler of its kind, by name."""
    return TOKEN_CHECKS if isinstance(subject, TokenSubject) else CHECKS


def _asked(name: str, subject: Subject | TokenSubject) -> list[Finding]:
    return [checks_of(subject)[name](subject)]


@dataclass(frozen=True)
class Verification(Plain[Finding]):
    """Every check of one sampler.

    Attributes
    ----------
    subject : Subject or TokenSubject
    """

    subject: Subject | TokenSubject

    name: ClassVar[str] = "verify"
    record: ClassVar[Any] = Finding

    def cells(self) -> Iterable[Cell[Finding]]:
        """One for each check."""
        kept = ("where", *CLAIMS)
        given = {"source": source_of(self.subject)}
        given |= {name: value for name, value in vars(self.subject).items() if name in kept}
        for name in checks_of(self.subject):
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
        title = f"{_told(self.subject)}: {said}"
        whole = {"verify": pd.DataFrame([vars(f) for f in found])}
        yield Report("verify", title, pd.DataFrame(rows), notes, whole)

    def numbers(self, found: list[Finding]) -> Iterable[Number]:
        """List the checks: one that passed and no longer does is worse."""
        for f in found:
            passed = f.result == PASSED
            yield Number((f.sampler, f.check), float(passed), status="measured" if passed else f.result)

    def verdicts(self, found: list[Finding]) -> Iterable[str]:
        """Passed, failed and unresolved, in the words of claims."""
        return [WORDS[f.result] for f in found if f.result in WORDS]


def _told(subject: Subject | TokenSubject) -> str:
    """Return a sampler's name, where it is asked and what it claims."""
    where = f"{subject.noise} tokens" if isinstance(subject, TokenSubject) else f"{subject.path!r} path"
    sense = "TV" if isinstance(subject, TokenSubject) else subject.sense
    claim = "no order" if subject.order is None else f"{sense} order {subject.order:g}"
    return f"{subject.where}, {where}, claims {claim}"
