"""How time grows with sizes, and what a number of samples that no memory holds takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import special

from .timing import Way, peak_memory, times_in_turn
from .workloads import Tokens, Work, Workload


@dataclass(frozen=True)
class Growth:
    """How the time of a call grows with one size of it: exponent of a power law, with half of its 99 % interval."""

    sampler: str
    size: str
    values: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    uncertainty: float
    machine: str
    threads: int


@dataclass(frozen=True)
class Streamed:
    """Samples of which only a reduction is kept.

    Attributes
    ----------
    workload : str
    samples : int
    seconds : float
        On the clock.
    nanoseconds : float
        A unit of the workload.
    memory : float
        The most MB that the process has held so far.
    machine, threads : str, int
    """

    workload: str
    samples: int
    seconds: float
    nanoseconds: float
    memory: float
    machine: str
    threads: int


def _continuous(n: int = 1 << 16, K: int = 25, d: int = 2, **sizes: int) -> Any:
    return _drawing(Workload("ddpm", K, d, "float32", sizes.pop("steps", 100)), n, **sizes)


def _tokens(noise: str, n: int = 2048, V: int = 32, L: int = 64, **sizes: int) -> Any:
    return _drawing(Tokens(noise, V, L, sizes.pop("steps", 32)), n, **sizes)


def _drawing(work: Work, n: int, threads: int | None = None) -> Any:
    return partial(work.sampler(), n, threads=threads)


SIZES: dict[str, tuple[int, ...]] = {
    "n": (1 << 14, 1 << 16, 1 << 18),
    "steps": (25, 100, 400),
    "K": (16, 64, 256),
    "d": (4, 16, 64),
    "L": (32, 64, 128),
    "V": (16, 32, 64),
    "threads": tuple(dict.fromkeys((1, numba.config.NUMBA_NUM_THREADS))),
}
SAMPLERS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "ddpm": (_continuous, ("n", "steps", "K", "d", "threads")),
    "masked tokens": (partial(_tokens, "masked"), ("n", "steps", "L", "V", "threads")),
    "uniform tokens": (partial(_tokens, "uniform"), ("n", "steps", "L", "V", "threads")),
}
GROWTHS = [
    (sampler, size) for sampler, (_, sizes) in SAMPLERS.items() for size in sizes if len(SIZES[size]) > 1
]


def growth(sampler: str, size: str, rounds: int, machine: str) -> list[Growth]:
    """Time a sampler at each value of a size, all in turn."""
    make, _ = SAMPLERS[sampler]
    values = tuple(v // 32 for v in SIZES["n"]) if size == "n" and "tokens" in sampler else SIZES[size]
    ways = [Way(str(v), 1, partial(make, **{size: v})) for v in values]
    times = times_in_turn(ways, rounds, {}, [way.name for way in ways])
    logs = np.log([times[way.name] for way in ways])  # (sizes, rounds)
    slopes = [exponent(values, logs[:, r]) for r in range(rounds)]
    uncertainty = special.stdtrit(rounds - 1, 0.995) * np.std(slopes, ddof=1) / np.sqrt(rounds)
    seconds = tuple(float(np.median(times[way.name])) for way in ways)
    where = (machine, int(numba.get_num_threads()))
    return [Growth(sampler, size, values, seconds, float(np.mean(slopes)), float(uncertainty), *where)]


def exponent(values: Sequence[int], logs: NDArray[np.float64]) -> float:
    """Fit the power of a size with which a time grows, whose logarithms are given."""
    return float(np.polyfit(np.log(values), logs, 1)[0])


def streamed(work: Work, n: int, machine: str) -> list[Streamed]:
    """Draw so many samples of which a reduction alone is kept, and time it once."""
    draw = work.sampler()
    draw(256, reduce=work.reduction)  # compiles
    start = time.perf_counter()
    draw(n, reduce=work.reduction)
    took = time.perf_counter() - start
    each = 1e9 * took / n / work.units
    return [Streamed(str(work), n, took, each, peak_memory(), machine, int(numba.get_num_threads()))]
