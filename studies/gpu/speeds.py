"""Speed of kernels on the GPU at hand, beside what the arithmetic allows and other ways to run the same sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analytic import GaussianMixture, sequences
from solvers import catalogue, grids, run, sample
from solvers.continuous.tableau import Tableau
from solvers.cuda.device import Device, simulated
from solvers.discrete import Kernel

from ..bench import libraries, peers
from ..bench.timing import Way, times_in_turn
from .estimates import METHODS, PATH, TARGETS, TOKENS, Work, token_work, work


@dataclass(frozen=True)
class Sizes:
    """How much is timed: samples, sequences of tokens, steps of both; how many fewer on the CPU; rounds."""

    samples: int = 1 << 22
    sequences: int = 1 << 18
    steps: int = 64
    token_steps: int = 16
    on_cpu: int = 64
    rounds: int = 7


TINY = Sizes(samples=8, sequences=4, steps=4, token_steps=4, on_cpu=2, rounds=2)


def speeds(sizes: Sizes) -> tuple[pd.DataFrame, dict[str, str]]:
    """Time kernels beside other ways to run the same sampler, in turn; and say which of those are missing, and why."""
    rows, missing = [], dict[str, str]()
    for method in METHODS:
        tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, sizes.steps))
        for name, target in TARGETS.items():
            for dtype in ("float32", "float64"):
                times = times_in_turn(_ways(tableau, target, dtype, sizes), sizes.rounds, missing, OWN)
                expected = None if simulated() else work(tableau, target, dtype)
                rows.append(_row(f"{method}, {name}, {dtype}", times, len(tableau), expected))
    for one in TOKENS:
        kernel = one.kernel(sizes.token_steps)
        times = times_in_turn(_token_ways(kernel, one.data, sizes), sizes.rounds, missing, OWN)
        expected = None if simulated() else token_work(kernel, one.data)
        rows.append(_row(one.name, times, one.data.length * len(kernel.steps), expected))
    return pd.DataFrame(rows).fillna("–"), missing


def _row(name: str, times: dict[str, np.ndarray], steps: int, expected: Work | None) -> dict[str, str]:
    """Return a row of the table from seconds a sample by the way it is run; `expected` is known where PTX is made."""
    own = times.pop("kernel")
    took = 1e9 * own.min() / steps
    row = {"sampler": name, "ns a step": f"{took:.4g}"}
    if expected is not None:
        row |= {"estimate": f"{expected.time:.4g}", "share": f"{expected.time / took:.2g}"}
    for way, taken in times.items():
        ratios = taken / own
        row[f"{way}/kernel"] = f"{np.median(ratios):.3g} ({ratios.min():.3g} to {ratios.max():.3g})"
    return row


OWN = ("kernel", "CPU")


def _own_ways(draw: Callable[[int, str], Any], n: int, on_cpu: int) -> Iterator[Way]:
    """Yield the ways of `sample`, given as draw(n, device): on the device, and fewer on the CPU."""

    def on_device() -> None:
        draw(n, "cuda")
        _wait_for_cupy()

    yield Way("kernel", n, lambda: on_device)
    few = max(1, n // on_cpu)
    yield Way("CPU", few, lambda: lambda: draw(few, "cpu"))


def _wait_for_cupy() -> None:
    if not simulated():
        Device("cuda").xp.cuda.get_current_stream().synchronize()


def _token_ways(kernel: Kernel, data: sequences.SequenceLaw, sizes: Sizes) -> Iterator[Way]:
    def draw(n: int, device: str) -> Any:
        return sample(kernel, data, n, initial="prior", device=device)

    return _own_ways(draw, sizes.sequences, sizes.on_cpu)


def _ways(tableau: Tableau, target: GaussianMixture, dtype: str, sizes: Sizes) -> Iterator[Way]:
    """Yield the kernel first, then the CPU, then what others do."""
    n = sizes.samples
    yield from _own_ways(
        lambda n, device: sample(tableau, target, n, dtype=dtype, device=device), n, sizes.on_cpu
    )
    start = np.asarray(sample(tableau, target, n, dtype=dtype, initial="prior"))

    def run_on(xp: Any, wait: Callable[[], None], **place: str) -> Callable[[], None]:
        x, zero = (xp.asarray(part, **place) for part in (start, np.zeros((1, 1, 1), dtype)))
        noise = xp.broadcast_to(zero, (len(tableau.channels), *start.shape))

        def call() -> None:
            run(tableau, target, x, noise=noise)
            wait()

        return call

    def run_on_torch() -> Callable[[], None]:
        where, wait = peers.torch_device(simulated())
        import torch

        return run_on(torch, wait, device=where)

    def torch_loop(compiled: str | None) -> Callable[[], None]:
        where, wait = peers.torch_device(simulated())
        import torch

        x, loop = torch.as_tensor(start, device=where), peers.torch_loop(tableau, target, where, compiled)

        def call() -> None:
            loop(x)
            wait()

        return call

    def diffrax() -> Callable[[], None]:
        to_device = peers.jax_array(simulated())
        solve = libraries.diffrax_heun(tableau, target)
        x = to_device(start)
        return lambda: solve(x).block_until_ready()

    yield Way("run on CuPy", n, lambda: run_on(Device("cuda").xp, _wait_for_cupy))
    yield Way("run on torch", n, run_on_torch)
    yield Way("torch", n, lambda: torch_loop(None))
    yield Way("torch.compile", n, lambda: torch_loop("aot_eager" if simulated() else "inductor"))
    if tableau.name == "heun":
        yield Way("diffrax", n, diffrax)
