"""Every CUDA kernel compiled without a GPU: what it takes of one, against what docs/gpu.md records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest

from solvers.cuda.sizes import of_size
from solvers.numerics import primitives
from studies.gpu import ptx, resources
from studies.readme import GPU, between

EXAMPLES = {name: (kernel, argument) for name, kernel, argument in resources.examples()}
pytestmark = pytest.mark.skipif(ptx.assembler() is None, reason="no ptxas: pip install nvidia-cuda-nvcc")


def recorded() -> dict[str, list[str]]:
    lines = between(GPU.read_text(), "kernels").strip().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


def cases() -> Iterator[Any]:
    """Every kernel for one capability; a kernel takes seconds, so that those of float32 and of few tokens are daily."""
    for name in EXAMPLES:
        daily = "float64" not in name and "12 tokens" not in name
        capability = (9, 0) if daily else (8, 0)
        marks = [] if daily else pytest.mark.slow
        yield pytest.param(name, capability, marks=marks, id=f"{name}, {capability}")


@pytest.mark.parametrize(("name", "capability"), list(cases()))
def test_a_kernel_compiles_within_its_budget(name: str, capability: tuple[int, int]) -> None:
    found = resources.resources(name, *EXAMPLES[name], capability)
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
    y[0], y[1] = primitives.sincospi(x[0])


@numba.njit
def _on_a_cpu(x: Any) -> Any:
    sine, cosine = primitives.sincospi(x)
    return primitives.exp(-x) + primitives.log(x) + sine + cosine


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_was_compiled_for_a_cpu_before_leaves_kernels_alone(dtype: str) -> None:
    """As where a first `sample` on the CPU, with no cache yet, comes before one on a GPU."""
    x = np.full(2, 0.25, dtype)
    assert _on_a_cpu(x[0]) == pytest.approx(np.exp(-0.25) + np.log(0.25) + np.sqrt(2), rel=1e-6)
    for kernel in (_exp, _log, _sincospi):
        assert "solvers4cuda9libdevice" in ptx.ptx(kernel, ((x, x),), (9, 0))


_line = of_size(3)


def _sized(arguments: Any) -> None:
    (x,) = arguments
    _line(x, 0)[0] = 1.0


def test_only_a_contiguous_array_is_given_other_sizes() -> None:
    assert ptx.ptx(_sized, ((np.ones(3),),), (9, 0))
    with pytest.raises(Exception, match="give a C-contiguous one"):
        ptx.ptx(_sized, ((np.ones(6)[::2],),), (9, 0))


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
