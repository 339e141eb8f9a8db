"""Other processes that measure a study's cells beside this one.

Each takes one cell at a time and keeps what it found itself, so that nothing finished is lost if this process is
killed; it ends when this process does.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context, parent_process
from typing import Any

from .output.progress import Progress
from .specifications import load_methods, loaded


class Workers:
    """Processes that know one study.

    Parameters
    ----------
    kept : Kept
        The study with where they keep what they measure, sent to them once, by pickle.
    count : int

    Raises
    ------
    ValueError
        A study that cannot be pickled.
    """

    def __init__(self, kept: Any, count: int) -> None:
        try:
            self._study = pickle.dumps(kept)
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
                target=_serve, args=(there, loaded(), self._study, self._threads_each), daemon=True
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
        self,
        cells: Sequence[Any],
        places: Sequence[int],
        here: Callable[[Any], list[Any]],
        progress: Progress,
    ) -> dict[int, list[Any]]:
        """Measure cells, in the workers and in this process, each as soon as one is free.

        Returns their records by place. Raises what a cell raises, and RuntimeError if a worker dies.
        """
        waiting = list(reversed(places))
        found: dict[int, list[Any]] = {}
        failures: list[BaseException] = []
        lock = threading.Lock()

        def take() -> int | None:
            with lock:
                if failures or not waiting:
                    return None
                progress.now(str(cells[waiting[-1]]))
                return waiting.pop()

        def there(pipe: Any) -> None:
            while (place := take()) is not None:
                try:
                    pipe.send(place)
                    records = pipe.recv()
                except (EOFError, OSError):
                    records = RuntimeError(f"a process died while it measured {cells[place]}")
                if isinstance(records, BaseException):
                    failures.append(records)
                    return
                found[place] = records
                progress.done()

        threads = [threading.Thread(target=there, args=(pipe,), daemon=True) for pipe in self._pipes]
        for thread in threads:
            thread.start()
        with _threads(self._threads_each):
            while (place := take()) is not None:
                found[place] = here(cells[place])
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


def _serve(pipe: Any, files: Sequence[str], study: bytes, threads: int) -> None:
    """Measure the cells whose places come through the pipe, until the process that started this one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for file in files:
        load_methods(file)
    kept = pickle.loads(study)
    cells = list(kept.study.cells())
    with _threads(threads):
        while True:
            try:
                place = pipe.recv()
            except EOFError:
                return
            try:
                answer: Any = kept.measured(cells[place])
            except Exception as error:  # whatever it is, the process that asked raises it
                answer = error
            pipe.send(answer)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
