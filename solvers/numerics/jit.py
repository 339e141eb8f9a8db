"""The options every compiled function shares, in one place."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from . import caches  # noqa: F401  # before anything that is kept is compiled

# Contraction to fused multiply-add is left out on purpose: it would let thread and lane layout change bits.
# (discrete/model/messages_by_block.py, whose blocks are always full, contracts its products.)
COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
# For what compiled code alone calls: a third of the time to compile would go into ways to call it from Python, without
# which a call from there, or from a simulated kernel, ends the process.
INNER: dict[str, Any] = {**COMPILED, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
INLINED: dict[str, Any] = {**INNER, "forceinline": True}  # by the optimiser, after types are known
# For what allocates nothing and is given many arrays in tuples: their references are not counted, nor in what it calls.
UNCOUNTED: dict[str, Any] = {**INNER, "_nrt": False}
PARTS = 6  # of a range for each thread, so that none is left with much when the others have ended


def check_threads(threads: object) -> None:
    """Raise ValueError unless it is None or a number of threads that compiled code can run on."""
    most: int = numba.config.NUMBA_NUM_THREADS
    whole = isinstance(threads, int | np.integer) and not isinstance(threads, bool)
    if threads is not None and not (whole and 1 <= threads <= most):  # type: ignore[operator]  # whole says so
        raise ValueError(
            f"threads is {threads!r}: give a whole number from 1 to {most}, or set NUMBA_NUM_THREADS"
        )


def check_counts(n: object, first: object) -> None:
    """Raise ValueError unless they are a number of samples and the address of the first."""
    for name, value, least in (("n", n, 1), ("first", first, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} is {value!r}: give a whole number, at least {least}")


def in_parallel(work: Callable[..., Any], count: int, *arguments: Any) -> list[Any]:
    """Call work(begin, end, *arguments), compiled without the interpreter's lock, for parts that make up range(count).

    On as many threads as `numba.get_num_threads()` says, the caller's own among them; who has finished a part takes the
    next one. What a part does must not depend on the others. Returns what the parts return, in any order; where
    nothing is to be done, that of the one call work(0, 0, *arguments).
    """
    threads = min(numba.get_num_threads(), count)
    if threads < 2:
        return [work(0, count, *arguments)]
    bounds = np.linspace(0, count, min(count, PARTS * threads) + 1).astype(np.int64).tolist()
    parts = itertools.pairwise(bounds)  # taken one at a time, by whichever thread is free

    def take() -> list[Any]:
        return [work(begin, end, *arguments) for begin, end in parts]

    helpers = [_pool(os.getpid(), threads).submit(take) for _ in range(threads - 1)]
    found = [*take(), *(one for helper in helpers for one in helper.result())]
    arguments = ()  # a thread may hold on to `take` for a moment, but to no array of the caller's
    return found


@lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return threads of this process: a forked one inherits none."""
    return ThreadPoolExecutor(threads)


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Run compiled parallel code on so many threads inside; None leaves their number alone."""
    before = numba.get_num_threads()
    numba.set_num_threads(count or before)
    try:
        yield
    finally:
        numba.set_num_threads(before)
