"""Parts of a range on several threads: every number once, nothing to do at zero, nothing held afterwards."""

from __future__ import annotations

import sys

import numba
import numpy as np
import pytest

from solvers.numerics.jit import in_parallel, using_threads

THREADS = range(1, min(3, numba.config.NUMBA_NUM_THREADS) + 1)


@numba.njit(nogil=True)
def add(begin: int, end: int, out: np.ndarray) -> int:
    for i in range(begin, end):
        out[i] += i
    return end - begin


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_parts_make_up_the_range(count: int, threads: int) -> None:
    out = np.zeros(count)
    with using_threads(threads):
        found = in_parallel(add, count, out)
    assert sum(found) == count
    np.testing.assert_array_equal(out, np.arange(count))


@pytest.mark.parametrize("threads", THREADS)
def test_no_thread_holds_on_to_an_array(threads: int) -> None:
    out = np.zeros(1000)
    before = sys.getrefcount(out)
    with using_threads(threads):
        for _ in range(100):
            in_parallel(add, 1000, out)
            assert sys.getrefcount(out) == before


@pytest.mark.parametrize("threads", THREADS)
def test_what_a_part_raises_is_raised(threads: int) -> None:
    def work(begin: int, end: int) -> None:
        raise ValueError(f"{begin} to {end}")

    with using_threads(threads), pytest.raises(ValueError, match="to"):
        in_parallel(work, 100)
