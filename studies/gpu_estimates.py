"""What the samplers ask of a GPU, where there is none: instructions that their kernels execute, and the time they take.

The kernels' own PTX is run (`studies.ptx_machine`) and what it executes counted. The last step to machine code is left
out: there copies vanish, 64-bit operations on integers become two, divisions and roots some ten instructions.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analytic import GaussianMixture, paths
from solvers import catalogue, grids, sample

PATH = paths.VP()
LINE = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3])
PLANE = GaussianMixture(np.ones(9) / 9, np.random.default_rng(0).normal(size=(9, 2)), 0.05)
TARGETS = {"line, 2 components": LINE, "plane, 9 components": PLANE}
METHODS = ("ddpm", "heun", "dpm-solver++-2m")
# H100 SXM: multiprocessors, clock in Hz, bytes a second (NVIDIA's datasheet)
SMS, CLOCK, BANDWIDTH = 132, 1.98e9, 3.35e12
# Results a clock of one multiprocessor at compute capability 9.0 (CUDA C++ Programming Guide, arithmetic throughput);
# and what its four schedulers issue together
RATES = {"float32": 128, "float64": 64, "integer": 64, "special": 16, "memory": 32}
ISSUED = 128
# Instructions that one becomes in machine code, by what is usual
SEVERAL = {"div.rn.f32": 9, "sqrt.rn.f32": 8, "div.rn.f64": 14, "rcp.rn.f64": 10, "sqrt.rn.f64": 14}


class Work(NamedTuple):
    """What one sample's step executes on average, by the unit that does it, and for how long on an H100.

    Attributes
    ----------
    floats, integers, special, memory, branches : float
        Instructions. Those on integers of 64 bits count twice, divisions and roots as in `SEVERAL`; special are
        conversions, exp2 and reciprocals.
    bytes : float
        Of a sample that are written.
    busiest : str
        The unit that takes longest, or "issue" or "bandwidth".
    time : float
        Nanoseconds that it takes, all multiprocessors busy and nothing waited for.
    """

    floats: float
    integers: float
    special: float
    memory: float
    branches: float
    bytes: float
    busiest: str
    time: float


def unit_of(instruction: str) -> tuple[str, float]:
    """Return the unit that carries out an instruction of PTX, and how many it becomes; ("none", 0) for copies."""
    name, kind = instruction.partition(".")[0], instruction.rpartition(".")[2]
    if instruction in SEVERAL:
        return "floats", SEVERAL[instruction]
    if name in ("mov", "cvta") or ".param" in instruction:
        return "none", 0
    if name in ("ld", "st"):
        return "memory", 1
    if name in ("bra", "ret", "call"):
        return "branches", 1
    if name in ("cvt", "ex2", "rcp"):
        return "special", 1
    if kind in ("f32", "f64") and name not in ("setp", "selp"):
        return "floats", 1
    return "integers", 2 if "64" in kind and kind[0] != "f" else 1


def work(tableau: Any, target: GaussianMixture, dtype: str, samples: int = 32) -> Work:
    """Run the kernel of a tableau on the machine and count. Seconds, for the compiler; nothing under the simulator."""
    from .ptx_machine import in_place_of_a_gpu

    with in_place_of_a_gpu() as executed:
        sample(tableau, target, samples, dtype=dtype, device="cuda")
    return summed(
        executed, samples * len(tableau), target.dim * np.dtype(dtype).itemsize / len(tableau), dtype
    )


def summed(executed: Counter[str], steps: int, written: float, dtype: str) -> Work:
    """Return the work of one step of so many, from instructions by name."""
    units = dict.fromkeys(("floats", "integers", "special", "memory", "branches", "none"), 0.0)
    for instruction, times in executed.items():
        unit, several = unit_of(instruction)
        units[unit] += times * several / steps
    del units["none"]
    clocks = {
        "floats": units["floats"] / RATES[dtype],
        "integers": units["integers"] / RATES["integer"],
        "special": units["special"] / RATES["special"],
        "memory": units["memory"] / RATES["memory"],
        "issue": sum(units.values()) / ISSUED,
    }
    seconds = {unit: value / (SMS * CLOCK) for unit, value in clocks.items()} | {
        "bandwidth": written / BANDWIDTH
    }
    busiest = max(seconds, key=lambda unit: seconds[unit])
    return Work(**units, bytes=written, busiest=busiest, time=1e9 * seconds[busiest])


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
                        "floats": f"{one.floats:.0f}",
                        "integers": f"{one.integers:.0f}",
                        "special": f"{one.special:.3g}",
                        "memory": f"{one.memory:.0f}",
                        "branches": f"{one.branches:.0f}",
                        "bytes": f"{one.bytes:.2g}",
                        "busiest": one.busiest,
                        "ns": f"{one.time:.3g}",
                    }
                )
    return pd.DataFrame(rows)
