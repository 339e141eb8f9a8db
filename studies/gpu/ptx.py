"""What kernels compile to, without a GPU: PTX for any compute capability, and what ptxas says of its machine code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numba

CAPABILITIES = ((8, 0), (9, 0))


class Usage(NamedTuple):
    """Resources of a kernel on one compute capability: registers, and bytes of stack and of spills, per thread."""

    registers: int
    stack: int
    spills: int


@contextmanager
def _pretending(capability: tuple[int, int]) -> Iterator[None]:
    """Let the compiler, which asks the current GPU when it meets a device function, take one for granted."""
    from numba.cuda import dispatcher

    asked = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = asked


def ptx(kernel: Callable[..., None], arguments: tuple[Any, ...], capability: tuple[int, int]) -> str:
    """Return the PTX of an uncompiled kernel for arguments of these types.

    Parameters
    ----------
    kernel : function
    arguments : tuple
        Values, of which only the types matter: NumPy arrays stand for those of a device.
    capability : (int, int)
        Compute capability, such as (9, 0).
    """
    from numba import cuda

    from solvers.cuda import extensions  # noqa: F401  # makes them known to the compiler

    with _pretending(capability):
        code, _ = cuda.compile_ptx(kernel, tuple(numba.typeof(value) for value in arguments), cc=capability)
    return str(code)


def assembler() -> str | None:
    """Return the path of ptxas: the one installed beside the compiler, one on the PATH, or None."""
    beside = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "bin" / "ptxas"
    return str(beside) if beside.exists() else shutil.which("ptxas")


def usage(code: str, capability: tuple[int, int]) -> Usage:
    """Return what ptxas says of a kernel's PTX.

    Raises RuntimeError if there is no ptxas or it refuses the code.
    """
    program = assembler()
    if program is None:
        raise RuntimeError("ptxas is not installed: pip install nvidia-cuda-nvcc")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(code)
        arch = f"-arch=sm_{capability[0]}{capability[1]}"
        done = subprocess.run(
            [program, arch, "-v", str(source), "-o", str(source.with_suffix(".cubin"))],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"ptxas refused the code: {done.stderr}")
    said = done.stdout + done.stderr
    stack, stores, loads = re.findall(
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said
    )[-1]
    return Usage(int(re.findall(r"Used (\d+) registers", said)[-1]), int(stack), int(stores) + int(loads))


def float64_instructions(code: str) -> list[str]:
    """Return the lines of PTX that compute or move float64."""
    return [line.strip() for line in code.splitlines() if re.search(r"^\s[^/]*\.f64", line)]
