"""Speed of token samplers, by ratios of routes that take turns in one run: `python -m studies.gpu.token_speed`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import typer

from analytic import chains
from solvers import catalogue, grids
from solvers.discrete import Kernel, Sites, sample, stream

from ..bench.timing import peak_memory
from ..bench.workloads import chain_of

MODERATE, FULL = 1024, 100_000
METHOD = "tweedie-tau-leaping"


class _Alone(Sites):
    """A factorised move that is not taken into the loop over whole trajectories."""


def move_by_move(kernel: Kernel) -> Kernel:
    """Return the kernel with moves that draw one after the other for all sequences, in lockstep."""
    steps = tuple(
        tuple(_Alone(m.flow, m.exit, m.h) if isinstance(m, Sites) else m for m in step)
        for step in kernel.steps
    )
    return replace(kernel, steps=steps)


@dataclass(frozen=True)
class Timing:
    """Seconds that one call took: on the clock, and of processor time over all threads."""

    wall: float
    processor: float


def timed(call: Callable[[], Any]) -> Timing:
    """Time one call."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return Timing(time.perf_counter() - wall, time.process_time() - processor)


def kernels(vocabulary: int, steps: int) -> dict[str, Kernel]:
    """Ancestral sampling under each kind of mixture noise, on a uniform grid."""
    noises = (
        chains.Absorbing(vocabulary, "cosine"),
        chains.Uniform(vocabulary, "cosine"),
        chains.Hybrid(vocabulary, 0.2),
    )
    return {noise.name: catalogue[METHOD].kernel(noise, grids.uniform(noise, steps)) for noise in noises}


def main(
    n: Annotated[int | None, typer.Option(help=f"Sequences; {MODERATE}, or {FULL} with --full.")] = None,
    length: Annotated[int, typer.Option(help="Tokens in a sequence.")] = 64,
    vocabulary: Annotated[int, typer.Option(help="Tokens in the vocabulary.")] = 32,
    steps: Annotated[int, typer.Option(help="Steps of the grid.")] = 64,
    repeats: Annotated[int, typer.Option(help="Times that the routes take turns.")] = 5,
    noise: Annotated[str, typer.Option(help="absorbing, uniform, hybrid, or all.")] = "all",
    full: Annotated[
        bool, typer.Option(help="Sequences of 256 tokens, once and in parts, instead of ratios.")
    ] = False,
) -> None:
    """Time whole trajectories against lockstep, side by side; or one run of full size.

    Example: python -m studies.gpu.token_speed --noise uniform --n 2048
    """
    length = 256 if full else length
    n = n or (FULL if full else MODERATE)
    chosen = kernels(vocabulary, steps)
    if noise != "all":
        if noise not in chosen:
            raise typer.BadParameter(f"noise is {noise!r}: use one of {[*chosen, 'all']}")
        chosen = {noise: chosen[noise]}
    data = chain_of(vocabulary, length)
    print(f"{METHOD}, {n} sequences of {length} tokens out of {vocabulary}, {steps} steps")
    for name, kernel in chosen.items():
        apart = move_by_move(kernel)
        sample(kernel, data, 64)  # compile before the clock starts
        if full:
            once = timed(partial(deque, stream(kernel, data, n), maxlen=0))
            print(
                f"  {name:10s} {once.wall:8.1f} s, {once.processor:8.1f} s of processor, peak {peak_memory():.0f} MB"
            )
            continue
        sample(apart, data, 64)
        slow, fast = partial(sample, apart, data, n), partial(sample, kernel, data, n)
        pairs = [(timed(slow), timed(fast)) for _ in range(repeats)]
        print(f"  {name:10s} {_summary(pairs)}")


def _summary(pairs: list[tuple[Timing, Timing]]) -> str:
    """Medians, and the ratio of processor times: the clock also counts what else the machine does."""
    ratios = np.array([slow.processor / fast.processor for slow, fast in pairs])
    slow, fast = (np.median([pair[k].processor for pair in pairs]) for k in (0, 1))
    wall = np.median([pair[1].wall for pair in pairs])
    return (
        f"lockstep {slow:.3g} s, fused {fast:.3g} s of processor ({wall:.3g} s on the clock), ratio "
        f"{np.median(ratios):.3g}, {ratios.min():.3g} to {ratios.max():.3g} over {len(pairs)} runs"
    )


if __name__ == "__main__":
    typer.run(main)
