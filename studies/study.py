"""A study: a question taken apart into cells that can be measured alone, kept, resumed and shown.

Every verb of the command is one. A study says what its cells are and how to read what they found; `run` measures
them, on several cores if asked, and keeps each as soon as it is done; `show` prints and writes what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

from .fingerprints import code, fingerprint
from .output.progress import Progress
from .output.report import Report
from .store import Store

R = TypeVar("R")


@dataclass(frozen=True)
class Cell(Generic[R]):
    """The smallest part of a study that is measured and kept.

    Attributes
    ----------
    of : mapping of str to what JSON can hold
        The cell's axes by name, as a reader would write them: method, target, noise, steps, ...
    measure : callable
        () -> records. Pure and seeded. A measurement that fails is a record with a status; it raises only for what
        the user asked wrongly.
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
    """

    @property
    def name(self) -> str: ...

    @property
    def record(self) -> Any: ...

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


class Plain(Generic[R]):
    """What a study does that skips nothing, draws nothing and expects nothing."""

    def skipped(self) -> Iterable[tuple[str, str]]:
        """Skip nothing."""
        return ()

    def figures(self, found: list[R]) -> Mapping[str, Any]:
        """Draw nothing."""
        return {}

    def verdicts(self, found: list[R]) -> Iterable[str]:
        """Expect nothing."""
        return ()


def key_of(study: Study[Any], cell: Cell[Any]) -> str:
    """Return the key under which a cell's records are kept: of its study, its axes, all it is given, and the code."""
    return fingerprint(study.name, cell.of, cell.given, code())


def run(study: Study[R], store: Store | None = None, jobs: int = 1) -> list[R]:
    """Measure a study's cells and return their records in the order of the cells: `run_all` of one study."""
    (found,) = run_all([study], store, jobs)
    return found


def run_all(studies: Sequence[Study[Any]], store: Store | None = None, jobs: int = 1) -> list[list[Any]]:
    """Measure the cells of studies and return their records, of each study in the order of its cells.

    Parameters
    ----------
    studies : sequence of Study
    store : Store, optional
        What it has already is read, and each cell is kept as soon as it is measured, so that a killed run loses nothing
        that was finished and another run goes on from there.
    jobs : int
        Processes that measure: this one and, beyond the first, new ones, which import the studies' modules.

    Returns
    -------
    list of lists of records
        The same for any number of jobs.

    Raises
    ------
    ValueError, TypeError
        What the cells say is wrong with what was asked, or a study that cannot be sent to another process.
    """
    if not (isinstance(jobs, int) and jobs >= 1):
        raise ValueError(f"jobs is {jobs!r}: give a whole number of processes, at least 1")
    work = Work([Kept(study, store) for study in studies])
    tasks = work.tasks()
    found = {place: known for place, task in enumerate(tasks) if (known := task.load()) is not None}
    left = [place for place in range(len(tasks)) if place not in found]
    with Progress(
        ", ".join(dict.fromkeys(study.name for study in studies)), len(tasks), len(found)
    ) as progress:
        if jobs == 1 or len(left) < 2:
            for place in left:
                progress.now(str(tasks[place].cell))
                found[place] = tasks[place].measure()
                progress.done()
        else:
            from .workers import Workers

            with Workers(work, min(jobs, len(left)) - 1) as workers:
                found |= workers.measure(tasks, left, progress)
    return [
        [record for place, task in enumerate(tasks) if task.kept is kept for record in found[place]]
        for kept in work.kept
    ]


@cache
def _reader(record: Any) -> Any:
    from pydantic import TypeAdapter  # only where something is kept

    return TypeAdapter(list[record])


@dataclass
class Kept(Generic[R]):
    """A study's records as a store holds them."""

    study: Study[R]
    store: Store | None

    def load(self, cell: Cell[R]) -> list[R] | None:
        """Return the records of a cell that was measured before, or None."""
        saved = None if self.store is None else self.store.load(key_of(self.study, cell))
        return None if saved is None else self.restored(saved)

    def restored(self, saved: Any) -> list[R]:
        """Rebuild records from what JSON made of them."""
        found: list[R] = _reader(self.study.record).validate_python(saved)
        return found

    def measured(self, cell: Cell[R]) -> list[R]:
        """Measure a cell and keep its records; returned as they will be read back, numbers of the fields' types."""
        found = list(cell.measure())
        if self.store is None:
            return found
        plain = [asdict(record) for record in found]  # type: ignore[call-overload]
        self.store.save(key_of(self.study, cell), plain, cell.of)
        return self.restored(plain)


@dataclass(frozen=True)
class Task:
    """A cell, and where its records are kept."""

    kept: Kept[Any]
    cell: Cell[Any]

    def load(self) -> list[Any] | None:
        """Return what was measured before, or None."""
        return self.kept.load(self.cell)

    def measure(self) -> list[Any]:
        """Measure the cell and keep what it found."""
        return self.kept.measured(self.cell)


@dataclass(frozen=True)
class Work:
    """Studies that are measured together, as they are sent to other processes."""

    kept: Sequence[Kept[Any]]

    def tasks(self) -> list[Task]:
        """List the cells of all studies; the same list in every process."""
        return [Task(kept, cell) for kept in self.kept for cell in kept.study.cells()]


def verdicts_fail(verdicts: Sequence[str], strict: str | None) -> bool:
    """Return True if verdicts fail a strict run: "refuted" minds what is not met, "all" what is not confirmed."""
    if strict is None:
        return False
    if strict == "refuted":
        return any(verdict in ("refuted", "not met") for verdict in verdicts)
    return any(verdict not in ("confirmed", "no claim") for verdict in verdicts)
