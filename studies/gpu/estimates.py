"""What the samplers ask of a GPU, where there is none: instructions that their kernels execute, and the time they take.

The kernels' own PTX is run (`studies.gpu.ptx_machine`) and what it executes counted. The last step to machine code is
left out: there copies vanish, 64-bit operations on integers become two, divisions and roots some ten instructions.
"""

from __future__ import annotations

import re
from collections import Counter
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analytic import GaussianMixture, chains, paths, sequences
from solvers import catalogue, grids, sample
from solvers.continuous.tableau import Tableau
from solvers.discrete import Kernel

from .ptx_machine import in_place_of_a_gpu

PATH = paths.VP()
LINE = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3])
PLANE = GaussianMixture(np.ones(9) / 9, np.random.default_rng(0).normal(size=(9, 2)), 0.05)
TARGETS = {"line, 2 components": LINE, "plane, 9 components": PLANE}
METHODS = ("ddpm", "heun", "dpm-solver++-2m")
MASKED, UNIFORM = chains.Absorbing(vocabulary=8), chains.Uniform(vocabulary=8)
CHAIN, BACKWARDS = (
    sequences.MarkovSequence(np.full(8, 1 / 8), 0.05 + 0.6 * np.roll(np.eye(8), shift, axis=1), 32)
    for shift in (1, -1)
)
LABELLED = sequences.Labelled([CHAIN, BACKWARDS], [0.5, 0.5])


class TokenSampler(NamedTuple):
    """A token sampler in need of a grid."""

    method: str
    noise: chains.Mixture
    data: sequences.SequenceLaw = CHAIN
    options: Any = MappingProxyType({})

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.method}, {self.noise.name}"

    def kernel(self, steps: int) -> Kernel:
        """Return it on a uniform grid."""
        return catalogue[self.method].kernel(self.noise, grids.uniform(self.noise, steps), **self.options)


TOKENS = (
    TokenSampler("tweedie-tau-leaping", MASKED),
    TokenSampler("tweedie-tau-leaping", UNIFORM),
    TokenSampler("theta-trapezoidal", UNIFORM),
    TokenSampler("poisson-tau-leaping", UNIFORM),
    TokenSampler("maskgit", MASKED),
    TokenSampler("gillespie", MASKED),
    TokenSampler("gillespie", UNIFORM),
    TokenSampler("guided-tau-leaping", UNIFORM, LABELLED, {"gamma": 2.0}),
)
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
        That loads and stores name: what memory moves if no cache answers.
    busiest : str
        The unit that takes longest, or "issue".
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

    @property
    def time_without_caches(self) -> float:
        """Nanoseconds of the memory to move all those bytes."""
        return 1e9 * self.bytes / BANDWIDTH


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


def bytes_of(instruction: str) -> int:
    """Return the bytes that an instruction of PTX loads or stores; 0 for others, and for parameters."""
    parts = instruction.split(".")
    if parts[0] not in ("ld", "st") or "param" in parts:
        return 0
    at_once = next((int(part[1]) for part in parts if re.fullmatch(r"v\d", part)), 1)
    return at_once * int(parts[-1][1:]) // 8


def work(tableau: Tableau, target: GaussianMixture, dtype: str, samples: int = 32) -> Work:
    """Run the kernel of a tableau on the machine and count per step. Seconds, for the compiler; not when simulated."""
    with in_place_of_a_gpu() as executed:
        sample(tableau, target, samples, dtype=dtype, device="cuda")
    return summed(executed, samples * len(tableau), dtype)


def token_work(kernel: Kernel, data: sequences.SequenceLaw, samples: int = 1) -> Work:
    """Run the kernels of a token sampler on the machine and count per token and step of the grid, as `work` does."""
    with in_place_of_a_gpu() as executed:
        sample(kernel, data, samples, initial="prior", device="cuda")
    return summed(executed, samples * data.length * len(kernel.steps), "float64")


def summed(executed: Counter[str], steps: int, dtype: str) -> Work:
    """Return the work of one step of so many, from instructions by name."""
    units = dict.fromkeys(("floats", "integers", "special", "memory", "branches", "none"), 0.0)
    for instruction, times in executed.items():
        unit, several = unit_of(instruction)
        units[unit] += times * several / steps
    del units["none"]
    moved = sum(times * bytes_of(instruction) for instruction, times in executed.items()) / steps
    clocks = {
        "floats": units["floats"] / RATES[dtype],
        "integers": units["integers"] / RATES["integer"],
        "special": units["special"] / RATES["special"],
        "memory": units["memory"] / RATES["memory"],
        "issue": sum(units.values()) / ISSUED,
    }
    busiest = max(clocks, key=lambda unit: clocks[unit])
    return Work(**units, bytes=moved, busiest=busiest, time=1e9 * clocks[busiest] / (SMS * CLOCK))


def estimates(steps: int = 64, token_steps: int = 16) -> pd.DataFrame:
    """Return the work of a few samplers as a table: of trajectories a step, of tokens a token and step."""
    found = dict[str, Work]()
    for method in METHODS:
        tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, steps))
        for name, target in TARGETS.items():
            for dtype in ("float32", "float64"):
                found[f"{method}, {name}, {dtype}"] = work(tableau, target, dtype)
    for one in TOKENS:
        found[one.name] = token_work(one.kernel(token_steps), one.data)
    return pd.DataFrame(
        {
            "sampler": name,
            "floats": f"{asked.floats:.0f}",
            "integers": f"{asked.integers:.0f}",
            "special": f"{asked.special:.3g}",
            "memory": f"{asked.memory:.0f}",
            "branches": f"{asked.branches:.0f}",
            "bytes": f"{asked.bytes:.0f}",
            "busiest": asked.busiest,
            "ns": f"{asked.time:.3g}",
            "ns without caches": f"{asked.time_without_caches:.3g}",
        }
        for name, asked in found.items()
    )
