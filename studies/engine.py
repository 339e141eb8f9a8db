"""Studies are run: what a store has is read, the rest is measured here, in other processes, or by an executor."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

from .output.progress import Progress
from .store import Store
from .study import Found, Study, Work
from .workers import Workers, measured_by

R = TypeVar("R")


def run(
    study: Study[R], store: Store | None = None, jobs: int = 1, executor: Executor | None = None
) -> list[R]:
    """Measure a study's cells and return their records in the order of the cells: `run_all` of one study.

    Raises what the first cell that failed raised: ValueError or TypeError as it was, anything else as RuntimeError.
    """
    (found,) = run_all([study], store, jobs, executor)
    if found.failures:
        raise found.failures[0].error()
    return found.records


def run_all(
    studies: Sequence[Study[Any]],
    store: Store | None = None,
    jobs: int = 1,
    executor: Executor | None = None,
    retry: bool = False,
) -> list[Found[Any]]:
    """Measure the cells of studies and return their records, of each study in the order of its cells.

    Parameters
    ----------
    studies : sequence of Study
    store : Store, optional
        What it has already is read, and each cell is kept as soon as it is measured, so that a killed run loses nothing
        that was finished and another run goes on from there.
    jobs : int
        Processes that measure: this one and, beyond the first, new ones, which import the studies' modules. One alone
        where a study says that its cells must have the machine to themselves.
    executor : concurrent.futures.Executor, optional
        Measures instead: a pool of yours, on other machines too, that can import what this process can.
    retry : bool
        Measure again what the store has as failed.

    Returns
    -------
    list of Found
        Records are the same for any number of jobs and any executor. A cell that raises is a failure, kept as well.

    Raises
    ------
    ValueError
        A study that cannot be sent to another process.
    """
    if not (isinstance(jobs, int) and jobs >= 1):
        raise ValueError(f"jobs is {jobs!r}: give a whole number of processes, at least 1")
    work = Work(list(studies), store)
    tasks = work.tasks()
    known = ((place, task.load(retry)) for place, task in enumerate(tasks))
    answers = {place: answer for place, answer in known if answer is not None}
    left = [place for place in range(len(tasks)) if place not in answers]
    names = ", ".join(dict.fromkeys(study.name for study in studies))
    with Progress(names, len(tasks), len(answers)) as progress:
        if executor is not None and left:
            answers |= measured_by(executor, work, tasks, left, progress)
        elif jobs == 1 or len(left) < 2 or any(study.alone for study in studies):
            for place in left:
                progress.now(str(tasks[place].cell))
                answers[place] = tasks[place].keep(tasks[place].measure())
                progress.done()
        else:
            with Workers(work, min(jobs, len(left)) - 1) as workers:
                answers |= workers.measure(tasks, left, progress)
    found: list[Found[Any]] = [Found() for _ in studies]
    for place, task in enumerate(tasks):
        found[task.number].records += answers[place].records
        failure = answers[place].failure
        found[task.number].failures += [] if failure is None else [failure]
    return found
