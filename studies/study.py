"""A study: a question taken apart into cells that can be measured alone, kept, resumed and shown.

Every verb of the command is one. A study says what its cells are and how to read what they found; `engine.run`
measures them, on several cores if asked, and keeps each as soon as it is done; `output.report.show` prints and writes
what was found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from .fingerprints import fingerprint
from .output.report import Report
from .reached import code_reached
from .store import Store

if TYPE_CHECKING:
    from .numbers import Number

R = TypeVar("R")


@dataclass(frozen=True)
class Cell(Generic[R]):
    """The smallest part of a study that is measured and kept.

    Attributes
    ----------
    of : mapping of str to what JSON can hold
        The cell's axes by name, as a reader would write them: method, target, noise, steps, ...
    measure : callable
        () -> records. Pure and seeded. A measurement that diverges is a record with a status; what it raises is kept
        and shown as a failure of the cell.
    given : mapping
        Everything else the records depend on, as objects: the target, the path, numbers of samples, seeds, ... The
        key of what is kept is the fingerprint of both, so that nothing may be left out.
    """

    of: Mapping[str, Any]
    measure: Callable[[], Iterable[R]]
    given: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(str(value) for value in self.of.values())


class Study(Protocol[R]):
    """A question.

    Attributes
    ----------
    name : str
        Of its progress, and part of every key.
    record : type
        What cells find, a frozen dataclass (or a union of such) whose fields JSON can hold.
    alone : bool
        Whether a cell must have the machine to itself.
    """

    @property
    def name(self) -> str: ...

    @property
    def record(self) -> Any: ...

    @property
    def alone(self) -> bool: ...

    def cells(self) -> Iterable[Cell[R]]:
        """List what is to be measured, in the order that tables show; the same list in every process."""

    def skipped(self) -> Iterable[tuple[str, str]]:
        """List what was asked for and is not measured, and why."""

    def reports(self, found: list[R]) -> Iterable[Report]:
        """Turn what was found into tables."""

    def figures(self, found: list[R]) -> Mapping[str, Any]:
        """Draw what was found, by the names of the files; nothing where there is nothing to draw."""

    def verdicts(self, found: list[R]) -> Iterable[str]:
        """List the verdicts on expectations, "confirmed" or another word; none where nothing is expected."""

    def numbers(self, found: list[R]) -> Iterable[Number]:
        """List the numbers that were found, by which runs are held against each other."""


class Plain(Generic[R]):
    """What a study does that skips nothing, draws nothing and expects nothing."""

    alone: ClassVar[bool] = False

    def skipped(self) -> Iterable[tuple[str, str]]:
        """Skip nothing."""
        return ()

    def figures(self, found: list[R]) -> Mapping[str, Any]:
        """Draw nothing."""
        return {}

    def verdicts(self, found: list[R]) -> Iterable[str]:
        """Expect nothing."""
        return ()

    def numbers(self, found: list[R]) -> Iterable[Number]:
        """List the numbers in the records."""
        from .numbers import numbers_of  # with the methods, which telling what a verb is does not need

        return numbers_of(found)


@dataclass(frozen=True)
class Failure:
    """A cell that could not be measured.

    Attributes
    ----------
    of : mapping
        The cell's axes.
    kind, reason : str
        The class of what was raised, and what it says; "DiedError" of a process that ended.
    """

    of: Mapping[str, Any]
    kind: str
    reason: str

    @classmethod
    def by(cls, cell: Cell[Any], raised: BaseException) -> Failure:
        """Return what stands for a cell that raised something."""
        known = (kind.__name__ for kind in (ValueError, TypeError) if isinstance(raised, kind))
        return cls(cell.of, next(known, type(raised).__name__), str(raised) or repr(raised))

    @property
    def wrongly_asked(self) -> bool:
        """Whether the measurement refused what it was asked."""
        return self.kind in ("ValueError", "TypeError")

    def error(self) -> Exception:
        """Return what may be raised in its place."""
        if self.wrongly_asked:
            return (ValueError if self.kind == "ValueError" else TypeError)(self.reason)
        return RuntimeError(f"{self}")

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.of.values()))}: {self.kind}: {self.reason}"


class DiedError(RuntimeError):
    """A process ended while it measured."""


@dataclass
class Found(Generic[R]):
    """What a study's cells found, in their order, and the cells that failed."""

    records: list[R] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What measuring a cell gave: records or a failure, and the seconds it took."""

    records: list[Any]
    failure: Failure | None = None
    seconds: float = 0.0


def key_of(study: Study[Any], cell: Cell[Any]) -> str:
    """Return the key under which a cell's records are kept: of its study, its axes, what it is given, what it runs."""
    code = code_reached(cell.measure, cell.given, study.record)
    return fingerprint(study.name, cell.of, cell.given, code)


@cache
def _reader(record: Any) -> Any:
    from pydantic import TypeAdapter  # only where something is kept

    return TypeAdapter(list[record])


def restored(study: Study[R], saved: Any) -> list[R]:
    """Rebuild a study's records from what JSON made of them; ValueError if they are of another form."""
    found: list[R] = _reader(study.record).validate_python(saved)
    return found


@dataclass(frozen=True)
class Task:
    """A cell, of which study it is, and where its records are kept."""

    number: int
    study: Study[Any]
    cell: Cell[Any]
    store: Store | None

    @cached_property
    def key(self) -> str:
        """What its records are kept under."""
        return key_of(self.study, self.cell)

    def load(self, retry: bool = False) -> Answer | None:
        """Return what was measured before, or None; with `retry` a failure is none."""
        kept = None if self.store is None else self.store.load(self.key)
        if kept is None or (retry and kept.failure is not None):
            return None
        if kept.failure is not None:
            return Answer([], Failure(self.cell.of, kept.failure["kind"], kept.failure["reason"]))
        return Answer(restored(self.study, kept.result))

    def measure(self) -> Answer:
        """Measure the cell; what it raises is an answer too."""
        if self.store is not None:
            self.key  # noqa: B018 (of things as they are before)
        began = time.perf_counter()
        try:
            records = list(self.cell.measure())
        except Exception as raised:
            return Answer([], Failure.by(self.cell, raised), time.perf_counter() - began)
        return Answer(records, None, time.perf_counter() - began)

    def keep(self, answer: Answer) -> Answer:
        """Keep an answer; returned as it will be read back, numbers of the fields' types."""
        if self.store is None:
            return answer
        about = {"study": self.study.name, **self.cell.of}
        if answer.failure is not None:
            failure = {"kind": answer.failure.kind, "reason": answer.failure.reason}
            self.store.save(self.key, None, about, failure=failure, seconds=answer.seconds)
            return answer
        plain = [asdict(record) for record in answer.records]
        self.store.save(self.key, plain, about, seconds=answer.seconds)
        return replace(answer, records=restored(self.study, plain))


@dataclass(frozen=True)
class Work:
    """Studies that are measured together, as they are sent to other processes."""

    studies: Sequence[Study[Any]]
    store: Store | None

    def tasks(self) -> list[Task]:
        """List the cells of all studies; the same list in every process."""
        return [
            Task(number, study, cell, self.store)
            for number, study in enumerate(self.studies)
            for cell in study.cells()
        ]


def verdicts_fail(verdicts: Sequence[str], strict: str | None) -> bool:
    """Return True if verdicts fail a strict run: "refuted" minds what is not met, "all" what is not confirmed."""
    if strict is None:
        return False
    if strict == "refuted":
        return any(verdict in ("refuted", "not met") for verdict in verdicts)
    return any(verdict not in ("confirmed", "no claim") for verdict in verdicts)
