"""The options every compiled function shares, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

# Contraction to fused multiply-add is left out on purpose: it would let thread and lane layout change bits.
# (discrete/model/messages_by_block.py, whose blocks are always full, contracts its products.)
COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
PARALLEL: dict[str, Any] = {**COMPILED, "parallel": True}


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


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Run compiled parallel code on so many threads inside; None leaves their number alone."""
    before = numba.get_num_threads()
    numba.set_num_threads(count or before)
    try:
        yield
    finally:
        numba.set_num_threads(before)
