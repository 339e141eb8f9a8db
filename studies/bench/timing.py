"""Calls that are timed in turn, so that what else the machine does falls on all of them."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Way(NamedTuple):
    """A way to run a sampler: `make` returns a call that draws so many samples and waits for them."""

    name: str
    samples: int
    make: Callable[[], Callable[[], Any]]


def times_in_turn(
    ways: Iterable[Way], rounds: int, missing: dict[str, str], own: Collection[str]
) -> dict[str, NDArray[np.float64]]:
    """Return seconds a sample of each round by the way it is run.

    Ways that fail the first time, when they compile, go to `missing`, and why; `own` ones may not fail.
    """
    calls: dict[str, tuple[Callable[[], Any], int]] = {}
    for name, samples, make in ways:
        try:
            call = make()
            call()  # compiles
        except Exception as error:  # of another library, which must not cost the report
            if name in own:
                raise
            missing[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        else:
            calls[name] = call, samples
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, samples) in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) / samples)
    return {name: np.array(taken) for name, taken in times.items()}


def peak_memory() -> float:
    """Return the most MB of memory that this process has held."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used / 1e3
