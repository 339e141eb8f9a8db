"""device="cuda" without a GPU: kernels are compiled to PTX, and the PTX is run here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import numba
import numpy as np

from solvers.cuda.device import Device

from .. import ptx
from .program import Program

CAPABILITY = (9, 0)
FREE = 1 << 28
_programs: dict[Any, Program] = {}


def program(kernel: Any, arguments: Any) -> Program:
    """Return an uncompiled kernel as a program for arguments of these types; made once."""
    key = (kernel, numba.typeof(arguments))
    if key not in _programs:
        _programs[key] = Program(ptx.ptx(kernel, (arguments,), CAPABILITY))
    return _programs[key]


@contextmanager
def in_place_of_a_gpu() -> Iterator[Counter[str]]:
    """Let `device="cuda"` mean this machine; yields the instructions executed meanwhile, by name."""
    executed = Counter[str]()

    def made(self: Device, name: str) -> None:
        self.name, self.xp, self._number = name, np, 0

    def launched(self: Device, kernel: Any, n: int, arguments: Any, threads: int = 32) -> None:
        made = program(kernel.py_func, arguments)
        made.executed.clear()
        made.run(arguments, n, threads)
        executed.update(made.executed)

    stand_in: dict[str, Any] = {
        "__init__": made,
        "launch": launched,
        "current": lambda self: nullcontext(),
        "put": lambda self, value: value,
        "seen": lambda self, array: array,
        "free": lambda self: FREE,
    }
    with mock.patch.multiple(Device, **stand_in):
        yield executed
