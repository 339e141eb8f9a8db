"""Other processes that measure a study's cells beside this one.

Each takes one cell at a time and keeps what it found itself, so that nothing finished is lost if this process is
killed; it ends when this process does.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context, parent_process
from typing import Any

from .output.progress import Progress
from .specifications import load_methods, loaded


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

    def __init__(self, work: Any, count: int) -> None:
        try:
            self._work = pickle.dumps(work)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                f"jobs is {count + 1}, but the study cannot be sent to another process ({error}): use 1 job"
            ) from None
        self._threads_each = max(1, (os.cpu_count() or 1) // (count + 1))
        # a new interpreter: a copy of this one would not have the threads that compiled code may have started here
        context = get_context("spawn")
        self._pipes: list[Any] = []
        self._processes = []
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(
                target=_serve, args=(there, loaded(), self._work, self._threads_each), daemon=True
            )
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()  # what it had finished is kept
            process.join()

    def measure(
        self, tasks: Sequence[Any], places: Sequence[int], progress: Progress
    ) -> dict[int, list[Any]]:
        """Measure tasks, in the workers and in this process, each as soon as one is free.

        This process starts from the front and the workers from the back: cells that are alike stand together, and each
        process then reads the compiled code of its own. Returns the records by place. Raises what a cell raises, and
        RuntimeError if a worker dies.
        """
        waiting = deque(places)
        found: dict[int, list[Any]] = {}
        failures: list[BaseException] = []
        lock = threading.Lock()

        def take(next_one: Callable[[], int]) -> int | None:
            with lock:
                if failures or not waiting:
                    return None
                place = next_one()
                progress.now(str(tasks[place].cell))
                return place

        def there(pipe: Any) -> None:
            while (place := take(waiting.pop)) is not None:
                try:
                    pipe.send(place)
                    records = pipe.recv()
                except (EOFError, OSError):
                    records = RuntimeError(f"a process died while it measured {tasks[place].cell}")
                if isinstance(records, BaseException):
                    failures.append(records)
                    return
                found[place] = records
                progress.done()

        threads = [threading.Thread(target=there, args=(pipe,), daemon=True) for pipe in self._pipes]
        for thread in threads:
            thread.start()
        with _threads(self._threads_each):
            while (place := take(waiting.popleft)) is not None:
                found[place] = tasks[place].measure()
                progress.done()
        for thread in threads:
            while thread.is_alive():  # so that Ctrl-C is heard
                thread.join(0.2)
        if failures:
            raise failures[0]
        return found


def _threads(count: int) -> Any:
    from solvers.numerics.jit import using_threads

    return using_threads(count)


def _serve(pipe: Any, files: Sequence[str], work: bytes, threads: int) -> None:
    """Measure the cells whose places come through the pipe, until the process that started this one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for file in files:
        load_methods(file)
    tasks = pickle.loads(work).tasks()
    with _threads(threads):
        while True:
            try:
                place = pipe.recv()
            except EOFError:
                return
            try:
                answer: Any = tasks[place].measure()
            except Exception as error:  # whatever it is, the process that asked raises it
                answer = error
            pipe.send(answer)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
