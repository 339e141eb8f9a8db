"""Memory of a kernel: arrays with gaps between them, so that a wrong address is found out."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np


class FaultError(RuntimeError):
    """An access to memory that a GPU would refuse, or that reaches outside of every array."""


class Memory:
    """Arrays of one address space, with gaps between them."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._parts: list[memoryview] = []
        self._next = 1 << 20

    def __len__(self) -> int:
        """Number of arrays held."""
        return len(self._starts)

    def hold(self, array: np.ndarray | bytearray) -> int:
        """Return the address at which a contiguous array is seen; stores change the array itself."""
        if isinstance(array, np.ndarray) and not array.flags.c_contiguous:
            raise ValueError("array is not contiguous: give one that is")
        size = array.size if isinstance(array, np.ndarray) else len(array)
        view = memoryview(array).cast("B") if size else memoryview(b"")  # type: ignore[arg-type]  # numpy's stubs
        start, self._next = self._next, self._next + (len(view) + 0x1FF & ~0xFF)
        self._starts.append(start)
        self._parts.append(view)
        return start

    def drop(self) -> None:
        """Forget the array held last."""
        self._next = self._starts.pop()
        self._parts.pop()

    def place(self, address: int, size: int) -> tuple[memoryview, int]:
        """Return the array that holds `size` bytes at an address, and where in it; FaultError if none does."""
        i = bisect_right(self._starts, address) - 1
        offset = address - self._starts[i] if i >= 0 else -1
        if offset < 0 or offset + size > len(self._parts[i]):
            raise FaultError(f"address {address:#x}, {size} bytes, is in no array")
        if address % size:
            raise FaultError(f"address {address:#x} is not aligned to {size} bytes")
        return self._parts[i], offset
