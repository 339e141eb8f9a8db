"""What the CUDA kernels do on the GPU at hand: python -m studies.gpu.report [--out docs/gpu-report.md].

Checks against the CPU and the exact law, then speed beside what the arithmetic allows and beside other ways to run the
same sampler there. On the simulator (NUMBA_ENABLE_CUDASIM=1) all of it runs through at tiny sizes, so that only the
device itself is untried.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pandas as pd
from numba import cuda
from scipy import stats

from analytic import GaussianMixture
from solvers import catalogue, grids, law, run, sample
from solvers.cuda.device import Device, simulated
from solvers.numerics import philox

from ..bench import peers
from ..output import render
from ..output.files import write_whole
from . import speeds
from .estimates import CHAIN, LABELLED, MASKED, PATH, PLANE, TARGETS, UNIFORM, TokenSampler

ULP_PER_STEP = 8
FALSE_ALARM = 1e-6
NORMAL = GaussianMixture([1.0], [[1.0, -0.5]], [[0.25, 1.0]])


@dataclass(frozen=True)
class Sizes:
    """How much is compared: samples of trajectories, of statistics, of sequences; steps of both."""

    trajectories: int = 10_000
    statistics: int = 10_000_000
    sequences: int = 10_000
    steps: int = 64
    token_steps: int = 16


TINY = Sizes(trajectories=8, statistics=64, sequences=4, steps=4, token_steps=4)


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
        philox.fill_words(seed, first + i, 11, 4, 2, scratch[:, i : i + 1])
        words[0, i], words[1, i] = scratch[0, i], scratch[1, i]


def _normals(arguments: Any) -> None:
    seed, first, out, words = arguments
    i = cuda.grid(1)
    if i < out.shape[1]:
        philox.fill_normals(seed, first + i, 3, 1, words[:, i : i + 1], out[:, i : i + 1])


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
    philox.fill_words(seed, first, 11, 4, 2, expected)
    yield Check("integers of the stream", float(np.sum(on_host(words) != expected)), 0, "words that differ")
    for dtype in ("float64", "float32"):
        out, expected = xp.zeros((3, n), dtype), np.zeros((3, n), dtype)
        with device.current():
            device.launch(cuda.jit(_normals), n, (seed, first, device.seen(out), device.seen(scratch)))
        philox.fill_normals(seed, first, 3, 1, np.zeros((2, n), np.uint64), expected)
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


def report(sizes: Sizes, timed: speeds.Sizes) -> tuple[str, bool]:
    """Return the report in Markdown, and whether every check holds."""
    found, (times, missing) = list(checks(sizes)), speeds.speeds(timed)
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
            render.render(pd.DataFrame(rows), "markdown"),
            "",
            f"## Speed: {timed.samples} samples, {timed.steps} steps; {timed.sequences} sequences of "
            f"{CHAIN.length} tokens, {timed.token_steps} steps",
            "",
            render.render(times, "markdown"),
            "",
            "ns: of a sample and step, or of a token and step. Estimate: what the instructions alone take on an H100, "
            "see docs/gpu.md. Ratios of times per sample: median, and least and most, of rounds in turn. CPU: the same "
            f"call with device='cpu', {timed.on_cpu} times fewer samples, on {numba.get_num_threads()} threads. "
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
    text, holds = report(TINY, speeds.TINY) if simulated() else report(Sizes(), speeds.Sizes())
    print(text)
    if asked.out is not None:
        write_whole(asked.out, text.encode())
    return 0 if holds else 1


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except RuntimeError as error:
        raise SystemExit(f"studies.gpu.report: {error}") from None
