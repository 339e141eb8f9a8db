"""Every CUDA kernel compiled without a GPU: what it takes of one, against what docs/gpu.md records."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from solvers import primitives
from solvers.cuda import ptx
from studies import gpu_report, kernels
from studies.readme import GPU, between

EXAMPLES = {name: (kernel, argument) for name, kernel, argument in kernels.examples()}
pytestmark = [
    pytest.mark.compiler,
    pytest.mark.skipif(ptx.assembler() is None, reason="no ptxas: pip install nvidia-cuda-nvcc"),
]


def recorded() -> dict[str, list[str]]:
    lines = between(GPU.read_text(), "kernels").strip().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("capability", ptx.CAPABILITIES, ids=str)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_kernel_compiles_within_its_budget(name: str, capability: tuple[int, int]) -> None:
    found = kernels.resources(name, *EXAMPLES[name], capability)
    registers = int(recorded()[name][ptx.CAPABILITIES.index(capability)])
    renew = "if the change is meant, renew the table with python -m studies.readme kernels"
    assert found.usage.spills == 0
    assert found.usage.registers <= registers, renew
    assert found.usage.registers >= registers - 8, f"fewer registers than recorded: {renew}"
    assert found.usage.stack <= int(recorded()[name][len(ptx.CAPABILITIES)]), renew
    if "float32" in name:
        assert found.float64 == 0
    elif "float64" in name:
        assert found.float64 > 0  # the count does see them


def test_the_record_names_these_kernels_and_no_others() -> None:
    assert set(recorded()) == set(EXAMPLES)


def _exp(arguments: Any) -> None:
    x, y = arguments
    y[0] = primitives.exp(x[0])


def _log(arguments: Any) -> None:
    x, y = arguments
    y[0] = primitives.log(x[0])


def _sincospi(arguments: Any) -> None:
    x, y = arguments
    sine, cosine = primitives.sincospi(x[0])
    y[0] = sine + cosine


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "kernel", "more"), [("exp", _exp, 0), ("log", _log, 0), ("sincospi", _sincospi, 1)]
)
def test_the_estimate_counts_the_instructions_of_calls(name: str, kernel: Any, more: int, dtype: str) -> None:
    x = np.ones(4, dtype)
    code = ptx.ptx(kernel, ((x, x),), (9, 0))
    arithmetic = re.findall(r"^\s+(?!ld|st|mov|cvta|ret|bra|\.)[a-z]+\.[\w.]+\s", code, re.MULTILINE)
    assert len(arithmetic) - more == gpu_report.COSTS[dtype][name]


def build_defect(constant: float) -> Any:
    from numba import cuda

    def kernel(arguments: Any) -> None:
        (x,) = arguments
        i = cuda.grid(1)
        if i < x.shape[0]:
            x[i] = x[i] * constant

    return kernel


def test_a_float64_constant_in_float32_code_is_seen() -> None:
    x = np.ones(3, np.float32)
    spoiled = ptx.ptx(build_defect(0.1), ((x,),), (9, 0))
    assert ptx.float64_instructions(spoiled)
    sound = ptx.ptx(build_defect(np.float32(0.1)), ((x,),), (9, 0))  # type: ignore[arg-type]
    assert not ptx.float64_instructions(sound)
