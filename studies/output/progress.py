"""How far a study is: a bar on a terminal, a line now and then elsewhere, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

EVERY = 30.0  # seconds between two lines where there is no terminal


class Progress:
    """Counts cells while they are measured.

    Parameters
    ----------
    name : str
        Of what is measured.
    total, kept : int
        Cells in all, and those that were kept from an earlier run.
    """

    def __init__(self, name: str, total: int, kept: int = 0) -> None:
        self.name, self.total, self.kept, self.count = name, total, kept, kept
        self._what, self._began = "", time.monotonic()
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self.count == self.total:
            return self
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(self.name, total=self.total, completed=self.count)
            self._bar.start()
        else:
            threading.Thread(target=self._report, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.stop()

    def now(self, what: str) -> None:
        """Say what is being measured."""
        self._what = what
        if self._bar is not None:
            self._bar.update(self._task, description=what)

    def done(self) -> None:
        """Count one more cell."""
        with self._lock:
            self.count += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self.count)

    @property
    def line(self) -> str:
        """How far it is, in words."""
        spent = time.monotonic() - self._began
        fresh = self.count - self.kept
        left = f", about {_seconds(spent / fresh * (self.total - self.count))} left" if fresh else ""
        return f"{self.name}: {self.count} of {self.total} in {_seconds(spent)}{left}; now {self._what}"

    def _report(self) -> None:
        while not self._ended.wait(EVERY):
            print(self.line, file=sys.stderr, flush=True)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
