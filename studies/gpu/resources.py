"""What the CUDA kernels take of a GPU, found without one: registers, stack and spills, and instructions."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from . import ptx
from .examples import examples


class Resources(NamedTuple):
    """One kernel on one compute capability; `float64` counts instructions on that type in its PTX."""

    name: str
    capability: tuple[int, int]
    usage: ptx.Usage
    float64: int


def resources(name: str, kernel: Any, argument: Any, capability: tuple[int, int]) -> Resources:
    """Compile a kernel and read off what it takes. Raises RuntimeError where there is no ptxas."""
    code = ptx.ptx(kernel, (argument,), capability)
    return Resources(name, capability, ptx.usage(code, capability), len(ptx.float64_instructions(code)))


def table() -> pd.DataFrame:
    """Return registers and stack (bytes) of every kernel by compute capability, and spills, which should be 0."""
    rows = []
    for name, kernel, argument in examples():
        found = [resources(name, kernel, argument, capability) for capability in ptx.CAPABILITIES]
        row: dict[str, Any] = {"kernel": name}
        for one in found:
            row[f"registers {one.capability[0]}.{one.capability[1]}"] = one.usage.registers
        row["stack"] = max(one.usage.stack for one in found)
        row["spills"] = max(one.usage.spills for one in found)
        rows.append(row)
    return pd.DataFrame(rows)
