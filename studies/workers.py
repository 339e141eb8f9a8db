"""Other processes that measure a study's cells: new ones beside this one, or those of an executor.

Processes started here take one cell at a time and keep what they found themselves, so that nothing finished is lost if
this one is killed, with which they end. What an executor's found is kept here, as soon as it arrives.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from functools import lru_cache
from multiprocessing import connection, get_context, parent_process
from typing import Any

from .output.progress import Progress
from .specifications import load_methods, loaded
from .study import Answer, DiedError, Failure, Task, Work

LIVES = 2  # processes that a cell may end before it counts as failed
WAITING = 64  # cells that an executor is given at once


def sent(work: Work, where: str) -> bytes:
    """Return studies as they travel to another process; ValueError for one that cannot."""
    try:
        # files first: what they define is needed to read the rest
        return pickle.dumps((loaded(), pickle.dumps(work)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{where}, but the study cannot be sent to another process ({error}): use 1 job"
        ) from None


class Workers:
    """Processes that know some studies.

    Parameters
    ----------
    work : Work
        The studies with where they keep what they measure, sent to them once, by pickle.
    count : int

    Raises
    ------
    ValueError
        A study that cannot be pickled.
    """

    def __init__(self, work: Work, count: int) -> None:
        self._threads_each = max(1, (os.cpu_count() or 1) // (count + 1))
        told = sent(work, f"jobs is {count + 1}")
        self._workers = [_Worker(told, self._threads_each) for _ in range(count)]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()  # what it had finished is kept

    def measure(self, tasks: Sequence[Task], places: Sequence[int], progress: Progress) -> dict[int, Answer]:
        """Measure tasks, in the workers and in this process, each as soon as one is free.

        This process starts from the front and the workers from the back: cells that are alike stand together, and each
        process then reads the compiled code of its own. Returns the answers by place. A cell that ends two processes
        has failed.
        """
        waiting = deque(places)
        found: dict[int, Answer] = {}
        broken: list[BaseException] = []
        lock = threading.Lock()

        def take(next_one: Callable[[], int]) -> int | None:
            with lock:
                if broken or not waiting:
                    return None
                place = next_one()
                progress.now(str(tasks[place].cell))
                return place

        def there(worker: _Worker) -> None:
            while (place := take(waiting.pop)) is not None:
                try:
                    found[place] = worker.measure(place, tasks[place])
                except BaseException as error:  # raised where it is heard
                    broken.append(error)
                    return
                progress.done()

        threads = [threading.Thread(target=there, args=(worker,), daemon=True) for worker in self._workers]
        for thread in threads:
            thread.start()
        with _threads(self._threads_each):
            while (place := take(waiting.popleft)) is not None:
                found[place] = tasks[place].keep(tasks[place].measure())
                progress.done()
        for thread in threads:
            while thread.is_alive():  # so that Ctrl-C is heard
                thread.join(0.2)
        if broken:
            raise broken[0]
        return found


class _Worker:
    """One process and the pipe to it; a new one where it dies."""

    def __init__(self, work: bytes, threads: int) -> None:
        self._told, self._over = (work, threads), False
        self._start()

    def _start(self) -> None:
        # a new interpreter: a copy of this one would not have the threads that compiled code may have started here
        context = get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, *self._told), daemon=True)
        self._process.start()
        there.close()

    def end(self) -> None:
        """End the process for good, whatever it does."""
        self._over = True
        self._process.kill()
        self._process.join()

    def measure(self, place: int, task: Task) -> Answer:
        """Return the answer of a task, which the process keeps; of one that ends two processes, a failure."""
        for _ in range(LIVES):
            try:
                self._pipe.send(place)
                answer: Answer = self._pipe.recv()
            except (EOFError, OSError):
                if self._over:
                    raise
                self._process.join()
                code = self._process.exitcode or 0
                self._start()
            else:
                return answer
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        died = DiedError(f"{LIVES} processes ended {how} while they measured this")
        return task.keep(Answer([], Failure.by(task.cell, died)))


def measured_by(
    executor: Executor, work: Work, tasks: Sequence[Task], places: Sequence[int], progress: Progress
) -> dict[int, Answer]:
    """Measure tasks by an executor and return the answers by place, each kept here as soon as it is there.

    Raises RuntimeError if the executor itself breaks, with what it says; what was finished is kept.
    """
    told = sent(Work(work.studies, None), "executor is given")
    waiting, found = deque(places), dict[int, Answer]()
    running: dict[Future[Answer], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < WAITING:
                place = waiting.popleft()
                running[executor.submit(measured_there, told, place)] = place
                progress.now(str(tasks[place].cell))
            for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                place = running.pop(future)
                raised = future.exception()
                if raised is None:
                    answer = future.result()
                elif _ended_by_its_cell(raised):
                    answer = Answer([], Failure.by(tasks[place].cell, DiedError(str(raised))))
                else:
                    raise RuntimeError(f"executor broke: {type(raised).__name__}: {raised}") from raised
                found[place] = tasks[place].keep(answer)
                progress.done()
    finally:
        for future in running:
            future.cancel()
    return found


def _ended_by_its_cell(raised: BaseException) -> bool:
    """Whether an executor gave a cell up because workers died of it, as Dask does after a retry."""
    return type(raised).__name__ == "KilledWorker"


def measured_there(told: bytes, place: int) -> Answer:
    """Measure the cell at a place of the studies that were sent, in this process."""
    return _tasks(told)[place].measure()


@lru_cache(maxsize=2)
def _tasks(told: bytes) -> list[Task]:
    files, work = pickle.loads(told)
    for file in files:
        load_methods(file)
    found: list[Task] = pickle.loads(work).tasks()
    return found


def _threads(count: int) -> Any:
    from solvers.numerics.jit import using_threads

    return using_threads(count)


def _serve(pipe: Any, told: bytes, threads: int) -> None:
    """Measure the cells whose places come through the pipe, until the process that started this one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tasks = _tasks(told)
    with _threads(threads):
        while True:
            try:
                place = pipe.recv()
            except EOFError:
                return
            pipe.send(tasks[place].keep(tasks[place].measure()))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
