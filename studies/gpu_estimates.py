"""What the samplers ask of a GPU, counted from their source: instructions, calls and bytes, and the time they take."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analytic import GaussianMixture, paths
from solvers import catalogue, grids

PATH = paths.VP()
LINE = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3])
PLANE = GaussianMixture(np.ones(9) / 9, np.random.default_rng(0).normal(size=(9, 2)), 0.05)
TARGETS = {"line, 2 components": LINE, "plane, 9 components": PLANE}
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
