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

from analytic import GaussianMixture, chains, paths, sequences
from solvers import catalogue, grids, law, noise, run, sample
from solvers.cuda.device import Device, simulated

from . import tables
from .files import write_whole

ULP_PER_STEP = 8
FALSE_ALARM = 1e-6
PATH = paths.VP()
LINE = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3])
PLANE = GaussianMixture(np.ones(9) / 9, np.random.default_rng(0).normal(size=(9, 2)), 0.05)
NORMAL = GaussianMixture([1.0], [[1.0, -0.5]], [[0.25, 1.0]])
TARGETS = {"line, 2 components": LINE, "plane, 9 components": PLANE}
CHAIN = sequences.MarkovSequence(np.full(8, 1 / 8), 0.05 + 0.6 * np.roll(np.eye(8), 1, axis=1), 32)


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
    from solvers.cuda import libdevice  # noqa: F401  # makes the primitives known

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
        for method in ("tweedie-tau-leaping", "theta-trapezoidal", "gillespie"):
            kernel = catalogue[method].kernel(noising, grid)
            there, here = (sample(kernel, CHAIN, sizes.tokens, seed=3, device=d) for d in ("cuda", "cpu"))
            name = f"{method}, {type(noising).__name__}"
            yield Check(name, float(np.sum(on_host(there) != here)), 0, "tokens that differ")


def _ulps(there: Any, here: Any) -> float:
    """Largest difference in units in the last place of the largest number."""
    return float(np.abs(on_host(there) - here).max() / np.spacing(np.abs(here).max()))


# ---------------------------------------------------------------- what the arithmetic allows

METHODS = ("ddpm", "heun", "dpm-solver++-2m")
# H100 SXM (NVIDIA's datasheet): 66.9 TFLOP/s in float32 are 132 * 128 multiply-adds a clock; bytes a second
SMS, CLOCK, BANDWIDTH = 132, 1.98e9, 3.35e12
# Operations an SM does a clock at compute capability 9.0: CUDA C++ Programming Guide, throughput of native arithmetic
RATES = {"float32": 128, "float64": 64, "int": 64}
# Instructions that one call becomes in PTX, as a test counts; division and root, one there, by what is usual
COSTS = {
    "float32": {"div": 9, "sqrt": 8, "exp": 9, "log": 25, "sincospi": 33},
    "float64": {"div": 14, "sqrt": 14, "exp": 32, "log": 47, "sincospi": 39},
}
PHILOX = 10 * (2 * 2 + 6)  # ten rounds of two wide products, in two halves each, four xors and two sums


class Work(NamedTuple):
    """What one sample's step asks for, on average: instructions on floats and integers, calls, bytes; and its bound.

    Calls of exp, log, square root, sine with cosine, and divisions are counted in `floats` too, by what they become.
    The bound is in ns on an H100.
    """

    floats: float
    calls: float
    divisions: float
    integers: float
    bytes: float
    bound: float


def work(tableau: Any, target: GaussianMixture, dtype: str) -> Work:
    """Count a sample's step by the source of `fused.advance`, for components that are not rotated.

    Floats, integers and memory have units of their own, so the busiest decides. Tables are read by all threads alike
    and come from the cache; a sample itself is written once.
    """
    K, dim = target.means.shape
    cost, steps = COSTS[dtype], len(tableau)
    evaluations, blocks = tableau.nfe / steps, tableau.blocks
    pairs = sum(len(block.kernels) * len(block) for block in blocks) / steps * ((dim + 1) // 2)
    names = ("U", "A", "G", "V", "B", "H")
    terms = sum(np.count_nonzero(getattr(block, name)) for block in blocks for name in names) / steps
    divisions = evaluations * (2 * K * dim + dim)
    plain = evaluations * K * (11 * dim + 3) + 8 * pairs + float(terms) * dim
    special = evaluations * K * cost["exp"] + pairs * (cost["log"] + cost["sqrt"] + cost["sincospi"])
    floats, integers = plain + special + divisions * cost["div"], pairs * PHILOX
    moved = dim * np.dtype(dtype).itemsize / steps
    seconds = max(floats / RATES[dtype], integers / RATES["int"]) / (SMS * CLOCK)
    bound = 1e9 * max(seconds, moved / BANDWIDTH)
    return Work(floats, evaluations * K + 3 * pairs, divisions, integers, moved, bound)


def estimates(steps: int = 64) -> pd.DataFrame:
    """Return the work of a few samplers as a table."""
    rows = []
    for method in METHODS:
        tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, steps))
        for name, target in TARGETS.items():
            for dtype in ("float32", "float64"):
                one = work(tableau, target, dtype)
                rows.append(
                    {
                        "sampler": f"{method}, {name}, {dtype}",
                        "float instructions": f"{one.floats:.0f}",
                        "calls": f"{one.calls:.3g}",
                        "divisions": f"{one.divisions:.3g}",
                        "integer instructions": f"{one.integers:.0f}",
                        "bytes": f"{one.bytes:.2g}",
                        "bound, ns": f"{one.bound:.3g}",
                    }
                )
    return pd.DataFrame(rows)


# ---------------------------------------------------------------- speed


def speeds(sizes: Sizes) -> pd.DataFrame:
    """Time kernels beside `run` on arrays of the device, compiled by torch too: rounds in turn, best and spread."""
    rows = []
    for method in METHODS:
        tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, sizes.steps))
        for name, target in TARGETS.items():
            for dtype in ("float32", "float64"):
                ways = _ways(tableau, target, dtype, sizes.speed)
                times: dict[str, list[float]] = {way: [] for way in ways}
                for call in ways.values():
                    call()  # compiles
                for _ in range(sizes.rounds):
                    for way, call in ways.items():
                        start = time.perf_counter()
                        call()
                        times[way].append(time.perf_counter() - start)
                unit = 1e9 / (sizes.speed * len(tableau))
                own = np.array(times["kernel"])
                bound = work(tableau, target, dtype).bound
                row = {
                    "sampler": f"{method}, {name}, {dtype}",
                    "ns a step": f"{own.min() * unit:.4g}",
                    "bound": f"{bound:.4g}",
                    "share of bound": f"{bound / (own.min() * unit):.2g}",
                }
                for way in [way for way in times if way != "kernel"]:
                    ratios = np.array(times[way]) / own
                    row[f"{way}/kernel"] = (
                        f"{np.median(ratios):.3g} ({ratios.min():.3g} to {ratios.max():.3g})"
                    )
                rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def _ways(tableau: Any, target: GaussianMixture, dtype: str, n: int) -> dict[str, Callable[[], None]]:
    device = Device("cuda")

    def wait() -> None:
        if not simulated():
            device.xp.cuda.get_current_stream().synchronize()

    def kernel() -> None:
        sample(tableau, target, n, dtype=dtype, device="cuda")
        wait()

    ways: dict[str, Callable[[], None]] = {"kernel": kernel}
    start = np.asarray(sample(tableau, target, n, dtype=dtype, initial="prior"))
    channels = len(tableau.channels)
    for name, arrays, finish in _libraries(device):
        x, dW = arrays(start), arrays(np.zeros((channels, *start.shape), dtype))

        def call(x: Any = x, dW: Any = dW, finish: Callable[[], None] = finish) -> None:
            run(tableau, target, x, noise=dW)
            finish()

        ways[name] = call
    return ways


def _libraries(device: Device) -> Iterator[tuple[str, Callable[[Any], Any], Callable[[], None]]]:
    """Yield (name, how to put an array on the device, how to wait for it) for the libraries that are here."""
    yield "arrays", device.xp.asarray, (lambda: None) if simulated() else device.xp.cuda.Device().synchronize
    try:
        import torch
    except ImportError:
        return
    if torch.cuda.is_available():
        yield "torch", lambda x: torch.as_tensor(x, device="cuda"), torch.cuda.synchronize
    elif simulated():
        yield "torch", torch.as_tensor, lambda: None


def machine() -> dict[str, str]:
    """What the report was made on."""
    packages = {}
    for name in ("assay", "numba", "numba-cuda", "cupy-cuda13x", "cupy-cuda12x", "torch"):
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
    found = list(checks(sizes))
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
            tables.render(speeds(sizes), "markdown"),
            "",
            "Bound: what the arithmetic alone takes on an H100. Ratios: median, and least and most, of rounds in turn; "
            "arrays and torch draw no noise.",
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
