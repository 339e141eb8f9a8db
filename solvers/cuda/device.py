"""Where kernels meet a GPU: what may be missing, arrays and memory there, launches. Or its simulator.

With NUMBA_ENABLE_CUDASIM=1 in the environment kernels are interpreted, thread by thread, on NumPy arrays: a few
hundred samples a second, and every index checked.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numba
import numpy as np

THREADS = 128  # in a block
MOST = 1 << 27  # threads of one launch
_REMEDY = "or use device='cpu'"


def simulated() -> bool:
    """Return True if kernels are interpreted, for want of a GPU."""
    return bool(numba.config.ENABLE_CUDASIM)


class Device:
    """One GPU, with the CuPy stream that is current when it is made.

    Parameters
    ----------
    name : str
        "cuda", the current device, or "cuda:1" and the like.

    Attributes
    ----------
    xp : module
        The library of arrays there: CuPy, or NumPy where kernels are simulated.

    Raises
    ------
    ValueError
        Another name, or the number of a device that is not there.
    RuntimeError
        No extra installed, no driver, or no device. Each says what to do.
    """

    def __init__(self, name: str) -> None:
        found = re.fullmatch(r"cuda(?::(\d+))?", name) if isinstance(name, str) else None
        if found is None:
            raise ValueError(f"device is {name!r}: use 'cpu', 'cuda' or 'cuda:0', 'cuda:1', ...")
        number = None if found[1] is None else int(found[1])
        self.name = name
        if simulated():
            self.xp: Any = np
            self._number = 0
        else:
            self.xp = _cupy(name)
            count = _count(name, self.xp)
            if number is not None and number >= count:
                raise ValueError(
                    f"device is {name!r}, but there are {count}: use 'cuda:0' to 'cuda:{count - 1}'"
                )
            self._number = self.xp.cuda.Device().id if number is None else number

    def current(self) -> AbstractContextManager[Any]:
        """Return a context in which this device is CuPy's and the kernels' own."""
        return nullcontext() if simulated() else _Current(self.xp, self._number)

    def put(self, value: Any) -> Any:
        """Return a value with every NumPy array in it, however deep in named tuples, copied to the device."""
        if isinstance(value, tuple):
            parts = [self.put(part) for part in value]
            return value._make(parts) if hasattr(value, "_make") else tuple(parts)
        if isinstance(value, np.ndarray) and not simulated():
            return self.seen(self.xp.asarray(value))
        return value

    def seen(self, array: Any) -> Any:
        """Return an array of the device as kernels take it, inside tuples too; no copy."""
        if simulated():
            return array
        from numba import cuda

        return cuda.as_cuda_array(array, sync=False)

    def free(self) -> int:
        """Return the bytes that are free, in the device's memory or CuPy's pool; of a simulated one 2^28."""
        if simulated():
            return 1 << 28
        pool = self.xp.get_default_memory_pool()
        return int(self.xp.cuda.runtime.memGetInfo()[0] + pool.free_bytes())

    def check_room(self, size: int, remedy: str) -> None:
        """Raise MemoryError unless so many bytes are free, in the device's memory or CuPy's pool."""
        free = self.free()
        if size > free:
            raise MemoryError(
                f"device {self.name!r} has {free / 1e9:.2f} GB free and this takes {size / 1e9:.2f} GB: {remedy}"
            )

    def launch(self, kernel: Any, n: int, arguments: Any, threads: int = THREADS) -> None:
        """Run a kernel of n threads, in blocks of `threads`, on CuPy's current stream; its one argument is a tuple."""
        stream: Any = 0
        if not simulated():
            from numba import cuda

            pointer = self.xp.cuda.get_current_stream().ptr
            stream = cuda.external_stream(pointer) if pointer else 0
        kernel[(n + threads - 1) // threads, threads, stream](arguments)


class _Current(AbstractContextManager[None]):
    """CuPy's and Numba's idea of the current device, set together."""

    def __init__(self, xp: Any, number: int) -> None:
        from numba import cuda

        self._parts = (xp.cuda.Device(number), cuda.gpus[number])

    def __enter__(self) -> None:
        for part in self._parts:
            part.__enter__()

    def __exit__(self, *error: Any) -> None:
        for part in reversed(self._parts):
            part.__exit__(*error)


def _cupy(name: str) -> Any:
    """Return CuPy; RuntimeError if it or numba-cuda is not installed."""
    try:
        import cupy
        import numba_cuda  # noqa: F401  # not numba's own, older compiler
    except ImportError as error:
        raise RuntimeError(
            f"device is {name!r}, which needs {error.name or error}: pip install 'assay[gpu]', {_REMEDY}"
        ) from None
    return cupy


def _count(name: str, xp: Any) -> int:
    """Return the number of GPUs; RuntimeError if there is no driver or no GPU."""
    try:
        count = int(xp.cuda.runtime.getDeviceCount())
    except xp.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(
            f"device is {name!r}, but no NVIDIA driver and GPU were found ({error}): install the driver, {_REMEDY}"
        ) from None
    if count == 0:
        raise RuntimeError(f"device is {name!r}, but no GPU is visible: see CUDA_VISIBLE_DEVICES, {_REMEDY}")
    return count
