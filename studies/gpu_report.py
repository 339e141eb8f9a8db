"""What the CUDA kernels do on the GPU at hand: python -m studies.gpu_report [--out docs/gpu-report.md].

Checks against the CPU and the exact law, then speed beside what the arithmetic allows and beside other ways to run the
same sampler there. On the simulator (NUMBA_ENABLE_CUDASIM=1) all of it runs through at tiny sizes, so that only the
device itself is untried.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numba import cuda
from scipy import stats

from analytic import GaussianMixture, chains, sequences
from solvers import catalogue, grids, law, noise, run, sample
from solvers.cuda.device import Device, simulated

from . import peers, tables
from .files import write_whole
from .gpu_estimates import METHODS, PATH, TARGETS, work

ULP_PER_STEP = 8
FALSE_ALARM = 1e-6
NORMAL = GaussianMixture([1.0], [[1.0, -0.5]], [[0.25, 1.0]])
CHAIN, BACKWARDS = (
    sequences.MarkovSequence(np.full(8, 1 / 8), 0.05 + 0.6 * np.roll(np.eye(8), shift, axis=1), 32)
    for shift in (1, -1)
)
LABELLED = sequences.Labelled([CHAIN, BACKWARDS], [0.5, 0.5])


@dataclass(frozen=True)
class Sizes:
    """How much is run: samples of trajectories, of statistics and of speed; steps; rounds of timing."""

    trajectories: int = 10_000
    statistics: int = 10_000_000
    speed: int = 1 << 22
    tokens: int = 10_000
    steps: int = 64
    rounds: int = 7


TINY = Sizes(trajectories=8, statistics=64, speed=8, tokens=4, steps=4, rounds=2)


class Check(NamedTuple):
    """One comparison: what was measured, what is allowed, in a unit."""

    name: str
    measured: float
    allowed: float
    unit: str

    @property
    def holds(self) -> bool:
        """Whether the measurement is within what is allowed; not, if it is no number."""
        return bool(self.measured <= self.allowed)


def _words(arguments: Any) -> None:
    seed, first, words, scratch = arguments
    i = cuda.grid(1)
    if i < words.shape[1]:
        noise.fill_words(seed, first + i, 11, 4, 2, scratch[:, i : i + 1])
        words[0, i], words[1, i] = scratch[0, i], scratch[1, i]


def _normals(arguments: Any) -> None:
    seed, first, out, words = arguments
    i = cuda.grid(1)
    if i < out.shape[1]:
        noise.fill_normals(seed, first + i, 3, 1, words[:, i : i + 1], out[:, i : i + 1])


def on_host(array: Any) -> Any:
    """Return an array of a device as a NumPy array."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def checks(sizes: Sizes) -> Iterator[Check]:
    """Compare the device with the CPU, and with exact laws."""
    device = Device("cuda")
    xp, n, seed, first = device.xp, sizes.trajectories, np.uint64((7 << 32) + 5), (1 << 32) - 3
    from solvers.cuda import extensions  # noqa: F401  # makes the primitives known

    words = xp.zeros((2, n), np.uint64)
    scratch = xp.zeros((2, n), np.uint64)
    with device.current():
        device.launch(cuda.jit(_words), n, (seed, first, device.seen(words), device.seen(scratch)))
    expected: Any = np.zeros((2, n), np.uint64)
    noise.fill_words(seed, first, 11, 4, 2, expected)
    yield Check("integers of the stream", float(np.sum(on_host(words) != expected)), 0, "words that differ")
    for dtype in ("float64", "float32"):
        out, expected = xp.zeros((3, n), dtype), np.zeros((3, n), dtype)
        with device.current():
            device.launch(cuda.jit(_normals), n, (seed, first, device.seen(out), device.seen(scratch)))
        noise.fill_normals(seed, first, 3, 1, np.zeros((2, n), np.uint64), expected)
        yield Check(f"normal deviates, {dtype}", _ulps(out, expected), ULP_PER_STEP, "ulp")
    for method in ("ddpm", "heun", "dpm-solver++-3m", "stochastic-heun"):
        tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, sizes.steps))
        for target in TARGETS:
            for dtype in ("float64", "float32"):
                there, here = (
                    sample(tableau, TARGETS[target], n, seed=1, dtype=dtype, device=d)
                    for d in ("cuda", "cpu")
                )
                yield Check(
                    f"{method}, {target}, {dtype}", _ulps(there, here), ULP_PER_STEP * len(tableau), "ulp"
                )
    tableau = catalogue["ddpm"].tableau(PATH, grids.log_snr(PATH, sizes.steps))
    exact, m = law(tableau, NORMAL), sizes.statistics
    for dtype in ("float64", "float32"):
        x = sample(tableau, NORMAL, m, seed=2, dtype=dtype, device="cuda")
        mean, variance = on_host(x.mean(axis=0, dtype=np.float64)), on_host(x.var(axis=0, dtype=np.float64))
        deviates = [
            *((mean - exact.mean) / np.sqrt(exact.variances / m)),
            *((variance * m / (m - 1) - exact.variances) / (exact.variances * np.sqrt(2 / (m - 1)))),
        ]
        quantile = float(stats.norm.isf(FALSE_ALARM / 2 / 8))
        yield Check(f"moments against law, {dtype}", float(np.abs(deviates).max()), quantile, "deviations")
    for noising in (chains.Absorbing(vocabulary=8), chains.Uniform(vocabulary=8)):
        grid = grids.uniform(noising, steps=sizes.steps)
        for method in ("tweedie-tau-leaping", "theta-trapezoidal", "gillespie", "guided-tau-leaping"):
            guided = method.startswith("guided")
            options: dict[str, Any] = {"gamma": 2.0} if guided else {}
            kernel = catalogue[method].kernel(noising, grid, **options)
            data = LABELLED if guided else CHAIN
            there, here = (sample(kernel, data, sizes.tokens, seed=3, device=d) for d in ("cuda", "cpu"))
            name = f"{method}, {type(noising).__name__}"
            yield Check(name, float(np.sum(on_host(there) != here)), 0, "tokens that differ")


def _ulps(there: Any, here: Any) -> float:
    """Largest difference in units in the last place of the largest number."""
    return float(np.abs(on_host(there) - here).max() / np.spacing(np.abs(here).max()))


# ---------------------------------------------------------------- speed


def speeds(sizes: Sizes) -> tuple[pd.DataFrame, dict[str, str]]:
    """Time kernels beside other ways to run the same sampler, in turn; and say which of those are missing, and why."""
    rows, missing = [], dict[str, str]()
    for method in METHODS:
        tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, sizes.steps))
        for name, target in TARGETS.items():
            for dtype in ("float32", "float64"):
                times = _times(tableau, target, dtype, sizes, missing)
                unit = 1e9 / (sizes.speed * len(tableau))
                own = times.pop("kernel")
                row = {"sampler": f"{method}, {name}, {dtype}", "ns a step": f"{own.min() * unit:.4g}"}
                if not simulated():  # which replaces the compiler
                    expected = work(tableau, target, dtype).time
                    row |= {"estimate": f"{expected:.4g}", "share": f"{expected / (own.min() * unit):.2g}"}
                for way, taken in times.items():
                    ratios = taken / own
                    row[f"{way}/kernel"] = (
                        f"{np.median(ratios):.3g} ({ratios.min():.3g} to {ratios.max():.3g})"
                    )
                rows.append(row)
    return pd.DataFrame(rows).fillna("–"), missing


def _times(
    tableau: Any, target: GaussianMixture, dtype: str, sizes: Sizes, missing: dict[str, str]
) -> dict[str, np.ndarray]:
    """Seconds of each round by the way it is run; ways that fail the first time go to `missing` with the reason."""
    calls: dict[str, Callable[[], None]] = {}
    for name, make in _ways(tableau, target, dtype, sizes.speed):
        try:
            calls[name] = make()
            calls[name]()  # compiles
        except Exception as error:  # of another library, which must not cost the report
            if name == "kernel":
                raise
            missing[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            calls.pop(name, None)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(sizes.rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: np.array(taken) for name, taken in times.items()}


def _ways(
    tableau: Any, target: GaussianMixture, dtype: str, n: int
) -> Iterator[tuple[str, Callable[[], Callable[[], None]]]]:
    """Yield (name, what makes a call that draws n samples and waits for them), the kernel first."""
    device = Device("cuda")
    start = np.asarray(sample(tableau, target, n, dtype=dtype, initial="prior"))

    def wait_for_cupy() -> None:
        if not simulated():
            device.xp.cuda.get_current_stream().synchronize()

    def kernel() -> Callable[[], None]:
        def call() -> None:
            sample(tableau, target, n, dtype=dtype, device="cuda")
            wait_for_cupy()

        return call

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
        solve = peers.diffrax_heun(tableau, target)
        x = to_device(start)
        return lambda: solve(x).block_until_ready()

    yield "kernel", kernel
    yield "run on CuPy", lambda: run_on(device.xp, wait_for_cupy)
    yield "run on torch", run_on_torch
    yield "torch", lambda: torch_loop(None)
    yield "torch.compile", lambda: torch_loop("aot_eager" if simulated() else "inductor")
    if tableau.name == "heun":
        yield "diffrax", diffrax


def machine() -> dict[str, str]:
    """What the report was made on."""
    packages = {}
    for name in ("assay", "numba", "numba-cuda", "cupy-cuda13x", "cupy-cuda12x", "torch", "jax", "diffrax"):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    about = {
        "packages": ", ".join(f"{k} {v}" for k, v in packages.items()),
        "Python": platform.python_version(),
    }
    if simulated():
        return {"device": "none: NUMBA_ENABLE_CUDASIM=1, kernels interpreted, times mean nothing"} | about
    cupy = Device("cuda").xp
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    driver = cupy.cuda.runtime.driverGetVersion()
    return {
        "device": properties["name"].decode(),
        "driver": f"CUDA {driver // 1000}.{driver % 1000 // 10}",
    } | about


def report(sizes: Sizes) -> tuple[str, bool]:
    """Return the report in Markdown, and whether every check holds."""
    found, (times, missing) = list(checks(sizes)), speeds(sizes)
    rows = [
        {
            "check": c.name,
            "measured": f"{c.measured:.3g}",
            "allowed": f"{c.allowed:.3g}",
            "unit": c.unit,
            "holds": "yes" if c.holds else "NO",
        }
        for c in found
    ]
    text = "\n".join(
        [
            "# Report of a GPU",
            "",
            *(f"- {key}: {value}" for key, value in machine().items()),
            "",
            "## Against the CPU and exact laws",
            "",
            tables.render(pd.DataFrame(rows), "markdown"),
            "",
            f"## Speed, {sizes.speed} samples, {sizes.steps} steps",
            "",
            tables.render(times, "markdown"),
            "",
            "Estimate: what the instructions alone take on an H100, see docs/gpu.md. Ratios: median, and least and "
            "most, of rounds in turn. "
            "`run` is given arrays of the library and zeros for noise, the rest draw their own: torch runs a loop "
            "written in it, torch.compile compiles that loop's step, diffrax solves the flow by its own Heun.",
            "",
            *(f"- {name} is missing: {why}" for name, why in missing.items()),
            "",
        ]
    )
    return text, all(c.holds for c in found)


def main(arguments: list[str] | None = None) -> int:
    """Print the report and write it to a file; 1 if a check fails. RuntimeError without a GPU."""
    parser = argparse.ArgumentParser(description="Check and time the CUDA kernels on the GPU at hand.")
    parser.add_argument("--out", type=Path, help="Also write the report to this file.")
    asked = parser.parse_args(arguments)
    text, holds = report(TINY if simulated() else Sizes())
    print(text)
    if asked.out is not None:
        write_whole(asked.out, text.encode())
    return 0 if holds else 1


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except RuntimeError as error:
        raise SystemExit(f"gpu_report: {error}") from None
