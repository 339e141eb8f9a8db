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

import numba
import numpy as np
import pandas as pd
from numba import cuda
from scipy import stats

from analytic import GaussianMixture, sequences
from solvers import catalogue, grids, law, noise, run, sample
from solvers.cuda.device import Device, simulated
from solvers.discrete import Kernel
from solvers.tableau import Tableau

from . import peers, tables
from .files import write_whole
from .gpu_estimates import (
    CHAIN,
    LABELLED,
    MASKED,
    METHODS,
    PATH,
    PLANE,
    TARGETS,
    TOKENS,
    UNIFORM,
    TokenSampler,
    Work,
    token_work,
    work,
)

ULP_PER_STEP = 8
FALSE_ALARM = 1e-6
NORMAL = GaussianMixture([1.0], [[1.0, -0.5]], [[0.25, 1.0]])


@dataclass(frozen=True)
class Sizes:
    """How much is run: samples of trajectories, of statistics, of sequences; steps; rounds of timing."""

    trajectories: int = 10_000
    statistics: int = 10_000_000
    sequences: int = 10_000
    steps: int = 64
    token_steps: int = 16
    timed: int = 1 << 22
    timed_sequences: int = 1 << 18
    on_cpu: int = 64  # times fewer on the CPU, when timed
    rounds: int = 7


TINY = Sizes(8, 64, 4, steps=4, token_steps=4, timed=8, timed_sequences=4, on_cpu=2, rounds=2)


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
    """Return an array of a device, CuPy's or torch's, as a NumPy array."""
    if hasattr(array, "get"):
        return array.get()
    return array.cpu().numpy() if hasattr(array, "cpu") else np.asarray(array)


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
    yield from _checks_of_run(device, sizes)
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
    for noising in (MASKED, UNIFORM):
        for method in ("tweedie-tau-leaping", "theta-trapezoidal", "gillespie", "guided-tau-leaping"):
            guided = method.startswith("guided")
            sampler = TokenSampler(method, noising, *((LABELLED, {"gamma": 2.0}) if guided else ()))
            kernel = sampler.kernel(sizes.token_steps)
            there, here = (
                sample(kernel, sampler.data, sizes.sequences, seed=3, device=d) for d in ("cuda", "cpu")
            )
            yield Check(sampler.name, float(np.sum(on_host(there) != here)), 0, "tokens that differ")


def _checks_of_run(device: Device, sizes: Sizes) -> Iterator[Check]:
    """Compare `run` on arrays of the device, CuPy's and torch's, with `run` on NumPy's, all given the same noise."""
    ways: dict[str, Callable[[np.ndarray], Any]] = {"CuPy": device.xp.asarray}
    try:
        where, _ = peers.torch_device(simulated())
        import torch

        ways["torch"] = lambda array: torch.as_tensor(array, device=where)
    except (ImportError, RuntimeError):
        pass  # which `speeds` says
    generator = np.random.default_rng(0)
    for method in ("ddpm", "dpm-solver++-3m"):
        tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, sizes.steps))
        for dtype in ("float64", "float32"):
            shape = (sizes.trajectories, PLANE.dim)
            x = generator.standard_normal(shape).astype(dtype)
            xi = generator.standard_normal((len(tableau.channels), *shape)).astype(dtype)
            here = run(tableau, PLANE, x, noise=xi)
            for library, sent in ways.items():
                there = run(tableau, PLANE, sent(x), noise=sent(xi))
                name = f"run on {library}, {method}, {dtype}"
                yield Check(name, _ulps(there, here), ULP_PER_STEP * len(tableau), "ulp")


def _ulps(there: Any, here: Any) -> float:
    """Largest difference in units in the last place of the largest number."""
    return float(np.abs(on_host(there) - here).max() / np.spacing(np.abs(here).max()))


# ---------------------------------------------------------------- speed


class Way(NamedTuple):
    """A way to run a sampler: `make` returns a call that draws so many samples and waits for them."""

    name: str
    samples: int
    make: Callable[[], Callable[[], Any]]


def speeds(sizes: Sizes) -> tuple[pd.DataFrame, dict[str, str]]:
    """Time kernels beside other ways to run the same sampler, in turn; and say which of those are missing, and why."""
    rows, missing = [], dict[str, str]()
    for method in METHODS:
        tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, sizes.steps))
        for name, target in TARGETS.items():
            for dtype in ("float32", "float64"):
                times = _times(_ways(tableau, target, dtype, sizes), sizes.rounds, missing)
                expected = None if simulated() else work(tableau, target, dtype)
                rows.append(_row(f"{method}, {name}, {dtype}", times, len(tableau), expected))
    for one in TOKENS:
        kernel = one.kernel(sizes.token_steps)
        times = _times(_token_ways(kernel, one.data, sizes), sizes.rounds, missing)
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


def _times(ways: Iterator[Way], rounds: int, missing: dict[str, str]) -> dict[str, np.ndarray]:
    """Seconds a sample of each round by the way it is run; ways that fail the first time go to `missing`, and why."""
    calls: dict[str, tuple[Callable[[], Any], int]] = {}
    for name, samples, make in ways:
        try:
            call = make()
            call()  # compiles
        except Exception as error:  # of another library, which must not cost the report
            if name in OWN:
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

    return _own_ways(draw, sizes.timed_sequences, sizes.on_cpu)


def _ways(tableau: Tableau, target: GaussianMixture, dtype: str, sizes: Sizes) -> Iterator[Way]:
    """Yield the kernel first, then the CPU, then what others do."""
    n = sizes.timed
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
        solve = peers.diffrax_heun(tableau, target)
        x = to_device(start)
        return lambda: solve(x).block_until_ready()

    yield Way("run on CuPy", n, lambda: run_on(Device("cuda").xp, _wait_for_cupy))
    yield Way("run on torch", n, run_on_torch)
    yield Way("torch", n, lambda: torch_loop(None))
    yield Way("torch.compile", n, lambda: torch_loop("aot_eager" if simulated() else "inductor"))
    if tableau.name == "heun":
        yield Way("diffrax", n, diffrax)


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
            f"## Speed: {sizes.timed} samples, {sizes.steps} steps; {sizes.timed_sequences} sequences of "
            f"{CHAIN.length} tokens, {sizes.token_steps} steps",
            "",
            tables.render(times, "markdown"),
            "",
            "ns: of a sample and step, or of a token and step. Estimate: what the instructions alone take on an H100, "
            "see docs/gpu.md. Ratios of times per sample: median, and least and most, of rounds in turn. CPU: the same "
            f"call with device='cpu', {sizes.on_cpu} times fewer samples, on {numba.get_num_threads()} threads. "
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
